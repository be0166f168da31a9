"""What a GPU makes of a training step at the paper's CIFAR-10 scale: images/s, share of the bfloat16 peak, TIW-DSM against DSM.

    make bench-gpu

`fast` is how a long run trains (bfloat16, TF32 for the rest, compiled blocks, channels_last, fused AdamW), `plain` the same network in
float32 without TF32 and not compiled. The images are noise: their content costs nothing. Without a GPU a tiny network shows that the
script runs, and nothing is written; with one the result goes to benchmarks/results/gpu_DEVICE.json.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from datetime import datetime

import numpy as np
import torch
from demo_loop import ROOT, machine
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(ROOT))

from tiw.data import ImageSet
from tiw.debiasing.config import DebiasConfig
from tiw.debiasing.fine_tune import debias
from tiw.model.denoiser import Denoiser
from tiw.model.device import COMPILE_FROM, pick_device
from tiw.model.networks import PRESETS
from tiw.ratio.density_ratio import fit_density_ratio
from tiw.ratio.features import RatioConfig

# Dense bfloat16 multiply-adds count two, in 1e12 a second, from the makers' data sheets; the first name that fits is taken.
PEAKS = {"H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "RTX 4090": 165, "B200": 2250}
KINDS = {
    "dsm": {"objective": "dsm-obs"},
    "tiw": {"objective": "tiw-dsm-paper"},  # every image of a batch is corrected
    "default": {"objective": "tiw-dsm"},
}


def peak_flops(device_name: str) -> float | None:
    """Of bfloat16, a second; None where the device is not in the table."""
    return next((1e12 * peak for name, peak in PEAKS.items() if name in device_name), None)


def noise_images(n: int, side: int, seed: int) -> ImageSet:
    return ImageSet(np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8))


class _NoModules:
    """In the place of the counter's table by module, which does not bear `torch.autograd.grad`."""

    parents = ("Global",)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def measure(mode: str, preset: str, batch: int, repeats: int, warm_up: int, device: torch.device) -> dict:
    """Median seconds of a step, images/s and floating-point operations of an image for each kind, in `fast` or `plain` mode."""
    fast = mode == "fast"
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if fast else "highest")
        torch.backends.cudnn.allow_tf32 = fast
    torch.manual_seed(0)
    denoiser = Denoiser.new(PRESETS[preset]).prepare(device, torch.bfloat16 if fast and device.type == "cuda" else torch.float32)
    side = denoiser.shape[-1]
    biased, reference = noise_images(2000, side, 0), noise_images(200, side, 1)
    levels = RatioConfig(estimator="convex", biased_images=200, reference_draws=1, components=20)
    ratio = fit_density_ratio(biased, reference, denoiser, levels)
    found = {}
    for kind, options in KINDS.items():

        def steps(number: int, size: int, options: dict = options):
            return debias(denoiser, biased, reference, ratio, DebiasConfig(steps=number, batch_size=size, **options))

        counter = FlopCounterMode(display=False)
        counter.mod_tracker = _NoModules()
        with counter:
            next(steps(1, 8))
        run = steps(COMPILE_FROM if fast else COMPILE_FROM - 1, batch)
        seconds = []
        for turn in range(warm_up + repeats):
            began = time.perf_counter()
            next(run)  # ends with the loss on the host, so it waits for the device
            if turn >= warm_up:
                seconds.append(time.perf_counter() - began)
        median = statistics.median(seconds)
        flops = counter.get_total_flops() / 8
        found[kind] = {"seconds": median, "images_per_second": batch / median, "flops_an_image": flops, "flops": flops * batch / median}
    for kind in ("tiw", "default"):
        found[kind]["times_dsm"] = found[kind]["seconds"] / found["dsm"]["seconds"]
    return found


def benchmark(tiny: bool, repeats: int, warm_up: int) -> dict:
    """Both modes on the first GPU, or `tiny` on what there is."""
    device = pick_device()
    preset, batch = ("tiny", 8) if tiny else ("cifar10", 256)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()["processor"]
    peak = peak_flops(name) if device.type == "cuda" else None
    parameters = sum(p.numel() for p in Denoiser.new(PRESETS[preset]).parameters())
    found = {"date": datetime.now().date().isoformat(), "device": name, "machine": machine(), "torch": torch.__version__}
    found |= {"preset": preset, "parameters": parameters, "batch_size": batch, "peak_bf16_flops": peak}
    for mode in ("plain", "fast"):  # the compiled blocks come last: what is compiled stays so
        found[mode] = measure(mode, preset, batch, repeats, warm_up, device)
        for kind in KINDS:
            found[mode][kind]["share_of_peak"] = None if peak is None else found[mode][kind]["flops"] / peak
    found["fast_times_plain"] = {
        kind: found["fast"][kind]["images_per_second"] / found["plain"][kind]["images_per_second"] for kind in KINDS
    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="a tiny network; always so without a GPU")
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    tiny = args.tiny or not torch.cuda.is_available()
    found = benchmark(tiny, args.repeats, warm_up=10)
    print(json.dumps(found, indent=2))
    if not tiny:
        name = re.sub(r"[^A-Za-z0-9]+", "_", found["device"]).strip("_")
        (ROOT / "benchmarks" / "results" / f"gpu_{name}.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
