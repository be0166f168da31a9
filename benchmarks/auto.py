"""Are the values that nobody has to choose as good as the best fixed ones? On sets of benchmarks/sets.py, one value changed at a time.

    python benchmarks/auto.py faces

The draws of references are none of those that a default was chosen on. Steps, samples and counts are those of benchmarks/defaults.py; a
cell is one line of benchmarks/results/auto.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import defaults  # noqa: E402
import sets  # noqa: E402
from pages import as_table  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "auto.jsonl"
REFERENCES, DRAWS, BUDGET = 100, (3, 4), 300
FIXED = {
    "automatic": {},
    "rate 3e-4": {"learning_rate": 3e-4},
    "rate 1.2e-3": {"learning_rate": 1.2e-3},
    "strength 1": {"strength": 1.0},
    "strength 2": {"strength": 2.0},
    "noise levels of the checkpoint": {"sigma_scale": 1.0},
    "noise levels 9 times as high": {"sigma_scale": 9.0},
}


def table() -> str:
    """The committed results, as docs/RESULTS.md has them. Means over the draws."""
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    names = list(dict.fromkeys(row["cell"]["set"] for row in rows))
    out = [("", *names)]
    for method in FIXED:
        of = [[row for row in rows if row["cell"]["set"] == name and row["cell"]["method"] == method] for name in names]
        out.append((method, *map(defaults.means, of)))
    return as_table(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(sets.MAKERS))
    args = parser.parse_args()
    defaults.run(args.name, [REFERENCES], list(DRAWS), BUDGET, FIXED, RESULTS)


if __name__ == "__main__":
    main()
