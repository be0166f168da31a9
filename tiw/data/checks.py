"""What is wrong with two sets before any work starts: all problems in one list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .image_set import ImageSet
from .memory import chunks
from .near import Signatures, near_copies, signatures

FEWEST_REFERENCES = 25  # five folds of five: below, nothing held out is worth a number


@dataclass(frozen=True)
class Problem:
    """One kind of problem in one set, with its count and some of its rows."""

    set: str  # biased, reference
    kind: str  # duplicate, constant, overlap, near, too few
    count: int
    examples: tuple[int, ...]
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def check_sets(biased: ImageSet, reference: ImageSet) -> list[Problem]:
    """Duplicates inside a set, images in both sets (exactly, or nearly), constant images, too few of them; empty if all is well.

    Reads each set once, in chunks; cost is linear in the images, and in the pairs for the near copies (64-bit comparisons).
    """
    problems: list[Problem] = []
    scans = {"biased": _scan(biased), "reference": _scan(reference)}

    def add(name: str, kind: str, found: Iterable[int], sentence: str) -> None:
        found = sorted(map(int, found))
        if found:
            shown = ", ".join(map(str, found[:5]))
            problems.append(Problem(name, kind, len(found), tuple(found[:5]), sentence.format(n=len(found), rows=shown)))

    for name, scan in scans.items():
        _, first = np.unique(scan.digests, return_index=True)
        again = np.setdiff1d(np.arange(len(scan.digests)), first)
        add(name, "duplicate", again, f"The {name} set shows {{n}} image(s) more than once, for instance rows {{rows}}: remove the copies.")
        constant = np.flatnonzero(scan.constant)
        add(name, "constant", constant, f"{{n}} image(s) of the {name} set are of one colour, for instance rows {{rows}}: remove them.")
    shared = np.isin(scans["reference"].digests, scans["biased"].digests)
    text = "{n} reference image(s) are in the biased set too, for instance rows {rows}: remove them from one of the two."
    add("reference", "overlap", np.flatnonzero(shared), text)
    text = "{n} reference image(s) look like images of the biased set saved again, for instance rows {rows}: look at them."
    add("reference", "near", _near(biased, reference, scans, shared), text)
    if len(reference) < FEWEST_REFERENCES:
        text = f"The reference set has {len(reference)} images; below {FEWEST_REFERENCES} no estimate can be trusted: add some."
        problems.append(Problem("reference", "too few", len(reference), (), text))
    if len(biased) < len(reference):
        text = f"The biased set ({len(biased)}) is smaller than the reference ({len(reference)}): have they been swapped?"
        problems.append(Problem("biased", "too few", len(biased), (), text))
    return problems


@dataclass(frozen=True)
class _Scan:
    """One pass over a set, some 220 bytes an image."""

    digests: np.ndarray  # bytes [N]: of the pixels
    constant: np.ndarray  # bool [N]
    signatures: Signatures


def _scan(images: ImageSet) -> _Scan:
    n = len(images)
    digests, constant = np.empty(n, "S32"), np.empty(n, bool)
    hashes, thumbs = np.empty(n, np.uint64), np.empty((n, 3, 8, 8), np.uint8)
    for part in chunks(n, images.images.shape[1:]):
        chunk = np.ascontiguousarray(images.images[part])
        digests[part] = [hashlib.blake2b(image, digest_size=16).hexdigest().encode() for image in chunk]
        constant[part] = (chunk == chunk[:, :1, :1]).all(axis=(1, 2, 3))
        found = signatures(chunk)
        hashes[part], thumbs[part] = found.hashes, found.thumbs
    return _Scan(digests, constant, Signatures(hashes, thumbs))


def _near(biased: ImageSet, reference: ImageSet, scans: dict[str, _Scan], shared: np.ndarray) -> list[int]:
    """Reference rows with a near copy in the biased set; exact copies and images of one colour have been named already."""
    if biased.images.shape[1:] != reference.images.shape[1:]:
        return []
    rows = np.flatnonzero(~shared & ~scans["reference"].constant)
    ours = scans["reference"].signatures
    pairs = near_copies(reference.images[rows], Signatures(ours.hashes[rows], ours.thumbs[rows]), biased.images, scans["biased"].signatures)
    return [int(rows[row]) for row, _ in pairs]
