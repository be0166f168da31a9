"""The lessons' arithmetic, which runs in the browser, against closed forms, other libraries and simulated truth; and the texts' numbers."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tiw.comparing.corrected import corrected_shares
from tiw.intervals import wilson
from tiw.toys import GaussianMixture, MixturePair, chasm, two_modes
from ui import learn_tab, learn_words

ROOT = Path(__file__).parents[1]
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(
    NODE is None, reason="no node on this machine: install nodejs to run the lessons' arithmetic without a browser"
)
PAGELESS = (*learn_tab.RATIO, "measuring", "address", "samples", "predictions", "lesson")


def js(check: str, **given: object) -> object:
    """What a check of tests/learn_checks.js returns for `given`."""
    code = learn_tab.script(*PAGELESS) + (ROOT / "tests" / "learn_checks.js").read_text()
    code += f"\nconsole.log(JSON.stringify(checks.{check}({json.dumps(given)})));"
    done = subprocess.run([NODE, "-"], input=code, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_js(mixture: GaussianMixture) -> dict:
    return {"weights": mixture.weights.tolist(), "means": mixture.means.tolist(), "stds": mixture.stds.tolist()}


def both(pair: MixturePair) -> dict:
    return {"biased": in_js(pair.biased), "reference": in_js(pair.reference)}


@needs_node
@pytest.mark.parametrize("toy", [two_modes, chasm])
def test_mixtures_are_those_of_the_library(toy):
    pair, generator = toy(), torch.Generator().manual_seed(0)
    xt = torch.randn(20, 2, generator=generator, dtype=torch.float64) * 3
    for sigma in (0.3, 4.0):
        level = torch.full((20,), sigma, dtype=torch.float64)
        found = js("mixtures", pair=both(pair), points=xt.tolist(), sigma=sigma)
        exact = torch.column_stack([pair.log_ratio(xt, level), pair.biased.log_density(xt, level), pair.reference.denoised(xt, level)])
        np.testing.assert_allclose(found, exact.numpy(), rtol=1e-9, atol=1e-9)


@needs_node
def test_draws_have_the_shares_and_widths_asked_for():
    found = np.array(js("draws", pair=both(two_modes()), n=20000)).reshape(-1, 2)
    right = found[:, 0] + found[:, 1] > 0
    assert right.mean() == pytest.approx(0.1, abs=4 * (0.09 / 20000) ** 0.5)
    np.testing.assert_allclose(found[~right].mean(0), [-2, -2], atol=0.02)
    np.testing.assert_allclose(found[~right].std(0), 0.5, atol=0.02)


@needs_node
def test_least_squares_and_logistic_regression_agree_with_other_libraries():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    rows, y, ridge = np.c_[np.ones(300), rng.normal(size=(300, 4))], rng.normal(size=300), 0.01
    labels = (rows[:, 1] + rng.normal(size=300) > 0).astype(float)
    linear, logistic = js("regressions", rows=rows.tolist(), y=y.tolist(), labels=labels.tolist(), ridge=ridge, size=5)
    penalty = ridge * np.diag([0, 1, 1, 1, 1])
    np.testing.assert_allclose(linear, np.linalg.solve(rows.T @ rows / 300 + penalty, rows.T @ y / 300), rtol=1e-6, atol=1e-8)
    other = LogisticRegression(C=1 / (300 * ridge), tol=1e-10, max_iter=1000).fit(rows[:, 1:], labels)
    np.testing.assert_allclose(logistic, [other.intercept_[0], *other.coef_[0]], rtol=1e-3, atol=2e-3)


@needs_node
def test_a_chasm_does_not_throw_the_fit_off():
    """Newton's whole steps ran away where the classes do not touch and the fit began from a neighbour's: log r of 10^5."""
    assert js("chasm", pair=both(chasm())) < 60


@needs_node
def test_the_slope_is_the_gradient_of_the_ratio():
    differences, found = js("slope", pair=both(two_modes()))
    np.testing.assert_allclose(found, differences, rtol=1e-5, atol=1e-7)


@needs_node
def test_denoisers_reach_what_their_objective_asks_for():
    """TIW-DSM and correction only the reference's, weights only the mixed sets'."""
    pair, share = two_modes(), 400 / 1400
    asked = [("biased", "biased"), ("dsm-ref", "reference"), ("tiw-dsm", "reference"), ("correction-only", "reference")]
    asked += [("weight-only", "mixed"), ("weight-only", "reference")]
    *reached, missed = js("denoisers", pair=both(pair), mixed=in_js(pair.mixture(share)), asked=asked)
    assert max(reached) < 0.2 and missed > 2 * max(reached), (reached, missed)


@needs_node
def test_the_sampler_reaches_the_truth_from_its_own_denoiser():
    found, distance = js("sampler", truth=in_js(two_modes().reference))
    points = np.array(found).reshape(-1, 2)
    right = points[:, 0] > 0
    assert right.mean() == pytest.approx(0.5, abs=0.06) and abs(distance) < 0.05
    np.testing.assert_allclose(points[right].std(0), 0.5, atol=0.06)


@needs_node
def test_measures_against_their_definitions():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(30, 2)), rng.normal(size=(20, 2)) + 1
    between, within_a, within_b = (np.linalg.norm(x[:, None] - y, axis=2) for x, y in ((a, b), (a, a), (b, b)))
    energy, share, near = js("measures", a=a.ravel().tolist(), b=b.ravel().tolist())
    assert energy == pytest.approx(2 * between.mean() - within_a.sum() / (30 * 29) - within_b.sum() / (20 * 19)) and near == 0
    assert share == pytest.approx(1 / (0.1 * 25 + 0.9 * (5 / 9) ** 2))


@needs_node
def test_shares_and_intervals_are_those_of_the_library_and_cover():
    settings = [(0.2, 0.1, 0.05, 1000, 200), (0.03, 0.1, 0.05, 1000, 200), (0.2, 0.1, 0.1, 2000, 25)]
    named = [dict(zip(("truth", "missed", "false_alarms", "n", "n_labelled"), s, strict=True)) for s in settings]
    intervals, gladen, corrected, counted = js("counting", settings=named)
    np.testing.assert_allclose(intervals, [wilson(37, 300), wilson(0, 50)], atol=1e-9)
    other = corrected_shares(np.array([700, 300]), np.array([[160, 20], [40, 180]]))  # specificity 0.8, sensitivity 0.9, on 200 each
    assert gladen == pytest.approx(other.shares[1], abs=1e-6)
    np.testing.assert_allclose(corrected, other.intervals[1], atol=0.015)
    for held in counted:
        assert 0.93 < held["corrected"] / 2000 < 0.995
        assert held["known"] < held["corrected"] and held["raw"] < 0.8 * 2000


@needs_node
def test_a_classifier_that_was_found_to_tell_nothing_leaves_the_share_open():
    """Its correction divides by 0 or less: the ends were no numbers, and the chart of all studies was empty."""
    setting = {"truth": 0.2, "missed": 0.35, "false_alarms": 0.35, "n": 1000, "n_labelled": 25}
    studies = js("studies", setting=setting)
    unknown = [study for study in studies if study["corrected"]["share"] is None]
    assert 0 < len(unknown) < 0.05 * len(studies)
    assert all(study[way] == {"share": None, "interval": [0, 1]} for study in unknown for way in ("known", "corrected"))
    ends = np.array([way["interval"] for study in studies for way in study.values()], dtype=float)
    assert np.isfinite(ends).all() and (ends >= 0).all() and (ends <= 1).all() and (ends[:, 0] <= ends[:, 1]).all()


@needs_node
def test_an_address_keeps_the_places_of_the_groups_and_names_no_other_preset():
    at = [[[-2.04, 1.236], [2, 2]], [[-1.94, -2], [0.05, 3.99]]]
    asked, found = js("address", fields={"preset": "constructor", "n": "25"}, at=at)
    assert asked["preset"] == "rare" and asked["width"] == 0.5 and asked["n"] == 25
    np.testing.assert_allclose(found, at, atol=0.00501)


@needs_node
def test_new_references_are_drawn_beside_the_same_biased_points():
    first, *others = js("redrawn")
    for biased, reference in others:
        assert biased == first[0] and reference != first[1]


def test_what_is_carried_is_said_wherever_it_is_shown():
    for name in ("lesson.html", "predictions.js"):
        assert "each noisy point keeps the ratio of its clean point" in (ROOT / "assets/app/learn" / name).read_text()


def test_the_sheet_has_no_class_that_nothing_wears():
    app = ROOT / "assets" / "app"
    worn = "".join(path.read_text() for path in [*app.rglob("*.js"), *app.rglob("*.html"), *(ROOT / "ui").glob("*.py")])
    sheet = (app / "learn" / "learn.css").read_text()
    named = set(re.findall(r"\.([a-z][\w-]*)", sheet)) - {"css"}
    assert {name for name in named if not re.search(rf"\b{name}\b", worn)} <= {"gradio-container", "tab-wrapper"}


@needs_node
@pytest.mark.slow
def test_the_lesson_plan_tells_what_the_six_predictions_come_to():
    rows = re.findall(r"^\| (\d) \|.*\| (\d+) (?:%|points) \|[^|]*\|$", (ROOT / "docs" / "teaching.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([int(told) / 100 for _, told in rows], js("predictions"), atol=0.03)


def test_every_number_of_the_ten_questions_is_a_committed_one(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    monkeypatch.setattr(sys, "path", list(sys.path))
    import questions

    answers, facts = learn_tab.questions(), questions.facts()
    assert len(answers) == len(facts) == 10
    for number, (title, text) in enumerate(answers, 1):
        prose = re.sub(r"\]\([^)]*\)", "]", text)
        flat = " ".join(prose.split())
        missing = [fact for fact in facts[number] if not re.search(rf"(?<![\d.]){re.escape(fact)}(?!\d)", flat)]
        assert not missing, (title, missing)
        told = set(re.findall(r"\d+\.\d{3}|\d+ %", flat)) - {"50 %"}  # what chance gives
        assert told <= set(facts[number]), (title, told - set(facts[number]))


def test_every_figure_is_there_and_every_link_of_the_questions_names_a_setting():
    text = (ROOT / "docs" / "questions" / "README.md").read_text()
    figures = re.findall(r"\((\w+\.webp)\)", text)
    assert sorted(figures) == sorted(path.name for path in (ROOT / "docs" / "questions").glob("*.webp")) and len(figures) == 10
    presets = set(re.findall(r"^  (\w+): \{\s+title", (ROOT / "assets/app/learn/lesson.js").read_text(), re.MULTILINE))
    links = re.findall(r"\(#learn/ratio\?preset=(\w+)", text)
    assert len(links) == 10 and set(links) <= presets
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles == re.findall(r"^\d+\. \[(.*)\]", (ROOT / "docs" / "questions.md").read_text(), re.MULTILINE)


def test_each_tab_says_what_one_looks_at_in_two_sentences():
    assert set(learn_words.WHAT) == {"data", "audit", "debias", "compare", "learn"}
    for text, equation in learn_words.WHAT.values():
        assert len(re.findall(r"\.(?= |$)", text)) == 2 and equation
