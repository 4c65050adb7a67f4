"""Run the application in a process of its own until it is told to stop."""

import logging
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from devicelab.errors import ServiceError

logger = logging.getLogger(__name__)
SHUTDOWN_SECONDS = 5
"""How long answers that are under way may take when the service is told to stop."""


class _Server(uvicorn.Server):
    """Tells the live streams to end before it waits for connections to close: they would never end by themselves."""

    def __init__(self, config: uvicorn.Config, leaving: Callable[[], None]) -> None:
        super().__init__(config)
        self._leaving = leaving

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._leaving()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on *host* and *port*; port 0 takes any that is free.

    Raises:
        ServiceError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ServiceError(f"{host}:{port} cannot be used: {error.strerror}; choose another with --port") from None
    return listener


def run(app: FastAPI, listener: socket.socket, leaving: Callable[[], None]) -> None:
    """Serve *app* on *listener* until SIGINT or SIGTERM; *leaving* is called first when one arrives."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    _Server(config, leaving).run(sockets=[listener])
