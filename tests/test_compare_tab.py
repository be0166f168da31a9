"""The Compare tab's own logic, without a browser."""

import html
import io
import json
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_report import EVIL, labelled

from tiw.comparing.classifier import fit_attribute_classifier
from tiw.comparing.compare import measure
from tiw.errors import UserInputError
from tiw.run import names
from tiw.run.folder import _json
from tiw.run.spot_check import write_predicted
from ui import caps, charts, compare_tab, counted, pictures, quality, spot


@pytest.fixture(scope="module")
def result():
    classifier = fit_attribute_classifier(labelled(300, 0.5, 0))
    found = measure(labelled(150, 0.1, 1).images, labelled(150, 0.5, 2).images, labelled(80, 0.5, 3), classifier)
    return json.loads(_json(found.to_json()))


def test_differences_are_in_words_and_escaped(result):
    page = counted.differences(result)
    assert EVIL not in page and "&lt;script&gt;" in page
    assert "frequent than in the baseline, by" in page and "Not distinguishable from the target at this n" in page
    run = SimpleNamespace(path=Path("none"), result=result)
    assert result["residual"]["verdict"].capitalize() in counted.residual(run) and "must not be seen" in counted.residual(run)


def test_every_share_stands_there_in_numbers(result):
    """A chart alone cannot be read to a tenth, and on a phone not at all."""
    page = counted.shares(result)
    assert EVIL not in page and page.count("<tr>") == 1 + len({(row["attribute"], row["value"]) for row in result["shares"]})
    row = next(row for row in result["shares"] if row["set"] == "debiased")
    assert f"[{100 * row['interval'][0]:.1f}, {100 * row['interval'][1]:.1f}]" in page and "corrected" in page
    assert counted.shares({"shares": []}) == ""


