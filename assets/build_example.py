"""Compute the finished example that ships with the app: `python assets/build_example.py WORK` (about ten minutes on two idle cores).

Three runs on the demo, audit, debiasing and comparison, are made in WORK, which may be used again, by the commands that anyone would
type. What the page shows of them goes to assets/example, at most 8 MB: no ratio, no model, and the first pairs of samples.
tests/test_example.py holds the kept numbers equal to what the code makes of the kept files.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiw.files import write_atomic
from tiw.run import names
from tiw.run.folder import RunFolder

EXAMPLE = Path(__file__).parent / "example"
# Ids as runs have them, so that the same addresses serve them.
IDS = {"audit": "e" * 31 + "1", "debias": "e" * 31 + "2", "compare": "e" * 31 + "3"}
KEPT = {
    "audit": (names.SCORES, names.MAP, names.NEAR, names.REPORT, names.STRENGTH, "scores.csv", "levels.csv", "shares.csv", "thumbs*"),
    "debias": (names.STEPS, names.PREVIEWS, names.PREVIEW_SHEETS),
    "compare": (names.REPORT, names.EXAMPLES),
}
HOW = {
    "audit": ["--scored", "1000", "--no-score-all"],
    "debias": ["--steps", "150", "--keep", "3"],
    "compare": ["--count", "500", "--also", "kept,sweep"],
}
PAIRS = 48  # of samples that are kept, of each model
EVERYONE = "everyone"  # owner, see ui/gate.py


def build(work: Path) -> None:
    places = {"debias": ["--audit", str(work / "audit")], "compare": ["--debiased", str(work / "debias" / "model")]}
    for kind in IDS:
        command = [sys.executable, "-m", "tiw", kind, "--out", str(work / kind), *HOW[kind], *places.get(kind, [])]
        subprocess.run(command, cwd=Path(__file__).parents[1], check=True)
    for kind, run_id in IDS.items():
        keep(work / kind, EXAMPLE / run_id, kind)
    size = sum(file.stat().st_size for file in EXAMPLE.rglob("*") if file.is_file())
    print(f"{EXAMPLE}: {size / 1e6:.1f} MB")


def keep(run: Path, to: Path, kind: str) -> None:
    """What the page shows of a finished run, without a path of this machine."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for pattern in KEPT[kind]:
        for file in run.glob(pattern):
            (shutil.copytree if file.is_dir() else shutil.copy)(file, to / file.name)
    for name in (names.CONFIG, names.RESULT):
        write_atomic(to / name, json.dumps(_without_paths(json.loads((run / name).read_text())), indent=1).encode())
    status = RunFolder.open(run).status()
    assert status["state"] == "finished", status
    write_atomic(to / names.STATUS, json.dumps({**status, "pid": None}, indent=1).encode())
    write_atomic(to / names.OWNER, EVERYONE.encode())
    if (run / names.PAIRS).is_file():
        lines = (run / names.PAIRS).read_text(encoding="utf-8").splitlines(keepends=True)
        write_atomic(to / names.PAIRS, "".join(lines[: PAIRS + 1]).encode())
    if (run / names.SAMPLES).is_file():
        with np.load(run / names.SAMPLES) as drawn:
            np.savez_compressed(to / names.SAMPLES, **{name: drawn[name][:PAIRS] for name in drawn.files})
    if (run / names.PREDICTED).is_file():
        called = json.loads((run / names.PREDICTED).read_text())
        codes = {model: {name: found[:PAIRS] for name, found in of.items()} for model, of in called["codes"].items()}
        write_atomic(to / names.PREDICTED, json.dumps({**called, "seeds": called["seeds"][:PAIRS], "codes": codes}).encode())


def _without_paths(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_paths(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_without_paths(v) for v in value]
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


if __name__ == "__main__":
    build(Path(sys.argv[1]))
