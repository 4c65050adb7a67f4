"""Where a running service is: the options ``--url`` and ``--token-file``, and the client that they make."""

from collections.abc import Callable
from pathlib import Path

import click

from devicelab.client import TOKEN_VARIABLE, URL_VARIABLE, LabClient, find_token
from devicelab.errors import ConfigError

PATIENCE_SECONDS = 5.0
"""How long a person waits for a service that does not answer."""

_url = click.option(
    "--url", envvar=URL_VARIABLE, show_envvar=True, help="A running lab's service, for example http://localhost:8750."
)
_token_file = click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"A file with the token for it.  [default: the variable {TOKEN_VARIABLE}]",
)


def service[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Give *command* the options ``--url`` and ``--token-file``."""
    return _url(_token_file(command))


def client(url: str | None, token_file: Path | None) -> LabClient:
    """Return a client of the service at *url*.

    Raises:
        ConfigError: no address is given.
        AccessError: there is no token.
    """
    if url is None:
        raise ConfigError(f"say where the lab's service is: --url http://host:8750, or set {URL_VARIABLE}")
    return LabClient(url, find_token(token_file), patience=PATIENCE_SECONDS)
