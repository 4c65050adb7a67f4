"""Small pictures as SVG: a phone's states over time, and its factor. Pure; no script, no style attribute, no CDN."""

from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup, escape

from devicelab.service.views import MOODS, FactorPoint, Span

WIDTH, MARGIN = 880, 44
TIMELINE_HEIGHT, CHART_HEIGHT = 64, 180


def timeline(spans: Sequence[Span]) -> Markup:
    """Draw *spans*, which follow each other in time, as one coloured band over an axis of time."""
    if not spans:
        return _nothing("no history yet", TIMELINE_HEIGHT)
    start, end = spans[0].start, max(spans[-1].end, spans[0].start + 1)
    parts = []
    for span in spans:
        left = _x(span.start, start, end)
        width = max(_x(span.end, start, end) - left, 0.5)
        mood = MOODS.get(span.state, "out")
        title = f"{span.state.lower()}, {clock_time(span.start)} to {clock_time(span.end)}"
        parts.append(
            Markup('<rect class="mood-{}" x="{:.1f}" y="8" width="{:.1f}" height="28"><title>{}</title></rect>').format(
                mood, left, width, title
            )
        )
    label = f"states from {clock_time(start)} to {clock_time(end)}: " + ", ".join(
        dict.fromkeys(span.state.lower() for span in spans)
    )
    return _picture(label, TIMELINE_HEIGHT, [*parts, *_time_axis(start, end, 54)])


def factor_chart(points: Sequence[FactorPoint]) -> Markup:
    """Draw *points*, oldest first, as a line with a band of two standard errors around it."""
    if not points:
        return _nothing("not calibrated yet", CHART_HEIGHT)
    start, end = points[0].at, max(points[-1].at, points[0].at + 1)
    reach = max(0.02, *(abs(point.factor - 1) + 2 * point.error for point in points)) * 1.1
    bottom = CHART_HEIGHT - 30

    def y(factor: float) -> float:
        return 10 + (1 + reach - factor) / (2 * reach) * (bottom - 10)

    xs = [_x(point.at, start, end) for point in points]
    middle = " ".join(f"{x:.1f},{y(point.factor):.1f}" for x, point in zip(xs, points, strict=True))
    upper = [f"{x:.1f},{y(p.factor * (1 + 2 * p.error)):.1f}" for x, p in zip(xs, points, strict=True)]
    lower = [f"{x:.1f},{y(p.factor * (1 - 2 * p.error)):.1f}" for x, p in zip(xs, points, strict=True)]
    parts = [Markup('<polygon class="band" points="{}"/>').format(" ".join([*upper, *reversed(lower)]))]
    for level in (1 - reach / 1.1, 1.0, 1 + reach / 1.1):
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
                MARGIN, WIDTH - 8, y(level), y(level)
            )
        )
        parts.append(
            Markup('<text x="{}" y="{:.1f}" class="end">{:.3f}</text>').format(MARGIN - 6, y(level) + 4, level)
        )
    parts.append(Markup('<polyline class="line" points="{}"/>').format(middle))
    parts += [
        Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="2.5"><title>{:.4f} at {}</title></circle>').format(
            x, y(point.factor), point.factor, clock_time(point.at)
        )
        for x, point in zip(xs, points, strict=True)
    ]
    label = f"factor over time, now {points[-1].factor:.3f}: {len(points)} calibrations"
    return _picture(label, CHART_HEIGHT, [*parts, *_time_axis(start, end, CHART_HEIGHT - 8)])


def clock_time(at: float) -> str:
    """Return *at* (seconds since 1970) as ``2026-11-24 13:05:09`` in UTC."""
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def _x(at: float, start: float, end: float) -> float:
    return MARGIN + (at - start) / (end - start) * (WIDTH - MARGIN - 8)


def _time_axis(start: float, end: float, y: float) -> list[Markup]:
    form = "%H:%M:%S" if end - start < 86400 else "%m-%d %H:%M"
    marks = []
    for place, anchor in ((0.0, "start"), (0.5, "mid"), (1.0, "end")):
        at = start + place * (end - start)
        text = datetime.fromtimestamp(at, tz=UTC).strftime(form)
        marks.append(Markup('<text x="{:.1f}" y="{}" class="{}">{}</text>').format(_x(at, start, end), y, anchor, text))
    return marks


def _picture(label: str, height: int, parts: Sequence[Markup]) -> Markup:
    body = Markup("").join(parts)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, label, body
    )


def _nothing(text: str, height: int) -> Markup:
    return _picture(
        text, height, [Markup('<text x="{}" y="{}" class="mid">{}</text>').format(440, height / 2, escape(text))]
    )
