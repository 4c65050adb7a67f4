"""Data sets: adapters that list them, a loader that decodes them once, splits by subject, and a renderer."""
