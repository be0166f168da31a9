"""Files written so that no reader and no loss of power finds half of one."""

from __future__ import annotations

import os
import threading
from pathlib import Path


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
