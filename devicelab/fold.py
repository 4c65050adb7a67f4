"""The state of the lab is what the events add up to: ``Fold.apply`` is the only code that changes it.

Applying the same events to an empty state always gives the same state; that is how a lab restarts. Only what is
open is kept in it (phones, waiting and running questions, incidents); what has ended is in the store.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from devicelab import events as ev
from devicelab.faults import FAULTS
from devicelab.lease import Lease
from devicelab.machine import COMMON_SECONDS, WORKING, State, check_move
from devicelab.normalisation import calibrated
from devicelab.policy import Rules
from devicelab.scheduling import Queue, Shares, Waiting
from devicelab.state import Incident, LabState, Phone, Question, platform_group, shared_fault

HAS = 8
"""Networks that a phone is taken to keep."""
KEPT_INCIDENTS = 100
COMING = WORKING | {State.READY, State.PREPARING, State.CALIBRATING}
"""States from which a phone is soon READY."""


def is_fresh_failure(event: ev.PhoneMoved) -> bool:
    """Whether a phone that was well failed; one that is being recovered only goes on failing, unless it is the host."""
    well = event.source not in {State.SUSPECT, State.RECOVERING, State.CALIBRATING}
    return event.target in {State.SUSPECT, State.COOLING} and (well or FAULTS[event.fault].blame == "host")


class Fold:
    """A state with what is derived from it (queue, shares): ``apply`` moves all of them by one event."""

    def __init__(self, state: LabState, weights: dict[str, float], rules: Rules) -> None:
        self.state = state
        self.rules = rules
        self.queue = Queue()
        self.shares = Shares(weights, state.virtual)
        state.virtual = self.shares.virtual
        self._open: Counter[str] = Counter(question.search for question in state.questions.values())
        for question in state.questions.values():
            if not question.device:
                self.queue.add(waiting(question))
        self._apply: dict[type, Callable[[Any, float], None]] = {
            ev.LabStarted: self._lab_started,
            ev.PhoneSeen: self._phone_seen,
            ev.PhoneMoved: self._phone_moved,
            ev.PhoneJudged: self._phone_judged,
            ev.LeaseGranted: self._lease_granted,
            ev.LeaseRenewed: self._lease_renewed,
            ev.LeaseEnded: self._lease_ended,
            ev.RequestSubmitted: self._request_submitted,
            ev.RequestEnded: self._request_ended,
            ev.BlockRecorded: self._block_recorded,
            ev.BlockFailed: self._block_failed,
            ev.MeasurementCommitted: self._measurement_committed,
            ev.Calibrated: self._calibrated,
            ev.IncidentOpened: self._incident_opened,
            ev.IncidentClosed: self._incident_closed,
            ev.OperatorActed: self._operator_acted,
            ev.SamplesPruned: lambda _event, _at: None,
        }

    def apply(self, seq: int, at: float, event: ev.Event) -> None:
        """Let *event*, number *seq*, have happened at *at*.

        Raises:
            IllegalMoveError: a phone cannot make the move.
        """
        self._apply[type(event)](event, at)
        self.state.seq, self.state.at = seq, at

    def _lab_started(self, event: ev.LabStarted, _at: float) -> None:
        for name, phone in self.state.phones.items():
            phone.present = name in event.devices

    def _phone_seen(self, event: ev.PhoneSeen, at: float) -> None:
        phone = self.state.phones.setdefault(event.device.name, Phone(event.device, event.host, event.room, since=at))
        phone.device, phone.host, phone.room, phone.present = event.device, event.host, event.room, True

    def _phone_moved(self, event: ev.PhoneMoved, at: float) -> None:
        phone = self.state.phones[event.device]
        check_move(event.source, event.target)
        phone.state, phone.since, phone.cause = event.target, at, event.cause
        phone.fault = event.fault or (phone.fault if event.rung else "")
        phone.rung = event.rung
        if event.target is State.RECOVERING:
            phone.misses, phone.climbs = 0, phone.climbs + 1
        elif event.target in {State.READY, State.PREPARING}:
            phone.climbs = 0
        if event.fault:
            phone.last_error = event.evidence or event.cause
        if event.fault and is_fresh_failure(event):
            self._fail(at, event.device, event.fault)

    def _fail(self, at: float, device: str, fault: str) -> None:
        recent, by_fault = self.state.recent, self.state.counts.by_fault
        recent.append((at, device, fault))
        by_fault[fault] = by_fault.get(fault, 0.0) + 1
        while recent and recent[0][0] < at - COMMON_SECONDS:
            recent.popleft()
        phone = self.state.phones[device]
        for incident in self.state.open_incidents():
            here = incident.place in {f"host:{phone.host}", f"room:{phone.room}"}
            if here and incident.fault == shared_fault(fault):
                incident.seen_at = at

    def _phone_judged(self, event: ev.PhoneJudged, _at: float) -> None:
        phone = self.state.phones[event.device]
        phone.strikes, phone.suspicion = event.strikes, event.suspicion

    def _lease_granted(self, event: ev.LeaseGranted, at: float) -> None:
        phone = self.state.phones[event.device]
        phone.token, phone.duty, phone.question = event.token, event.duty, event.question
        phone.lease = Lease(
            token=event.token, device=event.device, holder=event.holder, granted_at=at, expires_at=event.expires_at
        )
        question = self.state.questions.get(event.question)
        if question is not None:
            phone.charged = self.rules.usual_seconds
            self.shares.charge(question.search, phone.charged)
            phone.has = (question.workload.fingerprint, *phone.has)[:HAS]
            question.device = event.device
            question.tried[event.device] = question.tried.get(event.device, 0) + 1
            self.queue.remove(question.id)

    def _lease_renewed(self, event: ev.LeaseRenewed, _at: float) -> None:
        phone = self.state.phones[event.device]
        if phone.lease is not None:
            phone.lease = phone.lease.model_copy(update={"expires_at": event.expires_at})

    def _lease_ended(self, event: ev.LeaseEnded, at: float) -> None:
        phone = self.state.phones[event.device]
        if phone.duty == "measure" and phone.lease is not None:
            phone.used += event.seconds
            question = self.state.questions.get(phone.question)
            if question is not None:
                question.seconds += event.seconds
            self.shares.charge(phone.lease.holder, event.seconds - phone.charged)
        phone.lease, phone.question, phone.charged = None, "", 0.0
        phone.health, phone.free_since = event.health or phone.health, at

    def _request_submitted(self, event: ev.RequestSubmitted, at: float) -> None:
        state = self.state
        state.requests[event.request] = event.question
        if event.priority == ev.INTERACTIVE:
            state.last_interactive = at
        question = state.questions.get(event.question)
        if question is None:
            if not self._open[event.search]:
                self.shares.join(event.search, [search for search, count in self._open.items() if count])
            self._open[event.search] += 1
            question = Question(
                event.question,
                event.key,
                event.workload,
                event.platform,
                event.name,
                event.threshold_ms,
                event.search,
                event.priority,
                state.seq + 1,
                at,
                prior_ms=event.prior_ms,
            )
            state.questions[question.id] = question
        question.requests.append(event.request)
        question.priority = max(question.priority, event.priority)
        if not question.device:
            self.queue.add(waiting(question))

    def _request_ended(self, event: ev.RequestEnded, _at: float) -> None:
        state, counts = self.state, self.state.counts
        state.requests.pop(event.request, None)
        counts.store += event.ending == "store"
        counts.failed += event.ending in {"failed", "refused"}
        question = state.questions.get(event.question)
        if question is not None and event.request in question.requests:
            question.requests.remove(event.request)
            if not question.requests:
                self._open[question.search] -= 1
                self.queue.remove(question.id)
                del state.questions[question.id]

    def _block_recorded(self, event: ev.BlockRecorded, at: float) -> None:
        phone = self.state.phones[event.device]
        phone.blocks, phone.measured = phone.blocks + 1, phone.measured + 1
        phone.worked_at = at
        self.state.counts.count(failed=False)
        question = self.state.questions.get(event.question)
        if question is not None:
            question.readings.append(event.reading)
            question.tokens.append((event.device, event.token))
            question.barred = event.barred
            self._requeue(question, at)

    def _block_failed(self, event: ev.BlockFailed, at: float) -> None:
        self.state.phones[event.device].last_error = event.message
        self._fail(at, event.device, event.fault)
        self.state.counts.count(failed=True)
        question = self.state.questions.get(event.question)
        if question is not None:
            question.failures.append((event.device, event.fault, event.message, event.reason))
            self._requeue(question, at)

    def _requeue(self, question: Question, at: float) -> None:
        question.device = ""
        group = platform_group(question.platform)
        others = (
            phone.present and phone.state in COMING and platform_group(phone.device.platform) == group
            for name, phone in self.state.phones.items()
            if name not in question.tried
        )
        question.fresh_until = at + self.rules.other_phone_seconds if question.name is None and any(others) else 0.0
        self.queue.add(waiting(question))

    def _measurement_committed(self, _event: ev.MeasurementCommitted, _at: float) -> None:
        self.state.counts.measured += 1

    def _calibrated(self, event: ev.Calibrated, at: float) -> None:
        phone = self.state.phones[event.device]
        if not event.golden:
            phone.misses += 1
            return
        before = None if event.drift else phone.calibration
        phone.calibration = calibrated(before, event.factor, event.error, at)
        phone.measured = phone.misses = 0

    def _incident_opened(self, event: ev.IncidentOpened, at: float) -> None:
        incidents = self.state.incidents
        incidents[event.number] = Incident(event.number, event.place, event.fault, event.phones, at, at)
        for name in event.phones:
            phone = self.state.phones[name]
            phone.strikes, phone.suspicion = 0, 0.0
        for number in sorted(incidents)[:-KEPT_INCIDENTS]:
            if incidents[number].closed_at is not None:
                del incidents[number]

    def _incident_closed(self, event: ev.IncidentClosed, at: float) -> None:
        self.state.incidents[event.number].closed_at = at

    def _operator_acted(self, event: ev.OperatorActed, _at: float) -> None:
        phone = self.state.phones[event.device]
        if event.action in {"drain", "undrain"}:
            phone.draining = event.action == "drain"
        if event.action in {"release", "recalibrate"}:
            phone.strikes, phone.suspicion, phone.misses, phone.calibration = 0, 0.0, 0, None


def waiting(question: Question) -> Waiting:
    """Return *question* as the schedule sees it."""
    return Waiting(
        question.id,
        question.search,
        question.priority,
        question.order,
        question.since,
        platform_group(question.platform),
        question.name,
        question.workload.fingerprint,
        question.tried,
        question.barred,
        question.fresh_until,
    )
