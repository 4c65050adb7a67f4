"""The errors of the learning room, split by whose fault they are.

    FerError                 base of everything this room raises on purpose
    ├── ConfigError          the user's: a spec or an argument that cannot be right (refused before work starts)
    ├── DataError            the data set's: a folder, a file or a label that cannot be used
    └── CandidateError       the candidate's: it diverged, cannot be converted, cannot be run
        ├── DivergedError        the loss became NaN or infinite
        ├── ConversionError      the network could not be turned into a .tflite
        └── UnreadableModelError a .tflite that LiteRT refuses, or that ends the process which loads it

A message says what is wrong, where, and what to do next.
"""


class FerError(Exception):
    """Base of every error that ``fer_core`` raises on purpose."""


class ConfigError(FerError):
    """A spec or an argument that cannot be right; refused before any work is done."""


class DataError(FerError):
    """A data set that is missing, incomplete or unreadable."""


class CandidateError(FerError):
    """The candidate's own failure: told to the study with its reason, never retried."""


class DivergedError(CandidateError):
    """Training produced a loss that is NaN or infinite."""


class ConversionError(CandidateError):
    """A network that could not be converted to a .tflite."""


class UnreadableModelError(CandidateError):
    """A .tflite that LiteRT refuses to load or that aborts the process which runs it."""
