"""What a training step costs at the demo's size: plain score matching, TIW-DSM of every image, and the default; paired in one run.

    make bench
    python benchmarks/step.py --batches 48 --repeats 40

The three take turns, one step each, so that a busy moment of the machine meets all of them; medians over the turns, and of the ratios
of steps of the same turn. The share of loading is the time to draw a batch against the step. Memory is the peak of a process of its own.
The result goes to benchmarks/results/step.json with the machine's description.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from demo_loop import RESULTS, ROOT, machine
from pages import as_table

sys.path.insert(0, str(ROOT))

from tiw.data import load_demo
from tiw.debiasing.config import DebiasConfig
from tiw.debiasing.fine_tune import _draw, debias
from tiw.ratio.density_ratio import DensityRatio, fit_density_ratio
from tiw.ratio.features import RatioConfig
from tiw.run.inputs import open_denoiser

KINDS = {
    "dsm": {"objective": "dsm-obs"},
    "tiw": {"objective": "tiw-dsm-paper"},  # every image of a batch is corrected
    "default": {"objective": "tiw-dsm"},
}
TARGETS = {"tiw": 1.25, "default": 1.25}  # times a step of score matching
RATIO = RatioConfig(estimator="convex", biased_images=400, reference_draws=1)  # its quality costs a step nothing
MEMORY_STEPS = 4


def table() -> str:
    """The committed result, as docs/RESULTS.md has it; what misses its aim in bold."""
    rows = [
        ("batch", "DSM", "TIW-DSM as in the paper", "default", *(f"{kind} / DSM (aim {aim})" for kind, aim in TARGETS.items()), "loading")
    ]
    for batch, of in json.loads((RESULTS / "step.json").read_text())["batches"].items():
        speeds = [f"{of[kind]['images_per_second']:.0f} images/s" for kind in KINDS]
        times = [(f"{of[kind]['times_dsm']:.2f}", of[kind]["times_dsm"] <= aim) for kind, aim in TARGETS.items()]
        shown = [said if good else f"**{said}**" for said, good in times]
        rows.append((batch, *speeds, *shown, f"{100 * of['dsm']['loading_share']:.1f} %"))
    return as_table(rows)


def config(kind: str, batch: int) -> DebiasConfig:
    return DebiasConfig(steps=1_000_000, batch_size=batch, strength=1.4, **KINDS[kind])


def times(batch: int, repeats: int, device: str, ratio_folder: Path) -> dict:
    """Seconds of a step of each kind and of drawing its batch, over `repeats` turns."""
    demo, denoiser = load_demo(), open_denoiser("demo", device)
    ratio = DensityRatio.load(ratio_folder, denoiser)
    runs = {kind: debias(denoiser, demo.biased, demo.reference, ratio, config(kind, batch)) for kind in KINDS}
    seconds: dict[str, list[float]] = {kind: [] for kind in (*KINDS, "draw")}
    for turn in range(repeats + 2):  # the first two warm up
        for kind, run in runs.items():
            began = time.perf_counter()
            next(run)
            if turn >= 2:
                seconds[kind].append(time.perf_counter() - began)
        began = time.perf_counter()
        _draw(denoiser, demo.biased, demo.reference, config("tiw", batch), turn)
        if turn >= 2:
            seconds["draw"].append(time.perf_counter() - began)
    of = {kind: np.array(values) for kind, values in seconds.items()}
    found = {kind: {"seconds": float(np.median(of[kind])), "images_per_second": batch / float(np.median(of[kind]))} for kind in KINDS}
    for kind in TARGETS:
        ratios = of[kind] / of["dsm"]
        found[kind]["times_dsm"] = float(np.median(ratios))
        found[kind]["times_dsm_quartiles"] = np.percentile(ratios, [25, 75]).tolist()
    for kind in KINDS:
        found[kind]["loading_share"] = float(np.median(of["draw"] / of[kind]))
    return found


def peak_memory(kind: str, batch: int, device: str, ratio_folder: Path) -> dict:
    """Bytes at the peak of a few steps in a process of its own: of the whole process, and what the steps added."""
    line = [sys.executable, __file__, "--memory", kind, "--batches", str(batch), "--device", device, "--ratio", str(ratio_folder)]
    return json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def _peak() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory_here(kind: str, batch: int, device: str, ratio_folder: Path) -> dict:
    demo, denoiser = load_demo(), open_denoiser("demo", device)
    ratio = DensityRatio.load(ratio_folder, denoiser)
    before = _peak()
    for step in debias(denoiser, demo.biased, demo.reference, ratio, config(kind, batch)):
        if step.step == MEMORY_STEPS:
            break
    return {"peak_bytes": _peak(), "added_bytes": _peak() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[48, 128])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=RESULTS / "step.json")
    parser.add_argument("--memory", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--ratio", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory:
        print(json.dumps(memory_here(args.memory, args.batches[0], args.device, args.ratio)))
        return
    found = {"date": datetime.now().date().isoformat(), "machine": machine(), "threads": torch.get_num_threads()}
    found |= {"repeats": args.repeats, "targets_times_dsm": TARGETS, "batches": {}}
    with tempfile.TemporaryDirectory() as folder:
        demo, denoiser = load_demo(), open_denoiser("demo", args.device)
        found |= {"device": str(denoiser.device), "precision": str(denoiser.precision)}
        fit_density_ratio(demo.biased, demo.reference, denoiser, RATIO).save(folder)
        for batch in args.batches:
            of_batch = times(batch, args.repeats, args.device, Path(folder))
            for kind in KINDS:
                of_batch[kind] |= peak_memory(kind, batch, args.device, Path(folder))
            for kind in TARGETS:
                of_batch[kind]["memory_times_dsm"] = of_batch[kind]["peak_bytes"] / of_batch["dsm"]["peak_bytes"]
            found["batches"][str(batch)] = of_batch
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
