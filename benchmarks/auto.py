"""Are the values that nobody has to choose as good as the best fixed ones? On sets of benchmarks/sets.py, one value changed at a time.

    python benchmarks/auto.py faces

The draws of references are none of those that a default was chosen on. Steps, samples and counts are those of benchmarks/defaults.py; a
cell is one line of benchmarks/results/auto.jsonl.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import defaults  # noqa: E402
import sets  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "auto.jsonl"
REFERENCES, DRAWS, BUDGET = 100, (3, 4), 300
FIXED = {
    "automatic": {},
    "rate 3e-4": {"learning_rate": 3e-4},
    "rate 1.2e-3": {"learning_rate": 1.2e-3},
    "strength 1": {"strength": 1.0},
    "strength 2": {"strength": 2.0},
    "levels 1 times": {"sigma_scale": 1.0},
    "levels 9 times": {"sigma_scale": 9.0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(sets.MAKERS))
    args = parser.parse_args()
    defaults.run(args.name, [REFERENCES], list(DRAWS), BUDGET, FIXED, RESULTS)


if __name__ == "__main__":
    main()
