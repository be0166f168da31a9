"""Near copies: the same picture saved again, resized or re-compressed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .memory import chunks

HAMMING = 8  # bits of 64; JPEG and WebP at quality 75 change up to 8
SHADE = 0.5  # brightness steps below this are no gradient: flat areas must not hash to noise
# Differences in grey levels of 255, measured on the demo: another drawing of the same hair and shirt fails at least one of the three,
# 97 % or more of the copies saved as JPEG or WebP at quality 75, or resized to 3/4 and back, pass.
COARSE = 8  # largest of a cell of an 8x8 grid
MEAN = 6.0  # over the whole picture
PEAK = 7.5  # largest of a cell of a 16x16 grid, in multiples of the mean: saving again spreads a difference, drawing again does not


@dataclass(frozen=True)
class Signatures:
    """What near copies have in common, 200 bytes an image."""

    hashes: np.ndarray  # uint64 [N], dHash
    thumbs: np.ndarray  # uint8 [N,3,8,8]


def signatures(images: np.ndarray) -> Signatures:
    """dHash (Krawetz 2013: is a cell of an 8x9 grid lighter than its left neighbour?) and 8x8 thumbnails of uint8 [N,H,W,3]."""
    height, width = images.shape[1:3]
    pixels = images.astype(np.float32).transpose(0, 3, 1, 2)
    thumbs = _cells(height, 8) @ pixels @ _cells(width, 8).T
    grey = np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), pixels, (0, 1))
    cells = _cells(height, 8) @ grey @ _cells(width, 9).T
    bits = (cells[:, :, 1:] > cells[:, :, :-1] + SHADE).reshape(len(images), 64)
    return Signatures(np.packbits(bits, axis=1).view(np.uint64)[:, 0], thumbs.round().astype(np.uint8))


def near_copies(first: np.ndarray, ours: Signatures, second: np.ndarray, theirs: Signatures) -> list[tuple[int, int]]:
    """Pairs (row of `first`, row of `second`) that show one picture, saved differently; at most one pair per row of `first`.

    first uint8 [M,H,W,3], second [N,H,W,3], of one size, with their signatures. Drawings share outlines and hence hashes, so candidates
    are compared as thumbnails, then as pixels. M * N comparisons of 64 bits, in flat memory.
    """
    pairs = ((row, _copy_of(first[row], ours.hashes[row], ours.thumbs[row], second, theirs)) for row in range(len(first)))
    return [(row, copy) for row, copy in pairs if copy is not None]


def _copy_of(image: np.ndarray, hash_: np.uint64, thumb: np.ndarray, second: np.ndarray, theirs: Signatures) -> int | None:
    """The first row of `second` that is a near copy of the image."""
    candidates = np.flatnonzero(np.bitwise_count(theirs.hashes ^ hash_) <= HAMMING)
    for some in chunks(len(candidates), thumb.shape):
        rows = candidates[some]
        rows = rows[np.abs(theirs.thumbs[rows].astype(np.int16) - thumb).max((1, 2, 3)) <= COARSE]
        for part in chunks(len(rows), image.shape):
            if (same := _same(image, second[rows[part]])).size:
                return int(rows[part][same[0]])
    return None


def _same(image: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Rows of `others` [N,H,W,3] that differ from `image` [H,W,3] a little everywhere and nowhere much."""
    side = min(16, *image.shape[:2])
    difference = (others.astype(np.float32) - image).transpose(0, 3, 1, 2)
    mean = np.abs(difference).mean((1, 2, 3))
    peak = np.abs(_cells(image.shape[0], side) @ difference @ _cells(image.shape[1], side).T).max((1, 2, 3))
    return np.flatnonzero((mean <= MEAN) & (peak <= PEAK * mean))


@lru_cache
def _cells(size: int, cells: int) -> np.ndarray:
    """float32 [cells, size]: the mean over each of so many equal parts of a line of pixels."""
    edges, pixels = np.linspace(0, size, cells + 1), np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    parts = overlap.clip(0).astype(np.float32)
    return parts / parts.sum(1, keepdims=True)
