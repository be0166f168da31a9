"""What a path names, and the general forms: a folder, a zip, class folders, a table of metadata."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pandas as pd

from ..errors import UserInputError
from .arrays import from_npy, from_npz
from .cifar import from_cifar_archive, from_cifar_tree
from .layouts import from_celeba, from_edm, from_fairface, from_utkface
from .listing import SUFFIXES, Listing, Tree, folder_tree, read_table, refuse_missing, zip_tree
from .tables import HUB, from_hub, from_parquet

METADATA = ("metadata.csv", "metadata.jsonl")
FORMS = "a folder of images, a .zip of one, an .npz, .npy or .parquet file, or hub:OWNER/NAME"


def read_listing(path: str | Path, field: str) -> Listing:
    """List what `path` holds. Raises UserInputError, before decoding anything, for what is not an image set."""
    if str(path).startswith(HUB):
        return from_hub(str(path), field)
    path = Path(path).expanduser()
    if not path.exists():
        raise UserInputError(field, f"{path} does not exist", "check the path")
    if path.is_dir():
        return _from_tree(folder_tree(path), field)
    name = path.name.lower()
    if name.endswith((".tar.gz", ".tgz")):
        return from_cifar_archive(path, field)
    if name.endswith(".zip"):
        return _from_tree(zip_tree(path, field), field)
    readers = {".npz": from_npz, ".npy": from_npy, ".parquet": from_parquet}
    if path.suffix.lower() not in readers:
        raise UserInputError(field, f"{path.name} is no image set", f"give {FORMS}")
    return readers[path.suffix.lower()](path, field)


def _from_tree(tree: Tree, field: str) -> Listing:
    """A folder or a zip: a metadata file wins, then the layouts known by name, then class folders, else there are no labels."""
    for read in (_from_metadata, from_edm, from_cifar_tree, from_celeba, from_fairface, from_utkface):
        if (listing := read(tree, field)) is not None:
            return listing
    names = tree.images()
    if not names:
        tables = sorted(n for n in tree.files if n.endswith(".parquet"))
        fix = f"name one of its tables, for instance {tables[0]}" if tables else "check the path"
        raise UserInputError(field, f"{tree.where} holds no image ({', '.join(sorted(SUFFIXES))})", fix)
    parents = [PurePosixPath(n).parent.name for n in names]
    return tree.listing(names, pd.DataFrame({"label": parents}) if len(set(parents)) > 1 else None)


def _from_metadata(tree: Tree, field: str) -> Listing | None:
    """The Hugging Face imagefolder: rows of metadata.csv or .jsonl name the images in `file_name`, other columns are labels."""
    names: list[str] = []
    tables = []
    for metadata in tree.all_named(*METADATA):  # one at the top, or one in the folder of each part
        table = _metadata_table(tree, metadata, field)
        folder = PurePosixPath(metadata).parent
        named = [(folder / str(n)).as_posix() for n in table["file_name"]]
        refuse_missing(field, metadata, named, tree.files)
        names += named
        tables.append(table.drop(columns="file_name").astype(str))
    if not tables:
        return None
    labels = pd.concat(tables, ignore_index=True).fillna("")
    return tree.listing(names, labels if labels.shape[1] else None)


def _metadata_table(tree: Tree, metadata: str, field: str) -> pd.DataFrame:
    if metadata.endswith(".csv"):
        table = read_table(field, metadata, tree.load(metadata, field))
    else:
        try:
            table = pd.DataFrame([json.loads(line) for line in tree.load(metadata, field).splitlines() if line.strip()])
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise UserInputError(field, f"{metadata} cannot be read ({error})", "save one JSON object a line") from error
    if "file_name" not in table:
        found = f"{metadata} has the columns {', '.join(map(str, table.columns))}"
        raise UserInputError(field, found, "name the images in a column file_name")
    return table
