"""References that are not perfect: drawn at random, with wrong images among them, cropped or compressed otherwise than the biased set.

    python benchmarks/imperfect.py --work /tmp/imperfect        # about half an hour on 2 cores
    python benchmarks/imperfect.py table

The demo's biased set and baseline, and 200 of its references, changed in one way at a time and written as files. Each pair goes through
`audit`, `debias` and `compare` at their defaults but for 150 steps of training, so that a busy machine changes nothing. A command whose
run is there is not run again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np
from demo_loop import ROOT, machine
from PIL import Image

sys.path.insert(0, str(ROOT))
import sets
from own_images import write_folder
from pages import as_table

import tiw
from tiw.comparing.quality import fit_encoder, frechet_distance
from tiw.data.references import choose_references
from tiw.intervals import Estimate
from tiw.shares import fairness_discrepancy

RESULT = ROOT / "benchmarks" / "results" / "imperfect.json"
N = 200
SETS = ("--biased", "demo", "--baseline", "demo", "--reference", "reference")
COMMANDS = {
    "audit": (*SETS, "--no-map"),
    "debias": (*SETS, "--audit", "audit", "--steps", "150"),
    "compare": ("--debiased", "debias/model", "--count", "1000"),
}


def with_wrong(images: tiw.ImageSet, part: float) -> tiw.ImageSet:
    """This part of the images replaced by faces of another style."""
    pixels, n = images.images.copy(), round(part * len(images))
    pixels[np.linspace(0, len(images) - 1, n).astype(int)] = sets.load_set("faces", 64)["pool"].images[:n]
    return tiw.ImageSet(pixels, images.attributes, images.name)


def cropped(images: tiw.ImageSet, border: int = 4) -> tiw.ImageSet:
    """Without the outer pixels, at the same size."""
    size = images.images.shape[1]
    box = (border, border, size - border, size - border)
    pixels = [np.asarray(Image.fromarray(x).resize((size, size), Image.Resampling.BICUBIC, box)) for x in images.images]
    return tiw.ImageSet(np.stack(pixels), images.attributes, images.name)


def compressed(images: tiw.ImageSet, quality: int = 40) -> tiw.ImageSet:
    """As they come back from a JPEG of this quality."""

    def saved(pixels: np.ndarray) -> np.ndarray:
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "JPEG", quality=quality)
        return np.asarray(Image.open(data))

    return tiw.ImageSet(np.stack([saved(x) for x in images.images]), images.attributes, images.name)


def random_draw(images: tiw.ImageSet, n: int) -> tiw.ImageSet:
    """`n` of a source in which the four groups are even, so that their own shares vary."""
    groups = images.attributes.iloc[:, :2].agg("-".join, axis=1)
    rng = np.random.default_rng(0)
    wanted = rng.multinomial(n, np.full(groups.nunique(), 1 / groups.nunique()))
    rows = np.concatenate([rng.permutation(own.index)[:k] for (_, own), k in zip(groups.groupby(groups), wanted, strict=True)])
    return images.take(np.sort(rows))


CASES = {
    "even": lambda reference: choose_references(reference, N),
    "drawn at random": lambda reference: random_draw(reference, N),
    "5 % wrong images": lambda reference: with_wrong(choose_references(reference, N), 0.05),
    "10 % wrong images": lambda reference: with_wrong(choose_references(reference, N), 0.10),
    "another crop": lambda reference: cropped(choose_references(reference, N)),
    "JPEG of quality 40": lambda reference: compressed(choose_references(reference, N)),
}


def measured(case: str, work: Path) -> dict:
    """Every command of one case to its end, and what its results say."""
    if not work.is_dir():
        write_folder(CASES[case](tiw.load_demo().reference), work / "reference")
    for action, options in COMMANDS.items():
        if not (work / action / "result.json").is_file():
            line = [sys.executable, "-m", "tiw", action, "--out", action, *options]
            subprocess.run(line, cwd=work, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    heldout = tiw.load_demo().heldout.images
    encoder = fit_encoder(heldout, "the held-out images")
    audited, debiased, compared = (json.loads((work / run / "result.json").read_text()) for run in COMMANDS)
    return {
        "verdict": audited["verdict"],
        "camera": {suspect["name"]: suspect["auc"]["value"] for suspect in audited["camera"]},
        "unlike": sum(problem["count"] for problem in audited["problems"] if problem["kind"] == "unlike"),
        "lagging": debiased["lagging"],
        "gap_closed": debiased.get("gap_closed"),
        "shares": [row for row in compared["shares"] if row["attribute"] == compared["joint"]],
        **{key: compared[key] for key in ("fairness_discrepancy", "n")},
        "from_even": asdict(fairness_discrepancy(_counts(compared), np.full(4, 0.25))),
        "frechet_distance": asdict(frechet_distance(encoder(_samples(work / "compare")), encoder(heldout))),
    }


def _counts(compared: dict) -> np.ndarray:
    """Of the debiased model's samples in the four groups."""
    rows = [row for row in compared["shares"] if (row["attribute"], row["set"]) == (compared["joint"], "debiased")]
    return np.array([row["count"] for row in rows])


def _samples(run: Path) -> np.ndarray:
    with np.load(run / "samples.npz") as arrays:
        return arrays["debiased"]


def table() -> str:
    """The committed rows, as docs/RESULTS.md has them."""
    head = ("200 references", "verdict", "unlike", "camera", "discrepancy from the references", "from even shares", "Frechet distance")
    rows = [head]
    for case, row in json.loads(RESULT.read_text())["cases"].items():
        says = [row["verdict"]["level"], str(row["unlike"] or "none named"), ", ".join(row["camera"]) or "nothing"]
        numbers = [
            Estimate.of(of).text(form)
            for of, form in (
                (row["fairness_discrepancy"]["debiased"], "{:.3f}"),
                (row["from_even"], "{:.3f}"),
                (row["frechet_distance"], "{:.0f}"),
            )
        ]
        rows.append((case, *says, *numbers))
    return as_table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["measure", "table"], default="measure")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "imperfect", help="folder for images and runs")
    args = parser.parse_args()
    if args.what == "table":
        print(table())
        return
    result: dict = {"date": datetime.now().date().isoformat(), "machine": machine(), "cases": {}}
    for case in CASES:
        result["cases"][case] = measured(case, (args.work / case.replace(" ", "-").replace("%", "percent")).resolve())
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
        print(case, json.dumps(result["cases"][case]["fairness_discrepancy"]), flush=True)


if __name__ == "__main__":
    main()
