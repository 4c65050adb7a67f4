"""The desk of a real lab: the writer's thread behind it, view and reader beside it, those who wait before it."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from devicelab import commands as cmd
from devicelab.api import Action, Submission, Ticket
from devicelab.commands import Answer, Command, Enrolled, Order, Outcome
from devicelab.coordinator import Coordinator
from devicelab.device import Device, Platform
from devicelab.draft import answer_key
from devicelab.errors import ConfigError, NoDeviceError
from devicelab.events import BACKGROUND, INTERACTIVE, NORMAL, Row
from devicelab.measurement import Workload
from devicelab.service.agents import Mailboxes
from devicelab.service.feed import Feed, FeedItem
from devicelab.service.histories import ROWS, history_of
from devicelab.service.projection import Projection, Touched
from devicelab.service.reader import Reader
from devicelab.service.tickets import Tickets, ticket_of
from devicelab.service.views import History, LabView, PhoneView
from devicelab.service.writer import Core, Writer

type Tell = Callable[[Command], Future[Outcome]]


class Crew(Protocol):
    """The workers of the phones that live in the service's own process."""

    @property
    def enrolled(self) -> tuple[Enrolled, ...]:
        """Its phones."""
        ...

    def start(self, tell: Tell) -> None:
        """Be ready for orders; *tell* takes what workers say about them."""
        ...

    def put(self, order: Order) -> None:
        """Have *order* done; returns at once."""
        ...

    def stop(self) -> None:
        """Let go of the phones; what is under way is dropped."""
        ...


@dataclass(frozen=True, slots=True)
class Lab:
    """What a desk is made of: the phones here, where the store is, and how its core is made."""

    crew: Crew
    store: Path
    open: Callable[[Callable[[Sequence[Row]], None]], Core]


class LabDesk:
    """The desk of *lab*; see ``devicelab.service.desk.Desk``."""

    def __init__(self, lab: Lab) -> None:
        self.feed = Feed()
        self._lab = lab
        self._projection = Projection()
        self._tickets = Tickets()
        self._mail = Mailboxes()
        self._reader = Reader(lab.store)
        self._here = {one.device.name for one in lab.crew.enrolled}
        self._coordinator: Coordinator | None = None
        self._writer = Writer(self._opened, self._follow)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Open the store, before anything is served; ``open`` does it where nobody has.

        Raises:
            StoreError: another process writes the store, or it cannot be used.
        """
        if self._coordinator is None:
            self._writer.start()

    async def open(self) -> None:
        """See ``Desk.open``."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.start)
        self.feed.bind(self._projection.view().seq)
        self._lab.crew.start(self._writer.tell)
        await asyncio.wrap_future(self._writer.tell(cmd.Open(self._enrolled(()))))

    def close(self) -> None:
        """See ``Desk.close``."""
        self.feed.close()
        self._lab.crew.stop()
        self._writer.stop()
        self._reader.close()

    def view(self) -> LabView:
        """See ``Desk.view``."""
        return self._projection.view()

    def view_json(self, part: str) -> bytes:
        """See ``Desk.view_json``."""
        return self._projection.json(part)

    async def history(self, device: str) -> History:
        """See ``Desk.history``."""
        self._phone(device)
        rows = await self._reader.ask(lambda store: store.latest(device, ROWS))
        return history_of(rows, self._writer.now())

    async def measurements(self, limit: int) -> Sequence[dict[str, Any]]:
        """See ``Desk.measurements``."""
        found = await self._reader.ask(lambda store: store.measurements(limit))
        return [one.model_dump(mode="json") for one in found]

    async def events(self, after: int, limit: int) -> Sequence[FeedItem]:
        """See ``Desk.events``."""
        rows = await self._reader.ask(lambda store: list(store.events(after, limit)))
        return [feed_item(row, orjson.loads(row.body)) for row in rows]

    async def ticket(self, key: str) -> Ticket | None:
        """See ``Desk.ticket``."""
        return await self._ask(lambda coordinator: _standing(coordinator, key))

    async def submit(self, key: str, submission: Submission, file: Path | None) -> Ticket:
        """See ``Desk.submit``."""
        workload = Workload(path=file or Path(), fingerprint=submission.fingerprint, threads=submission.threads)
        if file is None and not await self._known(workload, submission):
            return Ticket(key=key, stage="the network is not here", upload=True)
        command = cmd.Submit(
            request=key,
            workload=workload,
            search=submission.search or "default",
            selector=submission.selector,
            priority=INTERACTIVE if submission.interactive else BACKGROUND if submission.background else NORMAL,
            threshold_ms=submission.threshold_ms,
        )
        outcome = await asyncio.wrap_future(self._writer.tell(command))
        mine = next((answer for answer in outcome.answers if answer.request == key), None)
        if mine is not None:
            return ticket_of(mine)
        standing = await self._ask(lambda coordinator: _standing(coordinator, key, workload))
        return standing or Ticket(key=key, stage="waiting")

    async def wait(self, key: str, seconds: float) -> Ticket:
        """See ``Desk.wait``."""
        future = self._tickets.expect(key)
        try:
            standing = await self.ticket(key)
            if standing is None:
                raise NoDeviceError(f"nobody made a request {key!r}")
            if standing.measurement is not None or standing.problem is not None:
                return standing
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return Ticket(key=key, stage="waiting")
        finally:
            self._tickets.forget(key, future)

    async def operate(self, device: str, action: Action, who: str, why: str) -> None:
        """See ``Desk.operate``."""
        self._phone(device)
        await asyncio.wrap_future(self._writer.tell(cmd.Operate(device, action, who, why)))

    def host_of(self, device: str) -> str:
        """See ``Desk.host_of``."""
        phone = self._projection.phone(device)
        return phone.host if phone is not None else ""

    async def arrive(self, host: str, room: str, devices: Sequence[Device], fresh: Collection[str] = ()) -> None:
        """See ``Desk.arrive``."""
        taken = {device.name for device in devices if self.host_of(device.name) not in {"", host}}
        if taken:
            raise ConfigError(
                f"{', '.join(sorted(taken))}: on another host already; an operator retires it there first"
            )
        self._mail.dismiss(host)
        arrived = tuple(Enrolled(one, host=host, room=room, fresh=one.name in fresh) for one in devices)
        await asyncio.wrap_future(self._writer.tell(cmd.Open(self._enrolled(arrived, host))))

    async def claim(self, host: str, seconds: float) -> tuple[Order, ...]:
        """See ``Desk.claim``."""
        return await self._mail.take(host, seconds)

    async def tell(self, command: Command) -> dict[str, int]:
        """See ``Desk.tell``."""
        outcome = await asyncio.wrap_future(self._writer.tell(command))
        return {"seq": outcome.seq}

    async def _known(self, workload: Workload, submission: Submission) -> bool:
        """Whether the store has an answer, or no phone would do: both can be said without the network."""
        devices = [_device_of(phone) for phone in self.view().phones if phone.present]
        platforms = {device.platform for device in devices if submission.selector.matches(device)}
        thresholds = {None, submission.threshold_ms}
        keys = [answer_key(workload, platform, threshold) for platform in platforms for threshold in thresholds]
        return not keys or await self._reader.ask(lambda store: any(store.known(key) is not None for key in keys))

    async def _ask[Result](self, question: Callable[[Coordinator], Result]) -> Result:
        return await asyncio.wrap_future(self._writer.ask(question))

    def _phone(self, name: str) -> PhoneView:
        phone = self._projection.phone(name)
        if phone is None:
            raise NoDeviceError(f"this lab has no phone {name!r}; see: fer-lab devices")
        return phone

    def _enrolled(self, arrived: tuple[Enrolled, ...], host: str = "") -> tuple[Enrolled, ...]:
        """Return the phones here, those that *arrived* at *host*, and those of other hosts that were here before."""
        coordinator = self._coordinator
        phones = coordinator.state.phones.values() if coordinator is not None else ()
        elsewhere = tuple(
            Enrolled(phone.device, host=phone.host, room=phone.room, fresh=False)
            for phone in phones
            if phone.present and phone.device.name not in self._here and phone.host != host
        )
        return (*self._lab.crew.enrolled, *elsewhere, *arrived)

    def _opened(self) -> Core:
        """Make the core; in the writer's thread, as are the two methods below."""
        core = self._lab.open(self._committed)
        self._coordinator = core.coordinator
        self._projection.load(core.coordinator.state)
        return core

    def _committed(self, rows: Sequence[Row]) -> None:
        if self._coordinator is None:
            return
        bodies = [orjson.loads(row.body) for row in rows]
        self._projection.update(self._coordinator.state, touched_by(bodies))
        self.feed.publish(feed_item(row, body) for row, body in zip(rows, bodies, strict=True))

    def _follow(self, outcomes: list[Outcome]) -> None:
        answers = [answer for outcome in outcomes for answer in outcome.answers]
        away: dict[str, list[Order]] = {}
        for order in (order for outcome in outcomes for order in outcome.orders):
            if order.lease.device in self._here:
                self._lab.crew.put(order)
            else:
                away.setdefault(self.host_of(order.lease.device), []).append(order)
        if self._loop is not None and (answers or away):
            self._loop.call_soon_threadsafe(self._deliver, answers, away)

    def _deliver(self, answers: Sequence[Answer], away: dict[str, list[Order]]) -> None:
        self._tickets.answered(answers)
        for host, orders in away.items():
            self._mail.put(host, orders)


