"""`load_images`: anyone's images, checked, in one call."""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..choices import MAX_RESOLUTION, check_resolution
from ..errors import UserInputError
from .decode import BadImage, Decoded, WrongSize, decode_all, resized
from .image_set import FILE_COLUMNS, ImageSet
from .labels import CONTROL, missing_notes
from .limits import NO_LIMITS, Limits, usual_size
from .listing import Listing
from .memory import room_for
from .readers import tidy_path
from .rows import any_listing

FEWEST = 2
CONVERTED = {
    "CMYK": "in printing colours (CMYK) were converted to RGB",
    "16 bits": "with 16 bits a pixel were converted to 8",
    "transparency": "with transparent parts were put on white",
}


def load_images(
    path: str | Path,
    resolution: int = 0,
    *,
    field: str = "path",
    skip_bad: bool = False,
    limits: Limits = NO_LIMITS,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """Read anyone's images: a folder or a zip of one (class folders, metadata, EDM, CelebA, FairFace, UTKFace, CIFAR), .npz, .npy,
    .parquet, CIFAR's .tar.gz, the rows that `make-split` chose (.json), or hub:OWNER/NAME.

    resolution: pixels per side, 16 to 1024; other images are centre-cropped and resized. 0: as they are, all square and of one size.
    skip_bad: leave out images that cannot be used, named in the set's `skipped`, instead of stopping.
    limits: what the set may cost. on_progress: called with (images read, images); what it raises ends the work.
    Pixels beyond 2 GiB are kept in a memory-mapped file. Raises UserInputError with every problem of the set, counted and with an
    example each; what would mend it is in the error's `offers`.
    """
    check_resolution(resolution)
    listing = any_listing(path, field)
    name = Path(tidy_path(path, field)).name
    limits.check_images(len(listing), field)
    if listing.pixels is not None:
        images = ImageSet(_from_pixels(listing, resolution, name, field, limits), listing.attributes, sources=_shown(listing))
        bad, notes = listing.bad, listing.notes
    else:
        read = _Reading(listing, resolution, name, skip_bad, field, limits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd tags in files that it reads all the same
            read.run(on_progress or (lambda done, total: None))
        images, bad, notes = read.result(), tuple(read.bad), (*listing.notes, *read.conversions())
    if images.attributes is not None:
        notes = (*notes, *missing_notes(images.attributes))
    skipped = tuple(str(b) for b in (*bad, *listing.left_out))
    return replace(images, name=name, skipped=skipped, notes=notes, revision=listing.revision)


def _from_pixels(listing: Listing, resolution: int, name: str, field: str, limits: Limits) -> np.ndarray:
    pixels = listing.pixels
    assert pixels is not None
    n, height, width, _ = pixels.shape
    if n < FEWEST:
        raise UserInputError(field, f"{name} has {n} usable image(s)", f"give at least {FEWEST}")
    limits.check_pixels(n * height * width, field)
    if resolution and (height, width) != (resolution, resolution):
        limits.check_result(n, resolution, field)
        return resized(pixels, resolution, room_for(n, resolution, resolution, field))
    if height != width or height > MAX_RESOLUTION:
        raise _size_error(field, f"{name} holds images of {width}x{height} pixels", min(height, width))
    limits.check_result(n, height, field)
    return pixels


@dataclass
class _Reading:
    """Decodes straight to where the pixels stay, and keeps account of what was found."""

    listing: Listing
    resolution: int
    name: str
    skip_bad: bool
    field: str
    limits: Limits
    images: np.ndarray | None = None  # uint8 [n,H,W,3], filled up to len(kept)
    kept: list[int] = field(default_factory=list)  # rows of the listing
    files: list[tuple[int, int, str]] = field(default_factory=list)
    bad: list[BadImage] = field(default_factory=list)
    sizes: dict[tuple[int, int], list[str]] = field(default_factory=dict)  # (width, height) -> names of these images
    converted: dict[str, list[str]] = field(default_factory=dict)
    area: int = 0  # pixels of all files that were let in
    counting: threading.Lock = field(default_factory=threading.Lock)

    def run(self, on_progress: Callable[[int, int], None]) -> None:
        self.bad += self.listing.bad
        n = len(self.listing)
        reads = zip(self.listing.names, self.listing.encoded(), strict=True)
        for row, image in enumerate(decode_all(reads, self.resolution, self._admit)):
            on_progress(row + 1, n)
            if isinstance(image, BadImage):
                self.bad.append(image)
                continue
            if isinstance(image, WrongSize):
                self.sizes.setdefault((image.width, image.height), []).append(image.name)
            else:
                self._keep(row, image)

    def _admit(self, pixels: int) -> None:
        """Called from several threads, before an image is decoded."""
        with self.counting:
            self.area += pixels
        self.limits.check_pixels(self.area, self.field)

    def _keep(self, row: int, image: Decoded) -> None:
        side, name = image.pixels.shape[0], self.listing.names[row]
        self.sizes.setdefault((side, side), []).append(name)
        for kind in image.converted:
            self.converted.setdefault(kind, []).append(name)
        if self.images is None:
            self.limits.check_result(len(self.listing), side, self.field)
            self.images = room_for(len(self.listing), side, side, self.field)
        if self.images.shape[1] == side:
            self.images[len(self.kept)] = image.pixels
            self.kept.append(row)
            self.files.append((image.file_size, image.width, image.format))

    def result(self) -> ImageSet:
        """Raises UserInputError with all that is wrong with the set."""
        usable = sum(map(len, self.sizes.values()))
        problems, fixes, offers = [], [], {}
        if self.bad and not self.skip_bad:
            problems.append(_describe(self.bad, len(self.listing) + len(self.listing.bad)))
            fixes.append("leave them out, mend them or remove them")
            offers["skip_bad"] = True
        if usable < FEWEST:
            problems.append(f"{self.name} has {usable} usable image(s)")
            fixes.append(f"give at least {FEWEST}")
            offers.pop("skip_bad", None)
        elif len(self.sizes) > 1 or self.images is None:
            problem = _size_error(self.field, _describe_sizes(self.sizes), min(_usual(self.sizes)))
            problems.append(problem.found)
            fixes.append(problem.fix)
            offers |= problem.offers
        if problems:
            raise UserInputError(self.field, "; ".join(problems), "; ".join(fixes), offers=offers)
        attributes = self.listing.attributes
        if attributes is not None and len(self.kept) < len(attributes):
            attributes = attributes.iloc[self.kept].reset_index(drop=True)
        sources = _shown(self.listing)[self.kept]
        files = pd.DataFrame(self.files, columns=list(FILE_COLUMNS))
        return ImageSet(self.images[: len(self.kept)], attributes, files=files, sources=sources)

    def conversions(self) -> tuple[str, ...]:
        """A sentence about each kind of conversion."""
        return tuple(f"{len(names):,} image(s) {CONVERTED[kind]}, for instance {names[0]}." for kind, names in self.converted.items())


def _shown(listing: Listing) -> np.ndarray:
    """The names of the images, object [N], in characters that can be written anywhere."""
    return np.array([CONTROL.sub("\N{REPLACEMENT CHARACTER}", name) for name in listing.names], dtype=object)


def _size_error(field: str, found: str, side: int) -> UserInputError:
    size = usual_size(side)
    return UserInputError(
        field, found, f"crop and resize all images to one size, for instance a resolution of {size}", offers={"resolution": size}
    )


def _usual(sizes: dict[tuple[int, int], list[str]]) -> tuple[int, int]:
    return max(sizes, key=lambda size: len(sizes[size]))


def _describe_sizes(sizes: dict[tuple[int, int], list[str]]) -> str:
    """How many sizes there are, with an example of one that is not the usual."""
    usual = _usual(sizes)
    other = next((size for size in sizes if size != usual), usual)
    if len(sizes) == 1:
        return f"the images are {usual[0]}x{usual[1]} pixels" + (", not square" if usual[0] != usual[1] else "")
    return f"the images have {len(sizes)} sizes, most are {usual[0]}x{usual[1]} pixels, {sizes[other][0]} is {other[0]}x{other[1]}"


def _describe(bad: list[BadImage], n: int) -> str:
    kinds = Counter(b.kind for b in bad)
    examples = {b.kind: b for b in reversed(bad)}
    listed = "; ".join(f"{count} {kind}, for instance {examples[kind].name} ({examples[kind].why})" for kind, count in kinds.most_common())
    return f"{len(bad)} of {n} images cannot be used: {listed}"
