"""The report of a study: one HTML page that needs no network, and the front as a picture beside it.

No face is ever shown: photographs of licensed sets may not be published.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from search.front import front_rows, hypervolume_history
from search.plots import front_figure, group_scores, groups_figure, hypervolume_figure, save_png, svg
from search.progress import counts, describe, result
from search.record import StudyRecord, TrialRecord
from search.rows import FrontRow
from search.space import continuous, size
from search.tables import HEADINGS, caveats, cells

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; background: #f8fafc; margin: 0; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 28px 60px; }
h1 { font-size: 28px; margin: 8px 0 2px; } h2 { font-size: 19px; margin: 36px 0 8px; }
p { max-width: 78ch; } .lead { color: #4b5563; margin-top: 0; }
.banner { background: #fff7e6; border: 1px solid #f2c46d; border-left: 6px solid #e69f00; border-radius: 6px;
  padding: 10px 18px; margin: 18px 0; } .banner p { margin: 6px 0; max-width: none; }
.card { background: #fff; border: 1px solid #e5e7eb; border-radius: 8px; padding: 14px 16px; overflow-x: auto; }
svg { max-width: 100%; height: auto; display: block; margin: 0 auto; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; width: 100%; }
th { text-align: left; color: #6b7280; font-weight: 600; border-bottom: 2px solid #e5e7eb; white-space: nowrap; }
th, td { padding: 6px 10px; vertical-align: top; } td { border-bottom: 1px solid #f1f3f5; }
td.n { text-align: right; white-space: nowrap; } th.n { text-align: right; }
code { background: #eef2f7; border-radius: 4px; padding: 1px 5px; font-size: 13px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; }
dt { color: #6b7280; } dd { margin: 0; } small { color: #6b7280; font-size: 12.5px; }
"""


def write_report(record: StudyRecord, path: Path) -> None:
    """Write the page of *record* to *path* and ``front.png`` beside it.

    Raises:
        NothingToShow: no trial is complete yet.
    """
    rows = front_rows(record, everything=True)
    picture = front_figure(rows, record.config.constraints.latency_ms)
    page = _page(record, rows, svg(picture, "front"))
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    save_png(picture, path.with_name("front.png"))


def _page(record: StudyRecord, rows: Sequence[FrontRow], picture: str) -> str:
    name = escape(record.opened.name)
    members = [row for row in rows if row.on_front]
    history = hypervolume_history(record)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name}: front</title><style>{STYLE}</style></head><body><main>
