"""The writer's thread: many commands in one transaction, none lost, none told twice, whatever fails."""

import threading

import pytest

from devicelab import commands as cmd
from devicelab.commands import Outcome
from devicelab.errors import LeaseError, StoreError
from devicelab.service.writer import Core, Writer


class Scripted:
    """A coordinator that refuses heartbeats of phone ``stale``, and fails whole transactions while ``full``."""

    def __init__(self):
        self.transactions, self.full, self.gate, self.due_at = [], False, threading.Event(), 1e12
        self.gate.set()

    def due(self):
        return self.due_at

    def perform_all(self, commands, now):
        self.gate.wait(10)
        if self.full:
            self.due_at = 1e12
            raise StoreError("disk full")
        self.transactions.append(list(commands))
        self.due_at = 1e12
        return [LeaseError("stale") if getattr(c, "device", "") == "stale" else Outcome(seq=7) for c in commands]


@pytest.fixture
def scripted():
    return Scripted()


@pytest.fixture
def writer(scripted):
    followed, closed = [], []
    made = Writer(lambda: Core(scripted, lambda: 5.0, lambda: closed.append(True)), followed.extend)
    made.followed, made.closed = followed, closed
    made.start()
    yield made
    scripted.gate.set()
    made.stop()


def beat(device="a"):
    return cmd.Heartbeat(device, 1)


def test_what_arrives_meanwhile_shares_a_transaction(writer, scripted):
    scripted.gate.clear()
    first = writer.tell(beat())
    while not scripted.gate.is_set() and writer._inbox.qsize():
        pass
    rest = [writer.tell(beat()) for _ in range(20)]
    scripted.gate.set()
    assert [one.result(5).seq for one in (first, *rest)] == [7] * 21
    assert sum(map(len, scripted.transactions)) == 21
    assert len(scripted.transactions) <= 3
    assert len(writer.followed) == 21


def test_one_refusal_spoils_nothing(writer, scripted):
    scripted.gate.clear()
    futures = [writer.tell(beat(name)) for name in ("a", "stale", "b")]
    scripted.gate.set()
    assert futures[0].result(5).seq == futures[2].result(5).seq == 7
    with pytest.raises(LeaseError, match="stale"):
        futures[1].result(5)
    assert len(writer.followed) == 2


def test_a_full_disk_is_told_to_all_and_the_writer_lives_on(writer, scripted, caplog):
    scripted.full = True
    with pytest.raises(StoreError, match="disk full"):
        writer.tell(beat()).result(5)
    scripted.full = False
    assert writer.tell(beat()).result(5).seq == 7
    assert "nothing of it happened" in caplog.text


def test_asks_between_transactions(writer, scripted):
    assert writer.ask(lambda coordinator: coordinator is scripted).result(5)
    with pytest.raises(ZeroDivisionError):
        writer.ask(lambda _: 1 / 0).result(5)


def test_ticks_when_something_is_due(scripted):
    scripted.due_at = 1.0
    writer = Writer(lambda: Core(scripted, lambda: 5.0, lambda: None), lambda _: None)
    writer.start()
    writer.ask(lambda _: None).result(5)
    writer.stop()
    assert scripted.transactions[0] == [cmd.Tick()]


def test_a_closed_lab_says_so(writer):
    writer.stop()
    assert writer.closed == [True]
    with pytest.raises(StoreError, match="the lab is closed"):
        writer.tell(beat()).result(5)
    writer.start = writer.stop = lambda: None


def test_a_start_that_fails_is_told():
    def broken():
        raise StoreError("in use by process 7")

    with pytest.raises(StoreError, match="in use by process 7"):
        Writer(broken, lambda _: None).start()
