"""A fleet in virtual time: nothing lost, doubled or stale under faults; incidents instead of quarantines."""

import json
from collections import Counter

import numpy as np
import pytest

from devicelab.commands import Lost
from devicelab.faults import FAULTS
from devicelab.fleet import Ask, Fleet, Plan
from devicelab.machine import INCIDENT_QUIET_SECONDS, State
from devicelab.oracle import judged


@pytest.fixture
def fleet(tmp_path):
    made = []

    def make(plan, asks):
        made.append(Fleet(plan, tmp_path / f"{len(made)}.sqlite", asks))
        return made[-1]

    yield make
    for one in made:
        one.close()


def asks(count, at=60.0, **more):
    rng = np.random.default_rng(count)
    return [Ask(f"r{number}", float(rng.uniform(20, 120)), at, **more) for number in range(count)]


def states(lab):
    return Counter(phone.state for phone in lab.engine.coordinator.state.phones.values())


def test_a_quiet_fleet_answers_everything_right_and_the_same_every_time(fleet):
    runs = [fleet(Plan(devices=8), asks(30)) for _ in range(2)]
    took = [lab.run() for lab in runs]
    assert took[0] == took[1]
    found = judged(runs[0].store.events())
    assert found.clean
    assert found.endings == {"measured": 30}
    for answer in runs[0].answers.values():
        measured = answer.measurement
        assert measured.median_ms == pytest.approx(runs[0].latencies[measured.fingerprint], rel=0.05)
        assert measured.source == "simulated"


def test_faults_dead_workers_late_and_double_results_lose_nothing(fleet):
    lab = fleet(Plan(devices=16, fault_rate=0.03, mischief=0.05), asks(60))
    lab.run()
    found = judged(lab.store.events())
    assert found.clean
    assert found.requests == 60
    assert found.failures > 20
    assert set(lab.mischief.done) == {"twice", "late", "never"}
    assert lab.store.verify().problems == ()


def test_the_oracle_sees_what_the_coordinator_would_not_do(fleet):
    lab = fleet(Plan(devices=4), asks(3))
    lab.run()
    rows = list(lab.store.events())
    kinds = [json.loads(row.body)["kind"] for row in rows]
    block = kinds.index("block_recorded")
    granted = max(n for n in range(block) if kinds[n] == "lease_granted" and '"measure"' in rows[n].body)
    assert judged(rows[:block]).lost
    assert judged([*rows, rows[kinds.index("measurement_committed")]]).double
    assert judged([*rows, rows[block]]).stale
    assert not judged(rows[:granted] + rows[granted + 1 :]).clean


def test_a_hot_room_is_one_incident_and_no_quarantine(fleet):
    lab = fleet(Plan(devices=8), asks(400))
    for around in lab.around.values():
        lab.engine.at(lab.engine.now + 80, lambda around=around: setattr(around, "extra_c", 18.0))
        lab.engine.at(lab.engine.now + 4000, lambda around=around: setattr(around, "extra_c", 0.0))
    lab.run()
    incidents = lab.engine.coordinator.state.incidents.values()
    assert [(one.place, one.fault) for one in incidents] == [("room:room", "F20")]
    assert not [row for row in lab.store.events(kind="phone_moved") if '"QUARANTINED"' in row.body]
    assert judged(lab.store.events()).clean


def test_a_dead_hub_is_an_incident_of_its_host_and_its_phones_come_back(fleet):
    lab = fleet(Plan(devices=24), asks(120))
    lab.engine.at(lab.engine.now + 75, lambda: setattr(lab.around["h0"], "host", FAULTS["F12"]))
    lab.engine.at(lab.engine.now + 400, lambda: setattr(lab.around["h0"], "host", None))
    lab.run()
    lab.run_for(800)
    (incident,) = lab.engine.coordinator.state.incidents.values()
    assert incident.place == "host:h0"
    assert 0 < incident.closed_at - incident.seen_at < INCIDENT_QUIET_SECONDS, "all its phones had measured again"
    assert set(states(lab)) <= {State.READY, State.CALIBRATING}


def test_a_phone_that_only_a_hand_can_mend_is_quarantined_alone(fleet):
    lab = fleet(Plan(devices=8, hopeless={3: "F10"}), asks(40))
    lab.run()
    out = [name for name, phone in lab.engine.coordinator.state.phones.items() if phone.state is State.QUARANTINED]
    assert out == ["p003"]
    assert judged(lab.store.events()).endings == {"measured": 40}


def test_an_unplugged_phone_is_noticed_at_once_and_its_work_goes_on_elsewhere(fleet):
    lab = fleet(Plan(devices=4), asks(8))
    lab.run_for(70)
    name, phone = next(
        (name, one) for name, one in lab.engine.coordinator.state.phones.items() if one.state is State.MEASURING
    )
    lab.engine.tell(Lost(name))
    assert phone.state is State.RECOVERING
    lab.run()
    assert judged(lab.store.events()).clean


def test_equal_searches_share_equally_and_weights_count(fleet):
    both = [Ask(f"{search}{n}", 40.0 + n / 100 + ord(search), 60.0, search) for search in "ab" for n in range(150)]
    lab = fleet(Plan(devices=8), both)
    lab.run_for(200)
    virtual = lab.engine.coordinator.state.virtual
    assert virtual["a"] == pytest.approx(virtual["b"], abs=20)
