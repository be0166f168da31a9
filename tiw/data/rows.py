"""Lists of rows: which images of a source make up a set, in a JSON file instead of a copy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import UserInputError
from .hub import HUB, pinned
from .listing import Listing
from .readers import read_listing, tidy_path
from .splits import ROLES, group_columns, make_split

SCHEMA_VERSION = 1


def any_listing(path: str | Path, field: str) -> Listing:
    """What `path` holds: the rows that a list names, or any other set of images."""
    text = tidy_path(path, field)
    is_list = text.lower().endswith(".json") and not Path(text).is_dir()
    return read_rows(Path(text), field) if is_list else read_listing(text, field)


def source_of(path: str | Path) -> str:
    """Where the images of a list of rows lie: whoever keeps the list keeps them too. Raises UserInputError for any other file."""
    return _parsed(Path(path), "path")[0]


def write_split(out: Path, data: str | Path, kind: str, attribute: str = "", **how: object) -> dict:
    """Make a split of the images at `data` from their labels alone, no pixel decoded, and leave OUT/biased.json, reference.json and
    heldout.json: where the images lie, a hash of their names and labels, the rows and their labels. `load_images` reads these files.

    Returns the sizes and shares. Raises what `make_split` raises, and UserInputError for a source that is a split itself.
    """
    if str(data).endswith(".json"):
        raise UserInputError("data", f"{data} is a split itself", "name the images that it was made from")
    listing = read_listing(data, "data")
    split = make_split(listing.attributes, kind, attribute, **how)
    columns = group_columns(listing.attributes, kind, attribute)
    source = _absolute(data, listing)
    about = {"schema_version": SCHEMA_VERSION, "source": source, "source_images": len(listing), "source_key": listing.key()}
    recipe = {"kind": kind, **{name: dict(value) if isinstance(value, Mapping) else value for name, value in how.items()}}
    for role in ROLES:
        rows = getattr(split, role)
        labels = {name: listing.attributes[name].iloc[rows].tolist() for name in columns}
        made = {**about, "set": role, "recipe": recipe, "shares": split.shares[role], "rows": rows.tolist(), "labels": labels}
        Path(out, f"{role}.json").write_text(json.dumps(made))
    return {"source": source, "attributes": columns, "sizes": {role: len(getattr(split, role)) for role in ROLES}, "shares": split.shares}


def write_rows(out: Path, data: str | Path, rows: np.ndarray) -> None:
    """Leave OUT, a list of some rows, int [n], of the images at `data`, for `load_images` to read.

    `data` is any source, another such list too.
    """
    rows = np.sort(np.asarray(rows, dtype=np.int64))
    source = tidy_path(data, "data")
    if source.lower().endswith(".json"):
        source, _, known = _parsed(Path(source), "data")
        rows = known[rows]
    listing = read_listing(source, "data")
    source = _absolute(source, listing)
    about = {"schema_version": SCHEMA_VERSION, "source": source, "source_images": len(listing), "source_key": listing.key()}
    Path(out).write_text(json.dumps({**about, "rows": rows.tolist()}))


def read_rows(path: Path, field: str) -> Listing:
    """The images that a file written by `write_split` names. Raises UserInputError if it is none, or if its source has changed."""
    source, key, rows = _parsed(path, field)
    listing = read_listing(source, field)
    if (rows.size and (rows.min() < 0 or rows.max() >= len(listing) or (np.diff(rows) <= 0).any())) or listing.key() != key:
        raise UserInputError(field, f"{source} has changed since {path.name} was made", "make the split again")
    return listing.take(rows)


def _parsed(path: Path, field: str) -> tuple[str, str, np.ndarray]:
    """(source, its key, rows) of a list."""
    if not path.is_file():
        raise UserInputError(field, f"{path} does not exist", "check the path")
    try:
        made = json.loads(path.read_bytes())
        source, key, rows = made["source"], made["source_key"], made["rows"]
        if made["schema_version"] != SCHEMA_VERSION or not isinstance(source, str) or source.lower().endswith(".json"):
            raise ValueError("of another version")
        if not isinstance(rows, list) or not all(type(row) is int for row in rows):
            raise ValueError("its rows are not whole numbers")
        return source, key, np.array(rows, dtype=np.int64)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, OSError) as error:
        raise UserInputError(field, f"{path.name} is not a list of rows ({error})", "give a file that make-split has written") from error


def _absolute(source: str | Path, listing: Listing) -> str:
    """The source as it will be found from anywhere, one of the hub at the commit that was read."""
    source = tidy_path(source, "data")
    return pinned(source, listing.revision) if source.startswith(HUB) else str(Path(source).resolve())
