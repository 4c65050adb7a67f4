"""The contact sheet: the one place where photographs of a user's set are drawn, and the rule for when that may be.

Licensed sets may not be published, and a picture that exists gets around. So none is made unless the faces are
rendered, the set's card allows it, or the user says that only they will look.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_core.data.catalog import card
from fer_core.data.faces import Example
from fer_core.data.harvest import harvest
from fer_core.data.listing import list_source
from fer_core.data.loading import cropping, is_synthetic
from fer_core.data.sources import DataSource
from fer_core.errors import ConfigError, DataError
from fer_core.labels import EXPRESSIONS

_SIDE = 96
_COLUMNS = 10


def check_may_show(source: DataSource, *, i_may_look: bool) -> None:
    """Refuse to draw faces that may not be shown.

    Raises:
        ConfigError: neither the set's terms nor the user allow it.
    """
    about = card(source.layout)
    if not (i_may_look or about.may_show_faces or is_synthetic(source.path)):
        raise ConfigError(
            f"{source.path}: no contact sheet of {about.name}: its faces may not be shown ({about.licence}). "
            "If its terms let you look and the picture stays with you, say --i-may-look"
        )


def contact_sheet(source: DataSource, out: Path, *, i_may_look: bool = False) -> int:
    """Draw up to ten faces of each class, one row a class, to the PNG *out*; return how many were drawn.

    They are cut out as for a network: rows of tables and frames of videos are drawn, too.

    Raises:
        ConfigError: the faces may not be shown.
        DataError: the folder holds nothing usable, or *out* cannot be written.
    """
    from PIL import Image

    check_may_show(source, i_may_look=i_may_look)
    examples = list_source(source).examples
    sheet = np.full((_SIDE * len(EXPRESSIONS), _SIDE * _COLUMNS, 3), 255, dtype=np.uint8)
    drawn = 0
    for row, expression in enumerate(EXPRESSIONS):
        chosen = _spread([example for example in examples if example.expression == expression])
        for column, (_, face) in enumerate(harvest(chosen, _SIDE, cropping(source))):
            if face is not None:
                sheet[row * _SIDE :, column * _SIDE :][:_SIDE, :_SIDE] = face
                drawn += 1
    try:
        Image.fromarray(sheet).save(out, format="PNG")
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror or error}") from error
    return drawn


def _spread(examples: Sequence[Example]) -> list[Example]:
    """Return up to ten of *examples*, evenly spread."""
    picks = np.linspace(0, len(examples) - 1, min(_COLUMNS, len(examples))).round().astype(int)
    return [examples[pick] for pick in picks.tolist()]
