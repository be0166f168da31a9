"""The spot check in a run's folder: drawn, labelled on the page or in a spreadsheet, and said in the report."""

import csv
import json
import zipfile
from types import SimpleNamespace

import jsonschema
import numpy as np
import pandas as pd
import pytest
from conftest import blobs
from test_report import SCHEMA
from typer.testing import CliRunner

from tiw.__main__ import app
from tiw.comparing.classifier import fit_attribute_classifier
from tiw.comparing.compare import measure
from tiw.data import ImageSet
from tiw.errors import UserInputError
from tiw.run import names, spot_check
from tiw.run.folder import RunFolder
from tiw.run.options import CompareOptions
from ui import spot

HAIR = {"bright": "=long", "dark": "-short"}  # values that a spreadsheet would run


def labelled(n, share, seed):
    images = blobs(n, share, seed)
    light = images.attributes["light"]
    top = np.random.default_rng(seed).random(n) < 0.5
    pixels = images.images.copy()
    pixels[top, :8] = np.clip(pixels[top, :8].astype(int) + 70, 0, 255)
    return ImageSet(pixels, pd.DataFrame({"hair": light.map(HAIR), "hat": np.where(top, "hat", "none")}), "blobs")


@pytest.fixture(scope="module")
def result():
    """Result, classifier and samples; the debiased samples' true labels are known."""
    classifier = fit_attribute_classifier(labelled(400, 0.5, 0))
    debiased = labelled(400, 0.3, 2)
    found = measure(labelled(400, 0.1, 1).images, debiased.images, labelled(39, 0.5, 3), classifier)  # too few for the test without labels
    return found, classifier, debiased


@pytest.fixture
def run(tmp_path, result):
    found, classifier, debiased = result
    run = RunFolder.create(tmp_path / "compare", "compare", CompareOptions(debiased="x"))
    run.write_result(found.to_json())
    np.savez(run.path / names.SAMPLES, seeds=np.arange(400), baseline=debiased.images, debiased=debiased.images)
    spot_check.write_predicted(run.path / names.PREDICTED, list(range(400)), classifier.classes, found.predicted)
    return run


def truth(sheet, labels):
    return {
        k: spot_check.UNSURE if k % 50 == 7 else "-".join(labels.iloc[k][part] for part in sheet.attribute.split(" x "))
        for k in sheet.samples
    }


def test_it_goes_on_where_it_was_left_and_takes_back(run, result):
    assert spot_check.read_sheet(run) is None
    sheet = spot_check.draw_sheet(run, 120)
    assert sheet.attribute == "hair x hat" and sheet.values == ("-short-hat", "-short-none", "=long-hat", "=long-none")
    assert sheet.done == 0 and 110 <= len(set(sheet.samples)) <= 130
    first, second = sheet.samples[:2]
    spot_check.label(run, {first: "-short-hat"})
    spot_check.label(run, {second: "=long-hat"})
    spot_check.label(run, {first: ""})
    again = spot_check.read_sheet(RunFolder.open(run.path))
    assert again.labels[:3] == ("", "=long-hat", "") and again.samples == sheet.samples
    with pytest.raises(UserInputError, match="labelled already"):
        spot_check.draw_sheet(run, 120)
    with pytest.raises(UserInputError, match="label at least 20"):
        spot_check.finish(run)


def test_the_sheet_shows_no_answer_and_is_harmless_in_a_spreadsheet(run):
    sheet = spot_check.draw_sheet(run, 100)
    spot_check.label(run, {sheet.samples[0]: "=long-hat"})
    lines = list(csv.reader((run.path / names.SPOT_CHECK).read_text().splitlines()))
    assert lines[0] == ["sample", "seed", "attribute", "label"] and lines[1][3] == "'=long-hat"
    assert spot_check.read_sheet(run).labels[0] == "=long-hat"


