"""What the page's handlers do, without a browser: good, empty and wrong input for each."""

import asyncio
import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from conftest import blobs
from filelock import FileLock
from PIL import Image

from tiw.data import load_set
from tiw.run.execute import execute
from tiw.run.folder import RunFolder
from tiw.run.options import AuditOptions, CompareOptions, DebiasOptions, EvenOutOptions, TrainOptions


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The page's store in an empty home; sets are read in this process, which takes no second."""
    monkeypatch.setenv("TIW_HOME", str(tmp_path / "home"))
    from ui import loading, pictures, store

    def here(*given, limits, turn, on_progress=None, cancelled=None):
        return load_set(*given, limits=limits, on_progress=on_progress)

    for module in (loading, pictures):
        monkeypatch.setattr(module, "load_in_child", here)
    pictures.image_set.cache_clear()
    store.jobs.cache_clear()
    yield store
    store.jobs().close()
    store.jobs.cache_clear()


@pytest.fixture
def sets(tmp_path):
    """Two small sets on disk, the options that name them."""
    for role, images in (("biased", blobs(40, 0.2, 0)), ("reference", blobs(30, 0.6, 1))):
        np.savez(tmp_path / f"{role}.npz", images=images.images, light=images.attributes["light"].to_numpy(str))
    from ui.data_tab import DEMO

    return {**DEMO, "biased": str(tmp_path / "biased.npz"), "reference": str(tmp_path / "reference.npz"), "baseline": "none"}


def put(store, run_id, kind, options, result=None, state="finished"):
    """A run folder as a child would have left it."""
    folder = RunFolder.create(store.jobs().folder / (run_id * 32), kind, options)
    if result is not None:
        folder.write_result(result)
    folder.write_status(state=state, created=f"2026-01-01T00:00:0{int(run_id, 16) % 10}+00:00")
    return store.open_run(run_id * 32)


AUDITED = {
    "biased": {"n": 40, "scored": 40, "name": "b"},
    "reference": {"n": 30, "name": "r"},
    "estimator": "convex",
    "levels": [],
    "camera": [],
    "problems": [],
    "shares": [],
    "groups": None,
    "verdict": {"level": "no-difference", "sentence": "Nothing.", "reasons": [], "reliable_from": None},
}


@pytest.fixture(scope="module")
def parts():
    """The page's panels, and what `follow` sets."""
    from ui import audit_tab, compare_tab, debias_tab

    async def build():  # inside a loop: without one gradio makes its own and leaves it open
        with gr.Blocks():
            sets, current = gr.BrowserState({}), gr.BrowserState({})
            audit = audit_tab.build(sets, [sets], [], current)
            debias = debias_tab.build([sets], current)
            compare = compare_tab.build(current)
        return [*audit.panels, *debias.panels, compare.panel], [gr.HTML(), audit.uses, audit.go, debias.uses, *debias.by_sets]

    return asyncio.run(build())


@pytest.fixture
def looked(parts):
    """One look at these runs: the values by panel, the marks for the next, and the timer."""
    from ui import page

    panels, by_sets = parts

    def look(current, sets, seen=None):
        values = page._look(panels, by_sets, sets, current, seen or {})
        shown, rest = {}, iter(values)
        for panel in panels:
            shown[panel.kind] = [next(rest) for _ in panel.outputs]
        shown["compare-choice"] = values[sum(len(panel.outputs) for panel in panels) + len(by_sets)]
        return shown, values[-2], values[-1]

    return look


def unchanged(value):
    return isinstance(value, dict) and value == gr.skip()


@pytest.mark.parametrize("damage", ["{", "[]", "null", '{"verdict": 1}'])
def test_a_run_that_cannot_be_shown_says_so_and_all_others_are_shown(store, sets, looked, damage):
    good = put(store, "a", "debias", DebiasOptions(), {"training_seconds": 1, "steps": 2, "objective": "dsm-ref"})
    broken = put(store, "b", "audit", AuditOptions(**sets), AUDITED)
    (broken.path / "result.json").write_text(damage)
    shown, marks, _ = looked({"audit": broken.id, "debias": good.id}, sets)
    assert "cannot be" in shown["audit"][0]
    assert any("The debiased model is ready" in str(value) for value in shown["debias"])
    again, _, _ = looked({"audit": broken.id, "debias": good.id}, sets, marks)
    assert all(unchanged(value) for kind, values in again.items() if kind != "compare-choice" for value in values)


