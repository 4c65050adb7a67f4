"""Read a .tflite into a graph of operators, and fingerprint it."""

from pathlib import Path

from devicelab.operators import Graph


def read_graph(path: Path) -> Graph:
    """Read the .tflite at *path*.

    Raises:
        WorkloadError: the file is missing, truncated, or no .tflite that this room understands.
    """
    raise NotImplementedError(path)
