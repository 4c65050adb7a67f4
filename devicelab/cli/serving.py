"""The command that runs the lab for others: ``serve``."""

from pathlib import Path

import click

from devicelab.cli.root import cli, config_at, lab, store

MEGABYTE = 1 << 20


@cli.command()
@lab
@store
@click.option(
    "--tokens",
    "tokens_path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="FER_LAB_TOKENS",
    default=Path("tokens.json"),
    show_default=True,
    show_envvar=True,
    help="Who may use it; see fer-lab token.",
)
@click.option(
    "--uploads",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("uploads"),
    show_default=True,
    help="Where the networks that searches send are kept.",
)
@click.option("--max-upload-mb", type=click.IntRange(1, 2048), default=128, show_default=True, help="Most of one file.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; put TLS in front of others."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8750, show_default=True, help="0 takes any free port.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0.1, max=100),
    default=1.0,
    show_default=True,
    help="Simulated phones live so many times as fast as real ones.",
)
def serve(
    *,
    lab_path: Path | None,
    store_path: Path,
    tokens_path: Path,
    uploads: Path,
    max_upload_mb: int,
    host: str,
    port: int,
    speed: float,
) -> None:
    """Run the lab as a service: HTTP for searches, a web page for people, metrics for Prometheus.

    It is the only writer of its store. Stopping it loses nothing: requests go on when it is back.

    Example: fer-lab serve --lab lab.toml --speed 20
    """
    from devicelab.service.app import create_app
    from devicelab.service.auth import Tokens
    from devicelab.service.opening import desk_for
    from devicelab.service.server import listen, run
    from devicelab.service.uploads import Uploads

    tokens = Tokens(tokens_path)
    if not tokens.grants():
        click.echo(f"fer-lab: nobody has a token in {tokens_path} yet; make one: fer-lab token add NAME", err=True)
    desk = desk_for(config_at(lab_path), store_path, speed)
    limit = max_upload_mb * MEGABYTE
    with listen(host, port) as listener:
        desk.start()
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"device lab: http://{shown}:{listener.getsockname()[1]}", err=True)
        run(create_app(desk, tokens, Uploads(uploads, limit), limit), listener, desk.feed.close)
