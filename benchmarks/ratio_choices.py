"""What did each choice in the ratio buy? Information, calibration, normalisation and reweighted shares over reference sizes.

    python assets/build_demo.py --pool 4000 --out D   # references beyond the shipped 400, not part of the repository
    python benchmarks/ratio_choices.py --pool D/pool.parquet --cache D

References are drawn afresh for each seed from the pool (the demo's distribution of references), and the biased set's 2,000 from 4,000.
Everything is measured on images that no fit has seen: up to 2,000 others of the pool and the 2,000 other biased images, by the mean of the
folds. Means over the five levels below sigma 2, unless said. Columns:

- cross_entropy; information = (log 2 - CE) / (log 2 - CE of the exact ratio of the four subgroups); ece; mean_r, mean_inverse_r;
- nats_at_20: log 2 - cross-entropy at sigma 20, where shares are decided;
- out_of_fold: the information as the audit itself measures it, on the references it was given;
- discrepancy, discrepancy_at_strength: L2 distance of the reweighted shares of the subgroups from the truth, at sigma 0.2, as they are and
  at the strength that brings the mean features to the reference's (no label used); `strength` is that one;
- gap_closed (low, high): the moment check at sigma 0.2 with its interval;
- seconds of the fit.

Variants: the convex estimator as it is; not carried over the noise levels (nor are the variants measured before it was: uncalibrated;
ridge logistic regression instead of the discriminant; a fifth of the ridge, as a user would who wants a bolder ratio; only the
directions whose difference is significant, |z| > 2, of the 200); the network.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiw
from tiw.model.device import pick_device, pick_precision
from tiw.ratio import estimators
from tiw.ratio.components import principal_directions
from tiw.ratio.density_ratio import DensityRatio, fit_to_features
from tiw.ratio.diagnostics import diagnose, moment_check
from tiw.ratio.estimators import Fit, _calibrate, balanced_cross_entropy
from tiw.ratio.features import RatioConfig, RatioFeatures, features_at
from tiw.ratio.heads import ConvexHead

ROOT = Path(__file__).parents[1]
SIZES, SEEDS = (50, 100, 200, 400, 1000, 2000), 3
NETWORK_SIZES = (200, 1000, 2000)  # minutes each
BIASED, DRAWS = 4000, 2
LOW, SHOWN = 5, 2  # levels below sigma 2; the level at sigma 0.2


def truth_cross_entropy(shares: dict) -> float:
    """Of the exact ratio of the subgroups: E under both sets is a sum over the subgroups."""
    groups = list(shares["biased"])
    b, r = (np.array([shares[name][g] for g in groups]) for name in ("biased", "reference"))
    log_r = np.log(r / b)
    return float((b @ np.logaddexp(0, log_r) + r @ np.logaddexp(0, -log_r)) / 2)


def components(biased: torch.Tensor, reference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and map [F, 200] of standardised features to principal components, of one level."""
    both = torch.cat([biased, reference[0]])
    mean, std = both.mean(0), both.std(0).clamp_min(1e-6)
    return mean, principal_directions((both - mean) / std, 200, 0) / std[:, None]


def from_weights(data: RatioFeatures, weights: list, biases: list, fold_b: np.ndarray, fold_r: np.ndarray, about: dict) -> Fit:
    head = ConvexHead(torch.stack(weights).float(), torch.tensor(biases).float())
    logits = [(x @ head.weights.transpose(1, 2) + head.biases[:, None]).numpy() for x in (data.biased, data.reference[:, 0])]
    return _calibrate(Fit("convex", head, *logits, fold_b, fold_r, about))


def logistic(data: RatioFeatures, fold_b: np.ndarray, fold_r: np.ndarray, config: RatioConfig) -> Fit:
    """Ridge logistic regression on principal components, the penalty chosen out of fold."""
    penalties = (3e-5, 1e-4, 3e-4, 1e-3)
    weights, biases = ([[] for _ in penalties] for _ in range(2))
    for biased, reference in zip(data.biased, data.reference, strict=True):
        mean, basis = components(biased, reference)
        rows = torch.cat([biased, reference.flatten(0, 1)])
        q = ((rows - mean) @ basis).double().numpy()
        label, fold = np.repeat([0, 1], [len(biased), len(rows) - len(biased)]), np.r_[fold_b, np.tile(fold_r, len(reference))]
        heavy = np.where(label == 1, 0.5 / label.sum(), 0.5 / len(biased)) * (len(biased) + len(fold_r))
        for place, c in enumerate(penalties):
            own = [LogisticRegression(C=c, solver="newton-cholesky", max_iter=20) for _ in range(config.folds)]
            for k, model in enumerate(own):
                model.fit(q[fold != k], label[fold != k], sample_weight=heavy[fold != k])
            w = torch.stack([basis @ torch.from_numpy(model.coef_[0]).float() for model in own])
            weights[place].append(w)
            biases[place].append([float(model.intercept_[0]) - float(v @ mean) for model, v in zip(own, w, strict=True)])
    fits = [from_weights(data, w, b, fold_b, fold_r, {"inverse_penalty": c}) for w, b, c in zip(weights, biases, penalties, strict=True)]
    return min(fits, key=lambda f: f.cross_entropy)


