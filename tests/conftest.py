"""For all tests: hypothesis judges by what comes out, never by how long it took (benchmarks do that)."""

from hypothesis import settings

settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")
