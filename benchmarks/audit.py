"""The numbers of the audit: time to the charts, map and all scores; scoring speed; the slider in the browser; UMAP at size; growth with n.

    python benchmarks/audit.py                 # about ten minutes on 2 CPU cores
    python benchmarks/audit.py --parts demo scoring slider umap scale

Results go to benchmarks/results/audit.json, part by part. `scale` audits demo images repeated with a little noise, 10^4, 10^5 and
3 * 10^5 of them, and extrapolates to 10^6 along the straight line through the last two.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from demo_loop import ROOT, audit_times, command, machine

PARTS = ("demo", "scoring", "slider", "umap", "scale")


def demo() -> dict:
    """Button to charts, map, every score: all references, 2,000 of the biased images, five folds."""
    with tempfile.TemporaryDirectory() as folder:
        return audit_times(Path(folder) / "audit")


def scoring() -> dict:
    """Images a second and level: the encoder alone on ready tensors, and with noise, copies and scores; paired, medians of five."""
    import torch

    import tiw
    from tiw.model.device import pick_device, pick_precision
    from tiw.ratio.features import features_at

    device = pick_device()
    denoiser = tiw.Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline")
    denoiser.prepare(device, pick_precision(device)).requires_grad_(False).eval()
    images, sigmas, batch = tiw.load_demo().biased.images[:512], (0.03, 0.08, 0.2, 0.5, 1.3, 3.2, 8.0, 20.0), 128
    x, sigma = torch.randn(batch, 3, 64, 64, device=device), torch.ones(batch, device=device)

    def bare() -> float:
        began = time.perf_counter()
        with torch.no_grad():
            for _ in range(len(images) // batch * len(sigmas)):
                denoiser.features(x, sigma).cpu()
        return len(images) * len(sigmas) / (time.perf_counter() - began)

    def whole() -> float:
        began = time.perf_counter()
        features_at(denoiser, images, np.arange(len(images)), sigmas, 0, batch_size=batch)
        return len(images) * len(sigmas) / (time.perf_counter() - began)

    bare(), whole()
    pairs = [(bare(), whole()) for _ in range(5)]
    return {
        "bare_images_per_second": statistics.median(b for b, _ in pairs),
        "scored_images_per_second": statistics.median(w for _, w in pairs),
        "ratio": statistics.median(w / b for b, w in pairs),
    }


def slider() -> dict:
    """Milliseconds from moving the slider to the next painted frame, in headless Chromium on the demo's audit."""
    from playwright.sync_api import sync_playwright

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        run = Path(home) / "runs" / ("a" * 32)
        command("audit", "--no-score-all", out=run)
        environment = {**os.environ, "TIW_HOME": home}
        app = subprocess.Popen([sys.executable, "app.py", "--port", str(port), "--no-browser"], cwd=ROOT, env=environment)
        try:
            time.sleep(8)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(f"http://127.0.0.1:{port}/?run={'a' * 32}")
                page.locator("#explorer [data-strip] button").first.wait_for(timeout=60_000)
                page.wait_for_timeout(3000)
                move = """level => new Promise(done => {
                  const slider = document.querySelector("#explorer input[type=range]"), began = performance.now();
                  slider.value = level; slider.dispatchEvent(new Event("input"));
                  requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
                })"""
                times = [page.evaluate(move, k % 8) for k in range(24)]
                browser.close()
        finally:
            app.terminate()
            app.wait(20)
    return {"median_milliseconds": statistics.median(times), "largest_milliseconds": max(times)}


def umap() -> dict:
    """Seconds for aligned layouts of 5,000 points at 12 noise levels, loading and compiling included."""
    import tiw
    from tiw.auditing.map import layouts
    from tiw.model.device import pick_device, pick_precision
    from tiw.ratio.features import features_at

    device = pick_device()
    denoiser = tiw.Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline")
    denoiser.prepare(device, pick_precision(device)).requires_grad_(False).eval()
    sigmas = np.geomspace(0.03, 20, 12)
    features = features_at(denoiser, tiw.load_demo().biased.images[:5000], np.arange(5000), sigmas, 0)[:, 0]
    del denoiser
    began = time.perf_counter()
    times = []
    for _ in layouts([level.numpy() for level in features]):
        times.append(time.perf_counter() - began)
    return {"first_seconds": times[0], "all_seconds": times[-1]}


def scale() -> dict:
    """Seconds and peak memory of a headless audit without a map, and of scoring all the images that the fit does not see."""
    found: dict = {str(n): audit_of(n) for n in (10_000, 100_000, 300_000)}
    whole = audit_of(10_000, score_all=True)
    found["score_all_seconds_per_image"] = (whole["seconds"] - found["10000"]["seconds"]) / (10_000 - 2000)
    found["score_all_peak_memory_gib"] = whole["peak_memory_gib"]
    return found | {"extrapolated_1000000": extrapolated(found)}


def extrapolated(found: dict) -> dict:
    """To 10^6, seconds along the line through the two largest. Memory does not grow: pixels beyond 2 GiB stay in a mapped file."""
    a, b = found["100000"]["seconds"], found["300000"]["seconds"]
    return {"seconds": b + (b - a) * 3.5, "score_all_hours": found["score_all_seconds_per_image"] * 1e6 / 3600}


def audit_of(n: int, score_all: bool = False) -> dict:
    import tiw

    images = tiw.load_demo().biased.images
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "biased.npz"
        large = np.lib.format.open_memmap(Path(folder) / "images.npy", "w+", np.uint8, (n, 64, 64, 3))
        rng = np.random.default_rng(0)
        for start in range(0, n, 1000):  # repeated images differ in a little noise, so that none is a copy
            noise = rng.integers(-3, 4, (min(1000, n - start), 64, 64, 3), dtype=np.int16)
            rows = np.arange(start, start + len(noise)) % len(images)
            large[start : start + len(noise)] = (images[rows] + noise).clip(0, 255)
        np.savez(path, images=large)
        del large
        (Path(folder) / "images.npy").unlink()
        switches = ("--no-map", *(() if score_all else ("--no-score-all",)))
        _, seconds, peak = command("audit", "--biased", str(path), *switches, out=Path(folder) / "run")
    return {"seconds": seconds, "peak_memory_gib": peak / 2**30}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    args = parser.parse_args()
    path = ROOT / "benchmarks" / "results" / "audit.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    found["machine"] = machine()
    for part in args.parts:
        found[part] = globals()[part]()
        path.write_text(json.dumps(found, indent=2) + "\n")
        print(part, json.dumps(found[part], indent=2), flush=True)


if __name__ == "__main__":
    main()
