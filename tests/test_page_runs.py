"""What the page says of runs beside their results: ticks, what Stop leaves, dismissing, settings, two audits side by side, kept fields."""

import copy
import re
from types import SimpleNamespace

import gradio as gr
import pytest
from filelock import FileLock
from gradio.context import LocalContext
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
    rest = put(store, "c", "audit", AuditOptions(**sets), AUDITED, state="stopped")  # “Stop the rest”: its charts are there
    assert "tab-id=audit" in page.ticked(sets, {**none, "audit": rest.id})


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


def test_a_run_says_why_it_stands_still_and_once_how_it_goes_on():
    """Why it was stopped was only in its status: after half an hour, for the end of the app, or because it was silent."""
    from ui.html import ended

    why = {"message": "It was stopped after 30 minutes: no run may take longer here."}
    assert ended("debias", {"state": "stopped", **why}, True).count("30 minutes") == 1
    assert "Resume continues where it left off" in ended("debias", {"state": "stopped", **why}, True)
    for state in ("stopped", "interrupted", "failed"):
        text = ended("train", {"state": state, "message": "<b>x</b> Resumed, it goes on from its checkpoint of step 100."}, True)
        assert "&lt;b&gt;x" in text and "step 100" in text and ("Resume continues" not in text)
        assert "None" not in ended("audit", {"state": state}) and "  " not in ended("audit", {"state": state, "message": ""})


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


def test_two_runs_that_are_started_before_an_answer_are_both_shown(store, monkeypatch):
    """The later answer held the runs as they were when its button was pressed, without the other one."""
    from ui import panel, runs_list, sessions

    monkeypatch.setattr(store, "submit", lambda kind, **_: f"new-{kind}")
    page = LocalContext.request.set(SimpleNamespace(session_hash="a page"))
    try:
        before = {"audit": "old", "preview": "", "debias": ""}
        assert panel.start("preview", before, {})[0]["preview"] == "new-preview"
        assert panel.start("debias", before, {})[0] == {"audit": "old", "preview": "new-preview", "debias": "new-debias"}
        assert panel.dismiss("preview")(before)["debias"] == "new-debias"
        monkeypatch.setattr(store, "delete", lambda _: None)
        left = runs_list.delete_listed(before, SimpleNamespace(_data={"value": "new-debias"}))
        assert (left["audit"], left["preview"], left["debias"]) == ("old", panel.GONE, "")
        LocalContext.request.set(SimpleNamespace(session_hash="another"))
        assert panel.start("audit", before, {})[0] == {**before, "audit": "new-audit"}
    finally:
        LocalContext.request.reset(page)
        for name in ("a page", "another"):
            sessions._CHANGED.pop(name, None)


def test_the_settings_of_a_run_are_on_screen_without_places_of_the_machine(store, sets):
    from ui.panel import settings

    run = put(store, "a", "compare", CompareOptions(debiased=str(store.jobs().folder / ("b" * 32) / "model"), count=7), {"n": 7})
    text = settings(run)
    assert f"run:{'b' * 32}/model" in text and str(store.home()) not in text
    assert "<b>7</b>" in text and text.count("changed") == 2


def test_a_look_that_was_overtaken_wipes_nothing_off_the_screen(store, monkeypatch):
    """A page looks before it knows its runs and after. Where the first took longer, its blank panels came last and stayed."""
    import asyncio

    from ui import page, sessions

    async def build():
        return page.build()

    look = next(fn.fn for fn in asyncio.run(build()).fns.values() if fn.api_name == "look")
    request, other = (type("Request", (), {"session_hash": name}) for name in ("a", "b"))
    found = {}

    def slow(panels, by_sets, sets, current, seen):
        if not current:
            found["second"] = look({}, {"audit": "x"}, {}, request)
            found["elsewhere"] = look({}, {"audit": "y"}, {}, other)
        return [current]

    monkeypatch.setattr(page, "_look", slow)
    assert look({}, {}, {}, request) == [gr.skip()]
    assert found == {"second": [{"audit": "x"}], "elsewhere": [{"audit": "y"}]}
    assert look({}, {"audit": "z"}, {}, request) == [{"audit": "z"}]
    for number in range(sessions.MOST + 10):
        with sessions.look(str(number)) as overtaken:
            assert not overtaken()
    assert len(sessions._BEGUN) <= sessions.MOST


