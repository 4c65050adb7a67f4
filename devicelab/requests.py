"""What becomes of requests: shared, granted a phone, concluded, given up. Part of the lab's decisions."""

import hashlib
import math

from devicelab import events as ev
from devicelab.commands import Failed, Read, Submit
from devicelab.device import Platform, Selector
from devicelab.draft import Draft, answer_key
from devicelab.errors import NoDeviceError, RefusedError
from devicelab.faults import FAULTS
from devicelab.machine import WORKING, State
from devicelab.scheduling import Free, next_grant, reserved
from devicelab.state import Phone, Question, platform_group
from devicelab.verdict import MAX_RESTLESS, Again, Agreed, judge, measurement_of

OUT = frozenset({State.QUARANTINED, State.MAINTENANCE, State.RETIRED})
"""States that only a person ends."""
PAUSING = frozenset({"F5", "F12", "F23"})
"""Faults of a host during which its phones get no work."""


def submit(draft: Draft, command: Submit) -> None:
    """Queue a request, or answer it at once from what is known.

    Raises:
        NoDeviceError: no phone of this lab would do.
    """
    if draft.has_request(command.request):
        return
    platform = _platform(draft, command.selector)
    exact = answer_key(command.workload, platform)
    key = exact if command.threshold_ms is None else answer_key(command.workload, platform, command.threshold_ms)
    name = command.selector.name
    question = hashlib.sha256(f"{key}|{name or ''}".encode()).hexdigest()[:32]
    draft.emit(
        ev.RequestSubmitted(
            request=command.request,
            question=question,
            key=key,
            search=command.search,
            priority=command.priority,
            workload=command.workload,
            platform=platform,
            name=name,
            threshold_ms=command.threshold_ms,
            prior_ms=command.prior_ms,
        )
    )
    for known in (exact, key):
        measurement = draft.known(known)
        if measurement is not None:
            draft.finish(command.request, question, "store", key=known, measurement=measurement)
            return


def _platform(draft: Draft, selector: Selector) -> Platform:
    phones = [phone for phone in draft.state.phones.values() if phone.present]
    suited = [phone for phone in phones if selector.matches(phone.device)]
    if not suited:
        names = ", ".join(phone.device.name for phone in phones) or "none"
        raise NoDeviceError(f"no device matches {selector}; this lab has {names}")
    alive = [phone for phone in suited if phone.state not in OUT]
    return (alive or suited)[0].device.platform


def read(draft: Draft, question: Question, command: Read) -> None:
    """Keep a block that was read for *question*, and see whether its blocks are an answer, or reason to refuse one."""
    readings = [*question.readings, command.reading]
    refused = [RefusedError(text, "restless") for _, _, text, why in question.failures if why == "restless"]
    alone = sum(phone.state not in OUT for phone in _suited(draft, question)) < 2
    said: Again | Agreed | RefusedError
    try:
        said = judge(readings, refused[:1], threshold_ms=question.threshold_ms, prior_ms=question.prior_ms, alone=alone)
    except RefusedError as error:
        said = error
    barred = tuple(sorted(said.avoid)) if isinstance(said, Again) and said.strict else ()
    digest = draft.keep_samples(command.device, command.token, command.times)
    draft.emit(
        ev.BlockRecorded(
            device=command.device,
            token=command.token,
            question=question.id,
            reading=command.reading,
            samples=digest,
            barred=barred,
        )
    )
    if isinstance(said, RefusedError):
        fail(draft, question, "refused", "RefusedError", str(said), reason=said.reason)
    elif isinstance(said, Agreed):
        _answer(draft, question, said)


def _answer(draft: Draft, question: Question, agreed: Agreed) -> None:
    measurement = draft.known(question.key)
    if measurement is None:
        measurement = measurement_of(
            question.workload,
            question.platform,
            question.readings,
            agreed,
            phone_seconds=question.seconds + _under_way(draft, question),
            now=draft.now,
            threshold_ms=question.threshold_ms,
            prior_ms=question.prior_ms,
        )
        draft.commit(question, measurement)
    for other in [one for one in draft.state.questions.values() if one.key == question.key]:
        for request in list(other.requests):
            draft.finish(request, other.id, "measured", key=other.key, measurement=measurement)


def _under_way(draft: Draft, question: Question) -> float:
    leases = [phone.lease for phone in draft.state.phones.values() if phone.question == question.id]
    return sum(draft.now - lease.granted_at for lease in leases if lease is not None)


def fail(draft: Draft, question: Question, ending: ev.Ending, error: str, message: str, *, reason: str = "") -> None:
    """End every request that asks *question* with the error of this class."""
    for request in list(question.requests):
        draft.finish(request, question.id, ending, error=error, message=message, reason=reason)


