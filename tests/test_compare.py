"""The comparison on constructed samples whose shares are known."""

import numpy as np
import pandas as pd
import pytest
from test_shares import coloured

from tiw.comparing.classifier import fit_attribute_classifier
from tiw.comparing.compare import _corrected_discrepancy, compare, measure
from tiw.comparing.result import _with_fall
from tiw.comparing.tables import Counted
from tiw.data import ImageSet
from tiw.errors import UserInputError
from tiw.intervals import Estimate


@pytest.fixture(scope="module")
def classifier():
    return fit_attribute_classifier(coloured(500, 0), coloured(300, 1))


def with_share(n, red, seed):
    """n images with this share of red ones, half of each bright."""
    pool = coloured(8 * n, seed)
    joint = pool.attributes["hue"] + "-" + pool.attributes["light"]
    shares = {"red-bright": red / 2, "red-dark": red / 2, "grey-bright": (1 - red) / 2, "grey-dark": (1 - red) / 2}
    rows = np.concatenate([np.flatnonzero(joint == value)[: round(n * share)] for value, share in shares.items()])
    return pool.take(rows)


def test_shares_and_discrepancy_are_those_of_the_samples(classifier):
    truth = {f"{a}-{b}": 0.25 for a in ("red", "grey") for b in ("bright", "dark")}
    biased, even, reference = with_share(400, 0.1, 2), with_share(400, 0.5, 3), with_share(100, 0.5, 4)
    found = measure(biased.images, even.images, reference, classifier, coloured(600, 5), truth)
    result = found.to_json()
    red = {s["set"]: s for s in result["shares"] if s["value"] == "red"}
    assert red["baseline"]["share"] == pytest.approx(0.1, abs=0.01) and red["debiased"]["share"] == pytest.approx(0.5, abs=0.01)
    assert red["reference"]["n"] == 100 and red["baseline"]["interval"][0] < 0.1 < red["baseline"]["interval"][1]
    exact = np.sqrt(2 * 0.2**2 + 2 * 0.2**2)
    assert result["fairness_discrepancy"]["baseline"]["value"] == pytest.approx(exact, abs=0.02)
    assert result["fairness_discrepancy"]["fall"] > 0.9
    frechet = result["frechet_distance"]
    assert frechet["baseline_resampled"]["value"] < frechet["baseline"]["value"]
    assert result["classifier"]["attributes"][0]["n"] == 300


def test_without_a_classifier_only_quality_is_measured():
    a, b = coloured(120, 2), coloured(120, 3)
    bare = ImageSet(coloured(60, 4).images, None, "bare")
    result = measure(a.images, b.images, bare, None).to_json()
    assert result["shares"] == [] and result["fairness_discrepancy"] is None and result["closer_to_reference"] is None
    assert "reference images" in result["frechet_distance"]["encoder"]


def test_without_truth_the_reference_is_the_target_and_its_error_counts(classifier):
    samples, reference = with_share(300, 0.3, 2), with_share(40, 0.5, 4)
    assert isinstance(reference.attributes, pd.DataFrame)
    estimated = measure(samples.images, samples.images, reference, classifier, None).to_json()["fairness_discrepancy"]["baseline"]
    truth = {f"{a}-{b}": 0.25 for a in ("red", "grey") for b in ("bright", "dark")}
    known = measure(samples.images, samples.images, reference, classifier, None, truth).to_json()["fairness_discrepancy"]["baseline"]
    assert estimated["interval"][1] - estimated["interval"][0] > 1.3 * (known["interval"][1] - known["interval"][0])


def test_the_fall_is_a_share_of_the_baselines_distance_and_none_where_that_was_nought():
    def fell(before, after):
        return _with_fall({"baseline": Estimate(before, (0.0, 1.0)), "debiased": Estimate(after, (0.0, 1.0))}, "light")

    assert fell(0.4, 0.1)["fall"] == pytest.approx(0.75) and fell(0.1, 0.2)["fall"] == pytest.approx(-1.0)
    assert fell(0.0, 0.0)["fall"] is None and fell(0.0, 0.1)["of"] == "light"
    assert _with_fall(None, "light") is None


def test_a_corrected_discrepancy_of_two_values_is_that_of_one_share():
    """A perfect classifier, two values: sqrt(2) |p - t|, and the interval is the normal one of p, or of a difference of two shares."""
    n, m, p, t = 2000, 500, 0.3, 0.5
    counts = {"baseline": {"hue": np.array([p * n, (1 - p) * n])}, "reference": {"hue": np.array([t * m, (1 - t) * m])}}
    counted = Counted({"hue": ["red", "grey"]}, counts, {"hue": 10**6 * np.eye(2)}, {})
    variance = p * (1 - p) / n
    for target, spread in ((np.array([t, 1 - t]), variance), (None, variance + t * (1 - t) / m)):
        found = _corrected_discrepancy(counted, "hue", target, ["baseline"], seed=0)["baseline"]
        assert found.value == pytest.approx(np.sqrt(2) * abs(p - t), abs=1e-6)
        half = 1.96 * np.sqrt(2 * spread)
        assert found.interval == pytest.approx((found.value - half, found.value + half), abs=0.15 * half)
    assert _corrected_discrepancy(counted, "light", None, ["baseline"], seed=0) is None


def test_one_image_of_each_model_is_refused_before_it_is_drawn():
    with pytest.raises(UserInputError, match="count: it is 1"):
        compare(None, None, ImageSet(coloured(60, 4).images), None, count=1)
