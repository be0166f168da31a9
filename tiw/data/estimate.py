"""What a set of images will cost, and whether it is still the same, without decoding it."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..errors import UserInputError
from .arrays import shape_of
from .hub import HUB
from .layouts import tables_beside
from .limits import in_words
from .readers import tidy_path
from .rows import any_listing, source_of

LOOKED_AT = 20  # images whose size is looked up before the rest is taken to be like them


@dataclass(frozen=True)
class SetEstimate:
    """A set as it would be kept."""

    n: int  # images
    side: int  # pixels; 0: not known before they are read
    bytes: int  # n * side^2 * 3

    @property
    def sentence(self) -> str:
        return f"{self.n:,} images of {self.side} pixels a side will take {in_words(self.bytes)} of memory."


def estimate(path: str | Path, resolution: int = 0, field: str = "path") -> SetEstimate:
    """Number, side and bytes of the images at `path`; only names, labels and a few headers are read. Raises UserInputError as a load does.

    Without a resolution the side is that of the largest of the first 20 images.
    """
    text = tidy_path(path, field)
    if text.lower().endswith((".npz", ".npy")) and Path(text).is_file():
        n, side = shape_of(Path(text), field)
        side = resolution or side
        return SetEstimate(n, side, n * side**2 * 3)
    listing = any_listing(text, field)
    if resolution:
        side = resolution
    elif listing.pixels is not None:
        side = listing.pixels.shape[1]
    else:
        side = max((_side(read) for read, _ in zip(listing.encoded(), range(LOOKED_AT), strict=False)), default=0)
    return SetEstimate(len(listing), side, len(listing) * side**2 * 3)


def _side(read: Callable[[], bytes]) -> int:
    try:
        return max(Image.open(io.BytesIO(read())).size)
    except Exception:  # a broken image is named when the set is loaded
        return 0


def source_stamp(path: str | Path, field: str = "path") -> str:
    """A hash that changes when a file of the set is replaced, added or taken away: names, sizes and times, no content.

    Tables beside it that may hold its labels count, and so does the source of a list of rows. A data set of the hub has its name alone.
    Raises UserInputError where nothing is there.
    """
    text = tidy_path(path, field)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    if text.startswith(HUB):
        return digest.hexdigest()
    if not os.path.exists(text):
        raise UserInputError(field, f"{text} does not exist", "check the path")
    if text.lower().endswith(".json") and os.path.isfile(text):
        digest.update(source_stamp(source_of(text), field).encode())
    waiting, seen = [text, *map(str, tables_beside(Path(text)))], set()
    while waiting:
        place = waiting.pop()
        try:
            real = os.path.realpath(place)
            if os.path.isdir(place):
                if real not in seen:
                    seen.add(real)
                    waiting += sorted(entry.path for entry in os.scandir(place))
                continue
            known = os.stat(place)
            digest.update(f"{place}\0{known.st_size}\0{known.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        except OSError:
            digest.update(f"{place}\0gone\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
