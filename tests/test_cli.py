"""The command line, as a user types it; the work itself is pretended, so no torch here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
from served import ROOT
from typer.testing import CliRunner

from tiw import __version__
from tiw.__main__ import app
from tiw.errors import UserInputError
from tiw.run import folder
from tiw.run.folder import RunFolder, Stopped
from tiw.run.options import OPTIONS, DebiasOptions

MEASURED = {"value": 0.5, "interval": [0.4, 0.6]}
SHARES = [("baseline", 0.75, [0.7, 0.8], 1000), ("debiased", 0.5, [0.45, 0.55], 1000), ("reference", 0.52, [0.46, 0.58], 400)]
COMPARED = {
    "n": 1000,
    "shares": [{"attribute": "skin", "value": "darker", "set": s, "share": v, "interval": i, "n": n} for s, v, i, n in SHARES],
    "fairness_discrepancy": {"baseline": MEASURED, "debiased": {"value": 0.02, "interval": [0.01, 0.03]}, "floor": MEASURED},
    "frechet_distance": {"baseline": MEASURED, "debiased": MEASURED, "baseline_resampled": MEASURED, "floor": MEASURED},
    "gap_closed": MEASURED,
}
VERDICT = {
    "problems": [{"sentence": "The biased set shows 1 image(s) more than once."}],
    "camera": [{"sentence": "sharpness alone separates the sets."}],
    "verdict": {"sentence": "The sets differ.", "reasons": ["AUC 0.9"]},
}
EVENED = {"steps": ["saved as JPEG of quality 20"], "left": ["sharpness alone separates the sets."]}
RESULTS = {"audit": VERDICT, "demo": COMPARED, "compare": COMPARED, "even-out": EVENED}


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Every call of a command's work, as (kind, options); the work returns a result of the right form."""
    made = []

    def work(run, options):
        made.append((run.kind, options))
        if options.seed == 2:
            raise UserInputError("biased", "it is empty", "add images")
        if options.seed == 3:
            raise Stopped
        if options.seed == 4:
            raise KeyError("ours")
        return RESULTS.get(run.kind, {})

    fake = ModuleType("tiw.run.actions")
    fake.EXECUTE = dict.fromkeys(OPTIONS, work)
    monkeypatch.setitem(sys.modules, "tiw.run.actions", fake)
    monkeypatch.setattr(folder, "ON_PROGRESS", None)  # put back what the command line sets
    monkeypatch.chdir(tmp_path)
    return made


def tiw(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_run_has_a_name_and_a_note_that_may_be_changed_at_any_time(calls):
    assert tiw("audit", "--out", "run", "--name", "first try", "--seed", 7).exit_code == 0
    assert tiw("audit", "--out", "run", "--note", "on the old camera").exit_code == 0
    assert RunFolder.open("run").about() == ("first try", "on the old camera") and len(calls) == 1
    assert tiw("audit", "--out", "other", "--name", "x" * 81).exit_code == 2


def test_every_option_of_every_action_is_an_option_of_its_command():
    for kind, options in OPTIONS.items():
        shown = tiw(kind, "--help").stdout
        assert all(f"--{f.name.replace('_', '-')}" in shown for f in fields(options)), kind


@pytest.mark.parametrize("kind", [kind for kind in OPTIONS if kind != "compare"])
def test_defaults_are_those_of_the_dataclass(kind, calls):
    done = tiw(kind, "--out", "run")
    assert (done.exit_code, calls) == (0, [(kind, OPTIONS[kind]())])
    assert RunFolder.open("run").status()["state"] == "finished"


def test_options_reach_the_work_and_the_config(calls):
    words = ["--steps", 7, "--strength", 1.5, "--reference-share", 0, "--biased", "photos"]
    assert tiw("debias", "--out", "run", *words).exit_code == 0
    wanted = DebiasOptions(steps=7, strength="1.5", reference_share=0.0, biased="photos")
    assert calls == [("debias", wanted)]
    assert json.loads(Path("run/config.json").read_text())["options"]["biased"] == "photos"
    assert tiw("audit", "--out", "other", "--no-map").exit_code == 0
    assert calls[-1][1].map is False


def test_evening_out_says_what_was_done_and_what_is_left(calls):
    shown = tiw("even-out", "--out", "run", "--fix", "borders").stdout
    assert shown.startswith("Both sets: saved as JPEG of quality 20.\nLeft: sharpness alone separates the sets.\n")
    assert calls[0][1].fix == "borders"


def test_a_config_that_is_there_gives_the_options(calls):
    options = DebiasOptions(strength="0.25", seed=3)
    RunFolder.create("run", "debias", options)
    assert tiw("debias", "--out", "run").exit_code == 0
    assert tiw("debias", "--out", "run", "--strength", 0.25, "--seed", 3).exit_code == 0
    assert calls == [("debias", options)] * 2


def test_what_has_finished_is_shown_and_not_done_again(calls):
    first, second = tiw("audit", "--out", "run"), tiw("audit", "--out", "run")
    assert (first.exit_code, second.exit_code, len(calls)) == (0, 0, 1)
    assert first.stdout == second.stdout and "The sets differ." in second.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["debias", "--out", "new", "--strength", -2], "strength: it is '-2'; give auto, or a number from 0 to 100"),
        (["debias", "--out", "new", "--objective", "x"], "objective: it is 'x'"),
        (["debias", "--out", "there"], "out: there holds a run of audit, not of debias"),
        (["audit", "--out", "there", "--folds", 4], "out: there holds a run with folds 5, this one has 4"),
        (["compare", "--out", "new"], "debiased: no model is named"),
        (["audit", "--out", "file/run"], "out: file/run cannot be written"),
        (["audit", "--out", "new", "--seed", 2], "biased: it is empty; add images\n"),
    ],
)
def test_a_users_error_is_one_sentence_and_code_2(words, sentence, calls, tmp_path):
    RunFolder.create("there", "audit", OPTIONS["audit"]())
    (tmp_path / "file").touch()
    done = tiw(*words)
    assert done.exit_code == 2
    assert done.stderr.startswith(sentence) and done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words", [["audit"], ["debias", "--out", "new", "--seed", "much"], ["paint"], ["audit", "--out", "x", "--colour", 1]]
)
def test_wrong_usage_is_code_2(words, calls):
    assert tiw(*words).exit_code == 2 and calls == []


