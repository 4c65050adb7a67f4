"""No file that the project ships, and none that its commands write unasked, may show a face of a licensed set."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ico", ".mp4", ".avi", ".npz", ".npy"}
SHIPPED = {
    "docs/compute-to-front-live.png",  # a plot
    "docs/front.png",  # a plot
    "docs/lab-phone.png",  # a page of the device lab
    "docs/lab-wall.png",  # another
}
MAY_WRITE_PICTURES = {
    "fer_core/data/plots.py",  # plots of counts
    "fer_core/data/sheet.py",  # the contact sheet: asks the set's card or the user first
    "fer_core/data/synthetic/render.py",  # rendered faces
    "search/plots.py",  # plots
}
WRITES = re.compile(r"\b(imwrite|imencode|savefig|imsave|write_png|fromarray)\b")
EMBEDS = re.compile(r"<img|<image|data:image", re.IGNORECASE)
MODULES = sorted(p for room in ("cluster", "devicelab", "fer_core", "search") for p in (ROOT / room).rglob("*.py"))


def name_of(path):
    return str(path.relative_to(ROOT))


def test_the_repository_holds_no_picture_but_plots():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    pictures = {line for line in listing.stdout.splitlines() if Path(line).suffix.lower() in PICTURES}
    assert pictures - SHIPPED == set()


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p) not in MAY_WRITE_PICTURES], ids=name_of)
def test_only_plots_rendered_faces_and_the_contact_sheet_become_pictures(path):
    assert WRITES.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_page_embeds_a_bitmap(path):
    assert EMBEDS.findall(path.read_text(encoding="utf-8")) == []
