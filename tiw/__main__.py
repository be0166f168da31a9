"""The command line: python -m tiw audit, debias, and the other actions of tiw/options.py, one option per field there."""

from __future__ import annotations

import inspect
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, get_type_hints

import typer

from . import __version__
from .choices import ENCODERS, OBJECTIVES, SOLVERS, SPLITS, TRAINING
from .errors import UserInputError
from .model import processes
from .run import folder as run_folder
from .run.execute import execute
from .run.folder import RunFolder
from .run.options import OPTIONS

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find dataset bias with a small reference set, and debias diffusion models with it.",
)

HELP = {
    "biased": "The large image set: folder, .zip, .npz, .npy, .parquet, a split's .json, hub:OWNER/NAME, or demo.",
    "reference": "The small set drawn from the distribution you want; a path like those of --biased, or demo.",
    "baseline": "Folder of the diffusion model trained on the biased set, or demo; audit: or none.",
    "debiased": "Folder of the debiased model (RUN/model).",
    "model": "Folder of the model to sample, or demo.",
    "data": "Images to train on, or to split by their labels; or demo.",
    "labels": "Labelled images for the attribute classifier, an .onnx file, ita (skin colour), or demo; empty: no shares.",
    "attributes": "Attributes that count, with commas between; empty: all, if there are one or two.",
    "encoder": f"Of the quality measures: {', '.join(ENCODERS[:-1])} or {ENCODERS[-1]}.",
    "margin": "Excess of the AUC in the test without labels that would not matter, set before.",
    "heldout": "Images for the quality measures; empty: the reference.",
    "audit": "Folder of a finished audit whose ratio is used; empty: fit one here.",
    "guidance": "Folder of a finished audit whose ratio steers the samples towards its reference; empty: no guidance.",
    "references": "Use this many of the reference images; 0: all.",
    "levels": "Noise levels: fewer take less time.",
    "scored": "Biased images drawn for charts and map.",
    "folds": "Folds of the cross-fit: every image is scored by a model that did not see it.",
    "estimator": "convex, network, or auto: the one with the lower held-out cross-entropy.",
    "map": "Draw the map after the charts.",
    "score_all": "Score the biased images that were not drawn for the charts too, at the end.",
    "objective": f"{', '.join(OBJECTIVES[:-1])} or {OBJECTIVES[-1]}.",
    "class_label": "Column with the classes that a class-conditional baseline was trained on; all sets need it.",
    "strength": "Of the correction or the guidance: a number, or auto: matched to the reference without any label.",
    "anchor": "Share of the frozen baseline in the target, 0 (the paper) to 1; C0:C1: from the first step to the last.",
    "reference_share": "Share of reference images in a batch, from 0 up to, but not 1.",
    "steps": "Number of steps; 0: as many as fit into --minutes.",
    "minutes": "Budget, turned into steps at the start.",
    "batch_size": "Images a step.",
    "learning_rate": "At the start; it decays to the end of the budget. debias: 0 is the usual one for the objective.",
    "ema": "Decay per step of the moving average of the weights.",
    "weight_clip": "Largest weight of an image; 0: none.",
    "sigma_scale": "TIW draws its noise levels this many times as high as the checkpoint did; 1: as high.",
    "sigma_min": "Lowest noise level; 0: the checkpoint's own.",
    "sigma_max": "Highest noise level; 0: the checkpoint's own.",
    "preview_every": "Steps between image grids; 0: a few in all.",
    "checkpoint_every": "Steps between checkpoints; 0: with each grid, and every ten minutes.",
    "precision": "auto, float32 or bfloat16.",
    "count": "Number of images (of each model).",
    "sampling_steps": "Steps of the sampler.",
    "solver": f"Of the sampler: {' or '.join(SOLVERS)}.",
    "preset": "demo: quick (five minutes on 2 cores) or full (fifteen); train: name of the network.",
    "resolution": "Pixels per side: images of another size are cropped and resized; 0: as they are.",
    "skip_bad": "Leave out files that cannot be used, instead of stopping.",
    "fix": "Properties of the camera check that may be mended, with commas between; empty: all that it names.",
    "kind": f"{', '.join(SPLITS[:-1])} (of one attribute) or {SPLITS[-1]} (of two).",
    "attribute": "Label to split by; two with a comma for joint; empty: the first.",
    "imbalance": "Long tail: size of the largest class over that of the smallest.",
    "shares": "Of the biased set, in per cent: darker=10,lighter=90; joint darker/long=5,...; empty: 90 to 10.",
    "size": "Images of the biased set; 0: as many as there can be.",
    "reference_percent": "Size of the reference set, in per cent of the biased set.",
    "heldout_percent": "Size of the held-out set, in per cent of the biased set.",
    "reference_shares": "Of the reference and held-out sets, in per cent; empty: even.",
    "seed": "Everything random follows from it.",
    "device": "auto, cpu, cuda, cuda:N or mps.",
}


