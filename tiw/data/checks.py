"""What is wrong with two sets before any work starts: all problems in one list."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from .image_set import ImageSet

FEWEST_REFERENCES = 25  # five folds of five: below, nothing held out is worth a number


@dataclass(frozen=True)
class Problem:
    """One kind of problem in one set, with its count and some of its rows."""

    set: str  # biased, reference
    kind: str
    count: int
    examples: tuple[int, ...]
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def check_sets(biased: ImageSet, reference: ImageSet) -> list[Problem]:
    """Duplicates inside a set, images in both sets, constant images, too few of them; empty if all is well."""
    problems: list[Problem] = []
    rows = {"biased": _rows_by_pixels(biased), "reference": _rows_by_pixels(reference)}

    def add(name: str, kind: str, found: list[int], sentence: str) -> None:
        if found:
            problems.append(
                Problem(name, kind, len(found), tuple(found[:5]), sentence.format(n=len(found), rows=", ".join(map(str, found[:5]))))
            )

    for name, images in (("biased", biased), ("reference", reference)):
        again = sorted(row for same in rows[name].values() for row in same[1:])
        add(name, "duplicate", again, f"The {name} set shows {{n}} image(s) more than once, for instance rows {{rows}}: remove the copies.")
        flat = images.images.reshape(len(images), -1, 3)
        constant = np.flatnonzero((flat == flat[:, :1]).all(axis=(1, 2))).tolist()
        add(name, "constant", constant, f"{{n}} image(s) of the {name} set are of one colour, for instance rows {{rows}}: remove them.")
    shared = sorted(row for key, same in rows["reference"].items() if key in rows["biased"] for row in same)
    text = "{n} reference image(s) are in the biased set too, for instance rows {rows}: remove them from one of the two."
    add("reference", "overlap", shared, text)
    if len(reference) < FEWEST_REFERENCES:
        text = f"The reference set has {len(reference)} images; below {FEWEST_REFERENCES} no estimate can be trusted: add some."
        problems.append(Problem("reference", "too few", len(reference), (), text))
    if len(biased) < len(reference):
        text = f"The biased set ({len(biased)}) is smaller than the reference ({len(reference)}): have they been swapped?"
        problems.append(Problem("biased", "too few", len(biased), (), text))
    return problems


def _rows_by_pixels(images: ImageSet) -> dict[bytes, list[int]]:
    rows = defaultdict(list)
    for row, image in enumerate(images.images):
        rows[hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()].append(row)
    return rows
