"""What a page shows of images after an audit, kept in the run: it outlives the images and is never another set's.

RUN/thumbs.json lists the items in the order of their thumbnails; RUN/thumbs-VERSION-K.webp hold them, without gaps, `columns` a row,
`a_sheet` a sheet. The version comes from the pixels of both sets.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..data import ImageSet
from ..files import write_atomic
from ..pictures import contact_sheet

INDEX = "thumbs.json"
SIDE = 64  # pixels, at most
COLUMNS, A_SHEET = 50, 1000
MOST = 20_000  # items: more than a browser gets


@dataclass(frozen=True)
class Thumbnails:
    """The thumbnails of a run; `read` gives None where there are none."""

    version: str
    side: int  # pixels
    columns: int
    a_sheet: int
    items: tuple[int, ...]  # rows of biased followed by reference, in the sheets' order

    @classmethod
    def read(cls, folder: Path) -> Thumbnails | None:
        """Those of the run in this folder."""
        try:
            raw = json.loads((folder / INDEX).read_text())
            return cls(**{**raw, "items": tuple(raw["items"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    @property
    def sheets(self) -> list[str]:
        """File names, in order."""
        return [f"thumbs-{self.version}-{k}.webp" for k in range(-(-len(self.items) // self.a_sheet))]

    def images(self, folder: Path, items: list[int]) -> np.ndarray:
        """uint8 [n, side, side, 3] of those of `items` that have a thumbnail, in their order."""
        place = {item: k for k, item in enumerate(self.items)}
        places = [place[item] for item in items if item in place]
        opened = {k: np.asarray(Image.open(folder / self.sheets[k]).convert("RGB")) for k in {p // self.a_sheet for p in places}}
        found = np.empty((len(places), self.side, self.side, 3), np.uint8)
        for image, p in zip(found, places, strict=True):
            row, column = divmod(p % self.a_sheet, self.columns)
            top, left = row * self.side, column * self.side
            image[:] = opened[p // self.a_sheet][top : top + self.side, left : left + self.side]
        return found


def write_thumbnails(folder: Path, biased: ImageSet, reference: ImageSet, items: np.ndarray) -> Thumbnails:
    """Keep thumbnails of these items, int [n], behind those that are there; items that have one, or are more than `MOST`, are left out."""
    sets = json.dumps([asdict(images.fingerprint) for images in (biased, reference)])
    version = hashlib.sha256(sets.encode()).hexdigest()[:12]
    kept = Thumbnails.read(folder)
    if kept is None or kept.version != version:
        kept = Thumbnails(version, min(SIDE, biased.resolution), COLUMNS, A_SHEET, ())
    there = set(kept.items)
    new = [item for item in dict.fromkeys(np.asarray(items).tolist()) if item not in there]
    after = replace(kept, items=(*kept.items, *new)[:MOST])
    for k, name in enumerate(after.sheets):
        of_sheet = after.items[k * A_SHEET : (k + 1) * A_SHEET]
        if of_sheet != kept.items[k * A_SHEET : (k + 1) * A_SHEET]:
            shown = np.stack([_thumbnail(biased, reference, item, after.side) for item in of_sheet])
            write_atomic(folder / name, contact_sheet(shown, min(COLUMNS, len(shown)), gap=0))
    write_atomic(folder / INDEX, json.dumps(asdict(after)).encode())  # last: what it lists is there
    return after


def _thumbnail(biased: ImageSet, reference: ImageSet, item: int, side: int) -> np.ndarray:
    image = biased.images[item] if item < len(biased) else reference.images[item - len(biased)]
    if image.shape[0] == side:
        return image
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((side, side), Image.Resampling.BOX))
