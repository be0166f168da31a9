"""Draw the embedded demo: illustrated portraits with two latent attributes, skewed jointly in the biased set.

    python assets/build_demo.py                     # the shipped sets, into assets/demo/
    python assets/build_demo.py --pool 4000 --out D # also a larger pool of references for sweeps, and the classifier's sets

The pixels depend on SEED and on the pinned versions of dicebear-core, dicebear-styles and resvg-py only
(requirements-dev.txt). Every portrait is a drawing of its own: no two images, in any set, differ by skin colour alone,
so a model cannot meet a held-out drawing in another tone during training.
"""

import argparse
import io
import json
import multiprocessing
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import resvg_py
from dicebear import Avatar, Style
from PIL import Image

SEED = 2024
SIZE = 64  # pixels
QUALITY = 92  # WebP

SKINS = {"lighter": ["#ffe0cc", "#f6cdb1", "#ecbb98"], "darker": ["#8d5a41", "#74462f", "#5a3424"]}
REAR_HAIR = {"long": ["longStraight", "longWavy", "shoulderHigh"], "short": []}
DRAWING = {
    "hairVariant": ["bun", "sideComed", "spiky", "undercut"],
    "hairColor": ["#2c1b18", "#d6b370", "#a55728", "#e3d7c8"],
    "clothesVariant": ["dress", "openJacket", "shirt", "tShirt", "turtleNeck"],
    "clothesColor": ["#0b3286", "#147f3c", "#f97316", "#ec4899", "#731ac3", "#b11f1f", "#e8e9e6", "#eab308"],
    "eyesVariant": ["bow", "happy", "humble", "wide", "wink"],
    "eyebrowsVariant": ["angry", "happy", "neutral", "raised", "sad"],
    "mouthVariant": ["agape", "angry", "laugh", "sad", "smile"],
    "beardVariant": [None, None, None, "chin", "chinMoustache", "fullBeard", "moustacheTwirl"],
    "backgroundColor": ["#b6e3f4", "#c0aede", "#ffdfbf", "#d1f4d9"],
}
SUBGROUPS = [("lighter", "long"), ("lighter", "short"), ("darker", "long"), ("darker", "short")]
BIASED_SHARES = [0.60, 0.25, 0.10, 0.05]
EVEN_SHARES = [0.25] * 4

_style = None


def _render(options: dict) -> bytes:
    """One portrait as WebP bytes. Drawn at four times the size and averaged down, for clean edges at 64 pixels."""
    global _style
    if _style is None:
        _style = Style(json.loads(files("dicebear_styles").joinpath("toon-head.json").read_text("utf-8")))
    svg = Avatar(_style, options).to_string()
    png = resvg_py.svg_to_bytes(svg_string=svg, width=4 * SIZE, height=4 * SIZE)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()


def _options(choice: dict, skin: str, rear_hair: str | None) -> dict:
    options = {key: [value] for key, value in choice.items() if value is not None}
    options |= {
        "seed": "tiw",
        "skinColor": [skin],
        "hairProbability": 100,
        "beardProbability": 0 if choice["beardVariant"] is None else 100,
        "rearHairProbability": 0 if rear_hair is None else 100,
    }
    if rear_hair is not None:
        options["rearHairVariant"] = [rear_hair]
    return options


def _portraits(rng: np.random.Generator, n: int, shares: list[float], seen: set) -> list[dict]:
    """`n` new drawings in random order, with exact subgroup counts; `seen` keeps drawings from coming back."""
    counts = np.round(np.array(shares) * n).astype(int)
    assert counts.sum() == n, "choose n so that every share of it is a whole number"
    rows = []
    for (skin, hair), count in zip(SUBGROUPS, counts, strict=True):
        made = 0
        while made < count:
            choice = {key: values[rng.integers(len(values))] for key, values in DRAWING.items()}
            rear = REAR_HAIR[hair][rng.integers(len(REAR_HAIR[hair]))] if REAR_HAIR[hair] else None
            key = (*choice.values(), rear)
            if key in seen:
                continue
            seen.add(key)
            tone = SKINS[skin][rng.integers(len(SKINS[skin]))]
            rows.append({"skin": skin, "hair": hair, "options": _options(choice, tone, rear)})
            made += 1
    return [rows[i] for i in rng.permutation(n)]


def _write(path: Path, rows: list[dict], pool) -> None:
    images = pool.map(_render, [row["options"] for row in rows], chunksize=64)
    table = pa.table(
        {
            "image": pa.array([{"bytes": b, "path": None} for b in images]),
            "skin": pa.array([row["skin"] for row in rows]),
            "hair": pa.array([row["hair"] for row in rows]),
        }
    )
    features = {
        "image": {"_type": "Image"},
        "skin": {"dtype": "string", "_type": "Value"},
        "hair": {"dtype": "string", "_type": "Value"},
    }
    # The Hugging Face `datasets` library reads its column types from this key, so the file opens there as images.
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="none")
    print(f"{path}: {len(rows)} portraits, {path.stat().st_size / 2**20:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "demo")
    parser.add_argument("--pool", type=int, default=0, help="also draw this many even references and the classifier's sets (not shipped)")
    args = parser.parse_args()

    # One generator per set, so that a set's pixels do not depend on which other sets are drawn.
    seen: set = set()
    plan = [("reference", 400, EVEN_SHARES), ("heldout", 2000, EVEN_SHARES), ("biased", 8000, BIASED_SHARES)]
    if args.pool:
        plan += [("classifier_train", 6000, EVEN_SHARES), ("classifier_test", 4000, EVEN_SHARES), ("pool", args.pool, EVEN_SHARES)]
    with multiprocessing.Pool() as pool:
        for k, (name, n, shares) in enumerate(plan):
            rows = _portraits(np.random.default_rng([SEED, k]), n, shares, seen)
            _write(args.out / f"{name}.parquet", rows, pool)

    names = [f"{skin}-{hair}" for skin, hair in SUBGROUPS]
    truth = {
        "schema_version": 1,
        "seed": SEED,
        "resolution": SIZE,
        "attributes": {"skin": list(SKINS), "hair": list(REAR_HAIR)},
        "subgroups": names,
        "shares": {
            "biased": dict(zip(names, BIASED_SHARES, strict=True)),
            "reference": dict(zip(names, EVEN_SHARES, strict=True)),
            "heldout": dict(zip(names, EVEN_SHARES, strict=True)),
        },
        "counts": {name: n for name, n, _ in plan[:3]},
        "recipe": {"style": "toon-head", "skins": SKINS, "rear_hair": REAR_HAIR, "drawing": DRAWING, "webp_quality": QUALITY},
    }
    (args.out / "truth.json").write_text(json.dumps(truth, indent=2) + "\n")


if __name__ == "__main__":
    main()
