"""What a path names, and the general forms: a folder, a zip, class folders, a table of metadata."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pandas as pd

from ..errors import UserInputError
from .arrays import from_npy, from_npz
from .cifar import from_cifar_archive, from_cifar_tree
from .folders import class_folders
from .hub import HUB, from_hub
from .layouts import from_celeba, from_edm, from_fairface, from_utkface
from .listing import Listing
from .metadata import from_metadata, labels_of_others
from .tables import from_parquet
from .trees import Tree, folder_tree, zip_tree

FORMS = "a folder of images, a .zip of one, an .npz, .npy or .parquet file, or hub:OWNER/NAME"
QUOTES = ('""', "''", "“”", "‘’", "„“", "«»", "``")


def tidy_path(written: str | Path, field: str = "path") -> str:
    """A path as people paste it, without the quotes and blanks round it and with `~` filled in; hub:OWNER/NAME stays as it is.

    Raises UserInputError for nothing, and for an address of the web.
    """
    text = str(written).strip()
    while len(text) > 1 and text[0] + text[-1] in QUOTES:
        text = text[1:-1].strip()
    if text.lower().startswith("file://"):
        text = text[7:]
    if re.match(r"[a-z][a-z0-9+.-]*://|www\.", text, re.IGNORECASE):
        raise UserInputError(field, f"{text[:80]} is an address on the web", "download the images and name the folder or file they are in")
    if not text or "\0" in text:
        raise UserInputError(field, "no path is given", f"give {FORMS}")
    return text if text.startswith(HUB) else os.path.expanduser(text)


def read_listing(path: str | Path, field: str) -> Listing:
    """List what `path` holds. Raises UserInputError, before decoding anything, for what is not an image set."""
    text = tidy_path(path, field)
    if text.startswith(HUB):
        return from_hub(text, field)
    path = Path(text)
    try:
        there = path.stat()
    except OSError as error:
        found = f"{path} does not exist" if isinstance(error, (FileNotFoundError, NotADirectoryError)) else f"{path}: {error.strerror}"
        raise UserInputError(field, found, "check the path") from error
    if path.is_dir():
        return _from_tree(folder_tree(path, field), field)
    if not path.is_file():
        raise UserInputError(field, f"{path} is neither a folder nor a file", f"give {FORMS}")
    if not there.st_size:
        raise UserInputError(field, f"{path.name} is empty", "copy or download it again")
    name = path.name.lower()
    if name.endswith((".tar.gz", ".tgz")):
        return from_cifar_archive(path, field)
    if name.endswith(".zip"):
        return _from_tree(zip_tree(path, field), field)
    readers = {".npz": from_npz, ".npy": from_npy, ".parquet": from_parquet}
    if path.suffix.lower() not in readers:
        raise UserInputError(field, f"{path.name} is not a set of images", f"give {FORMS}")
    return readers[path.suffix.lower()](path, field)


def _from_tree(tree: Tree, field: str) -> Listing:
    """A folder or a zip: a metadata file wins, then the layouts known by name, then class folders, then a table under another name."""
    for read in (from_metadata, from_edm, from_cifar_tree, from_celeba, from_fairface, from_utkface):
        if (listing := read(tree, field)) is not None:
            return listing
    names = tree.images()
    if not names:
        tables = sorted(n for n in tree.files if n.endswith(".parquet"))
        fix = f"name one of its tables, for instance {tables[0]}" if tables else "check the path"
        raise UserInputError(field, f"{tree.where} holds no image", fix)
    classes, notes = class_folders(names)
    attributes = None if classes is None else pd.DataFrame({"label": classes})
    of_table, said, used = labels_of_others(tree, field, names)
    if classes is None:
        return tree.listing(names, of_table, notes=(*notes, *said), used=used)
    if used:
        said = (f"{', '.join(used)} lies there unused, since the folders name the classes. Call it metadata.csv to have it read instead.",)
    return tree.listing(names, attributes, notes=(*notes, *said), used=used)
