"""What the audit explorer draws: one payload with every noise level, one sprite sheet, strips on demand."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from tiw.data import ImageSet, noisy_strip
from tiw.pictures import contact_sheet

from . import pictures, store

ROLES = ("biased", "reference")


def value(run: store.Run | None) -> str:
    """What the component gets: addresses only, with a version that changes when there is more to draw."""
    if run is None or run.result is None or not (run.path / "scores.parquet").is_file():
        return ""
    base = f"tiw/{run.id}"
    version = f"{store.stamp(run.path / 'result.json')}-{store.stamp(run.path / 'map.parquet')}"
    return json.dumps({"url": f"{base}/explorer.json?{version}", "sprite": f"{base}/sprite.webp", "strip": f"{base}/strip"})


def payload(run: store.Run) -> dict:
    """Histograms and diagnostics per level, points with their log ratio per level, layouts of the map."""
    scores = pd.read_parquet(run.path / "scores.parquet")
    levels = run.result["levels"]
    ratios = [f"log_ratio_{i}" for i in range(len(levels))]
    attributes = {}
    for name in scores.columns.drop([*ratios, "item", "set", "index"]):
        codes, values = pd.factorize(scores[name], sort=True)
        attributes[name] = {"codes": codes.tolist(), "values": [str(v) for v in values]}
    reliable_from = run.result["verdict"].get("reliable_from") or 0
    return {
        "run": run.id,
        "biased": run.result["biased"],
        "reference": run.result["reference"],
        "start": next((i for i, level in enumerate(levels) if level["sigma"] >= reliable_from), 0),
        "levels": levels,
        "points": {
            "item": scores["item"].tolist(),
            "set": scores["set"].map(ROLES.index).tolist(),
            "index": scores["index"].tolist(),
            "log_ratio": [scores[column].astype(float).round(3).tolist() for column in ratios],
            "attributes": attributes,
        },
        "maps": _maps(run.path / "map.parquet", scores["item"]),
        "sprite": {"columns": pictures.SPRITE_COLUMNS},
    }


def _maps(path: Path, items: pd.Series) -> dict[str, dict[str, list[float]]]:
    if not path.is_file():
        return {}
    layouts = pd.read_parquet(path).groupby("level")
    aligned = {str(level): points.set_index("item").reindex(items)[["x", "y"]].round(3) for level, points in layouts}
    return {level: {"x": points["x"].tolist(), "y": points["y"].tolist()} for level, points in aligned.items()}


@lru_cache(maxsize=4)
def sprite(run_id: str) -> bytes:
    """Thumbnails of every scored image, in the payload's order."""
    run = store.open_run(run_id)
    scores = pd.read_parquet(run.path / "scores.parquet", columns=["set", "index"])
    sets = _sets(run)
    images = [sets[row.set].images[row.index] for row in scores.itertuples(index=False)]
    return pictures.sprite(np.stack(images))


def strip(run: store.Run, item: int) -> bytes | None:
    """One image under one fixed noise at every level of the audit, left to right; None if there is no such image."""
    scores = pd.read_parquet(run.path / "scores.parquet", columns=["item", "set", "index"])
    row = scores[scores["item"] == item]
    if row.empty:
        return None
    role, index = row.iloc[0][["set", "index"]]
    sigmas = [level["sigma"] for level in run.result["levels"]]
    shown = noisy_strip(_sets(run)[role].images[index], sigmas, run.options["seed"], item)
    return contact_sheet(shown, len(sigmas), gap=0)


def _sets(run: store.Run) -> dict[str, ImageSet]:
    options = run.options
    return {role: pictures.open_set(options[role], role, options["references"] if role == "reference" else 0) for role in ROLES}
