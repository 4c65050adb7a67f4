"""Seven expressions as ranges of face-unit weights.

The units are ARKit's 52 blend shapes (names like ``browDown``) and MakeHuman's own (names like ``nose-elevation``).
Which belong to an expression follows the action units of the Facial Action Coding System (Ekman & Friesen 1978; the
prototypes in Du, Tao & Martinez, PNAS 2014, table 1). ARKit's ``noseSneer`` alone is weak, so disgust adds MakeHuman's
nose elevation and upward mouth retraction.
"""

from collections.abc import Mapping

import numpy as np

from fer_core.labels import Expression

type Range = tuple[float, float]

ALWAYS: dict[Expression, dict[str, Range]] = {
    "anger": {
        "browDown": (0.9, 1.3),
        "eyebrows-down": (0.6, 1.1),
        "eyeSquint": (0.3, 0.7),
        "eyeWide": (0.0, 0.3),
        "noseSneer": (0.1, 0.4),
        "nose-dilatation": (0.2, 0.8),
    },
    "disgust": {
        "noseSneer": (0.8, 1.2),
        "nose-elevation": (0.7, 1.1),
        "nose-compression": (0.2, 0.6),
        "mouth-upward-retraction": (0.5, 0.9),
        "mouthUpperUp": (0.3, 0.7),
        "browDown": (0.2, 0.6),
        "cheekSquint": (0.5, 1.0),
        "eyeSquint": (0.5, 0.9),
        "eyeBlink": (0.05, 0.25),
    },
    "fear": {
        "browInnerUp": (0.8, 1.2),
        "browOuterUp": (0.0, 0.4),
        "browDown": (0.0, 0.25),
        "eyeWide": (0.8, 1.2),
        "eye-opened-up": (0.3, 0.8),
        "mouthStretch": (0.7, 1.1),
        "neck-platysma": (0.2, 0.8),
    },
    "happiness": {
        "mouthSmile": (0.75, 1.1),
        "cheekSquint": (0.4, 1.0),
        "eyeSquint": (0.2, 0.6),
    },
    "neutral": {},
    "sadness": {
        "browInnerUp": (0.8, 1.2),
        "eyebrows-inner-up": (0.2, 0.6),
        "mouthFrown": (0.8, 1.2),
        "eyeBlink": (0.1, 0.35),
        "eyeLookDown": (0.1, 0.5),
    },
    "surprise": {
        "browInnerUp": (0.8, 1.1),
        "browOuterUp": (0.8, 1.1),
        "eyebrows-up": (0.2, 0.6),
        "eyeWide": (0.6, 1.1),
        "jawOpen": (0.45, 0.85),
        "mouthFunnel": (0.15, 0.5),
    },
}
"""Units at work whether the mouth is open or closed, at full intensity."""

CLOSED: dict[Expression, dict[str, Range]] = {
    "anger": {"mouthPress": (0.5, 1.0), "mouthRollLower": (0.2, 0.6), "mouthFrown": (0.2, 0.5)},
    "disgust": {"mouthShrugLower": (0.5, 1.0), "mouthFrown": (0.2, 0.6)},
    "fear": {"jawOpen": (0.0, 0.06)},
    "happiness": {"mouthDimple": (0.0, 0.5)},
    "neutral": {},
    "sadness": {"mouthShrugLower": (0.5, 0.9), "mouth-depression": (0.1, 0.5)},
    "surprise": {},
}
"""Units added when the mouth is closed."""

OPEN: dict[Expression, dict[str, Range]] = {
    "anger": {
        "jawOpen": (0.2, 0.5),
        "mouthUpperUp": (0.4, 0.9),
        "mouthLowerDown": (0.5, 1.0),
        "mouthStretch": (0.1, 0.5),
    },
    "disgust": {
        "jawOpen": (0.25, 0.45),
        "mouthUpperUp": (0.3, 0.6),
        "mouthLowerDown": (0.3, 0.7),
        "tongueOut": (0.6, 1.0),
    },
    "fear": {"jawOpen": (0.15, 0.4), "mouthLowerDown": (0.3, 0.7)},
    "happiness": {"jawOpen": (0.12, 0.35), "mouthUpperUp": (0.5, 0.9), "mouthLowerDown": (0.2, 0.5)},
    "neutral": {"jawOpen": (0.1, 0.25)},
    "sadness": {"jawOpen": (0.12, 0.3), "mouthLowerDown": (0.2, 0.5)},
    "surprise": {},
}
"""Units added when the mouth is open. Open disgust shows the tongue, as most of CAFE's does."""

_MOUTH_OPENERS = {"jawOpen", "tongueOut", "mouthFunnel"}


def sides(unit: str) -> tuple[str, ...]:
    """Return the names that *unit* may have in the assets: as it is, or its left and right halves."""
    part, _, motion = unit.partition("-")
    return (unit, f"{unit}Left", f"{unit}Right", f"{part}-left-{motion}", f"{part}-right-{motion}")


def weights(
    expression: Expression, *, mouth_open: bool, names: Mapping[str, int], rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Draw the weight of every unit, float32 (u,), for one photograph.

    *names* maps the unit names of the assets to their index. One intensity scales the whole expression, except what
    opens the mouth; left and right differ a little; a faint activity of other units keeps faces from being pure.
    """
    drawn = np.zeros(len(names), dtype=np.float32)
    intensity = rng.uniform(0.5, 1.1)
    recipe = ALWAYS[expression] | (OPEN if mouth_open else CLOSED)[expression]
    for unit, (low, high) in recipe.items():
        weight = rng.uniform(low, high) * (1.0 if unit in _MOUTH_OPENERS else intensity)
        for name in sides(unit):
            if name in names:
                drawn[names[name]] = weight * (1.0 if name == unit else rng.uniform(0.85, 1.1))
    for name in _IDLE:
        drawn[names[name]] += abs(rng.normal(0, 0.08))
    return drawn


_IDLE = (
    "browInnerUp",
    "mouthFrownLeft",
    "mouthSmileLeft",
    "mouthSmileRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "mouthPucker",
)
