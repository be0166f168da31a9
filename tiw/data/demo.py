"""The embedded demo: illustrated portraits whose true shares are known (assets/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import UserInputError
from ..files import shipped
from .image_set import ImageSet
from .load import load_images

DEMO = shipped("assets") / "demo"


@dataclass(frozen=True)
class Demo:
    """The demo's sets, with labels for measuring, and the truth they were drawn from."""

    biased: ImageSet  # 8,000
    reference: ImageSet  # up to 400
    heldout: ImageSet  # 2,000
    truth: dict


def load_demo(references: int = 0) -> Demo:
    """The demo, with `references` of its 400 reference images (0: all), the four subgroups as even as that number allows.

    Raises UserInputError when more are asked for than there are.
    """
    reference = _demo_set("reference")
    if not 0 <= references <= len(reference):
        raise UserInputError("references", f"{references} were asked for, the demo has {len(reference)}", "choose a smaller number")
    if references:
        subgroup = reference.attributes.agg("-".join, axis=1)
        turn = subgroup.groupby(subgroup).cumcount().to_numpy()  # an image's place within its subgroup
        reference = reference.take(np.sort(np.argsort(turn, kind="stable")[:references]))
    return Demo(_demo_set("biased"), reference, _demo_set("heldout"), json.loads((DEMO / "truth.json").read_text()))


def demo_path(role: str) -> Path:
    """Where the demo's own set of this role lies: biased, reference or heldout."""
    return DEMO / f"{role}.parquet"


@lru_cache
def _demo_set(role: str) -> ImageSet:
    return replace(load_images(demo_path(role)), name=f"demo {role}")


def load_set(path: str, role: str, references: int = 0, resolution: int = 0, skip_bad: bool = False) -> ImageSet:
    """The set that an option names: a path, or "demo" for the demo's own set in this role (biased, reference, heldout).

    references: limits a reference set to its first so many images. resolution, skip_bad: as in `load_images`.
    """
    if path == "demo":
        images = load_demo(references).reference if role == "reference" else _demo_set(role)
        return images.resized(resolution) if resolution else images
    images = load_images(path, resolution, field=role, skip_bad=skip_bad)
    return images.take(range(min(references, len(images)))) if references else images
