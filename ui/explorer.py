"""What the audit explorer draws: one payload with every noise level, one sprite sheet, strips on demand."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from PIL import Image

from tiw.data import ImageSet, demo_path, noisy_strip, write_rows
from tiw.errors import UserInputError
from tiw.pictures import contact_sheet

from . import pictures, store

ROLES = ("biased", "reference")
MOST_ZIPPED = 5000  # images of one download


def value(run: store.Run | None) -> str:
    """What the component gets: addresses only, with a version that changes when there is more to draw."""
    if run is None or run.result is None or not (run.path / "scores.parquet").is_file():
        return ""
    base = f"tiw/{run.id}"
    version = f"{store.stamp(run.path / 'result.json')}-{store.stamp(run.path / 'map.parquet')}"
    return json.dumps(
        {
            "url": f"{base}/explorer.json?{version}",
            "sprite": f"{base}/sprite.webp",
            "strip": f"{base}/strip",
            "zip": f"{base}/selection.zip",
        }
    )


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


def chosen(run: store.Run, items: list[int]) -> list[tuple[str, int]]:
    """(set, index) of items of the audit, in their order; unknown ones are left out."""
    n, m = run.result["biased"]["n"], run.result["reference"]["n"]
    return [("biased", i) if i < n else ("reference", i - n) for i in items if isinstance(i, int) and 0 <= i < n + m]


def zipped(run: store.Run, items: list[int]) -> IO[bytes]:
    """The images of these items as PNG files in a zip, with a table of their scores; an open temporary file."""
    sets, packed = _sets(run), tempfile.TemporaryFile()  # noqa: SIM115  (closed by the stream)
    with zipfile.ZipFile(packed, "w") as archive:  # stored: PNG does not compress
        for role, index in chosen(run, items)[:MOST_ZIPPED]:
            png = io.BytesIO()
            Image.fromarray(sets[role].images[index]).save(png, "PNG")
            archive.writestr(f"{role}-{index:06d}.png", png.getvalue())
        scores = pd.read_parquet(run.path / "scores.parquet")
        archive.writestr("scores.csv", scores[scores["item"].isin(items)].to_csv(index=False))
    packed.seek(0)
    return packed


def with_more_references(run: store.Run, items: list[int]) -> dict:
    """The sets of the audit with these biased images moved to the reference set; both are kept with the uploads. The options' fields."""
    sets = _sets(run)
    rows = sorted({index for role, index in chosen(run, items) if role == "biased"})
    if not rows:
        raise UserInputError("selection", "it holds no image of the biased set", "draw a lasso round some, or click a bar")
    biased, reference = sets["biased"], sets["reference"]
    folder = store.new_upload_folder()
    arrays = {"images": np.concatenate([reference.images, biased.images[rows]])}
    if biased.attributes is not None and reference.attributes is not None:
        for name in set(biased.attributes) & set(reference.attributes):
            arrays[str(name)] = np.concatenate([reference.attributes[name], biased.attributes[name].iloc[rows]]).astype(str)
    np.savez(folder / "reference.npz", **arrays)
    source = run.options["biased"]
    write_rows(folder / "biased.json", demo_path("biased") if source == "demo" else source, np.setdiff1d(np.arange(len(biased)), rows))
    kept = {name: run.options[name] for name in ("baseline", "resolution", "skip_bad")}
    return {**kept, "biased": str(folder / "biased.json"), "reference": str(folder / "reference.npz"), "references": 0}


def _sets(run: store.Run) -> dict[str, ImageSet]:
    return {role: pictures.open_set(run.options, role) for role in ROLES}