def test_an_audit_whose_images_are_gone_is_still_shown(store, sets, looked, tmp_path):
    run = put(store, "a", "audit", AuditOptions(**sets), {**AUDITED, "shares": [], "groups": [[0, 1], [40]]})
    (tmp_path / "biased.npz").rename(tmp_path / "elsewhere.npz")
    shown, _, _ = looked({"audit": run.id}, sets)
    assert any("Nothing." in str(value) for value in shown["audit"])
    from ui import pictures

    assert "cannot be shown" in pictures.items_sheet(run, [("biased", 0)], "x", 4)


def test_images_replaced_after_an_audit_are_never_shown_under_its_scores(store, sets, tmp_path):
    from ui import pictures

    about = pictures.open_set(sets, "biased").about()
    run = put(store, "a", "audit", AuditOptions(**sets), {**AUDITED, "biased": {**about, "scored": 40}})
    assert "<img" in pictures.items_sheet(run, [("biased", 0)], "x", 4)
    assert pictures.items_sheet(run, [], "x", 4) == pictures.sheet(np.zeros((0, 8, 8, 3), np.uint8), "x") == ""
    np.savez(tmp_path / "biased.npz", images=blobs(40, 0.5, 7).images)
    assert "have changed since" in pictures.items_sheet(run, [("biased", 0)], "x", 4)


def test_looking_writes_nothing_and_a_second_look_sends_nothing(store, sets, looked):
    run = put(store, "a", "audit", AuditOptions(**sets), AUDITED)
    fixed = put(
        store,
        "b",
        "even-out",
        EvenOutOptions(sets["biased"], sets["reference"]),
        {"steps": [], "left": [], "biased": {"name": "b"}, "reference": {"name": "r"}},
    )
    before = sorted((f, f.stat().st_mtime_ns) for f in store.home().rglob("*"))
    _, marks, timer = looked({"audit": run.id, "even-out": fixed.id}, sets)
    again, _, _ = looked({"audit": run.id, "even-out": fixed.id}, sets, marks)
    assert sorted((f, f.stat().st_mtime_ns) for f in store.home().rglob("*")) == before
    assert all(unchanged(value) for kind, values in again.items() if kind != "compare-choice" for value in values)
    assert timer.active is False


def test_the_timer_runs_while_a_run_does_and_slower_while_all_wait(store, sets, looked, monkeypatch):
    monkeypatch.setattr(store.jobs().index, "_waits", lambda run_id: True)  # it stands in the queue
    run = put(store, "a", "audit", AuditOptions(**sets), state="running")
    waiting = put(store, "b", "even-out", EvenOutOptions(sets["biased"], sets["reference"]), state="queued")
    queued = looked({"even-out": waiting.id}, sets)[2]
    with FileLock(run.path / "lock"):  # as its process does
        run.folder.write_status(state="running")
        alone, both = (looked({"audit": run.id} | more, sets)[2] for more in ({}, {"even-out": waiting.id}))
    assert (queued.active, alone.active, both.active) == (True, True, True)
    assert queued.value > alone.value == both.value


def test_an_older_debias_run_that_is_opened_is_the_one_to_compare(store, sets, looked):
    result = {"training_seconds": 1, "steps": 2, "objective": "dsm-ref"}
    older, newer = (put(store, name, "debias", DebiasOptions(), result) for name in "12")
    shown, seen, _ = looked({"debias": newer.id}, sets)
    assert shown["compare-choice"]["value"] == newer.id
    assert looked({"debias": older.id}, sets, seen)[0]["compare-choice"]["value"] == older.id
    assert unchanged(looked({"debias": newer.id}, sets, seen)[0]["compare-choice"])


def test_the_model_that_a_visitor_has_chosen_to_compare_stays_whatever_other_runs_do(store, sets, looked):
    """Every run that was made, started or ended put the newest into the drop-down again."""
    result = {"training_seconds": 1, "steps": 2, "objective": "dsm-ref"}
    first, second = (put(store, name, "debias", DebiasOptions(), result) for name in "12")
    shown, seen, _ = looked({"debias": second.id}, sets)
    assert shown["compare-choice"]["value"] == second.id
    put(store, "3", "compare", CompareOptions(debiased="x"), state="queued")
    third = put(store, "4", "debias", DebiasOptions(), result)
    shown, seen, _ = looked({"debias": second.id}, sets, seen)
    assert "value" not in shown["compare-choice"] and shown["compare-choice"]["choices"][0][1] == third.id
    store.delete(first.id)  # it may have been the one that was chosen
    assert looked({"debias": second.id}, sets, seen)[0]["compare-choice"]["value"] == second.id
    shown, seen, _ = looked({"debias": third.id}, sets, seen)  # one's own run has finished
    assert shown["compare-choice"]["value"] == third.id


