"""Time-dependent against time-independent density ratio on a 2-D toy with known truth.

    python benchmarks/toy_ratio.py

Mixture: `tiw.toys.chasm`, biased modes at (-2, -2) and (2, 2), 90 : 10, reference modes one unit to their right, 50 : 50, all with
standard deviation 0.1: clean, the two hardly overlap. Both discriminators are the same network with the same training, 2,000 biased and 200
reference points, classes equally heavy; the time-dependent one sees log-uniform noise levels from 0.02 to 80 (the sampler's range), the
other only the lowest.
Error: E of (log r_hat - log r)^2 over points of both sets equally, at 12 log-spaced levels of that range, averaged (the integral over log
sigma). The time-independent ratio enters with its error where it is fitted, at the lowest level: IW-DSM carries that weight to every level.
"""

import json
import math

import torch
from torch import Tensor, nn

from tiw.toys import MixturePair, chasm

LOW, HIGH = 0.02, 80.0  # the sampler's range
N_BIASED, N_REFERENCE, N_TEST = 2000, 200, 4000
STEPS, BATCH = 1000, 256


class Discriminator(nn.Module):
    """logit d(xt, sigma)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))

    def forward(self, xt: Tensor, sigma: Tensor) -> Tensor:
        scale = (sigma**2 + 4).rsqrt()[:, None]
        return self.net(torch.cat([xt * scale, sigma.log()[:, None] / 3, scale], 1))[:, 0]


def train(biased: Tensor, reference: Tensor, low: float, high: float, seed: int) -> Discriminator:
    torch.manual_seed(seed)
    model = Discriminator()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    label = torch.cat([torch.zeros(BATCH), torch.ones(BATCH)])
    for _ in range(STEPS):
        x0 = torch.cat([s[torch.randint(len(s), (BATCH,))] for s in (biased, reference)])
        sigma = torch.exp(torch.empty(2 * BATCH).uniform_(math.log(low), math.log(high)))
        loss = nn.functional.binary_cross_entropy_with_logits(model(x0 + sigma[:, None] * torch.randn_like(x0), sigma), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


@torch.no_grad()
def error(model: Discriminator, sigma: float, pair: MixturePair, seed: int) -> float:
    """E of (log r_hat - log r)^2 at one level, over both sets equally."""
    generator = torch.Generator().manual_seed(seed)
    x0 = torch.cat([pair.biased.sample(N_TEST, generator), pair.reference.sample(N_TEST, generator)])
    level = torch.full((len(x0),), sigma)
    xt = x0 + sigma * torch.randn(x0.shape, generator=generator)
    return float((model(xt, level) - pair.log_ratio(xt, level)).square().mean())


def measure(seed: int) -> dict:
    """Integrated errors of both for one seed."""
    pair = chasm(torch.float32)
    generator = torch.Generator().manual_seed(seed)
    biased, reference = pair.biased.sample(N_BIASED, generator), pair.reference.sample(N_REFERENCE, generator)
    dependent = train(biased, reference, LOW, HIGH, seed)
    independent = train(biased, reference, LOW, LOW * 1.0001, seed)
    levels = torch.logspace(math.log10(LOW), math.log10(HIGH), 12).tolist()
    over_time = sum(error(dependent, s, pair, seed + 100) for s in levels) / len(levels)
    clean = error(independent, LOW, pair, seed + 100)
    return {"seed": seed, "time_dependent": over_time, "time_independent": clean, "share": over_time / clean}


def main() -> dict:
    runs = [measure(seed) for seed in range(3)]
    mean = sum(r["time_dependent"] for r in runs) / sum(r["time_independent"] for r in runs)
    return {"runs": runs, "share_of_the_time_independent_error": mean}


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
