"""ZeroGPU Spaces: a GPU is there for some seconds inside a call of a visitor's own event. Runs are carried out in slices of that time.

The page's timer, which looks at a visitor's runs anyway, asks for the next slice (`work`); the quota is the visitor's. On every other
machine runs are carried out in the background, and nothing here is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from tiw.run.folder import RunFolder

from . import caps, gate, store

DURATION = 30  # seconds of GPU that a call asks for: the fewer, the more of them a visitor's quota allows
SLICE = 20.0  # seconds after which the work saves its state: the rest is for that, and for loading it


@lru_cache(maxsize=1)
def borrowing() -> Callable[[str], int]:
    """`on_gpu`, with a GPU. Called before the page is built, and before torch: the Space wants to know at its start what asks for one."""
    import spaces

    import_module("tiw.run.actions")  # once, with all that it imports, and not in every slice's own time

    return spaces.GPU(duration=DURATION)(on_gpu)


def on_gpu(path: str) -> int:
    """One slice of the run in this folder, in the process that has the GPU; arguments and result are pickled."""
    from tiw.run.execute import execute

    return execute(RunFolder.open(Path(path)), SLICE)


def work(current: dict, like: dict) -> None:
    """The next slice of this visitor's runs, of the one that waits for longest."""
    jobs, own = store.jobs(), caps.shaped(current, like).values()
    for run_id in jobs.at_work():
        if run_id in own and (run := store.open_run(run_id)) is not None and gate.may_change(store.owner_of(run.path)):
            jobs.work_on(run_id, borrowing())
            return
