"""The driver of a study: the one process that asks, tells and writes the ledger."""

import logging
import math
import os
import shutil
import signal
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Self
from unittest.mock import patch

from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.schedulers import TrialScheduler

from devicelab.errors import DeviceLabError
from fer_core.errors import FerError
from search.errors import LedgerError, SearchError, StudyError
from search.folder import StudyFolder
from search.foresight import Notebook
from search.halving import halving_of
from search.ledger import Ledger, utc_now
from search.overseer import read_note
from search.provenance import code_digest, code_version
from search.record import Event, RunEnded, RunStarted, StudyOpened, StudyRecord, fold
from search.sampling import Told
from search.spending import Account, Spending
from search.study import Study
from search.tuning.engine import Share, ray_running, share
from search.tuning.latency import check_lab, lab_open
from search.tuning.preparation import check_data
from search.tuning.scheduler import HalvingScheduler, InOrder
from search.tuning.searcher import Halt, StudySearcher, Watch
from search.tuning.worker import Task, Workshop, in_one_line, trainable
from search.warm_start import inherit, inherited

logger = logging.getLogger(__name__)

type OnChange = Callable[[StudyRecord], None]

LOOK_SECONDS = 0.5
"""Least time between two calls of ``on_change``."""


def drive(folder: StudyFolder, workshop: Workshop, *, on_change: OnChange | None = None) -> str:
    """Run the study in *folder* as ``search.tuning.run`` says; *workshop* sets workers up for its journeys."""
    config = folder.config
    check_lab(config)  # refused before the start
    with Interruption() as interruption, _ledger(folder) as (ledger, priors):
        account = Account(config)
        study = Study(config, ledger, account.hear, priors)
        audience = Audience(ledger, on_change)
        ledger.append(RunStarted(pid=os.getpid(), host=socket.gethostname(), budget=config.budget.model_dump()))
        ending = Ending(ledger, folder)
        try:
            with ending.told():
                if not study.finished and not ending.spent(account.spent()):
                    _tune(study, folder, workshop, account, Around(audience, interruption, ending))
        finally:
            audience.look(last=True)
        return ending.reason


def _tune(study: Study, folder: StudyFolder, workshop: Workshop, account: Account, around: "Around") -> None:
    """Let Tune run the study's open trials; *around* is told why it ended."""
    audience, interruption, ending = around
    config, record = folder.config, study.record()
    searcher = StudySearcher(
        study,
        config.in_flight,
        account.spent,
        note_of=lambda number: read_note(folder.notes_path / str(number)),
        learn=Notebook(folder.latencies_path, record).add,
        proven=any(trial.state not in {"running", "failed"} for trial in record.trials.values()),
    )
    watch = Watch(lambda: interruption.came, audience.look, searcher.died)
    with ray_running(folder.path / "ray.json") as temporary:
        interruption.listen()
        turn, trial = share(config.budget.concurrency), share(config.in_flight)
        name = f"lab-{folder.path.name}-{uuid.uuid4().hex[:8]}"
        with lab_open(config, folder, name) as lab, _state_saved_once(), ending.told():
            tune.run(
                trainable(Task(config, folder.path, lab, turn), workshop),
                name=folder.path.name,
                search_alg=searcher,
                scheduler=_scheduler(record),
                num_samples=-1,
                resources_per_trial=_resources(trial),
                reuse_actors=True,
                max_failures=0,  # what starts again is decided in search.tuning.searcher
                raise_on_failed_trial=False,
                stop=watch,
                callbacks=[watch],
                storage_path=str(temporary / "tune"),
                verbose=0,
            )
            ending.spent(searcher.ended_by)
    shutil.rmtree(folder.turns_path, ignore_errors=True)


def _state_saved_once() -> AbstractContextManager[object]:
    """Let Tune save its state at the end only. Nobody reads it: the ledger is what a study is resumed from.

    Tune would save it every ten seconds too, and copy its folder in the background: in a short run at the very moment
    in which the last save renames a file there, which Ray 2.60 answers with a traceback on the terminal.
    """
    save = TuneController.checkpoint

    def only_at_the_end(controller: TuneController, force: bool = False, wait: bool = False) -> None:
        if force:
            save(controller, force=force, wait=wait)

    return patch.object(TuneController, "checkpoint", only_at_the_end)


def _scheduler(record: StudyRecord) -> TrialScheduler:
    stopping = record.config.early_stopping
    if stopping is None:
        return InOrder()
    return HalvingScheduler(halving_of(stopping, record), record.config.objectives)


def _resources(each: Share) -> dict[str, float]:
    return {"cpu": each.cpus, "gpu": each.gpus} if each.gpus else {"cpu": each.cpus}