<h1>{name}</h1>
<p class="lead">{len(members)} of {len(record.complete)} complete trials are on the front of
{escape(", ".join(record.config.objectives))}.</p>
{_banner(rows)}
<h2>The front</h2>
<div class="card">{picture}</div>
<p>A trial is on the front when no other is at least as good in every objective and better in one
({escape(", ".join(record.config.objectives))}); with a third objective a point may lie below the line and still be
on it. Bars are 95 % intervals: of F1 by leaving out one child at a time, of latency over blocks of runs.</p>
{_front_table(members)}
<p>F1 and gap are points of 100. Both are of the <em>search half</em> of the evaluation set, which chose these trials
and so flatters them; <em>report F1</em> is of the children that no search has seen: quote that one. <em>Gap</em> is
the difference between the best and the worst ethnic group; with groups this small chance alone makes gaps, so the
search minimises the <em>shrunk gap</em> (gap minus what chance gives, at least 0), and <em>p</em> tells how often
chance gives as much. Intervals, in brackets, hold 95 %.
<em>P</em> is the share of resampled sets of children in which the trial is on the front.</p>
{_groups([record.trials[row.trial] for row in members])}
<h2>Progress</h2>
<div class="card">{svg(hypervolume_figure(history), "history")}</div>
<p>Hypervolume: the share of the box between the reference point ({escape(_reference(record))}) and the ideal that the
front covers. It only grows; where it is flat, the search found nothing better.</p>
<h2>The study</h2>
<div class="card"><dl>{_pairs(_facts(record))}</dl></div>
{_others(record)}
<h2>Take one</h2>
<p><code>fer-search show {name} TRIAL</code> tells everything about a trial,
<code>fer-search export {name} TRIAL DIR</code> writes its .tflite with labels and provenance.</p>
</main></body></html>
"""


def _banner(rows: Sequence[FrontRow]) -> str:
    notes = caveats(rows)
    return f'<div class="banner">{"".join(f"<p>{escape(note)}</p>" for note in notes)}</div>' if notes else ""


def _front_table(rows: Sequence[FrontRow]) -> str:
    def line(tag: str, texts: Sequence[str]) -> str:
        kinds = [" class=n"] * (len(texts) - 1) + [""]  # all but the candidate are numbers
        made = [f"<{tag}{kind}>{_stacked(text)}</{tag}>" for kind, text in zip(kinds, texts, strict=True)]
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(line("td", cells(row)) for row in rows)
    return f'<div class="card" style="margin-top:14px"><table>{line("th", HEADINGS)}{body}</table></div>'


def _stacked(text: str) -> str:
    first, *below = map(escape, text.splitlines())
    return first + "".join(f"<br><small>{line}</small>" for line in below)


def _groups(trials: Sequence[TrialRecord]) -> str:
    if not any(group_scores(trial) for trial in trials):
        return ""
    return f"""<h2>Groups</h2>
<div class="card">{svg(groups_figure(trials), "groups")}</div>
<p>Macro-F1 of each group of children of the report half, for the members of the front. Where intervals
overlap, the groups cannot be told apart.</p>"""


def _facts(record: StudyRecord) -> dict[str, str]:
    config = record.config
    open_keys = continuous(config)
    points = f"without end ({', '.join(open_keys)} continuous)" if open_keys else f"{size(config):,.0f} candidates"
    sources = [f"{source.layout} {source.path.name} ({source.population})" for source in config.data.training]
    bounds = {key: bound for key, bound in config.constraints if bound is not None}
    return {
        "objectives": ", ".join(config.objectives),
        "constraints": ", ".join(f"{key} at most {bound:g}" for key, bound in bounds.items()) or "none",
        "space": f"{', '.join(config.space.architecture)}; {points}",
        "sampler": f"{config.sampler.name}, seed {config.seed}",
        "budget": f"{config.budget.trials} trials, {config.budget.concurrency} at a time",
        "trials": ", ".join(f"{count} {state}" for state, count in counts(record).items()),
        "evaluated on": f"{config.data.evaluation.layout} {config.data.evaluation.path.name}",
        "trained on": ", ".join(sources),
        "opened": record.opened.at.strftime("%Y-%m-%d %H:%M %Z") if record.opened.at else "",
        "digest of the study": record.opened.config_digest[:16],
        "digest of the code": (record.opened.code_digest or "-")[:16],
    }


def _pairs(facts: dict[str, str]) -> str:
    return "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())


def _others(record: StudyRecord) -> str:
    """List the trials that ended without a place among the complete ones, with the reason of each."""
    rows = [
        f"<tr><td class=n>{number}</td><td>{escape(trial.state)}</td><td>{escape(result(trial.outcome))}</td>"
        f"<td>{escape(describe(trial))}</td></tr>"
        for number, trial in record.trials.items()
        if trial.outcome and trial.state != "complete"
    ]
    if not rows:
        return ""
    head = "<tr><th class=n>trial</th><th>state</th><th>reason</th><th>candidate</th></tr>"
    return f'<h2>Trials without a result</h2><div class="card"><table>{head}{"".join(rows)}</table></div>'


def _reference(record: StudyRecord) -> str:
    units = {"f1": "", "gap": "", "latency": " ms"}
    return ", ".join(f"{name} {value:g}{units[name]}" for name, value in record.config.reference_point.items())