def block_failed(draft: Draft, phone: Phone, failure: Failed) -> None:
    """Take the block on *phone*, if one is under way, back: it is tried again, or its question is given up."""
    question = draft.state.questions.get(phone.question)
    if question is None or phone.state not in {State.LEASED, State.MEASURING}:
        return
    draft.emit(
        ev.BlockFailed(
            device=phone.device.name,
            token=phone.token,
            question=question.id,
            fault="F18" if failure.workload else failure.fault,
            message=failure.message,
            reason=failure.reason,
        )
    )
    if failure.workload:
        fail(draft, question, "failed", "WorkloadError", failure.message)
    else:
        _guard(draft, question)


def _guard(draft: Draft, question: Question) -> None:
    """End a *question* that looks like poison, or that no phone gets done."""
    policy = draft.policy
    own = [(device, text) for device, fault, text, _ in question.failures if FAULTS[fault].blame == "candidate"]
    phones = {device for device, _ in own}
    enough = min(policy.poison_phones, sum(phone.state not in OUT for phone in _suited(draft, question)))
    if len(own) >= policy.poison_attempts and len(phones) >= enough:
        texts = "; ".join(dict.fromkeys(text for _, text in own))
        for name in phones:
            draft.excuse(draft.state.phones[name])
        message = f"{len(own)} attempts on {len(phones)} phones failed: {texts}"
        fail(draft, question, "failed", "WorkloadError", message)
    elif sum(why == "restless" for _, _, _, why in question.failures) >= MAX_RESTLESS:
        text = question.failures[-1][2]
        fail(draft, question, "refused", "RefusedError", f"refused: {text}", reason="restless")
    elif len(question.failures) >= policy.max_failures:
        texts = "; ".join(text for _, _, text, _ in question.failures[-3:])
        fail(draft, question, "failed", "DeviceError", f"{len(question.failures)} blocks failed; the last: {texts}")


def _suited(draft: Draft, question: Question) -> list[Phone]:
    group, name = platform_group(question.platform), question.name
    phones = [phone for phone in draft.state.phones.values() if phone.present and name in {None, phone.device.name}]
    return [phone for phone in phones if platform_group(phone.device.platform) == group]


def give_up_hopeless(draft: Draft, *, patience: float = math.inf) -> None:
    """End questions that no phone can answer: all that would do wait for a person, or none has worked for *patience*.

    The first holds only where nobody looks after the lab (``Policy.wait_for_operator`` is off).
    """
    state, now = draft.state, draft.now
    phones = [phone for phone in state.phones.values() if phone.present]
    hopeful: set[str] = set()
    for phone in phones:
        out = phone.state in OUT and not draft.policy.wait_for_operator
        at_work = phone.state in WORKING or phone.state is State.READY
        if not out and (at_work or now - phone.worked_at < patience):
            hopeful |= {platform_group(phone.device.platform), phone.device.name}
    for question in list(state.questions.values()):
        could = question.name or platform_group(question.platform)
        waited = now - question.since >= patience or patience == math.inf
        if could not in hopeful and waited and not question.device:
            told = [f"{one.device.name} {one.state}: {one.last_error or one.cause}" for one in _suited(draft, question)]
            fail(draft, question, "failed", "DeviceError", f"no phone is left for it; {'; '.join(told)}")


def grant_all(draft: Draft) -> None:
    """Give phones that are READY to questions that wait, until one of the two runs out."""
    state, fold, rules = draft.state, draft.fold, draft.policy.schedule
    if not len(fold.queue):
        return
    free = {name: _free(phone) for name, phone in state.phones.items() if phone.state is State.READY and _may(phone)}
    paused = {incident.place for incident in state.open_incidents() if incident.fault in PAUSING} if free else set()
    free = {name: one for name, one in free.items() if f"host:{state.phones[name].host}" not in paused}
    if not free:
        return
    present = [phone for phone in state.phones.values() if phone.present and phone.state not in OUT]
    kept = reserved(len(present), state.last_interactive, draft.now, rules)
    spare = len(present) - kept - sum(phone.state in WORKING and _is_plain(draft, phone) for phone in present)
    while grant := next_grant(fold.queue, free.values(), fold.shares, now=draft.now, rules=rules, spare=spare):
        question = state.questions[grant.question]
        del free[grant.device]
        spare -= question.priority < ev.INTERACTIVE
        draft.grant(state.phones[grant.device], "measure", holder=question.search, question=question)


def _may(phone: Phone) -> bool:
    return phone.present and not phone.draining and phone.lease is None


def _is_plain(draft: Draft, phone: Phone) -> bool:
    question = draft.state.questions.get(phone.question)
    return question is None or question.priority < ev.INTERACTIVE


def _free(phone: Phone) -> Free:
    temperature = phone.health.temperature_c if phone.health is not None else 0.0
    return Free(phone.device.name, platform_group(phone.device.platform), temperature, phone.used, phone.has)
