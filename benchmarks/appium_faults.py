"""Do every fault of the emulated phone at every moment of a measurement, on one of two phones in use.

    python benchmarks/appium_faults.py --keep faults.jsonl --table docs/appium-faults.md     # all, about half an hour
    python benchmarks/appium_faults.py --fault drop --fault reboot --when run

Everything goes through the lab as it is deployed: service, agent, a process for each phone, the real Appium and adb.
In each case a new network is asked for on the one phone, with the fault armed for that moment; 3 s after it came (15 s
for what only a look at the phone shows, 30 s for one that does not answer) a hand undoes it, and releases the phone if
it was given up. Right is: the fault is named, the answer comes all the same, is the phone's and is committed once;
meanwhile no block of the other phone, which measures all the time, fails, and adb forwards no port but those of the two
phones. At the end no process, port or forward is left. The phones are noisy: a block that the protocol refuses because
its reference moved or background work disturbed it is told, but is no name for a fault, on neither phone.

Killed and run again with the same --keep it goes on. Given --table, all rows are written there, and how many there are.
"""

import itertools
import json
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from devicelab import events as ev
from devicelab.client import LabClient
from devicelab.device import Selector
from devicelab.drivers.appium.adb import Adb
from devicelab.errors import DeviceLabError
from devicelab.faults import FAULTS as KNOWN
from devicelab.faults import Rung
from devicelab.graph import read_graph
from devicelab.measurement import Measurement, Workload
from devicelab.oracle import judged
from devicelab.roofline import latency_ms
from devicelab.store import Store
from devicelab.toolbox import find_toolbox

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from agents import Shelf
from contracts.networks import small_network

VICTIM, OTHER = "moto-0", "moto-1"
THREADS = 4
NEAR = 0.1
HAND_SECONDS = 3.0
LATER_SECONDS, SILENT_SECONDS = 15.0, 30.0
LASTING = {
    **dict.fromkeys(("hot", "throttle", "pop-up", "empty-battery", "sick-battery", "duplicate-serial"), LATER_SECONDS),
    "unauthorize": LATER_SECONDS,
    "hang": SILENT_SECONDS,
}
"""What the lab sees only when it asks, or a block would sit out, stays for so many seconds: a command has 20."""
NOISE = frozenset({"canary", "disturbed", "restless"})
"""Reasons of the protocol to refuse a block of a phone that is well."""
LONGEST_SECONDS = 240.0
LOST = frozenset({"F1", "F2", "F3", "F8", "F9", "F11", "F15"})
"""What the loss of a connection may be taken for: whoever notices first says so in its own words."""

EXPECTED: dict[str, tuple[str, frozenset[str]]] = {
    "drop": ("", LOST),
    "unplug": ("replug", LOST),
    "hang": ("unhang", LOST),
    "crash-uia2": ("", LOST),
    "crash-app": ("", frozenset({"F18"})),
    "wedge-app": ("", frozenset({"F18"})),
    "unauthorize": ("authorize", LOST | {"F10"}),
    "reboot": ("", LOST | {"F16"}),
    "hot": ("cool", frozenset({"F19"})),
    "throttle": ("cool", frozenset({"F19"})),
    "storage-full": ("storage-free", frozenset({"F17"})),
    "truncate-log": ("", frozenset({"F25"})),
    "wrong-args": ("", frozenset({"F25"})),
    "pop-up": ("dismiss", frozenset({"F22"})),
    "empty-battery": ("charge", frozenset({"F21"})),
    "sick-battery": ("charge", frozenset({"F21H"})),
    "duplicate-serial": ("true-serial", frozenset({"F26"})),
}
"""Each fault of the phone: what undoes it ("": nothing need), and what the lab may take it for."""
WHENS = ("run", "start", "push", "read")
ASKED = {"sick-battery": "F21H", "duplicate-serial": "F26", "unauthorize": "F10"}
"""What only a hand can end, and the name under which the lab must ask for it: this or at first a lost connection."""
HARMLESS = {*itertools.product(["crash-uia2"], WHENS), ("crash-app", "push")}
"""What disturbs no measurement and need not be noticed: no command, start or log of a session passes UiAutomator2's
server on the phone, they go by adb; and while a model is pushed no app runs."""
BLAME = {"candidate": "phone; the candidate once another phone says the same"}
"""Who is held to blame, where the table of faults says who it may turn out to be."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what was done, what the lab took it for and did, and what is wrong with that ("": nothing).

    *seconds* passed until the answer; *commits* is how often it was committed.
    """

    fault: str
    when: str
    named: str
    outcome: str
    commits: int
    seconds: float
    wrong: str

    def line(self) -> str:
        """Return it in Markdown."""
        end = f"WRONG: {self.wrong}" if self.wrong else "right"
        cells = (self.fault, self.when, self.named, self.outcome, self.commits, f"{self.seconds:.0f} s", end)
        return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |"