def test_a_run_that_ends_within_a_look_is_shown_by_the_next(store, sets, parts, monkeypatch):
    """The look saw it at work and kept the mark of its end: the page showed progress for ever."""
    from ui import page

    panel = parts[0][0]
    run = put(store, "a", "audit", AuditOptions(**sets), state="running")
    asked = []

    def then_it_ends(function):
        def ask(run_id):
            asked.append(function(run_id))
            if len(asked) == 1:
                put(store, "a", "audit", AuditOptions(**sets), AUDITED)
            return asked[-1]

        return ask

    meanwhile = SimpleNamespace(open_run=then_it_ends(store.open_run), signature=then_it_ends(store.signature))
    with FileLock(run.path / "lock"), monkeypatch.context() as patch:
        patch.setattr(page, "store", meanwhile)
        first, mark, _ = page._look_at(panel, run.id, (None, []))
    second, _, state = page._look_at(panel, run.id, mark)
    assert state == "finished" and AUDITED["verdict"]["sentence"] in str([*first, *second])


def test_the_last_value_of_a_field_and_the_last_look_count():
    """While one works, Gradio drops an event by default: of two numbers of references that were chosen quickly the first was kept beside
    the second on screen, and of two runs that were opened quickly the first was shown."""
    import asyncio

    from ui import page

    async def build():
        return page.build().get_config_file()["dependencies"]

    events = [event for event in asyncio.run(build()) if event["backend_fn"] and event["targets"]]
    of_fields = [e for e in events if {when for _, when in e["targets"]} & {"input", "change", "blur"}]
    looks = [e for e in events if e["api_name"].startswith("look") and e["targets"][0][1] != "tick"]
    assert len(of_fields) > 8 and len(looks) > 20
    assert {e["trigger_mode"] for e in (*of_fields, *looks)} == {"always_last"}
    listed = {e["api_name"]: e["trigger_mode"] for e in events if e["api_name"].endswith("_listed")}
    assert listed == dict.fromkeys(("open_listed", "delete_listed", "describe_listed"), "multiple")  # each names its own run


def test_runs_do_not_wait_for_ones_own_images_to_be_read(store, sets, parts, monkeypatch):
    """They may take a minute, or lie where nothing can be read any more: the runs are on screen meanwhile."""
    from ui import data_tab, page

    panels, by_sets = parts
    run = put(store, "a", "preview", PreviewOptions(), state="stopped")

    def read(sets):
        raise AssertionError("in the look")

    monkeypatch.setattr(data_tab, "follow_sets", read)
    own = {**page.read({}), **sets}
    values = page._look(panels, by_sets, own, {**page.NONE, "preview": run.id}, {})
    assert values[-3] == own and any("was stopped" in str(value) for value in values)
    again = page._look(panels, by_sets, own, {**page.NONE, "preview": run.id}, values[-2])
    assert again[-3] == gr.skip(), "the same sets are not read again"
    with pytest.raises(AssertionError, match="in the look"):
        page._look(panels, by_sets, page.read({}), page.NONE, {})  # the demo's are drawn with the look


@pytest.mark.parametrize("trouble", [NotADirectoryError, PermissionError, OSError(116, "Stale file handle")])
def test_a_path_that_cannot_be_looked_at_has_no_time_stamp(trouble, monkeypatch, tmp_path):
    from ui.store import stamp

    assert stamp(tmp_path).isdigit()
    monkeypatch.setattr("pathlib.Path.stat", lambda *_args, **_how: (_ for _ in ()).throw(trouble))
    assert stamp(tmp_path) == ""


