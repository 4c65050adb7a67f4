"""A lab that only remembers what it was told, behind the real application, with a token for every role."""

import asyncio
import hashlib
import threading
from collections import Counter

import pytest
import uvicorn
from fastapi.testclient import TestClient

from devicelab.api import Ticket
from devicelab.device import Health
from devicelab.errors import ConfigError, NoDeviceError
from devicelab.graph import read_graph
from devicelab.service.app import create_app
from devicelab.service.auth import ROLES, Tokens
from devicelab.service.feed import Feed, FeedItem
from devicelab.service.server import listen
from devicelab.service.uploads import Uploads
from devicelab.service.views import (
    MOODS,
    FactorPoint,
    History,
    IncidentView,
    LabView,
    Moment,
    PhoneView,
    QueueView,
    Span,
)

MAX_BYTES = 1 << 20


def phone(number, state="READY", **fields):
    health = Health(
        temperature_c=25 + number / 8, battery_percent=40 + number % 50, frequency_mhz=1.8e3, nominal_mhz=1.8e3
    )
    facts = {"product": "Moto G6", "os_build": "Android 9", "runtime": "TFLite", "source": "simulated"}
    return PhoneView(name=f"moto-g6-{number}", state=state, since=1e9, health=health, **facts, **fields)


class RememberingDesk:
    """A desk without a lab: states are what an operator said last."""

    def __init__(self, phones):
        self.feed = Feed()
        self.phones = {phone.name: phone for phone in phones}
        self.requests, self.orders, self.asked, self.answers, self.told = {}, [], Counter(), {}, []

    async def open(self):
        self.feed.bind(0)

    def close(self):
        self.feed.close()

    def view(self):
        waiting = QueueView(question="q", search="demo", fingerprint="f" * 64, threads=4, since=1e9)
        incident = IncidentView(number=1, place="room a", fault="F20", phones=("moto-g6-1",), opened_at=1e9)
        return LabView(
            seq=self.feed.last, at=1e9, phones=tuple(self.phones.values()), queue=(waiting,), incidents=(incident,)
        )

    def view_json(self, part):
        self.asked[part] += 1
        return self.view().model_dump_json().encode()

    async def history(self, device):
        spans = (Span(state="READY", start=1e9, end=1e9 + 9), Span(state="LEASED", start=1e9 + 9, end=1e9 + 20))
        points = (FactorPoint(at=1e9, factor=1.01, error=0.002), FactorPoint(at=2e9, factor=1.02))
        return History(spans=spans, points=points, moments=(Moment(seq=1, at=1e9, kind="x", text="<script>"),))

    async def measurements(self, limit):
        return [{"limit": limit}]

    async def events(self, after, limit):
        return [
            FeedItem(seq=seq, kind="old", body=f'{{"seq":{seq}}}')
            for seq in range(after + 1, min(after + limit, 5) + 1)
        ]

    async def ticket(self, key):
        return Ticket(key=key, stage="waiting") if key in self.requests else None

    async def submit(self, key, submission, file):
        if self.requests.setdefault(key, submission) != submission:
            raise ConfigError(f"{key} is another request's")
        if submission.fingerprint in self.answers:
            return Ticket(key=key, stage="ended", **self.answers[submission.fingerprint])
        return Ticket(key=key, stage="waiting", upload=file is None)

    async def wait(self, key, seconds):
        await asyncio.sleep(min(seconds, 0.02))
        return Ticket(key=key, stage=f"waited {seconds:g} s")

    def host_of(self, device):
        return self.phones[device].host if device in self.phones else ""

    async def arrive(self, host, room, devices, fresh=()):
        self.arrived = (host, room, [device.name for device in devices], set(fresh))

    async def claim(self, host, seconds):
        return ()

    async def tell(self, command):
        self.told.append(command)
        return {"seq": 7}

    async def operate(self, device, action, who, why):
        if device not in self.phones:
            raise NoDeviceError(f"this lab has no phone {device!r}")
        self.orders.append((device, action, who, why))
        self.phones[device] = self.phones[device].model_copy(update={"state": "MAINTENANCE", "cause": f"{who}: {why}"})
        self.feed.publish([FeedItem(seq=self.feed.last + 1, kind="transition", device=device, body="{}")])


@pytest.fixture
def desk():
    states = [*MOODS, *["READY"] * 50]
    return RememberingDesk([phone(number, state) for number, state in enumerate(states, 1)])


@pytest.fixture
def max_bytes():
    return MAX_BYTES


@pytest.fixture
def tokens(tmp_path):
    return Tokens(tmp_path / "tokens.json")


@pytest.fixture
def token(tokens):
    return {role: tokens.add(f"some-{role}", role, 1e9) for role in ROLES}


@pytest.fixture
def app(desk, tokens, tmp_path):
    return create_app(desk, tokens, Uploads(tmp_path / "uploads", MAX_BYTES), MAX_BYTES)


@pytest.fixture
def web(app):
    """A client without a token."""
    with TestClient(app) as client:
        yield client


@pytest.fixture
def of(token):
    """Return the headers of somebody with a role."""
    return lambda role: {"Authorization": f"Bearer {token[role]}"}


@pytest.fixture
def network(model):
    """A sound .tflite: its bytes, digest and fingerprint."""
    content = model.read_bytes()
    return content, hashlib.sha256(content).hexdigest(), read_graph(model).fingerprint


class Running:
    """The application behind a real socket, in a thread; it can be stopped and started again on the same port."""

    def __init__(self, make_app):
        self._make_app, self._port, self._server = make_app, 0, None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}"

    def start(self):
        listener = listen("127.0.0.1", self._port)
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(self._make_app(), log_config=None, ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()

    def stop(self):
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def running(desk, tokens, tmp_path):
    started = Running(lambda: create_app(desk, tokens, Uploads(tmp_path / "uploads", MAX_BYTES), MAX_BYTES))
    yield started
    started.stop()
