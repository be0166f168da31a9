"""Folders that are classes, and folders that are not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from .labels import listed

SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation", "holdout", "heldout"}
# Folders that only hold so many files each: 00000, 00001; part1, part2; batch_3; DCIM/100CANON; 2024-05-01.
COUNTERS = re.compile(
    r"0\d{3,}|(part|batch|chunk|shard|folder|dir|split)[ _-]?\d+|\d{3}[a-z_]{4,5}\d?|(19|20)\d\d([-_.]?\d\d){1,2}", re.IGNORECASE
)
MANY = 20  # images from which a class is expected to have more than one of them


def class_folders(names: Sequence[str]) -> tuple[list[str] | None, tuple[str, ...]]:
    """The class of each image, by the name of its folder, or None; with what to say about it.

    The first folders that differ name the classes, whatever lies below them; train, test and the like above them are put together.
    Folders are not classes where an image lies outside them, where they only count, or where nearly each image has one of its own.
    """
    paths = [name.split("/")[:-1] for name in names]
    outer = _common(paths)
    paths = [path[outer:] for path in paths]
    notes: tuple[str, ...] = ()
    if paths and all(path and path[0].lower() in SPLITS for path in paths):
        together = sorted({path[0] for path in paths})
        if len(together) > 1:
            notes = (f"The folders {listed(together)} were put together. Give one of them to have it alone.",)
        paths = [path[1:] for path in paths]
        outer = _common(paths)
        paths = [path[outer:] for path in paths]
    counts = Counter(path[0] if path else "" for path in paths)
    if len(counts) < 2:
        return None, notes
    folders = sorted(counts)
    if "" in counts:
        why = f"{counts['']:,} image(s) lie outside them"
    elif all(COUNTERS.fullmatch(folder) for folder in folders):
        why = "their names only count"
    elif len(names) >= MANY and 2 * len(folders) > len(names):
        why = f"there are {len(folders):,} for {len(names):,} images"
    else:
        return [path[0] for path in paths], notes
    return None, (*notes, f"The folders {listed([f for f in folders if f])} were not taken for classes, since {why}.")


def _common(paths: Sequence[Sequence[str]]) -> int:
    """How many of their first folders all paths share."""
    first, last = (min(paths, key=tuple), max(paths, key=tuple)) if paths else ([], [])
    return next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
