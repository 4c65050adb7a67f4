"""What the official TFLite benchmark printed, read strictly: every number that it reports, or a refusal.

Both the app (log lines of tag ``tflite``) and the native binary (stdout) print the same lines, which is what
:func:`parse` takes; releases from 1.12 (2018) to LiteRT (2026) differ in prefixes, in the final line and in whether
percentiles follow. Sources: ``benchmark_model.cc``, ``stats_calculator.h`` and published outputs (tests/data).

The tool prints its figures twice, and they obey laws of arithmetic. A line that was cut, lost, doubled or mixed with
another breaks one of them, so it is refused rather than read as another number:

* the session's start, the warm-up's statistics, the run's, the final line: each exactly once and in this order;
* the final line repeats the start, both averages and, since 2019, the first inference;
* for n values of population mean m and standard deviation s, each value is within ``s * sqrt(n - 1)`` of m
  (Samuelson, 1968) and s is at most half the range (Popoviciu, 1935); quantiles are ordered and within the range.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

MOST_RUNS = 1_000_000


class Refusal(StrEnum):
    """Why an output is no result. ``of_candidate`` ones are the network's fault, all others are not."""

    NOT_LOADED = "the network was not loaded"
    NOT_RUN = "the network failed while running"
    WRONG_ARGUMENTS = "the tool ran with other arguments"
    NO_FILE = "the file was not there"
    TRUNCATED = "lines are missing"
    NO_DATA = "no run was timed"
    ALL_SAME = "all runs took the same time"
    WRONG_COUNT = "another number of runs"
    NOT_A_NUMBER = "a figure is no positive, finite number"
    CONTRADICTORY = "the figures contradict each other"

    @property
    def of_candidate(self) -> bool:
        """Whether the same would happen on every phone."""
        return self in {Refusal.NOT_LOADED, Refusal.NOT_RUN}