HEAD = (
    "| fault | during | taken for | outcome | commits | answer after | verdict |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


class Bench(Shelf):
    """The lab, in which a request waits for the person who releases its phone; the phones calibrate only if they must.

    Each network that it makes has a graph of its own.
    """

    def __init__(self, folder: Path, speed: float) -> None:
        self._numbers = itertools.count()
        self._making = threading.Lock()
        super().__init__(folder, speed)
        self.adb = Adb(find_toolbox().adb, self.ports[1])

    def _write(self) -> None:
        super()._write()
        for path in (self.folder / "serve.toml", self.folder / "shelf.toml"):
            path.write_text(path.read_text().replace("reference_blocks = 10", "reference_blocks = 1000"))
        path = self.folder / "serve.toml"
        path.write_text(path.read_text() + "wait_for_operator = true\n")

    def network(self) -> Workload:
        """Return a network that no phone has seen."""
        with self._making:
            number = next(self._numbers)
        path = self.folder / f"{number}.tflite"
        path.write_bytes(small_network(side=96 + 4 * (number % 20), filters=16 + 4 * (number // 20)))
        return Workload.of(path, THREADS)

    def log(self, after: int = 0) -> list[tuple[int, ev.Event]]:
        """Return what happened behind event number *after*."""
        with Store(self.folder / "lab.sqlite", readonly=True) as store:
            return [(row.seq, ev.decode(row.body)) for row in store.events(after)]

    def ask(self, phone: str, workload: Workload) -> Measurement:
        """Return the latency of *workload* on *phone*."""
        with self.client("search") as lab:
            return lab.measure(workload, selector=Selector(name=phone))


class Neighbour(threading.Thread):
    """The other phone, measuring all the time; ``end`` it. What its requests ended in, if not in a measurement."""

    def __init__(self, lab: Bench) -> None:
        super().__init__(daemon=True)
        self.measured, self.failures = 0, list[str]()
        self._lab, self._over = lab, threading.Event()

    def run(self) -> None:
        """Ask for one network after the other."""
        while not self._over.is_set():
            try:
                self._lab.ask(OTHER, self._lab.network())
                self.measured += 1
            except DeviceLabError as error:
                self.failures.append(str(error))

    def end(self) -> None:
        """Let it finish what is under way."""
        self._over.set()
        if self.is_alive():
            self.join(LONGEST_SECONDS)


class Case:
    """One fault at one moment: the request, the hand, and what the log says of them."""

    def __init__(self, lab: Bench, operator: LabClient, fault: str, when: str) -> None:
        self._lab, self._operator = lab, operator
        self._fault, self._when = fault, when
        self._workload = lab.network()
        self._answer: Measurement | DeviceLabError | None = None
        self._came = False

    def row(self) -> Row:
        """Do it and return what came of it."""
        log = self._lab.log()
        before, forwards = (log[-1][0] if log else 0), self._forwards()
        happened = len(self._happened())
        self._lab.phones.order(self._fault, 0, self._when)
        begun = time.monotonic()
        asker = threading.Thread(target=self._ask, daemon=True)
        asker.start()
        self._be_the_hand(asker, happened, begun + LONGEST_SECONDS)
        seconds = time.monotonic() - begun
        return self._judge(self._lab.log(before), seconds, max(forwards, self._forwards()))

    def _ask(self) -> None:
        try:
            self._answer = self._lab.ask(VICTIM, self._workload)
        except DeviceLabError as error:
            self._answer = error

    def _happened(self) -> list[str]:
        (state,) = [one for one in self._lab.phones.states() if one["serial"] == self._lab.phones.serials[0]]
        return [str(one) for one in state["happened"]]

    def _be_the_hand(self, asker: threading.Thread, happened: int, latest: float) -> None:
        """Undo the fault after a while, release the phone if it was given up, until it is at work again."""
        undo, _ = EXPECTED[self._fault]
        undo_at = float("inf")
        while time.monotonic() < latest:
            if not self._came and len(self._happened()) > happened:
                self._came, undo_at = True, time.monotonic() + LASTING.get(self._fault, HAND_SECONDS)
            if time.monotonic() >= undo_at:
                undo_at = float("inf")
                if undo:
                    self._lab.phones.order(undo)
                    undo = ""
            state = self._state()
            if state == "QUARANTINED" and not undo:
                self._operator.post(f"/api/v1/devices/{VICTIM}/release", {"why": "looked at it"})
            over = not asker.is_alive() and state in {"READY", "LEASED", "MEASURING"}
            if over and (undo_at == float("inf") or not self._came):
                break
            time.sleep(0.3)

    def _state(self) -> str:
        (state,) = [one["state"] for one in self._operator.get("/api/v1/devices") if one["name"] == VICTIM]
        return str(state)

    def _forwards(self) -> int:
        return len([line for line in self._lab.adb.call("forward", "--list").splitlines() if line.strip()])

    def _judge(self, log: list[tuple[int, ev.Event]], seconds: float, forwards: int) -> Row:
        events = [event for _, event in log]
        moves = [one for one in events if isinstance(one, ev.PhoneMoved) and one.device == VICTIM]
        failed = [one for one in events if isinstance(one, ev.BlockFailed) and one.device == VICTIM]
        noise = {one.fault for one in failed if one.reason in NOISE} - EXPECTED[self._fault][1]
        faults = (*(one.fault for one in failed), *(one.fault for one in moves))
        named = list(dict.fromkeys(fault for fault in faults if fault and fault not in noise))
        commits = [one for one in events if isinstance(one, ev.MeasurementCommitted)]
        mine = [one for one in commits if one.measurement.fingerprint == self._workload.fingerprint]
        others = [one for one in events if isinstance(one, ev.BlockFailed) and one.device == OTHER and not one.reason]
        wrong = list(_faults_of(named, self._fault, self._when, [one.message for one in failed]))
        wrong += [] if self._came else ["it did not come"]
        wrong += [] if len(mine) == 1 else [f"{len(mine)} commits"]
        wrong += [f"the other phone failed: {one.fault} {one.message[:80]}" for one in others]
        wrong += [] if forwards <= 2 else [f"{forwards} forwards"]
        wrong += self._strange()
        said = ", ".join(f"{one} ({BLAME.get(KNOWN[one].blame, KNOWN[one].blame)})" for one in named) or "-"
        return Row(self._fault, self._when, said, told(events, moves, failed), len(mine), seconds, "; ".join(wrong))

    def _strange(self) -> list[str]:
        """Return what is wrong with the answer."""
        if not isinstance(self._answer, Measurement):
            return [f"no answer: {str(self._answer)[:120]}"]
        truth = latency_ms(read_graph(self._workload.path).operators, threads=THREADS)
        error = self._answer.median_ms / truth - 1
        return [] if abs(error) < NEAR else [f"{error:+.0%} beside the phone's physics"]


def _faults_of(named: list[str], fault: str, when: str, messages: list[str]) -> Iterator[str]:
    """Yield what the first name of *fault* should not have been; later ones may come of the recovery."""
    if not named and (fault, when) not in HARMLESS:
        yield "not noticed"
    if named and ASKED.get(fault, named[0]) not in named:
        yield f"no {ASKED[fault]}: no hand was asked for"
    if named and named[0] not in EXPECTED[fault][1]:
        yield f"taken for {named[0]}: {' / '.join(messages)[:300]}"


def told(events: list[ev.Event], moves: list[ev.PhoneMoved], failed: list[ev.BlockFailed]) -> str:
    """Return in words what the lab did."""
    words = [f"refused ({one.reason})" for one in failed if one.reason]
    words += ["retried" for one in failed if not one.reason]
    rungs = Counter(
        Rung(one.rung).name.lower()
        for one in events
        if isinstance(one, ev.LeaseGranted) and one.device == VICTIM and one.duty == "recover"
    )
    words += [f"recovered by {name}" for name in rungs]
    targets = {str(one.target) for one in moves}
    words += [name.lower() for name in ("COOLING", "CHARGING", "QUARANTINED") if name in targets]
    words += ["released by hand"] if "QUARANTINED" in targets else []
    return ", ".join([*dict.fromkeys(words), "measured"])


def kept(path: Path | None) -> list[Row]:
    """Return the rows that an earlier run has left in *path*."""
    if path is None or not path.exists():
        return []
    return [Row(**json.loads(line)) for line in path.read_text().splitlines()]


def conclusion(lab: Bench, neighbour: Neighbour, left: list[str]) -> list[str]:
    """Return what is to be said of all cases of this run together."""
    with Store(lab.folder / "lab.sqlite", readonly=True) as store:
        found, problems = judged(store.events()), store.verify().problems
    counts = ", ".join(f"{len(getattr(found, name))} {name}" for name in ("lost", "double", "stale", "wrong"))
    return [
        f"The other phone meanwhile: {neighbour.measured} measurements, {len(neighbour.failures)} not measured.",
        f"The oracle, of {found.orders} orders: {counts}; problems in the log's chain: {len(problems)}.",
        f"Left over at the end: {'; '.join(left) or 'nothing'}.",
    ]


@click.command(help=__doc__)
@click.option("--fault", "faults", multiple=True, default=tuple(EXPECTED), help="Which; all by default.")
@click.option("--when", "whens", multiple=True, default=WHENS, help="At which moments; all by default.")
@click.option("--speed", default=10.0, show_default=True, help="Seconds of the phones in one of yours.")
@click.option("--keep", type=click.Path(path_type=Path), help="Add the rows to this file, and do none that it has.")
@click.option("--table", type=click.Path(path_type=Path), help="Write the table there.")
def main(
    *, faults: tuple[str, ...], whens: tuple[str, ...], speed: float, keep: Path | None, table: Path | None
) -> None:
    """Do the faults and print the table; exit with 1 if a row is wrong."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the lab's processes all the same
    rows = kept(keep)
    done = {(row.fault, row.when) for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        lab = Bench(Path(folder), speed)
        neighbour = Neighbour(lab)
        try:
            with lab.client("operator") as operator:
                lab.await_phones(operator, len(lab.phones.serials))
                lab.ask(VICTIM, lab.network())
                neighbour.start()
                print(HEAD, flush=True)
                for when, fault in itertools.product(whens, faults):
                    if (fault, when) in done:
                        continue
                    rows.append(Case(lab, operator, fault, when).row())
                    print(rows[-1].line(), flush=True)
                    if keep is not None:
                        with keep.open("a") as file:
                            file.write(json.dumps(asdict(rows[-1])) + "\n")
        finally:
            neighbour.end()
            left = lab.close()
        words = conclusion(lab, neighbour, left)
    print("\n".join(["", *words]))
    wrong = sum(bool(row.wrong) for row in rows)
    print(f"{len(rows)} cases, {wrong} wrong")
    if table is not None:
        write(table, rows, words)
    raise SystemExit(bool(wrong or left))


def write(path: Path, rows: list[Row], words: list[str]) -> None:
    """Write the table to *path*."""
    about = (
        "# What the lab does about every fault of a phone\n\n"
        "Written by `benchmarks/appium_faults.py`, which says what is done and what is right: each fault of the\n"
        "emulated phone's control channel, at each moment of a measurement, on one of two phones in use, through\n"
        "service, agent, Appium and adb. Simulated phones; in brackets stands who is held to blame.\n\n"
        "Nothing but the end of UiAutomator2's server, which no command of the lab passes, and of an app that does\n"
        "not run may go unnoticed (-). What keeps a phone unfit after one step of recovery is met by the next; a host\n"
        "that cannot switch the power of its ports fails at that step (F8) and goes on to a restart.\n"
    )
    order = {case: place for place, case in enumerate(itertools.product(EXPECTED, WHENS))}
    lines = [row.line() for row in sorted(rows, key=lambda row: order[row.fault, row.when])]
    wrong = sum(bool(row.wrong) for row in rows)
    end = [f"{len(rows)} of {len(order)} cases done, {wrong} wrong. Of the last run:", "", *words]
    path.write_text(about + "\n" + "\n".join([HEAD, *lines]) + "\n\n" + "\n".join(end) + "\n")


if __name__ == "__main__":
    main()
