"""Commands for who may use the service: ``token add | list | revoke``."""

from pathlib import Path

import click

from devicelab.cli.printing import print_json, print_table, table, when
from devicelab.cli.root import as_json, cli
from devicelab.errors import NoDeviceError
from devicelab.protocols import SystemClock
from devicelab.service.auth import ROLES, Role, Tokens

_file = click.option(
    "--tokens",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="FER_LAB_TOKENS",
    default=Path("tokens.json"),
    show_default=True,
    show_envvar=True,
    help="The file with the digests of tokens; only its owner may read it.",
)


@cli.group()
def token() -> None:
    """Say who may use the lab's service, and for what.

    Example: fer-lab token add ann --role operator
    """


@token.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="search",
    show_default=True,
    help="read-only looks, search also measures, operator also acts on phones, agent is a host with phones.",
)
@_file
def add(*, name: str, role: Role, path: Path) -> None:
    """Make a token for NAME and print it. It is not kept anywhere and cannot be shown again.

    Example: fer-lab token add demo-search --role search > token
    """
    click.echo(Tokens(path).add(name, role, SystemClock().now()))


@token.command()
@click.argument("name")
@_file
def revoke(*, name: str, path: Path) -> None:
    """Take NAME's token away; it counts from the next request on.

    Example: fer-lab token revoke demo-search
    """
    Tokens(path).revoke(name)


@token.command("list")
@_file
@as_json
def list_(*, path: Path, as_json: bool) -> None:
    """List who has a token and which role.

    Example: fer-lab token list
    """
    grants = Tokens(path).grants()
    if as_json:
        print_json([grant.model_dump(exclude={"sha256"}) for grant in grants])
    else:
        made = table("name", "role", "since")
        for grant in grants:
            made.add_row(grant.name, grant.role, when(grant.created_at))
        print_table(made)
    if not grants:
        raise NoDeviceError(f"{path}: nobody has a token yet; make one with: fer-lab token add NAME")
