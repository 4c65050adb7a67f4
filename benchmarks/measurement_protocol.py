"""How far the lab's numbers can be trusted: its protocol beside the usual ones, on simulated phones with a known truth.

    python benchmarks/measurement_protocol.py [--count 1000] [--only errors --only ranking ...]

Truth is the latency on a phone of factor 1 at its nominal clock; the protocol never sees it. Baselines in the same run:
mean and median of 50 runs (TensorFlow Lite's tool) and the median of a fixed 60 s. They know no factor, so they are
judged by the truth of their own phone, which is kind to them. Every figure comes from simulated phones: it says what
the protocol makes of that noise, not what a real phone does.
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from devicelab.block import measure_reference, run_block
from devicelab.config import NoiseName, SimulatedPhone
from devicelab.drivers.appium.driver import WARMUP_RUNS
from devicelab.drivers.simulator import START_SECONDS, SimulatedDriver
from devicelab.emulator.benchmark import APP_START_SECONDS
from devicelab.errors import DeviceError, RefusedError
from devicelab.measurement import PROTOCOL, Burst, Reading, Workload
from devicelab.normalisation import SCHEDULE, Calibration, calibrated, drifted, due, phone_spread
from devicelab.protocols import VirtualClock
from devicelab.simulation.body import CLOCKS_MHZ
from devicelab.simulation.noise import BURST, DRIFT_PHI, NOISES
from devicelab.verdict import Again, Agreed, judge

START = 1_767_225_600.0
FILE_BYTES = 5_000_000
LATENCY_MS = 90.0
"""MobileNetV3-Large, float32, one thread, on a Moto G6."""
REFERENCES = 8
"""References of each phone before it is used: four hours of the lab's schedule."""
SPOILT = 0.25
"""A block is contaminated if this share of its timed runs happened under background work or at a lower clock."""


CHOSEN = argparse.Namespace(references=REFERENCES, first_seed=0)


def _seeds(count: int) -> range:
    return range(CHOSEN.first_seed, CHOSEN.first_seed + count)


class Phone(SimulatedDriver):
    """A simulated phone on which a network takes the time that it is told, and that knows which runs were spoilt.

    ``trouble`` is (from when, clock step, seconds) of a throttling that nobody announces.
    """

    def __init__(self, config: SimulatedPhone, clock: VirtualClock) -> None:
        super().__init__(config, clock)
        self.clock = clock
        self.spoilt: dict[float, bool] = {}
        self.trouble: tuple[float, int, float] | None = None

    def load(self, workload: Workload) -> None:
        """Start a process of a network that takes the nanoseconds that are its fingerprint."""
        self._push(workload.fingerprint, FILE_BYTES)
        self._wait(START_SECONDS)
        self._start(workload)

    def _start(self, workload: Workload) -> None:
        latency = int(workload.fingerprint, 16) / 1e6
        times = tuple(latency * CLOCKS_MHZ[0] / mhz for mhz in CLOCKS_MHZ)
        self._process = self.body.start(workload.fingerprint, workload.threads, times)
        self.spoilt.clear()

    def run(self, runs: int) -> Burst:
        """Run, and keep which runs were spoilt."""
        self._get_into_trouble()
        burst = super().run(runs)
        self.spoilt.update(zip(burst.times_ms, self.body.spoilt.tolist(), strict=True))
        return burst

    def reference(self, runs: int) -> Burst:
        """Run the reference."""
        self._get_into_trouble()
        return super().reference(runs)

    def _get_into_trouble(self) -> None:
        if self.trouble is not None and self.clock.now() >= self.trouble[0]:
            self._synchronise()
            self.body.throttle(*self.trouble[1:])
            self.trouble = None


class Summarising(Phone):
    """The same phone behind the official app: a process per call that warms up by itself and tells no single run."""

    def __init__(self, config: SimulatedPhone, clock: VirtualClock) -> None:
        super().__init__(config, clock)
        self.processes = 0

    def load(self, workload: Workload) -> None:
        """Push the network; each call starts its own process."""
        self._push(workload.fingerprint, FILE_BYTES)
        self.workload = workload

    def run(self, runs: int) -> Burst:
        """Start the tool for *runs* runs."""
        self.processes += 1
        self._wait(APP_START_SECONDS)
        self._start(self.workload)
        first = super().run(WARMUP_RUNS)
        burst = super().run(runs)
        return burst.model_copy(update={"times_ms": (), "first_ms": first.first_ms})

    def reference(self, runs: int) -> Burst:
        """Start the tool for the reference."""
        self.processes += 1
        self._process = None
        return super().reference(runs).model_copy(update={"times_ms": ()})


