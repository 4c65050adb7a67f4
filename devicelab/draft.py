"""Events in the making: what a command has led to so far, applied to the state and not yet written."""

import hashlib
import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from devicelab import events as ev
from devicelab.commands import Answer, Order, Outcome
from devicelab.device import Health, Platform
from devicelab.errors import NoDeviceError
from devicelab.fold import Fold
from devicelab.machine import State, weigh
from devicelab.measurement import PROTOCOL, Measurement, Workload, answer_digest
from devicelab.policy import Policy
from devicelab.state import LabState, Phone, Question


class Known(Protocol):
    """What has ended, as the decisions ask for it."""

    def known(self, key: str) -> Measurement | None:
        """Return the measurement under *key*."""
        ...

    def has_request(self, request: str) -> bool:
        """Whether *request* was made and has ended."""
        ...


class Draft:
    """The events of one transaction, in order, with the state that they have already changed."""

    def __init__(self, fold: Fold, policy: Policy, now: float, known: Known) -> None:
        self.fold = fold
        self.policy = policy
        self.now = now
        self.events: list[tuple[int, float, ev.Event]] = []
        self.samples: list[ev.Samples] = []
        self.failing: list[tuple[str, str]] = []
        self.lost_phones = False
        self._known = known
        self._new: dict[str, Measurement] = {}
        self._ended: set[str] = set()
        self._mark = 0
        self._orders: list[Order] = []
        self._answers: list[Answer] = []

    @property
    def state(self) -> LabState:
        """The lab after the events so far."""
        return self.fold.state

    def begin(self) -> None:
        """Start the next command."""
        self._mark = len(self.events)
        self._orders, self._answers, self.failing = [], [], []

    def has_pending(self) -> bool:
        """Whether the command that is under way has led to events."""
        return len(self.events) > self._mark

    def outcome(self) -> Outcome:
        """Return what followed from the command."""
        return Outcome(seq=self.state.seq, orders=tuple(self._orders), answers=tuple(self._answers))

    def emit(self, event: ev.Event) -> None:
        """Let *event* happen now."""
        seq = self.state.seq + 1
        self.fold.apply(seq, self.now, event)
        self.events.append((seq, self.now, event))

    def phone(self, name: str) -> Phone:
        """Return the phone *name*.

        Raises:
            NoDeviceError: this lab has none.
        """
        phone = self.state.phones.get(name)
        if phone is None:
            raise NoDeviceError(f"this lab has no phone {name!r}; see: fer-lab devices")
        return phone

    def known(self, key: str) -> Measurement | None:
        """Return the measurement under *key*, one of this transaction included."""
        return self._new.get(key) or self._known.known(key)

    def has_request(self, request: str) -> bool:
        """Whether *request* was made, and is open or has ended."""
        return request in self.state.requests or request in self._ended or self._known.has_request(request)

    def move(
        self, phone: Phone, target: State, cause: str, *, evidence: str = "", fault: str = "", rung: int = 0
    ) -> None:
        """Let *phone* go to the state *target*."""
        name = phone.device.name
        self.emit(
            ev.PhoneMoved(
                device=name, source=phone.state, target=target, cause=cause, evidence=evidence, fault=fault, rung=rung
            )
        )
        self.lost_phones |= target in {State.QUARANTINED, State.RETIRED}
        if fault:
            self.failing.append((name, fault))

    def grant(self, phone: Phone, duty: ev.Duty, *, holder: str = "lab", question: Question | None = None) -> None:
        """Lease *phone* for *duty* and tell its worker."""
        name, token, expires = phone.device.name, phone.token + 1, self.now + self.policy.lease_seconds
        self.emit(
            ev.LeaseGranted(
                device=name,
                token=token,
                holder=holder,
                duty=duty,
                expires_at=expires,
                rung=phone.rung,
                question=question.id if question else "",
                attempt=1 + len(question.tried) if question else 0,
            )
        )
        if question is not None:
            self.move(phone, State.LEASED, f"granted to {holder}")
        self._orders.append(order_of(phone, question))

    def end_lease(self, phone: Phone, why: str, health: Health | None = None) -> None:
        """End the lease on *phone*, if there is one."""
        if phone.lease is not None:
            seconds = self.now - phone.lease.granted_at
            self.emit(
                ev.LeaseEnded(device=phone.device.name, token=phone.token, why=why, seconds=seconds, health=health)
            )

    def judge(self, phone: Phone, *, failed: bool, fault: str = "") -> None:
        """Weigh one more block of *phone*."""
        suspicion = weigh(phone.suspicion, failed=failed, usual=self.state.counts.failure_rate)
        strikes = phone.strikes + 1 if failed else 0
        if failed or phone.strikes or phone.suspicion:
            self.emit(
                ev.PhoneJudged(
                    device=phone.device.name, failed=failed, strikes=strikes, suspicion=suspicion, fault=fault
                )
            )

    def excuse(self, phone: Phone) -> None:
        """Take back what was held against *phone*: something else was to blame."""
        if phone.strikes or phone.suspicion:
            self.emit(ev.PhoneJudged(device=phone.device.name, failed=False, strikes=0, suspicion=0.0, excused=True))

    def keep_samples(self, device: str, token: int, times: Sequence[float]) -> str:
        """Keep the raw *times* (ms) of a block; return the digest that its event names."""
        content = zlib.compress(np.asarray(times, dtype=np.float32).tobytes(), 1)
        digest = hashlib.sha256(content).hexdigest()
        self.samples.append(ev.Samples(device, token, digest, content))
        return digest

    def commit(self, question: Question, measurement: Measurement) -> None:
        """Let *measurement* be the answer to *question*."""
        self.emit(
            ev.MeasurementCommitted(
                question=question.id, key=question.key, measurement=measurement, tokens=tuple(question.tokens)
            )
        )
        self._new[question.key] = measurement

    def finish(
        self,
        request: str,
        question: str,
        ending: ev.Ending,
        *,
        key: str = "",
        measurement: Measurement | None = None,
        error: str = "",
        message: str = "",
        reason: str = "",
    ) -> None:
        """End *request* and tell its asker."""
        self.emit(
            ev.RequestEnded(
                request=request, question=question, ending=ending, key=key, error=error, message=message, reason=reason
            )
        )
        self._ended.add(request)
        self._answers.append(
            Answer(request=request, ending=ending, measurement=measurement, error=error, message=message, reason=reason)
        )


def order_of(phone: Phone, question: Question | None) -> Order:
    """Return what the worker of *phone* is to do under its present lease.

    Raises:
        NoDeviceError: nothing, the phone is not leased.
    """
    if phone.lease is None:
        raise NoDeviceError(f"{phone.device.name} is not leased")
    return Order(
        lease=phone.lease,
        duty=phone.duty,
        workload=question.workload if question else None,
        threshold_ms=question.threshold_ms if question else None,
        rung=phone.rung,
        calibration=phone.calibration,
    )


def answer_key(workload: Workload, platform: Platform, threshold_ms: float | None = None) -> str:
    """Return what the store knows the answer by: graph, platform, threads, protocol, and the threshold if asked for."""
    which = (platform.product, platform.os_build, platform.runtime, platform.source)
    return answer_digest([workload.fingerprint, workload.threads, PROTOCOL, *which, threshold_ms])
