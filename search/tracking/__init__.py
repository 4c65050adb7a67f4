"""A study in MLflow and in TensorBoard: what its ledger says, written there again. All of both is in here.

Why not Ray's own callbacks: Tune sees questions by number and answers in JSON, it forgets trials that were walked
before a resumption, and it would wait for a server. So the ledger is followed instead, by a process of its own, as
``fer-search status --watch`` follows it. That works for studies that ended, goes on after any kill without writing a
number twice, and takes nothing from the search: what is behind is caught up later.

``page`` says what is told about a study and a trial, ``mlflow`` and ``tensorboard`` write pages, ``tracker`` follows
the ledger, ``companion`` is the process beside a run.
"""

from search.tracking.companion import beside
from search.tracking.tracker import Tracker, catch_up, chosen, keep_up, trackers

__all__ = ["Tracker", "beside", "catch_up", "chosen", "keep_up", "trackers"]
