"""Phones and leases under any order of commands, against an oracle that knows the rules in other words."""

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from devicelab.commands import Done, Enrolled, Failed, Heartbeat, Lost, Open, Operate, Read, Started, Submit, Tick
from devicelab.coordinator import Coordinator
from devicelab.device import Device, Health, Platform
from devicelab.errors import ConfigError, LeaseError
from devicelab.faults import FAULTS
from devicelab.machine import LIMITS, State
from devicelab.measurement import Reading, Workload
from devicelab.oracle import judged
from devicelab.policy import Policy
from devicelab.snapshot import encode_state
from devicelab.store import Store

PLATFORM = Platform(product="Moto G6", os_build="9", runtime="r", source="simulated")
NAMES = ("a", "b", "c")
PHONES = st.sampled_from(NAMES)
POLICY = Policy(patience_seconds=1e9, wait_for_operator=True)
FIT = Health(temperature_c=25.0, battery_percent=60.0, frequency_mhz=1800.0, nominal_mhz=1800.0)
HOT = FIT.model_copy(update={"temperature_c": 41.0})
EMPTY = FIT.model_copy(update={"battery_percent": 10.0})


def reading(device, milliseconds, at):
    return Reading(
        device=device,
        median_ms=milliseconds,
        low_ms=milliseconds * 0.99,
        high_ms=milliseconds * 1.01,
        p90_ms=milliseconds * 1.1,
        first_ms=milliseconds * 1.9,
        runs=20,
        warmup_runs=6,
        canary_ms=(20.0, 20.0),
        factor=1.0,
        factor_error=0.001,
        temperature_c=(25.0, 26.0),
        battery_percent=60.0,
        frequency_mhz=1800.0,
        started_at=at,
        seconds=5.0,
    )