def test_copies_of_a_camera_fix_replace_both_sets_only_when_asked(store, sets):
    from ui.audit_tab import evened_out

    assert evened_out(sets, None) == sets
    options = EvenOutOptions(sets["biased"], sets["reference"])
    assert evened_out(sets, put(store, "a", "even-out", options, state="running")) == sets
    done = put(store, "b", "even-out", options, {"steps": []})
    changed = evened_out(sets, done)
    assert [changed[role] for role in ("biased", "reference")] == [f"run:{done.id}/{role}.parquet" for role in ("biased", "reference")]
    assert changed["baseline"] == sets["baseline"]
    named = put(store, "c", "even-out", EvenOutOptions(sets["biased"], sets["reference"], biased_name="A"), {"steps": []})
    assert evened_out({**sets, "biased_name": "B"}, named)["biased_name"] == "A"  # of the images that were copied


def test_an_audit_is_reused_for_exactly_its_inputs(store, sets):
    run = put(store, "a", "audit", AuditOptions(**sets), AUDITED)
    put(store, "b", "audit", AuditOptions(**sets), state="failed")
    assert store.matching_audit(sets) == f"run:{run.id}"
    for name, value in (("references", 10), ("resolution", 8), ("skip_bad", True), ("class_label", "light"), ("baseline", "demo")):
        assert store.matching_audit({**sets, name: value}) == "", name


def test_a_baseline_trained_here_serves_its_own_images_only(store, sets):
    from ui.debias_tab import with_model

    run = put(store, "a", "train", TrainOptions(data=sets["biased"]), {"steps": 1})
    (run.path / "model").mkdir()
    assert with_model(sets, None)["baseline"] == "none"
    chosen = with_model(sets, run)
    assert chosen["baseline"] == f"run:{run.id}/model"
    assert with_model({**sets, "biased": "demo"}, run)["baseline"] == "none"
    (run.path / "model").rmdir()
    assert with_model(chosen, None)["baseline"] == "none"


def test_a_baseline_trained_too_little_is_said_to_be_so(store):
    from ui.debias_tab import _trained

    def shown(name, differs):
        check = {"check": {"differs": differs}, "sentence": f"<{name}> in words."}
        return _trained(put(store, name, "train", TrainOptions(), {"steps": 9, "training_seconds": 60.0, "training_check": check}))

    little, enough = shown("a", True), shown("b", False)
    assert 'role="alert">&lt;a&gt; in words.' in little and "ready" not in little and "debias next" not in little
    assert "alert" not in enough and "The baseline is ready" in enough and "&lt;b&gt; in words." in enough


def test_a_trained_baseline_downloads_as_what_it_is(store):
    from ui import routes

    for kind, options, name in (("train", TrainOptions(), "baseline"), ("debias", DebiasOptions(), "debiased")):
        run = put(store, name[0], kind, options, {"steps": 1})
        (run.path / "model").mkdir()
        (run.path / "model" / "config.json").write_text(json.dumps({}))
        answer = routes._model(run, {})
        asyncio.run(emptied(answer))
        assert f"{name}-model.zip" in answer.headers["content-disposition"]


def test_a_kept_model_downloads_by_its_step(store):
    from ui import routes

    run = put(store, "d", "debias", DebiasOptions(), {"steps": 30})
    (run.path / "kept" / "000020").mkdir(parents=True)
    (run.path / "kept" / "000020" / "config.json").write_text("{}")
    answer = routes._kept_model(run, {"step": "20"})
    asyncio.run(emptied(answer))
    assert "debiased-model-step-20.zip" in answer.headers["content-disposition"]
    assert all(routes._kept_model(run, {"step": step}) is None for step in ("21", "x", "..", "9" * 30, ""))


async def emptied(answer):
    """Read to its end, as a browser does: its temporary file is closed then."""
    async for _ in answer.body_iterator:
        pass


def choose_own(*fields):
    """What the button "Load my images" leaves on the page."""
    from ui import data_tab

    *_, last = data_tab.choose_own(None, *fields)
    return last


def go_on(*fields):
    from ui import data_tab

    *_, last = data_tab.go_on(None, *fields)
    return last


