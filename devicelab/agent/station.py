"""The agent's shell: it watches adb, keeps Appium alive, starts phones' processes and speaks with the lab's service.

One thread (``run``) owns the roster; whatever else happens reaches it as an event. Beside it: one that follows adb,
one that looks after Appium, one that waits for orders, one that says hello, and two for each phone (``Workers``).
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devicelab import commands as cmd
from devicelab.agent import roster as ro
from devicelab.agent.bus import Bus
from devicelab.agent.hand import Opening
from devicelab.agent.proxy import ProcessDriver
from devicelab.agent.reports import brought, claim, hello, report
from devicelab.agent.threads import InOrder, beside, detached
from devicelab.client import LabClient
from devicelab.commands import Command, Enrolled, Order, Outcome
from devicelab.config import PhoneConfig
from devicelab.device import Device
from devicelab.errors import AccessError, ConfigError, DeviceLabError
from devicelab.faults import Rung
from devicelab.protocols import Clock
from devicelab.workers import Workers

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""How often the roster is asked what time alone has made due."""
RESTART_SECONDS = 300.0
"""How long a phone that is restarted may be away: ``adb.BOOT_SECONDS`` and a minute to settle."""
PAUSE_SECONDS = 2.0
"""Before the service is asked again when it is in trouble; the client has waited before."""
FAREWELL_SECONDS = 10.0


@dataclass(slots=True)
class _Post:
    """A phone at work: its process, and the threads that walk its orders."""

    driver: ProcessDriver
    workers: Workers


