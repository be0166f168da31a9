"""Sets that no default was tuned to, made from a seed where they are needed: two other illustrated styles, and garments by their look.

    python benchmarks/sets.py faces --sheet sheet.png   # make one, and show every group

**faces** (the style avataaars) differ by skin colour and by glasses, a small detail. **busts** (micah) by skin colour and a beard.
**garments** are Fashion-MNIST (Debian's dataset-fashion-mnist) in its own classes, every class equally often in each set; they differ by
colour and by the way they lean.
All are 16x16 unless asked for larger. The biased set has its four groups 70, 15, 10 and 5 %, every other set evenly.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
WORK = ROOT / "runs" / "sets"  # made once
FASHION = Path("/usr/share/datasets/fashion-mnist")

SIZE = 16  # pixels
SHARES = (0.70, 0.15, 0.10, 0.05)  # of the four groups in the biased set
PARTS = {"biased": 4000, "pool": 1200, "heldout": 1000, "labelled": 1600}  # references are drawn from the pool
SEED = 4711

FACES = {
    "style": "avataaars",
    "first": ("skin", {"lighter": {"skinColor": ["#edb98a", "#ffdbb4"]}, "darker": {"skinColor": ["#614335", "#ae5d29"]}}),
    "second": ("glasses", {"without": {"accessoriesProbability": [0]}, "with": {"accessoriesProbability": [100]}}),
    "drawing": {
        "topVariant": ["bob", "bun", "curly", "dreads01", "shortCurly", "shortFlat", "shortWaved", "straight01", "theCaesar", "bigHair"],
        "hairColor": ["#a55728", "#2c1b18", "#b58143", "#d6b370", "#4a312c", "#e8e1e1"],
        "accessoriesVariant": ["prescription01", "prescription02", "round", "wayfarers"],
        "accessoriesColor": ["#262e33", "#25557c", "#ff488e"],
        "clothesVariant": ["blazerAndShirt", "hoodie", "shirtCrewNeck", "shirtVNeck"],
        "clothesColor": ["#262e33", "#65c9ff", "#5199e4", "#a7ffc4", "#ffafb9", "#ffffb1", "#ff5c5c"],
        "eyesVariant": ["closed", "default", "happy", "side", "squint", "surprised", "wink"],
        "eyebrowsVariant": ["angry", "default", "raisedExcited", "sadConcerned", "upDown"],
        "mouthVariant": ["default", "sad", "screamOpen", "serious", "smile", "twinkle"],
        "backgroundColor": ["#b6e3f4", "#c0aede", "#ffdfbf", "#d1f4d9"],
    },
    "always": {"topProbability": 100, "facialHairProbability": 0},
    "crop": (0.19, 0.08, 0.81, 0.70),  # left, top, right, bottom of the canvas: the head
}
BUSTS = {
    "style": "micah",
    "first": ("skin", {"lighter": {"baseColor": ["#f9c9b6"]}, "darker": {"baseColor": ["#77311d", "#ac6651"]}}),
    "second": ("beard", {"without": {"facialHairProbability": [0]}, "with": {"facialHairProbability": [100]}}),
    "drawing": {
        "hairVariant": ["dannyPhantom", "fonze", "full", "mrT", "pixie"],
        "hairColor": ["#000000", "#f4d150", "#9287ff", "#fc909f", "#6bd9e9"],
        "facialHairVariant": ["beard"],
        "clothesVariant": ["collared", "crew", "open"],
        "shirtColor": ["#6bd9e9", "#fc909f", "#f4d150", "#9287ff", "#ffffff"],
        "eyesVariant": ["eyes", "round", "smiling"],
        "eyebrowsVariant": ["down", "up", "eyelashesUp"],
        "mouthVariant": ["frown", "laughing", "pucker", "smile", "smirk", "surprised"],
        "noseVariant": ["curve", "pointed", "tound"],
        "backgroundColor": ["#b6e3f4", "#c0aede", "#ffdfbf", "#d1f4d9"],
    },
    "always": {"glassesProbability": 0, "earringsProbability": 0},
    "crop": (0.14, 0.08, 0.86, 0.80),
}


def groups(first: str, second: str, values: tuple[tuple[str, str], tuple[str, str]]) -> list[dict[str, str]]:
    """The four groups in the order of SHARES: the first value of either attribute is the common one."""
    return [{first: a, second: b} for a in values[0] for b in values[1]]


def rows_of(part: str, of_groups: list[dict[str, str]], rng: np.random.Generator) -> list[dict[str, str]]:
    """Groups of a part's images in random order, with exact counts."""
    n = PARTS[part]
    shares = SHARES if part == "biased" else (0.25,) * 4
    rows = [group for group, share in zip(of_groups, shares, strict=True) for _ in range(round(share * n))]
    return [rows[i] for i in rng.permutation(n)]


