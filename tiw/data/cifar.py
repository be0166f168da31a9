"""CIFAR-10 and CIFAR-100 as downloaded: pickles, read without running anything that is in them."""

from __future__ import annotations

import gzip
import io
import math
import pickle
import pickletools
import re
import tarfile
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import UserInputError
from .labels import from_columns, listed
from .listing import Listing
from .memory import room_for
from .trees import Tree

BATCH = re.compile(r"data_batch_\d+|test_batch|train|test")
META = ("batches.meta", "meta")
MAX_UNPACKED = 1 << 30  # bytes; CIFAR-100 has 186 MB
MOST_OPERATIONS = 1_000_000  # of a pickle; CIFAR-100's training images take some 300,000
MOST_CLASSES = 10_000
# The pickle operations that arrays, text, numbers, lists and dicts need; sets, instances and extensions are not among them.
OPERATIONS = {
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK, pickle.DUP, pickle.NONE),
    *(pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG, pickle.LONG1),
    *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8),
    *(pickle.BYTEARRAY8, pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.BINFLOAT),
    *(pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS, pickle.EMPTY_TUPLE),
    *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE),
    *(pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD),
}
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
    _refuse_several(batches, tree.where, field)
    wanted = [*batches, meta] if meta else batches
    return _from_batches({PurePosixPath(n).name: tree.load(n, field) for n in wanted}, tree.where, field)


def from_cifar_archive(path: Path, field: str) -> Listing:
    """cifar-10-python.tar.gz or cifar-100-python.tar.gz, read in one pass; nothing is written.

    Raises UserInputError for another archive, and for one that is damaged or unpacks without end.
    """
    found: dict[str, bytes] = {}
    batches: list[str] = []
    try:
        with gzip.open(path) as unpacked, tarfile.open(fileobj=_Limited(unpacked), mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and (BATCH.fullmatch(name) or name in META):
                    found[name] = archive.extractfile(member).read()
                    batches += [member.name] if name not in META else []
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise UserInputError(field, f"{path.name} is not a readable tar.gz ({error})", "download it again") from error
    if not batches:
        raise UserInputError(field, f"{path.name} holds no CIFAR batches", "of archives, only CIFAR's are read: unpack it, give the folder")
    _refuse_several(batches, path.name, field)
    return _from_batches(found, path.name, field)


def _refuse_several(batches: list[str], where: str, field: str) -> None:
    """CIFAR-10 and CIFAR-100 lie side by side where torchvision downloads them."""
    folders = sorted({PurePosixPath(name).parent.as_posix() for name in batches})
    if len(folders) > 1:
        raise UserInputError(field, f"{where} holds CIFAR batches in {len(folders)} folders: {listed(folders)}", "give one of them")


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
        if values and len(values) == len(pixels) and all(isinstance(v, int) and 0 <= v < MOST_CLASSES for v in values):
            texts = meta.get(known) if isinstance(meta, dict) else None
            texts = [t for t in texts if isinstance(t, str)] if isinstance(texts, list) else []
            columns[COLUMNS[key]] = [texts[v] if v < len(texts) else v for v in values]
    attributes, notes = from_columns(columns)
    if training and any(n.startswith("test") for n in files):
        notes = (*notes, f"The test images of {where} were left out: these are the training images.")
    rows = [f"{name}:{row}" for name, batch in zip(names, batches, strict=True) for row in range(len(batch["data"]))]
    return Listing(rows, attributes, pixels=pixels, notes=notes)


def restricted_loads(data: bytes, name: str, field: str) -> object:
    """A pickle of dicts, lists, numbers, text and numpy arrays; bytes come out as text.

    Arrays are rebuilt here from their bytes: no code that the pickle names is ever called, numpy's own included. Python's own unpickler
    is used, not the one in C, whose memory a hostile index can exhaust; of its operations only those that make such values are there,
    keys of dicts are text (the hash of tuples within tuples takes twice as long with each level), and what is built out of the pickle's
    bytes is no larger than the pickle. Raises UserInputError naming what else the pickle asks for.
    """
    built = 0

    def bounded(raw: object) -> bytes:
        nonlocal built
        if not isinstance(raw, (bytes, bytearray, str)):
            raise ValueError("an array without bytes")
        built += len(raw)
        if built > len(data):
            raise ValueError("it builds more than it holds")
        return raw.encode("latin1") if isinstance(raw, str) else bytes(raw)

    array = type("Array", (), {"__slots__": ("state",), "__setstate__": lambda self, state: setattr(self, "state", state)})
    dtype = type("Dtype", (), {"__slots__": ("code",), "__init__": lambda self, code, *_: setattr(self, "code", code)})
    dtype.__setstate__ = lambda self, state: None  # byte order means nothing to uint8

    def from_buffer(raw: bytes, kind: object, shape: tuple, order: str) -> object:
        made = array()
        made.state = (1, shape, kind, order == "F", bounded(raw))
        return made

    allowed = {
        **{(f"numpy.{core}.multiarray", "_reconstruct"): lambda *_: array() for core in ("core", "_core")},
        **{(f"numpy.{core}.numeric", "_frombuffer"): from_buffer for core in ("core", "_core")},
        ("numpy", "ndarray"): array,
        ("numpy", "dtype"): dtype,
        ("_codecs", "encode"): lambda text, *_: bounded(text),  # how bytes are written for older readers
    }

    class Keyed(dict):
        def __setitem__(self, key: object, value: object) -> None:
            if not isinstance(key, (str, bytes)):
                raise ValueError("a key that is not text")
            super().__setitem__(key, value)

    class Restricted(pickle._Unpickler):
        dispatch = {  # noqa: RUF012  (as Python's own has it)
            **{code: does for code, does in pickle._Unpickler.dispatch.items() if bytes([code]) in OPERATIONS},
            pickle.EMPTY_DICT[0]: lambda self: self.append(Keyed()),
        }

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
            plausible = isinstance(shape, tuple) and len(shape) <= 4 and all(isinstance(n, int) and 0 <= n < 1 << 31 for n in shape)
            known = isinstance(kind, dtype) and isinstance(kind.code, (str, bytes)) and kind.code in ("u1", b"u1")
            if not known or not plausible or not isinstance(raw, (bytes, bytearray)) or math.prod(shape) != len(raw):
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
        if sum(1 for _ in islice(pickletools.genops(data), MOST_OPERATIONS + 1)) > MOST_OPERATIONS:
            raise ValueError("far too many values")
        return plain(Restricted(io.BytesIO(data), encoding="bytes").load())
    except UserInputError:
        raise
    except Exception as error:  # a broken pickle makes the unpickler raise whatever comes
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserInputError(field, f"{name} cannot be read ({reason})", "download the python version again") from error
