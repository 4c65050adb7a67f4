"""What becomes of phones: opened, cleaned, rested, calibrated, recovered, given up. Part of the lab's decisions."""

from devicelab import commands as cmd
from devicelab import events as ev
from devicelab.device import Health
from devicelab.draft import Draft
from devicelab.errors import ConfigError
from devicelab.faults import FAULTS, Fault, Rung
from devicelab.gate import unfit
from devicelab.incidents import find_incidents, is_excused, next_close
from devicelab.machine import (
    GIVE_UP,
    GOLDEN_TRIES,
    LIMITS,
    MAX_CLIMBS,
    State,
    first_rung,
    golden,
    next_rung,
)
from devicelab.normalisation import Schedule, calibrated, drifted, due
from devicelab.policy import Policy
from devicelab.requests import block_failed
from devicelab.state import LabState, Phone

SILENT = "F23"
"""The fault of a worker that is heard no more: its host's, never its phone's."""
HOT, EMPTY = "F19", "F21"
RESTING = frozenset({State.COOLING, State.CHARGING})
BUSY = frozenset({State.LEASED, State.MEASURING})
DUTIES: dict[State, ev.Duty] = {
    State.PREPARING: "prepare",
    State.CALIBRATING: "calibrate",
    State.CLEANUP: "clean",
    State.RECOVERING: "recover",
}
"""The lab's own duty in each state that needs a worker."""


def opened(draft: Draft, command: cmd.Open) -> None:
    """Take note of the lab's phones; those whose worker died with the last process start over where they were.

    What was under way on a phone that is there no more is over, so that its request can go to another one.
    """
    names = tuple(one.device.name for one in command.devices)
    draft.emit(ev.LabStarted(version=command.version, devices=names))
    for phone in list(draft.state.phones.values()):
        if not phone.present and phone.lease is not None:
            _drop(draft, phone, "it is gone")
    for one in command.devices:
        name = one.device.name
        known = draft.state.phones.get(name)
        changed = known is not None and known.device != one.device
        if known is None or changed or (known.host, known.room) != (one.host, one.room):
            draft.emit(ev.PhoneSeen(device=one.device, host=one.host, room=one.room))
        phone = draft.state.phones[name]
        if phone.lease is not None and one.fresh:
            _drop(draft, phone, "its holder died")
        if phone.state is State.DISCOVERED:
            _begin(draft, phone, State.PREPARING, "found")
        elif changed and phone.state is State.READY:
            _begin(draft, phone, State.CALIBRATING, "its facts changed")
        elif phone.lease is None and phone.state in DUTIES:
            draft.grant(phone, DUTIES[phone.state])


def _begin(draft: Draft, phone: Phone, target: State, cause: str, **more: str) -> None:
    """Move *phone* to *target* and have its worker do what that state is for. The rung of a recovery is kept."""
    draft.end_lease(phone, cause)
    draft.move(phone, target, cause, rung=phone.rung, **more)
    if target in DUTIES:
        draft.grant(phone, DUTIES[target])


def _take_back(draft: Draft, phone: Phone, fault: str, message: str) -> None:
    block_failed(draft, phone, cmd.Failed(phone.device.name, phone.token, message, fault))


def _drop(draft: Draft, phone: Phone, why: str) -> None:
    """End the lease on *phone* whose holder is not heard any more; what it did must be cleaned up first."""
    _take_back(draft, phone, SILENT, f"{phone.device.name}: {why}")
    draft.end_lease(phone, why)
    if phone.state in BUSY:
        draft.move(phone, State.CLEANUP, why)


def done(draft: Draft, phone: Phone, command: cmd.Done) -> None:
    """Let *phone*, whose duty is done, go where its health and its past allow."""
    duty = phone.duty
    if duty == "calibrate":
        _calibrated(draft, phone, command)
        return
    draft.end_lease(phone, "done", command.health)
    if duty in {"prepare", "recover"}:
        _begin(draft, phone, State.CALIBRATING, f"{duty} done")
    else:
        _settle(draft, phone, command.health)


def _settle(draft: Draft, phone: Phone, health: Health) -> None:
    """Send a clean and idle *phone* to rest, to be calibrated, or to work."""
    problem = unfit(health)
    if problem is not None and not problem.passes:
        _retreat(draft, phone, problem.fault, problem.text)
    elif problem is not None:
        target = State.CHARGING if problem.reason == "battery" else State.COOLING
        if phone.state is not target:
            draft.move(phone, target, problem.text, fault=problem.fault.id, rung=phone.rung)
    elif phone.state is State.CALIBRATING:
        draft.grant(phone, "calibrate")
    elif _needs_reference(draft, phone):
        _begin(draft, phone, State.CALIBRATING, "its reference is due")
    elif phone.state is not State.READY:
        draft.move(phone, State.READY, "clean and fit")


def _needs_reference(draft: Draft, phone: Phone) -> bool:
    policy = draft.policy
    schedule = Schedule(every_measurements=policy.reference_blocks, every_seconds=policy.reference_seconds)
    return phone.rung > 0 or due(phone.calibration, phone.measured, draft.now, schedule)


