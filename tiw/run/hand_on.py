"""One report out of an audit, a debiasing and a comparison: report.html to hand on, report.json and tables with every number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ..errors import UserInputError
from ..files import as_csv, write_atomic
from . import names
from .about import keep, kept
from .card import write_card
from .fields import GLOSSARY, Findings, findings
from .folder import RunFolder
from .options import DebiasOptions
from .report import Block, Picture, page, source
from .versions import machine, package_versions

SCHEMA_VERSION = 1
PARTS = ("audit", "debias", "compare")
THUMBNAIL = 64  # pixels, at most
PASSING = ("seconds", "versions", "machine")  # of a result: of the day it was made on


@dataclass(frozen=True)
class Report:
    """What is written, before it is."""

    findings: Findings
    results: dict[str, dict]  # kind -> result.json
    versions: dict[str, str]
    hash: str  # SHA-256 over results, what the user said, and versions

    def to_json(self) -> dict:
        """report.json; docs/report.schema.json describes it."""
        made = datetime.now(timezone.utc).isoformat(timespec="seconds")
        about = {"schema_version": SCHEMA_VERSION, "made": made, "hash": self.hash, "versions": self.versions}
        return {**about, **self.findings.to_json(), "results": self.results}


def collect(runs: Sequence[str | Path], audit: str | Path | None = None) -> dict[str, RunFolder]:
    """The finished runs a report is made of, one a kind; a comparison brings its debiasing and that its audit, a demo all three.

    Raises UserInputError for a folder that holds no such run, and for one that has not finished.
    """
    found: dict[str, RunFolder] = {}

    def add(run: RunFolder, asked: bool) -> None:
        if run.kind == "demo":
            for kind in PARTS:
                add(RunFolder.open(run.path / kind), True)
            return
        if run.kind not in PARTS:
            raise UserInputError("runs", f"{run.path} holds a run of {run.kind}", f"give runs of {', '.join(PARTS)}, or of demo")
        if run.result() is None:
            if asked:
                raise UserInputError("runs", f"{run.path} has no result yet", "wait until it has finished")
            return
        if run.kind in found and asked and found[run.kind].path.resolve() != run.path.resolve():
            raise UserInputError("runs", f"there are two runs of {run.kind}", "give one of each kind")
        found.setdefault(run.kind, run)

    for path in runs:
        add(RunFolder.open(path), True)
    if audit:
        add(RunFolder.open(audit), True)
    if "compare" in found and "debias" not in found:
        _add_if_there(add, found["compare"].options.debiased, debiasing_run)
    if "debias" in found and "audit" not in found and found["debias"].options.audit:
        _add_if_there(add, found["debias"].options.audit, RunFolder.open)
    return found


def _add_if_there(add: Callable[[RunFolder, bool], None], path: str, opened: Callable[[str], RunFolder | None]) -> None:
    with suppress(UserInputError):
        if (run := opened(path)) is not None:
            add(run, False)


def debiasing_run(model: str) -> RunFolder | None:
    """The run of debias whose `model` or `raw` folder this is, or one that it kept; None for any other folder."""
    folder = Path(model)
    home = folder.parents[1] if folder.parent.name == names.KEPT else folder.parent
    if (home == folder.parent and folder.name not in (names.MODEL, names.RAW)) or not (home / names.CONFIG).is_file():
        return None
    run = RunFolder.open(home)
    return run if isinstance(run.options, DebiasOptions) else None


def make_report(runs: dict[str, RunFolder], about: dict[str, str] | None = None) -> Report:
    """The report of these runs, with what the user says about them (`about.read_about`)."""
    results = {kind: run.result() for kind, run in runs.items()}
    versions = package_versions()
    commands = [f"python -m tiw replay {run.path.name}" for run in runs.values()]
    solid = {kind: {k: v for k, v in result.items() if k not in PASSING} for kind, result in results.items()}
    text = json.dumps([solid, about or {}, versions], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Report(findings(results, about or {}, versions, commands, machine()), results, versions, digest)


def write_report(out: Path, runs: dict[str, RunFolder], about: dict[str, str] | None = None, images: bool | None = None) -> Report:
    """OUT/report.html, report.json, the tables as report-*.csv, every number as report-numbers.csv, and the card of the debiased pipeline.

    about, images: None: as when the report was made before, or another one about this model.
    """
    debiased = runs["debias"].path if "debias" in runs else out
    said, shown = kept(out, debiased)
    said, shown = said if about is None else about, shown if images is None else images
    report = make_report(runs, said)
    out.mkdir(parents=True, exist_ok=True)
    for folder in {out, debiased} if about is not None else {out}:
        keep(folder, said, shown)
    pictures = example_pictures(runs["compare"]) if shown and "compare" in runs else {}
    write_atomic(out / names.REPORT, report_html(report, pictures).encode())
    write_atomic(out / names.REPORT_JSON, (json.dumps(report.to_json(), indent=1) + "\n").encode())
    for field_ in report.findings.fields:
        if field_.table is not None:
            frame = pd.DataFrame(field_.table.rows, columns=field_.table.head)
            write_atomic(out / f"report-{field_.number:02d}.csv", as_csv(frame))
    write_atomic(out / names.REPORT_NUMBERS, as_csv(pd.DataFrame(every_number(report.results), columns=["run", "number", "value"])))
    model = Path(runs["compare"].options.debiased) if "compare" in runs else debiased / names.MODEL
    if "debias" in runs and model.is_dir():
        write_card(model, report.findings, said, report.hash, runs["debias"].about()[0])
    return report


def every_number(results: dict[str, dict]) -> list[tuple[str, str, float]]:
    """(run, place in its result.json, number), unrounded."""
    found = []

    def walk(run: str, place: str, value: object) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                walk(run, f"{place}.{key}".lstrip("."), part)
        elif isinstance(value, list):
            for k, part in enumerate(value):
                walk(run, f"{place}[{_called(part, k)}]", part)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((run, place, value))

    for run, result in results.items():
        walk(run, "", result)
    return found


def _called(part: object, k: int) -> str:
    """What stands in a list, by what it says of itself, else by its place."""
    said = [
        str(part[key])
        for key in ("from", "set", "attribute", "value", "group", "name")
        if isinstance(part, dict) and isinstance(part.get(key), str)
    ]
    return ", ".join(said) or str(k)


def report_html(report: Report, pictures: dict[int, list[Picture]]) -> str:
    """The front page and the fifteen fields as one self-contained page; `pictures` of each field."""
    found = report.findings
    front = Block(texts=[f"Verdict. {found.verdict}", f"Who may rely on it. {found.reliance}"])
    steps = Block("What to do next", found.next_steps)
    blocks = [
        Block(
            f"{f.number} {f.title}",
            f.texts,
            f.flags,
            head=f.table.head if f.table else [],
            rows=f.table.rows if f.table else [],
            pictures=p,
        )
        for f in found.fields
        for p in [pictures.get(f.number, [])]
    ]
    words = Block("Glossary", head=["Word", "Meaning"], rows=[list(row) for row in GLOSSARY])
    return page(found.finding, front, steps, *blocks, words, Block("Hash of this report", [report.hash]))


def example_pictures(run: RunFolder) -> dict[int, list[Picture]]:
    """Contact sheets for the fields: pairs, the nearest pairs, and the images the test without labels is surest of."""
    found: dict[int, list[Picture]] = {}
    if (run.path / names.SAMPLES).is_file():
        with np.load(run.path / names.SAMPLES) as arrays:
            for name in ("baseline", "debiased"):
                caption = f"The first 24 {name} samples; the same seeds in the same places"
                found.setdefault(9, []).append(_picture(arrays[name][:24], 12, caption))
    if (run.path / names.EXAMPLES).is_file():
        captions = {
            "surest_samples": (10, "Debiased samples that look least like the reference"),
            "surest_references": (10, "References that look least like samples"),
            "nearest_samples": (11, "Debiased samples that lie nearest to a reference"),
            "nearest_references": (11, "The references they lie nearest to, in the same places"),
            "samples_near_training": (11, "Debiased samples that lie nearest to an image that the baseline was trained on"),
            "nearest_training": (11, "The training images they lie nearest to, in the same places"),
        }
        with np.load(run.path / names.EXAMPLES) as arrays:
            for name, (number, caption) in captions.items():
                if name in arrays and len(arrays[name]):
                    found.setdefault(number, []).append(_picture(arrays[name], 12, caption))
            for name in arrays:
                if name.startswith("group "):
                    found.setdefault(12, []).append(_picture(arrays[name], 12, f"Unnamed {name}: the images in its middle"))
    return found


def _picture(images: np.ndarray, columns: int, caption: str) -> Picture:
    if images.shape[1] > THUMBNAIL:
        size = (THUMBNAIL, THUMBNAIL)
        images = np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)) for image in images])
    return Picture(source(images, columns), f"{len(images)} images. {caption}", caption, min(columns, len(images)))