def test_own_sets_are_read_before_anything_is_kept(store, sets):
    chosen, message, *buttons, kept = choose_own(f'"{sets["biased"]}"', f" {sets['reference']}\n", "", "", 0, False)
    assert chosen == sets and not any(button["visible"] for button in buttons) and kept[1].endswith("\n")
    assert "cannot" not in message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (("", "", "", "", 0, False), ["Large set: nothing was given", "Reference set: nothing was given"]),
        (("/no/such", "https://x.org/a.zip", "/tmp", "", 0, False), ["does not exist", "is a web address", "holds neither"]),
        (("https://huggingface.co/datasets/a/b", "", "", "", 0, False), ["hub:a/b"]),
        (("/no/such", "/nor/this", "", "", 5, False), ["Choose 16 to 1024 pixels", "/no/such does not exist", "/nor/this does not exist"]),
        (("/no/" + "x" * 300, "/nor/this", "", "", 0, False), ["Large set", "Reference set"]),
    ],
)
def test_every_problem_is_said_at_once_and_nothing_stays_loaded(store, fields, said):
    from ui.data_tab import UNLOADED

    chosen, message, *_ = choose_own(*fields)
    assert chosen == UNLOADED
    assert all(part in message for part in said)
    assert "skip_bad" not in message and "set resolution" not in message
    assert message.count("16 to 1024") == (fields[4] == 5)  # by the page and by the options: one sentence


def test_what_was_converted_or_no_image_is_said_at_load(store, sets, tmp_path):
    (tmp_path / "mixed").mkdir()
    for k, image in enumerate(blobs(30, 0.6, 1).images):
        Image.fromarray(image).convert("CMYK" if k < 2 else "RGB").save(tmp_path / "mixed" / f"{k}.jpg")
    (tmp_path / "mixed" / "notes.txt").write_text("no image")
    chosen, message, *_ = choose_own(sets["biased"], str(tmp_path / "mixed"), "", "", 0, False)
    assert chosen["reference"] and "Reference set: 2 image" in message and "CMYK" in message and "notes.txt" in message


def test_sizes_that_differ_are_resized_by_a_button(store, sets, tmp_path):
    from ui.data_tab import to_size

    larger = np.repeat(np.repeat(blobs(30, 0.6, 1).images, 2, 1), 2, 2)
    np.savez(tmp_path / "larger.npz", images=larger)
    chosen, message, resize, *_ = choose_own(sets["biased"], str(tmp_path / "larger.npz"), "", "", 0, False)
    assert "differ in size" in message and resize["visible"] and to_size(resize["value"]) == 16
    chosen, *_ = choose_own(sets["biased"], str(tmp_path / "larger.npz"), "", "", 16, False)
    assert chosen["resolution"] == 16
    (tmp_path / "oblong").mkdir()
    for k in range(3):
        Image.new("RGB", (48, 40)).save(tmp_path / "oblong" / f"{k}.png")
    _, message, resize, *_ = choose_own(sets["biased"], str(tmp_path / "oblong"), "", "", 0, False)
    assert "not square" in message and "a resolution of" not in message
    assert resize["value"] == "Resize both to 16"  # no larger than the other set


def test_a_model_of_another_size_or_with_classes_is_said_at_load(store, sets, tmp_path):
    model = tmp_path / "model"
    (model / "unet").mkdir(parents=True)
    (model / "model_index.json").write_text("{}")
    (model / "unet" / "config.json").write_text(json.dumps({"sample_size": 32, "num_class_embeds": 2}))
    _, message, resize, *_ = choose_own(sets["biased"], sets["reference"], str(model), "colour", 0, False)
    assert "the model draws 32" in message and "no label &#x27;colour&#x27;" in message and resize["value"] == "Resize both to 32"
    chosen, message, *_ = choose_own(sets["biased"], sets["reference"], str(model), "light", 32, False)
    assert chosen["baseline"] == str(model)
    (model / "unet" / "config.json").write_text(json.dumps({"sample_size": 32, "num_class_embeds": 3}))
    _, message, *_ = choose_own(sets["biased"], sets["reference"], str(model), "light", 32, False)
    assert "has 2 values" in message and "the model 3 classes" in message
    _, message, *_ = choose_own(sets["biased"], "/no/such", str(model), "", 16, False)  # all at once
    assert "the model draws 32" in message and "none is named" in message and "/no/such does not exist" in message


