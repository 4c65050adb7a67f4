"""``fer-lab``: the operators' command. Each module holds the commands for one kind of work and adds them to ``cli``."""

from devicelab.cli import doctoring, emulating, looking, measuring, operating, tokens
from devicelab.cli.root import cli

__all__ = ["cli", "doctoring", "emulating", "looking", "main", "measuring", "operating", "tokens"]


def main() -> None:
    """Run ``fer-lab``."""
    cli()
