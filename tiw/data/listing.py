"""What every reader hands over: the images of a set, not decoded yet, with their labels."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from ..errors import UserInputError
from .decode import BadImage
from .memory import gather

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
MAX_ENTRIES = 100_000  # of a zip
MAX_RATIO = 200  # unpacked to packed bytes, of one member and of all; encoded images do not shrink
MAX_MEMBER = 256 << 20  # bytes
NEVER_A_BOMB = 1 << 20  # bytes of a whole archive below which its total is not compared


@dataclass(frozen=True)
class Listing:
    """The images of a set in order, either encoded (read one by one when asked for) or as pixels."""

    names: Sequence[str]
    attributes: pd.DataFrame | None  # one row of strings per name
    encoded: Callable[[], Iterator[Callable[[], bytes]]] | None = None  # for each image, in order, a function that reads its bytes
    pixels: np.ndarray | None = None  # uint8 [N,H,W,3]
    bad: tuple[BadImage, ...] = ()  # files that belong to the set and cannot be used

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: np.ndarray) -> Listing:
        """These rows only, which must ascend."""
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


@dataclass(frozen=True)
class Tree:
    """The files of a folder or of a zip, by their name relative to it."""

    where: str  # for error messages
    path: Path
    files: frozenset[str]
    read: Callable[[str], bytes]

    def load(self, name: str, field: str) -> bytes:
        """A file that describes the images. Raises UserInputError if it cannot be read."""
        try:
            return self.read(name)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise UserInputError(field, f"{name} in {self.where} cannot be read ({error})", "copy or pack it again") from error

    def images(self) -> list[str]:
        """The names that look like images, sorted, hidden files left out."""
        seen = (n for n in self.files if PurePosixPath(n).suffix.lower() in SUFFIXES)
        return sorted(n for n in seen if not any(part.startswith((".", "__MACOSX")) for part in n.split("/")))

    def all_named(self, *basenames: str) -> list[str]:
        """The files of these names, the highest in the tree first."""
        return sorted((n for n in self.files if n.rsplit("/", 1)[-1] in basenames), key=lambda n: (n.count("/"), n))

    def named(self, *basenames: str) -> str | None:
        """The first of them, if there is one."""
        return next(iter(self.all_named(*basenames)), None)

    def listing(self, names: list[str], attributes: pd.DataFrame | None, bad: tuple[BadImage, ...] = ()) -> Listing:
        return Listing(names, attributes, lambda: (partial(self.read, name) for name in names), bad=bad)


def folder_tree(path: Path) -> Tree:
    """Every file below a folder."""
    files: set[str] = set()
    for folder, _, names in os.walk(path):
        below = Path(folder).relative_to(path).as_posix()
        files.update(names if below == "." else (f"{below}/{name}" for name in names))
    return Tree(str(path), path, frozenset(files), lambda name: (path / name).read_bytes())


def zip_tree(path: Path, field: str) -> Tree:
    """Every file of a zip; members are read in memory, one by one, and nothing is ever written.

    Raises UserInputError for an archive with entries that point outside it, links, passwords, too many entries or absurd sizes.
    """
    try:
        archive = zipfile.ZipFile(path)
        members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserInputError(field, f"{path.name} is not a readable zip ({error})", "pack it again") from error
    if len(members) > MAX_ENTRIES:
        raise UserInputError(field, f"{path.name} has {len(members):,} entries, more than {MAX_ENTRIES:,}", "unpack it and give the folder")
    for m in members:
        parts = PurePosixPath(m.filename.replace("\\", "/")).parts
        if m.filename.startswith(("/", "\\")) or ".." in parts or re.match(r"^[A-Za-z]:", m.filename):
            found = f"{path.name} has an entry that points outside it: {m.filename!r}"
            raise UserInputError(field, found, "pack it again from inside its folder")
        if stat.S_ISLNK(m.external_attr >> 16):
            raise UserInputError(field, f"{path.name} has a link in it: {m.filename!r}", "pack the files themselves")
        if m.flag_bits & 1:
            raise UserInputError(field, f"{path.name} is encrypted", "pack it without a password")
        if m.file_size > MAX_MEMBER or m.file_size > MAX_RATIO * max(m.compress_size, 1024):
            found = f"{m.filename!r} in {path.name} would unpack from {m.compress_size:,} to {m.file_size:,} bytes"
            raise UserInputError(field, found, "remove it: no image shrinks like that")
    total, packed = sum(m.file_size for m in members), path.stat().st_size
    if total > MAX_RATIO * max(packed, NEVER_A_BOMB):
        raise UserInputError(field, f"{path.name} would unpack from {packed:,} to {total:,} bytes", "pack the images themselves")
    return Tree(path.name, path, frozenset(m.filename for m in members if not m.is_dir()), archive.read)


def read_table(field: str, name: str, raw: bytes, **how: object) -> pd.DataFrame:
    """A CSV of labels, everything as text. Raises UserInputError for what is none."""
    try:
        return pd.read_csv(io.BytesIO(raw), dtype=str, keep_default_na=False, **how)
    except (ValueError, UnicodeDecodeError, OverflowError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserInputError(field, f"{name} cannot be read ({reason})", "save it as UTF-8 text with one row an image") from error


def refuse_formulas(field: str, name: str, table: pd.DataFrame) -> None:
    """Labels go out again as CSV, where a spreadsheet would run them."""
    for column in table:
        if pd.Series([column, *table[column].unique()]).astype(str).str.match(r"^[=@\t\r]|^[+-](?![\d.])").any():
            raise UserInputError(field, f"column {column!r} of {name} holds a spreadsheet formula", "replace it by its value")


def refuse_missing(field: str, name: str, wanted: Sequence[str], there: frozenset[str] | set[str]) -> None:
    """Every file that a table names must be there."""
    missing = [n for n in wanted if n not in there]
    if missing:
        found = f"{name} names {len(missing):,} file(s) that are not there, for instance {missing[0]!r}"
        raise UserInputError(field, found, "add the files or remove their rows")
