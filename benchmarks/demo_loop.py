"""The numbers of the demo loop: time to the first page, audit, map, preview, both presets, memory.

    make bench-loop                               # quick, one seed
    python benchmarks/demo_loop.py --preset full --seeds 0 1 2

Every figure comes from the commands a user types, in processes of their own; with several seeds medians are printed too. The result goes to
benchmarks/results/demo_loop_PRESET.json with the machine's description.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import gradio_client
import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from pages import as_table  # noqa: E402

from tiw.intervals import Estimate  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
FALL = {"quick": 80, "full": 90}  # per cent of the discrepancy that a preset should take away
SECONDS = {"quick": 300, "full": 900}  # that it may take


def machine() -> dict:
    memory = psutil.virtual_memory().total / 2**30
    return {"processor": _processor(), "cores": os.cpu_count(), "memory_gib": round(memory, 1), "python": platform.python_version()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    except OSError:
        return platform.machine()


class PeakMemory(threading.Thread):
    """Largest memory of a process and its children together, in bytes: resident, without pages of files, which can be dropped."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.process, self.peak = psutil.Process(pid), 0

    def run(self) -> None:
        while True:
            try:
                family = [self.process, *self.process.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            total = 0
            for process in family:
                try:
                    memory = process.memory_info()
                    total += memory.rss - getattr(memory, "shared", 0)
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, total)
            time.sleep(0.2)


def command(*arguments: str, out: Path) -> tuple[dict, float, int]:
    """Run `python -m tiw ...`; (result.json, wall seconds, peak memory)."""
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-m", "tiw", *arguments, "--out", str(out)], cwd=ROOT, stdout=subprocess.DEVNULL) as child:
        memory = PeakMemory(child.pid)
        memory.start()
        if child.wait() != 0:
            raise SystemExit(f"{arguments[0]} failed, see {out}")
    return json.loads((out / "result.json").read_text()), time.monotonic() - began, memory.peak


@contextmanager
def app() -> Iterator[str]:
    """The address of a fresh `python app.py`, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    with tempfile.TemporaryDirectory() as home:
        started = [sys.executable, "app.py", "--port", str(port), "--no-browser"]
        child = subprocess.Popen(started, cwd=ROOT, env={**os.environ, "TIW_HOME": home}, stdout=subprocess.DEVNULL)
        try:
            while True:
                try:
                    urllib.request.urlopen(address).close()
                    break
                except urllib.error.URLError:
                    time.sleep(0.05)
            yield address
        finally:
            child.terminate()
            child.wait(20)


def first_page() -> float:
    """Seconds from `python app.py` to an answered request for the page."""
    began = time.monotonic()
    with app():
        return time.monotonic() - began


def answers_while_training(times: int = 40) -> dict:
    """Seconds until the app answers for its page and for the run's status while a debiasing uses the cores: median and longest."""
    with app() as address:
        client = gradio_client.Client(address, verbose=False)
        run = client.predict(objective="dsm-ref", steps=100_000, api_name="/debias")
        while client.predict(run=run, api_name="/run_status")["stage"] != "Training":
            time.sleep(0.5)
        asked = {
            "page": lambda: urllib.request.urlopen(address).read(),
            "status": lambda: client.predict(run=run, api_name="/run_status"),
        }
        found: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(times):
            for name, ask in asked.items():
                began = time.monotonic()
                ask()
                found[name].append(time.monotonic() - began)
            time.sleep(0.3)
        client.predict(run=run, api_name="/stop_run")
    return {name: {"median": statistics.median(x), "longest": max(x), "n": times} for name, x in found.items()}


def audit_times(out: Path) -> dict:
    """Charts are there with result.json, the fixed map with its first UMAP layout (level 0 of map.parquet)."""
    import pandas as pd

    began = time.monotonic()
    charts = fixed_map = None
    with subprocess.Popen([sys.executable, "-m", "tiw", "audit", "--out", str(out)], cwd=ROOT, stdout=subprocess.DEVNULL) as child:
        while child.poll() is None:
            time.sleep(0.1)
            if charts is None and (out / "result.json").exists():
                charts = time.monotonic() - began
            layouts = out / "map.parquet"
            if fixed_map is None and layouts.exists() and 0 in set(pd.read_parquet(layouts, columns=["level"])["level"]):
                fixed_map = time.monotonic() - began
    return {"charts_seconds": charts, "map_after_charts_seconds": fixed_map - charts, "all_maps_seconds": time.monotonic() - began}


def preview_seconds(audit: Path, out: Path) -> float:
    """A preview at a strength that is known: matching it is part of the first debias or preview of an audit."""
    return command("preview", "--audit", str(audit), "--strength", "1.5", out=out)[1]


