"""CIFAR-10 and CIFAR-100 as downloaded: pickles, read without running anything that is in them."""

from __future__ import annotations

import gzip
import io
import math
import pickle
import re
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from ..errors import UserInputError
from .listing import Listing, Tree
from .memory import room_for

BATCH = re.compile(r"data_batch_\d+|test_batch|train|test")
META = ("batches.meta", "meta")
MAX_UNPACKED = 1 << 30  # bytes; CIFAR-100 has 186 MB
LABELS = {"labels": "label_names", "fine_labels": "fine_label_names", "coarse_labels": "coarse_label_names"}  # in a batch, in meta
COLUMNS = {"labels": "label", "fine_labels": "label", "coarse_labels": "superclass"}


def from_cifar_tree(tree: Tree, field: str) -> Listing | None:
    """A folder or zip with the python batches; None if it holds none."""
    meta = tree.named(*META)
    if meta is None and tree.named("data_batch_1", "test_batch") is None:
        return None
    batches = [n for n in tree.files if BATCH.fullmatch(n.rsplit("/", 1)[-1])]
    if not batches:
        return None
    wanted = [*batches, meta] if meta else batches
    return _from_batches({PurePosixPath(n).name: tree.load(n, field) for n in wanted}, tree.where, field)


def from_cifar_archive(path: Path, field: str) -> Listing:
    """cifar-10-python.tar.gz or cifar-100-python.tar.gz, read in one pass; nothing is written."""
    found: dict[str, bytes] = {}
    try:
        with gzip.open(path) as unpacked, tarfile.open(fileobj=_Limited(unpacked), mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and (BATCH.fullmatch(name) or name in META):
                    found[name] = archive.extractfile(member).read()
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise UserInputError(field, f"{path.name} is not a readable tar.gz ({error})", "download it again") from error
    if not any(BATCH.fullmatch(name) for name in found):
        raise UserInputError(field, f"{path.name} holds no CIFAR batches", "of archives, only CIFAR's are read: unpack it, give the folder")
    return _from_batches(found, path.name, field)


class _Limited(io.RawIOBase):
    """Stops a compressed file that unpacks without end."""

    def __init__(self, file: gzip.GzipFile):
        self._file, self._left = file, MAX_UNPACKED

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size if size >= 0 else self._left + 1, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {MAX_UNPACKED:,} bytes")
        return data


def _from_batches(files: dict[str, bytes], where: str, field: str) -> Listing:
    """The training images in the order of the batches; the test images where there are no others. Labels by name where meta has them."""
    training = sorted((n for n in files if n == "train" or n.startswith("data_batch")), key=lambda n: (len(n), n))
    names = training or sorted(n for n in files if BATCH.fullmatch(n))
    batches = []
    for name in names:
        batch = restricted_loads(files.pop(name), f"{name} in {where}", field)
        data = batch.get("data") if isinstance(batch, dict) else None
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
            raise UserInputError(field, f"{name} in {where} holds no [N,3072] uint8 array named data", "download the python version again")
        batches.append(batch)
    meta = next((restricted_loads(files[n], f"{n} in {where}", field) for n in META if n in files), {})
    pixels = room_for(sum(len(b["data"]) for b in batches), 32, 32, field)
    start = 0
    for batch in batches:
        part = batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        pixels[start : start + len(part)] = part
        start += len(part)
    columns = {}
    for key, known in LABELS.items():
        values = [v for batch in batches for v in (batch.get(key) if isinstance(batch.get(key), list) else [])]
        if values and len(values) == len(pixels):
            texts = meta.get(known) if isinstance(meta, dict) else None
            texts = texts if isinstance(texts, list) else []
            columns[COLUMNS[key]] = [str(texts[v]) if isinstance(v, int) and 0 <= v < len(texts) else str(v) for v in values]
    rows = [f"{name}:{row}" for name, batch in zip(names, batches, strict=True) for row in range(len(batch["data"]))]
    return Listing(rows, pd.DataFrame(columns) if columns else None, pixels=pixels)


def restricted_loads(data: bytes, name: str, field: str) -> object:
    """A pickle of dicts, lists, numbers, text and numpy arrays; bytes come out as text.

    Arrays are rebuilt here from their bytes: no code that the pickle names is ever called, numpy's own included. Python's own unpickler
    is used, not the one in C, whose memory a hostile index can exhaust. Raises UserInputError naming what else the pickle asks for.
    """
    array = type("Array", (), {"__slots__": ("state",), "__setstate__": lambda self, state: setattr(self, "state", state)})
    dtype = type("Dtype", (), {"__slots__": ("code",), "__init__": lambda self, code, *_: setattr(self, "code", code)})
    dtype.__setstate__ = lambda self, state: None  # byte order means nothing to uint8

    def from_buffer(raw: bytes, kind: object, shape: tuple, order: str) -> object:
        made = array()
        made.state = (1, shape, kind, order == "F", bytes(raw))
        return made

    allowed = {
        **{(f"numpy.{core}.multiarray", "_reconstruct"): lambda *_: array() for core in ("core", "_core")},
        **{(f"numpy.{core}.numeric", "_frombuffer"): from_buffer for core in ("core", "_core")},
        ("numpy", "ndarray"): array,
        ("numpy", "dtype"): dtype,
        ("_codecs", "encode"): lambda text, *_: text.encode("latin1"),  # how bytes are written for older readers
    }

    class Restricted(pickle._Unpickler):
        def find_class(self, module: str, called: str) -> object:
            if (module, called) not in allowed:
                raise UserInputError(
                    field, f"{name} asks to run {module}.{called}", "do not use this file: a CIFAR batch holds arrays and text only"
                )
            return allowed[module, called]

    def plain(value: object, depth: int = 0) -> object:
        if isinstance(value, array):
            _, shape, kind, fortran, raw = value.state
            raw = raw.encode("latin1") if isinstance(raw, str) else raw
            if not isinstance(kind, dtype) or kind.code not in ("u1", b"u1") or math.prod(shape) != len(raw):
                raise ValueError("an array that is not of uint8")
            return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, dict) and depth == 0:
            return {plain(k, 1): plain(v, 1) for k, v in value.items()}
        if isinstance(value, list) and depth < 2:
            return [plain(v, 2) for v in value]
        return value

    try:
        return plain(Restricted(io.BytesIO(data), encoding="bytes").load())
    except UserInputError:
        raise
    except Exception as error:  # a broken pickle makes the unpickler raise whatever comes
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserInputError(field, f"{name} cannot be read ({reason})", "download the python version again") from error
