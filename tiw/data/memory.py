"""Room for pixels: in memory while they are few, in a file mapped into memory when they are many."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import UserInputError

IN_MEMORY = 2 << 30  # bytes; larger sets are mapped
CHUNK = 256  # rows at a time, and no more than
CHUNK_BYTES = 1 << 20  # of pixels


def chunks(n: int, image: tuple[int, ...]) -> Iterator[slice]:
    """Slices over `n` images of this shape, each of a size that is cheap to copy."""
    step = min(max(CHUNK_BYTES // max(math.prod(image), 1), 1), CHUNK)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def cache_folder() -> Path:
    """TIW_HOME/cache, by default ~/.tiw/cache."""
    return Path(os.environ.get("TIW_HOME") or "~/.tiw").expanduser() / "cache"


def room_for(n: int, height: int, width: int, field: str = "images") -> np.ndarray:
    """An empty uint8 [n,height,width,3]: an array, or a memory-mapped file where it would take more than IN_MEMORY bytes.

    The file lies in TIW_HOME/cache (else in the system's temporary folder), is deleted on creation where the system allows it, and so
    gives its space back when the array goes, however the process ends. Raises UserInputError when the disk has no room for it.
    """
    shape, needed = (n, height, width, 3), n * height * width * 3
    if needed <= IN_MEMORY:
        return np.empty(shape, np.uint8)
    home = os.environ.get("TIW_HOME")
    folder = Path(home).expanduser() / "cache" if home else Path(tempfile.gettempdir())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if needed > free:
            found = f"its {n:,} images of {width}x{height} take {needed / 2**30:,.1f} GiB, {folder} has {free / 2**30:,.1f} GiB free"
            raise UserInputError(field, found, "give a smaller resolution or fewer images, or set TIW_HOME to a larger disk")
        with tempfile.TemporaryFile(dir=folder) as file:
            return np.memmap(file, np.uint8, "w+", shape=shape)
    except OSError as error:
        raise UserInputError(field, f"{folder} cannot hold its pixels ({error.strerror})", "set TIW_HOME to another disk") from error


def gather(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The images [N,H,W,3] at `rows`, copied chunk by chunk; of a mapped set, rows that follow one another are a view."""
    if isinstance(images, np.memmap) and len(rows) and rows[0] >= 0 and (np.diff(rows) == 1).all() and rows[-1] < len(images):
        return images[rows[0] : rows[-1] + 1]
    out = room_for(len(rows), *images.shape[1:3])
    for part in chunks(len(rows), images.shape[1:]):
        out[part] = images[rows[part]]
    return out
