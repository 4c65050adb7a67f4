"""The pictures of a report, drawn by matplotlib without a display: the front, its history, its groups."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fer_core.scores import GroupScore
from fer_core.specs import ARCHITECTURE_TITLES, ArchitectureName, Quantization
from search.record import TrialRecord
from search.rows import FrontRow

COLOURS: dict[ArchitectureName, str] = {
    "mobilenetv3_small_100": "#E69F00",
    "mobilenetv2_100": "#0072B2",
    "efficientnet_b0": "#009E73",
    "mobilenetv3_large_100": "#D55E00",
    "nasnet_mobile": "#CC79A7",
}
"""Told apart by colour-blind people too (Okabe & Ito, Color Universal Design, 2008)."""

MARKERS: dict[Quantization, str] = {"float32": "o", "float16": "s", "dynamic_int8": "^", "int8": "D", "int8_qat": "P"}
GREY = "#b8bcc4"
STYLE: dict[str, Any] = {
    "font.size": 10,
    "font.family": "sans-serif",
    "svg.fonttype": "none",  # text stays text: sharp, small, searchable
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#6b7280",
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def front_figure(rows: Sequence[FrontRow], latency_bound: float | None = None) -> Figure:
    """Draw latency against F1 of all complete trials: the front in colour with 95 % intervals, the others grey."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 5.2), layout="constrained")
        axes = figure.subplots()
        known = [row for row in rows if row.f1 is not None and row.latency_ms is not None]
        for row in known:
            _draw_trial(axes, row)
        _draw_staircase(axes, [row for row in known if row.on_front])
        latencies = [row.latency_ms or 0.0 for row in known]
        if latencies and max(latencies) > 8 * min(latencies):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("")
        if latency_bound is not None and latencies and latency_bound < 2 * max(latencies):
            axes.axvline(latency_bound, color="#6b7280", linestyle=":", linewidth=1)
            axes.annotate(
                f"bound {latency_bound:g} ms", (latency_bound, 0.01), xycoords=("data", "axes fraction"),
                rotation=90, ha="right", va="bottom", color="#6b7280", fontsize=8,
            )  # fmt: skip
        simulated = " (simulated phone)" if any(row.source == "simulated" for row in rows) else ""
        synthetic = ", synthetic faces" if any(row.synthetic_faces for row in rows) else ""
        axes.set_xlabel(f"latency, ms{simulated}")
        axes.set_ylabel(f"macro-F1, points (search half{synthetic})")
        _legends(figure, known)
    return figure


def hypervolume_figure(history: Sequence[tuple[int, float]]) -> Figure:
    """Draw the hypervolume share after each complete trial."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.8), layout="constrained")
        axes = figure.subplots()
        counts, shares = [0, *(count for count, _ in history)], [0.0, *(share for _, share in history)]
        axes.step(counts, shares, where="post", color="#0072B2", linewidth=2)
        axes.fill_between(counts, shares, step="post", color="#0072B2", alpha=0.08)
        axes.set_ylim(0, min(1.0, 1.15 * max(shares)) or 1.0)
        axes.set_xlim(0, max(1, counts[-1]))
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        axes.set_xlabel("complete trials")
        axes.set_ylabel("hypervolume, share")
    return figure


def group_scores(trial: TrialRecord) -> tuple[GroupScore, ...]:
    """Return the scores by group of *trial*'s report half, else of its search half, else of the whole set."""
    card = trial.outcome.scorecard if trial.outcome else None
    return (card.report or card.search or card.whole).groups if card else ()


