"""How often do the intervals of corrected shares, and of differences, hold the truth? Monte Carlo over the whole range of use.

python benchmarks/interval_coverage.py [--repeats 600]  (half an hour on one core; goes on with the cells that are missing in the results)

The mean over several values needs fewer repeats: those of four values have half as many, of eight a quarter. They also take 1,000 draws
of the shares instead of the usual 2,000.

Writes benchmarks/results/coverage.json: per cell the share of 95 % intervals that hold the truth (mean, least and most over the values), of
simultaneous intervals that hold all values, the bias of the corrected and of the raw shares, the same of differences between two models,
and how many repeats were refused. The cells of OUTSIDE lie beyond what is promised.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from pages import as_table  # noqa: E402

from tiw import UserInputError, corrected_shares, share_difference  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "coverage.json"
LABELS = 200  # of each value
ACCURACIES = (0.7, 0.8, 0.9, 0.99)
SAMPLES = (100, 1000, 5000)
OUTSIDE = {  # what is not promised: (values, accuracy, accuracy on samples, labels of each value, samples, shares)
    "20 labels of each value": (4, 0.9, 0.9, 20, 1000, [0.05, 0.15, 0.3, 0.5]),
    "20 labels of each value, accuracy 0.7": (2, 0.7, 0.7, 20, 1000, [0.3, 0.7]),
    "accuracy 0.6 of four values": (4, 0.6, 0.6, 200, 1000, [0.05, 0.15, 0.3, 0.5]),
    "accuracy 0.6 of eight values": (8, 0.6, 0.6, 200, 1000, [0.125] * 8),
    "a share of 1 %": (2, 0.9, 0.9, 200, 1000, [0.01, 0.99]),
    "right on 0.9 of the labelled images and on 0.8 of the samples": (2, 0.9, 0.8, 200, 1000, [0.3, 0.7]),
}
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


def cell(k: int, accuracy: float, n: int, truth: list[float], repeats: int, labels: int = LABELS, on_samples: float | None = None) -> dict:
    """One setting; `on_samples`: the accuracy on generated images, where it is another one than on the labelled ones."""
    matrix, p = confusion_matrix(k, accuracy), np.array(truth)
    painted = matrix if on_samples is None else confusion_matrix(k, on_samples)
    moved = 0.5 * p + 0.5 / k  # the second model: half the way to even shares
    rng = np.random.default_rng([k, round(100 * accuracy), n, round(1000 * p[0])])
    inside, inside_difference, together, found, differences, refused = [], [], [], [], [], 0
    for seed in range(repeats):
        counts = np.stack([rng.multinomial(labels, column) for column in matrix.T], 1)
        a, b = rng.multinomial(n, painted @ p), rng.multinomial(n, painted @ moved)
        try:
            draws = 2000 if k == 2 else 1000
            one, two = corrected_shares(a, counts, draws, seed), share_difference(a, b, counts, draws, seed)
        except UserInputError:
            refused += 1
            continue
        inside.append((one.intervals[:, 0] <= p) & (p <= one.intervals[:, 1]))
        together.append(((one.simultaneous[:, 0] <= p) & (p <= one.simultaneous[:, 1])).all())
        inside_difference.append((two.intervals[:, 0] <= moved - p) & (moved - p <= two.intervals[:, 1]))
        found.append(one.shares)
        differences.append(two.shares)
    about = {"values": k, "accuracy": accuracy, "n": n, "shares": truth, "repeats": repeats, "refused": refused}
    if not inside:
        return about
    covered, difference = np.mean(inside, 0), np.mean(inside_difference, 0)
    return {
        **about,
        "coverage": {"mean": float(covered.mean()), "least": float(covered.min()), "most": float(covered.max())},
        "coverage_of_difference": {"mean": float(difference.mean()), "least": float(difference.min()), "most": float(difference.max())},
        "simultaneous": float(np.mean(together)),
        **_bias("bias", found, p, (painted - np.eye(k)) @ p),
        **_bias("bias_of_difference", differences, moved - p, (painted - np.eye(k)) @ (moved - p)),
    }


def _bias(name: str, found: list[np.ndarray], truth: np.ndarray, raw: np.ndarray) -> dict:
    """Bias of corrected numbers [K] for the value whose raw bias is largest, with its Monte Carlo error; the raw one is known exactly."""
    worst = int(np.abs(raw).argmax())
    of_worst = np.array(found)[:, worst] - truth[worst]
    error = of_worst.std(ddof=1) / np.sqrt(len(of_worst))
    return {name: float(of_worst.mean()), f"{name}_error": float(error), f"{name}_raw": float(raw[worst])}


def read() -> dict:
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"cells": [], "outside": {}}


def table() -> str:
    """The committed result, as docs/RESULTS.md has it: what the intervals held, by number of values and accuracy, over all sizes and
    shares."""
    rows = [("values", "accuracy", "cells", "shares", "differences", "all values at once", "bias left, shares", "differences")]
    for k, accuracy in product(SHARES, ACCURACIES):
        own = [row for row in read()["cells"] if (row["values"], row["accuracy"]) == (k, accuracy)]
        held = [_held([row[name]["mean"] for row in own]) for name in ("coverage", "coverage_of_difference")]
        held += [_held([row["simultaneous"] for row in own]), _left(own), _left(own, "bias_of_difference")]
        rows.append((str(k), f"{accuracy:g}", str(len(own)), *held))
    return as_table(rows)


def table_outside() -> str:
    """The same of the settings of OUTSIDE."""
    rows = [("outside", "refused", "shares held", "differences held", "bias, corrected", "raw")]
    for name, row in read()["outside"].items():
        cells = ["", "", "", ""]
        if "coverage" in row:
            cells = [f"{100 * row[key]['mean']:.1f} %" for key in ("coverage", "coverage_of_difference")]
            cells += [f"{100 * row['bias']:+.1f}", f"{100 * row['bias_raw']:+.1f}"]
        rows.append((name, f"{100 * row['refused'] / row['repeats']:.0f} %", *cells))
    return as_table(rows)


def _held(values: list[float]) -> str:
    return f"{100 * mean(values):.1f} % ({100 * min(values):.1f} to {100 * max(values):.1f})"


def _left(rows: list[dict], name: str = "bias") -> str:
    """Bias that is left of the raw one, over the cells, and the least that the worst cell has behind its Monte Carlo error; even shares
    have none to take out."""
    biased = [row for row in rows if abs(row[f"{name}_raw"]) > 0.01]
    if not biased:
        return ""
    whole = sum(abs(row[name]) for row in biased) / sum(abs(row[f"{name}_raw"]) for row in biased)
    least = [(abs(row[name]) - 2 * row[f"{name}_error"]) / abs(row[f"{name}_raw"]) for row in biased]
    return f"{100 * whole:.0f} % ({100 * max(0.0, *least):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=600)
    args = parser.parse_args()
    found = read()
    known = {(r["values"], r["accuracy"], r["n"], tuple(r["shares"])) for r in found["cells"]}

    def keep() -> None:
        error = np.sqrt(0.95 * 0.05 / args.repeats)  # of a cell of two values; a mean over more of them has about the same
        RESULTS.write_text(json.dumps({"labels_a_value": LABELS, "monte_carlo_error": error, **found}, indent=1) + "\n")

    for k, accuracy, n in product(SHARES, ACCURACIES, SAMPLES):
        for truth in SHARES[k]:
            if (k, accuracy, n, tuple(truth)) in known:
                continue
            row = cell(k, accuracy, n, truth, 2 * args.repeats // k)
            found["cells"].append(row)
            print({name: row[name] for name in ("values", "accuracy", "n", "shares")}, row["coverage"], flush=True)
            keep()
    for name, (k, accuracy, on_samples, labels, n, truth) in OUTSIDE.items():
        if name not in found["outside"]:
            found["outside"][name] = cell(k, accuracy, n, truth, args.repeats, labels, on_samples)
            print(name, found["outside"][name], flush=True)
            keep()


if __name__ == "__main__":
    main()
