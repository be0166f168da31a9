"""Shares, intervals and the classifier, against formulas, published examples and simulation."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from tiw.comparing.classifier import AttributeClassifier, fit_attribute_classifier
from tiw.data import ImageSet
from tiw.errors import UserInputError
from tiw.intervals import Estimate, newcombe, wilson
from tiw.shares import fairness_discrepancy, floor, shares, total_variation, with_crossings


def test_wilson_is_its_formula():
    k, n, z = 7, 40, 1.959963984540054
    p = k / n
    centre, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    np.testing.assert_allclose(wilson(k, n), (centre - half, centre + half), rtol=1e-9)


def test_newcombe_is_the_published_example():
    """Newcombe 1998, Table II, example (a): 56/70 against 48/80, method 10."""
    np.testing.assert_allclose(newcombe(56, 70, 48, 80), (0.0524, 0.3339), atol=5e-5)


def test_shares_count_every_value_and_every_crossing():
    labels = pd.DataFrame({"a": ["x", "x", "y"], "b": ["u", "v", "u"]})
    crossed = with_crossings(labels)
    assert crossed["a x b"].tolist() == ["x-u", "x-v", "y-u"]
    found = {s.value: (s.count, s.n) for s in shares(crossed, {"a x b": ["x-u", "x-v", "y-u", "y-v"]})}
    assert found == {"x-u": (1, 3), "x-v": (1, 3), "y-u": (1, 3), "y-v": (0, 3)}


def test_distances_between_shares():
    counts, target = np.array([60, 25, 10, 5]), np.full(4, 0.25)
    assert fairness_discrepancy(counts, target).value == pytest.approx(np.sqrt(0.35**2 + 0 + 0.15**2 + 0.2**2))
    assert total_variation(counts, target).value == pytest.approx(0.35)


def test_the_floor_is_what_sampling_alone_gives():
    """E |p_hat - p|^2 = (1 - sum p^2) / n for a multinomial."""
    target = np.array([0.4, 0.3, 0.2, 0.1])
    found = floor(500, target)
    draws = np.random.default_rng(9).multinomial(500, target, 20_000) / 500
    distances = np.sqrt(((draws - target) ** 2).sum(1))
    assert abs((distances**2).mean() - (1 - (target**2).sum()) / 500) < 2e-5
    assert found.value == pytest.approx(distances.mean(), rel=0.06)
    assert found.interval == pytest.approx(np.quantile(distances, [0.025, 0.975]), rel=0.15)


def test_the_discrepancys_interval_covers_the_truth():
    truth, target = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    exact = np.sqrt(((truth - target) ** 2).sum())
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = fairness_discrepancy(rng.multinomial(300, truth), target, None, seed).interval
        hits += low <= exact <= high
    assert 0.90 <= hits / 200 <= 0.99


def test_an_estimated_target_widens_the_interval():
    counts, target = np.array([300, 100]), np.array([0.5, 0.5])
    known, estimated = fairness_discrepancy(counts, target).interval, fairness_discrepancy(counts, target, 40).interval
    assert estimated[1] - estimated[0] > 1.5 * (known[1] - known[0])


def coloured(n, seed):
    rng = np.random.default_rng(seed)
    red, bright = rng.random(n) < 0.4, rng.random(n) < 0.5
    base = np.where(bright, 160, 80)[:, None, None, None] + np.where(red, 60, 0)[:, None, None, None] * np.array([1, 0, 0])
    images = (base + rng.normal(0, 20, (n, 8, 8, 3))).clip(0, 255).astype(np.uint8)
    labels = {"hue": np.where(red, "red", "grey"), "light": np.where(bright, "bright", "dark")}
    return ImageSet(images, pd.DataFrame(labels), "coloured")


def test_the_classifier_learns_and_knows_its_errors(tmp_path):
    classifier = fit_attribute_classifier(coloured(400, 0), coloured(300, 1))
    new = coloured(300, 2)
    assert (classifier.predict(new.images) == new.attributes).to_numpy().mean() > 0.98
    assert classifier.accuracy("hue")[1] == 300
    np.testing.assert_allclose(classifier.confusion_matrix("light").sum(0), 1)
    classifier.save_pretrained(tmp_path)
    again = AttributeClassifier.from_pretrained(tmp_path)
    assert again.predict(new.images).equals(classifier.predict(new.images))
    larger = np.repeat(np.repeat(new.images, 2, 1), 2, 2)
    assert (again.predict(larger) == new.attributes).to_numpy().mean() > 0.95


def test_the_confusion_counts_wrong_labels():
    test = coloured(200, 1)
    flipped = test.attributes.copy()
    flipped.loc[:39, "hue"] = np.where(flipped.loc[:39, "hue"] == "red", "grey", "red")
    right, n = fit_attribute_classifier(coloured(400, 0), ImageSet(test.images, flipped, "")).accuracy("hue")
    assert n == 200 and abs(right - 160) <= 6


def test_labels_are_asked_for():
    images = coloured(50, 0)
    with pytest.raises(UserInputError, match="labels"):
        fit_attribute_classifier(ImageSet(images.images, None, "bare"))
    with pytest.raises(UserInputError, match="every image"):
        fit_attribute_classifier(ImageSet(images.images, pd.DataFrame({"a": ["same"] * 50}), "same"))


def test_a_target_that_was_counted_widens_the_interval_as_both_draws_do():
    counts, target = np.array([60, 40]), np.array([0.4, 0.6])
    rng = np.random.default_rng(5)
    drawn, targets = rng.multinomial(100, [0.6, 0.4], 20_000) / 100, rng.multinomial(50, target, 20_000) / 50
    truth = np.quantile(np.abs(drawn - targets).sum(1) / 2, [0.025, 0.975])
    assert total_variation(counts, target, 50).interval == pytest.approx(truth, abs=0.02)
    assert shares(pd.DataFrame({"a": ["x", "x", "y"]}), {"a": ["x"]})[0].share == 2 / 3


def test_a_number_of_a_result_file_is_written_as_it_was():
    found = Estimate(0.1234, (0.101, 0.1451))
    assert Estimate.of(asdict(found)) == found and Estimate.of({"share": 0.1234, "interval": [0.101, 0.1451]}, "share") == found
    assert found.percent(1) == "12.3 % [10.1, 14.5]" and found.text("{:.3g}") == "0.123 [0.101, 0.145]"
