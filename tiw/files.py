"""Files written so that no reader and no loss of power finds half of one, and read so that a damaged one stops nothing; tables as CSV
that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loaded where a table is written: the command line asks this file where things lie
    import numpy as np
    import pandas as pd

if os.name == "nt":
    import msvcrt
else:
    import fcntl

PARTIAL = ".partial"  # how a file's name ends while it is being written
FORMULA = tuple("=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}")
SPLIT = re.compile(rf"([;\t\r\n])(?=[\s\"']*[{re.escape(''.join(FORMULA))}])")  # where half of Europe's begin another cell, quoted or not
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Unreadable(ValueError):  # noqa: N818  (what it is)
    """A file that holds something else than it should: cut, damaged, or of another version."""


def shipped(name: str) -> Path:
    """The folder `assets` or `checkpoints`: within the package where it was installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "shipped" / name
    return installed if installed.is_dir() else package.parent / name


def read_json(path: Path) -> dict:
    """The JSON object in a file. Raises FileNotFoundError where there is none, and Unreadable for anything else that is not one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise Unreadable(f"{path.name} cannot be read ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise Unreadable(f"{path.name} holds no JSON object")
    return found


def write_atomic(path: Path, data: bytes, lasting: bool = True) -> None:
    """Write beside `path` and rename: a reader sees the old file or the new one, never half of one; nor does the next start after a loss
    of power, unless it need not be `lasting`."""
    with whole(path, lasting) as partial:
        partial.write_bytes(data)


@contextmanager
def whole(path: Path, lasting: bool = True) -> Iterator[Path]:
    """A path beside `path` to write to; renamed to it at the end of the block, removed where the block fails."""
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{PARTIAL}")
    try:
        yield partial
        if lasting:
            to_disk(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)  # left over only where the disk is full


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays as an .npz file: whole or not at all."""
    import numpy as np

    with whole(path) as partial, partial.open("wb") as file:  # given a path, numpy adds a suffix
        np.savez(file, **arrays)


def sweep(folder: Path) -> None:
    """Remove what a process that was ended in the middle of a write has left in a folder. Nobody may be writing there."""
    for path in folder.glob(f"*{PARTIAL}"):
        path.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Return when the file's bytes have reached the disk: what is renamed or relied on next must survive a loss of power."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def held(path: Path) -> bool:
    """Whether a living process holds the file lock `path`. The system takes it back when its process ends, however it ends; asking writes
    nothing."""
    try:
        with path.open("rb") as file:
            if os.name == "nt":
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def as_csv(table: pd.DataFrame, head: bool = True) -> bytes:
    """The table as CSV, UTF-8, without its index. Text that a spreadsheet would run as a formula is made harmless, heads included; numbers
    stay numbers. Every CSV of a run is written here."""
    import pandas as pd

    columns = [table.iloc[:, k] if table.iloc[:, k].dtype.kind in "biuf" else table.iloc[:, k].map(harmless) for k in range(table.shape[1])]
    text = io.StringIO(newline="")
    if head:
        csv.writer(text, lineterminator="\n").writerow([harmless(str(name)) for name in table.columns])
    numbered = {k: column.reset_index(drop=True) for k, column in enumerate(columns)}
    pd.DataFrame(numbered).to_csv(text, index=False, header=False, lineterminator="\n")
    return text.getvalue().encode()


def harmless(value: object) -> object:
    """Text that a spreadsheet would take for a formula, as a whole or behind a separator, with an apostrophe before it; anything else as
    it is, numbers in text too."""
    if not isinstance(value, str) or NUMBER.fullmatch(value.strip()):
        return value
    text = SPLIT.sub(r"\1'", value)
    return f"'{text}" if value.lstrip().startswith(FORMULA) or value.startswith(("\t", "\r")) else text
