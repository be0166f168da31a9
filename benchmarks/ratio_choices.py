"""What did each choice in the ratio buy? Held-out cross-entropy, calibration, normalisation and reweighted shares over reference sizes.

    python assets/build_demo.py --pool 4000 --out D   # references beyond the shipped 400, not part of the repository
    python benchmarks/ratio_choices.py --pool D/pool.parquet

References of 50 to 2,000 images are drawn afresh for each seed from the pool (the demo's distribution of references), the biased set's
2,000 too. Variants: the convex estimator as it is, with 50 components, with one noise draw; the network. For each: held-out cross-entropy
below sigma 2 and the share of the information it holds, (log 2 - CE) / (log 2 - CE of the exact ratio of the four
subgroups); expected calibration error; means of r and 1/r; and the L2 distance of the reweighted shares from the truth, as they are and
with weights at the strength that brings the mean features to the reference's (no label used).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiw
from tiw.device import pick_device, pick_precision
from tiw.diagnostics import diagnose
from tiw.estimators import balanced_cross_entropy
from tiw.features import RatioConfig, RatioFeatures, features_at
from tiw.ratio import DensityRatio, fit_to_features

ROOT = Path(__file__).parents[1]
SIZES, SEEDS = (50, 100, 200, 400, 1000, 2000), 3
LOW = 5  # levels below sigma 2
VARIANTS = {
    "convex": {"estimator": "convex"},
    "convex, 50 components": {"estimator": "convex", "components": 50},
    "convex, one noise draw": {"estimator": "convex"},
    "network": {"estimator": "network"},
}


def truth_cross_entropy(labels: np.ndarray, shares: dict) -> float:
    """Of the exact ratio of the subgroups, by the biased set's own labels: E under both sets is a sum over the subgroups."""
    groups = list(shares["biased"])
    b, r = (np.array([shares[name][g] for g in groups]) for name in ("biased", "reference"))
    log_r = np.log(r / b)
    return float((b @ np.logaddexp(0, log_r) + r @ np.logaddexp(0, -log_r)) / 2)


def matched_strength(ratio: DensityRatio, data: RatioFeatures) -> float:
    """The strength at which the reweighted biased images' mean features, in whitened components, come nearest to the references'."""
    level = 2
    q = (data.biased[level] @ ratio.gap_map).numpy()
    start, end = q.mean(0), ratio.gap_reference.numpy().mean(0)

    def gap(strength: float) -> float:
        w = np.exp(strength * ratio.log_ratio_biased[level])
        return float((w @ q / w.sum() - start) @ (end - start) / ((end - start) @ (end - start) - len(start) / len(ratio.gap_reference)))

    return float(min(np.linspace(0.5, 3, 51), key=lambda s: abs(gap(s) - 1)))


def discrepancy(weights: np.ndarray, labels: np.ndarray, truth: dict) -> float:
    """L2 distance of the reweighted shares of the subgroups from the truth."""
    return float(np.linalg.norm([weights[labels == g].sum() / weights.sum() - share for g, share in truth.items()]))


def measure(ratio: DensityRatio, data: RatioFeatures, labels: np.ndarray, shares: dict, best: float) -> dict:
    scores = list(zip(ratio.log_ratio_biased, ratio.log_ratio_reference, strict=True))
    ce = float(np.mean([balanced_cross_entropy(*s) for s in scores[:LOW]]))
    at = diagnose(ratio.sigmas[2], *scores[2], ratio.train_cross_entropy[2])
    strength = matched_strength(ratio, data)
    weights = [np.exp(s * ratio.log_ratio_biased[2]) for s in (1.0, strength)]
    before, after = (discrepancy(w, labels, shares["reference"]) for w in weights)
    return {
        "cross_entropy": ce,
        "information": (np.log(2) - ce) / (np.log(2) - best),
        "ece": at.ece,
        "mean_r": at.mean_r.value,
        "mean_inverse_r": at.mean_inverse_r.value,
        "discrepancy_reweighted": before,
        "discrepancy_reweighted_at_strength": after,
        "strength": strength,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", required=True, help="parquet of more references, by assets/build_demo.py --pool")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    args = parser.parse_args()
    device, demo = pick_device(), tiw.load_demo()
    baseline = tiw.Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline")
    baseline.prepare(device, pick_precision(device)).requires_grad_(False).eval()
    pool, config = tiw.load_images(args.pool), RatioConfig()
    labels = demo.biased.attributes.agg("-".join, axis=1).to_numpy()
    best = truth_cross_entropy(labels, demo.truth["shares"])
    of_pool = features_at(baseline, pool.images, 8000 + np.arange(len(pool)), config.sigmas, 0, draws=config.reference_draws)
    rows = []
    for seed in range(args.seeds):
        rng = np.random.default_rng([seed, 9])
        scored = np.sort(rng.permutation(len(demo.biased))[:2000])
        of_biased = features_at(baseline, demo.biased.images[scored], scored, config.sigmas, seed)[:, 0]
        order = rng.permutation(len(pool))
        for n in args.sizes:
            data = RatioFeatures(scored, of_biased, of_pool[:, :, order[:n]], len(demo.biased))
            for name, options in VARIANTS.items():
                given = replace(data, reference=data.reference[:, :1]) if "one noise" in name else data
                ratio = fit_to_features(given, baseline, replace(config, seed=seed, **options))
                found = measure(ratio, data, labels[scored], demo.truth["shares"], best)
                rows.append({"seed": seed, "references": n, "variant": name, "about": ratio.about, **found})
                print(f"{seed} {n:5d} {name:24s} {found}", file=sys.stderr, flush=True)
    table = {}
    for name in VARIANTS:
        for n in args.sizes:
            cells = [row for row in rows if row["variant"] == name and row["references"] == n]
            numbers = [key for key, value in cells[0].items() if isinstance(value, float)]
            table[f"{name}, {n}"] = {
                key: [float(np.mean([c[key] for c in cells])), float(np.std([c[key] for c in cells]))] for key in numbers
            }
    about = {"seeds": args.seeds, "truth_cross_entropy": best, "columns": "mean and standard deviation over the seeds", "table": table}
    path = ROOT / "benchmarks" / "results" / "ratio_choices.json"
    path.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    for name, cells in table.items():
        print(name, {key: round(value[0], 4) for key, value in cells.items()})


if __name__ == "__main__":
    main()
