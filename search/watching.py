"""Watching a study from outside, while another process runs it."""

from collections.abc import Callable

from search.folder import StudyFolder
from search.ledger import Ledger, is_being_written
from search.record import Event, StudyRecord, fold


def follow(folder: StudyFolder, show: Callable[[StudyRecord], None], wait: Callable[[], object]) -> None:
    """Call *show* with the record of the study in *folder* when it changed, until nobody runs it; *wait* between looks.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    events: list[Event] = []
    with Ledger.open(folder.ledger_path, readonly=True) as ledger:
        while True:
            running = is_being_written(folder.ledger_path)  # before the look, which so sees the last events
            fresh = ledger.events(since=len(events))
            if fresh:
                events += fresh
                show(fold(events))
            if not running:
                return
            wait()
