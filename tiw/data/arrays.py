"""Pixels that numpy saved: .npz and .npy."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from ..errors import UserInputError
from .image_set import ImageSet
from .labels import free_name, from_columns, listed
from .listing import Listing, rows_of
from .memory import IN_MEMORY, chunks, room_for
from .trees import MAX_RATIO, NEVER_A_BOMB

KEYS = ("images", "samples", "arr_0")
SOURCES = "sources"  # text: where each image came from


def from_npz(path: Path, field: str) -> Listing:
    """`images`, `samples` or `arr_0`, uint8 NHWC or NCHW; other arrays of the same length and one dimension are labels.

    Every array's header is checked before its values are read, and pixels go straight to where they stay.
    Raises UserInputError for a file that cannot be read, holds no such pixels, or would unpack to far more than it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
            key = next((k for k in KEYS if k in members), None)
            if key is None:
                found = f"{path.name} holds {', '.join(members) or 'nothing'}"
                raise UserInputError(field, found, "name the array images, samples or arr_0")
            for m in members.values():
                if m.file_size > MAX_RATIO * max(m.compress_size, NEVER_A_BOMB):
                    found = f"{m.filename!r} in {path.name} would unpack from {m.compress_size:,} to {m.file_size:,} bytes"
                    raise UserInputError(field, found, "remove it: no images shrink like that")
            with archive.open(members[key]) as file:
                pixels = _read_pixels(file, f"{key} in {path.name}", members[key].file_size, field)
            labels, unused = {}, []
            for name in sorted(members.keys() - {key}):
                with archive.open(members[name]) as file:
                    shape, dtype, _ = _header(file)
                    if shape in ((len(pixels),), (len(pixels), 1)) and dtype.kind in "biufUS":
                        labels[name] = np.frombuffer(file.read(dtype.itemsize * len(pixels)), dtype)
                    else:
                        unused.append(f"{name} ({dtype} {list(shape)})")
    except UserInputError:
        raise
    except Exception as error:  # zipfile, header and value errors alike
        found = f"{path.name} cannot be read ({error})"
        raise UserInputError(field, found, "save plain arrays with numpy.savez, no Python objects") from error
    sources = labels.pop(SOURCES) if SOURCES in labels and labels[SOURCES].dtype.kind == "U" else rows_of(len(pixels))
    attributes, notes = from_columns(labels)
    if unused:
        notes = (*notes, f"Not used as labels, since they are not one number or word per image: {listed(unused)}.")
    return Listing([str(name) for name in sources], attributes, pixels=pixels, notes=notes)


def write_npz(path: Path, images: ImageSet) -> None:
    """Write PATH: pixels, labels and where the images came from, as `from_npz` reads them. Labels may be called anything."""
    arrays = {"images": images.images, SOURCES: images.sources.astype(str)}
    for name in [] if images.attributes is None else images.attributes:
        arrays[free_name(name, (*arrays, *KEYS))] = images.attributes[name].fillna("").to_numpy(str)
    with zipfile.ZipFile(path, "w") as archive:  # numpy.savez takes names as arguments, and has some of its own
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy.write_array(file, np.ascontiguousarray(values), allow_pickle=False)


def from_npy(path: Path, field: str) -> Listing:
    """One array, uint8 NHWC or NCHW; a large one is mapped into memory, not read. Raises UserInputError for any other file."""
    try:
        pixels = np.load(path, mmap_mode="c", allow_pickle=False)
    except Exception as error:  # header and value errors alike
        raise UserInputError(field, f"{path.name} cannot be read ({error})", "save one plain array with numpy.save") from error
    _check(path.name, pixels.shape, pixels.dtype, field)
    pixels = pixels if pixels.shape[3] == 3 else pixels.transpose(0, 2, 3, 1)
    return Listing(rows_of(len(pixels)), None, pixels=np.array(pixels, order="C") if pixels.nbytes <= IN_MEMORY else pixels)


def npz_rows(path: Path, name: str, rows: slice = slice(None)) -> np.ndarray:
    """Rows [n, ...] of one array of an .npz: what stands before them is passed over and not kept. Raises KeyError where no array has
    this name."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        shape, dtype, fortran = _header(file)
        if fortran:
            raise ValueError(f"{name} lies in columns, which has no rows to read")
        start, stop, _ = rows.indices(shape[0])
        each = dtype.itemsize * math.prod(shape[1:])
        for part in chunks(start, shape[1:]):
            file.read((part.stop - part.start) * each)
        return np.frombuffer(file.read(max(stop - start, 0) * each), dtype).reshape(-1, *shape[1:])


def shape_of(path: Path, field: str) -> tuple[int, int]:
    """(images, side) of the pixels in an .npz or .npy, from its header alone. Raises UserInputError where they cannot be read."""
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                shape, dtype, _ = _header(file)
        else:
            with zipfile.ZipFile(path) as archive:
                key = next(k for k in KEYS if f"{k}.npy" in archive.namelist())
                with archive.open(f"{key}.npy") as file:
                    shape, dtype, _ = _header(file)
    except Exception as error:  # zipfile, header and value errors alike
        raise UserInputError(field, f"{path.name} holds no pixels that can be read", "save plain arrays with numpy.savez") from error
    _check(path.name, shape, dtype, field)
    return shape[0], max(shape[1:3] if shape[3] == 3 else shape[2:])


def _read_pixels(file: BinaryIO, name: str, size: int, field: str) -> np.ndarray:
    """uint8 [N,H,W,3] out of an .npy stream of `size` bytes."""
    shape, dtype, fortran = _header(file)
    _check(name, shape, dtype, field)
    if math.prod(shape) != size - file.tell():
        raise ValueError(f"{name} should have {math.prod(shape):,} values and has {size - file.tell():,}")
    n, last = shape[0], shape[3] == 3
    out = room_for(n, *(shape[1:3] if last else shape[2:]), field)
    if fortran:
        whole = np.frombuffer(file.read(), np.uint8).reshape(shape, order="F")
        out[:] = whole if last else whole.transpose(0, 2, 3, 1)
        return out
    for part in chunks(n, shape[1:]):
        block = np.frombuffer(file.read((part.stop - part.start) * math.prod(shape[1:])), np.uint8).reshape(-1, *shape[1:])
        out[part] = block if last else block.transpose(0, 2, 3, 1)
    return out


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype, bool]:
    """(shape, dtype, fortran order); raises ValueError for anything but a plain array."""
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(file))
    if read is None:
        raise ValueError("an .npy version of structured arrays")
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return shape, dtype, fortran


def _check(name: str, shape: tuple[int, ...], dtype: np.dtype, field: str) -> None:
    if dtype != np.uint8 or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise UserInputError(field, f"{name} is {dtype} {list(shape)}", "give uint8 pixels as [N,H,W,3] or [N,3,H,W]")
