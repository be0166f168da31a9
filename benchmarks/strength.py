"""How strong should guidance be, and does the label-free strength find it? Over draws of the references (docs/METHOD.md, "Strength").

    python benchmarks/strength.py [--parts draws gradient profile]

draws: for draws of 50, 100 and 400 references from the pool (seeds from 100 on; benchmarks/quality.py measures with others, and tunes rates
on 100), the nearest point t of `match_strength` with its spread, and the strength at which the same guided samples' shares come nearest to
even, by a line from strength 0 to 1.5. gradient: the multiple of the correction sigma^2 grad log r that explains unseen references best,
per noise level. profile: guidance with those multiples as a profile over the levels against one strength.
Needs the pool of `make bench-quality`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import quality
import torch

import tiw
from tiw.comparing.quality import fit_encoder, frechet_distance
from tiw.debiasing.strength import BEYOND, FEW
from tiw.model.correction import correction_at
from tiw.model.noise import to_x0
from tiw.ratio.density_ratio import DensityRatio
from tiw.ratio.features import RatioConfig

DRAWS = [(n, seed) for seed in range(100, 105) for n in (50, 100, 400)]
TRIAL = 1.5
LEVELS = (80.0, 40.0, 20.0, 12.0, 8.0, 5.0, 3.2, 1.3, 0.2)
PROFILE = np.array([0.7, 0.7, 0.7, 0.7, 0.7, 0.35, 0.5, 0.95])  # what `gradient` finds at the ratio's own levels, rounded


def ratio_for(setting: quality.Setting, n: int, seed: int) -> DensityRatio:
    folder = quality.WORK / "ratios" / f"demo-{n}-{seed}"
    if not (folder / "ratio.json").is_file():
        reference = quality.reference_of(setting, n, seed)
        tiw.fit_density_ratio(setting.biased, reference, setting.baseline, RatioConfig(seed=seed)).save(folder)
    return DensityRatio.load(folder, setting.baseline)


def draws(setting: quality.Setting) -> list[dict]:
    rows = []
    for n, seed in DRAWS:
        ratio = ratio_for(setting, n, seed)
        match = tiw.match_strength(setting.baseline, ratio, setting.biased, quality.reference_of(setting, n, seed), seed=seed)
        shares = []
        for strength in (0.0, TRIAL):
            parts = []
            for fold in range(ratio.n_folds):  # the very samples that were matched on
                seeds = range(seed + 1_000_000 + 48 * fold, seed + 1_000_000 + 48 * (fold + 1))
                parts.append(
                    tiw.sample(setting.baseline, seeds, guidance=ratio.of_fold(fold), strength=strength, steps=12, antithetic=True)
                )
            counts = setting.counts(np.concatenate(parts))
            shares.append(counts / counts.sum())
        way = (shares[1] - shares[0]) / TRIAL
        even = float((setting.target - shares[0]) @ way / (way @ way))
        t, low, high = (x / (BEYOND + FEW / n) for x in (match.strength, *match.interval))
        rows.append({"references": n, "seed": seed, "t": t, "t_interval": (low, high), "even": even, "even_over_t": even / t})
        print(rows[-1], flush=True)
    return rows


def gradient(setting: quality.Setting, count: int = 768) -> list[dict]:
    rows = []
    for n, seed in ((400, 100), (100, 100), (50, 100), (50, 101)):
        ratio = ratio_for(setting, n, seed)
        seen = set(map(bytes, quality.reference_of(setting, n, seed).images))
        unseen = [i for i in np.random.default_rng(3).permutation(len(setting.pool)) if bytes(setting.pool.images[i]) not in seen][:count]
        x0 = to_x0(setting.pool.images[unseen])
        for level in LEVELS:
            own = int(np.argmin(np.abs(np.log(ratio.sigmas / level))))
            noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
            found = []
            for clean, n_ in zip(x0.split(64), noise.split(64), strict=True):
                sigma = clean.new_full((len(clean),), level)
                xt, both = clean + level * n_, ratio.shared_pass()
                g = level**2 * correction_at(both.log_ratio, xt, sigma).gradient.flatten(1).float()
                missed = (clean - both.denoiser(xt, sigma).detach()).flatten(1).float()
                found.append(torch.stack([(missed * g).sum(1), (g * g).sum(1)], 1))
            products, squares = torch.cat(found).double().T.numpy()
            slope = ratio.about["calibration_slopes"][own]  # told in units of the uncalibrated discriminant
            times = products.sum() / squares.sum()
            error = (products - times * squares).std() * len(products) ** 0.5 / squares.sum()
            row = {"references": n, "seed": seed, "ridge": ratio.about["ridge"], "sigma": level}
            rows.append({**row, "times": times * slope, "standard_error": error * slope})
        print([(r["sigma"], round(r["times"], 2)) for r in rows[-len(LEVELS) :]], flush=True)
    return rows


def profile(setting: quality.Setting) -> list[dict]:
    encoder = fit_encoder(setting.heldout.images, "the held-out images")
    real, rows = encoder(setting.heldout.images), []
    level_up = np.array([TRIAL - 0.05] * 5 + [1.2, 1.0, 1.0])
    tried = [(400, 100, s) for s in ({"constant": 1.0}, {"constant": 1.45}, {"low": level_up}, {"profile": 1.6}, {"profile": 2.0})]
    tried += [(100, 103, s) for s in ({"constant": 2.6}, {"profile": 3.0})]
    for n, seed, wanted in tried:
        ratio = ratio_for(setting, n, seed)
        ((name, times),) = wanted.items()
        slopes = times * (PROFILE if name == "profile" else np.ones(8)) / np.array(ratio.about["calibration_slopes"])
        uneven = replace(ratio, head=ratio.head.calibrated(torch.tensor(slopes, dtype=torch.float32), torch.zeros(8)))
        images = tiw.sample(setting.baseline, range(41_000_000, 41_000_320), guidance=uneven, antithetic=True)
        shares = setting.counts(images) / len(images)
        row = {"references": n, "seed": seed, "kind": name, "times": np.max(times), "shares": shares.tolist(), "n": len(images)}
        row |= {"fairness_discrepancy": float(np.linalg.norm(shares - setting.target))}
        rows.append(row | {"frechet_distance": frechet_distance(encoder(images), real).value})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["draws", "gradient", "profile"])
    args = parser.parse_args()
    quality.prepare({"demo"})
    path = quality.RESULTS.parent / "strength.json"
    result = json.loads(path.read_text()) if path.is_file() else {}
    setting = quality.demo_setting()
    for part in args.parts:
        result[part] = {"draws": draws, "gradient": gradient, "profile": profile}[part](setting)
        path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