@dataclass
class Answer:
    """What a lab answered, what it cost, and the truth about it: the largest share of spoilt runs in a used block.

    ``blocks`` are all that were run, ``processes`` those of the tool, where each call starts one.
    """

    agreed: Agreed
    phone_seconds: float
    spoilt: float
    blocks: int
    processes: int


@dataclass
class Lab:
    """Phones that share a clock and are calibrated before they are used, as in a real lab."""

    phones: list[Phone]
    clock: VirtualClock
    calibrations: dict[str, Calibration] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        noise: NoiseName,
        seed: int,
        phones: int = 2,
        references: int = 0,
        kind: type[Phone] = Phone,
        **config: object,
    ) -> "Lab":
        """Return a lab of *phones* phones that differ as phones of one product do."""
        clock = VirtualClock(START)
        made = [{"name": f"p{n}", "seed": seed, "noise": noise, **config} for n in range(phones)]
        lab = cls([kind(SimulatedPhone.model_validate(one), clock) for one in made], clock)
        for phone in lab.phones:
            for _ in range(references or CHOSEN.references):
                lab.calibrate(phone)
        return lab

    def calibrate(self, phone: Phone) -> None:
        """Measure one reference of *phone*; one that is refused changes nothing."""
        name = phone.device.name
        try:
            ratio, error = measure_reference(phone, self.clock)
        except DeviceError:
            return
        self.calibrations[name] = calibrated(self.calibrations.get(name), ratio, error, self.clock.now())

    def drifted(self, phone: Phone) -> bool:
        """Whether the references of *phone* say that it has changed."""
        known = self.calibrations.get(phone.device.name)
        return known is not None and drifted(known)

    def measure(self, latency_ms: float, threshold_ms: float | None = None) -> Answer:
        """Measure a network that takes *latency_ms*, on the phone that was used least.

        Raises:
            RefusedError: the protocol refuses.
        """
        workload = Workload(path=Path("-"), fingerprint=f"{round(latency_ms * 1e6):x}", threads=1)
        readings, failures, shares = list[Reading](), list[RefusedError](), list[float]()
        used: Counter[str] = Counter()
        started, processes = self.clock.now(), self._processes()
        alone = len(self.phones) == 1
        while isinstance(
            decision := judge(readings, failures, threshold_ms=threshold_ms, prior_ms=latency_ms, alone=alone), Again
        ):
            phone = min(self.phones, key=lambda one: used[one.device.name])
            name = phone.device.name
            used[name] += 1
            known = self.calibrations.get(name)
            try:
                block = run_block(phone, workload, self.clock, calibration=known, threshold_ms=threshold_ms)
            except RefusedError as error:
                failures.append(error)
                continue
            readings.append(block.reading)
            shares.append(float(np.mean([phone.spoilt.get(one, False) for one in block.times])))
        spoilt = max(shares[index] for index in decision.used)
        seconds, processes = self.clock.now() - started, self._processes() - processes
        return Answer(decision, seconds, spoilt, used.total(), processes)

    def _processes(self) -> int:
        return sum(phone.processes for phone in self.phones if isinstance(phone, Summarising))


def verdict(name: str, measured: float, goal: float, unit: str = "%", *, most: bool = True) -> str:
    """Return a line: what was *measured*, what the *goal* is (at *most* or at least), and whether it is met."""
    met = measured <= goal if most else measured >= goal
    sign, said = "<=" if most else ">=", "met" if met else "NOT MET"
    return f"    {name:50s} {measured:8.2f} {unit:3s} goal {sign} {goal:g}  {said}"


GOALS: dict[NoiseName, tuple[float, float]] = {"quiet": (1.5, 12.0), "noisy": (2.5, 25.0)}


