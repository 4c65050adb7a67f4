"""Drivers: each turns the verbs of ``devicelab.protocols.Driver`` into something one kind of phone does."""
