"""What is wrong with two sets before any work starts: all problems in one list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .image_set import ImageSet
from .labels import in_order, listed
from .memory import chunks
from .near import Signatures, near_copies, signatures

EXAMPLES = 5  # images that a sentence names
FEWEST_REFERENCES = 25  # five folds of five: below, nothing held out is worth a number


@dataclass(frozen=True)
class Problem:
    """One kind of problem in one set, with its count and some of its rows."""

    set: str  # biased, reference
    kind: str  # duplicate, constant, overlap, near, too few, labels; unlike: found by an audit
    count: int
    examples: tuple[int, ...]  # rows
    sentence: str  # which names these images by their files

    def __str__(self) -> str:
        return self.sentence


def check_sets(biased: ImageSet, reference: ImageSet) -> list[Problem]:
    """Duplicates inside a set, images in both sets (exactly, or nearly), constant images, too few of them, labels that share no value;
    empty if all is well.

    Reads each set once, in chunks; cost is linear in the images, and in the pairs for the near copies (64-bit comparisons).
    """
    problems: list[Problem] = []
    sources = {"biased": biased.sources, "reference": reference.sources}
    scans = {"biased": _scan(biased), "reference": _scan(reference)}

    def add(name: str, kind: str, found: Iterable[int], sentence: str) -> None:
        found = sorted(map(int, found))
        if found:
            shown = ", ".join(sources[name][found[:EXAMPLES]])
            problems.append(Problem(name, kind, len(found), tuple(found[:EXAMPLES]), sentence.format(n=f"{len(found):,}", files=shown)))

    for name, scan in scans.items():
        _, first = np.unique(scan.digests, return_index=True)
        again = np.setdiff1d(np.arange(len(scan.digests)), first)
        add(name, "duplicate", again, f"The {name} set shows {{n}} image(s) more than once, for instance {{files}}: remove the copies.")
        constant = np.flatnonzero(scan.constant)
        add(name, "constant", constant, f"{{n}} image(s) of the {name} set are of one colour, for instance {{files}}: remove them.")
    shared = np.isin(scans["reference"].digests, scans["biased"].digests)
    text = "{n} reference image(s) are in the biased set too, for instance {files}: remove them from one of the two."
    add("reference", "overlap", np.flatnonzero(shared), text)
    text = "{n} reference image(s) look like images of the biased set saved again, for instance {files}: look at them."
    add("reference", "near", _near(biased, reference, scans, shared), text)
    if len(reference) < FEWEST_REFERENCES:
        text = f"The reference set has {len(reference)} images; below {FEWEST_REFERENCES} no estimate can be trusted: add some."
        problems.append(Problem("reference", "too few", len(reference), (), text))
    if len(biased) < len(reference):
        text = f"The biased set ({len(biased)}) is smaller than the reference ({len(reference)}): have they been swapped?"
        problems.append(Problem("biased", "too few", len(biased), (), text))
    return problems + _labels(biased, reference)


def _labels(biased: ImageSet, reference: ImageSet) -> list[Problem]:
    """Labels of one name that mean something else in the two sets, as far as their values tell."""
    if biased.attributes is None or reference.attributes is None:
        return []
    problems = []
    for name in biased.attributes.columns.intersection(reference.attributes.columns):
        values = [in_order(images.attributes[name].dropna()) for images in (biased, reference)]
        groups = all(of and 2 * len(of) <= len(images) for of, images in zip(values, (biased, reference), strict=True))
        if groups and not set(values[0]) & set(values[1]):
            of_biased, of_reference = (listed(list(map(repr, of)), 3) for of in values)
            text = f"No value of the label {name} is in both sets: the biased set has {of_biased}, the reference {of_reference}."
            problems.append(Problem("reference", "labels", len(values[1]), (), f"{text} Write them the same way to compare them."))
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
