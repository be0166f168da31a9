"""What an option may be: its words, and the bounds that others need to know."""

from __future__ import annotations

import re

from .errors import UserInputError

# TIW-DSM exactly as published: references corrected as biased images are, the checkpoint's own noise levels, strength 1.
PAPER = "tiw-dsm-paper"

OBJECTIVES = ("tiw-dsm", PAPER, "dsm-ref", "dsm-obs", "iw-dsm", "correction-only", "weight-only")

WITH_RATIO = ("tiw-dsm", PAPER, "iw-dsm", "correction-only", "weight-only")  # those that need the density ratio, and so have a strength

# Those in which a reference image is its own target, and only the biased ones are corrected.
OWN_TARGET = ("tiw-dsm", "correction-only")

TRAINING = ("debias", "train")  # the actions that train: by several processes, if wanted, and resumed from a checkpoint

# Of the camera check: the image's properties, then the file's.
CAMERA = ("borders", "compression", "sharpness", "brightness", "contrast", "red cast", "blue cast", "file size", "original width")

SOLVERS = ("heun", "dpm")

SPLITS = ("long-tail", "skew", "joint")

MAX_STRENGTH = 100
MIN_RESOLUTION, MAX_RESOLUTION = 16, 1024  # pixels per side that images are resized to
LABEL = "label: "  # before the name of every label in a table of scores: no label takes the place of a column of ours

ENCODERS = ("pca", "denoiser", "efficientnet", "inception")
SLOW_ENCODERS = ("efficientnet", "inception")  # a twentieth of a second an image, on a CPU
OF_THE_RUN = re.compile(r"kept(:\d{1,9})?|guided(:\d{1,2}(\.\d{1,4})?)?|sweep")  # what `also` of a comparison names without a folder


def parse_list(text: str) -> tuple[str, ...]:
    """`kept, guided:1.5` as ("kept", "guided:1.5"); each part once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def check_resolution(resolution: int) -> None:
    """Raises UserInputError for a resolution that images are not resized to; 0 leaves them as they are."""
    if resolution and not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        fix = f"choose {MIN_RESOLUTION} to {MAX_RESOLUTION} pixels, or 0 to leave the images as they are"
        raise UserInputError("resolution", f"it is {resolution}", fix)
