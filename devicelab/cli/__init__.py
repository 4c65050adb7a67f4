"""``fer-lab``: the operators' command. Each module holds the commands for one kind of work and adds them to ``cli``."""

from devicelab.cli import (
    doctoring,
    emulating,
    hosting,
    keeping,
    looking,
    measuring,
    operating,
    serving,
    simulating,
    tokens,
)
from devicelab.cli.root import cli

__all__ = [
    "cli",
    "doctoring",
    "emulating",
    "hosting",
    "keeping",
    "looking",
    "main",
    "measuring",
    "operating",
    "serving",
    "simulating",
    "tokens",
]


def main() -> None:
    """Run ``fer-lab``."""
    cli()