def test_broken_files_are_left_out_by_a_button_and_read_in_another_process(tmp_path, monkeypatch):
    """The real child: progress and cost are shown while it works, Cancel stops it, and what is wrong comes back with what mends it."""
    monkeypatch.setenv("TIW_HOME", str(tmp_path / "home"))
    from ui import data_tab, loading, store

    store.jobs.cache_clear()
    for role, share in (("biased", 0.2), ("reference", 0.6)):
        (tmp_path / role).mkdir()
        for k, image in enumerate(blobs(6, share, 1).images):
            side = 16 if role == "biased" else 20
            Image.fromarray(image).resize((side, side)).save(tmp_path / role / f"{k}.png")
    (tmp_path / "biased" / "broken.png").write_bytes(b"no image")
    fields = [str(tmp_path / "biased"), str(tmp_path / "reference"), "", "", 0, False]
    try:
        monkeypatch.setattr(loading, "LOOK", 0.05)
        *during, (chosen, message, resize, leave_out, cancel, _) = data_tab.choose_own(None, *fields)
        assert chosen == data_tab.UNLOADED and "broken.png" in message and leave_out["visible"] and not cancel["visible"]
        assert "16 pixels in the large set, 20 in the reference set" in message and resize["value"] == "Resize both to 16"  # all at once
        assert all(shown[4]["visible"] and "Reading the large set" in shown[1] for shown in during) and len(during) > 3
        assert any("7 images of 16 pixels a side will take" in shown[1] for shown in during)
        fields[4] = 16
        loads = data_tab.choose_own(None, *fields[:5], True)
        next(loads)
        loading.cancel(None)
        *_, stopped = loads
        assert stopped[0] == data_tab.UNLOADED and "Cancelled" in stopped[1]
        *_, (chosen, message, *_) = data_tab.choose_own(None, *fields[:5], True)
        assert chosen["skip_bad"] and "1 file was left out: broken.png" in message
        assert not loading._AT_WORK
    finally:
        store.jobs().close()
        store.jobs.cache_clear()


def test_what_is_typed_and_not_loaded_can_start_no_run(store, sets):
    from ui import panel
    from ui.data_tab import DEMO, OWN, PORTRAITS, UNLOADED, edited, follow_sets
    from ui.sets import chosen, uses

    fields = (sets["biased"], "/elsewhere", "", "", 0, False)
    assert chosen(OWN, DEMO, *fields) == UNLOADED  # pressed before the page has heard of it
    assert chosen(PORTRAITS, DEMO, *fields) == DEMO
    assert chosen(OWN, {**sets, "baseline": "trained"}, *fields[:1], sets["reference"], *fields[2:])["baseline"] == "trained"
    changed, *_ = edited(None, DEMO, *fields)
    assert changed == UNLOADED and not follow_sets(changed)[2]["interactive"]
    assert "No images are loaded" in uses(changed)
    current, message = panel.start("audit", {}, {**changed, "scored": 200})
    assert current == {} and "Load my images" in message and not list(store.jobs().folder.iterdir())
    assert go_on(OWN, changed, *fields)[-1] is False
    loaded = go_on(OWN, changed, sets["biased"], sets["reference"], "", "", 0, False)
    assert loaded[0] == sets and loaded[-1] is True
    called, *rest, _ = edited(None, sets, sets["biased"], sets["reference"], "", "", 0, False, " The  crowd ", "")
    assert called == {**sets, "biased_name": "The crowd"} and all(map(unchanged, rest))  # a name needs no reading
    assert go_on(PORTRAITS, DEMO, *fields)[-1] is True


def test_what_the_page_has_left_for_other_images_says_no_more(store, sets, monkeypatch):
    """A load that went on behind a change had put its own sets in the place of the demo that was chosen since."""
    import threading

    from ui import data_tab, loading
    from ui.data_tab import DEMO, OWN, PORTRAITS, UNLOADED, edited

    goes_on, read_here = threading.Event(), loading.load_in_child
    monkeypatch.setattr(loading, "load_in_child", lambda *given, **how: goes_on.wait(20) and read_here(*given, **how))
    monkeypatch.setattr(loading, "LOOK", 0.05)
    fields = (sets["biased"], sets["reference"], "", "", 0, False, "", "")
    for leave in (
        lambda: data_tab.switch(None, PORTRAITS, 0),
        lambda: edited(None, UNLOADED, "/elsewhere", *fields[1:]),
        lambda: next(data_tab.choose_own(None, *fields)),
    ):
        load = data_tab.choose_own(None, *fields)
        next(load)
        leave()
        assert list(load) == []
    load = data_tab.choose_own(None, *fields)
    next(load)
    assert all(map(unchanged, edited(None, UNLOADED, *fields[:6], "The crowd", "")[:-1]))  # a name alone: the load goes on
    goes_on.set()
    *_, (chosen, *_) = load
    assert chosen == {**sets, "biased_name": "The crowd"}
    _, _, chosen, said, resize, leave_out, cancel, view = data_tab.switch(None, OWN, 0)
    assert chosen == UNLOADED and said == "" and "No images are loaded" in view
    assert not any(button["visible"] for button in (resize, leave_out, cancel))
    assert data_tab.switch(None, PORTRAITS, 50)[2] == {**DEMO, "references": 50}


def test_the_sets_that_a_run_will_use_are_named(store, sets):
    from ui.sets import uses

    text = uses(sets)
    assert "biased.npz, 40 images" in text and "reference.npz, 30 images" in text and text.count("<img") == 2