def test_true_labels_agree_and_stand_in_result_and_report(run, result):
    sheet = spot_check.draw_sheet(run, 300)
    spot_check.label(run, truth(sheet, result[2].attributes))
    found = spot_check.finish(run)
    assert not found["disagrees"] and "80 % of cases" in found["sentences"][0] and found["unsure"] > 0
    assert found["n"] + found["unsure"] == found["drawn"]
    shares = {(row["attribute"], row["value"]): row for row in found["shares"]}
    assert {name for name, _ in shares} == {"hair", "hat", "hair x hat"}
    for value, true in (("=long", 0.3), ("-short", 0.7)):
        low, high = shares["hair", value]["interval"]
        assert low <= true <= high and shares["hair", value]["other"]["corrected"]
    joint = sum(row["share"] for (name, value), row in shares.items() if name == "hair x hat" and value.startswith("-short"))
    assert joint == pytest.approx(shares["hair", "-short"]["share"])
    report = json.loads((run.path / names.REPORT_JSON).read_text())
    jsonschema.validate(report, SCHEMA)
    assert report["results"]["compare"]["spot_check"] == found
    assert any("a person labelled" in text for text in report["fields"][6]["texts"])
    assert "Spot check, by a person" in report["fields"][8]["table"]["head"]


def test_labels_that_disagree_are_said_first(run, result):
    sheet = spot_check.draw_sheet(run, 200, "hair")
    spot_check.label(
        run, {k: "=long" if result[2].attributes["hair"].iloc[k] == "=long" or k % 3 == 0 else "-short" for k in sheet.samples}
    )
    found = spot_check.finish(run)
    assert found["disagrees"] and {row["attribute"] for row in found["shares"]} == {"hair"}
    assert "rely on the labels" in found["sentences"][0] and "hair, =long" in " ".join(found["sentences"])
    report = json.loads((run.path / names.REPORT_JSON).read_text())
    assert found["sentences"][0] in report["fields"][6]["flags"] and any(
        "labels of the spot check" in step for step in report["next_steps"]
    )


def test_from_the_command_with_a_file_filled_in_elsewhere(run, result, tmp_path):
    drawn = CliRunner().invoke(app, ["spot-check", str(run.path), "--size", "100"])
    assert drawn.exit_code == 0 and "-short-none" in drawn.output, drawn.output
    sheet = spot_check.read_sheet(run)
    assert len(list((run.path / names.SPOT_PICTURES).glob("*.png"))) == len(sheet.samples)
    table = pd.read_csv(run.path / names.SPOT_CHECK, keep_default_na=False, dtype=str)
    given = truth(sheet, result[2].attributes)
    table["label"] = [given[int(sample)] for sample in table["sample"]]
    table[::-1].to_csv(tmp_path / "filled.csv", index=False)
    done = CliRunner().invoke(app, ["spot-check", str(run.path), "--labels", str(tmp_path / "filled.csv")])
    assert done.exit_code == 0 and "no disagreement" in done.output, done.output
    assert list(spot_check.read_sheet(run).labels) == [given[k] for k in sheet.samples]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "no columns"),
        ("sample,seed,attribute,label\n1,1,nose,x\n", "another comparison"),
        ("sample,seed,attribute,label\n99999,1,hair,-short\n", "another comparison"),
        ("sample,seed,attribute,label\n{first},1,hair,curly\n", "is called 'curly'"),
        ("sample,seed,attribute,label\n{other},1,hair,-short\n", "not in the sheet"),
        ("\xff\xfe", "no columns"),
    ],
)
def test_a_wrong_sheet_is_a_sentence_and_changes_nothing(run, text, words):
    sheet = spot_check.draw_sheet(run, 100, "hair")
    other = next(k for k in range(400) if k not in sheet.samples)
    with pytest.raises(UserInputError, match=words):
        spot_check.take_csv(run, text.format(first=sheet.samples[0], other=other).encode("latin-1"))
    assert spot_check.read_sheet(run) == sheet


