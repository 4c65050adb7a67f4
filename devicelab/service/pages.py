"""The web page: the wall of phones and one phone's page, drawn here, replaced live by ``static/lab.js``."""

from collections import Counter
from pathlib import Path
from typing import get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from devicelab.api import Action
from devicelab.service.auth import Grant
from devicelab.service.charts import clock_time, factor_chart, timeline
from devicelab.service.views import History, LabView, Mood, PhoneView

FOLDER = Path(__file__).parent
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def counts(lab: LabView) -> list[tuple[Mood, int]]:
    """Return how many phones are in each group of states, groups without a phone included."""
    found = Counter(phone.mood for phone in lab.phones)
    return [(mood, found[mood]) for mood in get_args(Mood)]


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "counts": counts,
    "clock_time": clock_time,
    "timeline": timeline,
    "factor_chart": factor_chart,
}


def login_page(next_path: str, refused: str = "") -> str:
    """Return the page that asks for a token and then goes to *next_path*; *refused* says why it asks again."""
    return _page("login.html", next=next_path, refused=refused)


def wall_page(lab: LabView, who: Grant) -> str:
    """Return the page with every phone of *lab*, its queue and its incidents."""
    return _page("wall.html", lab=lab, who=who)


def phone_page(phone: PhoneView, history: History, who: Grant) -> str:
    """Return the page of one *phone*; its actions can be used if *who* may operate."""
    parts = {"spans": history.spans, "points": history.points, "moments": history.moments}
    return _page(
        "phone.html", phone=phone, who=who, may_operate=who.allows("operate"), actions=get_args(Action), **parts
    )


def wall_fragments(lab: LabView, touched: frozenset[str] | None) -> dict[str, str]:
    """Return the parts of the wall to draw again: the tiles of *touched* phones (None: all) and what sums them up."""
    phones = [phone for phone in lab.phones if touched is None or phone.name in touched]
    drawn = {f"phone-{phone.name}": _macro("tile", phone, lab.at) for phone in phones}
    return drawn | {name: _macro(name, lab) for name in ("summary", "queue", "incidents")}


def phone_fragments(phone: PhoneView, history: History) -> dict[str, str]:
    """Return the parts of a phone's page to draw again."""
    return {
        "head": _macro("head", phone),
        "history": _macro("history", history.spans, history.points, history.moments),
    }


def _page(template: str, **values: object) -> str:
    return _ENVIRONMENT.get_template(template).render(values)


def _macro(name: str, *values: object) -> str:
    module = _ENVIRONMENT.get_template("macros.html").module
    return str(getattr(module, name)(*values))
