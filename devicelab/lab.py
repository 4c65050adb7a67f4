"""The lab: lease, run, record, release."""

from pathlib import Path
from types import TracebackType
from typing import Self

from devicelab.config import LabConfig
from devicelab.device import Device, Selector
from devicelab.measurement import Measurement, Workload


class Lab:
    """A lab of phones with its store; the only writer of that store while it is open.

    Not thread-safe: one process, one thread. Use as a context manager.
    """

    def __init__(self, config: LabConfig, store_path: Path) -> None:
        raise NotImplementedError((config, store_path))

    def devices(self) -> tuple[Device, ...]:
        """Return the phones of this lab."""
        raise NotImplementedError

    def measure(self, workload: Workload, *, selector: Selector | None = None) -> Measurement:
        """Return the latency of *workload*, from the store or from a phone."""
        raise NotImplementedError((workload, selector))

    def close(self) -> None:
        """Close the store."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
