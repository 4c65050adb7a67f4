"""Workers of phones in a service or an agent: a thread each, so that one that hangs stops none."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from devicelab.commands import Command, Enrolled, Heartbeat, Order, Outcome
from devicelab.errors import DeviceLabError, LeaseError, ServiceError, StoreError
from devicelab.protocols import Clock, Driver
from devicelab.worker import work

logger = logging.getLogger(__name__)

type Tell = Callable[[Command], Future[Outcome]]
RETRY_SECONDS = 1.0
"""How long a worker waits before it tells again what could not be written (a full disk), or was not heard."""


class Workers:
    """A thread for each of *drivers*, by the names of their phones, and one that says that all of them live.

    *clock* is the phones' time; *heartbeat_seconds* of it pass between two signs of life.
    """

    def __init__(
        self, enrolled: tuple[Enrolled, ...], drivers: Mapping[str, Driver], clock: Clock, heartbeat_seconds: float
    ) -> None:
        self.enrolled = enrolled
        self._drivers = drivers
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._orders: dict[str, queue.SimpleQueue[Order | None]] = {name: queue.SimpleQueue() for name in drivers}
        self._active: dict[str, int] = {}
        self._stopped = threading.Event()
        self._tell: Tell | None = None

    def start(self, tell: Tell) -> None:
        """Be ready for orders; what workers say goes to *tell*."""
        self._tell = tell
        for name in self._drivers:
            threading.Thread(target=self._live, args=(name,), name=f"phone-{name}", daemon=True).start()
        threading.Thread(target=self._beat, name="heartbeats", daemon=True).start()

    def put(self, order: Order) -> None:
        """Have *order* done; returns at once."""
        self._orders[order.lease.device].put(order)

    def stop(self) -> None:
        """Take no more orders. What a phone is at is dropped: its lease ends when the lab opens again."""
        self._stopped.set()
        for orders in self._orders.values():
            orders.put(None)

    def _live(self, name: str) -> None:
        driver = self._drivers[name]
        while (order := self._orders[name].get()) is not None:
            self._active[name] = order.lease.token
            try:
                self._do(driver, order)
            except LeaseError as error:
                logger.info("%s: stops: %s", name, error)
            except DeviceLabError:
                logger.exception("%s: an order was refused", name)
            except Exception:
                logger.exception("%s: the worker failed; its lease will expire", name)
            finally:
                self._active.pop(name, None)
        driver.close()

    def _do(self, driver: Driver, order: Order) -> None:
        """Walk through *order* and tell what becomes of it.

        Raises:
            LeaseError: it is somebody else's turn.
        """
        for command in work(driver, order, self._clock):
            self._say(command)

    def _say(self, command: Command) -> None:
        while not self._stopped.is_set() and self._tell is not None:
            try:
                self._tell(command).result()
            except (StoreError, ServiceError) as error:
                logger.warning("told again in a moment: %s", error)
                self._stopped.wait(RETRY_SECONDS)
            else:
                return
        raise LeaseError("the lab is closing")

    def _beat(self) -> None:
        while not self._stopped.is_set() and self._tell is not None:
            self._clock.sleep(self._heartbeat_seconds)
            for name, token in list(self._active.items()):
                self._tell(Heartbeat(name, token)).add_done_callback(_heard)


def _heard(future: Future[Outcome]) -> None:
    """Let a refused heartbeat pass: the worker hears the same when it tells its next word."""
    if (error := future.exception()) is not None:
        logger.info("a heartbeat was refused: %s", error)