def test_a_reload_finds_what_was_loaded_and_what_was_typed(store, sets):
    from ui.data_tab import BLANK, DEMO, OWN, UNLOADED, restore

    assert restore({**DEMO, "references": 50})[1] == 50
    assert restore(sets)[4:7] == (sets["biased"], sets["reference"], gr.skip())
    typed = ["/half/typed", *BLANK[1:]]
    assert restore(UNLOADED, typed)[0] == OWN and restore(UNLOADED, typed)[4] == "/half/typed"
    assert restore(UNLOADED, ["of", "another", "version"])[4:] == (gr.skip(),) * len(BLANK)


def test_what_few_references_can_show_is_told_in_sentences():
    """Where nothing is found, the words were put into the middle of a sentence about what is."""
    from ui.sets import _power

    many, few = (_power(n, of).replace("\N{NO-BREAK SPACE}", " ") for n, of in ((400, 8000), (30, 32)))
    assert "an audit finds, 4 times in 5, a difference such as <b>50 % against" in many and "less often" not in many
    assert "an audit finds a difference such as <b>50 % against 90 %</b> or <b>10 % against 50 %</b> less often than 4 times in 5." in few
    assert "finds, 4 times in 5" not in few


def test_what_a_visitor_chose_while_the_page_opened_stays(store):
    """The first page of an app takes a moment to open, and then put the choice of own images back to the demo."""
    from ui.data_tab import BLANK, DEMO, restore
    from ui.page import refilled

    for kept in ({}, DEMO):
        assert restore(kept) == (gr.skip(),) * (4 + len(BLANK))
    assert refilled([3, "a"], [3, "b"]) == [gr.skip(), "a"]


def test_a_model_that_a_visitor_cannot_see_serves_no_other_images(store, sets, tmp_path, monkeypatch):
    """The field is not there in a public app, and kept the model of the sets that were loaded before."""
    from ui import gate
    from ui.data_tab import BLANK, UNLOADED, restore

    monkeypatch.setattr(gate, "DOOR", gate.DOOR)
    trained = {**sets, "baseline": "run:x/model"}
    assert restore(trained)[6] == "run:x/model"
    gate.open_door(True, tmp_path)
    assert restore(trained)[6] == gr.skip() and restore(UNLOADED, ["a", "b", "demo", *BLANK[3:]])[4:7] == ("a", "b", gr.skip())


def test_what_an_upload_or_a_built_set_says_stays(store, sets):
    """The step after it, which asks whether the fields are still those loaded, wiped the sentence away."""
    from ui import data_tab
    from ui.data_tab import DEMO, edited, filled_in

    fields = (sets["biased"], "", "", "", 0, False, "", "")
    assert edited(None, DEMO, *fields)[1] == "" and edited(None, DEMO, *fields)[0] == filled_in(None, DEMO, *fields)[0]
    assert unchanged(filled_in(None, DEMO, *fields)[1])

    async def build():
        with gr.Blocks() as page:
            data_tab.build()
        return page

    fns = asyncio.run(build()).fns.values()
    says = [fn for fn in fns if fn.name in ("take_upload", "from_labels")]
    after = [fn for fn in fns if fn.trigger_after in {fn._id for fn in says}]
    assert len(says) == 3 and [fn.name for fn in after] == ["filled_in"] * 3


def test_labels_that_come_to_lie_beside_a_folder_are_seen(store, tmp_path, monkeypatch):
    from ui import pictures

    folder, stamps = tmp_path / "celeba", []
    folder.mkdir()
    Image.new("RGB", (16, 16)).save(folder / "000001.png")
    monkeypatch.setattr(pictures, "image_set", lambda *key: stamps.append(key[-1]))
    for text in ("", "1\nMale\n000001.png 1\n"):
        if text:
            (tmp_path / "list_attr_celeba.txt").write_text(text)
        pictures.open_set({"biased": str(folder)}, "biased")
    assert stamps[0] != stamps[1]


def test_an_upload_keeps_its_name_and_images_become_a_folder(store, tmp_path):
    from tiw.errors import UserInputError
    from ui import keeping

    def dropped(*names):
        folder = tmp_path / f"cache{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(b"x")
        return [str(folder / name) for name in names]

    kept = [keeping.keep_upload(dropped("faces.zip")) for _ in range(2)]
    assert kept[0].endswith("/faces.zip") and kept[0] != kept[1]
    assert keeping.keep_upload(dropped("table.parquet")).endswith("/table.parquet")
    odd = ("Ärmel & Co #1.png", "it's 100% wool, [x].jpg", "日本.png")
    folder = store.located(keeping.keep_upload(dropped(*odd)), "")
    assert folder.endswith("3 uploaded images") and {file.name for file in Path(folder).iterdir()} == set(odd)
    assert store.is_there(keeping.keep_upload(dropped("it's 50% & more.zip")))
    assert keeping.NO_NAME.sub("_", 'a:b\\c/d|"e"\x00.png') == "a_b_c_d__e__.png"
    for wrong in ([], dropped("a.zip", "b.zip"), dropped("a.zip", "b.png")):
        with pytest.raises(UserInputError, match="upload"):
            keeping.keep_upload(wrong)


