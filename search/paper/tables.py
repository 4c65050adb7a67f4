"""The paper's tables, filled with what was found here beside what was published: as Markdown, HTML and CSV. Pure."""

import csv
import io
from dataclasses import dataclass
from html import escape

from fer_core.comparison import mcnemar
from fer_core.scores import GroupScore
from fer_core.specs import ARCHITECTURE_TITLES
from search.paper.claims import Claim, latency, paired, told
from search.paper.evidence import Evidence, Model
from search.paper.published import Published
from search.tables import compression, points


@dataclass(frozen=True, slots=True)
class Table:
    """A table: ``name`` is that of its file, ``note`` a sentence below it."""

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


RATES = ("accuracy", "balanced accuracy", "macro-F1 [95 %]", "report F1 [95 %]")
COSTS = ("latency, ms [95 %]", "weights", "size, MB")


def tables(found: Evidence, known: Published, judged: tuple[Claim, ...]) -> tuple[Table, ...]:
    """Return every table, the claims first."""
    return (_claims(judged), _networks(found, known), _populations(found), _variants(found), _groups(found))


def markdown(table: Table) -> str:
    """Return *table* as Markdown."""
    lines = [table.heads, ("---",) * len(table.heads), *table.rows]
    body = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
    return f"## {table.title}\n\n{body}\n\n{table.note}\n"


def html(table: Table) -> str:
    """Return *table* as an HTML section."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return (
        f'<h2>{escape(table.title)}</h2><div class="card"><table><tr>{head}</tr>{body}</table></div>'
        f"<p>{escape(table.note)}</p>"
    )


def as_csv(table: Table, stamp: str) -> str:
    """Return *table* as CSV, the cells as they are shown, *stamp* in every row; full precision is in ``paper.json``."""
    text = io.StringIO()
    rows = [(*table.heads, "note"), *((*row, stamp) for row in table.rows)]
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _claims(judged: tuple[Claim, ...]) -> Table:
    return Table(
        "claims",
        "What the paper claims, and whether this data resolve it",
        ("claim", "published", "here", "verdict"),
        tuple((it.claim, it.published, it.here, it.verdict) for it in judged),
        "Points of 100 [95 %]. Differences are paired over the same children and resolved where the interval excludes "
        "0; a gap is resolved where p < 0.05. No correction for the number of questions.",
    )


def _networks(found: Evidence, known: Published) -> Table:
    def row(model: Model) -> tuple[str, ...]:
        there = known.of(model.architecture, model.population)
        rates = (there.accuracy, there.balanced_accuracy, there.f1, there.latency_ms) if there else (None,) * 4
        return (_title(model), model.population, *_rates(model), *_costs(model), *map(_published, rates))

    heads = ("accuracy", "balanced accuracy", "F1", "latency, ms")
    return Table(
        "networks",
        "Five networks for three populations",
        ("network", "trained on", *RATES, *COSTS, *(f"published {head}" for head in heads)),
        tuple(row(model) for model in found.networks),
        "All evaluation faces, as in the paper; report F1: the half that chose nothing. Published: "
        f"{known.source.title}, {known.source.set}; - where its abstract gives no figure ({known.source.not_found}).",
    )


def _populations(found: Evidence) -> Table:
    rows = []
    for first, second in (("children", "adults"), ("all", "children"), ("all", "adults")):
        for one, two in found.pairs(first, second).values():
            a, b = (model.judged.predicted == model.judged.faces.labels for model in (one, two))
            p = mcnemar(int((a & ~b).sum()), int((b & ~a).sum()))
            difference = paired(one, two, found)
            verdict = "yes" if difference.resolved else "no"
            rows.append(
                (_title(one), f"{first} - {second}", told(difference), "<0.0001" if p < 1e-4 else f"{p:.4f}", verdict)
            )
    return Table(
        "populations",
        "By population: the same network, trained on others",
        ("network", "trained on", "difference of macro-F1 [95 %]", "McNemar's p", "interval excludes 0"),
        tuple(rows),
        "Points of 100, on the same faces of children. One training each: intervals are over children, not over "
        "trainings. All shows more images, in as many more steps. McNemar's "
        "exact test is over images and takes them for independent.",
    )


def _variants(found: Evidence) -> Table:
    def row(model: Model) -> tuple[str, ...]:
        what = compression(model.trial.candidate.compression)
        against = "-" if model is found.best else told(paired(model, found.best, found))
        return (what, *_rates(model), *_costs(model), against)

    return Table(
        "compression",
        f"The best network compressed: {_title(found.best)} trained on {found.best.population}",
        ("compression", *RATES, *COSTS, "difference of F1 to the plain one [95 %]"),
        tuple(row(model) for model in (found.best, *found.variants)),
        "The search half chose this network and so flatters it and its variants alike; report F1 does not.",
    )


def _groups(found: Evidence) -> Table:
    models = [model for model in found.networks if model.population == "all"] or [found.best]
    names = sorted({group.group for model in models for group in model.card.whole.groups})

    def cell(part: GroupScore | None) -> str:
        if part is None:
            return "-"
        f1 = points(part.macro_f1, part.macro_f1_interval.low, part.macro_f1_interval.high)
        return f"{f1}; accuracy {points(part.accuracy)}"

    def row(model: Model) -> tuple[str, ...]:
        scores = model.card.whole
        parts = {part.group: part for part in scores.groups}
        gap = (points(scores.gap), points(scores.gap_null), "-" if scores.gap_p is None else f"{scores.gap_p:.3f}")
        return (_title(model), *(cell(parts.get(name)) for name in names), *gap)

    sizes = {part.group: part.subjects for part in found.best.card.whole.groups}
    return Table(
        "groups",
        "By group of children, networks trained on all",
        ("network", *(f"{name} ({sizes.get(name, 0)} children)" for name in names), "gap", "gap by chance", "p"),
        tuple(row(model) for model in models),
        "Macro-F1 in points [95 % over children] and accuracy. Groups of fewer than ten children set no gap. Gap by "
        "chance: its mean when children are shuffled over groups; p: how often that is as large.",
    )


def _rates(model: Model) -> tuple[str, ...]:
    whole, report = model.card.whole, model.card.report
    return (
        points(whole.accuracy),
        points(whole.balanced_accuracy),
        points(whole.macro_f1, whole.macro_f1_interval.low, whole.macro_f1_interval.high),
        points(report.macro_f1, report.macro_f1_interval.low, report.macro_f1_interval.high) if report else "-",
    )


def _costs(model: Model) -> tuple[str, ...]:
    source = "" if model.measurement.source == "phone" else f" {model.measurement.source}"
    return (f"{latency(model)}{source}", f"{model.weights:,}", f"{model.size / 1e6:.2f}")


def _title(model: Model) -> str:
    return ARCHITECTURE_TITLES[model.trial.candidate.architecture.name]


def _published(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
