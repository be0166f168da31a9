"""The command line: python -m tiw audit|preview|debias|train|sample|compare|demo. One option per field of tiw/options.py."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, get_type_hints

import typer

from . import __version__, runs
from .errors import UserInputError
from .jobs import execute
from .options import OPTIONS
from .runs import RunFolder

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Find dataset bias with a small reference set, and debias diffusion models with it.")

HELP = {
    "biased": "The large image set: folder, .zip, .npz, .parquet, or demo.",
    "reference": "The small set drawn from the distribution you want.",
    "baseline": "Folder of the diffusion model trained on the biased set, or demo.",
    "debiased": "Folder of the debiased model (RUN/model).",
    "audit": "Folder of a finished audit whose ratio is used; empty: fit one here.",
    "references": "Use this many of the reference images; 0: all.",
    "objective": "tiw-dsm, dsm-ref, dsm-obs, iw-dsm, correction-only or weight-only.",
    "strength": "auto (matched to the reference without labels), or a number.",
    "anchor": "Share of the frozen baseline in the target, 0 (the paper) to 1.",
    "minutes": "Budget, turned into steps at the start.",
    "steps": "Number of steps; 0: as many as fit into --minutes.",
    "labels": "Labelled images to fit the attribute classifier on, or demo.",
    "heldout": "Images for the quality measures; empty: the reference.",
    "preset": "demo: quick (five minutes) or full (fifteen); train: the network.",
    "map": "Compute the map after the charts.",
}


def _command(kind: str) -> None:
    """Register `kind` with one option per field of its dataclass."""
    options_class = OPTIONS[kind]
    types = get_type_hints(options_class)
    default_out = Path("tiw-demo") if kind == "demo" else inspect.Parameter.empty

    def command(out: Path, **given: object) -> None:
        try:
            chosen = {name: value for name, value in given.items() if value is not None}
            if not chosen and (out / "config.json").is_file():
                run = RunFolder.open(out)
                if run.kind != kind:
                    raise UserInputError("out", f"{out} holds a run of {run.kind}", "choose another folder")
            else:
                run = RunFolder.create(out, kind, options_class(**chosen))
        except UserInputError as error:
            print(error, file=sys.stderr)
            raise typer.Exit(2) from None
        code = execute(run)
        if code == 0:
            _say(run)
        else:
            print(run.status()["message"], file=sys.stderr)
        raise typer.Exit(code)

    parameters = [inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=default_out, annotation=Annotated[Path, typer.Option(help="Run folder.")])]
    for field in fields(options_class):
        kind_of = types[field.name] | None
        option = typer.Option(help=HELP.get(field.name, ""), show_default=str(field.default))
        parameters.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind_of, option]))
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    app.command(kind, help=options_class.__doc__)(command)


def _say(run: RunFolder) -> None:
    """What a person wants to know at the end, on standard output."""
    result = run.result()
    if run.status()["state"] == "stopped":
        print(f"Stopped. The same command with --out {run.path} resumes.")
    elif run.kind == "audit":
        print(result["verdict"]["sentence"], *result["verdict"]["reasons"], sep="\n")
    elif run.kind in ("demo", "compare"):
        print(_table(result))
    print(f"{run.path}/result.json")


def _table(result: dict) -> str:
    """Shares of every attribute before, after and in the reference, then the distances."""
    sets = ["baseline", "debiased", "reference"]
    lines = [f"{'':24}" + "".join(f"{name:>28}" for name in sets)]
    cells = {(s["attribute"], s["value"], s["set"]): s for s in result["shares"]}
    for attribute, value in dict.fromkeys((s["attribute"], s["value"]) for s in result["shares"]):
        row = [cells.get((attribute, value, name)) for name in sets]
        shown = [f"{100 * c['share']:.1f} % [{100 * c['interval'][0]:.1f}, {100 * c['interval'][1]:.1f}] n {c['n']}" if c else "" for c in row]
        lines.append(f"{attribute + ' ' + value:24}" + "".join(f"{text:>28}" for text in shown))
    for name in ("fairness_discrepancy", "frechet_distance"):
        if result.get(name):
            pair = [f"{m['value']:.3f} [{m['interval'][0]:.3f}, {m['interval'][1]:.3f}]" for m in (result[name]["baseline"], result[name]["debiased"])]
            lines.append(f"{name.replace('_', ' '):24}" + "".join(f"{text:>28}" for text in pair))
    lines.append(f"{result['seconds']:.0f} seconds" if "seconds" in result else "")
    return "\n".join(lines)


class _Bar:
    """A progress bar on standard error, one per stage."""

    def __init__(self) -> None:
        self.bar, self.stage = None, ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if stage != self.stage:
            self.close()
            self.bar, self.stage = tqdm(total=total, desc=stage, leave=True, mininterval=0.5), stage
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


for _kind in OPTIONS:
    _command(_kind)


def _version(value: bool) -> None:
    if value:
        print(__version__)
        raise typer.Exit


@app.callback()
def main(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False) -> None:
    if sys.stderr.isatty():
        runs.ON_PROGRESS = _Bar()


if __name__ == "__main__":
    app()
