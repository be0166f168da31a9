"""How often do the intervals of corrected shares, and of differences, hold the truth? Monte Carlo over the whole range of use.

python benchmarks/interval_coverage.py [--repeats 600]  (goes on with the cells that are missing in the results)

Writes benchmarks/results/coverage.json: per cell the share of 95 % intervals that hold the truth (mean and least over the values), of
simultaneous intervals that hold all values, the bias of the corrected and of the raw shares, and how many repeats were refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import product
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tiw import UserInputError, corrected_shares, share_difference  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "coverage.json"
LABELS = 200  # of each value
ACCURACIES = (0.7, 0.8, 0.9, 0.99)
SAMPLES = (100, 1000, 5000)
SHARES = {
    2: ([0.05, 0.95], [0.1, 0.9], [0.3, 0.7], [0.5, 0.5]),
    4: ([0.25] * 4, [0.05, 0.15, 0.3, 0.5], [0.85, 0.05, 0.05, 0.05]),
    8: ([0.125] * 8, [0.05, 0.05, 0.1, 0.1, 0.1, 0.15, 0.2, 0.25], [0.05] * 7 + [0.65]),
}


def confusion_matrix(k: int, accuracy: float) -> np.ndarray:
    """Errors fall on the next values, the nearer the more often, as confusable values do: [K, K], columns sum to 1."""
    matrix = np.eye(k) * accuracy
    heavy = np.array([0.5, 0.3, 0.2][: k - 1])
    for true in range(k):
        for step, share in enumerate(heavy / heavy.sum(), 1):
            matrix[(true + step) % k, true] += (1 - accuracy) * share
    return matrix


def cell(k: int, accuracy: float, n: int, truth: list[float], repeats: int) -> dict:
    matrix, p = confusion_matrix(k, accuracy), np.array(truth)
    moved = 0.5 * p + 0.5 / k  # the second model: half the way to even shares
    rng = np.random.default_rng([k, round(100 * accuracy), n, round(1000 * p[0])])
    inside, inside_difference, together, found, raw, refused = [], [], [], [], [], 0
    for seed in range(repeats):
        counts = np.stack([rng.multinomial(LABELS, column) for column in matrix.T], 1)
        a, b = rng.multinomial(n, matrix @ p), rng.multinomial(n, matrix @ moved)
        try:
            one, two = corrected_shares(a, counts, seed=seed), share_difference(a, b, counts, seed=seed)
        except UserInputError:
            refused += 1
            continue
        inside.append((one.intervals[:, 0] <= p) & (p <= one.intervals[:, 1]))
        together.append(((one.simultaneous[:, 0] <= p) & (p <= one.simultaneous[:, 1])).all())
        inside_difference.append((two.intervals[:, 0] <= moved - p) & (moved - p <= two.intervals[:, 1]))
        found.append(one.shares)
        raw.append(a / n)
    covered, difference = np.mean(inside, 0), np.mean(inside_difference, 0)
    return {
        **{"values": k, "accuracy": accuracy, "n": n, "shares": truth, "repeats": repeats, "refused": refused},
        "coverage": {"mean": float(covered.mean()), "least": float(covered.min()), "most": float(covered.max())},
        "coverage_of_difference": {"mean": float(difference.mean()), "least": float(difference.min()), "most": float(difference.max())},
        "simultaneous": float(np.mean(together)),
        "bias": float(np.abs(np.mean(found, 0) - p).sum()),
        "raw_bias": float(np.abs(np.mean(raw, 0) - p).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=600)
    args = parser.parse_args()
    rows = json.loads(RESULTS.read_text())["cells"] if RESULTS.is_file() else []
    known = {(r["values"], r["accuracy"], r["n"], tuple(r["shares"])) for r in rows}
    for k, accuracy, n in product(SHARES, ACCURACIES, SAMPLES):
        for truth in SHARES[k]:
            if (k, accuracy, n, tuple(truth)) in known:
                continue
            rows.append(cell(k, accuracy, n, truth, args.repeats))
            print({name: rows[-1][name] for name in ("values", "accuracy", "n", "shares")}, rows[-1]["coverage"], flush=True)
            error = np.sqrt(0.95 * 0.05 / args.repeats)
            RESULTS.write_text(json.dumps({"labels_a_value": LABELS, "monte_carlo_error": error, "cells": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
