"""The files of a folder or of a zip, by their name relative to it."""

from __future__ import annotations

import os
import posixpath
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pandas as pd

from ..errors import UserInputError
from .decode import BadImage
from .labels import listed
from .listing import Listing
from .sniff import HEAD, NO_PICTURES, OTHER_PICTURES, SUFFIXES, hidden, kind_of, suffix_of

MAX_FILES = 2_000_000  # of a folder: links can make one endless
MAX_ENTRIES = 100_000  # of a zip
MAX_RATIO = 200  # unpacked to packed bytes, of one member and of all; encoded images do not shrink
MAX_MEMBER = 256 << 20  # bytes of a file
NEVER_A_BOMB = 1 << 20  # bytes of a whole archive below which its total is not compared


@dataclass(frozen=True)
class Tree:
    """Files by name: parts joined by "/", accents composed (macOS writes them apart), whatever system packed or saved them."""

    where: str  # for error messages
    path: Path
    files: Mapping[str, str]  # name -> how `open` knows the file
    open: Callable[[str], BinaryIO]
    bad: tuple[BadImage, ...] = ()  # folders that cannot be opened
    notes: tuple[str, ...] = ()

    def read(self, name: str) -> bytes:
        """A file's bytes. Raises OSError and what zipfile raises."""
        with self.open(self.files[name]) as file:
            return file.read()

    def load(self, name: str, field: str) -> bytes:
        """A file that describes the images. Raises UserInputError if it cannot be read."""
        try:
            return self.read(name)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserInputError(field, f"{name} in {self.where} cannot be read ({reason})", "copy or pack it again") from error

    def images(self) -> list[str]:
        """The names of images, by suffix or else by content, sorted; hidden files left out."""
        return self._sorted[0]

    @cached_property
    def _sorted(self) -> tuple[list[str], tuple[BadImage, ...], list[str]]:
        """(images, pictures in formats that are not read, other files)"""
        images, pictures, others = [], [], []
        for name in sorted(n for n in self.files if not hidden(n)):
            suffix = suffix_of(name)
            if suffix in SUFFIXES or (suffix not in NO_PICTURES and suffix not in OTHER_PICTURES and self._is_image(name)):
                images.append(name)
            elif suffix in OTHER_PICTURES:
                pictures.append(BadImage(name, "other format", f"{suffix[1:].upper()} is not read: save it as PNG or JPEG"))
            else:
                others.append(name)
        return images, tuple(pictures), others

    def _is_image(self, name: str) -> bool:
        try:
            with self.open(self.files[name]) as file:
                return bool(kind_of(file.read(HEAD)))
        except Exception:  # what cannot be opened under a name that promises no image is none
            return False

    def all_named(self, *basenames: str) -> list[str]:
        """The files of these names, the highest in the tree first."""
        return sorted((n for n in self.files if n.rsplit("/", 1)[-1] in basenames), key=lambda n: (n.count("/"), n))

    def named(self, *basenames: str) -> str | None:
        """The first of them, if there is one."""
        return next(iter(self.all_named(*basenames)), None)

    def find(self, written: str, folder: str = "") -> str | None:
        """The file that a table in `folder` means by what is written there; None if there is none, or no single one.

        As it stands, below the table's folder or the tree; with Windows' separators; in other capitals; without its suffix; by the end of
        a path of another machine; by the bare name where only one image has it. Never outside the tree.
        """
        name = unicodedata.normalize("NFC", written.strip()).replace("\\", "/")
        foreign = name.startswith("/") or re.match(r"[A-Za-z]:", name) is not None
        below = posixpath.normpath(posixpath.join(folder, name.lstrip("/")))
        if not name or (".." in name.split("/") and below not in self.files):
            return None
        parts = posixpath.normpath(name).split("/")
        tails = ["/".join(parts[k:]) for k in range(len(parts) if foreign else 1)]
        for known in (below, *(place for tail in tails for place in (posixpath.join(folder, tail), tail))):
            if known in self.files:
                return known
            if found := self._loose.get(known.casefold()):
                return found
        return self._loose.get("*/" + parts[0].casefold()) or None if len(parts) == 1 else None

    @cached_property
    def _loose(self) -> dict[str, str]:
        """Images by name in small letters, with and without suffix, in their folder and (after "*/") wherever they are; if unique."""
        found: dict[str, str] = {}
        for name in self.images():
            own = name.casefold()
            bare = own.rsplit("/", 1)[-1]
            for form in {own, own.removesuffix(suffix_of(own)), f"*/{bare}", f"*/{bare.removesuffix(suffix_of(bare))}"}:
                found[form] = "" if form in found else name
        return found

    def listing(
        self,
        names: list[str],
        attributes: pd.DataFrame | None,
        bad: tuple[BadImage, ...] = (),
        notes: tuple[str, ...] = (),
        used: tuple = (),
    ) -> Listing:
        """These files as a set; what lies beside them is named, but for the files `used`, which describe them."""
        _, pictures, others = self._sorted
        others = [n for n in others if n not in used]
        if others:
            notes = (*notes, f"{len(others):,} file(s) that are not images were left out: {listed(others)}.")
        encoded = lambda: (partial(self.read, name) for name in names)  # noqa: E731
        return Listing(names, attributes, encoded, bad=(*self.bad, *pictures, *bad), notes=(*self.notes, *notes))


