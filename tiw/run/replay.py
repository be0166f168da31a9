"""A run again from its config.json alone, and whether the numbers are the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UserInputError
from . import names
from .budget import repeat
from .folder import RunFolder

UNLIKE = (
    "seconds",
    "training_seconds",
    "audit_seconds",
    "debias_seconds",
    "compare_seconds",
    "versions",
    "machine",
    "images_per_second",
    "speed",
    "spot_check",
)  # of machine or person
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Replayed:
    """What a second run found."""

    path: Path
    different: tuple[str, ...]  # numbers that differ: place in result.json, before and now
    versions: tuple[str, ...] | None  # parts whose version differs; None: the first run has not said its versions
    machine: str = ""  # that of the first run, where it was another one

    @property
    def sentence(self) -> str:
        n = len(self.different)
        said = ["The numbers are the same." if not n else "1 number differs." if n == 1 else f"{n} numbers differ."]
        if self.versions is None:
            said.append("The first run has not said its versions.")
        else:
            said.append(f"Versions that differ: {', '.join(self.versions)}." if self.versions else "The versions are the same.")
        if self.machine:
            said.append(f"The first run was on another machine ({self.machine}), where sums are rounded in another way.")
        return " ".join(said)


def replay(run: RunFolder, out: Path, execute) -> Replayed:
    """Do `run` again in the folder `out` with `execute` (a function of a RunFolder that returns an exit code).

    A training run takes as many steps as it did. Raises UserInputError for a run without a result, or one that fails this time.
    """
    before = run.result()
    if before is None:
        raise UserInputError("run", f"{run.path} has no result", "give the folder of a finished run")
    again = RunFolder.create(out, run.kind, run.options)
    repeat(run, again)
    if execute(again) != 0:
        raise UserInputError("run", f"it failed this time ({again.status()['message']})", f"see {out / names.LOG}")
    if again.status()["state"] == "stopped":
        raise UserInputError("run", "the second run was stopped", "give the same command to go on with it")
    now = again.result() or {}
    then, versions = before.get("versions"), now.get("versions") or {}
    other = then and tuple(f"{name} {then[name]} then, {versions.get(name)} now" for name in then if versions.get(name) != then[name])
    elsewhere = before.get("machine", "") if before.get("machine") != now.get("machine") else ""
    return Replayed(again.path, tuple(differences(before, now)), None if then is None else tuple(other or ()), elsewhere)


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