def errors(count: int) -> Iterator[str]:
    """G7: error, coverage and cost of what is reported, beside the baselines; bad phones are refused."""
    for noise, (goal, phone_seconds) in GOALS.items():
        for phones in (2, 1):
            answers, refused = _answers(noise, count, phones)
            yield f"  {noise}, {count} measurements on {phones} calibrated phone(s), {dict(refused)} refused"
            yield from _figures(answers, refused, count, goal, phone_seconds)
        yield from _baselines(noise, count)
    answers, refused = _answers("bad", count, 1)
    yield f"  bad, {count} measurements on one phone, {dict(refused)} refused"
    yield verdict("bad phones refused", 100 * refused.total() / count, 99, most=False)
    yield from _baselines("bad", count)


def _figures(
    answers: list[Answer], refused: Counter[str], count: int, goal: float, phone_seconds: float | None = None
) -> Iterator[str]:
    error = np.array([abs(one.agreed.latency.value / LATENCY_MS - 1) for one in answers])
    inside = [one.agreed.latency.low <= LATENCY_MS <= one.agreed.latency.high for one in answers]
    yield verdict("error of the reported median, p95", 100 * float(np.quantile(error, 0.95)), goal)
    yield verdict("                              p99", 100 * float(np.quantile(error, 0.99)), 3.0)
    yield verdict("95 % intervals that hold the truth", 100 * float(np.mean(inside)), 95, most=False)
    yield verdict("false refusals", 100 * refused.total() / count, 2)
    spent = float(np.median([one.phone_seconds for one in answers]))
    if phone_seconds is None:
        yield f"    {spent:.1f} phone-seconds (median)"
    else:
        yield verdict("phone-seconds, median", spent, phone_seconds, "s")
        yield verdict("contaminated, reported", 100 * float(np.mean([one.spoilt >= SPOILT for one in answers])), 1)


