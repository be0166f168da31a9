"""What the page says of runs beside their results: ticks, what Stop leaves, dismissing, settings, two audits side by side, kept fields."""

import copy
import re

import pytest
from filelock import FileLock
from test_page_logic import AUDITED, looked, parts, put, sets, store, unchanged

from tiw.run.options import AuditOptions, CompareOptions, DebiasOptions, PreviewOptions

__all__ = ["looked", "parts", "sets", "store"]  # fixtures

LEVEL = {"sigma": 0.1, "auc": {"value": 0.7, "interval": [0.6, 0.8]}, "effective_sample_size": {"share": 0.4, "count": 16}}


def audited(store, run_id, sets, share, **options):
    """A finished audit of which one share is `share` in the large set."""
    rows = [
        {"attribute": "light", "value": "bright", "set": role, "count": 8, "n": 40, "share": s, "interval": [s / 2, s * 1.5]}
        for role, s in (("biased", share), ("reference", 0.6))
    ]
    return put(store, run_id, "audit", AuditOptions(**{**sets, **options}), {**AUDITED, "shares": rows, "levels": [LEVEL]})


def test_steps_that_are_done_get_a_tick(store, sets):
    from ui import page

    none = dict.fromkeys(page.TABS, "")
    assert page.ticked(sets, none) == ""
    run = put(store, "a", "audit", AuditOptions(**sets), AUDITED)
    said = page.ticked(sets, {**none, "audit": run.id})
    assert "tab-id=data" in said and "tab-id=audit" in said and "tab-id=debias" not in said and "✓" in said
    stopped = put(store, "b", "debias", DebiasOptions(), state="stopped")
    assert "debias" not in page.ticked(sets, {**none, "audit": run.id, "debias": stopped.id})


def test_stop_says_what_stays(store, sets):
    from ui.panel import state_of, stop_button

    for run_id, kind, options, result, said, button in (
        ("a", "audit", AuditOptions(**sets), AUDITED, "charts are ready", "Stop the rest"),
        ("b", "audit", AuditOptions(**sets), None, "Nothing of it is kept", "Stop"),
        ("c", "debias", DebiasOptions(), None, "Resume goes on", "Stop"),
    ):
        run = put(store, run_id, kind, options, result, state="running")
        with FileLock(run.path / "lock"):  # as its process does
            run = store.open_run(run.id)
            assert said in state_of(run) and stop_button(run)["value"] == button


def test_a_run_that_ended_without_a_result_can_be_dismissed_and_stays_away(store, sets):
    from ui import page
    from ui.panel import dismiss, state_of

    run = put(store, "a", "preview", PreviewOptions(), state="stopped")
    assert "data-dismiss" in state_of(run)
    current = dismiss("preview")({**page.NONE, "preview": run.id})
    again, _ = page._reattach(current, type("Request", (), {"query_params": {}})())
    assert store.open_run(again["preview"]) is None and [r.id for r in store.all_runs()] == [run.id]
    kept = put(store, "b", "audit", AuditOptions(**sets), AUDITED, state="stopped")
    assert "data-dismiss" not in state_of(kept)  # its charts are on screen


def test_the_settings_of_a_run_are_on_screen_without_places_of_the_machine(store, sets):
    from ui.panel import settings

    run = put(store, "a", "compare", CompareOptions(debiased=str(store.jobs().folder / ("b" * 32) / "model"), count=7), {"n": 7})
    text = settings(run)
    assert f"run:{'b' * 32}/model" in text and str(store.home()) not in text
    assert "<b>7</b>" in text and text.count("changed") == 2


def test_two_audits_side_by_side(store, sets):
    from ui import two_audits

    few, many = audited(store, "a", sets, 0.2, references=10), audited(store, "b", sets, 0.3)
    current = {"audit": many.id}
    box, other = two_audits.choices(current)
    assert box["visible"] and [run_id for _, run_id in other["choices"]][:2] == ["none", few.id]  # the shipped one may follow
    text = two_audits.beside(current, few.id)
    assert "light <b>bright</b>" in text and text.index("30\u00a0%") < text.index("20\u00a0%") and "0.60 to 0.80" in text
    assert "not the same images" not in text
    for forged in ("none", many.id[:-1], None, few.path.name + "x"):
        assert two_audits.beside(current, forged) == ""
    assert two_audits.beside({}, few.id) == "" and two_audits.beside(None, few.id) == ""
    other_images = copy.deepcopy(AUDITED)
    other_images["biased"]["fingerprint"] = {"sha256": "x"}
    third = put(store, "c", "audit", AuditOptions(**sets), other_images)
    assert "not the same images" in two_audits.beside(current, third.id)
    assert not two_audits.choices({"audit": ""})[0]["visible"]


@pytest.mark.parametrize("values", [None, [], [1, 2], ["x", 1, True], [1, "a", 3]])
def test_only_what_fits_the_fields_is_filled_in_again(values):
    from ui.page import refilled

    usual = [0.5, "auto", True]
    found = refilled(values, usual)
    assert len(found) == 3 and all(unchanged(new) or type(new) in (int, float, type(old)) for new, old in zip(found, usual, strict=True))
    assert refilled([2, "convex", False], usual) == [2, "convex", False]


def test_before_the_first_step_samples_and_gap_are_the_baselines(store):
    from ui.training_view import _grid, _numbers

    run = put(store, "a", "debias", DebiasOptions(), state="stopped")
    gap = {"value": 0.1, "interval": [0.0, 0.2]}
    first, later = ({"step": step, "file": f"{step}.webp", "gap_closed": gap} for step in (0, 20))
    steps = [{"step": 1, "steps": 40, "loss": 1.0}]
    assert "before the first step" in _numbers(run, steps, [first], "") and "The baseline, before the first step" in _grid(run, [first])
    unknown = _numbers(run, steps, [first, {**later, "gap_closed": None}], "")
    assert "too few reference images" in unknown and "10 %" not in unknown
    assert "before the first step" not in _numbers(run, steps, [first, later], "") and "Step 20" in _grid(run, [first, later])


@pytest.mark.parametrize("sheet", ["style.css", "learn/learn.css"])
def test_no_selector_has_a_comma_in_brackets(sheet):
    """Gradio puts its prefix behind each comma: a rule that hides rows without a card or an error hid the errors, too."""
    from ui import theme

    rules = re.sub(r"/\*.*?\*/", "", theme.asset(sheet), flags=re.DOTALL)
    selectors = [selector for selector in re.findall(r"([^{}]+)\{", rules) if not selector.strip().startswith("@")]
    assert len(selectors) > 20
    assert not [selector for selector in selectors if re.search(r":(has|not|is|where)\([^)]*,", selector)]
