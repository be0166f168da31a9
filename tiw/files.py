"""Files written so that no reader and no loss of power finds half of one; tables as CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import os
import re
import threading
from pathlib import Path

import pandas as pd

FORMULA = ("=", "+", "-", "@")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def shipped(name: str) -> Path:
    """The folder `assets` or `checkpoints`: within the package where it was installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "shipped" / name
    return installed if installed.is_dir() else package.parent / name


def write_atomic(path: Path, data: bytes, lasting: bool = True) -> None:
    """Write beside `path` and rename: a reader sees the old file or the new one, never half of one; nor does the next start after a loss
    of power, unless it need not be `lasting`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        partial.write_bytes(data)
        if lasting:
            to_disk(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)  # left over only where the disk is full


def to_disk(path: Path) -> None:
    """Return when the file's bytes have reached the disk: what is renamed or relied on next must survive a loss of power."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def as_csv(table: pd.DataFrame, head: bool = True) -> bytes:
    """The table as CSV, UTF-8, without its index. Text that a spreadsheet would run as a formula is made harmless, heads included; numbers
    stay numbers. Every CSV of a run is written here."""
    columns = [table.iloc[:, k] if table.iloc[:, k].dtype.kind in "biuf" else table.iloc[:, k].map(harmless) for k in range(table.shape[1])]
    text = io.StringIO(newline="")
    if head:
        csv.writer(text, lineterminator="\n").writerow([harmless(str(name)) for name in table.columns])
    numbered = {k: column.reset_index(drop=True) for k, column in enumerate(columns)}
    pd.DataFrame(numbered).to_csv(text, index=False, header=False, lineterminator="\n")
    return text.getvalue().encode()


def harmless(value: object) -> object:
    """Text that a spreadsheet would take for a formula, with an apostrophe before it; anything else as it is, numbers in text too."""
    if not isinstance(value, str) or (not value.lstrip().startswith(FORMULA) and not value.startswith(("\t", "\r"))):
        return value
    return value if NUMBER.fullmatch(value.strip()) else f"'{value}"