def test_an_attribute_has_one_p_value_for_all_its_values(result):
    """It had stood beside every value, also beside “not distinguishable”."""
    page = counted.differences(result)
    rows = re.findall(r"<tr>(<td.*?)</tr>", page)
    found = [[html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows]
    assert len(found) == len(result["differences"])
    given = [cells[0].partition(": ")[0] for cells in found if cells[4]]
    assert given == [name for _ in range(2) for name in dict.fromkeys(row["attribute"] for row in result["differences"])]


def test_quality_is_the_kernel_distance_first_then_every_group(result):
    groups = [
        {"group": EVIL, "n": 90, "counts": {}, "baseline": estimate(0.1, 0.2), "debiased": estimate(0.3, 0.4)},
        {"group": "b", "n": 90, "counts": {}, "baseline": estimate(0.3, 0.5), "debiased": estimate(0.4, 0.6)},
        {"group": "c", "n": 3, "counts": {"debiased": 3}, "baseline": estimate(0.3, 0.5), "debiased": None},
    ]
    page = quality.details(SimpleNamespace(path=Path("none"), result={**result, "groups": groups}))
    assert EVIL not in page and ">worse<" in page and "not distinguishable at this n" in page and "too few (3 samples)" in page
    card = quality.card(result)
    assert card.index("Kernel distance") < card.index("Frechet distance") and quality.card({}) == ""


def estimate(low, high):
    return {"value": (low + high) / 2, "interval": [low, high]}


def test_no_classifier_and_no_test_leave_nothing_behind():
    assert counted.residual(SimpleNamespace(result={})) == ""
    assert counted.differences({}) == "" and counted.classifier({"classifier": None}) == ""
    assert counted.points(None) == "not measurable"
    assert counted.points({"value": 0.361, "interval": [0.33, 0.39]}) == "+36.1 [+33.0, +39.0]"


def test_errors_that_were_not_counted_are_no_table(result):
    attribute = {"attribute": "a", "values": ["x", "y"], "confusion": None, "accuracy": None, "n": 0}
    shown = counted.classifier({"classifier": {"name": EVIL, "licence": "CC0", "attributes": [attribute]}})
    assert "<table" not in shown and "errors are not counted, so shares are raw" in shown and EVIL not in shown
    known = counted.classifier(result)
    assert "<table" in known and "The classifier is a linear probe on pixels" in known


def test_what_was_done_to_labels_and_the_limits_of_a_classifier_are_on_screen():
    shown = counted.differences({"notes": ["age holds 70 numbers and was split at its median, 31.", EVIL]})
    assert "split at its median" in shown and EVIL not in shown


def test_which_model_to_keep_is_a_list_with_downloads(monkeypatch):
    models = [point("baseline", 0.4), point("debiased", 0.2, step=30), point("step 20", 0.1, step=20), point("guided 1", 0.3, strength=1.0)]
    run = SimpleNamespace(result={"models": [{**m, "corrected": True} for m in models]}, options={"debiased": "x"})
    monkeypatch.setattr(counted.store, "maker_of", lambda model: SimpleNamespace(id="abc"))
    shown = counted.lineup(run)
    assert shown.index("0.100") < shown.index("0.200") < shown.index("0.400") and EVIL not in shown
    assert shown.count("download") == 1 and "tiw/abc/kept/20.zip" in shown
    monkeypatch.setattr(counted.store, "maker_of", lambda model: None)
    assert "download" not in counted.lineup(run)
    assert counted.lineup(SimpleNamespace(result={"models": models[:2]}, options={})) == ""


def test_attributes_are_picked_from_the_labels_that_are_there(monkeypatch):
    """Those of the named images, else of the run's biased set; a file that says itself what it tells apart has none to pick."""
    wide = labelled(30, 0.5, 0)
    wide = replace(wide, attributes=pd.DataFrame({f"a{k}": ["x"] * 30 for k in range(40)} | {"b,c": ["y"] * 30}))
    asked = []

    def opened(sets, role):
        asked.append(sets["biased"])
        return wide

    options = {"biased": "large.zip", "references": 0, "resolution": 0, "skip_bad": False}
    monkeypatch.setattr(compare_tab.store, "open_run", lambda run: SimpleNamespace(kind="debias", options=options) if run else None)
    monkeypatch.setattr(compare_tab.pictures, "open_set", opened)
    shown = compare_tab.columns("r", "", ["a3", "gone"])  # what was picked stays where it is still there
    assert shown["choices"] == [f"a{k}" for k in range(40)] and shown["value"] == ["a3"] and asked == ["large.zip"]
    assert len(compare_tab.columns("r", " own.zip ", [])["choices"]) == 40 and asked[-1] == "own.zip"
    for labels in ("groups", "ita", "x.onnx", "y.prompts.json"):
        assert compare_tab.columns("r", labels, ["typed"])["choices"] == []
    assert compare_tab.columns("", "", [])["choices"] == [] and len(asked) == 2

    def gone(sets, role):
        raise UserInputError("labels", "gone", "x")

    monkeypatch.setattr(compare_tab.pictures, "open_set", gone)
    assert compare_tab.columns("r", "", ["typed"])["value"] == ["typed"]
    monkeypatch.setattr(compare_tab.store, "named", str)
    made = compare_tab.fields(SimpleNamespace(path=Path("r")), 100, attributes=["a1", "a2"], encoder="denoiser")
    assert made["attributes"] == "a1,a2" and made["encoder"] == "denoiser"


def test_a_public_app_takes_no_encoder_that_takes_long():
    for name in ("efficientnet", "inception"):
        with pytest.raises(UserInputError, match="takes longer than this app allows"):
            caps.options("compare", {"debiased": "demo", "encoder": name}, caps.PUBLIC, lambda name, field: name)
    given = {"debiased": "demo", "encoder": "efficientnet"}
    assert caps.options("compare", given, caps.PRIVATE, lambda name, field: name).encoder == "efficientnet"


def test_raw_and_corrected_shares_stand_in_one_chart(result):
    figure = json.loads(charts.shares(result["shares"]))
    names = [trace["name"] for trace in figure["data"]]
    assert "Debiased, corrected" in names and "Baseline (n = 150)" in names
    raw = [{**row, "corrected": None} for row in result["shares"]]
    assert not any("corrected" in trace["name"] for trace in json.loads(charts.shares(raw))["data"])


def test_pairs_carry_what_the_classifier_calls_them(tmp_path):
    run = SimpleNamespace(path=tmp_path, id="r", result={})
    np.savez(tmp_path / "samples.npz", seeds=np.arange(3))
    assert json.loads(compare_tab._pairs(run))["labels"] is None
    called = {"hair": ["long", "long", "short"], "skin": ["=1", "=1", "null"]}
    frames = {"baseline": pd.DataFrame(called), "debiased": pd.DataFrame({**called, "hair": ["short", "long", "short"]})}
    classes = {"hair": ["long", "short"], "skin": ["=1", "null"]}
    write_predicted(tmp_path / names.PREDICTED, [0, 1, 2], classes, frames)
    assert json.loads(compare_tab._pairs(run))["labels"] == [
        ["long, =1", "short, =1"],
        ["long, =1", "long, =1"],
        ["short, null", "short, null"],
    ]
    write_predicted(tmp_path / names.PREDICTED, [0, 1], classes, {name: frame[:2] for name, frame in frames.items()})
    assert compare_tab._called(run, 3) is None  # of another number of pairs: not these


def test_a_sheet_has_a_row_for_each_model_that_is_shown(tmp_path):
    run = SimpleNamespace(
        path=tmp_path, id="r", result={"models": [{"name": name, "title": EVIL} for name in ("baseline", "debiased", "step 1")]}
    )
    grey = {name: np.full((3, 8, 8, 3), level, np.uint8) for name, level in (("baseline", 0), ("debiased", 120), ("step 1", 250))}
    np.savez(tmp_path / "samples.npz", seeds=np.arange(3), **grey)
    sheet = np.asarray(Image.open(io.BytesIO(pictures.pairs_sheet(run, 1, [2, 0]))))
    assert sheet.shape[:2] == (16, 24) and sheet[:8].mean() > 240 and sheet[8:].mean() < 10
    assert all(pictures.pairs_sheet(run, page, shown) == b"" for page, shown in ((2, [0, 1]), (1, [3]), (1, []), (1, [0, 1, 2, 0, 1])))
    assert [m["name"] for m in json.loads(compare_tab._pairs(run))["models"]] == ["baseline", "debiased", "step 1"]


def test_of_many_samples_the_page_reads_what_it_shows_and_keeps_nothing(tmp_path):
    """The samples of four runs stayed in its memory whole, however many they were."""
    run = SimpleNamespace(path=tmp_path, id="r", result={})
    many = np.zeros((4000, 64, 64, 3), np.uint8)
    many[-24:], many[-1] = 99, 200
    np.savez(tmp_path / "samples.npz", seeds=np.arange(4000), baseline=many, debiased=many)
    tracemalloc.start()
    sheet = pictures.pairs_sheet(run, 167, [0, 1])
    picture = np.asarray(Image.open(io.BytesIO(spot.picture(run, 3999))))
    assert json.loads(compare_tab._pairs(run))["pages"][-1][-1] == 3999 and spot.picture(run, 4000) == b""
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert abs(np.asarray(Image.open(io.BytesIO(sheet))).mean() - 105) < 5 and (picture == 200).all()
    assert kept < 2e6 and peak < 20e6 < many.nbytes


def point(name, discrepancy, **more):
    of = {"value": discrepancy, "interval": [discrepancy - 0.01, discrepancy + 0.01]}
    return {"name": name, "title": EVIL, "discrepancy": of, "kernel_distance": of, "step": None, "strength": None} | more


def test_the_front_is_a_line_over_training_and_one_over_strength():
    models = [point("baseline", 0.4), point("debiased", 0.1, step=300), point("step 100", 0.3, step=100)]
    models += [point("guided 2", 0.05, strength=2.0), point("guided 0.5", 0.2, strength=0.5), point("model 1", 0.15)]
    figure = json.loads(charts.front(models))
    lines = {trace["name"]: trace["y"] for trace in figure["data"]}
    assert lines == {"Debiased": [0.4, 0.3, 0.1], "Baseline, guided": [0.4, 0.2, 0.05], "Other models": [0.15]}
    assert not any(EVIL in text for trace in figure["data"] for text in trace["text"])
    assert charts.front(models[:2]) == "" and charts.front([m | {"discrepancy": None} for m in models]) == ""


def test_names_in_the_front_do_not_lie_over_each_other():
    """Models of the last steps end at one place: the first is named, every one says who it is when pointed at."""
    steps = [point(f"step {k}", 0.1 + 0.001 * k, step=k) for k in range(1, 9)]
    figure = json.loads(charts.front([point("baseline", 0.5), *steps, point("far", 0.3)]))
    texts = {trace["name"]: trace["text"] for trace in figure["data"]}
    assert [bool(text) for text in texts["Debiased"]] == [True, True] + [False] * 7 and all(texts["Other models"])
    assert all(all(trace["hovertext"]) for trace in figure["data"])


def test_what_may_stand_beside_is_located_and_bounded():
    def locate(name, field):
        assert field == "also"
        return f"/runs/{name}"

    found = caps.options("compare", {"debiased": "demo", "also": "kept:5, run:x, guided:1.5"}, caps.PRIVATE, locate)
    assert found.also == "kept:5,/runs/run:x,guided:1.5"
    for text in ("sweep", "kept", "a,b,c"):
        with pytest.raises(UserInputError, match="at most 2"):
            caps.options("compare", {"debiased": "demo", "also": text}, caps.PUBLIC, locate)
