"""The lab as people and programs see it, kept up to date from its events: the writer writes here, readers read here.

Only what an event touched is made again, and every value in here is immutable, so a reader in another thread never
waits for the writer and never sees half a change. JSON is made when somebody reads it, once for every change.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from devicelab.events import INTERACTIVE
from devicelab.service.views import IncidentView, LabView, PhoneView, QueueView
from devicelab.state import Incident, LabState, Phone, Question

SHOWN_QUEUE = 100
"""Requests that an answer lists; the counts are of all."""
SHOWN_INCIDENTS = 20


@dataclass(slots=True)
class Touched:
    """What some events were about: names of phones, questions, numbers of incidents."""

    phones: set[str] = field(default_factory=set)
    questions: set[str] = field(default_factory=set)
    incidents: set[int] = field(default_factory=set)


type _Stamp = tuple[int, float, int, int, int]


class Projection:
    """The view of one lab; ``load`` and ``update`` belong to the writer's thread, the rest to anybody."""

    def __init__(self) -> None:
        self._phones: dict[str, PhoneView] = {}
        self._queue: dict[str, QueueView] = {}
        self._incidents: dict[int, IncidentView] = {}
        self._stamp: _Stamp = (0, 0.0, 0, 0, 0)
        self._view: LabView | None = None
        self._view_stamp = self._stamp
        self._json: dict[str, tuple[_Stamp, bytes]] = {}
        self._fragments: dict[str, tuple[PhoneView | QueueView, bytes]] = {}

    def load(self, state: LabState) -> None:
        """Start with all of *state*."""
        self._phones = {name: phone_view(phone) for name, phone in state.phones.items()}
        self._queue = {question.id: queue_view(question) for question in state.questions.values()}
        self._incidents = {number: incident_view(incident) for number, incident in state.incidents.items()}
        self._stamped(state)

    def update(self, state: LabState, touched: Touched) -> None:
        """Take over what events *touched* on the way to *state*."""
        questions = set(touched.questions)
        changed = touched.phones & state.phones.keys()
        if not changed <= self._phones.keys():  # newcomers: keep the order of the state
            self._phones = {name: phone_view(phone) for name, phone in state.phones.items()}
        for name in changed:
            phone = state.phones[name]
            self._phones[name] = phone_view(phone)
            questions.add(phone.question)
        for identity in questions - {""}:
            question = state.questions.get(identity)
            if question is None:
                self._queue.pop(identity, None)
                self._fragments.pop(identity, None)
            else:
                self._queue[identity] = queue_view(question)
        for number in touched.incidents & state.incidents.keys():
            self._incidents[number] = incident_view(state.incidents[number])
        self._stamped(state)

    def view(self) -> LabView:
        """Return the lab as it is now; the queue and the incidents are cut to what a person can read."""
        stamp = self._stamp
        if self._view is None or self._view_stamp != stamp:
            seq, at, measured, stored, failed = stamp
            phones, queue, incidents = list(self._phones.values()), list(self._queue.values()), self._shown_incidents()
            running = sum(entry.stage == "running" for entry in queue)
            self._view = LabView.model_construct(
                seq=seq,
                at=at,
                phones=tuple(phones),
                queue=tuple(queue[:SHOWN_QUEUE]),
                waiting=len(queue) - running,
                running=running,
                incidents=incidents,
                measured=measured,
                answered_from_store=stored,
                failed=failed,
            )
            self._view_stamp = stamp
        return self._view

    def phone(self, name: str) -> PhoneView | None:
        """Return the phone *name*, or None."""
        return self._phones.get(name)

    def json(self, part: str) -> bytes:
        """Return ``status``, ``devices``, ``queue``, ``leases`` or ``incidents`` as JSON."""
        stamp = self._stamp
        known = self._json.get(part)
        if known is None or known[0] != stamp:
            known = (stamp, self._made(part))
            self._json[part] = known
        return known[1]

    def _made(self, part: str) -> bytes:
        view = self.view()
        match part:
            case "devices":
                return b"[" + b",".join(self._fragment(phone) for phone in view.phones) + b"]"
            case "queue":
                return b"[" + b",".join(self._fragment(entry) for entry in view.queue) + b"]"
            case "leases":
                return orjson.dumps([_lease(phone) for phone in view.phones if phone.lease is not None])
            case "incidents":
                return orjson.dumps([incident.model_dump() for incident in view.incidents])
            case _:
                head = orjson.dumps(view.model_dump(exclude={"phones", "queue"}))
                return b"".join(
                    (head[:-1], b',"queue":', self.json("queue"), b',"phones":', self.json("devices"), b"}")
                )

    def _fragment(self, of: PhoneView | QueueView) -> bytes:
        """Return *of* as JSON, made once for each value."""
        name = of.name if isinstance(of, PhoneView) else of.question
        known = self._fragments.get(name)
        if known is None or known[0] is not of:
            known = (of, of.model_dump_json().encode())
            self._fragments[name] = known
        return known[1]

    def _shown_incidents(self) -> tuple[IncidentView, ...]:
        found = sorted(self._incidents.values(), key=lambda one: one.number)
        return tuple(found[-SHOWN_INCIDENTS:])

    def _stamped(self, state: LabState) -> None:
        counts = state.counts
        self._stamp = (state.seq, state.at, counts.measured, counts.store, counts.failed)


def phone_view(phone: Phone) -> PhoneView:
    """Return *phone* for readers."""
    platform, calibration = phone.device.platform, phone.calibration
    return PhoneView.model_construct(
        name=phone.device.name,
        product=platform.product,
        os_build=platform.os_build,
        runtime=platform.runtime,
        source=platform.source,
        host=phone.host,
        room=phone.room,
        state=str(phone.state),
        since=phone.since,
        cause=phone.cause,
        present=phone.present,
        draining=phone.draining,
        health=phone.health,
        lease=phone.lease,
        duty=phone.duty if phone.lease is not None else "",
        factor=calibration.factor if calibration is not None else None,
        factor_error=calibration.error if calibration is not None else None,
        strikes=phone.strikes,
        measured=phone.blocks,
        used_seconds=phone.used,
        last_error=phone.last_error,
    )


def queue_view(question: Question) -> QueueView:
    """Return *question*, which one or more requests ask, for readers."""
    return QueueView.model_construct(
        question=question.id,
        search=question.search,
        requests=len(question.requests),
        fingerprint=question.workload.fingerprint,
        threads=question.workload.threads,
        since=question.since,
        interactive=question.priority == INTERACTIVE,
        stage="running" if question.device else "waiting",
        device=question.device,
        blocks=len(question.readings),
        failures=len(question.failures),
    )


def incident_view(incident: Incident) -> IncidentView:
    """Return *incident* for readers."""
    return IncidentView(
        number=incident.number,
        place=incident.place,
        fault=incident.fault,
        phones=incident.phones,
        opened_at=incident.opened_at,
        closed_at=incident.closed_at,
    )


def _lease(phone: PhoneView) -> dict[str, Any]:
    lease = phone.lease.model_dump() if phone.lease is not None else {}
    return {**lease, "duty": phone.duty, "source": phone.source}
