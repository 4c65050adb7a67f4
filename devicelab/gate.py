"""The rules of the protocol: which phone may be measured now, and which one was disturbed meanwhile. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from devicelab.device import Health
from devicelab.errors import Reason, RefusedError
from devicelab.faults import FAULTS, Fault


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of the protocol; a change needs a new name in ``devicelab.measurement.PROTOCOL``.

    The gate: battery temperature (Celsius) and charge (percent), load average, free space (MB), and how long to wait
    for them, looking every ``poll_seconds``. The canary: its runs, how often it is tried with which pause, how far it
    may be from a typical phone (``canary_reach``; only of a phone without a calibration) and how far it may move
    (``canary_drift``: one clock step of the SD450 is 6.8 %). The warm-up: its first runs, and when it ends anyway.

    The block: the ``precision`` of the median that two blocks together are to reach (half the interval over the
    median; each stops at sqrt(2) times that), when it stops anyway, how far a stretch of successive runs may be from
    the rest and how often timing begins again because of that, how much single runs may scatter, at which numbers of
    runs a decision may be early. Where only summaries are seen (``devicelab.bursts``): the runs of the first burst,
    how long the others last and how many runs that may be, how far a burst may be from the median of all, how many
    must be alike, how many for an early decision, how many there may be. The reference: its processes, the
    runs in each, how many processes at most, and the pause between.
    """

    max_temperature_c: float = 34.0
    min_battery_percent: float = 30.0
    max_load: float = 12.0
    min_free_mb: float = 500.0
    poll_seconds: float = 30.0
    wait_seconds: float = 1200.0
    canary_runs: int = 18
    canary_tries: int = 3
    canary_wait_seconds: float = 3.0
    canary_reach: float = 0.15
    canary_drift: float = 0.03
    first_runs: int = 6
    max_warmup_runs: int = 30
    max_warmup_seconds: float = 5.0
    precision: float = 0.02
    max_block_seconds: float = 60.0
    max_stretch: float = 0.10
    max_restarts: int = 3
    max_spread: float = 0.044
    early_looks: tuple[int, ...] = (8, 12)
    burst_runs: int = 10
    burst_seconds: float = 2.0
    max_burst_runs: int = 2000
    burst_reach: float = 0.03
    bursts: int = 3
    early_bursts: int = 2
    max_bursts: int = 9
    reference_bursts: int = 3
    reference_runs: int = 30
    reference_tries: int = 5
    reference_wait_seconds: float = 4.0


RULES = Rules()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a phone must not be measured now, and whether that passes by waiting."""

    text: str
    reason: Reason
    fault: Fault
    passes: bool = True


Check = Callable[[Health, Rules], Problem | None]


def unfit(health: Health, rules: Rules = RULES) -> Problem | None:
    """Return why a phone in this *health* must not be measured now, or ``None`` if it may.

    What the phone does not tell does not count against it.
    """
    found = (check(health, rules) for check in _CHECKS)
    return next((problem for problem in found if problem is not None), None)


def _battery_health(health: Health, rules: Rules) -> Problem | None:
    del rules
    if health.battery_health in {"good", "unknown"}:
        return None
    return Problem(f"battery is {health.battery_health}, not good", "battery", FAULTS["F21H"], passes=False)


def _temperature(health: Health, rules: Rules) -> Problem | None:
    if health.temperature_c <= rules.max_temperature_c:
        return None
    text = f"battery at {health.temperature_c:.1f} C, above {rules.max_temperature_c:g} C"
    return Problem(text, "hot", FAULTS["F19"])


def _charge(health: Health, rules: Rules) -> Problem | None:
    if health.battery_percent >= rules.min_battery_percent:
        return None
    text = f"battery at {health.battery_percent:.0f} %, below {rules.min_battery_percent:g} %"
    return Problem(text, "battery", FAULTS["F21"])


def _clock(health: Health, rules: Rules) -> Problem | None:
    del rules
    if health.frequency_mhz is None or health.frequency_mhz >= health.nominal_mhz:
        return None
    return Problem(f"throttled to {health.frequency_mhz:g} of {health.nominal_mhz:g} MHz", "throttled", FAULTS["F19"])


def _load(health: Health, rules: Rules) -> Problem | None:
    if health.load1 is None or health.load1 <= rules.max_load:
        return None
    return Problem(f"load average {health.load1:.1f}, above {rules.max_load:g}", "busy", FAULTS["F27"])


def _screen(health: Health, rules: Rules) -> Problem | None:
    del rules
    if health.screen_on is not False and not health.covered_by:
        return None
    text = f"{health.covered_by} lies over the apps" if health.covered_by else "screen is off"
    return Problem(f"{text}: apps in the background run slower", "screen", FAULTS["F22"], passes=False)


def _storage(health: Health, rules: Rules) -> Problem | None:
    if health.free_mb is None or health.free_mb >= rules.min_free_mb:
        return None
    text = f"{health.free_mb:.0f} MB free, below {rules.min_free_mb:g}"
    return Problem(text, "storage", FAULTS["F17"], passes=False)


_CHECKS: tuple[Check, ...] = (_battery_health, _screen, _storage, _temperature, _charge, _clock, _load)


def check_after(name: str, before: Health, after: Health, canary: tuple[float, float], rules: Rules = RULES) -> None:
    """Make sure that the phone *name* was undisturbed between *before* and *after*; *canary* is in ms then and now.

    Raises:
        RefusedError: it restarted, was throttled, its screen went off or was covered, or its reference workload moved.
    """
    younger = None not in (before.uptime_s, after.uptime_s) and (after.uptime_s or 0) < (before.uptime_s or 0)
    if after.boot_id != before.boot_id or younger:
        raise RefusedError(f"{name}: restarted during the block", "restarted", FAULTS["F16"])
    for problem in (_clock(after, rules), _screen(after, rules)):
        if problem is not None:
            raise RefusedError(f"{name}: {problem.text}, during the block", problem.reason, problem.fault)
    moved = canary[1] / canary[0] - 1
    if abs(moved) > rules.canary_drift:
        raise RefusedError(
            f"{name}: reference workload moved by {moved:+.1%} during the block", "canary", FAULTS["F19"]
        )
