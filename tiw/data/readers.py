"""Images from a folder, a zip, an npz or a parquet file: lists of (name, bytes) and their labels."""

from __future__ import annotations

import io
import json
import re
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ..errors import UserInputError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
METADATA = ("metadata.csv", "metadata.jsonl")
MAX_ENTRIES = 100_000  # of a zip
MAX_RATIO = 200  # unpacked to packed bytes of one member; encoded images do not shrink
MAX_MEMBER = 256 << 20  # bytes


@dataclass(frozen=True)
class Listing:
    """What a reader found: images not decoded yet, or pixels at once."""

    items: list[tuple[str, Callable[[], bytes]]]  # (name, read), in order
    attributes: pd.DataFrame | None
    pixels: np.ndarray | None = None  # uint8 [N,H,W,3], from an npz


def read_listing(path: Path, field: str) -> Listing:
    """List what `path` holds. Raises UserInputError, before decoding anything, for what is not an image set."""
    if not path.exists():
        raise UserInputError(field, f"{path} does not exist", "check the path")
    if path.is_dir():
        files = {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*")) if p.is_file()}
        return _from_tree(field, str(path), {name: p.read_bytes for name, p in files.items()})
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return _from_zip(path, field)
    if suffix == ".npz":
        return _from_npz(path, field)
    if suffix == ".parquet":
        return _from_parquet(path, field)
    raise UserInputError(field, f"{path.name} is no image set", "give a folder of images, a .zip of one, an .npz or a .parquet file")


def _from_tree(field: str, where: str, files: dict[str, Callable[[], bytes]]) -> Listing:
    """A folder or a zip: a metadata file wins, else class folders, else no labels."""
    names = [
        n for n in files if PurePosixPath(n).suffix.lower() in SUFFIXES and not any(p.startswith((".", "__MACOSX")) for p in n.split("/"))
    ]
    metadata = next((n for n in files if PurePosixPath(n).name in METADATA), None)
    if metadata is not None:
        return _from_metadata(field, metadata, files)
    if not names:
        raise UserInputError(field, f"{where} holds no image ({', '.join(sorted(SUFFIXES))})", "check the path")
    names.sort()
    parents = [PurePosixPath(n).parent.name for n in names]
    attributes = pd.DataFrame({"label": parents}) if len(set(parents)) > 1 else None
    return Listing([(n, files[n]) for n in names], attributes)


def _from_metadata(field: str, metadata: str, files: dict[str, Callable[[], bytes]]) -> Listing:
    """The Hugging Face imagefolder: rows of metadata.csv or .jsonl name the images in `file_name`, other columns are labels."""
    raw = files[metadata]()
    try:
        table = (
            pd.read_csv(io.BytesIO(raw), dtype=str)
            if metadata.endswith(".csv")
            else pd.DataFrame(json.loads(x) for x in raw.splitlines() if x)
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise UserInputError(field, f"{metadata} cannot be read ({error})", "save it as UTF-8 CSV, or as one JSON object a line") from error
    if "file_name" not in table:
        raise UserInputError(
            field, f"{metadata} has the columns {', '.join(map(str, table.columns))}", "name the images in a column file_name"
        )
    folder = PurePosixPath(metadata).parent
    names = [(folder / str(n)).as_posix() for n in table["file_name"]]
    missing = [n for n in names if n not in files]
    if missing:
        found = f"{metadata} names {len(missing)} file(s) that are not there, for instance {missing[0]!r}"
        raise UserInputError(field, found, "add the files or remove their rows")
    labels = table.drop(columns="file_name").astype(str)
    formulas = [c for c in labels if labels[c].str.match(r"^[=@]|^[+-](?![\d.])").any()]
    if formulas:
        raise UserInputError(field, f"column {formulas[0]!r} of {metadata} holds a spreadsheet formula", "replace it by its value")
    return Listing([(n, files[n]) for n in names], labels if labels.shape[1] else None)


def _from_zip(path: Path, field: str) -> Listing:
    """Members are read in memory, one by one; nothing is ever written."""
    try:
        archive = zipfile.ZipFile(path)
        members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserInputError(field, f"{path.name} is not a readable zip ({error})", "pack it again") from error
    if len(members) > MAX_ENTRIES:
        raise UserInputError(field, f"{path.name} has {len(members):,} entries, more than {MAX_ENTRIES:,}", "unpack it and give the folder")
    files: dict[str, Callable[[], bytes]] = {}
    for m in members:
        parts = PurePosixPath(m.filename.replace("\\", "/")).parts
        if m.filename.startswith(("/", "\\")) or ".." in parts or re.match(r"^[A-Za-z]:", m.filename):
            raise UserInputError(
                field, f"{path.name} has an entry that points outside it: {m.filename!r}", "pack it again from inside its folder"
            )
        if stat.S_ISLNK(m.external_attr >> 16):
            raise UserInputError(field, f"{path.name} has a link in it: {m.filename!r}", "pack the files themselves")
        if m.flag_bits & 1:
            raise UserInputError(field, f"{path.name} is encrypted", "pack it without a password")
        if m.file_size > MAX_MEMBER or m.file_size > MAX_RATIO * max(m.compress_size, 1024):
            found = f"{m.filename!r} in {path.name} would unpack from {m.compress_size:,} to {m.file_size:,} bytes"
            raise UserInputError(field, found, "remove it: no image shrinks like that")
        if not m.is_dir():
            files[m.filename] = lambda m=m: archive.read(m)
    return _from_tree(field, path.name, files)


def _from_npz(path: Path, field: str) -> Listing:
    """`images`, `samples` or `arr_0`, uint8 NHWC or NCHW; other arrays of the same length and one dimension are labels."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            key = next((k for k in ("images", "samples", "arr_0") if k in archive.files), None)
            if key is None:
                raise UserInputError(
                    field, f"{path.name} holds {', '.join(archive.files) or 'nothing'}", "name the array images, samples or arr_0"
                )
            pixels = archive[key]
            labels = {k: archive[k] for k in archive.files if k != key and archive[k].shape == (len(pixels),)}
    except UserInputError:
        raise
    except Exception as error:  # zipfile, header and pickle errors alike
        raise UserInputError(
            field, f"{path.name} cannot be read ({error})", "save plain arrays with numpy.savez, no Python objects"
        ) from error
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or 3 not in (pixels.shape[1], pixels.shape[3]):
        found = f"{key} in {path.name} is {pixels.dtype} {list(pixels.shape)}"
        raise UserInputError(field, found, "give uint8 pixels as [N,H,W,3] or [N,3,H,W]")
    pixels = pixels if pixels.shape[3] == 3 else pixels.transpose(0, 2, 3, 1)
    attributes = pd.DataFrame({k: v.astype(str) for k, v in labels.items()}) if labels else None
    return Listing([], attributes, np.ascontiguousarray(pixels))


def _from_parquet(path: Path, field: str) -> Listing:
    """An image column (bytes, or the struct with `bytes` that the `datasets` library writes); string and integer columns are labels."""
    try:
        table = pq.read_table(path)
    except Exception as error:  # pyarrow raises many kinds
        raise UserInputError(field, f"{path.name} is not a readable parquet file ({error})", "write it again") from error
    columns: dict[str, list] = {}
    encoded = None
    for name in table.column_names:
        kind = str(table.schema.field(name).type)
        if encoded is None and (kind.startswith("struct<bytes: binary") or kind in ("binary", "large_binary")):
            encoded = table.column(name).to_pylist()
            encoded = [e["bytes"] if isinstance(e, dict) else e for e in encoded]
        elif kind in ("string", "large_string", "bool") or kind.startswith(("int", "uint", "dictionary")):
            columns[name] = [str(v) for v in table.column(name).to_pylist()]
    if encoded is None:
        found = f"{path.name} has the columns {', '.join(table.column_names)}, none with encoded images"
        raise UserInputError(field, found, "store the images' bytes in a column named image")
    items = [(f"row {i}", lambda b=b: b or b"") for i, b in enumerate(encoded)]
    return Listing(items, pd.DataFrame(columns) if columns else None)
