"""How fast may the anchored fine-tune go? Rates and lengths of run, on the demo's own references (docs/METHOD.md, "Noise levels").

    python benchmarks/learning_rate.py [--steps 40 120] [--rates 3e-5 1e-4 3e-4 1e-3]

`left`: the loss of the fine-tuned model on unseen images, as a share of the baseline's. The anchored target has no noise, so 0 is reached
by a model that has learnt it all, 1 is the baseline, above 1 a model further from the target than before. Also by bands of the noise
level, and what 1,000 samples show. A row of benchmarks/results/learning_rate.json that is there already is not made again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import quality
import torch

import tiw
from tiw.comparing.quality import fit_encoder, frechet_distance
from tiw.debiasing.objectives import tiw_dsm
from tiw.model.noise import to_x0
from tiw.shares import fairness_discrepancy

BANDS = ((0.0, 1.0), (1.0, 4.0), (4.0, 16.0), (16.0, 1e9))
STRENGTH, SHARE, UNSEEN = 1.5, 0.5, 480


def losses(model, setting: quality.Setting, ratio) -> tuple[np.ndarray, np.ndarray]:
    """(loss of each of UNSEEN images of the held-out set, its noise level): the same images, noises and levels at every call."""
    generator = torch.Generator().manual_seed(11)
    noise_levels, found, sigmas = model.config.noise.scaled(tiw.DebiasConfig().sigma_scale), [], []
    for rows in torch.arange(UNSEEN).split(48):
        x0 = to_x0(setting.heldout.images[rows.numpy()])
        noise, sigma = torch.randn(x0.shape, generator=generator), noise_levels.draw(len(x0), generator)
        with torch.no_grad():
            common = {"reference_share": SHARE, "anchor": 1.0, "baseline": setting.baseline, "loss_weight": model.loss_weight}
            found.append(tiw_dsm(model, x0, noise, sigma, ratio, **common))
        sigmas.append(sigma)
    return torch.cat(found).double().numpy(), torch.cat(sigmas).numpy()


def trial(setting: quality.Setting, reference, ratio, encoder, rate: float, steps: int) -> dict:
    config = tiw.DebiasConfig(steps=steps, strength=STRENGTH, learning_rate=rate, reference_share=SHARE, seed=500)
    shown = quality.fine_tuned(setting.baseline, setting.biased, reference, ratio, config)[0]
    scaled = ratio.scaled(STRENGTH)
    (own, sigma), (before, _) = losses(shown, setting, scaled), losses(setting.baseline, setting, scaled)
    bands = [(sigma >= low) & (sigma < high) for low, high in BANDS]
    images = tiw.sample(shown, range(72_000_000, 72_001_000))
    discrepancy = fairness_discrepancy(setting.counts(images), setting.target)
    return {
        "rate": rate,
        "steps": steps,
        "left": float(own.sum() / before.sum()),
        "left_by_band": [float(own[band].sum() / before[band].sum()) for band in bands],
        "fairness_discrepancy": discrepancy.value,
        "fairness_discrepancy_interval": discrepancy.interval,
        "frechet_distance": frechet_distance(encoder(images), encoder(setting.heldout.images)).value,
        "n": len(images),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[40, 120])
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-5, 1e-4, 3e-4, 1e-3])
    args = parser.parse_args()
    path = quality.RESULTS.parent / "learning_rate.json"
    rows = json.loads(path.read_text()) if path.is_file() else []
    quality.prepare({"demo"})
    setting, reference = quality.demo_setting(), tiw.load_demo().reference
    encoder = fit_encoder(setting.heldout.images, "the held-out images")
    ratio = tiw.fit_density_ratio(setting.biased, reference, setting.baseline)
    for steps in args.steps:
        for rate in args.rates:
            if not any((row["rate"], row["steps"]) == (rate, steps) for row in rows):
                rows.append(trial(setting, reference, ratio, encoder, rate, steps))
                path.write_text(json.dumps(rows, indent=1) + "\n")
                print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
