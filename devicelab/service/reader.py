"""Reads of the store beside the writer: one thread with a connection of its own, so that nobody waits for a write."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devicelab.store import Store


class Reader:
    """Runs questions against the store at *path*, one at a time, in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lab-reader")
        self._store: Store | None = None

    async def ask[Result](self, question: Callable[[Store], Result]) -> Result:
        """Return what *question* finds in the store.

        Raises:
            StoreError: the store cannot be read.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: question(self._opened()))

    def close(self) -> None:
        """Let go of the store."""
        self._pool.submit(self._close)
        self._pool.shutdown(wait=True)

    def _opened(self) -> Store:
        if self._store is None:
            self._store = Store(self._path, readonly=True)
        return self._store

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
