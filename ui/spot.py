"""The spot check on the page: a sheet of samples, one key an image. Everything is kept in the run's spot_check.csv."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from typing import IO

from PIL import Image

from tiw.errors import UserInputError
from tiw.files import read_json
from tiw.run import names, spot_check

from . import pictures, store

MOST_CSV = 200_000  # characters


def value(run: store.Run) -> str:
    """What the component gets: an address; nothing where no attribute was counted."""
    choices = attributes(run)
    return json.dumps({"base": f"tiw/{run.id}", "attributes": choices, "mine": not run.shipped}) if choices else ""


def attributes(run: store.Run) -> list[str]:
    """What can be labelled, all attributes at once first."""
    if not (run.path / names.PREDICTED).is_file():
        return []
    classes = spot_check.crossed_classes(read_json(run.path / names.PREDICTED)["classes"])
    fit = [name for name in classes if len(classes[name]) <= len(spot_check.KEYS)]
    return fit[-1:] + fit[:-1]


def state(run: store.Run) -> dict:
    """The sheet as it stands, and what was found if it is in the report."""
    sheet = spot_check.read_sheet(run.folder)
    if sheet is None:
        return {"sheet": None, "found": None}
    shown = {"attribute": sheet.attribute, "values": sheet.values, "samples": sheet.samples, "labels": sheet.labels}
    kept = (run.folder.result() or {}).get("spot_check")
    return {"sheet": {**shown, "keys": list(spot_check.KEYS), "unsure": spot_check.UNSURE}, "found": kept}


def answer(run: store.Run, body: object) -> dict:
    """Do what the browser asks for, on a run of the visitor's own; the state afterwards. Raises UserInputError for what is not allowed."""
    if not isinstance(body, dict) or run.shipped or not run.done:
        raise UserInputError("run", "it cannot be changed", "choose a finished comparison of your own")
    folder = store.own(run.id).folder
    if isinstance(wanted := body.get("draw"), dict):
        size, attribute = wanted.get("size"), wanted.get("attribute", "")
        if type(size) is not int or not isinstance(attribute, str):
            raise UserInputError("size", "it is not a whole number", "give 100 to 300")
        spot_check.draw_sheet(folder, size, attribute)
    elif isinstance(labels := body.get("labels"), dict):
        if not all(sample.isdecimal() and isinstance(label, str) for sample, label in labels.items()):
            raise UserInputError("label", "it is not a text", "choose one of the values")
        spot_check.label(folder, {int(sample): label for sample, label in labels.items()})
    elif isinstance(text := body.get("csv"), str):
        if len(text) > MOST_CSV:
            raise UserInputError("label", f"the file has {len(text):,} characters", f"give at most {MOST_CSV:,}")
        spot_check.take_csv(folder, text.encode())
    elif body.get("finish"):
        spot_check.finish(folder)
    else:
        raise UserInputError("spot check", "nothing is asked for", "draw, label or finish")
    return state(run)


def zipped(run: store.Run) -> IO[bytes] | None:
    """The drawn samples and the sheet, for who fills it in elsewhere; None before they are drawn."""
    sheet = spot_check.read_sheet(run.folder)
    if sheet is None:
        return None
    packed = tempfile.TemporaryFile()  # noqa: SIM115  (closed by who sends it)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(run.path / names.SPOT_CHECK, names.SPOT_CHECK)
        for sample in sheet.samples:
            archive.writestr(f"{sample:06d}.webp", picture(run, sample))
    packed.seek(0)
    return packed


def picture(run: store.Run, sample: int) -> bytes:
    """One debiased sample as lossless WebP; empty where there is none."""
    found = pictures.samples(run, "debiased", slice(sample, sample + 1))
    if not len(found):
        return b""
    out = io.BytesIO()
    Image.fromarray(found[0]).save(out, "WEBP", lossless=True)
    return out.getvalue()
