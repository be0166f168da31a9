"""The command line: python -m tiw audit, debias, and the other actions of tiw/run/options.py, one option per field there."""

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
from .choices import TRAINING
from .described import described
from .errors import UserInputError
from .intervals import Estimate
from .model import processes
from .run import folder as run_folder
from .run.execute import execute
from .run.folder import RunFolder
from .run.options import OPTIONS

RESUMED = (*TRAINING, "demo")  # whose run folder holds what a second start goes on from

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find dataset bias with a small reference set, and debias diffusion models with it.",
)


def _command(kind: str) -> None:
    """Register `kind` with one option per field of its dataclass."""
    options_class = OPTIONS[kind]
    types, about = get_type_hints(options_class), described(options_class)

    def command(out: Path, name: str | None, note: str | None, **given: object) -> None:
        chosen = {name: value for name, value in given.items() if value is not None}
        try:
            there = not chosen and (out / "config.json").is_file()  # then its config says what to do
            options = RunFolder.open(out).options if there else options_class(**chosen)
            with _run_folder(out, kind, options) as run:
                if name is not None or note is not None:
                    run.describe(*(new if new is not None else old for new, old in zip((name, note), run.about(), strict=True)))
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
            status = run.status()
            print(status["message"] + _would_help(status["offers"] or {}), file=sys.stderr)
        raise typer.Exit(code)

    def parameter(name: str, default: object, type_: object, option: object) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[type_, option])

    out_default = Path("tiw-demo") if kind == "demo" else inspect.Parameter.empty
    out_help = f"Run folder; the same command on the same folder {'resumes' if kind in RESUMED else 'starts again'}."
    parameters = [
        parameter("out", out_default, Path, typer.Option(help=out_help)),
        parameter("name", None, str | None, typer.Option(help="What the page and reports call the run.", show_default=False)),
        parameter("note", None, str | None, typer.Option(help="Anything that is kept beside it.", show_default=False)),
    ]
    for field in fields(options_class):
        option = typer.Option(help=about[field.name].sentence, show_default=str(field.default) or False)
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


def _would_help(offers: dict) -> str:
    """The options that an error says would mend it, as they are typed."""
    words = [f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}") for name, value in offers.items()]
    return f" ({' '.join(words)})" if words else ""


def _say(run: RunFolder) -> None:
    """What a person wants to know at the end, on standard output."""
    if run.status()["state"] == "stopped":
        print(f"Stopped. The same command with --out {run.path} {'resumes' if run.kind in RESUMED else 'starts it again'}.")
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
        rows.append([f"{attribute}: {value}", *(f"{Estimate.of(s, 'share').percent(1)} n {s['n']}" if s else "" for s in found)])
    for name in ("fairness_discrepancy", "frechet_distance"):
        if measured := result.get(name):
            shown = [Estimate.of(measured[set_]).text("{:.3g}") for set_ in ("baseline", "debiased", "floor")]
            rows.append([name.replace("_", " "), *shown[:2], f"same-n floor {shown[2]}"])
    if resampled := (result.get("frechet_distance") or {}).get("baseline_resampled"):
        rows.append(["  resampled to the shares", Estimate.of(resampled).text("{:.3g}")])
    if gap := result.get("gap_closed"):
        rows.append(["gap closed", "", Estimate.of(gap).percent(1)])
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "\n".join([*lines, f"{result['seconds']:.0f} seconds, 95 % intervals in brackets"])


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


