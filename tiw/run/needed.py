"""Which runs need a folder or a file: a set, a model, an audit, or what a list of rows was drawn from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from ..files import Unreadable, read_json
from .index import RunSummary, stamp


def needed_by(runs: Iterable[RunSummary], path: Path) -> list[RunSummary]:
    """Those of `runs` whose options name `path` or something in it; not the run that lies there itself."""
    others = (run for run in runs if run.readable and run.path != path)
    return [run for run in others if any(path in (named, *named.parents) for named in _named(run.options))]


def _named(options: object) -> list[Path]:
    """The paths that options name, and where a list of rows lies there, the path of the images it is of."""
    named = [Path(value) for value in vars(options).values() if isinstance(value, str) and os.sep in value]
    return named + [source for path in named if path.suffix == ".json" and (source := _source(path, stamp(path)))]


@lru_cache(maxsize=4096)
def _source(path: Path, changed: int) -> Path | None:
    """The source that a list of rows names. `changed` is its time stamp."""
    with suppress(OSError, Unreadable):
        source = read_json(path).get("source")
        return Path(source) if isinstance(source, str) else None
    return None
