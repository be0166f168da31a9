"""Images in a column of a parquet file, read and written."""

from __future__ import annotations

import io
import json
import re
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
from .image_set import FILE_COLUMNS, ImageSet
from .labels import free_name, from_columns, listed
from .listing import Listing, rows_of
from .memory import CHUNK, chunks


def from_parquet(path: Path, field: str) -> Listing:
    """An image column (bytes, or the struct with `bytes` that the `datasets` library writes); text and integer columns are labels.

    Images are read a few hundred rows at a time. Class labels that the `datasets` library coded as integers get their names back.
    Raises UserInputError for a file that is damaged or holds no encoded images.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema, n = file.schema_arrow, file.metadata.num_rows
            image = next((f.name for f in schema if _is_image(f.type)), None)
            labels = [f.name for f in schema if f.name != image and _is_label(f.type)]
            if len(set(schema.names)) < len(schema.names):
                raise ValueError("two columns have one name")
            table = file.read(columns=labels) if labels and image else None
            sources = _sources(file, image, n) if image else []
    except Exception as error:  # pyarrow raises many kinds
        raise UserInputError(field, f"{path.name} is not a readable parquet file ({first_line(error)})", "write it again") from error
    if image is None:
        found = f"{path.name} has the columns {listed(schema.names, 20)}, none with encoded images"
        raise UserInputError(field, found, "store the images' bytes in a column named image")
    names = class_names(schema)
    columns = {name: named(table.column(name).to_pylist(), names.get(name)) for name in labels}
    attributes, notes = from_columns(columns)
    others = [f.name for f in schema if f.name != image and f.name not in labels]
    if others:
        notes = (*notes, f"Not used as labels, since they hold neither text nor whole numbers: {listed(others)}.")

    def encoded() -> Iterator[Callable[[], bytes]]:
        try:
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
                for batch in file.iter_batches(CHUNK, columns=[image]):
                    column = batch.column(0)
                    for value in column.field("bytes") if pa.types.is_struct(column.type) else column:
                        yield lambda value=value: value.as_py() or b""
        except (pa.ArrowException, OSError) as error:
            raise UserInputError(field, f"{path.name} is damaged ({first_line(error)})", "write it again") from error

    return Listing(sources, attributes, encoded, notes=notes)


def _sources(file: pq.ParquetFile, image: str, n: int) -> list[str]:
    """Where each image came from: the file name that the table keeps beside its bytes, else its row."""
    kind = file.schema_arrow.field(image).type
    if not pa.types.is_struct(kind) or kind.get_field_index("path") < 0 or not pa.types.is_string(kind.field("path").type):
        return rows_of(n)
    paths = file.read(columns=[f"{image}.path"]).column(0).combine_chunks().field("path").to_pylist()
    return [f"row {row}" if not path else source_name(path) for row, path in enumerate(paths)]


def source_name(path: str) -> str:
    """A file's name as a result may show it: of a path on somebody's machine only the end."""
    path = path.replace("\\", "/")
    return path.rsplit("/", 1)[-1] if path.startswith("/") or re.match(r"[A-Za-z]:", path) or ".." in path.split("/") else path


def write_parquet(path: Path, images: ImageSet) -> pd.DataFrame:
    """Write PATH: the images as PNG, without loss, beside their attributes, as `from_parquet` and the `datasets` library read them.

    A few hundred images are in memory at a time. Returns the `files` of the set that is read from it.
    """
    columns = {} if images.attributes is None else {name: images.attributes[name].to_numpy(object) for name in images.attributes}
    image = free_name("image", columns)
    features = {image: {"_type": "Image"}, **{name: {"dtype": "string", "_type": "Value"} for name in columns}}
    fields = [(image, pa.struct([("bytes", pa.binary()), ("path", pa.string())])), *((name, pa.string()) for name in columns)]
    schema = pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    sizes = []
    with pq.ParquetWriter(path, schema, compression="none") as file, ThreadPoolExecutor(4) as pool:
        for part in chunks(len(images), images.images.shape[1:]):
            encoded = list(pool.map(_png, images.images[part]))
            sizes += map(len, encoded)
            labels = {name: column[part].tolist() for name, column in columns.items()}
            rows = [{"bytes": data, "path": source} for data, source in zip(encoded, images.sources[part], strict=True)]
            file.write_table(pa.table({image: rows, **labels}, schema=schema))
    return pd.DataFrame(dict(zip(FILE_COLUMNS, (sizes, images.resolution, "PNG"), strict=True)))


def _png(image: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


def _is_image(kind: pa.DataType) -> bool:
    binary = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    return binary or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_label(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    plain = (pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating)
    return any(is_plain(kind) for is_plain in plain)


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of coded classes, as the `datasets` library leaves them in a parquet file."""
    with suppress(KeyError, TypeError, AttributeError, ValueError):
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: f["names"] for name, f in features.items() if isinstance(f, dict) and isinstance(f.get("names"), list)}
    return {}


def named(values: list, names: list[str] | None) -> list:
    """Integers within `names` as those."""
    return [names[v] if isinstance(v, int) and 0 <= v < len(names) else v for v in values] if names else values


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