def test_a_reference_set_is_built_from_labels(store, sets):
    from tiw.data import load_images
    from ui.reference_builder import from_labels, offer, read_labels

    counts, attribute, *_ = read_labels(sets["biased"])
    assert attribute["value"] == "light" and counts["light"] == {"dark": 32, "bright": 8}
    values, *sliders = offer(counts, "light")
    assert values == ["dark", "bright"] and [s["visible"] for s in sliders[:3]] == [True, True, False]
    biased, reference, message = from_labels(sets["biased"], "light", 10, values, 1, 1, 0, 0)
    assert load_images(store.located(reference, "")).attributes["light"].value_counts().to_dict() == {"dark": 5, "bright": 5}
    assert len(load_images(store.located(biased, ""))) == 30 and "10 images is ready" in message
    for wrong in (
        ("", "light", 10, values, 1, 1),
        (sets["biased"], "light", 10, values, 0, 0),
        (sets["biased"], "light", 30, values, 0, 1),
    ):
        assert "tiw-error" in from_labels(*wrong)[2]
    assert "Large set" in read_labels("")[-1] and "no labels" not in read_labels(sets["biased"])[-1]


def test_a_run_that_ships_with_the_app_is_what_a_newcomer_sees(store, sets, looked, tmp_path, monkeypatch):
    from tiw.errors import UserInputError
    from ui import page

    folder = tmp_path / "example"
    monkeypatch.setattr(store, "EXAMPLE", folder)
    run = RunFolder.create(folder / ("e" * 32), "audit", AuditOptions(**sets))
    run.write_result(AUDITED)
    run.write_status(state="finished")
    (run.path / "owner").write_text("everyone")
    store.examples.cache_clear()
    try:
        current, _ = page._reattach({}, type("Request", (), {"query_params": {}})())
        assert current["audit"] == "e" * 32 and current["debias"] == ""
        shown, *_ = looked(current, sets)
        assert "Computed before" in shown["audit"][0] and any("Nothing." in str(value) for value in shown["audit"])
        assert store.all_runs() == []
        status = (run.path / "status.json").read_text()
        for change in (store.delete, store.stop, store.resume, lambda run_id: store.describe(run_id, "mine", "")):
            with pytest.raises(UserInputError, match="no run of yours"):
                change("e" * 32)
        assert (run.path / "status.json").read_text() == status
    finally:
        store.examples.cache_clear()


def test_a_run_is_named_on_the_page_and_its_report_says_so(store, sets):
    from tiw.errors import UserInputError
    from tiw.run.report import with_about
    from ui import routes, runs_list

    run = put(store, "a", "audit", AuditOptions(**sets), AUDITED)
    (run.path / "report.html").write_text("<h1>x</h1>\n<p>y</p>")
    event = type("Event", (), {"_data": {"value": {"run": run.id, "name": "Before <the> fix", "note": "12 % & more"}}})()
    runs_list.describe_listed(event)
    run = store.open_run(run.id)
    assert (run.name, run.note) == ("Before <the> fix", "12 % & more")
    assert 'value="Before &lt;the&gt; fix"' in runs_list.render({})
    report = routes._report(store.open_run(run.id), {}).body.decode()
    assert report == '<h1>x</h1>\n<p id="about"><b>Before &lt;the&gt; fix</b><br>12 % &amp; more</p>\n<p>y</p>'
    assert with_about(report, "", "") == "<h1>x</h1>\n<p>y</p>" and report == with_about(report, run.name, run.note)
    with pytest.raises(UserInputError, match="80 at most"):
        store.describe(run.id, "x" * 81, "")
    with pytest.raises(UserInputError):
        store.describe("b" * 32, "nobody's", "")


