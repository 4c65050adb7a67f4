"""Plan -> files: renders what is missing, in several processes, each picture written atomically.

The same options give the same bytes whatever the number of processes: every person and every picture has a
seed of its own. ``synthetic.json`` marks the tree as rendered and says whether it is complete.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from fer_core.data.loading import SYNTHETIC_MARK
from fer_core.data.synthetic.assets import data_folder, load_assets
from fer_core.data.synthetic.identity import draw_subject
from fer_core.data.synthetic.picture import Studio
from fer_core.data.synthetic.plan import RENDERER, Person, RenderOptions, plan
from fer_core.data.workers import in_processes
from fer_core.errors import ConfigError, DataError
from fer_core.labels import EXPRESSIONS

logger = logging.getLogger(__name__)

_QUALITY = 92
_NOTE = "Rendered from CC0 MakeHuman assets. No real people; scores on these pictures say nothing about real children."


def render(
    out: Path, options: RenderOptions, *, processes: int, progress: Callable[[int, int], None] | None = None
) -> int:
    """Render the set of *options* into *out* and return how many pictures had to be made: 0 if all were there.

    *progress* is called with (pictures done, pictures to make). An interrupted call is finished by the next.

    Raises:
        ConfigError: *out* holds a set made with other options, or the assets are not installed.
        DataError: *out* cannot be written, or is a folder of something else.
    """
    data_folder()
    people = plan(options)
    _claim(out, options, people)
    missing = _missing(out, people)
    todo = sum(len(person.photos) for person in missing)
    done = 0
    for made in _rendered(out, missing, options.size, processes):
        done += made
        if progress is not None:
            progress(done, todo)
    _mark(out, options, people, complete=True)
    return todo


def _claim(out: Path, options: RenderOptions, people: tuple[Person, ...]) -> None:
    """Make sure that *out* is ours to write: new, empty, or begun with the same options."""
    mark = out / SYNTHETIC_MARK
    if mark.is_file():
        try:
            about = json.loads(mark.read_text(encoding="utf-8"))
            found = (about["renderer"], about["options"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{mark}: cannot be read ({error}); delete the folder or choose another") from error
        if found != (RENDERER, options.model_dump(mode="json")):
            raise ConfigError(
                f"{out}: holds a set made with other options ({about['options']}, renderer {about['renderer']}); "
                "choose another folder or delete this one"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: exists and is no rendered set; choose a new or empty folder")
    else:
        _mark(out, options, people, complete=False)


def _mark(out: Path, options: RenderOptions, people: tuple[Person, ...], *, complete: bool) -> None:
    about = {
        "note": _NOTE,
        "renderer": RENDERER,
        "options": options.model_dump(mode="json"),
        "people": len(people),
        "pictures": sum(len(person.photos) for person in people),
        "complete": complete,
    }
    _write(out / SYNTHETIC_MARK, (json.dumps(about, indent=2) + "\n").encode())


def _missing(out: Path, people: tuple[Person, ...]) -> list[Person]:
    """Return the people of whom a picture is missing, with only the missing pictures."""
    reduced = (
        replace(person, photos=tuple(photo for photo in person.photos if not (out / photo.path).is_file()))
        for person in people
    )
    return [person for person in reduced if person.photos]


def _rendered(out: Path, people: list[Person], size: int, processes: int) -> Iterator[int]:
    """Yield the number of pictures just written, person by person, in the order in which they get ready."""
    yield from in_processes(_render_person, [(out, person, size) for person in people], processes)


@cache
def _studio() -> Studio:
    return Studio(load_assets())


def _render_person(out: Path, person: Person, size: int) -> int:
    """Write the pictures of one person. Runs in a worker."""
    studio = _studio()
    subject = draw_subject(
        studio.assets, person.name, group=person.group, kind=person.kind, sex=person.sex, seed=person.seed
    )
    for photo in person.photos:
        rng = np.random.default_rng(photo.seed)
        picture = studio.photograph(subject, photo.expression, mouth_open=photo.mouth_open, size=size, rng=rng)
        _, data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        _write(out / photo.path, data.tobytes())
    return len(person.photos)


def _write(path: Path, data: bytes) -> None:
    """Write *data* to *path* so that the file is either absent or complete."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error


def contact_sheet(out: Path, options: RenderOptions, file: Path, rows: int = 12) -> None:
    """Write a PNG with one person a row and one expression a column, from the rendered set in *out*.

    Raises:
        DataError: *file* cannot be written.
    """
    people = plan(options)
    chosen = [people[int(number)] for number in np.linspace(0, len(people) - 1, min(rows, len(people)))]
    sheet = np.full((len(chosen) * options.size, len(EXPRESSIONS) * options.size, 3), 255, dtype=np.uint8)
    for row, person in enumerate(chosen):
        shown = {photo.expression: photo.path for photo in person.photos}
        for expression, path in shown.items():
            column = EXPRESSIONS.index(expression)
            picture = cv2.imread(str(out / path))
            if picture is not None:
                top, left = row * options.size, column * options.size
                sheet[top : top + options.size, left : left + options.size] = picture
    _, data = cv2.imencode(".png", sheet)
    _write(file, data.tobytes())
