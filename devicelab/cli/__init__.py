"""``fer-lab``: the operators' command. Each module holds the commands for one kind of work and adds them to ``cli``."""

from devicelab.cli import looking, measuring, tokens
from devicelab.cli.root import cli

__all__ = ["cli", "looking", "main", "measuring", "tokens"]


def main() -> None:
    """Run ``fer-lab``."""
    cli()