def drawn(recipe: dict, size: int) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
    """Every part of an illustrated set: images uint8 [n,size,size,3] and their labels. No drawing comes twice, in any part."""
    from importlib.resources import files

    import resvg_py
    from dicebear import Avatar, Style
    from PIL import Image

    style = Style(json.loads(files("dicebear_styles").joinpath(f"{recipe['style']}.json").read_text("utf-8")))
    (first, of_first), (second, of_second) = recipe["first"], recipe["second"]
    side = 4 * size
    left, top, right, _ = recipe["crop"]
    canvas = round(side / (right - left))

    def render(options: dict) -> np.ndarray:
        png = resvg_py.svg_to_bytes(svg_string=Avatar(style, options).to_string(), width=canvas, height=canvas)
        corner = (round(left * canvas), round(top * canvas))
        image = Image.open(io.BytesIO(bytes(png))).convert("RGB").crop((*corner, corner[0] + side, corner[1] + side))
        return np.asarray(image.resize((size, size), Image.Resampling.BOX))

    seen: set[tuple] = set()
    out = {}
    for k, part in enumerate(PARTS):
        rng = np.random.default_rng([SEED, k])
        labels = rows_of(part, groups(first, second, (tuple(of_first), tuple(of_second))), rng)
        images = []
        for label in labels:
            while True:
                choice = {key: values[rng.integers(len(values))] for key, values in recipe["drawing"].items()}
                key = (*choice.values(), label[second])
                if key not in seen:
                    break
            seen.add(key)
            extra = of_first[label[first]] | of_second[label[second]]
            extra = {name: values[rng.integers(len(values))] for name, values in extra.items()}
            options = {name: value if name.endswith("Probability") else [value] for name, value in (choice | extra).items()}
            images.append(render({"seed": "tiw"} | options | recipe["always"]))
        out[part] = np.stack(images), pd.DataFrame(labels)
    return out


def garments(size: int) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
    """Garments painted warm or cold, upright or leaning. Of each class equally many in every group of every part."""
    from PIL import Image

    def read(name: str, offset: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((FASHION / f"{name}.gz").read_bytes()), np.uint8, offset=offset)

    grey = read("train-images-idx3-ubyte", 16).reshape(-1, 28, 28)
    kind = read("train-labels-idx1-ubyte", 8)
    rng = np.random.default_rng([SEED, 99])
    by_kind = [list(rng.permutation(np.flatnonzero(kind == k))) for k in range(10)]
    tints = {"warm": ((0.85, 1.0), (0.45, 0.7), (0.2, 0.5)), "cold": ((0.2, 0.5), (0.45, 0.7), (0.85, 1.0))}

    def paint(pixels: np.ndarray, colour: str, lean: str) -> np.ndarray:
        shear = rng.uniform(0.25, 0.4) if lean == "leaning" else rng.uniform(-0.06, 0.06)
        padded = Image.fromarray(np.pad(pixels, 2))  # 32x32
        sheared = padded.transform(padded.size, Image.Transform.AFFINE, (1, shear, -shear * 16, 0, 1, 0), Image.Resampling.BILINEAR)
        tint = np.array([rng.uniform(*ends) for ends in tints[colour]])
        return np.round(np.asarray(sheared.resize((size, size), Image.Resampling.BOX))[..., None] * tint).astype(np.uint8)

    out = {}
    for k, part in enumerate(PARTS):
        rng_part = np.random.default_rng([SEED, k])
        labels = rows_of(part, groups("colour", "lean", (("warm", "cold"), ("upright", "leaning"))), rng_part)
        turn: dict[tuple, int] = {}
        images = []
        for label in labels:
            group = tuple(label.values())
            turn[group] = turn.get(group, -1) + 1
            images.append(paint(grey[by_kind[turn[group] % 10].pop()], label["colour"], label["lean"]))
        out[part] = np.stack(images), pd.DataFrame(labels)
    return out


MAKERS: dict[str, Callable[[int], dict]] = {
    "faces": partial(drawn, FACES),
    "busts": partial(drawn, BUSTS),
    "garments": garments,
}


def load_set(name: str, size: int = SIZE) -> dict:
    """part -> tiw.ImageSet [n,size,size,3] with its two attributes; made at the first call and kept under runs/sets."""
    import tiw

    path = WORK / (f"{name}.npz" if size == SIZE else f"{name}-{size}.npz")
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = MAKERS[name](size)
        arrays = {f"{part}.images": images for part, (images, _) in made.items()}
        arrays |= {f"{part}.{column}": table[column].to_numpy(str) for part, (_, table) in made.items() for column in table}
        np.savez(path, **arrays)
    kept = np.load(path)
    out = {}
    for part in PARTS:
        columns = [key.split(".")[1] for key in kept.files if key.startswith(f"{part}.") and not key.endswith(".images")]
        table = pd.DataFrame({column: kept[f"{part}.{column}"] for column in columns})
        out[part] = tiw.ImageSet(kept[f"{part}.images"], table, f"{name} {part}")
    return out


def sheet(parts: dict, path: str) -> None:
    """Sixteen held-out images of every group, one group a row."""
    from PIL import Image

    images, table = parts["heldout"].images, parts["heldout"].attributes
    rows = [images[index[:16]] for index in table.groupby(list(table)).indices.values()]
    tiled = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    Image.fromarray(tiled).resize((tiled.shape[1] * 2, tiled.shape[0] * 2), Image.Resampling.NEAREST).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(MAKERS))
    parser.add_argument("--sheet", help="write a picture of every group")
    args = parser.parse_args()
    parts = load_set(args.name)
    for part, images in parts.items():
        print(part, len(images), images.attributes.value_counts(normalize=True).round(3).to_dict())
    if args.sheet:
        sheet(parts, args.sheet)


if __name__ == "__main__":
    main()
