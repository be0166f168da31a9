"""Reading and checking large sets: seconds and peak memory, from 10^4 and 10^5 images to 10^6.

    python benchmarks/data_scale.py --out benchmarks/results/data_scale.json

Noise of 64x64 pixels in a parquet file of PNGs, against 400 references. Each size runs in a process of its own, with everything but
1 MiB mapped to disk, as sets beyond 2 GiB are. The time for 10^6 is that of 10^5 plus 9 times the slope between 10^4 and 10^5 per
10^5 images. Peak memory is private memory: pages of a mapped file are the system's to take back.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

SIDE, REFERENCES = 64, 400


def write(path: Path, n: int) -> None:
    """A parquet file of `n` images, 1,000 rows a group."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    rng = np.random.default_rng(n)
    with pq.ParquetWriter(path, pa.schema({"image": pa.binary(), "label": pa.string()})) as writer:
        for start in range(0, n, 1000):
            encoded = []
            for pixels in rng.integers(0, 256, (min(1000, n - start), 8, 8, 3), dtype=np.uint8):
                out = io.BytesIO()
                Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(out, "PNG", compress_level=1)
                encoded.append(out.getvalue())
            writer.write_table(pa.table({"image": encoded, "label": ["ab"[k % 2] for k in range(len(encoded))]}, schema=writer.schema))


def measure(path: Path, references: Path) -> dict:
    """Load, check and fingerprint in this process."""
    import psutil

    from tiw.data import check_sets, load_images, memory

    memory.IN_MEMORY = 1 << 20
    process, peak, done = psutil.Process(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            about = process.memory_info()
            peak[0] = max(peak[0], about.rss - about.shared)

    threading.Thread(target=watch, daemon=True).start()
    marks = [time.perf_counter()]
    reference, biased = load_images(references), load_images(path)
    marks.append(time.perf_counter())
    problems = check_sets(biased, reference)
    marks.append(time.perf_counter())
    fingerprint = biased.fingerprint
    marks.append(time.perf_counter())
    done.set()
    seconds = dict(zip(("load", "check", "fingerprint"), np.diff(marks).round(2).tolist(), strict=True))
    return {
        "n": len(biased),
        "seconds": seconds,
        "peak_gib": round(peak[0] / 2**30, 3),
        "problems": len(problems),
        "sha256": fingerprint.sha256,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sizes", type=int, nargs=2, default=[10_000, 100_000])
    parser.add_argument("--measure", type=Path, nargs=2, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.measure:
        print(json.dumps(measure(*o.measure)))
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        references = Path(folder, "references.parquet")
        write(references, REFERENCES)
        for n in o.sizes:
            path = Path(folder, f"{n}.parquet")
            write(path, n)
            words = [sys.executable, __file__, "--measure", str(path), str(references)]
            results.append(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
            print(results[-1], flush=True)
            path.unlink()
    small, large = results
    steps = (1_000_000 - large["n"]) / (large["n"] - small["n"])

    def at_a_million(first: float, second: float) -> float:
        return round(second + steps * (second - first), 2)

    seconds = {k: at_a_million(small["seconds"][k], large["seconds"][k]) for k in large["seconds"]}
    million = {"n": 1_000_000, "seconds": seconds, "peak_gib": at_a_million(small["peak_gib"], large["peak_gib"])}
    print("extrapolated", million)
    if o.out:
        o.out.write_text(json.dumps({"measured": results, "extrapolated": million}, indent=2) + "\n")


if __name__ == "__main__":
    main()