def test_a_label_that_is_no_value_is_a_sentence_at_the_end_too(run):
    """The command reads the file that a person has filled in, and ended in a traceback."""
    spot_check.draw_sheet(run, 100, "hair")
    path = run.path / names.SPOT_CHECK
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(line + "Short" for line in lines[1:])]) + "\n")
    with pytest.raises(UserInputError, match="is called 'Short'"):
        spot_check.found(run, spot_check.read_sheet(run))


def test_an_attribute_with_more_values_than_keys_is_a_sentence(run):
    kept = json.loads((run.path / names.PREDICTED).read_text())
    many = [str(k) for k in range(60)]
    kept["classes"], kept["codes"]["debiased"] = {"fine": many}, {"fine": [k % 60 for k in range(400)]}
    (run.path / names.PREDICTED).write_text(json.dumps(kept))
    with pytest.raises(UserInputError, match="fine has 60 values"):
        spot_check.draw_sheet(run, 100)


def test_what_cannot_be_drawn_is_a_sentence(run, tmp_path):
    for size, attribute, words in ((99, "", "100 to 300"), (301, "", "100 to 300"), (100, "nose", "no 'nose'")):
        with pytest.raises(UserInputError, match=words):
            spot_check.draw_sheet(run, size, attribute)
    bare = RunFolder.create(tmp_path / "bare", "compare", CompareOptions(debiased="x"))
    with pytest.raises(UserInputError, match="made with labels"):
        spot_check.draw_sheet(bare)
    with pytest.raises(UserInputError, match="draw the samples first"):
        spot_check.label(run, {})


@pytest.fixture
def on_page(run, monkeypatch):
    """The run as the page sees it, its owner's."""
    run.write_status(state="finished")
    seen = SimpleNamespace(id="r", path=run.path, folder=run, shipped=False, done=True)
    monkeypatch.setattr(spot.store, "own", lambda run_id: seen)
    return seen


def test_the_page_draws_labels_takes_a_file_and_ends(on_page, result):
    assert json.loads(spot.value(on_page)) == {"base": "tiw/r", "attributes": ["hair x hat", "hair", "hat"], "mine": True}
    assert spot.state(on_page) == {"sheet": None, "found": None} and spot.zipped(on_page) is None
    sheet = spot.answer(on_page, {"draw": {"size": 100, "attribute": "hair"}})["sheet"]
    assert sheet["values"] == ("-short", "=long") and len(sheet["samples"]) == 100 and not any(sheet["labels"])
    given = {str(k): result[2].attributes["hair"].iloc[k] for k in sheet["samples"]}
    assert list(spot.answer(on_page, {"labels": given})["sheet"]["labels"]) == list(given.values())
    text = (on_page.path / names.SPOT_CHECK).read_text()
    spot.answer(on_page, {"labels": dict.fromkeys(given, "")})
    assert all(spot.answer(on_page, {"csv": text})["sheet"]["labels"])
    assert spot.answer(on_page, {"finish": True})["found"]["n"] == 100
    with spot.zipped(on_page) as file, zipfile.ZipFile(file) as packed:
        assert len(packed.namelist()) == 101
    assert spot.picture(on_page, 0).startswith(b"RIFF") and spot.picture(on_page, 400) == b""


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"draw": {"size": "9"}}, {"draw": {"size": True}}, {"labels": {"x": "a"}}, {"labels": {"1": 2}}, {"csv": "a" * 200_001}],
)
def test_whatever_a_browser_sends_is_a_sentence(on_page, body):
    with pytest.raises(UserInputError):
        spot.answer(on_page, body)
    assert not (on_page.path / names.SPOT_CHECK).exists()


def test_what_is_not_ones_own_is_left_as_it_is(on_page, monkeypatch):
    def refuse(run_id):
        raise UserInputError("run", "there is no run of yours with this id", "choose one")

    monkeypatch.setattr(spot.store, "own", refuse)
    with pytest.raises(UserInputError, match="no run of yours"):
        spot.answer(on_page, {"draw": {"size": 100}})
    on_page.shipped = True
    with pytest.raises(UserInputError, match="cannot be changed"):
        spot.answer(on_page, {"draw": {"size": 100}})