def significant(data: RatioFeatures, fold_b: np.ndarray, fold_r: np.ndarray, config: RatioConfig) -> Fit:
    """The discriminant on whitened components, of those alone whose means differ by more than two standard errors."""
    weights, biases = [], []
    for biased, reference in zip(data.biased, data.reference, strict=True):
        mean, basis = components(biased, reference)
        b, r = (biased - mean) @ basis, (reference.mean(0) - mean) @ basis
        spread = b.std(0)
        w, c = [], []
        for k in range(config.folds):
            own_b, own_r = b[torch.from_numpy(fold_b != k)].mean(0), r[torch.from_numpy(fold_r != k)]
            difference = own_r.mean(0) - own_b
            kept = difference.abs() > 2 * (own_r.var(0) / len(own_r) + spread**2 / len(b)).sqrt()
            v = difference * kept / spread**2
            w.append(basis @ v)
            c.append(-float(v @ (own_r.mean(0) + own_b)) / 2 - float(w[-1] @ mean))
        weights.append(torch.stack(w))
        biases.append(c)
    return from_weights(data, weights, biases, fold_b, fold_r, {})


def of_no_use(found: Fit, levels: list, config: RatioConfig) -> list:
    """In place of the carried means: those of the biased set, whose ratio is 1 everywhere."""
    return [level.biased.mean(0).expand(config.folds, -1) for level in levels]


VARIANTS = {
    "convex": ({}, {}),
    "not carried": ({}, {"_carried": of_no_use, "_clearly_better": lambda one, other: True}),
    "uncalibrated": ({}, {"_calibrate": lambda found: found}),
    "a fifth of the ridge": ({"ridges": (3e-3,)}, {}),
    "significant directions": ({}, {"fit_convex": significant}),
    "logistic regression": ({}, {"fit_convex": logistic}),
    "network": ({"estimator": "network"}, {}),
}


def matched_strength(ratio: DensityRatio, data: RatioFeatures) -> float:
    """The strength at which the reweighted biased images' mean features, in whitened components, come nearest to the references'."""
    q = (data.biased[SHOWN] @ ratio.gap_map).numpy()
    start, end = q.mean(0), ratio.gap_reference.numpy().mean(0)

    def gap(strength: float) -> float:
        w = np.exp(strength * ratio.log_ratio_biased[SHOWN])
        return float((w @ q / w.sum() - start) @ (end - start) / ((end - start) @ (end - start) - len(start) / len(ratio.gap_reference)))

    return float(min(np.linspace(0.5, 3, 51), key=lambda s: abs(gap(s) - 1)))


def discrepancy(weights: np.ndarray, labels: np.ndarray, truth: dict) -> float:
    """L2 distance of the reweighted shares of the subgroups from the truth."""
    return float(np.linalg.norm([weights[labels == g].sum() / weights.sum() - share for g, share in truth.items()]))


def measure(ratio: DensityRatio, data: RatioFeatures, unseen: RatioFeatures, labels: np.ndarray, shares: dict, best: float) -> dict:
    """On `unseen` images, but for the strength and the moment check, which an audit takes from its own."""

    def logits(x: torch.Tensor) -> list[np.ndarray]:
        return [ratio.from_features(own, torch.full((len(own),), float(s))).numpy() for own, s in zip(x, ratio.sigmas, strict=True)]

    pairs = list(zip(logits(unseen.biased), logits(unseen.reference[:, 0]), strict=True))
    at = [diagnose(s, b, r, 0.0) for s, (b, r) in zip(ratio.sigmas[:LOW], pairs, strict=False)]

    def information(cross_entropy: float) -> float:
        return (np.log(2) - cross_entropy) / (np.log(2) - best)

    held_out = list(zip(ratio.log_ratio_biased, ratio.log_ratio_reference, strict=True))[:LOW]
    strength = matched_strength(ratio, data)
    folds = ratio.folds.numpy()
    check = moment_check(
        (data.biased[SHOWN] @ ratio.gap_map).numpy(),
        ratio.gap_reference.numpy(),
        ratio.log_ratio_biased[SHOWN],
        folds[data.scored],
        folds[data.n_biased :],
    )
    moments = (
        {} if check is None else {"gap_closed": check.value, "gap_closed_low": check.interval[0], "gap_closed_high": check.interval[1]}
    )
    ce = float(np.mean([d.cross_entropy for d in at]))
    return {
        "nats_at_20": float(np.log(2)) - balanced_cross_entropy(*pairs[-1]),
        "cross_entropy": ce,
        "information": information(ce),
        "out_of_fold": information(float(np.mean([balanced_cross_entropy(*s) for s in held_out]))),
        "ece": float(np.mean([d.ece for d in at])),
        "mean_r": float(np.mean([d.mean_r.value for d in at])),
        "mean_inverse_r": float(np.mean([d.mean_inverse_r.value for d in at])),
        "discrepancy": discrepancy(np.exp(pairs[SHOWN][0]), labels, shares["reference"]),
        "discrepancy_at_strength": discrepancy(np.exp(strength * pairs[SHOWN][0]), labels, shares["reference"]),
        "strength": strength,
        **moments,
    }