def test_two_audits_side_by_side(store, sets):
    from ui import two_audits

    few, many = audited(store, "a", sets, 0.2, references=10), audited(store, "b", sets, 0.3)
    current = {"audit": many.id}
    box, other, both = two_audits.choices(current)
    assert "value" not in other and both == gr.skip()  # what stands there stays while the same audit is on screen
    assert [shown if shown == "" else shown["value"] for shown in two_audits.choices(current, anew=True)[1:]] == ["none", ""]
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
    waits = put(store, "d", "audit", AuditOptions(**sets), state="running")
    assert not any(two_audits.choices({"audit": run_id})[0]["visible"] for run_id in ("", waits.id))


def test_what_was_left_out_is_counted_and_named_beside_the_audit(store, sets):
    from ui import audit_tab, routes

    about = {"left_out": [f"{k}.heic (format: cannot be read)" for k in range(203)], "notes": ["2 images were CMYK."]}
    run = put(store, "a", "audit", AuditOptions(**sets), {**AUDITED, "biased": {**AUDITED["biased"], **about}})
    text = audit_tab._tables(run)
    assert "Large set: 203 left out" in text and "7.heic (format" in text and "2 images were CMYK." in text and "And 3 more" in text
    assert f"tiw/{run.id}/left_out.csv" in text and "left_out.csv" in routes.ANSWERS
    whole = put(store, "b", "audit", AuditOptions(**sets), AUDITED)
    assert "left out" not in audit_tab._tables(whole)


def test_the_verdict_says_its_numbers_in_words_and_names_the_sets_as_the_page_does(store, sets):
    from ui import audit_tab

    reason = "At least 51 % of the biased images still count, 3 of them are in the biased set too."
    verdict = {"level": "reliable", "sentence": "The sets differ.", "reasons": [reason], "reliable_from": 0.1}
    result = {**AUDITED, "biased": {**AUDITED["biased"], "scored": 40}, "levels": [LEVEL], "verdict": verdict}
    text = audit_tab._verdict(put(store, "a", "audit", AuditOptions(**sets), result).result)
    assert "a model picks the right one 70 times in 100 (50 = guessing)" in text and "40 images are worth about 16" in text
    assert "51 % of the images of the large set still count, 3 of them are in the large set too." in text


def test_the_finding_says_of_which_images_it_is(store, sets):
    """Other sets may have been loaded since: above it stand those of the next run."""
    from ui import finding

    found = {"tested": 3, "labelled": True, "too_rare": [], "too_frequent": [], "crossings": [], "sentence": "Nothing differs."}
    text = finding.card(put(store, "a", "audit", AuditOptions(**sets), {**AUDITED, "finding": found}))
    assert "3 values of “b” and “r” were compared" in text


def test_shares_stand_in_numbers_below_their_chart(store, sets):
    """The chart alone has them in its hover, which a phone has not; a value that a set lacks altogether was not marked as few."""
    from ui import finding

    rows = audited(store, "a", sets, 0.2).result["shares"]
    rows = [*rows, {**rows[0], "set": "reweighted", "count": None, "n": 16.4}]
    text = finding.shares(rows, None)
    assert "20.0\u00a0%</b> <small>10.0\u00a0% to 30.0\u00a0%, n = 40, few" in text and "n = 16</small>" in text
    none = finding.shares([{**row, "count": 0 if row["set"] == "biased" else 24} for row in rows], None)
    assert "<em> few</em>" in none and "<em> few</em>" not in finding.shares([{**row, "count": 24} for row in rows[:2]], None)


