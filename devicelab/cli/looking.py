"""Commands that look at the lab: ``devices``, ``show``, ``leases``, ``queue`` and ``incidents``.

With ``--url`` they ask a running service, else they read the store, which a running service does not mind.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import click

from devicelab.api import ROOT
from devicelab.cli.printing import feeling, print_json, print_table, table, when
from devicelab.cli.remote import client, service
from devicelab.cli.root import as_json, cli, config_at, lab, reading, store
from devicelab.config import LabConfig
from devicelab.errors import NoDeviceError
from devicelab.lab import survey
from devicelab.policy import Rules
from devicelab.protocols import SystemClock
from devicelab.service.histories import ROWS, history_of
from devicelab.service.projection import Projection
from devicelab.service.views import History, LabView, PhoneView
from devicelab.store import Store

HINT = "nothing has happened in this lab yet; start it: fer-lab serve, or measure: fer-lab measure MODEL.tflite"


def looked[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Give *command* the options that say which lab to look at."""
    return store(service(as_json(command)))


def view_of(record: Store) -> LabView:
    """Return the lab that *record* keeps, as its last event left it."""
    projection = Projection()
    projection.load(record.folded({}, Rules()).state)
    return projection.view()


def lab_view(store_path: Path, url: str | None, token_file: Path | None) -> LabView:
    """Return the lab as the service at *url* tells it, or as the store has it.

    Raises:
        NoDeviceError: there is neither a service nor a store.
    """
    if url is not None:
        with client(url, token_file) as remote:
            return LabView.model_validate(remote.get(f"{ROOT}/status"))
    with reading(store_path, HINT) as record:
        return view_of(record)


@cli.command()
@lab
@looked
def devices(
    *, lab_path: Path | None, store_path: Path, url: str | None, token_file: Path | None, as_json: bool
) -> None:
    """List the phones of the lab, their states, how they feel and who uses them.

    Example: fer-lab devices --json
    """
    if url is None and not store_path.exists():
        phones = _never_started(config_at(lab_path), store_path)
    else:
        phones = lab_view(store_path, url, token_file).phones
    if as_json:
        print_json([phone.model_dump(mode="json") for phone in phones])
        return
    made = table("device", "product", "source", "state", "battery", "CPU", "factor", "used by", "last error")
    for phone in phones:
        battery, clock = feeling(phone.health) if phone.health is not None else ("-", "-")
        factor = f"{phone.factor:.3f}" if phone.factor is not None else "-"
        holder = phone.lease.holder if phone.lease is not None else "-"
        state = phone.state.lower() + (", draining" if phone.draining else "")
        made.add_row(
            phone.name, phone.product, phone.source, state, battery, clock, factor, holder, phone.last_error[:60]
        )
    print_table(made)


def _never_started(config: LabConfig, store_path: Path) -> tuple[PhoneView, ...]:
    now = SystemClock().now()
    return tuple(
        PhoneView(
            name=status.device.name,
            **status.device.platform.model_dump(),
            state="DISCOVERED",
            since=now,
            cause="the lab was never started",
            health=status.health,
        )
        for status in survey(config, store_path)
    )


@cli.command()
@click.argument("device")
@looked
def show(*, device: str, store_path: Path, url: str | None, token_file: Path | None, as_json: bool) -> None:
    """Tell everything about DEVICE: its facts, its state and why, and its latest events.

    Example: fer-lab show moto-g6-1
    """
    phone, history = _phone_and_history(device, store_path, url, token_file)
    if as_json:
        print_json({"phone": phone.model_dump(mode="json"), "history": history.model_dump(mode="json")})
        return
    facts = phone.model_dump(exclude={"health", "lease", "since"}) | {"since": when(phone.since)}
    facts |= phone.health.model_dump() if phone.health is not None else {}
    facts |= {"lease": phone.lease.holder if phone.lease is not None else "none"}
    made = table("what", "is")
    for key, value in facts.items():
        made.add_row(key.replace("_", " "), str(value))
    print_table(made)
    told = table("time", "event", "what")
    for moment in history.moments[:30]:
        told.add_row(when(moment.at), moment.kind, moment.text)
    print_table(told)


def _phone_and_history(
    device: str, store_path: Path, url: str | None, token_file: Path | None
) -> tuple[PhoneView, History]:
    if url is not None:
        with client(url, token_file) as remote:
            body = remote.get(f"{ROOT}/devices/{quote(device, safe='')}")
        return PhoneView.model_validate(body["phone"]), History.model_validate(body["history"])
    with reading(store_path, HINT) as record:
        view = view_of(record)
        phone = next((phone for phone in view.phones if phone.name == device), None)
        if phone is None:
            names = ", ".join(phone.name for phone in view.phones)
            raise NoDeviceError(f"this lab has no phone {device!r}; it has {names}")
        return phone, history_of(record.latest(device, ROWS), view.at)


@cli.command()
@click.option("--all", "ended", is_flag=True, help="Also list leases that have ended (from the store only).")
@looked
def leases(*, ended: bool, store_path: Path, url: str | None, token_file: Path | None, as_json: bool) -> None:
    """List who uses which phone now, for what, and until when.

    Example: fer-lab leases --all
    """
    if url is not None:
        with client(url, token_file) as remote:
            rows = remote.get(f"{ROOT}/leases")
    else:
        with reading(store_path, "no lease yet; measuring takes one: fer-lab measure MODEL.tflite") as record:
            found = record.leases(ended=ended)
            sources = {device.name: device.platform.source for device in record.devices()}
        rows = [{**lease.model_dump(mode="json"), "source": sources[lease.device]} for lease in found]
    if as_json:
        print_json(rows)
        return
    made = table("token", "device", "source", "holder", "granted", "expires")
    for row in rows:
        times = (when(row["granted_at"]), when(row["expires_at"]))
        made.add_row(str(row["token"]), row["device"], row["source"], row["holder"], *times)
    print_table(made) if rows else click.echo("no device is leased")


@cli.command()
@looked
def queue(*, store_path: Path, url: str | None, token_file: Path | None, as_json: bool) -> None:
    """List the questions that have no answer yet: who asks, since when, how far they are. The first hundred.

    Example: fer-lab queue
    """
    view = lab_view(store_path, url, token_file)
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in view.queue])
        return
    made = table("search", "asked by", "graph", "threads", "where", "blocks", "failed", "since")
    for entry in view.queue:
        where = f"on {entry.device}" if entry.device else entry.stage
        counts = (str(entry.requests), entry.fingerprint[:8], str(entry.threads), where, str(entry.blocks))
        made.add_row(entry.search, *counts, str(entry.failures), when(entry.since))
    print_table(made) if view.queue else click.echo("nobody waits")


@cli.command()
@looked
def incidents(*, store_path: Path, url: str | None, token_file: Path | None, as_json: bool) -> None:
    """List what went wrong for many phones of a place at once: a hot room, a dead hub. Newest last.

    Example: fer-lab incidents
    """
    view = lab_view(store_path, url, token_file)
    if as_json:
        print_json([one.model_dump(mode="json") for one in view.incidents])
        return
    made = table("number", "place", "fault", "phones", "opened", "closed")
    for one in view.incidents:
        closed = when(one.closed_at) if one.closed_at is not None else "open"
        made.add_row(str(one.number), one.place, one.fault, str(len(one.phones)), when(one.opened_at), closed)
    print_table(made) if view.incidents else click.echo("no incident")