def test_what_lags_is_said_beside_the_gap_closed(store, sets):
    from ui.debias_tab import _lagging
    from ui.training_view import _beside

    share = {"value": 0.1, "interval": [0.08, 0.12]}
    group = {"group": 3, "samples": share, "reference": share, "biased": share, "lags": True, "reference_rows": [0, 1]}
    lags = {"groups": [group, {**group, "group": 4, "lags": False}], "any": True, "sentence": "Group 3 lags."}
    result = {"training_seconds": 1, "steps": 2, "objective": "dsm-ref"}
    inputs = {name: value for name, value in sets.items() if name != "baseline"}
    run = put(store, "a", "debias", DebiasOptions(**inputs), {**result, "lagging": lags})
    text = _lagging(run)
    assert "Group 3 lags." in text and text.count("<img") == 1 and "Group <b>4</b>" not in text
    assert "what lags" in _beside(run)
    without = put(store, "b", "debias", DebiasOptions(**inputs), result)
    assert _lagging(without) == "" and _beside(without) == "judged without labels"


@pytest.mark.parametrize(("low", "said"), [(0.9, False), (1.2, False), (1.6, True)])
def test_a_gap_closed_past_the_reference_is_no_success(store, sets, low, said):
    """References of another crop: the meter read 1.92 [1.60, 2.24], and the page showed 192 % without a word."""
    from tiw.run.fields import _measures
    from ui import training_view, words

    gap = {"value": low + 0.3, "interval": [low, low + 0.6]}
    run = put(store, "a", "debias", DebiasOptions(), {"steps": 2, "gap_closed": gap})
    steps = [{"step": 2, "steps": 2, "images_per_second": 1.0}]
    shown = training_view._numbers(run, steps, [{"step": 2, "file": "x", "gap_closed": gap}], "")
    report = " ".join(_measures({"objective": "tiw-dsm", "steps": 2, "gap_closed": gap}))
    assert [("past the reference" in text) for text in (shown, words.gap_closed(gap), report)] == [said] * 3


def test_a_run_that_cannot_be_read_is_listed_and_can_be_deleted(store, sets, monkeypatch):
    """Its folder took room for ever, and nobody saw it."""
    from types import SimpleNamespace

    from ui import page, runs_list

    good = put(store, "a", "audit", AuditOptions(), AUDITED)
    bad = store.jobs().folder / ("b" * 32)
    bad.mkdir()
    (bad / "config.json").write_text("[" * 10_000)
    shown = runs_list.render({})
    assert "Unreadable" in shown and shown.count('data-action="delete"') == 2 and shown.count('data-action="open"') == 1
    assert [run.id for run in store.all_runs()] == [good.id] and store.open_run(bad.name) is None
    monkeypatch.setattr(page.gr, "Info", lambda *_: None)
    monkeypatch.setattr(page.gr, "Warning", lambda *_: None)
    left = runs_list.delete_listed({"audit": good.id}, SimpleNamespace(_data={"value": bad.name}))
    assert not bad.exists() and left["audit"] == good.id and "Unreadable" not in runs_list.render({})
    assert runs_list.delete_listed({}, SimpleNamespace(_data={"value": "c" * 32}))["audit"] == ""


def test_a_list_of_runs_reads_no_run_again(store, sets, monkeypatch):
    """Each look at the list opened every run ever made: config, status and result."""
    from ui import runs_list

    options = AuditOptions(**sets)
    ids = [put(store, name, "audit", options, AUDITED).id for name in "123"]
    first = runs_list.render({})
    for method in ("open", "status", "result", "about"):
        monkeypatch.setattr(RunFolder, method, lambda *_, **__: pytest.fail("a run was read again"))
    assert [run.id for run in store.all_runs()] == ids[::-1] and runs_list.render({}) == first


def test_references_of_another_kind_are_shown_in_audit_and_report(store, sets, tmp_path):
    """Six stripes among thirty even images: found by an audit without a model, shown on the page and in the report."""
    reference = blobs(60, 0.6, 1).images.copy()
    reference[:6] = 255 * (np.arange(16) % 2)[:, None]
    np.savez(tmp_path / "reference.npz", images=reference)
    np.savez(tmp_path / "biased.npz", images=blobs(300, 0.2, 0).images)
    kept = {name: value for name, value in sets.items() if name in ("biased", "reference", "baseline")}
    folder = RunFolder.create(store.jobs().folder / ("1" * 32), "audit", AuditOptions(**kept, levels=2, map=False))
    assert execute(folder) == 0, folder.status()
    run = store.open_run("1" * 32)
    (unlike,) = (problem for problem in run.result["problems"] if problem["kind"] == "unlike")
    assert unlike["count"] == 6 and set(unlike["examples"]) <= set(range(6))
    from ui import audit_tab

    shown = audit_tab._problems(run)
    assert "6 of 60 reference images look unlike" in shown and shown.count("<img") == 1
    assert "Reference images unlike any biased image" in (run.path / "report.html").read_text()