def test_every_run_on_screen_has_its_settings(store, sets, monkeypatch):
    from tiw.run.options import EvenOutOptions
    from ui import audit_tab, debias_tab, pictures

    monkeypatch.setattr(pictures, "samples", lambda run, name: {"seeds": [0], "baseline": [], "debiased": []}[name])
    result = {"strength": 1.2, "strength_match": None, "gap_closed": None}
    preview = put(store, "a", "preview", PreviewOptions(), result)
    fix = put(store, "b", "even-out", EvenOutOptions(), {"steps": ["x"], "left": [], "biased": {"name": "b"}, "reference": {"name": "r"}})
    assert all("Settings of this run" in text for text in (debias_tab._guided(preview), audit_tab._fixed(fix)))


def test_a_debiasing_is_cited_with_what_identifies_its_images(store, sets):
    from ui import cite

    kept = {
        role: {"name": name, "n": n, "fingerprint": {"sha256": name * 32}}
        for role, name, n in (("biased", "ab", 40), ("reference", "cd", 30))
    }
    result = {"objective": "tiw-dsm", "strength": 1.0, "steps": 2}
    inputs = {**sets, "baseline": "demo", "biased_name": "The crowd"}
    text = cite.fold(put(store, "a", "debias", DebiasOptions(**inputs), {**result, "sets": kept}))
    assert "“ab” (40 images, SHA-256 abababababab)" in text and "“cd” (30 images, SHA-256 cdcdcdcdcdcd)" in text
    assert "trained on The crowd" in cite.fold(put(store, "b", "debias", DebiasOptions(**inputs), result))  # of before they were kept
    assert "The demo’s baseline, trained on" in text
    own = {**inputs, "baseline": str(store.jobs().folder / ("c" * 32) / "model")}
    assert "The baseline trained here, trained on" in cite.fold(put(store, "d", "debias", DebiasOptions(**own), result))


def test_a_strength_is_said_to_be_matched_where_it_was_used(store, sets):
    """As published, TIW-DSM is trained at strength 1; what was matched serves its meter."""
    from ui import cite, debias_tab

    match = {"strength": 1.69, "interval": [1.4, 2.0]}
    said = {}
    for run_id, strength in (("a", 1.69), ("b", 1.0)):
        result = {"objective": "tiw-dsm-paper", "strength": strength, "strength_match": match, "steps": 2}
        said[run_id] = cite.fold(put(store, run_id, "debias", DebiasOptions(**sets | {"baseline": "demo"}), result)) + debias_tab._strength(
            result
        )
    assert "matched to the reference set" in said["a"] and "1.40 to 2.00" in said["a"]
    assert "matched to the reference set" not in said["b"] and "1.40" not in said["b"] and "strength 1.00" in said["b"]


def test_the_settings_of_a_run_in_training_stay_open(store, parts):
    """They stood among the live numbers, and closed with every step."""
    run = put(store, "a", "debias", DebiasOptions(), state="stopped")
    with (run.path / "steps.jsonl").open("w") as file:
        file.write('{"step": 1, "steps": 40, "loss": 1.0}\n')
    (panel,) = (panel for panel in parts[0] if panel.kind == "debias")
    before = panel.render(run)
    with (run.path / "steps.jsonl").open("a") as file:
        file.write('{"step": 2, "steps": 40, "loss": 0.9}\n')
    after = panel.render(run)
    (place,) = (k for k, value in enumerate(before) if "Settings of this run" in str(value))
    assert before[place] == after[place] and before != after


def test_models_that_stand_beside_are_named_without_the_places_of_the_machine(store):
    from ui.panel import settings

    other = store.jobs().folder / ("b" * 32) / "model"
    run = put(store, "a", "compare", CompareOptions(debiased=str(other), also=f"guided,{other}"), {})
    assert f"guided,run:{'b' * 32}/model" in settings(run) and str(store.home()) not in settings(run)


def test_every_term_of_the_glossary_stands_on_the_page():
    from pathlib import Path

    from ui import words

    code = "".join(path.read_text() for path in Path(words.__file__).parent.glob("*.py"))
    used = set(re.findall(r"html\.term\(\s*['\"]([^'\"]+)", code))
    assert used == set(words.GLOSSARY) and len(used) == 10


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