def _calibrated(draft: Draft, phone: Phone, command: cmd.Done) -> None:
    if command.factor is None or unfit(command.health) is not None:
        draft.end_lease(phone, "not fit for a reference", command.health)
        _settle(draft, phone, command.health)
        return
    known = phone.calibration
    good = golden(command.factor, known.factor if known else None)
    drift = good and drifted(calibrated(known, command.factor, command.error, draft.now))
    draft.emit(
        ev.Calibrated(
            device=command.device,
            token=command.token,
            factor=command.factor,
            error=command.error,
            golden=good,
            drift=drift,
        )
    )
    draft.end_lease(phone, "done", command.health)
    if good:
        draft.move(phone, State.READY, "golden check passed")
    elif phone.misses < GOLDEN_TRIES:
        draft.grant(phone, "calibrate")
    else:
        usual = known.factor if known else 1.0
        evidence = f"reference at {command.factor:.3f} of a typical time, usually {usual:.3f}"
        _retreat(draft, phone, FAULTS["F27"], evidence)


def failed(draft: Draft, phone: Phone, command: cmd.Failed) -> None:
    """Decide what the failure of its duty means for *phone*; its request has been dealt with."""
    fault = FAULTS[command.fault]
    if phone.duty != "measure" or phone.state is State.CLEANUP:
        _retreat(draft, phone, fault, command.message)
        return
    if command.workload or not _is_held_against(fault):
        waits = fault.rung is None and fault.blame == "phone"
        if command.workload or waits or fault.blame == "ours":
            _clean(draft, phone, command.message)
        else:
            _suspect(draft, phone, fault, command.message)
        return
    draft.judge(phone, failed=True, fault=fault.id)
    soft = fault.blame == "candidate" or (fault.rung is Rung.RETRY and fault.id != "F0" and phone.strikes == 1)
    if soft and phone.suspicion < GIVE_UP:
        _clean(draft, phone, command.message)
    else:
        _suspect(draft, phone, fault, command.message)


def _is_held_against(fault: Fault) -> bool:
    """Whether a block that failed so counts against the phone; a network that is to blame for it is found out later."""
    return fault.blame in {"phone", "candidate"} and fault.rung is not None


def _clean(draft: Draft, phone: Phone, evidence: str) -> None:
    if phone.state is State.LEASED:
        draft.move(phone, State.MEASURING, "the worker has begun")
    draft.move(phone, State.CLEANUP, "a block failed", evidence=evidence)


def _retreat(draft: Draft, phone: Phone, fault: Fault, evidence: str) -> None:
    """Climb on if *phone* is being recovered, else suspect it."""
    recovering = phone.state is State.RECOVERING or (phone.state is State.CALIBRATING and phone.rung > 0)
    if recovering and _is_held_against(fault):
        _climb(draft, phone, fault, evidence)
    else:
        _suspect(draft, phone, fault, evidence)


def _suspect(draft: Draft, phone: Phone, fault: Fault, evidence: str) -> None:
    """Take *phone* out of work until it has shown that it is well, or give it up."""
    draft.end_lease(phone, f"failed: {fault.id}")
    if phone.state is not State.SUSPECT:
        draft.move(phone, State.SUSPECT, fault.title, evidence=evidence, fault=fault.id)
    find_incidents(draft)
    if not fault.recoverable:
        _give_up(draft, phone, "only a hand can end this", fault, evidence)
    elif phone.suspicion >= GIVE_UP:
        _give_up(draft, phone, f"{phone.strikes} failures in a row", fault, evidence)
    elif not _waits(fault):
        rung = first_rung(fault, phone.strikes) or Rung.RETRY
        _recover(draft, phone, rung, fault, evidence)


def _waits(fault: Fault) -> bool:
    """Whether a phone had better wait in SUSPECT: the ladder does not end what is not the phone's, or passes."""
    return fault.blame == "host" or fault.rung is None


def _recover(draft: Draft, phone: Phone, rung: Rung, fault: Fault, evidence: str) -> None:
    cause = f"recovery by {rung.name.lower().replace('_', ' ')}"
    draft.move(phone, State.RECOVERING, cause, evidence=evidence, fault=fault.id, rung=rung)
    draft.grant(phone, "recover")


def _climb(draft: Draft, phone: Phone, fault: Fault, evidence: str) -> None:
    """Try the next rung on *phone*; after the last one a person is asked. Another fault has a ladder of its own."""
    draft.end_lease(phone, f"failed: {fault.id}")
    same = fault.id == phone.fault or phone.climbs >= MAX_CLIMBS
    rung = next_rung(Rung(phone.rung)) if same else first_rung(fault, phone.strikes)
    if rung is not None and fault.recoverable:
        _recover(draft, phone, rung, fault, evidence)
    elif is_excused(draft, phone, fault):
        draft.move(phone, State.SUSPECT, "waits for the end of an incident", evidence=evidence)
    else:
        _give_up(draft, phone, "the ladder is exhausted", fault, evidence)


