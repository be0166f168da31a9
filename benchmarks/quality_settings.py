"""The settings of benchmarks/quality.py: the demo with fresh references, and Fashion-MNIST with a long tail over its ten classes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
WORK = ROOT / "runs" / "quality"  # pool of references, baselines, ratios: made once
FASHION = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class Setting:
    """What the cells of one setting share."""

    biased: object  # tiw.ImageSet
    pool: object  # references, labelled, even
    heldout: object
    baseline: object  # tiw.Denoiser
    target: object  # shares [K] that the reference should have, as the classifier sees held-out images
    target_n: int | None
    counts: object  # images -> counts [K]
    classifier_accuracy: float
    speed: float  # of the demo's


def demo_setting() -> Setting:
    import numpy as np

    import tiw
    from tiw.model.device import pick_device, pick_precision
    from tiw.shares import with_crossings

    demo = tiw.load_demo()
    classifier = tiw.AttributeClassifier.from_pretrained(ROOT / "checkpoints" / "classifier")
    joint = list(demo.truth["shares"]["reference"])
    device = pick_device()
    baseline = tiw.Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline").prepare(device, pick_precision(device))

    def counts(images: np.ndarray) -> np.ndarray:
        labels = with_crossings(classifier.predict(images)).iloc[:, -1]
        return labels.value_counts().reindex(joint, fill_value=0).to_numpy()

    target = np.array(list(demo.truth["shares"]["reference"].values()))
    right = np.prod([a / n for a, n in (classifier.accuracy(name) for name in classifier.classes)])
    pool = tiw.load_images(WORK / "pool" / "pool.parquet")
    return Setting(demo.biased, pool, demo.heldout, baseline.requires_grad_(False).eval(), target, None, counts, float(right), 1.0)


def fashion(part: str):
    """Fashion-MNIST as colour images of 32x32, tiw.ImageSet with the class as its attribute."""
    import gzip

    import numpy as np
    import pandas as pd

    import tiw

    raw = gzip.decompress((FASHION / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = np.frombuffer(gzip.decompress((FASHION / f"{part}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    grey = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)
    images = np.repeat(np.pad(grey, ((0, 0), (2, 2), (2, 2)))[..., None], 3, axis=3)
    return tiw.ImageSet(images, pd.DataFrame({"class": labels.astype(str)}), f"Fashion-MNIST {part}")


def tail_split():
    """(labelled images, tiw.data.splits.Split): what the setting and its baseline and classifier are all made from."""
    import tiw

    train = fashion("train")
    return train, tiw.make_split(train, "long-tail", "class", reference_percent=20.0, heldout_percent=1.0, seed=0)


def tail_setting() -> Setting:
    import numpy as np
    import torch

    import tiw
    from tiw.model.device import pick_device, pick_precision

    train, split = tail_split()
    heldout = fashion("t10k").take(range(5000))
    device = pick_device()
    baseline = tiw.Denoiser.from_pretrained(WORK / "tail-baseline").prepare(device, pick_precision(device)).requires_grad_(False).eval()
    net = _classifier_net()
    net.load_state_dict(torch.load(WORK / "tail-classifier.pt", weights_only=True))
    net.eval()

    @torch.no_grad()
    def predict(images: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(images[:, 2:30, 2:30].mean(3)).float()[:, None] / 255
        return torch.cat([net(part).argmax(1) for part in x.split(512)]).numpy()

    def counts(images: np.ndarray) -> np.ndarray:
        return np.bincount(predict(images), minlength=10)

    accuracy = float((predict(heldout.images) == heldout.attributes["class"].astype(int)).mean())
    seen = counts(heldout.images)
    pool = train.take(split.reference)
    return Setting(train.take(split.biased), pool, heldout, baseline, seen / seen.sum(), int(seen.sum()), counts, accuracy, 4.0)


def _classifier_net():
    from torch import nn

    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(1, 32), *block(32, 64), *block(64, 64), nn.Flatten(), nn.Dropout(0.3), nn.Linear(576, 10))


def make_tail() -> None:
    """The long-tail set's classifier, trained on images outside its sets, and its baseline: about a quarter of an hour on 2 cores."""
    import numpy as np
    import torch

    import tiw
    from tiw.model.device import pick_device, pick_precision
    from tiw.model.networks import EMAModel, NetworkConfig

    train, split = tail_split()
    torch.manual_seed(0)
    if not (WORK / "tail-classifier.pt").is_file():
        # The biased set holds every training image of the commonest class: those of the test part that are not held out show it too.
        rest, second = (
            train.take(np.setdiff1d(np.arange(len(train)), np.r_[split.biased, split.reference])),
            fashion("t10k").take(range(5000, 10000)),
        )
        x = torch.from_numpy(np.concatenate([part.images[:, 2:30, 2:30, :1] for part in (rest, second)])).permute(0, 3, 1, 2)
        y = torch.from_numpy(np.concatenate([part.attributes["class"].astype(int) for part in (rest, second)]))
        evenly = (1.0 / torch.bincount(y))[y]
        net, epochs, each = _classifier_net(), 6, 300
        optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=epochs * each)
        for _ in range(epochs):
            for batch in torch.multinomial(evenly, each * 128, replacement=True).split(128):
                loss = torch.nn.functional.cross_entropy(net(x[batch].float() / 255), y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        torch.save(net.state_dict(), WORK / "tail-classifier.pt")
    if not (WORK / "tail-baseline").is_dir():
        device = pick_device()
        torch.manual_seed(0)
        fresh = tiw.Denoiser.new(NetworkConfig(32, 4)).prepare(device, pick_precision(device))
        biased = train.take(split.biased)
        config = tiw.DebiasConfig("dsm-obs", steps=2000, reference_share=0.0, batch_size=128, learning_rate=1e-3)
        ema = EMAModel(fresh.parameters(), decay=0.999)
        for step in tiw.debias(fresh, biased, biased.take([]), None, config):
            ema.step(step.denoiser.parameters())
        ema.copy_to(fresh.parameters())
        fresh.save_pretrained(WORK / "tail-baseline")


SETTINGS = {"demo": demo_setting, "long-tail": tail_setting}


def prepare(names: set[str]) -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    if "demo" in names and not (WORK / "pool" / "pool.parquet").is_file():
        subprocess.run([sys.executable, "assets/build_demo.py", "--pool", "4000", "--out", str(WORK / "pool")], cwd=ROOT, check=True)
    if "long-tail" in names:
        make_tail()
