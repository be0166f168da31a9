"""The example that ships with the app is what the code makes: its numbers counted again from the files it keeps."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tiw.data import load_demo
from tiw.intervals import wilson
from tiw.run.options import OPTIONS
from tiw.run.report import audit_html

EXAMPLE = Path(__file__).parents[1] / "assets" / "example"
RUNS = {json.loads(config.read_text())["kind"]: config.parent for config in EXAMPLE.glob("*/config.json")}
pytestmark = pytest.mark.skipif(len(RUNS) < 3, reason="the example is not built: python assets/build_example.py WORK")


AGAIN = "the example is of an earlier version: make it again by `make example WORK=folder` and commit assets/example"
# What assets/build_example.py asks for beside the defaults, and where a run looked for another.
ASKED = {"audit": {"scored", "map", "score_all"}, "debias": {"steps", "audit", "keep"}, "compare": {"count", "debiased", "also"}}


def result(kind):
    return json.loads((RUNS[kind] / "result.json").read_text())


def test_it_is_small_and_names_no_place_of_the_machine_that_made_it():
    assert sum(file.stat().st_size for file in EXAMPLE.rglob("*") if file.is_file()) < 8e6
    for run in RUNS.values():
        for name in ("config.json", "status.json", "result.json"):
            text = (run / name).read_text()
            assert '"/' not in text and json.loads((run / "status.json").read_text())["pid"] is None
        assert (run / "owner").read_text() == "everyone"


@pytest.mark.parametrize("kind", ASKED)
def test_it_was_made_with_the_defaults_of_today(kind):
    """A debiasing whose default has changed since is not what a visitor's own run will do."""
    kept, usual = json.loads((RUNS[kind] / "config.json").read_text())["options"], asdict(without_model(kind))
    assert {name for name in usual if kept.get(name, usual[name]) != usual[name]} <= ASKED[kind], AGAIN
    assert set(kept) <= set(usual), AGAIN


def without_model(kind):
    return OPTIONS[kind](debiased="x") if kind == "compare" else OPTIONS[kind]()


def test_its_shares_are_those_of_the_demo():
    demo, found = load_demo(json.loads((RUNS["audit"] / "config.json").read_text())["options"]["references"]), result("audit")
    assert [found[role]["n"] for role in ("biased", "reference")] == [len(demo.biased), len(demo.reference)]
    assert found["biased"]["fingerprint"]["sha256"] == demo.biased.fingerprint.sha256
    for difference in (*found["finding"]["too_rare"], *found["finding"]["too_frequent"]):
        for role, images in (("biased", demo.biased), ("reference", demo.reference)):
            count = int((images.attributes[difference["attribute"]].astype(str) == difference["value"]).sum())
            assert difference[role]["count"] == count
            assert difference[role]["interval"] == pytest.approx(wilson(count, len(images)))


def test_its_histograms_and_auc_are_those_of_its_scores():
    scores, found = pd.read_parquet(RUNS["audit"] / "scores.parquet"), result("audit")
    for k, level in enumerate(found["levels"]):
        of = {role: scores.loc[scores["set"] == role, f"log_ratio_{k}"].to_numpy() for role in ("biased", "reference")}
        edges = np.array(level["histogram"]["edges"])
        for role, values in of.items():
            density = np.histogram(values.clip(edges[0], edges[-1]), edges)[0] / len(values) / np.diff(edges)
            assert level["histogram"][role] == pytest.approx(density, abs=0.02)
        ranks = pd.Series(np.concatenate([of["biased"], of["reference"]])).rank().to_numpy()[len(of["biased"]) :]
        n, m = len(of["biased"]), len(of["reference"])
        assert level["auc"]["value"] == pytest.approx((ranks.sum() - m * (m + 1) / 2) / (n * m), abs=1e-3)


def test_its_report_is_what_the_code_makes_of_its_numbers():
    """But for the pictures, whose bytes are another encoder's elsewhere, and the day."""
    demo = load_demo()
    made = audit_html(result("audit"), demo.biased, demo.reference)
    kept = (RUNS["audit"] / "report.html").read_text()
    words = [re.sub(r'src="data:[^"]+"|TIW Studio [\d.]+, [\d-]+', "", text) for text in (made, kept)]
    assert words[0] == words[1]


def test_it_opens_for_every_visitor_and_nobody_can_change_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TIW_HOME", str(tmp_path))
    from tiw.errors import UserInputError
    from ui import store

    store.jobs.cache_clear()
    try:
        assert set(store.examples()) == {"audit", "debias", "compare"}
        for run_id in store.examples().values():
            run = store.open_run(run_id)
            assert run.done and run.shipped
            for change in (store.delete, store.stop, store.resume):
                with pytest.raises(UserInputError):
                    change(run_id)
        assert store.all_runs() == []
    finally:
        store.jobs().close()
        store.jobs.cache_clear()


def test_it_is_drawn_once_for_a_whole_class(tmp_path, monkeypatch):
    """Thirty who opened the page at once had each their own drawn, half a second of a core for every one."""
    monkeypatch.setenv("TIW_HOME", str(tmp_path))
    from concurrent.futures import ThreadPoolExecutor

    import gradio as gr

    from ui import page, store
    from ui.panel import Panel

    store.jobs.cache_clear()
    drawn = []
    panel = Panel("audit", [gr.HTML(), gr.HTML()], lambda run: drawn.append(run.id) or [run.id, gr.update(value="x")])
    monkeypatch.setattr(page, "_DRAWN", {})
    try:
        run_id = store.examples()["audit"]
        with ThreadPoolExecutor(8) as visitors:
            found = [look.result() for look in [visitors.submit(page._look_at, panel, run_id, (None, [])) for _ in range(30)]]
        assert drawn == [run_id] and all(values[0] == run_id for values, _, _ in found)
        found[0][0][1].pop("value")  # as Gradio does with what it is given
        assert all(values[1]["value"] == "x" for values, _, _ in found[1:])
    finally:
        store.jobs().close()
        store.jobs.cache_clear()