def folder_tree(path: Path, field: str) -> Tree:
    """Every file below a folder, through links too, but never round in a circle. Raises UserInputError where there are too many."""
    files: dict[str, str] = {}
    bad: list[BadImage] = []
    waiting = [(str(path), "", (os.path.realpath(path),))]
    while waiting:
        folder, prefix, above = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            bad.append(BadImage(prefix or ".", "unreadable", f"the folder cannot be opened: {error.strerror}"))
            continue
        for entry in entries:
            name = prefix + unicodedata.normalize("NFC", entry.name)
            if _is(entry.is_dir) and not hidden(entry.name):
                real = os.path.realpath(entry.path)
                if real not in above:
                    waiting.append((entry.path, f"{name}/", (*above, real)))
            elif _is(entry.is_file) or (entry.is_symlink() and not _is(entry.is_dir) and not os.path.exists(entry.path)):
                files[name if name not in files else prefix + entry.name] = entry.path
        if len(files) > MAX_FILES:
            raise UserInputError(field, f"{path} holds more than {MAX_FILES:,} files", "check for links, or give a part of it")
    return Tree(str(path), path, files, _opened, tuple(bad))


def _opened(path: str) -> BinaryIO:
    if os.stat(path).st_size > MAX_MEMBER:
        raise OSError(f"larger than {MAX_MEMBER >> 20} MiB")
    return open(path, "rb")


def _is(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except OSError:
        return False


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
        _refuse_hostile(m, path, field)
    total, packed = sum(m.file_size for m in members), path.stat().st_size
    if total > MAX_RATIO * max(packed, NEVER_A_BOMB):
        raise UserInputError(field, f"{path.name} would unpack from {packed:,} to {total:,} bytes", "pack the images themselves")
    files: dict[str, zipfile.ZipInfo] = {}
    twice = []
    for m in members:
        name = unicodedata.normalize("NFC", posixpath.normpath(m.filename.replace("\\", "/")))  # Windows packs with its own separator
        if m.filename.endswith(("/", "\\")):
            continue
        if name in files:
            twice.append(name)
        files[name] = m
    notes = (f"{len(twice):,} file(s) are in {path.name} twice, for instance {twice[0]}; the last of each was taken.",) if twice else ()
    return Tree(path.name, path, files, archive.open, notes=notes)


def _refuse_hostile(m: zipfile.ZipInfo, path: Path, field: str) -> None:
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
