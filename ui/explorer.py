"""What the audit explorer draws: one payload with every noise level, one sprite sheet, strips on demand."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pandas as pd
from PIL import Image

from tiw.choices import LABEL
from tiw.data import ImageSet, demo_path, noisy_strip, write_npz, write_rows
from tiw.errors import UserInputError
from tiw.pictures import contact_sheet
from tiw.run.thumbnails import Thumbnails
from tiw.sentences import auc_sentence, worth_sentence

from . import keeping, pictures, store

MOST_DRAWN = 5000  # points of the charts, unless more are asked for
MOST_LOADED = 20_000  # points that a browser gets at all
MOST_VALUES = 12  # of an attribute that a legend names
THUMBNAIL = 64  # pixels
SHOWN_AS = {"group": "group of similar images"}  # columns of ours that a label of the same name could be taken for


def value(run: store.Run | None) -> str:
    """What the component gets: addresses only, with a version that changes when there is more to draw."""
    if run is None or run.result is None or not (run.path / "scores.parquet").is_file():
        return ""
    base = f"tiw/{run.id}"
    stamp = version(run)
    return json.dumps(
        {
            "run": run.id,
            "url": f"{base}/explorer.json?{stamp}",
            "sprite": f"{base}/sprite.webp?{stamp}",
            "strip": f"{base}/strip",
            "image": f"{base}/image",
            "zip": f"{base}/selection.zip",
        }
    )


def version(run: store.Run) -> str:
    """Changes when there is more to draw."""
    return "-".join(store.stamp(run.path / name) for name in ("result.json", "map.parquet", "rest.parquet"))


def payload(run: store.Run, everything: bool = False) -> dict:
    """Histograms and diagnostics per level, points with their log ratio per level, layouts of the map."""
    points = _points(run, everything)
    levels = run.result["levels"]
    ratios = [f"log_ratio_{i}" for i in range(len(levels))]
    labels = points.columns.drop([*ratios, "item", "set", "index", "source"], errors="ignore")
    attributes = {SHOWN_AS.get(name, str(name).removeprefix(LABEL)): _coded(points[name]) for name in labels}
    reliable_from = run.result["verdict"].get("reliable_from") or 0
    return {
        "run": run.id,
        "biased": run.result["biased"],
        "reference": run.result["reference"],
        "start": next((i for i, level in enumerate(levels) if level["sigma"] >= reliable_from), 0),
        "levels": [{**level, "said": _said(run, level)} for level in levels],
        "points": {
            "item": points["item"].tolist(),
            "set": points["set"].map(pictures.ROLES.index).tolist(),
            "index": points["index"].tolist(),
            "source": (points["source"] if "source" in points else "row " + points["index"].astype(str)).tolist(),
            "log_ratio": [points[column].astype(float).round(3).tolist() for column in ratios],
            "attributes": attributes,
        },
        "drawn": {"shown": len(points), "there": min(len(scores(run)), MOST_LOADED), "seed": run.options["seed"]},
        "map_coming": run.busy and run.options["map"],
        "maps": _maps(run.path / "map.parquet", points["item"]),
        "near": _near(run.path / "near.parquet", points["item"]),
        "sprite": {"columns": pictures.SPRITE_COLUMNS},
    }


def _said(run: store.Run, level: dict) -> dict:
    """A level's numbers in words anyone can follow."""
    size = level["effective_sample_size"]
    return {"auc": auc_sentence(level["auc"]["value"]), "worth": worth_sentence(run.result["biased"]["scored"], size["count"])}


def scores(run: store.Run) -> pd.DataFrame:
    """One row for every image scored so far: those of the charts first, then all others once they are there."""
    parts = [_table(path, store.stamp(path)) for name in ("scores", "rest") if (path := run.path / f"{name}.parquet").is_file()]
    return pd.concat(parts, ignore_index=True)


@lru_cache(maxsize=8)
def _table(path: Path, changed: str) -> pd.DataFrame:
    return pd.read_parquet(path)


def _points(run: store.Run, everything: bool) -> pd.DataFrame:
    """The rows that the browser gets: those of the charts, or all; too many are thinned by the seed, each set by the same factor."""
    most = MOST_LOADED if everything else MOST_DRAWN
    path = run.path / "scores.parquet"
    points = scores(run) if everything else _table(path, store.stamp(path))
    if len(points) <= most:
        return points
    thinned = points.groupby("set", sort=False, group_keys=False).sample(frac=most / len(points), random_state=run.options["seed"])
    return thinned.sort_index()


def _coded(labels: pd.Series) -> dict:
    """Labels as numbers; the rarer ones of an attribute with many values together. -1: not known."""
    common = labels.value_counts().index[: MOST_VALUES - 1]
    if labels.nunique() > MOST_VALUES:
        labels = labels.where(labels.isin(common) | labels.isna(), "others")
    codes, values = pd.factorize(labels.astype("string"), sort=True)
    return {"codes": codes.tolist(), "values": values.tolist()}


def _maps(path: Path, items: pd.Series) -> dict[str, dict[str, list[float | None]]]:
    """Layouts by level, each in the points' order; None for an image without a place."""
    if not path.is_file():
        return {}

    def places(points: pd.DataFrame) -> dict[str, list[float | None]]:
        found = points.set_index("item").reindex(items)[["x", "y"]].astype(float).round(3).astype(object)
        return found.where(found.notna(), None).to_dict("list")

    return {str(level): places(points) for level, points in pd.read_parquet(path).groupby("level")}


