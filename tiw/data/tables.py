"""Images in a column of a table: parquet files, and data sets of the Hugging Face hub."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ..errors import UserInputError
from .image_set import ImageSet
from .listing import Listing
from .memory import CHUNK, chunks

HUB = "hub:"


def from_parquet(path: Path, field: str) -> Listing:
    """An image column (bytes, or the struct with `bytes` that the `datasets` library writes); text and integer columns are labels.

    Images are read a few hundred rows at a time. Class labels that the `datasets` library coded as integers get their names back.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema, n = file.schema_arrow, file.metadata.num_rows
            image = next((f.name for f in schema if _is_image(f.type)), None)
            labels = [f.name for f in schema if f.name != image and _is_label(f.type)]
            table = file.read(columns=labels) if labels and image else None
    except Exception as error:  # pyarrow raises many kinds
        raise UserInputError(field, f"{path.name} is not a readable parquet file ({_first_line(error)})", "write it again") from error
    if image is None:
        found = f"{path.name} has the columns {', '.join(schema.names)}, none with encoded images"
        raise UserInputError(field, found, "store the images' bytes in a column named image")
    names = _class_names(schema)
    columns = {name: _text(table.column(name).to_pylist(), names.get(name)) for name in labels}
    attributes = pd.DataFrame(columns) if columns else None

    def encoded() -> Iterator[Callable[[], bytes]]:
        try:
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
                for batch in file.iter_batches(CHUNK, columns=[image]):
                    column = batch.column(0)
                    for value in column.field("bytes") if pa.types.is_struct(column.type) else column:
                        yield lambda value=value: value.as_py() or b""
        except (pa.ArrowException, OSError) as error:
            raise UserInputError(field, f"{path.name} is damaged ({_first_line(error)})", "write it again") from error

    return Listing([f"row {row}" for row in range(n)], attributes, encoded)


def write_parquet(path: Path, images: ImageSet) -> np.ndarray:
    """Write PATH: the images as PNG, without loss, beside their attributes, as `from_parquet` and the `datasets` library read them.

    A few hundred images are in memory at a time. Returns the `files` of the set that is read from it, int [N, 2].
    """
    columns = {} if images.attributes is None else {str(name): images.attributes[name].astype(str) for name in images.attributes}
    image = "image" if "image" not in columns else "image bytes"
    features = {image: {"_type": "Image"}, **{name: {"dtype": "string", "_type": "Value"} for name in columns}}
    fields = [(image, pa.struct([("bytes", pa.binary()), ("path", pa.string())])), *((name, pa.string()) for name in columns)]
    schema = pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    sizes = []
    with pq.ParquetWriter(path, schema, compression="none") as file, ThreadPoolExecutor(4) as pool:
        for part in chunks(len(images), images.images.shape[1:]):
            encoded = list(pool.map(_png, images.images[part]))
            sizes += map(len, encoded)
            labels = {name: column.iloc[part].tolist() for name, column in columns.items()}
            file.write_table(pa.table({image: [{"bytes": data, "path": None} for data in encoded], **labels}, schema=schema))
    return np.stack([sizes, np.full(len(images), images.resolution)], 1)


def _png(image: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


def from_hub(path: str, field: str) -> Listing:
    """`hub:OWNER/NAME` or `hub:OWNER/NAME:SPLIT` (train unless named), through the optional `datasets` package.

    Nothing else in this package goes to the network. No code of the data set is run.
    """
    name, _, split = path.removeprefix(HUB).partition(":")
    if name.count("/") > 1 or not name.strip("/") or ".." in name:
        raise UserInputError(field, f"{path!r} names no data set of the hub", "write hub:OWNER/NAME or hub:OWNER/NAME:SPLIT")
    try:
        import datasets
    except ImportError as error:
        fix = "install it (pip install datasets), or download the set's parquet files"
        raise UserInputError(field, f"{path} needs the package datasets, which is not installed", fix) from error
    try:
        loaded = datasets.load_dataset(name, split=split or "train")
    except Exception as error:  # network, permissions, unknown names: whatever the package raises
        raise UserInputError(
            field, f"{path} cannot be loaded ({_first_line(error)})", "check the name, the split and the network"
        ) from error
    features = loaded.features
    image = next((key for key, feature in features.items() if type(feature).__name__ == "Image"), None)
    if image is None:
        raise UserInputError(field, f"{path} has the columns {', '.join(features)}, none with images", "choose an image data set")
    loaded = loaded.cast_column(image, datasets.Image(decode=False))
    labels = [key for key, f in features.items() if key != image and (hasattr(f, "names") or _is_plain(getattr(f, "dtype", "")))]
    columns = {key: _text(list(loaded[key]), getattr(features[key], "names", None)) for key in labels}
    attributes = pd.DataFrame(columns) if columns else None

    def encoded() -> Iterator[Callable[[], bytes]]:
        for row in range(len(loaded)):
            yield lambda row=row: _bytes_of(loaded[row][image])

    return Listing([f"row {row}" for row in range(len(loaded))], attributes, encoded)


def _bytes_of(image: dict) -> bytes:
    return image["bytes"] if image.get("bytes") else Path(image["path"]).read_bytes()


def _is_image(kind: pa.DataType) -> bool:
    binary = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    return binary or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_label(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind)


def _is_plain(dtype: str) -> bool:
    return dtype in ("string", "large_string", "bool") or dtype.startswith(("int", "uint"))


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of coded classes, as the `datasets` library leaves them in a parquet file."""
    with suppress(KeyError, TypeError, AttributeError, ValueError):
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: f["names"] for name, f in features.items() if isinstance(f, dict) and isinstance(f.get("names"), list)}
    return {}


def _text(values: list, names: list[str] | None) -> list[str]:
    """Labels as text; integers within `names` become those."""
    if not names:
        return [str(v) for v in values]
    return [str(names[v]) if isinstance(v, int) and 0 <= v < len(names) else str(v) for v in values]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