class Station:
    """The agent of *phones*, for the lab that *patient* and *hasty* are clients of; ``run`` it.

    *hasty* gives up soon: it carries heartbeats and the farewell. *bus* is adb and Appium, None if no phone needs them.
    Networks are kept in *folder*.
    """

    def __init__(
        self,
        phones: tuple[PhoneConfig, ...],
        labs: tuple[LabClient, LabClient],
        bus: Bus | None,
        clock: Clock,
        *,
        folder: Path,
        heartbeat_seconds: float,
    ) -> None:
        self._phones = {phone.name: phone for phone in phones}
        self._room = phones[0].room if phones else "local"
        self._patient, self._hasty = labs
        self._bus, self._clock = bus, clock
        self._folder = folder
        self._heartbeat_seconds = heartbeat_seconds
        self._roster = ro.Roster.of(ro.Phone(one.name, getattr(one, "udid", one.name)) for one in phones)
        self._events: queue.SimpleQueue[ro.Event] = queue.SimpleQueue()
        self._posts: dict[str, _Post] = {}
        self._stopped = threading.Event()
        self._failed: DeviceLabError | None = None
        self._desk = InOrder("desk")
        self._greeted = threading.Event()

    def run(self) -> None:
        """Work until :meth:`stop`.

        Raises:
            AccessError, ConfigError: the service does not take this host or its phones.
        """
        simulated = {name: ro.THERE for name, one in self._phones.items() if one.driver == "simulated"}
        if self._bus is not None:
            self._bus.follow(lambda states: self._events.put(ro.Seen({**simulated, **states})), self._stopped)
        else:
            self._events.put(ro.Seen(simulated))
        threading.Thread(target=self._claim, name="claims", daemon=True).start()
        try:
            while not self._stopped.is_set():
                self._look()
        finally:
            self._leave()
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """Let :meth:`run` end; callable from a signal's handler."""
        self._stopped.set()

    def _look(self) -> None:
        try:
            event = self._events.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            event = ro.Passed()
        self._roster, actions = ro.step(self._roster, event, self._clock.now())
        for action in actions:
            self._do(action)

    def _do(self, action: ro.Action) -> None:
        match action:
            case ro.Open(name):
                detached(lambda: self._open(name), f"opening-{name}")
            case ro.Close(name):
                logger.warning("%s: stays away; it is looked for", name)
                self._close(name)
            case ro.Arrive(devices, fresh):
                self._desk.put(lambda: self._greet(devices, fresh))
            case ro.Lose(name, fault, message):
                logger.warning("%s", message)
                self._desk.put(lambda: self._tell_lost(cmd.Lost(name, fault, message)))
            case ro.Connect(udid) if self._bus is not None:
                self._bus.connect(udid)
            case ro.Ignore(serial):
                logger.warning(
                    "%s is not in the configuration: left alone; a [[devices]] with this udid adds it", serial
                )

    def _open(self, name: str) -> None:
        """Start the process of the phone *name* and the threads that walk its orders."""
        phone = self._phones[name]
        server = self._bus.shared() if self._bus is not None else None
        environment = self._bus.environment if self._bus is not None else {}
        try:
            driver = ProcessDriver(Opening(phone, server), environment)
        except (DeviceLabError, OSError) as error:
            logger.warning("%s: cannot be used yet: %s", name, error)
            self._events.put(ro.NotOpened(name))
            return
        workers = Workers((Enrolled(driver.device),), {name: driver}, self._clock, self._heartbeat_seconds)
        self._posts[name] = _Post(driver, workers)
        workers.start(self._tell)
        platform = driver.device.platform
        logger.info(
            "%s: %s, %s, %s (process %d)", name, platform.product, platform.os_build, platform.source, driver.pid
        )
        self._events.put(ro.Opened(name, driver.device))

    def _close(self, name: str) -> None:
        post = self._posts.pop(name, None)
        if post is not None:
            post.workers.stop()
            post.driver.abandon()

    def _greet(self, devices: tuple[Device, ...], fresh: frozenset[str]) -> None:
        """Say which phones there are, until it was heard."""
        while not self._stopped.is_set():
            try:
                self._patient.ask(hello(devices, self._room, fresh))
            except (AccessError, ConfigError) as error:
                self._give_up(error)
            except DeviceLabError as error:
                logger.warning("the lab does not answer; it is asked again: %s", error)
                self._stopped.wait(PAUSE_SECONDS)
            else:
                logger.info("the lab knows: %s", ", ".join(one.name for one in devices) or "no phone here")
                self._greeted.set()
                return

    def _tell_lost(self, command: cmd.Lost) -> None:
        try:
            self._patient.ask(report(command))
        except DeviceLabError as error:
            logger.warning("%s: not told as lost: %s", command.device, error)

    def _tell(self, command: Command) -> Future[Outcome]:
        """Tell a worker's *command* without waiting; a word that the lab refuses is raised by the future."""
        lab = self._hasty if isinstance(command, cmd.Heartbeat) else self._patient
        if isinstance(command, cmd.Failed):
            logger.warning("%s: failed (%s): %s", command.device, command.fault, command.message)
        elif isinstance(command, cmd.Started | cmd.Read | cmd.Done):
            logger.info("%s: %s under lease %d", command.device, type(command).__name__.lower(), command.token)
        return beside(lambda: Outcome(seq=lab.ask(report(command))["seq"]), f"telling-{type(command).__name__}")

    def _claim(self) -> None:
        """Take orders as they come, once the lab knows this host."""
        self._greeted.wait()
        while not self._stopped.is_set():
            try:
                orders = [Order.model_validate(one) for one in self._patient.ask(claim())]
            except (AccessError, ConfigError) as error:
                self._give_up(error)
            except (DeviceLabError, ValueError) as error:
                logger.warning("no orders: %s", error)
                self._stopped.wait(PAUSE_SECONDS)
            else:
                for order in orders:
                    detached(partial(self._deliver, order), f"order-{order.lease.device}")

    def _deliver(self, order: Order) -> None:
        """Hand *order* to the threads of its phone, with its network."""
        name = order.lease.device
        post = self._posts.get(name)
        if post is None:
            return
        logger.info("%s: %s under lease %d", name, order.duty, order.lease.token)
        if order.duty == "recover" and order.rung >= Rung.REBOOT:
            self._events.put(ro.Expected(name, RESTART_SECONDS))
        try:
            post.workers.put(brought(order, self._patient, self._folder))
        except DeviceLabError as error:
            failed = cmd.Failed(name, order.lease.token, f"{name}: {error}", "F28")
            try:
                self._tell(failed).result()
            except DeviceLabError as told:  # its lease is over, or will expire
                logger.info("%s: stops: %s", name, told)
                return
            post.workers.put(order.model_copy(update={"duty": "clean", "workload": None}))

    def _give_up(self, error: DeviceLabError) -> None:
        self._failed = error
        self._stopped.set()

    def _leave(self) -> None:
        """Tell the lab that its phones are gone, so that their work goes elsewhere, and end what was started here."""
        self._stopped.set()
        self._greeted.set()
        if self._posts and self._failed is None:
            farewell = beside(lambda: self._hasty.ask(hello((), self._room)), "farewell")
            _quietly(lambda: farewell.result(FAREWELL_SECONDS))
        for name in list(self._posts):
            self._close(name)


def _quietly(act: Callable[[], object]) -> None:
    try:
        act()
    except (DeviceLabError, TimeoutError) as error:
        logger.warning("the lab was not told that this host leaves: %s", error)
