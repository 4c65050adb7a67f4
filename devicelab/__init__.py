"""PHONES: devices, leases, measurements, drivers. No torch, ray or optuna in here."""
