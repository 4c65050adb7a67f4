"""What the paper claims, what this data say about it, and whether they could have said otherwise. Pure.

A difference is resolved when its 95 % interval, paired over children, excludes 0; a gap when chance alone gives as much
in fewer than 5 % of the shuffles of the groups.
"""

from typing import Literal

from fer_core.comparison import Difference, differences, mean_difference
from fer_core.specs import ARCHITECTURE_TITLES, ArchitectureName, Spec
from search.paper.evidence import Evidence, Model
from search.paper.published import Published
from search.tables import compression, points

PAPERS_NETWORK: ArchitectureName = "mobilenetv3_large_100"
"""The network whose figures the abstract gives for all three populations."""
Verdict = Literal[
    "resolved, as published", "resolved, the other way", "resolved", "not resolved", "cannot be asked here"
]
LEVEL = 0.05


class Claim(Spec):
    """One claim of the paper: what is published, what was found here, and whether this data resolve it."""

    claim: str
    published: str
    here: str
    verdict: Verdict


def claims(found: Evidence, known: Published) -> tuple[Claim, ...]:
    """Return every published claim with what *found* says about it."""
    return (
        *_populations(found, known, "children", "adults"),
        *_populations(found, known, "all", "children"),
        _gap(found, known),
        _better(found, known),
        _faster(found, known),
        *_compressed(found),
    )


def told(difference: Difference) -> str:
    """Return *difference* in points of 100 with a sign and its interval: ``+7.2 [3.1, 11.0]``."""
    text = points(difference.value, difference.interval.low, difference.interval.high)
    return text if difference.value < 0 else f"+{text}"


def paired(first: Model, second: Model, found: Evidence) -> Difference:
    """Return the difference of macro-F1 of two models on the same children."""
    return differences(first.counts, second.counts, found.groups)[0]


def _populations(found: Evidence, known: Published, first: str, second: str) -> list[Claim]:
    """Return the claim for the paper's network, and the same question for the mean over all networks."""
    what = f"trained on {first} beats trained on {second}, on children (macro-F1)"
    one, two = known.of(PAPERS_NETWORK, first), known.of(PAPERS_NETWORK, second)
    published = f"{one.f1 - two.f1:+.2f} points" if one and two and one.f1 and two.f1 else "-"
    pairs = found.pairs(first, second)
    made = []
    if PAPERS_NETWORK in pairs:
        here = paired(*pairs[PAPERS_NETWORK], found)
        name = ARCHITECTURE_TITLES[PAPERS_NETWORK]
        made.append(Claim(claim=f"{name} {what}", published=published, here=told(here), verdict=_verdict(here)))
    if len(pairs) > 1:
        mean = mean_difference([(a.counts, b.counts) for a, b in pairs.values()], found.groups)
        name = f"Mean of {len(pairs)} networks"
        made.append(Claim(claim=f"{name} {what}", published="not found", here=told(mean), verdict=_verdict(mean)))
    return made or [Claim(claim=what, published=published, here="no pair is complete", verdict="cannot be asked here")]


def _gap(found: Evidence, known: Published) -> Claim:
    model = found.of(PAPERS_NETWORK, "all") or found.best
    scores = model.card.whole
    what = f"{_name(model)} differs between groups of children (gap of macro-F1, best minus worst group)"
    published = f"up to {known.gap.f1:.2f} points ({' and '.join(known.gap.groups)} lower)"
    if scores.gap is None or scores.gap_p is None:
        return Claim(
            claim=what, published=published, here="fewer than two groups of ten", verdict="cannot be asked here"
        )
    ends = scores.gap_interval
    here = points(scores.gap, *((ends.low, ends.high) if ends else ()))
    here += f"; chance alone gives {points(scores.gap_null)} on average, p {scores.gap_p:.3f}"
    return Claim(
        claim=what, published=published, here=here, verdict="resolved" if scores.gap_p < LEVEL else "not resolved"
    )


def _better(found: Evidence, known: Published) -> Claim:
    """Ask whether a difference as small as the published one to the state of the art could be seen on these faces."""
    what = "the large model that does not fit on the phone is better (accuracy); it is not run here"
    published = f"{known.better.accuracy:+.2f} points with {known.better.parameters:g} times the parameters"
    ranked = sorted(found.networks, key=lambda model: model.card.whole.macro_f1, reverse=True)
    if len(ranked) < 2:
        return Claim(claim=what, published=published, here="one network only", verdict="cannot be asked here")
    between = differences(ranked[0].counts, ranked[1].counts, found.groups)[1].interval
    half = 100 * (between.high - between.low) / 2
    told = f"between the two best networks here, the interval is +-{half:.1f} points wide"
    small = half > known.better.accuracy
    here = f"{told}: {known.better.accuracy} points {'could not' if small else 'could'} be told from 0"
    return Claim(claim=what, published=published, here=here, verdict="not resolved" if small else "resolved")


def _faster(found: Evidence, known: Published) -> Claim:
    fast, slow = "mobilenetv2_100", PAPERS_NETWORK
    what = f"{ARCHITECTURE_TITLES['mobilenetv2_100']} is faster than {ARCHITECTURE_TITLES[PAPERS_NETWORK]}"
    one, two = known.of(fast, "all"), known.of(slow, "all")
    published = f"{one.latency_ms:g} against {two.latency_ms:g} ms, in two reports" if one and two else "-"
    quick, heavy = (next((m for m in found.networks if m.architecture == name), None) for name in (fast, slow))
    if quick is None or heavy is None:
        return Claim(claim=what, published=published, here="one is not complete", verdict="cannot be asked here")
    a, b = quick.measurement, heavy.measurement
    here = f"{latency(quick)} against {latency(heavy)} ms ({', '.join(sorted({a.source, b.source}))})"
    apart = a.high_ms < b.low_ms or b.high_ms < a.low_ms
    way: Verdict = "resolved, as published" if a.median_ms < b.median_ms else "resolved, the other way"
    return Claim(claim=what, published=published, here=here, verdict=way if apart else "not resolved")


def _compressed(found: Evidence) -> list[Claim]:
    """Ask for every variant whether it costs F1: ``resolved`` means that it changes F1."""
    made = []
    for model in found.variants:
        here = paired(model, found.best, found)
        smaller = found.best.size / model.size
        faster = found.best.measurement.median_ms / model.measurement.median_ms
        made.append(
            Claim(
                claim=f"{compression(model.trial.candidate.compression)} changes macro-F1 of {_name(found.best)}",
                published="not found",
                here=f"{told(here)}; {smaller:.1f} times smaller, {faster:.2f} times as fast",
                verdict="resolved" if here.resolved else "not resolved",
            )
        )
    return made


def latency(model: Model) -> str:
    """Return the median latency of *model* in milliseconds with its interval."""
    measured = model.measurement
    return f"{measured.median_ms:.1f} [{measured.low_ms:.1f}, {measured.high_ms:.1f}]"


def _name(model: Model) -> str:
    return f"{ARCHITECTURE_TITLES[model.trial.candidate.architecture.name]} trained on {model.population}"


def _verdict(difference: Difference) -> Verdict:
    if not difference.resolved:
        return "not resolved"
    return "resolved, as published" if difference.value > 0 else "resolved, the other way"
