"""Data sets of the Hugging Face hub, by name, at one revision."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import UserInputError
from .labels import from_columns, listed
from .listing import Listing
from .tables import first_line, named

HUB = "hub:"
NAME = re.compile(r"hub:(?P<name>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?(:(?P<split>[\w.-]+))?")


def from_hub(path: str, field: str) -> Listing:
    """`hub:OWNER/NAME`, `hub:OWNER/NAME:SPLIT` (train unless named), `hub:OWNER/NAME@REVISION:SPLIT`, by the optional package `datasets`.

    The newest commit, or that of the revision, is looked up first; exactly it is read, and the listing names it. Nothing else in this
    package goes to the network. No code of the data set is run. Raises UserInputError for a name that is not of these forms, where the
    package is missing, where the hub cannot be reached or has no such set, and for a set without images.
    """
    match = NAME.fullmatch(path)
    if match is None or ".." in path:
        fix = "write hub:OWNER/NAME, hub:OWNER/NAME:SPLIT or hub:OWNER/NAME@REVISION:SPLIT"
        raise UserInputError(field, f"{path!r} names no data set of the hub", fix)
    name, split = match["name"], match["split"] or "train"
    try:
        import datasets
        import huggingface_hub
    except ImportError as error:
        fix = "install it (pip install datasets), or download the set's parquet files"
        raise UserInputError(field, f"{path} needs the package datasets, which is not installed", fix) from error
    try:
        revision = huggingface_hub.HfApi().dataset_info(name, revision=match["revision"]).sha
        loaded = datasets.load_dataset(name, split=split, revision=revision)
    except Exception as error:  # network, permissions, unknown names: whatever the package raises
        fix = "check the name, the split and the network"
        raise UserInputError(field, f"{path} cannot be loaded ({first_line(error)})", fix) from error
    features = loaded.features
    image = next((key for key, feature in features.items() if type(feature).__name__ == "Image"), None)
    if image is None:
        raise UserInputError(field, f"{path} has the columns {listed(list(features), 20)}, none with images", "choose an image data set")
    loaded = loaded.cast_column(image, datasets.Image(decode=False))
    labels = [key for key, f in features.items() if key != image and (hasattr(f, "names") or _is_plain(getattr(f, "dtype", "")))]
    attributes, notes = from_columns({key: named(list(loaded[key]), getattr(features[key], "names", None)) for key in labels})

    def encoded() -> Iterator[Callable[[], bytes]]:
        for row in range(len(loaded)):
            yield lambda row=row: _bytes_of(loaded[row][image])

    return Listing([f"row {row}" for row in range(len(loaded))], attributes, encoded, notes=notes, revision=revision or "")


def pinned(path: str, revision: str) -> str:
    """The same data set at this commit."""
    match = NAME.fullmatch(path)
    return f"{HUB}{match['name']}@{revision}:{match['split'] or 'train'}" if revision else path


def _bytes_of(image: dict) -> bytes:
    return image["bytes"] if image.get("bytes") else Path(image["path"]).read_bytes()


def _is_plain(dtype: str) -> bool:
    return dtype in ("string", "large_string", "bool") or dtype.startswith(("int", "uint", "float"))