def groups_figure(trials: Sequence[TrialRecord]) -> Figure:
    """Draw macro-F1 of each group (``group_scores``) for *trials*, a line of them for each."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 1.2 + 0.55 * max(1, len(trials))), layout="constrained")
        axes = figure.subplots()
        names = sorted({group.group for trial in trials for group in group_scores(trial)})
        shades = dict(zip(names, ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9") * 9, strict=False))
        for line, trial in enumerate(trials):
            for group in group_scores(trial):
                place = line + (names.index(group.group) - (len(names) - 1) / 2) * 0.7 / max(1, len(names))
                low, high = group.macro_f1_interval.low, group.macro_f1_interval.high
                axes.plot([100 * low, 100 * high], [place, place], color=shades[group.group], linewidth=1.4, alpha=0.7)
                axes.plot(100 * group.macro_f1, place, "o", color=shades[group.group], markersize=5)
        axes.set_yticks(range(len(trials)), [f"trial {trial.number}" for trial in trials])
        axes.set_ylim(len(trials) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("macro-F1, points, with 95 % interval")
        handles = [Line2D([], [], color=shades[name], marker="o", label=name) for name in names]
        figure.legend(handles=handles, loc="outside right upper", title="group")
    return figure


def svg(figure: Figure, name: str) -> str:
    """Return *figure* as an ``<svg>`` element; *name* keeps its ids apart from those of other figures of a page."""
    text = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    whole = text.getvalue()
    return whole[whole.index("<svg") :]


def save_png(figure: Figure, path: Path) -> None:
    """Write *figure* to *path* as a PNG, white behind it."""
    with mpl.rc_context(STYLE):
        figure.savefig(path, format="png", dpi=150, facecolor="white", metadata={"Software": None})


def _draw_trial(axes: Any, row: FrontRow) -> None:  # noqa: ANN401 - matplotlib has no types here
    colour = COLOURS[row.architecture] if row.on_front else GREY
    latency, f1 = row.latency_ms or 0.0, 100 * (row.f1 or 0.0)
    if row.on_front:
        spread_x = [[latency - (row.latency_low_ms or latency)], [(row.latency_high_ms or latency) - latency]]
        spread_y = [[f1 - 100 * (row.f1_low or 0.0)], [100 * (row.f1_high or 0.0) - f1]]
        axes.errorbar(latency, f1, xerr=spread_x, yerr=spread_y, color=colour, linewidth=1.1, alpha=0.6, zorder=2)
        axes.annotate(str(row.trial), (latency, f1), xytext=(6, 5), textcoords="offset points", fontsize=8, zorder=5)
    axes.plot(
        latency, f1, MARKERS[row.quantization], color=colour, markersize=8 if row.on_front else 6,
        markeredgecolor="white", markeredgewidth=0.7, zorder=4 if row.on_front else 1,
    )  # fmt: skip


def _draw_staircase(axes: Any, rows: Sequence[FrontRow]) -> None:  # noqa: ANN401 - matplotlib has no types here
    """Draw the best F1 that the front reaches within each latency."""
    steps: list[tuple[float, float]] = []
    for latency, f1 in sorted((row.latency_ms or 0.0, 100 * (row.f1 or 0.0)) for row in rows):
        if not steps or f1 > steps[-1][1]:
            steps.append((latency, f1))
    if steps:
        axes.step(*zip(*steps, strict=True), where="post", color="#9ca3af", linewidth=1.3, zorder=1.5)


def _legends(figure: Figure, rows: Sequence[FrontRow]) -> None:
    networks = {row.architecture for row in rows if row.on_front}
    numerics = {row.quantization for row in rows}
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=8, color=colour, label=ARCHITECTURE_TITLES[name])
        for name, colour in COLOURS.items()
        if name in networks
    ]
    handles += [
        Line2D([], [], linestyle="", marker=marker, markersize=7, color="#374151", label=name)
        for name, marker in MARKERS.items()
        if name in numerics
    ]
    if any(not row.on_front for row in rows):
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=6, color=GREY, label="beaten by another"))
    handles.append(Line2D([], [], color="#9ca3af", linewidth=1.3, label="best F1 within a latency"))
    figure.legend(handles=handles, loc="outside right upper", fontsize=9)