def _near(path: Path, items: pd.Series) -> list[list[int]] | None:
    """For each point the points of the other set that are most alike to the features; None for an audit of before they were kept."""
    if not path.is_file():
        return None
    places = dict(zip(items, range(len(items)), strict=True))
    nearest = pd.read_parquet(path).set_index("item").reindex(items, fill_value=-1)
    return [[places[item] for item in row if item in places] for row in nearest.to_numpy().tolist()]


@lru_cache(maxsize=4)
def sprite(run_id: str, version: str, everything: bool = False) -> bytes:
    """Thumbnails of the payload's images, in its order: those that the run kept. `version` changes with the payload."""
    run = store.open_run(run_id)
    points, kept = _points(run, everything), Thumbnails.read(run.path)
    items = points["item"].tolist()
    if kept is not None and set(items) <= set(kept.items):
        return pictures.sprite(list(kept.images(run.path, items)), THUMBNAIL)
    sets = _sets(run)
    return pictures.sprite([sets[role].images[index] for role, index in zip(points["set"], points["index"], strict=True)], THUMBNAIL)


def strip(run: store.Run, item: int) -> bytes | None:
    """One image under one fixed noise at every level of the audit, left to right; None if there is no such image."""
    if not chosen(run, [item]):
        return None
    sigmas = [level["sigma"] for level in run.result["levels"]]
    return contact_sheet(noisy_strip(pictures.item_image(run, item), sigmas, run.options["seed"], item), len(sigmas), gap=0)


def image(run: store.Run, item: int) -> bytes | None:
    """One image, large; None if there is no such image."""
    return contact_sheet(pictures.item_image(run, item)[None], 1) if chosen(run, [item]) else None


def chosen(run: store.Run, items: list[int]) -> list[tuple[str, int]]:
    """(set, index) of items of the audit, in their order; unknown ones are left out."""
    n, m = run.result["biased"]["n"], run.result["reference"]["n"]
    return [("biased", i) if i < n else ("reference", i - n) for i in items if type(i) is int and 0 <= i < n + m]


def zipped(run: store.Run, items: list[int]) -> IO[bytes]:
    """The images of these items as PNG files in a zip, each under its own file's name, with a table of their scores; an open temporary
    file."""
    sets, packed = _sets(run), tempfile.TemporaryFile()  # noqa: SIM115  (closed by the stream)
    with zipfile.ZipFile(packed, "w") as archive:  # stored: PNG does not compress
        for role, index in chosen(run, items)[:MOST_LOADED]:
            png = io.BytesIO()
            Image.fromarray(sets[role].images[index]).save(png, "PNG")
            archive.writestr(_file(role, index, sets[role].sources[index]), png.getvalue())
        table = pd.read_csv(run.path / "scores.csv", dtype=str, keep_default_na=False)  # as it stands, every number with its digits
        archive.writestr("scores.csv", table[table["item"].isin([str(item) for item in items])].to_csv(index=False))
    packed.seek(0)
    return packed


def _file(role: str, index: int, source: str) -> str:
    """Set, row and the name that the image's own file has, without its folders: 'biased-000003 anna.png'."""
    own = "" if source == f"row {index}" else keeping.NO_NAME.sub("_", PurePosixPath(source).stem)[:80].strip()
    return f"{role}-{index:06d}{f' {own}' if own else ''}.png"


def with_more_references(run: store.Run, items: list[int]) -> dict:
    """The sets of the audit with these biased images moved to the reference set; both are kept with the uploads. The options' fields."""
    sets = _sets(run)
    rows = sorted({index for role, index in chosen(run, items) if role == "biased"})
    if not rows:
        raise UserInputError("selection", "it holds no image of the biased set", "draw a lasso round some, or click a bar")
    biased, reference = sets["biased"], sets["reference"]
    folder = keeping.new_upload_folder()
    both = [reference.attributes, biased.take(rows).attributes]
    common = None if any(labels is None for labels in both) else pd.concat(both, join="inner", ignore_index=True)
    moved = ImageSet(
        np.concatenate([reference.images, biased.images[rows]]),
        common if common is not None and common.shape[1] else None,
        sources=np.concatenate([reference.sources, biased.sources[rows]]),
    )
    write_npz(folder / "reference.npz", moved)
    source = run.options["biased"]
    write_rows(folder / "biased.json", demo_path("biased") if source == "demo" else source, np.setdiff1d(np.arange(len(biased)), rows))
    kept = {name: run.options[name] for name in ("class_label", "resolution", "skip_bad", "biased_name", "reference_name")}
    kept["baseline"] = store.called(run.options["baseline"])
    made = {"biased": folder / "biased.json", "reference": folder / "reference.npz"}
    return {**kept, **{role: store.named(path) for role, path in made.items()}, "references": 0}


def _sets(run: store.Run) -> dict[str, ImageSet]:
    """Both sets as they were audited. Raises UserInputError where the images have changed since."""
    return {role: pictures.of_run(run, role) for role in pictures.ROLES}
