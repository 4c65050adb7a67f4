"""MLflow: an experiment of the study's name, a run for the study, below it one for each trial. All of it is in here.

What the server has is asked of it, never remembered here: runs are found by their tags, the numbers of a run that is
not ended by its history. So a study that is resumed, or told about twice, goes on with its runs.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from search.errors import TrackingError
from search.tracking.page import STUDY, Page, State

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nobody is told about whom
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # catching up is ours; by default a call takes four minutes to fail
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for answers
}
"""What holds unless the environment says otherwise."""
STATUS: dict[State, str] = {"failed": "FAILED", "stopped": "KILLED", "interrupted": "KILLED"}
"""How a run ends in MLflow's words; else ``FINISHED``. The tag ``state`` has ours."""
MOST_METRICS, MOST_ENTRIES, MOST_LETTERS = 1000, 100, 5000
"""MLflow's bounds of one request: metrics, parameters or tags, and the letters of a value."""
RUN_PAGE = 1000
"""Runs that are asked for at once."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    id: str
    points: set[tuple[str, int]] = field(default_factory=set)
    described: bool = False
    ended: bool = False


class MLflow:
    """Writes pages to the server (or store) at *uri*, as runs of *experiment*; *study* tells it from its like."""

    def __init__(self, uri: str, experiment: str, study: str) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # each retry would be told
        self.name = f"MLflow at {uri}"
        self._uri, self._title, self._study = uri, experiment, study
        self._client: Any = None
        self._experiment = ""
        self._runs: dict[str, _Run] = {}

    def show(self, page: Page) -> None:
        """Bring the run of *page* up to date; that of the study is to be shown first.

        Raises:
            TrackingError: the server does not answer, or refuses. What it holds is asked anew the next time.
        """
        with self._failing():
            self._connect()
            run = self._runs.get(page.key) or self._begin(page)
            if run.ended and page.final:
                return
            self._write(run, page)
            if page.ended is None:
                if run.ended:
                    self._client.update_run(run.id, status="RUNNING")
            else:
                self._client.set_terminated(run.id, STATUS.get(page.state, "FINISHED"), int(1000 * page.ended))
            run.ended = page.ended is not None

    def _connect(self) -> None:
        """Find the experiment and the runs that are there."""
        if self._client is not None:
            return
        from mlflow.tracking import MlflowClient

        client = MlflowClient(self._uri)
        found = client.get_experiment_by_name(self._title)
        self._experiment = found.experiment_id if found else client.create_experiment(self._title)
        self._runs, token = {}, None
        while True:
            query = f"tags.`fer.study` = '{self._study}'"
            page = client.search_runs([self._experiment], query, max_results=RUN_PAGE, page_token=token)
            for run in page:
                self._runs[run.data.tags["fer.page"]] = _found(client, run)
            token = page.token
            if not token:
                break
        self._client = client

    def _begin(self, page: Page) -> _Run:
        tags = {"fer.study": self._study, "fer.page": page.key, "mlflow.source.name": "fer-search"}
        if page.key != STUDY:
            tags["mlflow.parentRunId"] = self._runs[STUDY].id
        made = self._client.create_run(self._experiment, int(1000 * page.begun), tags, run_name=page.title)
        self._runs[page.key] = run = _Run(made.info.run_id)
        return run

    def _write(self, run: _Run, page: Page) -> None:
        from mlflow.entities import Metric, Param, RunTag

        if not run.described:
            settings = [Param(name, str(value)[:MOST_LETTERS]) for name, value in page.settings.items()]
            for part in _parts(settings, MOST_ENTRIES):
                self._client.log_batch(run.id, params=part)
            run.described = True
        fresh = [point for point in page.points if (point.name, point.step) not in run.points]
        for some in _parts(fresh, MOST_METRICS):
            metrics = [Metric(point.name, point.value, int(1000 * point.at), point.step) for point in some]
            self._client.log_batch(run.id, metrics=metrics)
            run.points.update((point.name, point.step) for point in some)
        for tags in _parts([RunTag(name, value[:MOST_LETTERS]) for name, value in page.tags.items()], MOST_ENTRIES):
            self._client.log_batch(run.id, tags=tags)
        if page.model is not None:
            self._client.log_artifact(run.id, str(page.model))

    @contextmanager
    def _failing(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, OSError) as error:  # requests' errors are OSErrors
            self._client = None
            raise TrackingError(f"{self.name}: {' '.join(str(error).split())[:500]}") from None


def _found(client: Any, run: Any) -> _Run:  # noqa: ANN401 - MLflow is not checked
    """Return a run that the server has, with the numbers that an open one holds; an ended one is whole."""
    ended = run.info.status not in {"RUNNING", "SCHEDULED"}
    points: set[tuple[str, int]] = set()
    if not ended or run.data.tags["fer.page"] == STUDY:
        for name in run.data.metrics:
            points.update((one.key, one.step) for one in client.get_metric_history(run.info.run_id, name))
    return _Run(run.info.run_id, points, ended=ended)


def _parts[T](items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
