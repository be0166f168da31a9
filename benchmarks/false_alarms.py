"""How often does an audit say that two sets differ which do not?

    python benchmarks/false_alarms.py [--pairs 200] [--sizes 300 2000] [--encoders pixels baseline]

Both sets of a pair are drawn from the demo's biased set, without an image in common, and audited at the default settings by the convex
estimator. The verdict looks at all noise levels. Every image is encoded once, before the pairs are drawn. Results are written after every
tenth pair, so that a run that is stopped has its count.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

import tiw
from tiw.auditing.verdict import judge
from tiw.intervals import wilson
from tiw.model.device import pick_device, pick_precision
from tiw.ratio.density_ratio import fit_to_features
from tiw.ratio.diagnostics import diagnose
from tiw.ratio.features import PixelEncoder, RatioConfig, RatioFeatures, features_at

ROOT = Path(__file__).parents[1]
CONFIG = RatioConfig(estimator="convex")


def encode(images: np.ndarray, name: str) -> tuple[object, torch.Tensor]:
    """The encoder of that name, and what it sees of uint8 [N,H,W,3] at every level, [L, N, F]."""
    encoder = PixelEncoder()
    if name == "baseline":
        encoder = tiw.Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline")
        encoder.prepare(pick_device(), pick_precision(pick_device())).requires_grad_(False).eval()
    return encoder, features_at(encoder, images, np.arange(len(images)), CONFIG.sigmas, 0)[:, 0]


def verdict_of(features: torch.Tensor, n: int, seed: int, encoder: object) -> str:
    """The verdict on two sets of n images each, none in both."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(features.shape[1])[: 2 * n])
    data = RatioFeatures(np.arange(n), features[:, order[:n]], features[:, None, order[n:]], n)
    ratio = fit_to_features(data, encoder, replace(CONFIG, seed=seed))
    by_level = zip(ratio.sigmas, ratio.log_ratio_biased, ratio.log_ratio_reference, ratio.train_cross_entropy, strict=True)
    return judge([diagnose(*level) for level in by_level], ratio.p_equal).level


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--sizes", type=int, nargs="+", default=(300, 2000))
    parser.add_argument("--encoders", nargs="+", default=("pixels", "baseline"), choices=("pixels", "baseline"))
    args = parser.parse_args()
    path = ROOT / "benchmarks" / "results" / "false_alarms.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    images = tiw.load_demo().biased.images
    for name in args.encoders:
        encoder, features = encode(images, name)
        for n in args.sizes:
            verdicts: Counter[str] = Counter()
            start = time.monotonic()
            for pair in range(args.pairs):
                verdicts[verdict_of(features, n, pair, encoder)] += 1
                if (pair + 1) % 10 == 0 or pair + 1 == args.pairs:
                    done, said = verdicts.total(), verdicts.total() - verdicts["no-difference"]
                    seconds = round((time.monotonic() - start) / done, 1)
                    found[f"{name}, {n} + {n}"] = {
                        "pairs": done,
                        "false_alarms": said / done,
                        "interval": wilson(said, done),
                        "verdicts": dict(verdicts),
                        "seconds_a_pair": seconds,
                    }
                    path.write_text(json.dumps(found, indent=1) + "\n")
                    print(f"{name}, {n} + {n}", found[f"{name}, {n} + {n}"], flush=True)


if __name__ == "__main__":
    main()
