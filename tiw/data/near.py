"""Near copies: the same picture saved again, resized or re-compressed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

HAMMING = 8  # bits of 64; saving as JPEG at quality 75 or WebP at 75 changes up to 8
SHADE = 0.5  # brightness steps below this are no gradient: flat areas must not hash to noise
MEAN = 6.0  # grey levels of 255, mean over the picture; JPEG at quality 75 stays below
PEAK = 8.0  # times the mean: the largest difference of one cell of a 16x16 grid
PAIRS = 4096  # candidates compared at a time


def difference_hash(images: np.ndarray) -> np.ndarray:
    """dHash (Krawetz 2013): is each cell of an 8x9 grid of brightness lighter than its left neighbour? [N,H,W,3] -> uint64 [N]."""
    grey = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    cells = _cells(images.shape[1], 8) @ grey @ _cells(images.shape[2], 9).T
    bits = cells[:, :, 1:] > cells[:, :, :-1] + SHADE
    return np.packbits(bits.reshape(len(images), 64), axis=1).view(np.uint64)[:, 0]


def near_copies(first: np.ndarray, hashes: np.ndarray, second: np.ndarray, other_hashes: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (row of `first`, row of `second`) that show the same picture with other bytes; at most one per row of `first`.

    first [M,H,W,3], second [N,H,W,3]: of one size; hashes: of `difference_hash`. Drawings share their outlines and hence their hashes, so
    every candidate is looked at: re-compression spreads a small difference over the picture, another drawing differs in one place.
    Cost: M * N comparisons of 64 bits, in chunks.
    """
    found = []
    for row in range(len(first)):
        candidates = np.flatnonzero(np.bitwise_count(hashes[row] ^ other_hashes) <= HAMMING)
        for start in range(0, len(candidates), PAIRS):
            rows = candidates[start : start + PAIRS]
            same = np.flatnonzero(_same_picture(first[row], second[rows]))
            if same.size:
                found.append((row, int(rows[same[0]])))
                break
    return found


def _same_picture(image: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of `others` [N,H,W,3] differ from `image` [H,W,3] a little everywhere and nowhere much, bool [N]."""
    side = min(16, *image.shape[:2])
    rows, columns = _cells(image.shape[0], side), _cells(image.shape[1], side)
    difference = (others.astype(np.float32) - image).transpose(0, 3, 1, 2)
    mean = np.abs(difference).mean((1, 2, 3))
    peak = np.abs(rows @ difference @ columns.T).max((1, 2, 3))
    return (mean <= MEAN) & (peak <= PEAK * mean)


@lru_cache
def _cells(size: int, cells: int) -> np.ndarray:
    """float32 [cells, size]: the mean over each of so many equal parts of a line of pixels."""
    edges = np.linspace(0, size, cells + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    parts = overlap.clip(0).astype(np.float32)
    return parts / parts.sum(1, keepdims=True)
