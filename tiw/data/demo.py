"""The embedded demo: illustrated portraits whose true shares are known (assets/README.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from ..choices import check_resolution
from ..files import shipped
from .image_set import ImageSet
from .limits import NO_LIMITS, Limits
from .load import load_images
from .references import choose_references

DEMO = shipped("assets") / "demo"


@dataclass(frozen=True)
class Demo:
    """The demo's sets, with labels for measuring, and the truth they were drawn from."""

    biased: ImageSet  # 8,000
    reference: ImageSet  # up to 400
    heldout: ImageSet  # 2,000
    truth: dict


def load_demo(references: int = 0) -> Demo:
    """The demo, with `references` of its 400 reference images (0: all), as `choose_references` draws them.

    Raises UserInputError when more are asked for than there are.
    """
    sets = {role: _demo_set(role) for role in ("biased", "reference", "heldout")}
    truth = json.loads((DEMO / "truth.json").read_text())
    return Demo(**{**sets, "reference": choose_references(sets["reference"], references)}, truth=truth)


def demo_path(role: str) -> Path:
    """Where the demo's own set of this role lies: biased, reference or heldout."""
    return DEMO / f"{role}.parquet"


@lru_cache
def _demo_set(role: str) -> ImageSet:
    return replace(load_images(demo_path(role)), name=f"demo {role}")


def load_set(
    path: str,
    role: str,
    references: int = 0,
    resolution: int = 0,
    skip_bad: bool = False,
    limits: Limits = NO_LIMITS,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """The set that an option names: a path, or "demo" for the demo's own set in this role (biased, reference, heldout).

    references: take so many of the images, the same ones whatever the run's own seed is (`choose_references`); 0: all. The others are as
    in `load_images`.
    """
    if path == "demo":
        check_resolution(resolution)
        images = _demo_set(role)
        images = images.resized(resolution) if resolution else images
    else:
        images = load_images(path, resolution, field=role, skip_bad=skip_bad, limits=limits, on_progress=on_progress)
    return choose_references(images, references)