def _command(kind: str) -> None:
    """Register `kind` with one option per field of its dataclass."""
    options_class = OPTIONS[kind]
    types = get_type_hints(options_class)

    def command(out: Path, **given: object) -> None:
        chosen = {name: value for name, value in given.items() if value is not None}
        try:
            there = not chosen and (out / "config.json").is_file()  # then its config says what to do
            options = RunFolder.open(out).options if there else options_class(**chosen)
            with _run_folder(out, kind, options) as run:
                code = execute(run)
        except UserInputError as error:
            print(error, file=sys.stderr)
            raise typer.Exit(2) from None
        finally:
            if isinstance(run_folder.ON_PROGRESS, _Bar):
                run_folder.ON_PROGRESS.close()
        if processes.is_first() and code == 0:
            _say(run)
        elif processes.is_first():
            print(run.status()["message"], file=sys.stderr)
        raise typer.Exit(code)

    def parameter(name: str, default: object, type_: object, option: object) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[type_, option])

    out_default = Path("tiw-demo") if kind == "demo" else inspect.Parameter.empty
    out_help = "Run folder; the same command on the same folder resumes."
    parameters = [parameter("out", out_default, Path, typer.Option(help=out_help))]
    for field in fields(options_class):
        option = typer.Option(help=HELP[field.name], show_default=str(field.default) or False)
        parameters.append(parameter(field.name, None, types[field.name] | None, option))
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    app.command(kind, help=options_class.__doc__)(command)


@contextmanager
def _run_folder(out: Path, kind: str, options: object) -> Iterator[RunFolder]:
    """RUN; for a process that is not the first of several one that is thrown away."""
    if processes.size() > 1 and kind not in TRAINING:
        raise UserInputError("num_processes", f"{kind} is done by one process", f"launch several for {' or '.join(TRAINING)} only")
    if processes.is_first():
        yield RunFolder.create(out, kind, options)
        return
    if (out / "config.json").is_file():
        RunFolder.create(out, kind, options)  # complains as it does to the first
    with tempfile.TemporaryDirectory() as folder:
        yield replace(RunFolder.create(folder, kind, options), leader=out)


def _say(run: RunFolder) -> None:
    """What a person wants to know at the end, on standard output."""
    if run.status()["state"] == "stopped":
        print(f"Stopped. The same command with --out {run.path} resumes.")
        return
    result = run.result()
    if run.kind == "audit":
        first = [found["sentence"] for found in (*result["problems"], *result["camera"])]
        print(*first, result["verdict"]["sentence"], *result["verdict"]["reasons"], sep="\n")
    elif run.kind == "even-out":
        print(*(f"Both sets: {step}." for step in result["steps"]), *(f"Left: {found}" for found in result["left"]), sep="\n")
    elif run.kind in ("demo", "compare"):
        print(_table(result))
    print(run.path / "result.json")


def _table(result: dict) -> str:
    """Shares of every attribute before, after and in the reference, then the distances, each with n and 95 % interval."""
    columns = ("baseline", "debiased", "reference")
    rows = [["", *(f"{name} ({result['n']:,} samples)" if name != "reference" else name for name in columns)]]
    cells = {(s["attribute"], s["value"], s["set"]): s for s in result["shares"]}
    for attribute, value in dict.fromkeys((s["attribute"], s["value"]) for s in result["shares"]):
        found = [cells.get((attribute, value, name)) for name in columns]
        rows.append([f"{attribute}: {value}", *(_estimate(s["share"], s["interval"], "%") + f" n {s['n']}" if s else "" for s in found)])
    for name in ("fairness_discrepancy", "frechet_distance"):
        if measured := result.get(name):
            shown = [_estimate(measured[set_]["value"], measured[set_]["interval"]) for set_ in ("baseline", "debiased", "floor")]
            rows.append([name.replace("_", " "), *shown[:2], f"same-n floor {shown[2]}"])
    if resampled := (result.get("frechet_distance") or {}).get("baseline_resampled"):
        rows.append(["  resampled to the shares", _estimate(resampled["value"], resampled["interval"])])
    if gap := result.get("gap_closed"):
        rows.append(["gap closed", "", _estimate(gap["value"], gap["interval"], "%")])
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "\n".join([*lines, f"{result['seconds']:.0f} seconds, 95 % intervals in brackets"])


def _estimate(value: float, interval: list[float], unit: str = "") -> str:
    """'12.3 % [10.1, 14.5]', or '0.123 [0.101, 0.145]'."""
    if unit:
        return f"{100 * value:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
    return f"{value:.3g} [{interval[0]:.3g}, {interval[1]:.3g}]"


class _Bar:
    """A progress bar on standard error, one per stage."""

    def __init__(self) -> None:
        self.bar, self.stage = None, ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if stage != self.stage:
            self.close()
            self.bar, self.stage = tqdm(total=total, desc=stage, initial=done, mininterval=0.5), stage
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class _Lines:
    """For logs: one line per stage on standard error."""

    stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self.stage:
            self.stage = stage
            print(stage, file=sys.stderr, flush=True)


for _kind in OPTIONS:
    _command(_kind)


@app.command("app", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def page(context: typer.Context) -> None:
    """Start the page in the browser; `tiw app --help` lists its options."""
    installed = f"{__package__}.page.app"  # so the wheel has it (pyproject.toml); in a checkout it lies beside
    import_module(installed if find_spec(f"{__package__}.page") else "ui.app").main(context.args)


def _version(value: bool) -> None:
    if value:
        print(__version__)
        raise typer.Exit


@app.callback()
def main(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False) -> None:
    if processes.is_first():
        run_folder.ON_PROGRESS = _Bar() if sys.stderr.isatty() else _Lines()


if __name__ == "__main__":
    app()
