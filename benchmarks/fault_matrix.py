"""Inject each fault of the control channel into push, start, run and read of a measurement, and print what came of it.

    make lab-tools
    python benchmarks/fault_matrix.py --out docs/fault-matrix.md

Two emulated phones behind one real Appium and one real adb server; the second one measures all the while. Right is: the
fault came, the first phone's measurement was right in the end, every error on the way was recognised, and the second
phone neither failed nor measured another time. About 15 minutes for the whole matrix; --fault and --when choose a part.
"""

import sys
import tempfile
import time
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from rehearsal import Outcome, Stage

FAULTS = (
    "drop",
    "unplug",
    "hang",
    "crash-uia2",
    "crash-app",
    "wedge-app",
    "unauthorize",
    "reboot",
    "hot",
    "throttle",
    "storage-full",
    "truncate-log",
    "wrong-args",
    "pop-up",
    "empty-battery",
    "sick-battery",
    "duplicate-serial",
)
WHENS = ("push", "start", "run", "read")


@click.command()
@click.option("--fault", "faults", multiple=True, default=FAULTS, help="Only these.")
@click.option("--when", "whens", multiple=True, default=WHENS, help="Only these moments.")
@click.option("--android", default="9", help="The system of the phones: 8.0 or 9.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the table; standard output otherwise.")
def main(faults: tuple[str, ...], whens: tuple[str, ...], android: str, out: Path | None) -> None:
    """Print a table with a row for each fault and moment."""
    lines = [
        "| fault | when | outcome | on the way | time / truth | other phone | seconds |",
        "|" + " --- |" * 7,
    ]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), android)
        try:
            for fault in faults:
                for when in whens:
                    started = time.monotonic()
                    try:
                        outcome = stage.rehearse(fault, when)
                    except AssertionError as error:
                        outcome = Outcome(fault, when, raised=[str(error)])
                    wrong += not outcome.right
                    lines.append(row(outcome, time.monotonic() - started))
                    print(lines[-1], file=sys.stderr, flush=True)
            forwards, orphans = stage.leftovers()
        finally:
            stage.close()
    lines += ["", f"Wrong: {wrong}. Forwards left: {len(forwards)}. Processes left: {len(orphans)}."]
    text = "\n".join(lines) + "\n"
    print(text) if out is None else out.write_text(text, encoding="utf-8")
    sys.exit(1 if wrong or forwards or orphans else 0)


def row(outcome: Outcome, seconds: float) -> str:
    """Return *outcome* as a row of the table."""
    errors = [text.split()[0] for text in outcome.raised] + outcome.refused
    verdict = outcome.kind if outcome.right else "WRONG"
    if not outcome.right:
        errors = [*outcome.raised, *outcome.refused]
    cells = (outcome.fault, outcome.when, verdict, ", ".join(errors) or "none", f"{outcome.ratio:.3f}")
    other = f"{outcome.others} right" if not outcome.wrong else f"{outcome.wrong} of {outcome.others} WRONG"
    return "| " + " | ".join(cells) + f" | {other} | {seconds:.0f} |"


if __name__ == "__main__":
    main()
