"""A set of images, in memory or mapped into it, and its fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from .decode import resized
from .labels import tidy
from .memory import gather, room_for

FILE_COLUMNS = ("file size", "original width", "format")  # bytes, pixels before cropping and resizing, Pillow's name of the format


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a set in a result: same pixels, same fingerprint."""

    sha256: str  # of the pixels, in order
    n: int
    resolution: int  # pixels per side


@dataclass(frozen=True)
class ImageSet:
    """Square RGB images of one size, with attributes where they are known."""

    images: np.ndarray  # uint8 [N,H,W,3], H = W; a numpy memmap where the set is larger than memory should hold
    attributes: pd.DataFrame | None = None  # N rows, one column of text per attribute, None where it is missing (tiw.data.labels)
    name: str = ""
    skipped: tuple[str, ...] = ()  # what was left out: "file (kind: reason)" each
    files: pd.DataFrame | None = None  # N rows of FILE_COLUMNS, what each image's file was; None: it came as pixels
    labels: np.ndarray | None = None  # int [N], the class of each image, for a class-conditional model
    sources: np.ndarray | None = None  # str, object [N]: the file of each image, by its place in the folder or zip, else "row 12"
    notes: tuple[str, ...] = ()  # sentences about what was converted, read in an unusual way, or not used
    revision: str = ""  # of a data set of the hub: the commit that was read

    def __post_init__(self) -> None:
        assert self.images.dtype == np.uint8 and self.images.ndim == 4 and self.images.shape[3] == 3, self.images.shape
        assert self.attributes is None or len(self.attributes) == len(self.images)
        assert self.files is None or (len(self.files), tuple(self.files)) == (len(self.images), FILE_COLUMNS)
        sources = [f"row {row}" for row in range(len(self))] if self.sources is None else self.sources
        assert len(sources) == len(self)
        object.__setattr__(self, "sources", np.array(sources, dtype=object))
        if self.attributes is not None:
            object.__setattr__(self, "attributes", tidy(self.attributes))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def resolution(self) -> int:
        return self.images.shape[1]

    @cached_property
    def fingerprint(self) -> Fingerprint:
        digest = hashlib.sha256()
        for start in range(0, len(self), 4096):
            digest.update(np.ascontiguousarray(self.images[start : start + 4096]))
        return Fingerprint(digest.hexdigest(), len(self), self.resolution)

    def about(self) -> dict:
        """What a result says of a set: its name, size and fingerprint, what was left out and noted, the revision of one from the hub."""
        said = {"left_out": list(self.skipped), "notes": list(self.notes), "revision": self.revision}
        return {"name": self.name, "n": len(self), "fingerprint": asdict(self.fingerprint), **{k: v for k, v in said.items() if v}}

    def is_that_of(self, fingerprint: Mapping[str, object]) -> bool:
        """Whether these are the images that a result was made from, by the fingerprint that it keeps."""
        return asdict(self.fingerprint) == dict(fingerprint)

    def take(self, rows: Iterable[int]) -> ImageSet:
        """The images at these rows, in this order."""
        rows = np.asarray(rows if isinstance(rows, (np.ndarray, range)) else list(rows), dtype=int)
        attributes = None if self.attributes is None else self.attributes.iloc[rows].reset_index(drop=True)
        files = None if self.files is None else self.files.iloc[rows].reset_index(drop=True)
        labels = None if self.labels is None else self.labels[rows]
        images = gather(self.images, rows)
        return replace(self, images=images, attributes=attributes, files=files, labels=labels, sources=self.sources[rows])

    def resized(self, resolution: int) -> ImageSet:
        """The same images centre-cropped and resized to `resolution` pixels a side."""
        if self.images.shape[1:3] == (resolution, resolution):
            return self
        return replace(self, images=resized(self.images, resolution, room_for(len(self), resolution, resolution)))


def noisy_strip(image: np.ndarray, sigmas: Iterable[float], seed: int, item: int) -> np.ndarray:
    """The image [H,W,3] as the discriminator meets it at each noise level, uint8 [L,H,W,3].

    One fixed noise per item, the one the audit scores it with; shown divided by sqrt(1 + sigma^2), so that high levels keep their contrast.
    """
    x0 = image.astype(np.float32).transpose(2, 0, 1) / 127.5 - 1
    noise = np.random.default_rng([seed, item]).standard_normal(x0.shape).astype(np.float32)
    levels = np.stack([(x0 + s * noise) / np.sqrt(1 + s**2) for s in sigmas])
    return ((levels.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8).transpose(0, 2, 3, 1)
