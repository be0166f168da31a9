"""Own images without a model, in one sitting: two folders of PNG files, then train, audit, debias and compare by the commands.

    python benchmarks/own_images.py --work /tmp/own                       # garments at 32x32, faces at 64x64
    python benchmarks/own_images.py --work /tmp/own --only faces --minutes 8

The sets are those of benchmarks/sets.py, which no default was tuned to: 4,000 biased images and 200 references in even shares. Their
labels lie in a metadata.csv, and only `compare` uses them. A command whose run is there is not run again. The result goes to
benchmarks/results/own_images.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from demo_loop import ROOT, machine
from pages import as_table
from PIL import Image

sys.path.insert(0, str(ROOT))
import sets
from defaults import references

from tiw.intervals import Estimate

SIDES = {"garments": 32, "faces": 64}
REFERENCES = 200
SETS, MODEL = ("--biased", "biased", "--reference", "reference"), ("--baseline", "train/model")
COMMANDS = {
    "train": ("--data", "biased"),
    "audit": (*SETS, *MODEL),
    "debias": (*SETS, *MODEL, "--audit", "audit"),
    "compare": ("--debiased", "debias/model", "--count", "1000"),
}
RESULT = ROOT / "benchmarks" / "results" / "own_images.json"


def table() -> str:
    """The committed rows, as docs/RESULTS.md has them."""
    head = ("set", "pixels", *COMMANDS, "AUC of the baseline's samples", "discrepancy, baseline", "debiased")
    rows = []
    for name, found in json.loads(RESULT.read_text())["sets"].items():
        check = found["training_check"]["check"]
        discrepancies = [Estimate.of(found["fairness_discrepancy"][model]).text("{:.3f}") for model in ("baseline", "debiased")]
        seconds = [f"{found['seconds'][action]} s" for action in COMMANDS]
        rows.append((name, str(found["pixels"]), *seconds, Estimate.of(check, "auc").text(), *discrepancies))
    return as_table([head, *rows])


def write_folder(images, folder: Path) -> None:
    """PNG files and their labels, as a user would have them."""
    folder.mkdir(parents=True)
    table = images.attributes.copy()
    table.insert(0, "file", [f"{k:05d}.png" for k in range(len(images))])
    for name, pixels in zip(table["file"], images.images, strict=True):
        Image.fromarray(pixels).save(folder / name)
    table.to_csv(folder / "metadata.csv", index=False)


def sitting(name: str, work: Path, minutes: float) -> dict:
    """Every command of one set to its end: seconds, and what its result says."""
    parts = sets.load_set(name, SIDES[name])
    if not work.is_dir():
        write_folder(parts["biased"], work / "biased")
        write_folder(references(parts, REFERENCES, 0), work / "reference")
    found: dict = {"pixels": SIDES[name], "references": REFERENCES, "minutes_of_training": minutes, "seconds": {}, "failed": []}
    for action, options in COMMANDS.items():
        if (work / action / "result.json").is_file():  # done before
            found["seconds"][action] = round(json.loads((work / action / "result.json").read_text())["seconds"])
            continue
        began = time.monotonic()
        line = [
            sys.executable,
            "-m",
            "tiw",
            action,
            "--out",
            action,
            *options,
            *(("--minutes", f"{minutes:g}") if action == "train" else ()),
        ]
        done = subprocess.run(line, cwd=work, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        found["seconds"][action] = round(time.monotonic() - began)
        if done.returncode:
            return {**found, "failed": [action, *done.stderr.splitlines()[-10:]]}
        print(name, action, found["seconds"][action], "s", flush=True)
    trained, debiased, compared = (json.loads((work / run / "result.json").read_text()) for run in ("train", "debias", "compare"))
    found |= {"steps": trained["steps"], "training_check": trained["training_check"], "baseline_check": debiased["baseline_check"]}
    found |= {key: compared[key] for key in ("fairness_discrepancy", "frechet_distance", "kernel_distance", "closer_to_reference", "n")}
    found["shares"] = [row for row in compared["shares"] if " x " in row["attribute"]]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for images and runs")
    parser.add_argument("--only", choices=SIDES, nargs="+", default=list(SIDES))
    parser.add_argument("--minutes", type=float, default=8.0, help="of training the baseline")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    result = json.loads(args.out.read_text()) if args.out.is_file() else {"sets": {}}
    result |= {"date": datetime.now().date().isoformat(), "machine": machine()}
    for name in args.only:
        result["sets"][name] = sitting(name, (args.work / name).resolve(), args.minutes)
        args.out.write_text(json.dumps(result, indent=2) + "\n")
        print(json.dumps(result["sets"][name], indent=1), flush=True)


if __name__ == "__main__":
    main()