def loop(preset: str, seed: int, out: Path) -> dict:
    result, wall, peak = command("demo", "--preset", preset, "--seed", str(seed), out=out)
    kept = ("strength", "gap_closed", "steps", "training_seconds", "audit_seconds", "debias_seconds", "compare_seconds", "n")
    return {
        "seed": seed,
        "wall_seconds": wall,
        "peak_memory_gib": peak / 2**30,
        "fairness_discrepancy": result["fairness_discrepancy"],
        "frechet_distance": result["frechet_distance"],
        "closer_to_reference": result["closer_to_reference"],
        **{name: result[name] for name in kept},
    }


def read() -> dict[str, dict]:
    """preset -> its committed result."""
    return {preset: json.loads((RESULTS / f"demo_loop_{preset}.json").read_text()) for preset in FALL}


def table() -> str:
    """What the loop takes, from the committed results, as docs/RESULTS.md has it; what misses its aim in bold."""
    found = read()
    quick, loops = found["quick"], [loop for of in found.values() for loop in of["loops"]]

    def row(name: str, aim: float, unit: str, *values: float, digits: int = 0) -> tuple[str, ...]:
        low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
        said = f"{low if low == high else f'{low} to {high}'} {unit}"
        return name, f"{aim:g} {unit}", said if max(values) <= aim else f"**{said}**"

    rows = [
        ("", "aim", "measured"),
        row("`python app.py` to the first page", 12, "s", quick["first_page_seconds"], digits=1),
        row("audit, from the button to all charts", 60, "s", quick["audit"]["charts_seconds"]),
        row("first map, after the charts", 30, "s", quick["audit"]["map_after_charts_seconds"]),
        row("preview of 64 images", 20, "s", quick["preview_seconds"]),
        row("page during training, longest of 40 requests", 1, "s", quick["answers_while_training"]["page"]["longest"], digits=2),
        row("a run's status, longest of 40", 1, "s", quick["answers_while_training"]["status"]["longest"], digits=2),
        *(row(f"`demo --preset {name}`", SECONDS[name], "s", *(x["wall_seconds"] for x in of["loops"])) for name, of in found.items()),
        row("peak memory of the loop", 4, "GiB", max(x["peak_memory_gib"] for x in loops), digits=1),
    ]
    return as_table(rows)


def table_of_ends() -> str:
    """The same of where it ends."""
    head = ("`demo`", "seed", "steps", "discrepancy, baseline", "debiased", "floor", "fall (aim)")
    rows = [(*head, "Frechet, baseline", "debiased", "resampled", "nearer to a reference")]
    for preset, of in read().items():
        for x in of["loops"]:
            shares, distance = x["fairness_discrepancy"], x["frechet_distance"]
            fall = f"{100 * shares['fall']:.0f} %"
            rows.append(
                (
                    *(f"{preset}, n = {x['n']:,}", str(x["seed"]), str(x["steps"]), f"{shares['baseline']['value']:.3f}"),
                    *(Estimate.of(shares["debiased"]).text("{:.3f}"), f"{shares['floor']['value']:.3f}"),
                    f"{fall if 100 * shares['fall'] >= FALL[preset] else f'**{fall}**'} ({FALL[preset]})",
                    *(f"{distance[name]['value']:.0f}" for name in ("baseline", "debiased", "baseline_resampled")),
                    f"{100 * x['closer_to_reference']['debiased']['value']:.0f} %",
                )
            )
    return as_table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="quick", choices=["quick", "full"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        found = {"date": datetime.now().date().isoformat(), "machine": machine(), "preset": args.preset}
        found["first_page_seconds"] = statistics.median(first_page() for _ in range(3))
        found["answers_while_training"] = answers_while_training()
        found["audit"] = audit_times(where / "audit")
        found["preview_seconds"] = preview_seconds(where / "audit", where / "preview")
        found["loops"] = [loop(args.preset, seed, where / f"demo-{seed}") for seed in args.seeds]
    loops = found["loops"]
    found["median"] = {
        "wall_seconds": statistics.median(x["wall_seconds"] for x in loops),
        "fall_of_the_fairness_discrepancy": statistics.median(x["fairness_discrepancy"]["fall"] for x in loops),
        "frechet_distance_debiased": statistics.median(x["frechet_distance"]["debiased"]["value"] for x in loops),
        "frechet_distance_baseline_resampled": statistics.median(x["frechet_distance"]["baseline_resampled"]["value"] for x in loops),
    }
    path = RESULTS / f"demo_loop_{args.preset}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps({name: value for name, value in found.items() if name != "loops"}, indent=2))


if __name__ == "__main__":
    main()
