"""Time and memory of the actions at 256 pixels: a pipeline of the size of google/ddpm-celebahq-256 (113 M parameters), random weights.

    python benchmarks/large_images.py --work /tmp/large
    python benchmarks/large_images.py --work /tmp/large --only debias

60 biased and 30 reference images of random ellipses. The weights are random, so the samples are noise and the numbers about them mean
nothing: what is measured is whether each command comes to its end, in what time, and its peak memory. Each is a process of its own. Its
options keep it short, since the network takes seconds for an image on a CPU. The result goes to benchmarks/results/large_images.json.
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

import numpy as np
import torch
from demo_loop import ROOT, machine
from pages import as_table
from PIL import Image, ImageDraw

sys.path.insert(0, str(ROOT))

from tiw.model.denoiser import Denoiser  # first: it makes diffusers importable where torchvision is another build's

SIDE, LIMIT_GIB = 256, 20.0
RESULT = ROOT / "benchmarks" / "results" / "large_images.json"
SETS = ("--baseline", "pipeline", "--biased", "biased.npz", "--reference", "reference.npz")
COMMANDS = {
    "audit": ("--levels", "2", *SETS),
    "preview": ("--audit", "audit", "--strength", "1.5", "--count", "4", "--sampling-steps", "2", *SETS),
    "debias": ("--audit", "audit", "--strength", "1.5", "--steps", "2", "--batch-size", "8", "--preview-every", "2", *SETS),
    "compare": ("--debiased", "debias/model", "--count", "16", "--sampling-steps", "2"),
}


def table() -> str:
    """The committed rows, as docs/RESULTS.md has them."""
    rows = [("command", "seconds", "CPU seconds", "peak memory")]
    for action, found in json.loads(RESULT.read_text())["actions"].items():
        assert found["exit"] == 0, action
        rows.append((action, str(found["seconds"]), str(found["cpu_seconds"]), f"{found['peak_gib']:.1f} GiB"))
    return as_table(rows)


def make_pipeline(folder: Path) -> None:
    """The network of google/ddpm-celebahq-256 with random weights."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=SIDE,
        block_out_channels=(128, 128, 256, 256, 512, 512),
        down_block_types=("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D") + ("UpBlock2D",) * 4,
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
    )
    DDPMPipeline(unet, DDPMScheduler(1000, beta_start=1e-4, beta_end=0.02)).save_pretrained(folder)


def make_images(n: int, warm: float, seed: int) -> np.ndarray:
    """Ellipses on a gradient, uint8 [n,256,256,3]; a share `warm` of them has a warm background."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 60, SIDE)[:, None, None]
    images = []
    for k in range(n):
        background = np.array((190, 120, 80) if k < warm * n else (70, 120, 190)) + rng.normal(0, 15, 3)
        image = Image.fromarray((background + ramp + np.zeros((SIDE, SIDE, 1))).clip(0, 255).astype(np.uint8))
        for _ in range(3):
            (x, y), (w, h) = rng.integers(0, SIDE, 2), rng.integers(20, 100, 2)
            ImageDraw.Draw(image).ellipse((x - w, y - h, x + w, y + h), fill=tuple(rng.integers(0, 256, 3).tolist()))
        images.append(np.asarray(image))
    return np.stack(images)[rng.permutation(n)]


def measured(action: str, work: Path) -> dict:
    """One command to its end: seconds, peak of its resident memory, its exit status and what it said on standard error."""
    line = [sys.executable, "-m", "tiw", action, "--out", action, *COMMANDS[action]]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    began = time.monotonic()
    with (work / f"{action}.txt").open("w") as said:
        child = subprocess.Popen(line, cwd=work, stdout=said, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": paths})
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return {
        "options": list(COMMANDS[action]),
        "exit": child.returncode,
        "seconds": round(time.monotonic() - began),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime),
        "peak_gib": round(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**30, 2),
        "said": (work / f"{action}.txt").read_text().splitlines()[-20:],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for pipeline, images and runs")
    parser.add_argument("--only", choices=COMMANDS, nargs="+", default=list(COMMANDS))
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    found = json.loads(args.out.read_text()) if args.out.is_file() else {"actions": {}}
    if not (args.work / "biased.npz").is_file():
        make_pipeline(args.work / "pipeline")
        for role, n, warm, seed in (("biased", 60, 0.2, 0), ("reference", 30, 0.5, 1)):
            np.savez(args.work / f"{role}.npz", images=make_images(n, warm, seed))
    denoiser = Denoiser.from_pretrained(args.work / "pipeline")
    found |= {"date": datetime.now().date().isoformat(), "machine": machine(), "threads": torch.get_num_threads()}
    found |= {"shape": list(denoiser.shape), "parameters": sum(p.numel() for p in denoiser.parameters()), "limit_gib": LIMIT_GIB}
    del denoiser
    for action in args.only:
        found["actions"][action] = measured(action, args.work)
        args.out.write_text(json.dumps(found, indent=2) + "\n")
        print(json.dumps({action: found["actions"][action]}, indent=2), flush=True)


if __name__ == "__main__":
    main()
