"""What every reader hands over: the images of a set, not decoded yet, with their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..errors import UserInputError
from .decode import BadImage
from .labels import listed
from .memory import gather


@dataclass(frozen=True)
class Listing:
    """The images of a set in order, either encoded (read one by one when asked for) or as pixels."""

    names: Sequence[str]
    attributes: pd.DataFrame | None  # one row of text per name, None where a label is missing
    encoded: Callable[[], Iterator[Callable[[], bytes]]] | None = None  # for each image, in order, a function that reads its bytes
    pixels: np.ndarray | None = None  # uint8 [N,H,W,3]
    bad: tuple[BadImage, ...] = ()  # files that belong to the set and cannot be used
    left_out: tuple[BadImage, ...] = ()  # files that do not belong to it
    notes: tuple[str, ...] = ()  # sentences about what was read in an unusual way, or not used
    revision: str = ""  # of a data set of the hub: the commit that is read

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: np.ndarray) -> Listing:
        """These rows only, int [n], which must ascend."""
        wanted = np.zeros(len(self), bool)
        wanted[rows] = True
        return replace(
            self,
            names=[self.names[row] for row in rows],
            attributes=None if self.attributes is None else self.attributes.iloc[rows].reset_index(drop=True),
            encoded=None if self.encoded is None else lambda: (read for read, want in zip(self.encoded(), wanted, strict=True) if want),
            pixels=None if self.pixels is None else gather(self.pixels, rows),
        )

    def key(self) -> str:
        """A hash of the names, the labels and, where they are here already, the pixels: which rows mean the same images."""
        digest = hashlib.sha256("\0".join(self.names).encode("utf-8", "surrogateescape"))
        if self.attributes is not None:
            digest.update("\0".join(map(str, self.attributes.columns)).encode())
            digest.update(pd.util.hash_pandas_object(self.attributes.astype(object), index=False).to_numpy())
        for start in range(0, len(self) if self.pixels is not None else 0, 4096):
            digest.update(np.ascontiguousarray(self.pixels[start : start + 4096]))
        return digest.hexdigest()


def rows_of(n: int) -> list[str]:
    """Names of images that have no file of their own."""
    return [f"row {row}" for row in range(n)]


def refuse_missing(field: str, table: str, names: Sequence[str]) -> None:
    """Raises UserInputError where a table names files that are not there: `names`, as the table writes them."""
    if names:
        names = list(dict.fromkeys(names))
        found = f"{table} names {len(names):,} file(s) that are not there: {listed(list(map(repr, names)), 3)}"
        raise UserInputError(field, found, "add the files or remove their rows")