def _give_up(draft: Draft, phone: Phone, cause: str, fault: Fault, evidence: str) -> None:
    if not is_excused(draft, phone, fault):
        draft.move(phone, State.QUARANTINED, cause, evidence=evidence, fault=fault.id)


def lost(draft: Draft, phone: Phone, command: cmd.Lost) -> None:
    """A phone left the bus: what it did is over, and it is looked for, or a hand is asked for if only that helps."""
    fault = FAULTS[command.fault]
    _take_back(draft, phone, command.fault, command.message)
    looked_for = phone.state in {State.SUSPECT, State.RECOVERING} and fault.recoverable
    if not looked_for and phone.state not in {State.QUARANTINED, State.MAINTENANCE, State.RETIRED}:
        _suspect(draft, phone, fault, command.message)


def keep(draft: Draft) -> None:
    """Let time act: end leases and states that have lasted too long, and look at phones that rest."""
    for phone in list(draft.state.phones.values()):
        if not phone.present:
            continue
        if phone.lease is not None and not phone.lease.holds_at(draft.now):
            _expired(draft, phone)
        limit = LIMITS.get(phone.state)
        if limit is not None and draft.now - phone.since >= limit.seconds:
            _overdue(draft, phone, limit.then, limit.seconds)
        idle = phone.lease is None and phone.state in RESTING
        if idle and draft.now - phone.free_since >= draft.policy.watch_seconds:
            draft.grant(phone, "watch")


def _expired(draft: Draft, phone: Phone) -> None:
    _drop(draft, phone, "the lease expired: its holder was not heard")
    if phone.state is State.CLEANUP:
        draft.grant(phone, "clean")
    elif phone.state in DUTIES:
        _suspect(draft, phone, FAULTS[SILENT], f"nobody did the duty of {phone.state}")


def _overdue(draft: Draft, phone: Phone, then: State, seconds: float) -> None:
    why = f"{phone.state} for more than {seconds:.0f} s"
    if phone.state in BUSY:
        _drop(draft, phone, why)
        draft.grant(phone, "clean")
    elif then is State.RECOVERING:
        _next_after(draft, phone, why)
    elif then is State.SUSPECT:
        silent = phone.state in DUTIES
        _suspect(draft, phone, FAULTS["F15" if silent else HOT], why)
    elif then is State.QUARANTINED:
        draft.end_lease(phone, why)
        _give_up(draft, phone, why, FAULTS[EMPTY], phone.last_error)
    else:
        _begin(draft, phone, then, why)


def _next_after(draft: Draft, phone: Phone, why: str) -> None:
    """A phone waited in SUSPECT, or a step of its recovery takes too long."""
    if phone.state is State.SUSPECT:
        _begin(draft, phone, State.CALIBRATING, "has waited; is it well?")
    else:
        _climb(draft, phone, FAULTS["F15"], why)


def operate(draft: Draft, phone: Phone, command: cmd.Operate) -> None:
    """Do what a person wants done to *phone*.

    Raises:
        ConfigError: its state does not allow it.
    """
    name, action, why = command.device, command.action, f"{command.who}: {command.why}"
    if phone.state not in _allowed(action):
        states = ", ".join(sorted(_allowed(action)))
        raise ConfigError(f"{name}: is {phone.state}; {action} needs a phone that is {states}")
    draft.emit(ev.OperatorActed(device=name, action=action, who=command.who, why=command.why))
    if action in {"quarantine", "retire"}:
        _take_back(draft, phone, SILENT, why)
        draft.end_lease(phone, why)
        draft.move(phone, State.QUARANTINED if action == "quarantine" else State.RETIRED, why)
    elif action == "recalibrate":
        _begin(draft, phone, State.CALIBRATING, why)
    elif action == "release" and phone.state is State.QUARANTINED:
        draft.move(phone, State.MAINTENANCE, why)
        _begin(draft, phone, State.PREPARING, why)
    elif action == "release":
        _drop(draft, phone, why)
        draft.grant(phone, "clean")


_LIVE = frozenset(State) - {State.RETIRED}
_ALLOWED: dict[cmd.Action, frozenset[State]] = {
    "drain": _LIVE,
    "undrain": _LIVE,
    "quarantine": _LIVE - {State.QUARANTINED},
    "recalibrate": RESTING | {State.READY, State.SUSPECT},
    "retire": _LIVE,
    "release": BUSY | {State.CLEANUP, State.QUARANTINED},
}


def _allowed(action: cmd.Action) -> frozenset[State]:
    return _ALLOWED[action]


def next_due(state: LabState, policy: Policy) -> float:
    """Return when time alone makes something happen next (seconds since 1970)."""
    phones = min((_due(phone, policy) for phone in state.phones.values() if phone.present), default=state.at + 60.0)
    return min(phones, next_close(state))


def _due(phone: Phone, policy: Policy) -> float:
    limit = LIMITS.get(phone.state)
    times = [phone.since + (limit.seconds if limit is not None else 1e9)]
    if phone.lease is not None:
        times.append(phone.lease.expires_at)
    elif phone.state in RESTING:
        times.append(phone.free_since + policy.watch_seconds)
    return min(times)
