"""Which port of this host is whose: the same phone always gets the same one. The registry is pure; a file keeps it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from devicelab.config import AppiumPhone
from devicelab.errors import ConfigError

FIRST_SYSTEM_PORT = 8200
"""Where UiAutomator2's own range begins (8200 to 8299)."""


def assigned(known: Mapping[str, int], phones: Iterable[AppiumPhone]) -> dict[str, int]:
    """Return {udid: port} of *phones*: the configured one, else the one it has been *known* by, else the lowest left.

    A port that a phone had once is not given to another one while there are others, so that a forward that was left
    over never leads to the wrong phone.
    """
    phones = list(phones)
    found = {phone.udid: phone.system_port for phone in phones if phone.system_port}
    reserved = set(found.values())
    for phone in phones:
        if phone.udid not in found and known.get(phone.udid, 0) not in {0, *reserved}:
            found[phone.udid] = known[phone.udid]
    taken = {*found.values(), *known.values()}
    for phone in phones:
        if phone.udid not in found:
            port = next(port for port in range(FIRST_SYSTEM_PORT, 65536) if port not in taken)
            taken.add(port)
            found[phone.udid] = port
    return found


def remembered(path: Path, phones: Iterable[AppiumPhone]) -> list[AppiumPhone]:
    """Return *phones* with the port that the file at *path* knows each by, which learns those that are new.

    Raises:
        ConfigError: the file cannot be used.
    """
    phones = list(phones)
    try:
        known: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        ports = assigned(known, phones)
        path.write_text(json.dumps({**known, **ports}, indent=2, sort_keys=True), encoding="utf-8")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{path}: no registry of ports ({error}); remove it, and phones get new ports") from None
    return [phone.model_copy(update={"system_port": ports[phone.udid]}) for phone in phones]