def summaries(count: int) -> Iterator[str]:
    """The same where only summaries are seen, each of a process of its own: the official app behind Appium."""
    for noise, (goal, _) in GOALS.items():
        answers, refused = _answers(noise, count // 2, 2, Summarising)
        yield f"  {noise}, {count // 2} measurements on 2 calibrated phones, {dict(refused)} refused"
        yield from _figures(answers, refused, count // 2, goal)
        processes = [one.processes for one in answers]
        blocks = sum(one.blocks for one in answers)
        yield f"    {np.mean(processes):.1f} processes an answer, {sum(processes) / blocks:.2f} a block"
        wrong, unsure, asked = _questions(noise, count // 2, Summarising)
        yield f"    {len(asked)} questions, {unsure} left open, {np.median(asked):.1f} phone-seconds (median)"
        yield verdict("wrong decisions", 100 * wrong / len(asked), 0.5)
    _, refused = _answers("bad", count // 2, 1, Summarising)
    yield verdict("bad phones refused", 100 * refused.total() / (count // 2), 99, most=False)


def _answers(noise: NoiseName, count: int, phones: int, kind: type[Phone] = Phone) -> tuple[list[Answer], Counter[str]]:
    answers, refused = [], Counter[str]()
    for seed in _seeds(count):
        try:
            answers.append(Lab.of(noise, seed, phones, kind=kind).measure(LATENCY_MS))
        except RefusedError as error:
            refused[error.reason] += 1
    return answers, refused


def _baselines(noise: NoiseName, count: int) -> Iterator[str]:
    found: dict[str, list[tuple[float, float]]] = {"mean of 50": [], "median of 50": [], "median of 60 s": []}
    for seed in _seeds(count):
        for seconds in (0, 60):
            clock = VirtualClock(START)
            phone = Phone(SimulatedPhone(name="p", seed=seed, noise=noise), clock)
            phone.load(Workload(path=Path("-"), fingerprint=f"{round(LATENCY_MS * 1e6):x}", threads=1))
            phone.run(math.ceil(500 / LATENCY_MS))  # the tool's warm-up: half a second
            times = np.array(phone.run(max(50, int(1e3 * seconds / LATENCY_MS))).times_ms)
            truth = LATENCY_MS * phone.body.factor
            for name in ("median of 60 s",) if seconds else ("mean of 50", "median of 50"):
                value = times.mean() if name.startswith("mean") else np.median(times)
                found[name].append((abs(value / truth - 1), clock.now() - START))
    for name, rows in found.items():
        error, spent = np.array(rows).T
        p95, p99 = 100 * np.quantile(error, (0.95, 0.99))
        yield f"    baseline {name:14s} error p95 {p95:5.2f} %, p99 {p99:5.2f} %, {np.median(spent):.1f} phone-seconds"


def spoilt(count: int) -> Iterator[str]:
    """G8: a phone throttles by a step or more, unannounced, at any moment of the measurement."""
    for noise in GOALS:
        for tells in (True, False):
            reported = contaminated = far = 0
            for seed in _seeds(count):
                rng = np.random.default_rng((seed, 8))
                lab = Lab.of(noise, seed, 1, tells_clock=tells)
                step = int(rng.choice((1, 1, 1, 2, 3)))
                lab.phones[0].trouble = (lab.clock.now() + rng.uniform(0, 12), step, rng.uniform(3, 60))
                try:
                    answer = lab.measure(LATENCY_MS)
                except RefusedError:
                    continue
                reported += 1
                contaminated += answer.spoilt >= SPOILT
                far += abs(answer.agreed.latency.value / LATENCY_MS - 1) > 0.04
            said = "tells its clock" if tells else "hides its clock"
            yield f"  {noise}, the phone {said}: {count} throttled, {reported} reported after waiting or another block"
            yield verdict("throttled or contaminated, reported", 100 * contaminated / count, 1)
            yield verdict("reported more than 4 % off", 100 * far / count, 1)


def factors(count: int) -> Iterator[str]:
    """G9: how alike phones are before and after normalisation; how soon a drift is seen."""
    lab = Lab.of("quiet", 0, 64, SCHEDULE.baseline)
    before = [phone.body.factor for phone in lab.phones]
    after = [phone.body.factor / lab.calibrations[phone.device.name].factor for phone in lab.phones]
    yield f"  64 phones after {SCHEDULE.baseline} references each: spread {phone_spread(before):.2%} before normalising"
    yield verdict("spread after normalisation", 100 * phone_spread(after), 0.5)
    for noise in GOALS:
        needed, flags, references = [], 0, 0
        for seed in _seeds(max(count // 10, 20)):
            lab = Lab.of(noise, seed, 1, SCHEDULE.baseline)
            phone = lab.phones[0]
            for _ in range(40):
                lab.calibrate(phone)
                references += 1
                if lab.drifted(phone):
                    flags += 1
                    lab.calibrations.clear()
            phone.body.factor *= 1.03
            needed.append(0)
            while not lab.drifted(phone) and needed[-1] < 30:
                lab.calibrate(phone)
                needed[-1] += 1
        yield f"  {noise}: a drift of 3 % on {len(needed)} phones; {flags} false flags in {references} references"
        yield verdict("references until it is flagged, median", float(np.median(needed)), 5, "")
        yield verdict("references until it is flagged, p95", float(np.quantile(needed, 0.95)), 5, "")
        yield verdict("false flags", 100 * flags / references, 0.1)


def ranking(count: int) -> Iterator[str]:
    """G10: 100 networks 1 % apart, measured in random order by one lab that calibrates on its schedule."""
    truth = 60 * 1.01 ** np.arange(100)
    taus = []
    for seed in _seeds(max(count // 200, 2)):
        lab = Lab.of("quiet", seed, 2)
        found = np.zeros(len(truth))
        since = 0
        for index in np.random.default_rng(seed).permutation(len(truth)):
            for phone in lab.phones:
                if due(lab.calibrations[phone.device.name], since, lab.clock.now()):
                    lab.calibrate(phone)
                    since = 0
            since += 1
            found[index] = lab.measure(float(truth[index])).agreed.latency.value
        pairs = np.sign(found[:, None] - found[None, :])[np.tril_indices(len(truth), -1)]
        taus.append(float(pairs.mean()))
    yield f"  {len(taus)} labs of two quiet phones: Kendall tau {', '.join(f'{tau:.4f}' for tau in taus)}"
    yield verdict("Kendall tau, mean", float(np.mean(taus)), 0.99, "", most=False)


def decisions(count: int) -> Iterator[str]:
    """G10: is it over the threshold? Networks spread around it as a search proposes them (sd 0.5 of the logarithm)."""
    for noise in GOALS:
        wrong = unsure = 0
        full, early = [], []
        for seed in _seeds(count):
            latency = LATENCY_MS * math.exp(np.random.default_rng((seed, 10)).normal(0, 0.5))
            try:
                full.append(Lab.of(noise, seed, 2).measure(latency).phone_seconds)
                answer = Lab.of(noise, seed, 2).measure(latency, LATENCY_MS)
            except RefusedError:
                continue
            early.append(answer.phone_seconds)
            unsure += answer.agreed.over is None
            wrong += answer.agreed.over is not None and answer.agreed.over != (latency > LATENCY_MS)
        yield f"  {noise}: {len(early)} questions, {unsure} left open: too close to the threshold to be sure at 99 %"
        yield verdict("phone-seconds saved", 100 * (1 - sum(early) / sum(full[: len(early)])), 50, most=False)
        yield verdict("wrong decisions", 100 * wrong / len(early), 0.5)


def _questions(noise: NoiseName, count: int, kind: type[Phone]) -> tuple[int, int, list[float]]:
    """Ask *count* questions; return how many were answered wrongly, were left open, and the phone-seconds of each."""
    wrong = unsure = 0
    spent = []
    for seed in _seeds(count):
        latency = LATENCY_MS * math.exp(np.random.default_rng((seed, 10)).normal(0, 0.5))
        try:
            answer = Lab.of(noise, seed, 2, kind=kind).measure(latency, LATENCY_MS)
        except RefusedError:
            continue
        spent.append(answer.phone_seconds)
        unsure += answer.agreed.over is None
        wrong += answer.agreed.over is not None and answer.agreed.over != (latency > LATENCY_MS)
    return wrong, unsure, spent


def speed(count: int) -> Iterator[str]:
    """What a simulated run costs, beside the same arithmetic run by run in Python."""
    for runs in (20, 200, 2000):
        lab = Lab.of("noisy", 0, 1)
        phone = lab.phones[0]
        phone.load(Workload(path=Path("-"), fingerprint=f"{round(LATENCY_MS * 1e6):x}", threads=1))
        repeats = max(5 * count // runs, 5)
        ours = _best_us(lambda: SimulatedDriver.run(phone, runs), repeats) / runs  # noqa: B023 called at once
        theirs = _best_us(lambda: _run_by_run(np.random.default_rng(0), runs), repeats) / runs  # noqa: B023
        yield f"  bursts of {runs:4d}: {ours:.3f} us per run, run by run {theirs:.1f} us: {theirs / ours:.0f} times"
    lab = Lab.of("quiet", 0, 2)
    took = _best_us(lambda: lab.measure(LATENCY_MS), 20) / 1e3
    yield f"  a whole measurement of two to three blocks: {took:.1f} ms"


def _best_us(work: Callable[[], object], repeats: int) -> float:
    """Return the shortest of *repeats* times of *work* in microseconds: the machine may be busy."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1e6 * min(times)


def _run_by_run(rng: np.random.Generator, runs: int) -> list[float]:
    """Draw *runs* runs of a noisy phone one after the other: the baseline of ``speed``."""
    noise, drift, soc, body, times = NOISES["noisy"], 0.0, 24.0, 24.0, []
    for run in range(runs):
        drift = DRIFT_PHI * drift + rng.normal(0.0, noise.drift_sd * math.sqrt(1 - DRIFT_PHI**2))
        one = LATENCY_MS * (1 + 0.9 * math.exp(-run / 1.5)) * math.exp(drift + rng.normal(0.0, noise.run_sd))
        if rng.random() < noise.spike_chance:
            one *= 1 + rng.exponential(noise.spike_mean)
        if rng.random() < 0.06:
            one *= BURST
        body += (33.0 - body) * (1 - math.exp(-one / 3e5))
        soc += (body + 30.0 - soc) * (1 - math.exp(-one / 8e3))
        times.append(one)
    return times


SECTIONS = {one.__name__: one for one in (errors, summaries, spoilt, factors, ranking, decisions, speed)}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="measurements per class")
    parser.add_argument(
        "--first-seed", type=int, default=0, help="the rules were tuned on 0 to 999; others are held out"
    )
    parser.add_argument("--references", type=int, default=REFERENCES, help="references of a phone before it is used")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="print only this section")
    chosen = parser.parse_args(namespace=CHOSEN)
    print(f"seeds from {chosen.first_seed}")
    print(f"protocol {PROTOCOL}; all phones simulated; truth {LATENCY_MS:g} ms on a phone of factor 1")
    for name, section in SECTIONS.items():
        if chosen.only and name not in chosen.only:
            continue
        started = time.perf_counter()
        print(f"\n{name}: {(section.__doc__ or '').splitlines()[0]}")
        for line in section(chosen.count):
            print(line, flush=True)
        print(f"  ({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
