"""The pages of the paper's study: one HTML file, one Markdown file, the tables as CSV, the numbers as JSON, a figure.

No face is ever shown: photographs of licensed sets may not be published.
"""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fer_core.specs import ARCHITECTURE_TITLES
from search.artifacts import write_atomically
from search.folder import StudyFolder
from search.paper.claims import Claim, claims
from search.paper.evidence import Evidence, Model, evidence
from search.paper.published import Published, published
from search.paper.tables import Table, as_csv, html, markdown, tables
from search.plots import STYLE as FIGURE_STYLE
from search.plots import save_png, svg
from search.record import StudyRecord
from search.report import STYLE
from search.tables import SIMULATED, SYNTHETIC

TITLE = "The study of Banerjee et al. (2023), run again"
SHADES = {"children": "#0072B2", "adults": "#E69F00", "all": "#009E73"}


def write(record: StudyRecord, folder: StudyFolder) -> Path:
    """Write the pages of *record* into ``paper/`` in the study's folder and return the HTML page.

    Raises:
        NothingToShow, StudyError: as for ``evidence``.
    """
    found, known = evidence(record, folder), published()
    judged = claims(found, known)
    shown = tables(found, known, judged)
    notes = caveats(found)
    target = folder.path / "paper"
    target.mkdir(exist_ok=True)
    figure = populations_figure(found, known)
    save_png(figure, target / "populations.png")
    files = {f"{table.name}.csv": as_csv(table, _stamp(notes)) for table in shown}
    files["paper.json"] = json.dumps(facts(found, judged, record, notes), indent=2)
    files["paper.md"] = _markdown(shown, notes)
    files["paper.html"] = _page(shown, notes, svg(figure, "populations"))
    for name, text in files.items():
        write_atomically(target / name, text.encode())
    return target / "paper.html"


def caveats(found: Evidence) -> tuple[str, ...]:
    """Return the sentences that stand above every table of *found*."""
    synthetic = (SYNTHETIC,) if any(model.card.synthetic for model in found.models) else ()
    simulated = (SIMULATED,) if any(model.measurement.source == "simulated" for model in found.models) else ()
    unlike = "Recipe, input size and training data are not the paper's: compare directions, not digits."
    return (*synthetic, *simulated, unlike)


def facts(found: Evidence, judged: Sequence[Claim], record: StudyRecord, notes: Sequence[str]) -> dict[str, Any]:
    """Return everything that the tables are made of in full precision, JSON-ready."""
    return {
        "study": record.opened.name,
        "version": record.opened.version,
        "code_digest": record.opened.code_digest,
        "notes": list(notes),
        "best": found.best.trial.number,
        "claims": [claim.model_dump(mode="json") for claim in judged],
        "models": [_facts(model) for model in found.models],
    }


def populations_figure(found: Evidence, known: Published) -> Figure:
    """Draw macro-F1 of each network by the population it was trained on, with what is published as open squares."""
    names = [name for name in ARCHITECTURE_TITLES if any(model.architecture == name for model in found.networks)]
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(9, 1.2 + 0.8 * len(names)), layout="constrained")
        axes = figure.subplots()
        for model in found.networks:
            place = (
                names.index(model.trial.candidate.architecture.name) + (list(SHADES).index(model.population) - 1) / 4
            )
            shade, scores = SHADES[model.population], model.card.whole
            ends = [100 * scores.macro_f1_interval.low, 100 * scores.macro_f1_interval.high]
            axes.plot(ends, [place, place], color=shade, linewidth=1.6, alpha=0.7)
            axes.plot(100 * scores.macro_f1, place, "o", color=shade, markersize=6)
            there = known.of(model.architecture, model.population)
            if there is not None and there.f1 is not None:
                axes.plot(there.f1, place, "s", color=shade, markersize=6, markerfacecolor="white")
        axes.set_yticks(range(len(names)), [ARCHITECTURE_TITLES[name] for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        synthetic = ", SYNTHETIC faces" if found.best.card.synthetic else ""
        axes.set_xlabel(f"macro-F1 on children, points, 95 % interval{synthetic}")
        handles = [Line2D([], [], color=shade, marker="o", label=who) for who, shade in SHADES.items()]
        handles.append(
            Line2D([], [], color="#374151", linestyle="", marker="s", markerfacecolor="white", label="published (CAFE)")
        )
        figure.legend(handles=handles, loc="outside right upper", title="trained on")
    return figure


def _facts(model: Model) -> dict[str, Any]:
    return {
        "trial": model.trial.number,
        "candidate": model.trial.candidate.model_dump(mode="json"),
        "synthetic_faces": model.card.synthetic,
        "weights": model.weights,
        "size_bytes": model.size,
        "measurement": model.measurement.model_dump(mode="json", exclude={"readings"}),
        "scores": model.card.model_dump(mode="json", exclude={"subject_confusions", "subject_groups"}),
    }


def _markdown(shown: Sequence[Table], notes: Sequence[str]) -> str:
    head = "\n".join(f"> {note}\n>" for note in notes).removesuffix(">").rstrip()
    parts = "\n".join(f"{markdown(table)}\n{_stamp(notes)}\n" for table in shown)
    return f"# {TITLE}\n\n{head}\n\n![macro-F1 by network and population](populations.png)\n\n{parts}"


def _page(shown: Sequence[Table], notes: Sequence[str], picture: str) -> str:
    banner = "".join(f"<p>{escape(note)}</p>" for note in notes)
    sections = "".join(f"{html(table)}<p><small>{escape(_stamp(notes))}</small></p>" for table in shown)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{TITLE}</title><style>{STYLE}</style></head><body><main>
<h1>{TITLE}</h1>
<div class="banner">{banner}</div>
<h2>Trained on whom?</h2><div class="card">{picture}</div>
{sections}
</main></body></html>
"""


def _stamp(notes: Sequence[str]) -> str:
    """Return the short form of *notes* that goes with every table, so that none is read alone."""
    words = [word for note, word in ((SYNTHETIC, "synthetic faces, no people"), (SIMULATED, "latency simulated"))
             if note in notes]  # fmt: skip
    return f"({'; '.join(words)})" if words else ""