@app.command("report")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of an audit, a debias and a compare run, or of a demo.")],
    audit: Annotated[Path | None, typer.Option(help="Folder of the audit, where no other run names it.")] = None,
    about: Annotated[
        Path | None,
        typer.Option(help="TOML file with what only you know: purpose, origin, who chose the reference. Empty: what was said before."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write into; empty: that of the last run. An audit alone needs one.")] = None,
    images: Annotated[bool | None, typer.Option(help="Show images in the report. Empty: as before, at first yes.")] = None,
) -> None:
    """One report to hand on: report.html, report.json and its tables, and the model card of the debiased pipeline."""
    from .run import hand_on, names
    from .run.about import read_about

    with _said():
        found, told = hand_on.collect(runs, audit), read_about(about) if about else None
        where = out or found[max(found, key=hand_on.PARTS.index)].path
        _replaces_none(where)
        made = hand_on.write_report(where, found, told, images)
    print(made.findings.finding, made.findings.verdict, where / names.REPORT, sep="\n")


def _replaces_none(out: Path) -> None:
    """Raises UserInputError for a folder with a report that was not made here: an audit's own, with its charts."""
    from .run import names

    if (out / names.REPORT).is_file() and not (out / names.REPORT_JSON).is_file():
        found = f"{out} has a report of its own, which this one would replace"
        raise UserInputError("out", found, f"give another folder: --out {out}-report")


@app.command("spot-check")
def spot_check(
    run: Annotated[Path, typer.Argument(help="Folder of a finished compare run with attributes.")],
    size: Annotated[int, typer.Option(help="Samples to draw the first time, 100 to 300.")] = 200,
    attribute: Annotated[str, typer.Option(help="What is labelled, for instance hair; empty: all attributes at once.")] = "",
    labels: Annotated[Path | None, typer.Option(help="A filled-in copy of RUN/spot_check.csv; empty: RUN/spot_check.csv itself.")] = None,
) -> None:
    """Draw samples for a person to label; called again, hold the labels against the corrected shares and make the report anew."""
    from .run import names
    from .run import spot_check as spot

    with _said():
        opened = RunFolder.open(run)
        if spot.read_sheet(opened) is None and labels is None:
            sheet = spot.draw_sheet(opened, size, attribute)
            print(f"Fill in the column label of {run / names.SPOT_CHECK} with {', '.join(sheet.values)}, or {spot.UNSURE} if unsure.")
            print(f"The {len(sheet.samples)} samples are in {spot.write_pictures(opened)}. Then give the same command, or use the page.")
            return
        if labels is not None:
            spot.take_csv(opened, _read(labels))
        found = spot.finish(opened)
    for row in found["shares"]:
        by_hand, counted = (Estimate.of(one, "share").percent(1) for one in (row, row["other"]))
        print(f"{row['attribute']}: {row['value']}  labelled {by_hand}  {'corrected' if row['other']['corrected'] else 'raw'} {counted}")
    print(f"{found['n']} labelled of {found['drawn']}, {found['unsure']} unsure.", *found["sentences"], run / names.REPORT, sep="\n")


@app.command("replay")
def replay(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the second run; empty: RUN-replay.")] = None,
) -> None:
    """A run again from its config.json alone, and which numbers and versions differ."""
    from .run.replay import replay as again

    with _said():
        found = again(RunFolder.open(run), out or run.with_name(f"{run.name}-replay"), execute)
    print(*found.different[:20], found.sentence, sep="\n")
    raise typer.Exit(1 if found.different else 0)


@app.command("push")
def push(
    run: Annotated[Path, typer.Argument(help="Folder of a debias run whose report has been made.")],
    to: Annotated[str, typer.Option(help="OWNER/NAME on the hub.")],
) -> None:
    """Send the debiased pipeline with its model card to a hub, as a private repository."""
    from .run import card, names

    typer.confirm(f"Send {run / names.MODEL} to {to}?", abort=True)
    with _said():
        print(card.push(run / names.MODEL, to))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserInputError("labels", f"{path} cannot be read ({error.strerror})", "give a CSV file") from error


@contextmanager
def _said() -> Iterator[None]:
    """A user's error as a sentence and exit code 2."""
    try:
        yield
    except UserInputError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None


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
    """What comes before every command: progress on standard error, by the first process alone."""
    if processes.is_first():
        run_folder.ON_PROGRESS = _Bar() if sys.stderr.isatty() else _Lines()


if __name__ == "__main__":
    app()
