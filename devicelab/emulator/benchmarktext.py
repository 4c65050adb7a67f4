"""The words of the official TFLite benchmark: its flags, and every line it prints, as its releases write them.

Sources: ``benchmark_model.cc``, ``benchmark_tflite_model.cc``, ``stats_calculator.h`` and ``command_line_flags.cc`` of
LiteRT (2026) and TensorFlow 1.13 and 2.3, and outputs that users published. Pure: numbers in, text out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Dialect = Literal["litert", "tf2.3", "tf1.13"]
"""The releases whose lines differ: LiteRT of 2026, TensorFlow 2.3 (2020), TensorFlow 1.13 (2019)."""
MEGABYTE = 1e6
NOTE = (
    "Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual "
    "memory footprint of the model at runtime. Take the information at your discretion."
)
_BOOLEAN = {"true": True, "1": True, "false": False, "0": False}


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEAN:
        raise ValueError(text)
    return _BOOLEAN[text.lower()]


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: how its value is read, its default, its label in the log ("" for none), the releases that have it."""

    read: Callable[[str], object]
    default: object
    label: str = ""
    dialects: tuple[Dialect, ...] = ("litert", "tf2.3", "tf1.13")


_SINCE_2020: tuple[Dialect, ...] = ("litert", "tf2.3")
FLAGS: MappingProxyType[str, Flag] = MappingProxyType(
    {
        "verbose": Flag(_boolean, default=False, dialects=_SINCE_2020),
        "dry_run": Flag(_boolean, default=False, dialects=("litert",)),
        "num_runs": Flag(int, 50, "Min num runs"),
        "min_secs": Flag(float, 1.0, "Min runs duration (seconds)"),
        "max_secs": Flag(float, 150.0, "Max runs duration (seconds)", _SINCE_2020),
        "run_delay": Flag(float, -1.0, "Inter-run delay (seconds)"),
        "num_threads": Flag(int, -1, "Num threads"),
        "benchmark_name": Flag(str, "", "Benchmark name"),
        "output_prefix": Flag(str, "", "Output prefix"),
        "warmup_runs": Flag(int, 1, "Min warmup runs"),
        "warmup_min_secs": Flag(float, 0.5, "Min warmup runs duration (seconds)"),
        "report_peak_memory_footprint": Flag(_boolean, default=False, dialects=("litert",)),
        "memory_footprint_check_interval_ms": Flag(int, 50, dialects=("litert",)),
        "graph": Flag(str, "", "Graph"),
        "input_layer": Flag(str, "", "Input layers"),
        "input_layer_shape": Flag(str, "", "Input shapes"),
        "use_nnapi": Flag(_boolean, default=False),
        "use_gpu": Flag(_boolean, default=False, dialects=_SINCE_2020),
        "require_full_delegation": Flag(_boolean, default=False, dialects=_SINCE_2020),
        "enable_op_profiling": Flag(_boolean, default=False, dialects=_SINCE_2020),
        "use_xnnpack": Flag(_boolean, default=False, dialects=_SINCE_2020),
        "xnnpack_force_fp16": Flag(_boolean, default=False, dialects=("litert",)),
        "result_file_path": Flag(str, "", dialects=("litert",)),
    }
)


class FlagError(Exception):
    """Arguments with which the tool does not start; the message is what it prints."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The values of all flags, which of them were given, and the arguments that are no flags of this release."""

    dialect: Dialect
    values: Mapping[str, object]
    given: frozenset[str]
    unconsumed: tuple[str, ...] = ()

    def number(self, name: str) -> float:
        """Return the value of the numeric flag *name*."""
        value = self.values[name]
        return float(value) if isinstance(value, int | float) else math.nan

    @property
    def graph(self) -> str:
        """The path of the network."""
        return str(self.values["graph"])

    @property
    def threads(self) -> int:
        """CPU threads; the tool's -1 leaves it to the runtime, which then takes one."""
        return max(int(self.number("num_threads")), 1)


def parse_flags(arguments: Sequence[str], dialect: Dialect) -> Flags:
    """Read *arguments*, each ``--name=value`` or, for a yes, ``--name``.

    Raises:
        FlagError: a value cannot be read, or ``--graph`` is not given.
    """
    known = {name: flag for name, flag in FLAGS.items() if dialect in flag.dialects}
    values: dict[str, object] = {name: flag.default for name, flag in known.items()}
    given: set[str] = set()
    unconsumed = []
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        flag = known.get(name) if argument.startswith("--") else None
        if flag is None or (not equals and flag.read is not _boolean):
            unconsumed.append(argument)
            continue
        try:
            values[name] = flag.read(text if equals else "true")
        except ValueError:
            raise FlagError(f"Failed to parse flag '{name}' against argv '{argument}'") from None
        given.add(name)
    if not values["graph"]:
        raise FlagError("Please specify the name of your TF Lite input file with --graph")
    return Flags(dialect, values, frozenset(given), tuple(unconsumed))