class Ending:
    """Writes down why a run ended: once, as soon as it is known, for Ray takes seconds to end. ``reason`` tells it."""

    def __init__(self, ledger: Ledger, folder: StudyFolder) -> None:
        self._ledger = ledger
        self._folder = folder
        self.reason = ""

    def tell(self, reason: str, spent: str = "") -> None:
        """Write down that the run ended for *reason* (*spent*: that key of ``[budget]``), unless it has one already."""
        if self.reason:
            return
        self.reason = reason
        with suppress(LedgerError):  # a disk that is full hides nothing of what is recorded
            self._ledger.append(RunEnded(reason=reason, spent=spent))

    def spent(self, spending: Spending | None) -> bool:
        """Write down that this part of the budget ended the run, if any did; return whether it did."""
        if spending is not None:
            self.tell(spending.sentence, spending.key)
        return spending is not None

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell what ends the block: an error, which is typed, an interruption, which ends here, or else the study."""
        try:
            yield
        except Halt as halt:
            if halt.cause is None:
                self.tell("interrupted")
                return
            error = self._logged(halt.cause, halt.trace) if halt.trace else halt.cause
            self.tell(in_one_line(error))
            raise error from None
        except KeyboardInterrupt:  # a second Ctrl-C, or a signal while Ray starts
            self.tell("interrupted")
            return
        except (SearchError, FerError, DeviceLabError) as error:
            self.tell(in_one_line(error))
            raise
        except Exception as error:
            typed = self._logged(StudyError(in_one_line(error)), traceback.format_exc())
            self.tell(in_one_line(typed))
            raise typed from error
        self.tell("finished")

    def _logged(self, cause: SearchError, trace: str) -> SearchError:
        """Write *trace* to the study's log of errors, and return *cause* with the place where it is."""
        log = self._folder.path / "errors.log"
        with suppress(OSError), log.open("a", encoding="utf-8") as stream:
            stream.write(f"--- {utc_now().isoformat(timespec='seconds')} {cause}\n{trace.rstrip()}\n")
        cause.args = (f"{cause}; details in {log}; go on with: fer-search resume {self._folder.path.name}",)
        return cause


@contextmanager
def _ledger(folder: StudyFolder) -> Iterator[tuple[Ledger, tuple[Told, ...]]]:
    """Open the study's ledger for writing: a new one, or one of a study with the same meaning and the same faces.

    With it comes what the study knows from another one.
    """
    config = folder.config
    if not folder.ledger_path.exists():
        opened = StudyOpened(
            name=config.name,
            config=config.model_dump(mode="json", exclude={"tracking"}),
            config_digest=config.digest,
            code_digest=code_digest("fer_core", "devicelab", "search"),
            version=code_version(),
            inherited=inherit(folder),
        )
        with Ledger.create(folder.ledger_path, opened) as ledger:
            yield ledger, inherited(folder, opened.inherited)
        return
    with Ledger.open(folder.ledger_path) as ledger:
        record = ledger.record()
        if record.opened.config_digest != config.digest:
            raise StudyError(
                f"{folder.config_path}: the space, data, objectives, constraints, seed or kind of phones changed since "
                "the study was opened; change them back (the budget may change), or start a study with another name"
            )
        check_data(record, config, folder.cache_path)
        yield ledger, inherited(folder, record.opened.inherited)


class Interruption:
    """Notes the first SIGINT or SIGTERM while it is open; the second acts as usual. Idle outside the main thread."""

    def __init__(self) -> None:
        self.came = False
        self._usual: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop_listening()

    def listen(self) -> None:
        """Take the signals; again where something that was started took them for itself."""
        if threading.current_thread() is threading.main_thread() and not self.came:
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, self._note)
                self._usual.setdefault(number, before)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        logger.info("interrupted by %s", signal.Signals(number).name)
        self.came = True
        self._stop_listening()

    def _stop_listening(self) -> None:
        for number, handler in self._usual.items():
            signal.signal(number, handler)


class Audience:
    """Shows the record of a ledger to *on_change* when it changed, at most twice a second and a tenth of the time."""

    def __init__(self, ledger: Ledger, on_change: OnChange | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._on_change = on_change
        self._clock = clock
        self._events: list[Event] = []
        self._next = -math.inf

    def look(self, *, last: bool = False) -> None:
        """Show what is new; *last* does not wait for the next turn."""
        begun = self._clock()
        if self._on_change is None or (begun < self._next and not last):
            return
        fresh = self._ledger.events(since=len(self._events))
        if fresh:
            self._events += fresh
            self._on_change(fold(self._events))
        took = self._clock() - begun
        self._next = begun + max(LOOK_SECONDS, 10 * took)


class Around(NamedTuple):
    """Who stands around a run: who watches, who may interrupt, who writes down its end."""

    audience: Audience
    interruption: Interruption
    ending: Ending
