"""`load_images`: anyone's images, checked, in one call."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from ..errors import UserInputError
from .decode import BadImage, decode_all
from .image_set import ImageSet
from .readers import read_listing

FEWEST = 2


def load_images(path: str | Path, resolution: int | None = None, *, field: str = "path", skip_bad: bool = False) -> ImageSet:
    """Read a folder (nested or flat, class folders, metadata.csv/.jsonl), a zip of one, an npz or a parquet file.

    resolution: pixels per side; other images are centre-cropped and resized. Without it, all must be square and of one size.
    skip_bad: leave out images that cannot be read, instead of stopping.
    Raises UserInputError with every problem of the set, counted and with an example each.
    """
    path = Path(path).expanduser()
    listing = read_listing(path, field)
    if listing.pixels is not None:
        images, names, bad = list(listing.pixels), [f"row {i}" for i in range(len(listing.pixels))], []
        if resolution is not None and listing.pixels.shape[1:3] != (resolution, resolution):
            found = f"{path.name} holds images of {listing.pixels.shape[2]}x{listing.pixels.shape[1]}"
            raise UserInputError(field, found, f"resize them to {resolution}x{resolution} before saving")
    else:
        images = decode_all(listing.items, resolution)
        names = [name for name, _ in listing.items]
        bad = [image for image in images if isinstance(image, BadImage)]
    if bad and not skip_bad:
        raise UserInputError(field, _describe(bad, len(images)), "mend or remove them, or ask for them to be skipped")
    kept = [i for i, image in enumerate(images) if not isinstance(image, BadImage)]
    if len(kept) < FEWEST:
        raise UserInputError(field, f"{path.name} has {len(kept)} usable image(s)", f"give at least {FEWEST}")
    sizes = Counter(images[i].shape[:2] for i in kept)
    (height, width), _ = sizes.most_common(1)[0]
    if len(sizes) > 1 or height != width:
        other = next((i for i in kept if images[i].shape[:2] != (height, width)), kept[0])
        found = f"the images have {len(sizes)} size(s), for instance {names[other]} with {images[other].shape[1]}x{images[other].shape[0]}"
        raise UserInputError(field, found, "say which resolution to crop and resize them to")
    attributes = None if listing.attributes is None else listing.attributes.iloc[kept].reset_index(drop=True)
    return ImageSet(np.stack([images[i] for i in kept]), attributes, path.name)


def _describe(bad: list[BadImage], n: int) -> str:
    kinds = Counter(b.kind for b in bad)
    examples = {b.kind: b for b in reversed(bad)}
    listed = "; ".join(f"{count} {kind}, for instance {examples[kind].name} ({examples[kind].why})" for kind, count in kinds.most_common())
    return f"{len(bad)} of {n} images cannot be used: {listed}"