def encoded(cache: Path | None, name: str, make) -> torch.Tensor:
    """Features, kept in the cache folder in half precision."""
    path = cache / f"{name}.pt" if cache else None
    if path is None or not path.is_file():
        found = make().half()
        if path is None:
            return found
        torch.save(found, path)
    return torch.load(path, mmap=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", required=True, help="parquet of more references, by assets/build_demo.py --pool")
    parser.add_argument("--cache", type=Path, help="folder for the features")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    args = parser.parse_args()
    device, demo = pick_device(), tiw.load_demo()
    baseline = tiw.Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline")
    baseline.prepare(device, pick_precision(device)).requires_grad_(False).eval()
    pool, config = tiw.load_images(args.pool), RatioConfig()
    labels = demo.biased.attributes.agg("-".join, axis=1).to_numpy()
    best = truth_cross_entropy(demo.truth["shares"])
    rows_of = 8000 + np.arange(len(pool))
    of_pool = encoded(args.cache, "pool", lambda: features_at(baseline, pool.images, rows_of, config.sigmas, 0, draws=DRAWS))
    some = np.arange(BIASED)
    of_biased = encoded(args.cache, "biased", lambda: features_at(baseline, demo.biased.images[:BIASED], some, config.sigmas, 0)[:, 0])
    path = ROOT / "benchmarks" / "results" / "ratio_choices.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []  # what is there is not fitted again
    done = {(row["seed"], row["references"], row["variant"]) for row in rows}
    for seed, n, name in ((s, n, v) for s in range(args.seeds) for n in args.sizes for v in args.variants):
        if (seed, n, name) in done or (name == "network" and n not in NETWORK_SIZES):
            continue
        rng = np.random.default_rng([seed, 9])
        order, drawn = rng.permutation(BIASED), rng.permutation(len(pool))
        scored, others, unseen = np.sort(order[:2000]), np.sort(order[2000:]), drawn[-2000:]
        data = RatioFeatures(scored, of_biased[:, scored].float(), of_pool[:, :, drawn[:n]].float(), len(demo.biased))
        fresh = RatioFeatures(others, of_biased[:, others].float(), of_pool[:, :1, unseen].float(), len(demo.biased))
        options, patched = VARIANTS[name]
        began = time.perf_counter()
        with mock.patch.multiple(estimators, **patched) if patched else mock.MagicMock():
            ratio = fit_to_features(data, baseline, replace(config, seed=seed, **({"estimator": "convex"} | options)))
        seconds = time.perf_counter() - began
        found = measure(ratio, data, fresh, labels[others], demo.truth["shares"], best)
        rows.append({"seed": seed, "references": n, "variant": name, "seconds": seconds, "about": ratio.about, **found})
        print(f"{seed} {n:5d} {name:24s} {found}", file=sys.stderr, flush=True)
        write(path, rows, best)


def write(path: Path, rows: list[dict], best: float) -> None:
    table: dict[str, dict] = {}
    for name, n in sorted({(row["variant"], row["references"]) for row in rows}):
        cells = [row for row in rows if (row["variant"], row["references"]) == (name, n)]
        numbers = [key for key, value in cells[0].items() if isinstance(value, float)]
        values = {key: [c[key] for c in cells if key in c] for key in numbers}
        table[f"{name}, {n}"] = {"seeds": len(cells)} | {key: [float(np.mean(v)), float(np.std(v))] for key, v in values.items()}
    about = {"truth_cross_entropy": best, "columns": "mean and standard deviation over the seeds", "table": table}
    path.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
