"""A run again from its config.json alone, and whether the numbers are the same."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserInputError
from . import names
from .folder import RunFolder

UNLIKE = (
    "seconds",
    "training_seconds",
    "audit_seconds",
    "debias_seconds",
    "compare_seconds",
    "versions",
    "speed",
    "spot_check",
)  # of machine or person
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Replayed:
    """What a second run found."""

    path: Path
    different: tuple[str, ...]  # numbers that differ: place in result.json, before and now
    versions: tuple[str, ...]  # parts whose version differs

    @property
    def sentence(self) -> str:
        n = len(self.different)
        same = "The numbers are the same." if not n else "1 number differs." if n == 1 else f"{n} numbers differ."
        return f"{same} {'Versions that differ: ' + ', '.join(self.versions) + '.' if self.versions else 'The versions are the same.'}"


def replay(run: RunFolder, out: Path, execute) -> Replayed:
    """Do `run` again in the folder `out` with `execute` (a function of a RunFolder that returns an exit code).

    A training run takes as many steps as it did. Raises UserInputError for a run without a result, or one that fails this time.
    """
    before = run.result()
    if before is None:
        raise UserInputError("run", f"{run.path} has no result", "give the folder of a finished run")
    again = RunFolder.create(out, run.kind, run.options)
    if (run.path / names.BUDGET).is_file() and not (again.path / names.BUDGET).is_file():
        shutil.copyfile(run.path / names.BUDGET, again.path / names.BUDGET)
    if execute(again) != 0:
        raise UserInputError("run", f"it failed this time ({again.status()['message']})", f"see {out / names.LOG}")
    now = again.result()
    versions = [
        f"{name} {then} then, {now.get('versions', {}).get(name)} now"
        for name, then in before.get("versions", {}).items()
        if now.get("versions", {}).get(name) != then
    ]
    return Replayed(again.path, tuple(differences(before, now)), tuple(versions))


def differences(before: object, now: object, place: str = "") -> list[str]:
    """Where two results differ, as sentences."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in {**before, **now} if key not in UNLIKE]
        return [line for key in keys for line in differences(before.get(key), now.get(key), f"{place}.{key}".lstrip("."))]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [line for k, pair in enumerate(zip(before, now, strict=True)) for line in differences(*pair, f"{place}[{k}]")]
    if isinstance(before, float | int) and isinstance(now, float | int) and abs(before - now) <= TOLERANCE * max(1, abs(before)):
        return []
    return [] if before == now else [f"{place} was {before!r}, is {now!r}"]
