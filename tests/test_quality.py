"""Distances between sets of samples, against closed forms."""

import numpy as np
import pytest

from tiw.comparing.quality import closer_to_reference, fit_encoder, frechet_distance, frechet_floor, kernel_distance, neighbour_shares


def gaussian(n, seed, mean=0.0, scale=1.0, d=4):
    return (mean + scale * np.random.default_rng(seed).normal(size=(n, d))).astype(np.float32)


def test_frechet_distance_of_gaussians():
    """|m|^2 + d (s - 1)^2 for N(m, s^2 I) against N(0, I)."""
    found = frechet_distance(gaussian(20_000, 0, 0.5, 1.5), gaussian(20_000, 1))
    assert found.value == pytest.approx(4 * 0.25 + 4 * 0.25, rel=0.04)
    assert found.interval[0] < found.value < found.interval[1]


def test_the_floor_falls_with_n_and_is_what_the_same_distribution_scores():
    real = gaussian(4000, 0, d=16)
    small, large = frechet_floor(real, 200).value, frechet_floor(real, 2000).value
    assert large < small / 5
    assert frechet_distance(gaussian(200, 5, d=16), gaussian(200, 6, d=16)).value == pytest.approx(small, rel=0.35)


def test_kernel_distance_is_nought_for_one_distribution_and_repeatable():
    a, b = gaussian(1000, 0), gaussian(1000, 1)
    same, other = kernel_distance(a, b), kernel_distance(gaussian(1000, 2, 0.8), b)
    assert abs(same) < 0.02 * other
    state = np.random.get_state()[1].copy()
    assert kernel_distance(a, b) == same and np.array_equal(np.random.get_state()[1], state)


def test_precision_and_recall_on_separated_modes():
    """Samples that cover one of two far modes: all precise, half recalled, half covered."""
    real = np.concatenate([gaussian(300, 1), gaussian(300, 2, mean=50)])
    found = neighbour_shares(gaussian(300, 3), real)
    assert found.precision > 0.9 and found.recall == pytest.approx(0.5, abs=0.05) and found.coverage == pytest.approx(0.5, abs=0.05)
    nowhere = neighbour_shares(gaussian(300, 4, mean=-80), real)
    assert nowhere.precision == 0 and nowhere.coverage == 0


def test_memorised_samples_are_closer_to_the_reference():
    reference, heldout = gaussian(200, 0), gaussian(1000, 1)
    fresh = closer_to_reference(gaussian(600, 2), reference, heldout)
    assert fresh.interval[0] < 0.5 < fresh.interval[1]
    copied = closer_to_reference(np.repeat(reference, 3, 0) + gaussian(600, 3, scale=0.01), reference, heldout)
    assert copied.value > 0.97 and copied.n == 600


def test_the_encoder_keeps_what_principal_components_keep():
    images = np.random.default_rng(0).integers(0, 256, (100, 6, 6, 3), dtype=np.uint8)
    encoder = fit_encoder(images, "noise")
    features = encoder(images)
    assert features.shape == (100, 64) and "64 principal components" in encoder.name
    covariance = np.cov(features, rowvar=False)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-2 * covariance.max()
