"""Files altered at random through every reader: no crash, none over five seconds, memory under a bound.

    python benchmarks/fuzz_data.py --inputs 100000

Takes the small files of tests/test_data_fuzz.py, alters each input by a few bytes, cuts and repeats, from a seed of its own, and reads it.
Writes benchmarks/results/fuzz_data.json; an input that fails is kept beside it, named by its seed.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import test_data_fuzz as cases  # noqa: E402

from tiw.data import load_images  # noqa: E402
from tiw.data.cifar import restricted_loads  # noqa: E402
from tiw.data.decode import decode  # noqa: E402
from tiw.errors import UserInputError  # noqa: E402

SLOW = 5.0  # seconds of processor time
MEMORY = 1 << 30  # bytes that this process may hold at its peak


def altered(original: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with a few changed, and a part cut out, repeated or gone."""
    data = np.frombuffer(original, np.uint8).copy()
    places = rng.integers(0, len(data), rng.integers(0, 8))
    data[places] = rng.integers(0, 256, len(places))
    start, length = int(rng.integers(0, len(data))), int(rng.integers(1, 200))
    whole = data.tobytes()
    forms = (whole, whole[:start] + whole[start + length :], whole[: start + length] + whole[start:], whole[: max(start, 1)])
    return forms[rng.integers(0, 4)] or b"x"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))  # an input that asks for more fails as a crash
    out = ROOT / "benchmarks" / "results"
    kinds = [*cases.CORPUS, *("image" for _ in cases.ENCODED), *("pickle" for _ in cases.PICKLES)]
    originals = [*cases.CORPUS.values(), *cases.ENCODED, *cases.PICKLES]
    outcomes: Counter[str] = Counter()
    failures, slowest = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for k in range(args.inputs):
            rng = np.random.default_rng([args.seed, k])
            which = k % len(originals)
            kind, data = kinds[which], altered(originals[which], rng)
            start = time.process_time()
            try:
                if kind == "image":
                    outcomes[type(decode("x", lambda data=data: data, 16)).__name__] += 1
                elif kind == "pickle":
                    restricted_loads(data, "x", "path")
                else:
                    path = Path(folder, kind)
                    path.write_bytes(data)
                    load_images(path, 16, skip_bad=True)
                    outcomes["set"] += 1
            except UserInputError:
                outcomes["refused"] += 1
            except Exception:
                failures.append({"input": k, "kind": kind, "error": traceback.format_exc(limit=-1).splitlines()[-1]})
                (out / f"fuzz-{args.seed}-{k}-{kind}").write_bytes(data)
            slowest = max(slowest, time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {"inputs": args.inputs, "seed": args.seed, "outcomes": dict(outcomes), "failures": failures}
    found |= {"slowest_seconds": round(slowest, 2), "peak_bytes": peak, "passed": not failures and slowest < SLOW and peak < MEMORY}
    (out / "fuzz_data.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    sys.exit(not found["passed"])


if __name__ == "__main__":
    main()
