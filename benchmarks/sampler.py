"""How few sampling steps do? Frechet distance to the biased set against the time of 64 images, for both solvers.

    python benchmarks/sampler.py [--count 1000]

The shipped baseline, the same seeds throughout. Time is the median of five calls for 64 images, interleaved over the settings, so that a
busy moment of the machine touches all of them. Results go to benchmarks/results/sampler.json; benchmarks/figures.py draws
docs/sampler.webp.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from demo_loop import machine

import tiw
from tiw.comparing.quality import fit_encoder, frechet_distance, frechet_floor
from tiw.model.device import pick_device, pick_precision

ROOT = Path(__file__).parents[1]
SETTINGS = [("dpm", n) for n in (6, 8, 10, 12, 16, 24)] + [("heun", n) for n in (5, 7, 9, 12)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    args = parser.parse_args()
    device = pick_device()
    denoiser = tiw.Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline").prepare(device, pick_precision(device))
    denoiser.requires_grad_(False).eval()
    data = tiw.load_demo().biased.images
    encoder = fit_encoder(data, "the biased images")
    real = encoder(data)
    rows = []
    for solver, steps in SETTINGS:
        images = tiw.sample(denoiser, range(args.count), solver=solver, steps=steps)
        calls = steps if solver == "dpm" else 2 * steps - 1
        rows.append({"solver": solver, "steps": steps, "calls": calls, "frechet_distance": frechet_distance(encoder(images), real).value})
        print(rows[-1], flush=True)
    times: list[list[float]] = [[] for _ in SETTINGS]
    for _ in range(5):
        for k, (solver, steps) in enumerate(SETTINGS):
            began = time.perf_counter()
            tiw.sample(denoiser, range(64), solver=solver, steps=steps)
            times[k].append(time.perf_counter() - began)
    for row, found in zip(rows, times, strict=True):
        row["seconds_for_64"] = statistics.median(found)
    floor = frechet_floor(real, args.count).value
    result = {"machine": machine(), "n": args.count, "encoder": encoder.name, "floor": floor, "settings": rows}
    (ROOT / "benchmarks" / "results" / "sampler.json").write_text(json.dumps(result, indent=2) + "\n")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
