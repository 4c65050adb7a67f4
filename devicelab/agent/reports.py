"""How what an agent has to say reaches the lab's service: commands as requests, networks as files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from devicelab import commands as cmd
from devicelab.api import ROOT
from devicelab.client import LabClient
from devicelab.commands import Command, Order
from devicelab.conversation import LONG_POLL_SECONDS, SHORT_SECONDS, UPLOAD_SECONDS, Ask
from devicelab.device import Device
from devicelab.errors import StoreError
from devicelab.measurement import Workload

LONGEST_MESSAGE = 2000
"""Characters of a failure's words that the service takes."""


def report(command: Command) -> Ask:
    """Return the request that tells *command*, which is a worker's.

    Raises:
        TypeError: it is none that an agent tells.
    """
    match command:
        case cmd.Started(device, token):
            return _about(device, f"{token}/started")
        case cmd.Heartbeat(device, token):
            return _about(device, f"{token}/heartbeat")
        case cmd.Read(device, token, reading, times):
            return _about(device, f"{token}/read", reading=reading.model_dump(mode="json"), times=times)
        case cmd.Failed(device, token, message, fault, workload, reason):
            told = {"message": message[:LONGEST_MESSAGE], "fault": fault, "workload": workload, "reason": reason}
            return _about(device, f"{token}/failed", **told)
        case cmd.Done(device, token, health, factor, error):
            told = {"health": health.model_dump(mode="json"), "factor": factor, "error": error}
            return _about(device, f"{token}/done", **told)
        case cmd.Lost(device, fault, message):
            return _about(device, "lost", fault=fault, message=message[:LONGEST_MESSAGE])
    raise TypeError(f"no agent tells {command!r}")


def hello(devices: Iterable[Device], room: str, fresh: Iterable[str] = ()) -> Ask:
    """Return the request that says which phones there are; those that are *fresh* have a new worker."""
    body = {"devices": [device.model_dump() for device in devices], "room": room, "fresh": sorted(fresh)}
    return Ask("POST", f"{ROOT}/agent/hello", body=body)


def claim() -> Ask:
    """Return the request for orders, which the service answers as soon as there is one."""
    seconds = LONG_POLL_SECONDS + SHORT_SECONDS
    return Ask("POST", f"{ROOT}/agent/claim", query={"wait": f"{LONG_POLL_SECONDS:g}"}, seconds=seconds)


def brought(order: Order, lab: LabClient, folder: Path) -> Order:
    """Return *order* with its network in a file below *folder*, fetched from *lab* if it is not there yet.

    Raises:
        DeviceLabError: it cannot be had.
        StoreError: what arrived is another file, or cannot be written.
    """
    if order.workload is None:
        return order
    digest = order.workload.path.stem
    path = folder / f"{digest}.tflite"
    if not path.is_file():
        draft = path.with_suffix(f".{order.lease.device}.arriving")
        try:
            lab.ask(Ask("GET", f"{ROOT}/artifacts/{digest}/content", into=draft, seconds=UPLOAD_SECONDS))
            if hashlib.sha256(draft.read_bytes()).hexdigest() != digest:
                raise StoreError(f"the network {digest[:12]} arrived with another content")
            draft.replace(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)
    workload = Workload(path=path, fingerprint=order.workload.fingerprint, threads=order.workload.threads)
    return order.model_copy(update={"workload": workload})


def _about(device: str, path: str, **body: object) -> Ask:
    return Ask("POST", f"{ROOT}/agent/{device}/{path}", body=body)