def parameter_lines(flags: Flags) -> list[str]:
    """Return the lines before the network is loaded: the parameters given; by TensorFlow 1.13 all of them."""
    everything = flags.dialect == "tf1.13"
    lines = [] if everything else ["Log parameter values verbosely: [0]"]
    if flags.unconsumed and flags.dialect != "tf1.13":
        lines.insert(0, f"Unconsumed cmdline flags: {' '.join(flags.unconsumed)}")
    for name, flag in FLAGS.items():
        if flag.label and name in flags.values and (everything or name in flags.given):
            lines.append(f"{flag.label}: [{_shown(flags.values[name])}]")
    if not everything and "num_threads" in flags.given:
        lines.append(f"#threads used for CPU inference: [{_shown(flags.values['num_threads'])}]")
    if "use_xnnpack" in flags.given:
        lines.append(f"Use xnnpack: [{int(bool(flags.values['use_xnnpack']))}]")
    return lines


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def loaded_lines(flags: Flags, size: int, init_us: int) -> list[str]:
    """Return the lines after a network of *size* bytes was loaded in *init_us* microseconds."""
    if flags.dialect == "tf1.13":
        return [f"Loaded model {flags.graph}", "resolved reporter", f"Initialized session in {init_us / 1e3:g}ms"]
    lines = [f"Loaded model {flags.graph}"]
    if flags.dialect == "litert":
        lines.append("Initialized TensorFlow Lite runtime.")
        if flags.values["use_xnnpack"] or "use_xnnpack" not in flags.given:
            lines.append("Created TensorFlow Lite XNNPACK delegate for CPU.")
    if flags.values["use_xnnpack"]:
        lines.append(
            "Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate."
        )
    return [
        *lines,
        f"The input model file size (MB): {size / MEGABYTE:g}",
        f"Initialized session in {init_us / 1e3:g}ms.",
    ]


def plan_line(flags: Flags, runs: int, seconds: float) -> str:
    """Return the line before *runs* runs or more that last *seconds* or more."""
    least = f"Running benchmark for at least {runs} iterations and at least {seconds:g} seconds"
    if flags.dialect == "tf1.13":
        return least
    return f"{least} but terminate if exceeding {flags.number('max_secs'):g} seconds."


@dataclass(slots=True)
class Times:
    """Times of runs in whole microseconds, in order, with the tool's arithmetic."""

    us: list[int] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """The average, 0 if there is none."""
        return sum(self.us) / len(self.us) if self.us else 0.0

    @property
    def first(self) -> int:
        """The first, 0 if there is none."""
        return self.us[0] if self.us else 0

    def percentile(self, share: float) -> int:
        """Return the time below which *share* of them lie; 0 if there is none."""
        return sorted(self.us)[min(int(share * len(self.us)), len(self.us) - 1)] if self.us else 0

    def line(self, dialect: Dialect) -> str:
        """Return the statistics as ``Stat::OutputToStream`` writes them; percentiles came after 2020."""
        count = len(self.us)
        text = f"count={count}"
        if count and min(self.us) == max(self.us):
            text += f" curr={self.us[-1]}" + ("(all same)" if count > 1 else "")
        elif count:
            deviation = math.sqrt(sum((time - self.mean) ** 2 for time in self.us) / count)
            text += f" first={self.us[0]} curr={self.us[-1]} min={min(self.us)} max={max(self.us)}"
            text += f" avg={self.mean:g} std={int(deviation)}"
        if dialect == "litert":
            text += f" p5={self.percentile(0.05)} median={self.percentile(0.5)} p95={self.percentile(0.95)}"
        return text


def final_line(flags: Flags, init_us: int, warmup: Times, timed: Times) -> str:
    """Return the line with the figures that everybody reads."""
    if flags.dialect == "tf1.13":
        return f"Average inference timings in us: Warmup: {warmup.mean:g}, Init: {init_us}, no stats: {timed.mean:g}"
    return (
        f"Inference timings in us: Init: {init_us}, First inference: {warmup.first}, "
        f"Warmup (avg): {warmup.mean:g}, Inference (avg): {timed.mean:g}"
    )


def memory_lines(flags: Flags, size: int) -> list[str]:
    """Return the lines after the final one; the footprint is a guess from the *size* of the file in bytes."""
    overall = 5.3 + 2 * size / MEGABYTE
    match flags.dialect:
        case "tf1.13":
            return []
        case "tf2.3":
            return [NOTE, f"Peak memory footprint (MB): init={0.4 * overall:g} overall={overall:g}"]
    lines = [
        NOTE,
        f"Memory footprint delta from the start of the tool (MB): init={0.4 * overall:g} overall={overall:g}",
    ]
    if flags.values["report_peak_memory_footprint"]:
        lines.append(f"Overall peak memory footprint (MB) via periodic monitoring: {overall + 8:g}")
    return lines