def test_our_error_is_code_1_with_the_traceback_in_the_log(calls):
    done = tiw("audit", "--out", "run", "--seed", 4)
    assert done.exit_code == 1 and done.stderr.startswith("Something went wrong (KeyError: 'ours')")
    assert "Traceback" in Path("run/log.txt").read_text() and "Traceback" not in done.stderr


def test_a_stop_is_no_error(calls):
    done = tiw("debias", "--out", "run", "--seed", 3)
    assert (done.exit_code, done.stdout) == (0, "Stopped. The same command with --out run resumes.\n")
    done = tiw("audit", "--out", "other", "--seed", 3)
    assert (done.exit_code, done.stdout) == (0, "Stopped. The same command with --out other starts it again.\n")


def test_the_demo_ends_with_the_table(calls):
    shown = tiw("demo").stdout
    assert RunFolder.open("tiw-demo").kind == "demo"
    row = next(line for line in shown.splitlines() if "skin: darker" in line)
    for text in ("75.0 % [70.0, 80.0] n 1000", "50.0 % [45.0, 55.0] n 1000", "52.0 % [46.0, 58.0] n 400"):
        assert text in row
    assert "0.02 [0.01, 0.03]" in next(line for line in shown.splitlines() if "fairness discrepancy" in line)
    assert all(word in shown for word in ("baseline", "debiased", "reference", "frechet distance", "gap closed", "seconds"))


def test_a_comparison_without_labels_has_a_table_too(calls, monkeypatch):
    monkeypatch.setitem(RESULTS, "compare", {**COMPARED, "shares": [], "fairness_discrepancy": None, "gap_closed": None})
    assert "frechet distance" in tiw("compare", "--out", "run", "--debiased", "model").stdout


def test_stages_are_told_where_there_is_no_terminal(calls, monkeypatch):
    def work(run, options):
        for done in range(3):
            run.progress("Fitting", done, 3)
        return VERDICT

    monkeypatch.setitem(sys.modules["tiw.run.actions"].EXECUTE, "audit", work)
    assert tiw("audit", "--out", "run").stderr == "Fitting\n"


def test_version_and_help_are_quick():
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "tiw", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__
    assert time.monotonic() - began < 5  # 0.3 s on an idle machine; torch alone takes seconds


def test_an_audits_own_report_is_not_replaced(tmp_path):
    """The report to hand on has the same name. It had taken the place of the charts, the calibration and the pictures, for good."""
    audit = shutil.copytree(ROOT / "assets" / "example" / f"{'e' * 31}1", tmp_path / "audit")
    before = (audit / "report.html").read_bytes()
    refused = CliRunner().invoke(app, ["report", str(audit)])
    assert refused.exit_code == 2 and "out: " in refused.output and f"--out {audit}-report" in refused.output
    for _ in range(2):  # one that is made again replaces itself
        made = CliRunner().invoke(app, ["report", str(audit), "--out", f"{audit}-report"])
        assert made.exit_code == 0, made.output
    assert (audit / "report.html").read_bytes() == before
    assert (tmp_path / "audit-report" / "report.html").read_bytes() != before
