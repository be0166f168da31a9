"""Tables of labels beside the images: metadata.csv and what else people call it."""

from __future__ import annotations

import csv
import io
import json
import posixpath
import re
from dataclasses import replace

import numpy as np
import pandas as pd

from ..errors import UserInputError
from .decode import BadImage
from .labels import free_name, from_columns, listed, text_of
from .listing import Listing, refuse_missing
from .sniff import hidden, suffix_of
from .trees import Tree

NAMED = re.compile(r"metadata[^/]*\.(csv|tsv|jsonl)", re.IGNORECASE)  # metadata.csv as on the Hugging Face hub, metadata1000.jsonl, ...
SUFFIXES = (".csv", ".tsv", ".jsonl")
FILE_COLUMNS = (
    "file_name",
    "filename",
    "file name",
    "file",
    "file_path",
    "filepath",
    "path",
    "image",
    "image_name",
    "image_path",
    "image_id",
)
SEPARATORS = (",", ";", "\t", "|")
MANY_TABLES = 20  # more tables than this belong to something else
LONGEST_HEADER = 100_000  # characters
LARGEST_GUESSED = 64 << 20  # bytes of a table under another name that is looked into


def from_metadata(tree: Tree, field: str) -> Listing | None:
    """The Hugging Face imagefolder: rows of metadata.csv, .tsv or .jsonl name the images that belong to the set, other columns are labels.

    One table at the top, or one in the folder of each part. Raises UserInputError for a table that names files that are not there, or one
    file twice with different labels.
    """
    named = [n for n in tree.files if NAMED.fullmatch(n.rsplit("/", 1)[-1]) and not hidden(n)]
    if not named:
        return None
    parts, images, notes = [], [], []
    for name in sorted(named, key=lambda n: (n.count("/"), n)):
        table, said = read_table(field, name, tree.load(name, field))
        column = file_column(table)
        if column is None:
            found = f"{name} has the columns {listed(list(table.columns), 20)}"
            raise UserInputError(field, found, "name the images in a column file_name")
        found, missing = _resolve(tree, name, table[column])
        refuse_missing(field, name, missing)
        images += found
        notes += said
        parts.append(table.drop(columns=column))
    if not images:
        raise UserInputError(field, f"{listed(named)} has no row", "add a row for each image, or remove the table")
    labels = pd.concat(parts, ignore_index=True)
    once = _once(field, listed(named), images, labels)
    images, labels = [images[row] for row in once], labels.iloc[once]
    attributes, said = from_columns({name: labels[name] for name in labels})
    there = set(images)
    left_out = tuple(BadImage(n, "not in the table", f"{listed(named)} does not name it") for n in tree.images() if n not in there)
    return replace(tree.listing(images, attributes, notes=(*notes, *said), used=tuple(named)), left_out=left_out)


def labels_of_others(tree: Tree, field: str, images: list[str]) -> tuple[pd.DataFrame | None, tuple[str, ...], tuple[str, ...]]:
    """Labels for these images from a table under any name, with what to say and the tables used; (None, ..) where no table fits.

    Several tables are put together where each image is in one of them; an image that no row names has no labels.
    """
    tables = [n for n in tree.files if suffix_of(n) in SUFFIXES and not hidden(n)]
    if not tables or len(tables) > MANY_TABLES:
        return None, (), ()
    rows: dict[str, int] = {}
    parts, used, notes, unused = [], [], [], []
    for name in sorted(tables):
        table, places = _fitting(tree, name, images, field)
        if table is None or places.keys() & rows.keys():
            unused.append(name)
            continue
        start = sum(map(len, parts))
        rows |= {image: start + row for image, row in places.items()}
        parts.append(table)
        used.append(name)
    if unused:
        why = "none of its columns names these images, or others do already"
        notes.append(f"{listed(unused)} lies there unused: {why}. Call it metadata.csv, with a column file_name, to have it read.")
    if not parts:
        return None, tuple(notes), ()
    everything = pd.concat(parts, ignore_index=True)
    chosen = everything.reindex([rows.get(image, -1) for image in images]).reset_index(drop=True)
    attributes, said = from_columns({name: chosen[name] for name in chosen})
    return attributes, (f"Labels were read from {listed(used)}.", *notes, *said), tuple(used)