class LabMachine(RuleBasedStateMachine):
    """Three phones, a few questions, workers that may say anything at any time, time that may pass by any amount."""

    folder: Path

    @initialize()
    def open(self):
        LabMachine.number = getattr(LabMachine, "number", 0) + 1
        self.path = self.folder / f"{LabMachine.number}.sqlite"
        self.now = 1e9
        self.asked = set()
        self.orders = {}  # what the workers know: (phone, token) -> duty; the oracle's idea of who holds what
        self.newest = dict.fromkeys(NAMES, 0)
        self.start()

    def start(self):
        self.store = Store(self.path, durable=False)
        self.coordinator = Coordinator(self.store, POLICY)
        devices = tuple(Enrolled(Device(name=name, platform=PLATFORM), host="h", fresh=False) for name in NAMES)
        self.tell(Open(devices))

    def tell(self, command):
        outcome = self.coordinator.perform(command, self.now)
        for order in outcome.orders:
            lease = order.lease
            assert lease.token > self.newest[lease.device], "a token that does not grow"
            self.newest[lease.device] = lease.token
            self.orders[lease.device, lease.token] = (order.duty, lease.expires_at)

    def speak(self, device, back, make):
        """Let the holder of one of the phone's latest leases speak; a stale one must be refused."""
        token = self.newest[device] - back
        lease = self.coordinator.state.phones[device].lease
        holds = lease is not None and lease.token == token and self.now < lease.expires_at
        before = self.coordinator.state.seq
        try:
            self.tell(make(token))
        except LeaseError:
            assert self.coordinator.state.seq == before, "a refused command left events"
            return
        assert holds, "a lease that does not hold was listened to"

    @rule(number=st.integers(0, 4), search=st.sampled_from("xy"), priority=st.integers(0, 2))
    def submit(self, number, search, priority):
        name = f"{search}{number}{priority}{len(self.asked) % 7}"
        workload = Workload(path=Path("x"), fingerprint=f"{number:064d}", threads=1)
        self.tell(Submit(name, workload, search, priority=priority))
        self.asked.add(name)

    @rule(device=PHONES, back=st.integers(0, 2))
    def begin(self, device, back):
        self.speak(device, back, lambda token: Started(device, token))

    @rule(device=PHONES, back=st.integers(0, 2))
    def beat(self, device, back):
        self.speak(device, back, lambda token: Heartbeat(device, token))

    @rule(device=PHONES, back=st.sampled_from([0, 0, 0, 1, 2]), milliseconds=st.sampled_from([50.0, 50.1, 80.0]))
    def read(self, device, back, milliseconds):
        self.speak(device, back, lambda token: Read(device, token, reading(device, milliseconds, self.now), (50.0,)))

    @rule(device=PHONES, back=st.sampled_from([0, 0, 0, 1]), fault=st.sampled_from(sorted(FAULTS)), own=st.booleans())
    def fail(self, device, back, fault, own):
        self.speak(device, back, lambda token: Failed(device, token, "no", fault, workload=own and fault == "F18"))

    @rule(
        device=PHONES,
        back=st.sampled_from([0, 0, 0, 0, 1]),
        health=st.sampled_from([FIT, FIT, FIT, HOT, EMPTY]),
        factor=st.sampled_from([1.0, 1.0, 1.01, 1.2]),
    )
    def finish(self, device, back, health, factor):
        self.speak(device, back, lambda token: Done(device, token, health, factor, 0.001))

    @rule(device=PHONES)
    def unplug(self, device):
        self.tell(Lost(device))

    @rule(
        device=PHONES,
        action=st.sampled_from(["drain", "undrain", "quarantine", "recalibrate", "release"]),
    )
    def operate(self, device, action):
        try:
            self.tell(Operate(device, action, "ann", "to see what happens"))
        except ConfigError:
            assert action in {"quarantine", "recalibrate", "release"}

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 31.0, 61.0, 700.0, 5000.0]))
    def wait(self, seconds):
        self.now += seconds
        self.tell(Tick())
        for phone in self.coordinator.state.phones.values():
            assert phone.lease is None or phone.lease.expires_at > self.now, "an expired lease was kept"
            limit = LIMITS.get(phone.state)
            assert limit is None or self.now - phone.since <= limit.seconds, f"{phone.state} for too long"

    @precondition(lambda self: self.coordinator.state.seq > 3)
    @rule(torn=st.booleans())
    def restart(self, torn):
        """Die, at any moment; the log gives the same lab back, with or without a snapshot."""
        if torn:
            self.coordinator._snapshot_at = -(10**9)
            self.tell(Tick())
        before = encode_state(self.coordinator.state)
        self.store.close()
        self.store = Store(self.path, durable=False)
        self.coordinator = Coordinator(self.store, POLICY)
        assert encode_state(self.coordinator.state) == before

    @invariant()
    def one_lease_for_one_phone_and_the_right_state(self):
        for name, phone in self.coordinator.state.phones.items():
            working = phone.state in {State.LEASED, State.MEASURING}
            assert not working or (phone.lease is not None and phone.duty == "measure"), f"{name} works for nobody"
            assert phone.state is not State.READY or phone.lease is None, f"{name} is READY and leased"
            assert phone.token == self.newest[name]

    @invariant()
    def no_phone_idles_while_a_request_waits_that_it_could_serve(self):
        state = self.coordinator.state
        idle = {name for name, phone in state.phones.items() if phone.state is State.READY and not phone.draining}
        if any(one.fault in {"F5", "F12", "F23"} for one in state.open_incidents()):
            return
        for question in state.questions.values():
            could = idle - set(question.barred) - (set(question.tried) if self.now < question.fresh_until else set())
            assert question.device or not could, f"{could} could serve {question.id}"

    @invariant()
    def a_request_is_open_or_ended_and_never_both(self):
        for name in self.asked:
            assert (name in self.coordinator.state.requests) != self.store.has_request(name), name

    def teardown(self):
        if not hasattr(self, "store"):
            return
        found = judged(self.store.events())
        assert not (found.double)
        assert not (found.stale)
        assert not (found.wrong)
        assert not (found.unexplained)
        assert set(found.lost) == set(self.coordinator.state.requests)
        assert self.store.verify().problems == ()
        self.store.close()


@pytest.mark.parametrize("seed", range(2))
def test_any_order_of_commands_keeps_the_rules(tmp_path, seed):
    case = type(f"LabMachine{seed}", (LabMachine,), {"folder": tmp_path}).TestCase
    case.settings = settings(max_examples=60, stateful_step_count=60, deadline=None, database=None)
    case("runTest").runTest()
