"""The Compare tab's own logic, without a browser."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from test_report import EVIL, labelled

from tiw.comparing.classifier import fit_attribute_classifier
from tiw.comparing.compare import measure
from tiw.run.folder import _json
from ui import charts, compare_tab


@pytest.fixture(scope="module")
def result():
    classifier = fit_attribute_classifier(labelled(300, 0.5, 0))
    found = measure(labelled(150, 0.1, 1).images, labelled(150, 0.5, 2).images, labelled(80, 0.5, 3), classifier)
    return json.loads(_json(found.to_json()))


def test_differences_are_in_words_and_escaped(result):
    page = compare_tab._differences(result)
    assert EVIL not in page and "&lt;script&gt;" in page
    assert "points against the baseline" in page and "Not distinguishable from the target at this n" in page
    assert result["residual"]["verdict"].capitalize() in page and "must not be seen" in page


def test_no_classifier_and_no_test_leave_nothing_behind():
    assert compare_tab._differences({}) == "" and compare_tab._classifier({"classifier": None}) == ""
    assert compare_tab._points(None) == "not measurable"
    assert compare_tab._points({"value": 0.361, "interval": [0.33, 0.39]}) == "+36 [+33, +39] points"


def test_errors_that_were_not_counted_are_no_table(result):
    blind = {"classifier": {"attributes": [{"attribute": "a", "values": ["x", "y"], "confusion": None, "accuracy": None, "n": 0}]}}
    assert compare_tab._classifier(blind) == ""


def test_raw_and_corrected_shares_stand_in_one_chart(result):
    figure = json.loads(charts.shares(result["shares"]))
    names = [trace["name"] for trace in figure["data"]]
    assert "Debiased, corrected" in names and "Baseline (n = 150)" in names
    raw = [{**row, "corrected": None} for row in result["shares"]]
    assert not any("corrected" in trace["name"] for trace in json.loads(charts.shares(raw))["data"])


def test_pairs_carry_what_the_classifier_calls_them(tmp_path):
    run = SimpleNamespace(path=tmp_path, id="r")
    np.savez(tmp_path / "samples.npz", seeds=np.arange(3))
    assert json.loads(compare_tab._pairs(run))["labels"] is None
    table = "seed,baseline: hair,baseline: skin,debiased: hair,debiased: skin\n0,long,1,short,1\n1,long,1,long,1\n2,short,0,short,0\n"
    (tmp_path / "pairs.csv").write_text(table)
    assert json.loads(compare_tab._pairs(run))["labels"] == [["long, 1", "short, 1"], ["long, 1", "long, 1"], ["short, 0", "short, 0"]]
    (tmp_path / "pairs.csv").write_text(table.rsplit("\n", 2)[0] + "\n")  # of another number of pairs: not these
    assert compare_tab._called(run, 3) is None
