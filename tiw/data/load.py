"""`load_images`: anyone's images, checked, in one call."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from ..errors import UserInputError
from .decode import BadImage, decode_all, resized
from .image_set import ImageSet
from .listing import Listing, refuse_formulas
from .memory import room_for
from .readers import read_listing
from .splits import read_rows

FEWEST = 2


def load_images(path: str | Path, resolution: int = 0, *, field: str = "path", skip_bad: bool = False) -> ImageSet:
    """Read anyone's images: a folder or a zip of one (class folders, metadata, EDM, CelebA, FairFace, UTKFace, CIFAR), .npz, .npy,
    .parquet, CIFAR's .tar.gz, the rows that `make-split` chose (.json), or hub:OWNER/NAME.

    resolution: pixels per side; other images are centre-cropped and resized. 0: as they are, all square and of one size.
    skip_bad: leave out images that cannot be used, named in the set's `skipped`, instead of stopping.
    Pixels beyond 2 GiB are kept in a memory-mapped file. Raises UserInputError with every problem of the set, counted and with an
    example each.
    """
    listing = read_rows(Path(path).expanduser(), field) if str(path).endswith(".json") else read_listing(path, field)
    name = Path(path).name
    if listing.attributes is not None:
        refuse_formulas(field, name, listing.attributes)
    if listing.pixels is not None:
        images, kept, bad, files = _from_pixels(listing, resolution, name, field), None, listing.bad, None
    else:
        images, kept, bad, files = _from_encoded(listing, resolution, name, skip_bad, field)
    attributes = listing.attributes
    if attributes is not None and kept is not None and len(kept) < len(attributes):
        attributes = attributes.iloc[kept].reset_index(drop=True)
    return ImageSet(images, attributes, name, tuple(f"{b.name} ({b.kind}: {b.why})" for b in bad), files)


def _from_pixels(listing: Listing, resolution: int, name: str, field: str) -> np.ndarray:
    pixels = listing.pixels
    n, height, width, _ = pixels.shape
    if n < FEWEST:
        raise UserInputError(field, f"{name} has {n} usable image(s)", f"give at least {FEWEST}")
    if resolution and (height, width) != (resolution, resolution):
        return resized(pixels, resolution, room_for(n, resolution, resolution, field))
    if height != width:
        found = f"{name} holds images of {width}x{height} pixels, which are not square"
        raise UserInputError(field, found, "set resolution to the size to crop and resize them to")
    return pixels


def _from_encoded(
    listing: Listing, resolution: int, name: str, skip_bad: bool, field: str
) -> tuple[np.ndarray, list[int], tuple[BadImage, ...], np.ndarray]:
    """Decode straight to where the pixels stay. Returns them with the rows that were kept, the images that were not, and `files`."""
    bad, kept, files, images = list(listing.bad), [], [], None
    sizes: Counter[tuple[int, int]] = Counter()
    first_of: dict[tuple[int, int], str] = {}
    for row, image in enumerate(decode_all(zip(listing.names, listing.encoded(), strict=True), resolution)):
        if isinstance(image, BadImage):
            bad.append(image)
            continue
        height, width = image.pixels.shape[:2]
        sizes[height, width] += 1
        first_of.setdefault((height, width), listing.names[row])
        if images is None and height == width:
            images = room_for(len(listing), height, width, field)
        if images is not None and images.shape[1:3] == (height, width):
            images[len(kept)] = image.pixels
            kept.append(row)
            files.append((image.file_size, image.width))
    if sizes.total() < FEWEST and (skip_bad or not bad):
        raise UserInputError(field, f"{name} has {sizes.total()} usable image(s)", f"give at least {FEWEST}")
    problems, fixes = [], []
    if bad and not skip_bad:
        problems.append(_describe(bad, len(listing) + len(listing.bad)))
        fixes.append("mend or remove them, or set skip_bad to leave them out")
    if sizes and (len(sizes) > 1 or next(iter(sizes))[0] != next(iter(sizes))[1]):
        usual = sizes.most_common(1)[0][0]
        other = next((size for size in sizes if size != usual), usual)
        problems.append(f"the images have {len(sizes)} size(s), for instance {first_of[other]} with {other[1]}x{other[0]}")
        fixes.append("set resolution to the size to crop and resize them to")
    if problems:
        raise UserInputError(field, "; ".join(problems), "; ".join(fixes))
    return images[: len(kept)], kept, tuple(bad), np.array(files)


def _describe(bad: list[BadImage], n: int) -> str:
    kinds = Counter(b.kind for b in bad)
    examples = {b.kind: b for b in reversed(bad)}
    listed = "; ".join(f"{count} {kind}, for instance {examples[kind].name} ({examples[kind].why})" for kind, count in kinds.most_common())
    return f"{len(bad)} of {n} images cannot be used: {listed}"
