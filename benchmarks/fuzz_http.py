"""Requests that no browser makes, at a public app: none answered with an error of ours, none over five seconds, memory under a bound.

    python benchmarks/fuzz_http.py --inputs 20000

Hostile values in every field of every end point, and requests of any shape (tests/test_http_fuzz.py), each from a seed of its own. Writes
benchmarks/results/fuzz_http.json, a run for each seed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import test_http_fuzz as cases  # noqa: E402
from load import busy  # noqa: E402
from served import Visitor, studio  # noqa: E402

SLOW = 5.0  # seconds of the app's processor time
MEMORY = 1 << 30  # bytes that the app may hold at its peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    outcomes: Counter[str] = Counter()
    failures, slowest, peak = [], 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        with studio(home, "--public") as address, closing(Visitor(address)) as visitor:
            app = max(psutil.Process().children(), key=lambda child: child.create_time())
            names, events = cases.end_points(visitor), len(visitor.config["dependencies"])
            for k in range(args.inputs):
                rng, told = np.random.default_rng([args.seed, k]), home.with_suffix(".log").stat().st_size
                request = cases.one_field(rng, names) if k % 2 else cases.of_any_shape(rng, events)
                before = busy(app)
                status, answer = cases.send(visitor.http, *request)
                slowest = max(slowest, busy(app) - before)
                outcomes[str(status)] += 1
                if found := cases.harm(status, answer, home, told):
                    failures.append({"input": k, "request": repr(request)[:300], "found": found})
                cases.stop_all(visitor, home)
                if k % 100 == 0:
                    peak = max(peak, app.memory_info().rss)
            alive = visitor.http.get("/tiw/health").status_code == 200
    found = {"inputs": args.inputs, "seed": args.seed, "statuses": dict(outcomes), "failures": failures[:20]}
    found |= {"slowest_seconds": round(slowest, 2), "peak_bytes": peak}
    found["passed"] = alive and not failures and slowest < SLOW and peak < MEMORY
    out = ROOT / "benchmarks" / "results" / "fuzz_http.json"
    others = [run for run in json.loads(out.read_text()) if run["seed"] != args.seed] if out.is_file() else []
    out.write_text(json.dumps([*others, found], indent=1) + "\n")
    print(json.dumps(found, indent=1))
    sys.exit(not found["passed"])


if __name__ == "__main__":
    main()