def feed_item(row: Row, body: dict[str, Any]) -> FeedItem:
    """Return *row* of the log, whose JSON is *body*, as it goes over the feed."""
    text = f'{{"seq":{row.seq},"at":{row.at!r},"event":{row.body}}}'
    return FeedItem.model_construct(seq=row.seq, kind=body["kind"], device=_device(body), body=text)


def touched_by(bodies: Sequence[dict[str, Any]]) -> Touched:
    """Return what the events with these *bodies* are about."""
    return Touched(
        phones={_device(body) for body in bodies},
        questions={body.get("question", "") for body in bodies},
        incidents={body["number"] for body in bodies if "number" in body},
    )


def _device_of(phone: PhoneView) -> Device:
    platform = Platform(product=phone.product, os_build=phone.os_build, runtime=phone.runtime, source=phone.source)
    return Device(name=phone.name, platform=platform)


def _device(body: dict[str, Any]) -> str:
    device = body.get("device", "")
    return str(device["name"] if isinstance(device, dict) else device)


def _standing(coordinator: Coordinator, key: str, workload: Workload | None = None) -> Ticket | None:
    """Return how the request *key* stands; None if nobody made it.

    Raises:
        ConfigError: it asks for another network than *workload*.
    """
    state = coordinator.state
    if key in state.requests:
        asked = state.questions[state.requests[key]].workload
        _check_same(key, workload, (asked.fingerprint, asked.threads))
        return Ticket(key=key, stage="waiting")
    answer = coordinator.answer(key)
    if answer is None:
        return None
    if answer.measurement is not None:
        _check_same(key, workload, (answer.measurement.fingerprint, answer.measurement.threads))
    return ticket_of(answer)


def _check_same(key: str, workload: Workload | None, asked: tuple[str, int]) -> None:
    if workload is not None and (workload.fingerprint, workload.threads) != asked:
        raise ConfigError(f"{key} is another request's: it asks for graph {asked[0][:12]} on {asked[1]} thread(s)")
