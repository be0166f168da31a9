"""What visitors upload, and how long uploads and runs are kept."""

from __future__ import annotations

import re
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

from tiw.comparing.kept_features import forget_features
from tiw.data import forget_sets
from tiw.errors import UserInputError
from tiw.run.index import BUSY
from tiw.run.names import OWNER
from tiw.run.queue import RUN_ID

from . import gate
from .store import STARTING, home, jobs, named, owner_of

ARCHIVES = (".zip", ".npz", ".parquet")  # an upload that is a set by itself
# What some file system has no name for, or a spreadsheet takes for its own; all else of a name is kept.
NO_NAME = re.compile(r'[\\/:*?"<>|;=\x00-\x1f\x7f-\x9f]')
ON_THE_WAY = 3600.0  # seconds that an upload or a temporary file has until it is kept or done with
UPLOAD_ID = re.compile(r"uploads/([0-9a-f]{32})")


def keep_upload(paths: list[str]) -> str:
    """Move uploaded files out of Gradio's cache into a folder of their visitor. The name of the set: the one archive, or the folder of the
    images. Raises UserInputError for several archives at once, and for too much."""
    sources, most = [Path(path) for path in paths], gate.limits()
    archives = [source for source in sources if source.suffix.lower() in ARCHIVES]
    try:
        if gate.public() and not (len(sources) == 1 and sources[0].suffix.lower() == ".zip"):
            found = f"{sources[0].name[:60]} is not a zip" if len(sources) == 1 else f"{len(sources)} files came"
            raise UserInputError("upload", found, "pack the images in a zip")
        if not sources or (archives and len(sources) > 1):
            found = f"{len(archives)} archives and {len(sources) - len(archives)} other files came" if sources else "nothing came"
            raise UserInputError("upload", found, "drop one zip, npz or parquet file, or any number of images")
        size = sum(source.stat().st_size for source in sources)
        if size > most.upload:
            raise UserInputError("upload", f"it has {size >> 20:,} MB", f"give at most {most.upload >> 20:,} MB")
        folder = new_upload_folder(size)
    except UserInputError:
        for source in sources:
            source.unlink(missing_ok=True)
        raise
    target = folder if archives else folder / f"{len(sources)} uploaded images"
    target.mkdir(exist_ok=True)
    for k, source in enumerate(sources):
        name = NO_NAME.sub("_", source.name)[-80:].lstrip(". ") or "images.zip"
        shutil.move(source, target / (f"{k}-{name}" if (target / name).exists() else name))
    gate.log("upload", visitor=gate.short(gate.visitor()), bytes=size)
    return named(target / name if archives else target)


def new_upload_folder(size: int = 0) -> Path:
    """A folder of this visitor's for `size` bytes of images that the app keeps. The oldest uploads that no run needs make room; raises
    UserInputError where that is not enough."""
    most = gate.limits()
    with STARTING:
        own = sorted((folder for folder in uploads() if gate.may_change(owner_of(folder))), key=_touched, reverse=True)
        spare = [folder for folder in own if folder.name not in needed_uploads()] if _full(own, size) else []
        while _full(own, size):
            if not spare:
                found = f"you keep {len(own)} files of {_size(own) >> 20:,} MB in all, which is as much as this app allows"
                raise UserInputError("upload", found, "delete runs that use your uploads")
            own.remove(spare[-1])
            shutil.rmtree(spare.pop(), ignore_errors=True)
        kept = uploads()
        if len(kept) >= most.uploads_all or _size(kept) + size > most.disk_all:
            raise UserInputError("upload", "this app keeps as many files as it can", "try again later, or use the demo")
        folder = home() / "uploads" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        (folder / OWNER).write_text(gate.visitor(), encoding="utf-8")
    return folder


def _full(own: list[Path], size: int) -> bool:
    return len(own) >= gate.limits().uploads or _size(own) + size > gate.limits().disk


def uploads() -> list[Path]:
    """The folders of all visitors' uploads."""
    folder = home() / "uploads"
    return [entry for entry in folder.iterdir() if RUN_ID.fullmatch(entry.name)] if folder.is_dir() else []


def _size(folders: list[Path]) -> int:
    found = 0
    for file in (file for folder in folders for file in folder.rglob("*")):
        with suppress(FileNotFoundError):  # on its way to another folder
            found += file.stat().st_size if file.is_file() else 0
    return found


def on_disk(home: Path) -> int:
    """Bytes of everybody's uploads, those on their way among them."""
    return _size([home / "uploads", home / "incoming"])


def needed_uploads() -> set[str]:
    """Ids of the uploads that some run, or a list of rows that is itself needed, names."""
    there = {folder.name: folder for folder in uploads()}
    found, todo = set(), [str(vars(run.options)) for run in jobs().runs()]
    while todo:
        text = todo.pop()
        for name in set(UPLOAD_ID.findall(text)) & set(there) - found:
            found.add(name)
            todo += [rows.read_text(encoding="utf-8", errors="replace") for rows in there[name].glob("*.json")]
    return found


def sweep() -> None:
    """Delete what is older than this app keeps: runs that have ended, uploads that no run needs, the pixels that were read from them and
    their features, what was uploaded and never used, temporary files that were left."""
    oldest = time.time() - 3600 * gate.limits().kept_hours
    for run in jobs().runs():
        if run.status().get("state") not in BUSY and _touched(run.path) < oldest:
            with suppress(UserInputError, OSError):
                jobs().delete(run.path.name)
                gate.log("swept", run=run.path.name)
    needed = needed_uploads()
    for folder in uploads():
        if folder.name not in needed and _touched(folder) < oldest:
            shutil.rmtree(folder, ignore_errors=True)
            gate.log("swept", upload=folder.name)
    forget_sets(oldest)
    forget_features(oldest)
    for name in ("incoming", "temporary"):
        _clear(home() / name, time.time() - ON_THE_WAY)


def _clear(folder: Path, oldest: float) -> None:
    """Delete what lies in this folder and has not changed since `oldest`: a file that broke off, too."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if _touched(entry) >= oldest:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _touched(folder: Path) -> float:
    """When anything in it last changed; a folder that has gone meanwhile is as new as can be."""
    try:
        return max(entry.lstat().st_mtime for entry in (folder, *(folder.rglob("*") if folder.is_dir() else ())))
    except OSError:
        return time.time()
