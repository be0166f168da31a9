"""How often does an audit see a difference where there is none?

    python benchmarks/false_alarms.py [--draws 100] [--sizes 50 100 400]

References are drawn from the demo's biased set itself, from images that the audit does not have; every noise level of the default
settings is looked at, as a verdict does. `no_difference` is the share of audits whose verdict says so; `worst_level` the share in which
one level alone would have said otherwise, the most of the eight.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

import tiw
from tiw.intervals import wilson
from tiw.model.device import pick_device, pick_precision
from tiw.ratio.density_ratio import fit_to_features
from tiw.ratio.diagnostics import above_chance, auc_delong
from tiw.ratio.features import RatioConfig, RatioFeatures, features_at

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--sizes", type=int, nargs="+", default=(50, 100, 400))
    args = parser.parse_args()
    device, biased, config = pick_device(), tiw.load_demo().biased, RatioConfig(estimator="convex")
    baseline = tiw.Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline")
    baseline.prepare(device, pick_precision(device)).requires_grad_(False).eval()
    rows = np.sort(np.random.default_rng(0).permutation(len(biased))[:4000])
    features = features_at(baseline, biased.images[rows], rows, config.sigmas, 0)[:, 0]
    path, found = ROOT / "benchmarks" / "results" / "false_alarms.json", {}
    for n in args.sizes:
        alarms = []
        for draw in range(args.draws):
            order = np.random.default_rng([draw, n]).permutation(len(rows))
            own, reference = np.sort(order[:2000]), order[2000 : 2000 + n]
            data = RatioFeatures(rows[own], features[:, own], features[:, None, reference], len(biased))
            ratio = fit_to_features(data, baseline, replace(config, seed=draw))
            levels = zip(ratio.log_ratio_biased, ratio.log_ratio_reference, strict=True)
            alarms.append([above_chance(auc_delong(b, r)) for b, r in levels])
        seen = np.array(alarms)
        said = int(seen.any(1).sum())
        found[str(n)] = {
            "draws": args.draws,
            "false_alarms": said / args.draws,
            "interval": wilson(said, args.draws),
            "worst_level": float(seen.mean(0).max()),
        }
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(n, found[str(n)], flush=True)


if __name__ == "__main__":
    main()
