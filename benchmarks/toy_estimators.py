"""Cross-fitted and calibrated, or one discriminator trained to the end? Errors of log r and of its gradient on toys with known truth.

    python benchmarks/toy_estimators.py

Mixtures: `tiw.toys.two_modes` (2-D) and `tiw.toys.joint_skew` (64-d); 2,000 biased points and 100, 500 or 2,000 reference points, three
seeds. Ours reads the exact denoiser of the biased mixture, D(xt), beside the scaled xt, as on images it reads a denoiser's features; folds,
early stopping, calibration and the choice of estimator are the library's own. The rival is the discriminator of benchmarks/toy_ratio.py:
a network on xt, trained on all points for a fixed number of steps. `same_features` is that network on our features, to tell what the
features bought from what the fitting bought. Errors are squared, means over 4,000 points of q = (p_bias + p_ref) / 2 and over 12 log-spaced
levels from 0.05 to 15; the gradient's is that of sigma * grad log r, which has no unit. Given as shares of the rival's.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import toy_ratio

from tiw.model.correction import correction_at
from tiw.ratio.density_ratio import fit_to_features
from tiw.ratio.features import RatioConfig, RatioFeatures
from tiw.toys import GaussianMixture, MixturePair, joint_skew, two_modes

LEVELS = torch.logspace(np.log10(0.05), np.log10(15), 12).tolist()
N_BIASED, SIZES, SEEDS, N_TEST = 2000, (100, 500, 2000), 3, 4000


class Encoder:
    """Features of points: what the exact denoiser of the biased mixture makes of them, and the points themselves."""

    device = torch.device("cpu")

    def __init__(self, mixture: GaussianMixture):
        self.mixture = mixture

    def features(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """xt [B, D], sigma [B] -> [B, 2 D]."""
        return torch.cat([xt * (sigma**2 + 4).rsqrt()[:, None], self.mixture.denoised(xt, sigma)], 1)


class Discriminator(torch.nn.Module):
    """The rival of benchmarks/toy_ratio.py, for any number of inputs."""

    def __init__(self, width: int, encode=None):
        super().__init__()
        self.encode = encode
        self.net = torch.nn.Sequential(
            torch.nn.Linear(width + 2, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU(), torch.nn.Linear(64, 1)
        )

    def forward(self, xt: Tensor, sigma: Tensor) -> Tensor:
        scale = (sigma**2 + 4).rsqrt()[:, None]
        x = xt * scale if self.encode is None else self.encode(xt, sigma)
        return self.net(torch.cat([x, sigma.log()[:, None] / 3, scale], 1))[:, 0]


def train(biased: Tensor, reference: Tensor, seed: int, encode=None) -> Discriminator:
    """As in benchmarks/toy_ratio.py: a fixed number of steps on all points."""
    torch.manual_seed(seed)
    width = biased.shape[1] if encode is None else encode(biased[:1], torch.ones(1)).shape[1]
    model = Discriminator(width, encode)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, toy_ratio.STEPS)
    label = torch.cat([torch.zeros(toy_ratio.BATCH), torch.ones(toy_ratio.BATCH)])
    for _ in range(toy_ratio.STEPS):
        x0 = torch.cat([s[torch.randint(len(s), (toy_ratio.BATCH,))] for s in (biased, reference)])
        sigma = LEVELS[0] * (LEVELS[-1] / LEVELS[0]) ** torch.rand(len(x0))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x0 + sigma[:, None] * torch.randn_like(x0), sigma), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


def fit(biased: Tensor, reference: Tensor, encoder: Encoder, config: RatioConfig):
    """The library's fit, on points instead of images."""
    generator = torch.Generator().manual_seed(config.seed)

    def encoded(x0: Tensor, draws: int) -> Tensor:
        noisy = [
            torch.stack(
                [encoder.features(x0 + s * torch.randn(x0.shape, generator=generator), torch.full((len(x0),), s)) for _ in range(draws)]
            )
            for s in config.sigmas
        ]
        return torch.stack(noisy)  # [L, draws, n, F]

    data = RatioFeatures(np.arange(len(biased)), encoded(biased, 1)[:, 0], encoded(reference, config.reference_draws), len(biased))
    return fit_to_features(data, encoder, config)


def errors(log_ratio, pair: MixturePair, seed: int) -> tuple[float, float]:
    """Mean squared error of log r, and of sigma * grad log r."""
    generator = torch.Generator().manual_seed(1000 + seed)
    x0 = torch.cat([pair.biased.sample(N_TEST // 2, generator), pair.reference.sample(N_TEST // 2, generator)])
    found = []
    for s in LEVELS:
        xt, sigma = x0 + s * torch.randn(x0.shape, generator=generator), torch.full((len(x0),), s)
        fitted = correction_at(log_ratio, xt, sigma)
        true = correction_at(pair.log_ratio, xt, sigma)
        of_value = (fitted.log_r - true.log_r).square().mean()
        of_gradient = (s * (fitted.gradient - true.gradient)).square().sum(1).mean()
        found.append([float(of_value), float(of_gradient)])
    return tuple(np.mean(found, axis=0).tolist())


def main(sizes: tuple[int, ...] = SIZES, seeds: int = SEEDS) -> dict:
    results = {}
    for toy in (two_modes, joint_skew):
        pair = toy(torch.float32)
        for n in sizes:
            rows = []
            for seed in range(seeds):
                generator = torch.Generator().manual_seed(seed)
                biased, reference = pair.biased.sample(N_BIASED, generator), pair.reference.sample(n, generator)
                encoder = Encoder(pair.biased)
                config = RatioConfig(sigmas=tuple(np.geomspace(0.05, 15, 10)), seed=seed)
                ours = fit(biased, reference, encoder, config)
                rivals = {"rival": train(biased, reference, seed), "same_features": train(biased, reference, seed, encoder.features)}
                measured = {name: errors(ratio, pair, seed) for name, ratio in {"ours": ours, **rivals}.items()}
                rows.append({"estimator": ours.about["estimator"], **measured})
            row = {"estimators": [r["estimator"] for r in rows]}
            for k, what in enumerate(("log_r", "grad_log_r")):
                row[what] = {name: statistics.mean(r[name][k] for r in rows) for name in ("ours", "rival", "same_features")}
                row[what]["share_of_rival"] = row[what]["ours"] / row[what]["rival"]
            results[f"{toy.__name__}, {n} references"] = row
            print(f"{toy.__name__} {n}: {row}", file=sys.stderr)
    return results


if __name__ == "__main__":
    found = main()
    path = Path(__file__).parent / "results" / "toy_estimators.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
