"""Why stop early? Debiased samples against the discriminator's training length, under-trained to over-fitted, its losses beside them.

    python benchmarks/maturity.py

On the demo, 400 references: a linear discriminator on all 2,048 standardised features, no penalty, trained by Adam for 3 to 3,000
full-batch steps, cross-fitted like the library's. At each length: cross-entropy on what it saw and held out, and what guidance makes
of the baseline's samples with it at strength 1; the library's own ratio beside it. Results go to benchmarks/results/maturity.json;
benchmarks/figures.py draws docs/maturity.webp.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiw
from tiw.comparing.quality import fit_encoder, frechet_distance
from tiw.model.device import pick_device, pick_precision
from tiw.ratio.density_ratio import DensityRatio, fit_to_features
from tiw.ratio.estimators import balanced_cross_entropy
from tiw.ratio.features import RatioConfig, RatioFeatures, ratio_features
from tiw.ratio.heads import ConvexHead
from tiw.shares import fairness_discrepancy, with_crossings

ROOT = Path(__file__).parents[1]
LENGTHS = (3, 10, 30, 100, 300, 1000, 3000)
RATE = 3e-4


def matured(ratio: DensityRatio, data: RatioFeatures, n_reference: int):
    """Yields (length, ratio, cross-entropy on training items, held out) as the training goes on."""
    fold_b, fold_r = ratio.folds[ratio.scored].numpy(), ratio.folds[-n_reference:].numpy()
    x = torch.cat([data.biased, data.reference[:, 0]], 1)  # [L, n, F]
    mean, std = x.mean(1, keepdim=True), x.std(1, keepdim=True).clamp_min(1e-6)
    z, k = (x - mean) / std, ratio.n_folds
    fold = torch.from_numpy(np.r_[fold_b, fold_r])
    label = torch.cat([torch.zeros(len(fold_b)), torch.ones(n_reference)])
    heavy = torch.where(label == 1, 0.5 / n_reference, 0.5 / len(fold_b)) * (k / (k - 1))
    seen = (fold[:, None] != torch.arange(k)).float() * heavy[:, None]  # [n, K]
    weights = torch.zeros(len(z), z.shape[2], k, requires_grad=True)
    biases = torch.zeros(len(z), 1, k, requires_grad=True)
    optimizer = torch.optim.Adam([weights, biases], lr=RATE)
    for step in range(1, LENGTHS[-1] + 1):
        logits = z @ weights + biases
        loss = F.binary_cross_entropy_with_logits(logits, label[:, None].expand_as(logits), reduction="none")
        optimizer.zero_grad()
        (loss * seen).sum().backward()
        optimizer.step()
        if step in LENGTHS:
            with torch.no_grad():
                logits = z @ weights + biases
                own = logits.gather(2, fold[None, :, None].expand(len(z), -1, 1))[..., 0].numpy()
                train = float((F.binary_cross_entropy_with_logits(logits, label[:, None].expand_as(logits), reduction="none") * seen).sum())
                b, r = own[:, : len(fold_b)], own[:, len(fold_b) :]
                of_features = (weights / std.transpose(1, 2)).permute(0, 2, 1).contiguous()  # [L, K, F]
                head = ConvexHead(of_features, biases[:, 0] - torch.einsum("lkf,lf->lk", of_features, mean[:, 0]))
                held_out = float(np.mean([balanced_cross_entropy(*level) for level in zip(b, r, strict=True)]))
            yield step, replace(ratio, head=head, log_ratio_biased=b, log_ratio_reference=r), train / (len(z) * k), held_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    args = parser.parse_args()
    demo, device = tiw.load_demo(), pick_device()
    baseline = tiw.Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline").prepare(device, pick_precision(device))
    baseline.requires_grad_(False).eval()
    classifier = tiw.AttributeClassifier.from_pretrained(ROOT / "checkpoints" / "classifier")
    encoder = fit_encoder(demo.heldout.images, "the held-out images")
    real, target = encoder(demo.heldout.images), demo.truth["shares"]["reference"]

    def judged(ratio: DensityRatio, strength: float) -> dict:
        images = tiw.sample(baseline, range(20_000_000, 20_000_000 + args.count), guidance=ratio, strength=strength)
        labels = with_crossings(classifier.predict(images)).iloc[:, -1]
        counts = labels.value_counts().reindex(list(target), fill_value=0).to_numpy()
        found = fairness_discrepancy(counts, np.array(list(target.values())))
        return {
            "strength": strength,
            "fairness_discrepancy": found.value,
            "interval": found.interval,
            "frechet_distance": frechet_distance(encoder(images), real).value,
        }

    config = RatioConfig(reference_draws=1)
    data = ratio_features(demo.biased, demo.reference, baseline, config)
    ours = fit_to_features(data, baseline, config)
    rows = []
    for length, ratio, train, held_out in matured(ours, data, len(demo.reference)):
        rows.append({"length": length, "train": train, "held_out": held_out, **judged(ratio, 1.0)})
        print(rows[-1], flush=True)
    library = {"held_out": ours.about["cross_entropy"][ours.about["estimator"]], **judged(ours, 1.0)}
    result = {"n": args.count, "references": len(demo.reference), "encoder": encoder.name, "lengths": rows, "library": library}
    (ROOT / "benchmarks" / "results" / "maturity.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