class OutputRefused(Exception):  # noqa: N818 - it is an answer, not an accident
    """The output is no result: why (``refusal``), and the words that say so (``evidence``)."""

    def __init__(self, refusal: Refusal, evidence: str) -> None:
        super().__init__(f"{refusal}: {evidence}")
        self.refusal = refusal
        self.evidence = evidence


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the tool is asked to do: run *graph*, a path on the phone, on ``threads`` CPU threads.

    ``warmup_runs`` untimed runs, then ``runs`` timed ones: exactly, unless ``min_seconds`` or ``warmup_seconds``
    (the tool's own defaults are 1 and 0.5) let the tool go on; no run is begun after ``max_seconds``.
    """

    graph: str
    threads: int
    runs: int
    warmup_runs: int = 1
    min_seconds: float = 0
    warmup_seconds: float = 0
    max_seconds: float = 150

    def arguments(self) -> str:
        """Return the command line; nothing in it may need quoting, the tool splits at blanks."""
        return (
            f"--graph={self.graph} --num_threads={self.threads} --num_runs={self.runs} --min_secs={self.min_seconds:g}"
            f" --max_secs={self.max_seconds:g} --warmup_runs={self.warmup_runs}"
            f" --warmup_min_secs={self.warmup_seconds:g} --use_xnnpack=true"
        )

    def allows(self, warmup_runs: int, runs: int) -> bool:
        """Whether the tool may have made so many runs."""
        least = warmup_runs >= self.warmup_runs and runs >= self.runs
        exact = (self.warmup_seconds > 0 or warmup_runs == self.warmup_runs) and (
            self.min_seconds > 0 or runs == self.runs
        )
        return least and exact


@dataclass(frozen=True, slots=True)
class Output:
    """The figures of one invocation, in microseconds as printed. Percentiles only where the build prints them."""

    runs: int
    warmup_runs: int
    init_us: float
    first_us: float
    mean_us: float
    min_us: float
    max_us: float
    sd_us: float
    p5_us: float | None = None
    median_us: float | None = None
    p95_us: float | None = None


COUNT = r"(?P<count>[0-9]{1,7})"
NUMBER = r"(-?[0-9.]+(?:e[+-]?[0-9]+)?|-?nan|-?inf)"
TAIL = rf"(?: p5={NUMBER} median={NUMBER} p95={NUMBER})?"
STATISTICS = re.compile(
    rf"count={COUNT} first={NUMBER} curr={NUMBER} min={NUMBER} max={NUMBER} avg={NUMBER} std={NUMBER}{TAIL}"
)
SAME = re.compile(rf"count={COUNT} curr=(?P<only>{NUMBER})(?P<same> ?\(all same\))?{TAIL}")
FINAL = re.compile(
    rf"Inference timings in us: Init: {NUMBER}, First inference: {NUMBER},"
    rf" Warmup \(avg\): {NUMBER}, Inference \(avg\): {NUMBER}"
)
OLD_FINAL = re.compile(
    rf"Average inference timings in us: Warmup: {NUMBER}, Init: {NUMBER}, (?:no stats|Inference): {NUMBER}"
)
PLAN = re.compile(r"Running benchmark for (?:at least )?([0-9]{1,7}) iterations\b.*")
SESSION = re.compile(r"Initialized session in ([0-9.]+(?:e[+-]?[0-9]+)?) ?ms\.?")
PREFIX = re.compile(r"^(?:INFO|WARN|WARNING|ERROR|FATAL): ")
LOADED = re.compile(r"Loaded model (.*)")
PARAMETER = re.compile(r"(Graph|Num threads|Min num runs|Num runs): \[(.*)\]")

FAILURES = (
    (Refusal.NO_FILE, re.compile(r"Could not open '|No such file or directory|Mmap of .* failed")),
    (Refusal.WRONG_ARGUMENTS, re.compile(r"Unconsumed cmdline flags|Failed to parse flag|Please specify the name of")),
    (
        Refusal.NOT_LOADED,
        re.compile(
            r"Failed to load model|Failed to construct interpreter|Failed to initialize the interpreter"
            r"|Failed to allocate tensors|unresolved custom op|Didn't find op for builtin|Model provided is schema"
            r"|is not a valid (?:model|flatbuffer)|Op builtin_code out of range|failed to prepare"
        ),
    ),
    (
        Refusal.NOT_RUN,
        re.compile(r"Failed to invoke|failed to invoke|Benchmarking failed|Error occurred during benchmark"),
    ),
)


def parse(lines: Iterable[str], asked: Invocation) -> Output:
    """Return the figures that *lines* (messages, without a log's own columns) report about *asked*.

    Raises:
        OutputRefused: the lines are no complete, consistent report of what was asked.
    """
    messages = [PREFIX.sub("", line.strip("\r\n")) for line in lines]
    _check_failures(messages)
    _check_arguments(messages, asked)
    parts = _parts(messages)
    plan = (int(parts[1]), int(parts[3]))
    if plan != (asked.warmup_runs, asked.runs):
        raise OutputRefused(Refusal.WRONG_ARGUMENTS, f"{plan} runs, not {(asked.warmup_runs, asked.runs)}")
    (session_ms,) = _numbers("Initialized session", parts[:1])
    warmup, timed, final = _statistics(parts[2]), _statistics(parts[4]), _final(parts[5])
    _check_agreement(session_ms, warmup, timed, final)
    if not asked.allows(warmup.count, timed.count):
        counts = f"{warmup.count} and {timed.count} runs, not {asked.warmup_runs} and {asked.runs}"
        raise OutputRefused(Refusal.WRONG_COUNT, counts)
    return Output(
        runs=timed.count,
        warmup_runs=warmup.count,
        init_us=final.init,
        first_us=warmup.first,
        mean_us=timed.mean,
        min_us=timed.low,
        max_us=timed.high,
        sd_us=timed.sd,
        p5_us=timed.p5,
        median_us=timed.median,
        p95_us=timed.p95,
    )


def is_over(line: str) -> bool:
    """Whether *line* is the last one that matters: the final figures, or a failure after which none come."""
    text = PREFIX.sub("", line.strip())
    return bool(FINAL.fullmatch(text) or OLD_FINAL.fullmatch(text) or any(sign.search(text) for _, sign in FAILURES))


@dataclass(frozen=True, slots=True)
class _Statistics:
    """One ``count=...`` line, in microseconds."""

    count: int
    first: float
    last: float
    low: float
    high: float
    mean: float
    sd: float
    p5: float | None
    median: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class _Final:
    """The final line, in microseconds; builds before 2019 do not repeat the first inference."""

    init: float
    first: float | None
    warmup_mean: float
    mean: float


def _check_failures(messages: list[str]) -> None:
    for refusal, sign in FAILURES:
        for message in messages:
            if sign.search(message):
                raise OutputRefused(refusal, message)


def _check_arguments(messages: list[str], asked: Invocation) -> None:
    """Compare the parameters that the tool repeats with those it was given."""
    wanted = {"Graph": asked.graph, "Num threads": asked.threads, "Min num runs": asked.runs, "Num runs": asked.runs}
    seen = [found.groups() for message in messages if (found := PARAMETER.fullmatch(message))]
    for name, value in seen:
        if value != str(wanted[name]):
            raise OutputRefused(Refusal.WRONG_ARGUMENTS, f"{name}: [{value}] instead of [{wanted[name]}]")
    loaded = [found[1] for message in messages if (found := LOADED.fullmatch(message))]
    if "Graph" not in {name for name, _ in seen} or not loaded:
        raise OutputRefused(Refusal.TRUNCATED, "no line says which graph was run")
    if loaded != [asked.graph]:
        raise OutputRefused(Refusal.WRONG_ARGUMENTS, f"loaded {' and '.join(loaded)} instead of {asked.graph}")


def _parts(messages: list[str]) -> list[str]:
    """Return session's milliseconds, planned warm-up runs, their line, planned runs, their line, the final line."""
    marks = [mark for message in messages if (mark := _mark(message))]
    kinds = [kind for kind, _ in marks]
    if kinds != ["session", "plan", "statistics", "plan", "statistics", "final"]:
        raise OutputRefused(Refusal.TRUNCATED, f"the output's parts are: {', '.join(kinds) or 'none'}")
    return [text for _, text in marks]


def _mark(message: str) -> tuple[str, str] | None:
    """Return the part that *message* is, with what is to be read of it; None for all other lines."""
    if found := SESSION.fullmatch(message):
        return "session", found[1]
    if found := PLAN.fullmatch(message):
        return "plan", found[1]
    if message.startswith("count="):
        return "statistics", message
    if "nference timings in us" in message:
        return "final", message
    return None


def _statistics(line: str) -> _Statistics:
    if line.startswith("count=0"):
        raise OutputRefused(Refusal.NO_DATA, line)
    if found := STATISTICS.fullmatch(line):
        count, *figures = found.groups()
        first, last, low, high, mean, deviation = _numbers(line, figures[:6])
        p5, median, p95 = _percentiles(line, figures[6:])
        stats = _Statistics(int(count), first, last, low, high, mean, deviation, p5, median, p95)
    elif found := SAME.fullmatch(line):
        count, same, figure, *figures = found["count"], found["same"], found["only"], *found.groups()[4:]
        if same or int(count) != 1:
            raise OutputRefused(Refusal.ALL_SAME, line)
        (only,) = _numbers(line, [figure])
        stats = _Statistics(1, only, only, only, only, only, 0.0, *_percentiles(line, figures))
    else:
        raise OutputRefused(Refusal.TRUNCATED, line)
    _check_laws(line, stats)
    return stats


def _check_laws(line: str, stats: _Statistics) -> None:
    """Refuse figures that no list of times has; averages are printed to six digits, the rest as whole microseconds."""
    values = [stats.low, stats.first, stats.last, stats.mean, stats.high]
    quantiles = [stats.low, *(q for q in (stats.p5, stats.median, stats.p95) if q is not None), stats.high]
    if not (0 < stats.count <= MOST_RUNS and all(value > 0 for value in (*values, *quantiles))):
        raise OutputRefused(Refusal.NOT_A_NUMBER, line)
    slack = 1 + 1e-5 * stats.mean
    reach = (stats.sd + 1) * math.sqrt(stats.count - 1) + slack
    ordered = all(low <= high for low, high in pairwise(quantiles))
    within = all(stats.low - slack <= value <= stats.high + slack for value in values)
    near = all(abs(value - stats.mean) <= reach for value in values)
    narrow = stats.sd <= (stats.high - stats.low) / 2 + 1
    middle = stats.median is None or abs(stats.median - stats.mean) <= stats.sd + slack
    if not (ordered and within and near and narrow and middle):
        raise OutputRefused(Refusal.CONTRADICTORY, line)


def _check_agreement(session_ms: float, warmup: _Statistics, timed: _Statistics, final: _Final) -> None:
    """Refuse a report whose lines disagree; a mean that was printed as a whole number is repeated to six digits.

    By the source, "First inference" is the warm-up's; at least one published output repeats the timed runs' first.
    """
    pairs = {
        "session": (session_ms, _six_digits(final.init / 1e3)),
        "warm-up's average": (_six_digits(warmup.mean), final.warmup_mean),
        "average": (_six_digits(timed.mean), final.mean),
    }
    if final.first not in {None, warmup.first, timed.first}:
        raise OutputRefused(Refusal.CONTRADICTORY, f"first inference: {warmup.first:g} and then {final.first:g}")
    for name, (said, repeated) in pairs.items():
        if said != repeated:
            raise OutputRefused(Refusal.CONTRADICTORY, f"{name}: {said:g} and then {repeated:g}")


def _six_digits(value: float) -> float:
    return float(f"{value:g}")


def _final(line: str) -> _Final:
    if found := FINAL.fullmatch(line):
        init, first, warmup, mean = _numbers(line, found.groups())
        return _Final(init, first, warmup, mean)
    if found := OLD_FINAL.fullmatch(line):
        warmup, init, mean = _numbers(line, found.groups())
        return _Final(init, None, warmup, mean)
    raise OutputRefused(Refusal.TRUNCATED, line)


def _percentiles(line: str, texts: Sequence[str | None]) -> tuple[float | None, float | None, float | None]:
    there = [text for text in texts if text is not None]
    if not there:
        return None, None, None
    p5, median, p95 = _numbers(line, there)
    return p5, median, p95


def _numbers(line: str, texts: Iterable[str]) -> list[float]:
    try:
        values = [float(text) for text in texts]
    except ValueError:
        raise OutputRefused(Refusal.NOT_A_NUMBER, line) from None
    if not all(math.isfinite(value) and value >= 0 for value in values):
        raise OutputRefused(Refusal.NOT_A_NUMBER, line)
    return values
