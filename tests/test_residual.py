"""The test without labels, on sets whose truth is known; benchmarks/residual.py counts its errors at length."""

import numpy as np
import pytest

from tiw import UserInputError, residual_test
from tiw.comparing.residual import CANNOT_TELL, SEEN, SMALLER
from tiw.comparing.two_sample import RIDGE, _held_out, separate


def images(n, share, painting, rng):
    x = rng.normal(size=(n, 8))
    x[:, 0] += 6 * (rng.random(n) < share)
    x[:, 1] += painting
    return x


def sets(seed, left=0.0, painting=0.5, samples=200, references=120):
    rng = np.random.default_rng(seed)
    return (
        images(samples, 0.1, painting, rng),
        images(samples, 0.5 - left, painting, rng),
        images(references, 0.5, 0.0, rng),
        images(3 * references, 0.1, 0.0, rng),
    )


def test_a_known_shift_has_its_known_auc():
    """Samples and references that differ in a visible attribute alone, 10 % against 50 %: the best AUC is 1/2 + 0.4/2."""
    found = residual_test(*sets(0, painting=0.0, samples=600, references=500), permutations=99)
    assert found.baseline.auc == pytest.approx(0.7, abs=0.04) and found.baseline.p == 0.01
    assert found.debiased.auc == pytest.approx(0.5, abs=0.05) and found.nearer.value == pytest.approx(0.2, abs=0.06)
    assert found.nearer.interval[0] > 0 and found.nearer_p == 0.01
    assert np.mean(found.nearer.interval) == pytest.approx(found.nearer.value)
    assert found.controls == {"baseline_seen": True, "halves_not_seen": found.halves.p > 0.05}


def test_painting_alone_is_no_difference():
    """Painting moves every sample: seen against 0.5, not against the floor. Over 12 draws."""
    verdicts = [residual_test(*sets(seed), permutations=19, seed=seed).verdict for seed in range(12)]
    assert verdicts.count(SEEN) <= 2 and CANNOT_TELL in verdicts
    bare = residual_test(*sets(0, samples=500, references=400)[:3], permutations=39)
    assert bare.floor is None and bare.verdict == SEEN and "painting itself counts" in bare.sentence


def test_what_is_left_is_seen_with_the_power_that_is_printed():
    found = [residual_test(*sets(seed, left=0.4, painting=0.2), permutations=19, seed=seed) for seed in range(10)]
    assert np.mean([r.excess.value for r in found]) > np.mean([r.smallest_seen for r in found])
    assert sum(r.verdict == SEEN for r in found) >= 7


def test_many_images_can_show_that_little_is_left():
    found = residual_test(*sets(1, painting=0.3, samples=4000, references=3000), permutations=19)
    assert found.verdict == SMALLER and found.excess.interval[1] < found.margin == 0.05


def test_p_is_uniform_for_equal_sets():
    """p <= 0.2 in a fifth of 200 draws of one set's halves: with three standard errors, 11.5 to 28.5 %."""
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=(2, 25, 5)).astype(np.float32)
        found.append(separate(a, b, np.arange(25) % 5, np.arange(25) % 5, 19, rng).separation.p)
    assert 0.115 <= np.mean(np.array(found) <= 0.2) <= 0.285


def test_the_surest_images_are_those_that_stand_out():
    base, debiased, reference, biased = sets(2, painting=0.0)
    debiased[:20, 2], reference[:12, 3] = 5.0, -5.0
    found = residual_test(base, debiased, reference, biased, permutations=19)
    assert len(set(range(20)) & set(found.surest_samples)) >= 9 and len(set(range(12)) & set(found.surest_references)) >= 7
    assert len(found.surest_samples) == len(found.surest_references) == 12


def test_the_discriminator_is_a_ridge_logistic_regression():
    """Against scikit-learn's, fold by fold."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4)).astype(np.float32)
    y, fold = rng.random(120) < 1 / (1 + np.exp(-x[:, 0])), np.arange(120) % 3
    scores = _held_out(x, y[None], np.ones((1, 120), bool), fold)[0]
    for k in range(3):
        train = fold != k
        model = LogisticRegression(C=4 / (RIDGE * train.sum()), tol=1e-8).fit(x[train], y[train])
        np.testing.assert_allclose(scores[~train], model.decision_function(x[~train]), atol=0.01)


def test_images_are_taken_as_their_pixels():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (60, 4, 4, 3), dtype=np.uint8) for _ in range(3)]
    as_numbers = [x.reshape(60, -1) for x in pictures]
    assert residual_test(*pictures, permutations=9) == residual_test(*as_numbers, permutations=9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"debiased": np.zeros((150, 8))}, "same seeds"),
        ({"reference": np.zeros((30, 8))}, "reference: it has 30 images"),
        ({"reference": np.zeros((100, 7))}, "features"),
        ({"margin": 0.7}, "margin"),
        ({"biased": np.full((100, 8), np.nan)}, "finite"),
    ],
)
def test_what_cannot_be_tested_is_refused(change, words):
    given = dict(zip(("baseline", "debiased", "reference", "biased"), sets(0), strict=True)) | change
    with pytest.raises(UserInputError, match=words):
        residual_test(**given, permutations=9)
