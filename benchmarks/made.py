"""What the sets of benchmarks/sets.py need before anything is debiased: a baseline and a classifier that counts, each made once.

python benchmarks/made.py faces --steps 1200
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import sets
import torch
from torch import nn

import tiw
from tiw.model.device import pick_device
from tiw.model.networks import EMAModel, NetworkConfig
from tiw.pictures import contact_sheet

BATCH = 128
NETWORK = NetworkConfig(sets.SIZE, 4, (48, 64), 1, (False, False))  # small enough that a baseline takes minutes of one core
PRECISION = torch.float32


def folder(name: str) -> Path:
    return sets.WORK / f"{name}-baseline"


def make_baseline(name: str, steps: int) -> None:
    """Train on the biased part."""
    device = pick_device()
    torch.manual_seed(0)
    fresh = tiw.Denoiser.new(NETWORK).prepare(device, PRECISION)
    biased = sets.load_set(name)["biased"]
    config = tiw.DebiasConfig("dsm-obs", steps=steps, reference_share=0.0, batch_size=BATCH, learning_rate=2e-3)
    ema = EMAModel(fresh.parameters(), decay=0.99)
    began = time.process_time()
    for step in tiw.debias(fresh, biased, biased.take([]), None, config):
        ema.step(step.denoiser.parameters())
        if step.step % 100 == 0:
            print(step.step, round(step.loss, 4), round(time.process_time() - began, 1), "core seconds", flush=True)
    ema.copy_to(fresh.parameters())
    fresh.save_pretrained(folder(name))


def net(values: int) -> nn.Module:
    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(3, 32), *block(32, 48), *block(48, 64), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 4, values))


def group_index(images: tiw.ImageSet) -> tuple[np.ndarray, list[str]]:
    """The group of each image in the order of sets.SHARES, [n], and their names."""
    first, second = (list(dict.fromkeys(column)) for column in _values(images))
    names = [f"{a}-{b}" for a in first for b in second]
    return images.attributes.agg("-".join, axis=1).map(names.index).to_numpy(), names


def _values(images: tiw.ImageSet) -> list[list[str]]:
    """The values of both attributes, the commoner of the biased set first."""
    order = {"lighter": 0, "warm": 0, "without": 0, "upright": 0}
    return [sorted(set(images.attributes[column]), key=lambda v: order.get(v, 1)) for column in images.attributes]


def make_classifier(name: str) -> nn.Module:
    """Four groups, from the labelled part. Refuses a set whose groups it cannot see: no share could be counted there."""
    path = sets.WORK / f"{name}-classifier.pt"
    parts = sets.load_set(name)
    labels, names = group_index(parts["labelled"])
    model = net(len(names))
    if not path.is_file():
        torch.manual_seed(0)
        x = torch.from_numpy(parts["labelled"].images.copy()).permute(0, 3, 1, 2)
        y = torch.from_numpy(labels.copy())
        epochs, each = 14, len(y) // BATCH
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=epochs * each)
        for _ in range(epochs):
            for rows in torch.randperm(len(y))[: each * BATCH].split(BATCH):
                loss = nn.functional.cross_entropy(model(x[rows].float() / 255), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        torch.save(model.state_dict(), path)
    model.load_state_dict(torch.load(path, weights_only=True))
    model.eval()
    right = accuracy(model, parts["heldout"])
    assert min(right.values()) > 0.95, f"the classifier of {name} is right on these shares of the held-out images: {right}"
    return model


def accuracy(model: nn.Module, images: tiw.ImageSet) -> dict[str, float]:
    """The share of each group's images that the classifier puts there."""
    truth, names = group_index(images)
    right = predicted(model, images.images) == truth
    return {group: round(float(right[truth == k].mean()), 3) for k, group in enumerate(names)}


@torch.no_grad()
def predicted(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Group of each image, uint8 [n,H,W,3] -> [n]."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    return torch.cat([model(part.float() / 255).argmax(1) for part in x.split(512)]).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(sets.MAKERS))
    parser.add_argument("--steps", type=int, default=1200)
    args = parser.parse_args()
    classifier, heldout = make_classifier(args.name), sets.load_set(args.name)["heldout"]
    print(args.name, accuracy(classifier, heldout), flush=True)
    if not folder(args.name).is_dir():
        make_baseline(args.name, args.steps)
    denoiser = tiw.Denoiser.from_pretrained(folder(args.name)).prepare(pick_device(), PRECISION).eval()
    images = tiw.sample(denoiser, range(1000))
    print("samples", (np.bincount(predicted(classifier, images), minlength=4) / 1000).tolist(), flush=True)
    (sets.WORK / f"{args.name}-samples.webp").write_bytes(contact_sheet(images[:64], columns=16))


if __name__ == "__main__":
    main()
