"""Features that take long, kept by the images' fingerprint: the same references and held-out images are asked about again and again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..data.memory import cache_folder
from ..files import whole

MOST_BYTES = 512 << 20  # of all that is kept; what nobody has asked for longest goes first


def kept_features(name: str, images: np.ndarray, compute: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`compute(images)`, float32 [N, F] of uint8 [N,H,W,3], or what it gave for the same pixels before.

    name: what computes, with its version: everything the features depend on beside the images.
    """
    digest = hashlib.sha256(f"{name} {images.shape}\n".encode())
    digest.update(np.ascontiguousarray(images).data)
    path = _folder() / f"{digest.hexdigest()}.npy"
    with suppress(OSError, ValueError):  # not there, or damaged
        found = np.load(path, allow_pickle=False)
        if found.ndim == 2 and len(found) == len(images) and np.isfinite(found).all():
            os.utime(path)
            return found
    found = compute(images)
    with suppress(OSError):  # a full disk costs time the next time, and nothing now
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(found.nbytes)
        with whole(path, lasting=False) as partial, partial.open("wb") as file:
            np.save(file, found)
    return found


def forget_features(unused_since: float) -> None:
    """Remove the features that nobody has asked for since this time (seconds since 1970)."""
    for path in _folder().glob("*.npy"):
        with suppress(OSError):
            if path.stat().st_mtime < unused_since:
                path.unlink()


def _folder() -> Path:
    return cache_folder() / "features"


def _make_room(size: int) -> None:
    oldest_first = sorted(_folder().glob("*.npy"), key=lambda path: path.stat().st_mtime)
    spare = sum(path.stat().st_size for path in oldest_first) + size - MOST_BYTES
    for path in oldest_first:
        if spare <= 0:
            return
        spare -= path.stat().st_size
        path.unlink()
