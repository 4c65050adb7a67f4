"""What follows from a command: the lab's rules, without time, disk or network of their own.

``decide`` appends events to a ``Draft``. It raises before the first event or not at all, so that a command happens
whole or not. What becomes of requests is in ``devicelab.requests``, of phones in ``devicelab.upkeep``.
"""

from functools import singledispatch

from devicelab import commands as cmd
from devicelab import events as ev
from devicelab import upkeep
from devicelab.draft import Draft
from devicelab.errors import LeaseError
from devicelab.incidents import close_incidents, find_incidents
from devicelab.machine import State
from devicelab.requests import block_failed, give_up_hopeless, grant_all, read, submit
from devicelab.state import Phone


def decide(draft: Draft, command: cmd.Command) -> None:
    """Append what follows from *command*, and what can be granted after it.

    Raises:
        LeaseError: the command speaks for a lease that no longer holds.
        NoDeviceError, ConfigError: no such phone, or not allowed in its state.
    """
    draft.begin()
    _decide(command, draft)
    find_incidents(draft)
    close_incidents(draft)
    if draft.lost_phones:
        draft.lost_phones = False
        give_up_hopeless(draft)
    grant_all(draft)


@singledispatch
def _decide(command: object, _draft: Draft) -> None:
    raise TypeError(f"no rule for {command!r}")


@_decide.register
def _open(command: cmd.Open, draft: Draft) -> None:
    upkeep.opened(draft, command)


@_decide.register
def _submit(command: cmd.Submit, draft: Draft) -> None:
    submit(draft, command)


def _held(draft: Draft, device: str, token: int) -> Phone:
    """Return the phone, if *token* is that of its lease and the lease holds."""
    phone = draft.phone(device)
    lease = phone.lease
    if lease is None or lease.token != token or not lease.holds_at(draft.now):
        newest = "it has none" if lease is None else f"its lease is {lease.token}, until {lease.expires_at:.0f}"
        raise LeaseError(f"{device}: lease {token} no longer holds ({newest}); stop the work under it")
    return phone


@_decide.register
def _started(command: cmd.Started, draft: Draft) -> None:
    phone = _held(draft, command.device, command.token)
    if phone.state is State.LEASED:
        draft.move(phone, State.MEASURING, "the worker has begun")


@_decide.register
def _heartbeat(command: cmd.Heartbeat, draft: Draft) -> None:
    phone = _held(draft, command.device, command.token)
    expires = draft.now + draft.policy.lease_seconds
    draft.emit(ev.LeaseRenewed(device=command.device, token=phone.token, expires_at=expires))


@_decide.register
def _read(command: cmd.Read, draft: Draft) -> None:
    phone = _held(draft, command.device, command.token)
    if phone.duty != "measure" or command.reading.device != command.device:
        raise LeaseError(f"{command.device}: lease {command.token} is to {phone.duty}, not for this reading")
    if phone.state is State.CLEANUP:
        return  # told twice: what was told first counts
    if phone.state is State.LEASED:
        draft.move(phone, State.MEASURING, "the worker has begun")
    draft.judge(phone, failed=False)
    question = draft.state.questions.get(phone.question)
    if question is not None:
        read(draft, question, command)
    draft.move(phone, State.CLEANUP, "a block was read")


@_decide.register
def _failed(command: cmd.Failed, draft: Draft) -> None:
    phone = _held(draft, command.device, command.token)
    block_failed(draft, phone, command)
    upkeep.failed(draft, phone, command)


@_decide.register
def _done(command: cmd.Done, draft: Draft) -> None:
    phone = _held(draft, command.device, command.token)
    if phone.duty == "measure" and phone.state is not State.CLEANUP:
        raise LeaseError(f"{command.device}: lease {command.token} is to measure, and nothing was read under it")
    upkeep.done(draft, phone, command)


@_decide.register
def _lost(command: cmd.Lost, draft: Draft) -> None:
    upkeep.lost(draft, draft.phone(command.device), command)


@_decide.register
def _operate(command: cmd.Operate, draft: Draft) -> None:
    upkeep.operate(draft, draft.phone(command.device), command)


@_decide.register
def _tick(_command: cmd.Tick, draft: Draft) -> None:
    upkeep.keep(draft)
    give_up_hopeless(draft, patience=draft.policy.patience_seconds)