def _fitting(tree: Tree, name: str, images: list[str], field: str) -> tuple[pd.DataFrame | None, dict[str, int]]:
    """A table's labels and the row of each image, where it has a column that names most of them, each once; else (None, {})."""
    try:
        raw = tree.load(name, field)
        table, _ = read_table(field, name, raw if len(raw) <= LARGEST_GUESSED else b"")
    except UserInputError:
        return None, {}
    column = file_column(table)
    if column is None or table.shape[1] < 2:
        return None, {}
    found, _ = _resolve(tree, name, table[column])
    wanted = set(images)
    places = {image: row for row, image in enumerate(found) if image in wanted}
    twice = len(places) < sum(image in wanted for image in found)
    return (None, {}) if twice or 2 * len(places) < len(images) else (table.drop(columns=column), places)


def file_column(table: pd.DataFrame) -> str | None:
    """The column that names the images."""
    lowered = {str(column).lower(): column for column in reversed(table.columns)}
    return next((lowered[name] for name in FILE_COLUMNS if name in lowered), None)


def _resolve(tree: Tree, table: str, written: pd.Series) -> tuple[list[str | None], list[str]]:
    """(the file that each row names, None where there is none; what these rows say instead)"""
    folder = posixpath.dirname(table)
    found = [tree.find(str(name), folder) for name in written]
    return found, [str(name) for name, there in zip(written, found, strict=True) if not there]


def _once(field: str, table: str, images: list[str], labels: pd.DataFrame) -> list[int]:
    """The first row of every image. Raises UserInputError where another row says something else of it."""
    first: dict[str, int] = {}
    for row, image in enumerate(images):
        if first.setdefault(image, row) != row:
            one, other = (labels.iloc[k].map(text_of).tolist() for k in (first[image], row))
            if one != other:
                raise UserInputError(field, f"{table} names {image} twice, with different labels", "keep the right row")
    return list(first.values())


def read_table(field: str, name: str, raw: bytes) -> tuple[pd.DataFrame, list[str]]:
    """A table of labels, everything as written, and what to say of how it was read. Raises UserInputError for what is none."""
    text, notes = decoded(field, name, raw)
    if suffix_of(name) == ".jsonl":
        return _from_json(field, name, text), notes
    header = text.lstrip("\n\r").split("\n", 1)[0][:LONGEST_HEADER]
    separator = max(SEPARATORS, key=lambda s: (len(_fields(header, s)), -SEPARATORS.index(s)))
    table = _read_csv(field, name, text, sep=separator, skipinitialspace=True)
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus values for an index
        raise UserInputError(field, f"{name} has rows longer than its header", "save it again with as many values in every row")
    table = table.loc[:, [not re.fullmatch(r"(Unnamed: \d+)?", str(column).strip()) for column in table.columns]]  # an index without a name
    values = table.fillna("").to_numpy(object)
    table = table.loc[np.array([any(value.strip() for value in row) for row in values], bool)].reset_index(drop=True)
    columns: list[str] = []
    for column in table.columns:
        columns.append(free_name(str(column).strip(), columns))
    return table.set_axis(columns, axis=1), notes


def _fields(header: str, separator: str) -> list[str]:
    return next(csv.reader([header], delimiter=separator), [])


def _from_json(field: str, name: str, text: str) -> pd.DataFrame:
    """One object a line, or one list of objects."""
    try:
        rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines() if line.strip()]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("a row is not an object")
        columns = list(dict.fromkeys(key for row in rows for key in row))
        return pd.DataFrame({key: pd.Series([row.get(key) for row in rows], dtype=object) for key in columns}, dtype=object)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserInputError(field, f"{name} cannot be read ({error})", "save one JSON object a line") from error


def decoded(field: str, name: str, raw: bytes) -> tuple[str, list[str]]:
    """A text file's text, and a note where it is not UTF-8. Raises UserInputError for what is not text."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8")):
        if raw.startswith(mark):
            try:
                text = raw.decode(encoding)
            except UnicodeDecodeError:
                break
            if "\0" in text:
                break
            return text, []
    if b"\0" in raw or raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserInputError(field, f"{name} cannot be read (it is not text)", "save it as UTF-8 text with one row an image")
    return raw.decode("cp1252", "replace"), [f"{name} is not in UTF-8 and was read as Windows text: check its accents."]


def _read_csv(field: str, name: str, text: str, **how: object) -> pd.DataFrame:
    try:
        return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, **how)
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserInputError(field, f"{name} cannot be read ({reason})", "save it as UTF-8 text with one row an image") from error


def read_plain_table(field: str, name: str, raw: bytes, **how: object) -> pd.DataFrame:
    """A CSV of a known layout, everything as text. Raises UserInputError for what is none."""
    return _read_csv(field, name, decoded(field, name, raw)[0], **how)
