"""The spot check in a comparison's folder: which samples a person labels, their labels so far, and what follows from them.

RUN/spot_check.csv has one line a sample and is all that is kept: it can be filled in on the page, which writes it after every key, or in a
spreadsheet beside the pictures in RUN/spot_check/.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ..comparing.attributes import codes, crossed_classes
from ..comparing.spot import PostStratified, draw_strata, post_stratified
from ..errors import UserInputError
from ..files import as_csv, harmless, read_json, write_atomic
from ..intervals import Estimate
from . import names
from .folder import RunFolder
from .hand_on import collect, write_report

UNSURE = "?"  # seen by the person, and not to be told
KEYS = "123456789abcdefghijklmnop"  # of the values, in their order
LEAST, MOST = 100, 300
HEAD = ["sample", "seed", "attribute", "label"]
FEWEST = 20  # labels, below which nothing is said


@dataclass(frozen=True)
class Sheet:
    """The samples to label, in the order in which they are shown."""

    attribute: str  # an attribute, or several at once: `skin x hair`
    values: tuple[str, ...]  # of which each sample has one
    samples: tuple[int, ...]  # rows of the debiased samples
    seeds: tuple[int, ...]
    labels: tuple[str, ...]  # a value, UNSURE, or nothing yet

    @property
    def done(self) -> int:
        """Samples that the person has looked at."""
        return sum(map(bool, self.labels))


def draw_sheet(run: RunFolder, size: int = 200, attribute: str = "", seed: int = 0) -> Sheet:
    """RUN/spot_check.csv with `size` debiased samples, in strata of what the classifier calls them; 100 to 300, or all if there are fewer.

    attribute: one, or a crossing; empty: all that were compared, at once, if their values fit the keys. The classifier's own answers are
    not in the sheet: who sees them is led by them. Raises UserInputError for a run that counted no attribute, for one that is not there,
    and where labels would be lost.
    """
    classes, seeds, placed = _predicted(run)
    if not LEAST <= size <= MOST:
        raise UserInputError("size", f"it is {size}", f"give {LEAST} to {MOST}")
    if not attribute:
        attribute = next((name for name in [list(classes)[-1], *classes] if len(classes[name]) <= len(KEYS)), next(iter(classes)))
    if attribute not in classes:
        raise UserInputError("attribute", f"there is no {attribute!r}", f"choose from {', '.join(classes)}")
    if len(classes[attribute]) > len(KEYS):
        raise UserInputError("attribute", f"{attribute} has {len(classes[attribute])} values, more than keys", "choose another one")
    if (old := read_sheet(run)) is not None and old.done:
        raise UserInputError("size", f"{old.done} samples are labelled already", f"go on with them, or delete {names.SPOT_CHECK}")
    rows = draw_strata(placed[attribute], min(size, len(seeds)), seed)
    shown = tuple(map(int, rows))
    sheet = Sheet(attribute, tuple(classes[attribute]), shown, tuple(seeds[row] for row in shown), ("",) * len(shown))
    _write(run, sheet)
    return sheet


def read_sheet(run: RunFolder) -> Sheet | None:
    """The sheet as it stands in RUN/spot_check.csv; None before it was drawn. Raises UserInputError for a file that was spoilt."""
    path = run.path / names.SPOT_CHECK
    return _parsed(run, path.read_bytes()) if path.is_file() else None


def label(run: RunFolder, given: Mapping[int, str]) -> Sheet:
    """Write these labels, sample -> value, UNSURE, or nothing to take one back; the sheet afterwards. Raises UserInputError for a sample
    that was not drawn, and for a label that is not a value: nothing is written then."""
    sheet = _there(run)
    _check(sheet, given)
    new = tuple(given.get(sample, old) for sample, old in zip(sheet.samples, sheet.labels, strict=True))
    sheet = Sheet(sheet.attribute, sheet.values, sheet.samples, sheet.seeds, new)
    _write(run, sheet)
    return sheet


def _check(sheet: Sheet, given: Mapping[int, str]) -> None:
    known = {*sheet.values, UNSURE, ""}
    for sample, value in given.items():
        if sample not in sheet.samples:
            raise UserInputError("sample", f"{sample} is not in the sheet", "label the samples that were drawn")
        if value not in known:
            raise UserInputError("label", f"sample {sample} is called {value!r}", f"choose from {', '.join(sheet.values)}, or {UNSURE}")


def take_csv(run: RunFolder, data: bytes) -> Sheet:
    """Labels from a filled-in copy of RUN/spot_check.csv, in any order of its lines. Raises UserInputError as `label` does."""
    given = _parsed(run, data)
    return label(run, dict(zip(given.samples, given.labels, strict=True)))


def write_pictures(run: RunFolder) -> Path:
    """The drawn samples as RUN/spot_check/SAMPLE.png, for who fills the sheet in elsewhere; the folder."""
    sheet, folder = _there(run), run.path / names.SPOT_PICTURES
    folder.mkdir(exist_ok=True)
    with np.load(run.path / names.SAMPLES) as arrays:
        debiased = arrays["debiased"]
    for sample in sheet.samples:
        Image.fromarray(debiased[sample]).save(folder / f"{sample:06d}.png")
    return folder


def found(run: RunFolder, sheet: Sheet) -> dict:
    """`spot_check` of the comparison's result.json: post-stratified shares beside the corrected ones, and whether they disagree.

    Raises UserInputError before enough samples are labelled, and for a label that is not a value: the file may have been filled in by hand.
    """
    _check(sheet, dict(zip(sheet.samples, sheet.labels, strict=True)))
    classes, _, placed = _predicted(run)
    known = [k for k, value in enumerate(sheet.labels) if value not in ("", UNSURE)]
    if len(known) < FEWEST:
        raise UserInputError("label", f"{len(known)} samples have a label", f"label at least {FEWEST}")
    rows, truth = np.array([sheet.samples[k] for k in known]), [sheet.labels[k] for k in known]
    listed, words = [], []
    tested = len(sheet.values) if " x " not in sheet.attribute else sum(map(len, _within(sheet.attribute, classes).values()))
    shares = {(s["attribute"], s["value"]): s for s in (run.result() or {}).get("shares", []) if s["set"] == "debiased"}
    smallest = 0.0
    for name, values in _within(sheet.attribute, classes).items():
        of_joint = _codes_of(name, sheet.attribute, classes)
        own = np.array([of_joint[sheet.values.index(value)] for value in truth])
        spot = post_stratified(placed[sheet.attribute], rows, own, len(values))
        other = [shares[name, value]["corrected"] or shares[name, value] for value in values]
        theirs = np.array([o["share"] for o in other]), np.array([o["interval"] for o in other])
        far = spot.disagrees(*theirs, tested)
        smallest = max(smallest, spot.smallest(theirs[1], tested))
        for k, value in enumerate(values):
            row = {"attribute": name, "value": value, "share": spot.shares[k], "interval": spot.intervals[k]}
            corrected = bool(shares[name, value]["corrected"])
            listed.append({**row, "other": {**other[k], "corrected": corrected}, "disagrees": bool(far[k])})
            if far[k]:
                words.append(_disagreement(name, value, spot, k, other[k], corrected))
    about = {"attribute": sheet.attribute, "n": len(known), "unsure": sheet.labels.count(UNSURE), "drawn": len(sheet.samples)}
    return {**about, "shares": listed, "disagrees": bool(words), "sentences": words or [_agreement(len(known), smallest)]}


def finish(run: RunFolder) -> dict:
    """Put what `found` says into RUN/result.json, and make the report again."""
    check = found(run, _there(run))
    result = {name: value for name, value in (run.result() or {}).items() if name not in ("schema_version", "kind")}
    run.write_result({**result, "spot_check": check})
    write_report(run.path, collect([run.path]))
    return (run.result() or {})["spot_check"]


def _disagreement(name: str, value: str, spot: PostStratified, k: int, other: dict, corrected: bool) -> str:
    mine, theirs = (Estimate(share, tuple(interval)).percent() for share, interval in ((spot.shares[k], spot.intervals[k]), _pair(other)))
    how = "corrected" if corrected else "raw"
    return (
        f"The spot check disagrees. {name}, {value}: {mine} by a person’s labels of {spot.n:,} samples, {theirs} by the {how} share. The "
        "classifier errs on generated images in another way than it was corrected for; rely on the labels."
    )


def _agreement(n: int, smallest: float) -> str:
    return (
        f"A person’s labels of {n:,} samples show no disagreement with the classifier’s shares. A disagreement of "
        f"{100 * smallest:.0f} points would be seen in 80 % of cases."
    )


def _pair(found: dict) -> tuple[float, list[float]]:
    return found["share"], found["interval"]


def _within(attribute: str, classes: dict[str, list[str]]) -> dict[str, list[str]]:
    """The attributes and crossings whose value follows from a value of `attribute`."""
    parts = set(attribute.split(" x "))
    return {
        name: values for name, values in classes.items() if name == attribute or (" x " in attribute and set(name.split(" x ")) <= parts)
    }


def _codes_of(name: str, joint: str, classes: dict[str, list[str]]) -> list[int]:
    """For each value of `joint` the place of the value of `name` that it has."""
    if name == joint:
        return list(range(len(classes[joint])))
    parts = joint.split(" x ")
    sizes = [len(classes[part]) for part in parts]
    grid = np.indices(sizes).reshape(len(sizes), -1)
    place = np.zeros(grid.shape[1], int)
    for part in name.split(" x "):
        place = place * len(classes[part]) + grid[parts.index(part)]
    return place.tolist()


def _predicted(run: RunFolder) -> tuple[dict[str, list[str]], list[int], dict[str, np.ndarray]]:
    """(values of every attribute and crossing, seeds of the samples, codes [N] of the debiased samples per attribute and crossing)."""
    try:
        kept = read_json(run.path / names.PREDICTED)
    except FileNotFoundError:
        kept = {"classes": {}}
    if run.kind != "compare" or not kept["classes"]:
        raise UserInputError("run", f"{run.path} has no samples that a classifier has counted", "give a comparison made with labels")
    classes = {str(name): list(values) for name, values in kept["classes"].items()}
    frame = pd.DataFrame({name: np.array(values, object)[kept["codes"]["debiased"][name]] for name, values in classes.items()})
    return crossed_classes(classes), list(kept["seeds"]), codes(frame, classes)


def _there(run: RunFolder) -> Sheet:
    sheet = read_sheet(run)
    if sheet is None:
        raise UserInputError("run", f"{run.path} has no {names.SPOT_CHECK} yet", "draw the samples first")
    return sheet


def _write(run: RunFolder, sheet: Sheet) -> None:
    columns = [sheet.samples, sheet.seeds, [sheet.attribute] * len(sheet.samples), sheet.labels]
    write_atomic(run.path / names.SPOT_CHECK, as_csv(pd.DataFrame(dict(zip(HEAD, columns, strict=True)))))


def _parsed(run: RunFolder, data: bytes) -> Sheet:
    """A sheet from CSV. What was made harmless for spreadsheets is what it was again."""
    classes, seeds, _ = _predicted(run)
    try:
        lines = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        samples = tuple(int(line["sample"]) for line in lines)
        called = {line["attribute"].strip() for line in lines}
        raw = [(line["label"] or "").strip() for line in lines]
    except (UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"the sheet has no columns {', '.join(HEAD)}, or a sample that is not a number"
        raise UserInputError("label", found, "fill in the column label of the file as it was written, and save it as CSV") from error
    attribute = next((name for name in classes if called == {harmless(name)} or called == {name}), None)
    if attribute is None or len(set(samples)) != len(samples) or not all(0 <= sample < len(seeds) for sample in samples):
        raise UserInputError("label", "the sheet is of another comparison", f"fill in {run.path / names.SPOT_CHECK}")
    values = {str(harmless(value)): value for value in classes[attribute]} | {value: value for value in classes[attribute]}
    labels = tuple(values.get(text, text) for text in raw)
    return Sheet(attribute, tuple(classes[attribute]), samples, tuple(seeds[sample] for sample in samples), labels)


def write_predicted(path: Path, seeds: list[int], classes: dict[str, list[str]], predicted: dict[str, pd.DataFrame]) -> None:
    """RUN/predicted.json: what the classifier calls every sample, as places among the values; any text may be a value."""
    placed = {set_: codes(frame, classes) for set_, frame in predicted.items()}
    found = {set_: {name: of_set[name].tolist() for name in classes} for set_, of_set in placed.items()}
    write_atomic(path, json.dumps({"seeds": seeds, "classes": classes, "codes": found}).encode())
