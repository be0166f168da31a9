"""Distances between sets of samples, against closed forms."""

import numpy as np
import pytest
import torch

from tiw.comparing.copying import closer_to_reference, closer_to_training, nearest
from tiw.comparing.quality import fit_encoder, frechet_distance, frechet_floor, kernel_distance, neighbour_shares


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


def test_kernel_distance_is_clean_fids_over_all_images():
    """clean-fid's mean over subsets, with one subset of all images; it draws them from numpy's global generator."""
    from cleanfid import fid

    a, b = gaussian(300, 0, 0.2), gaussian(300, 1)
    assert kernel_distance(a, b).value == pytest.approx(fid.kernel_distance(a, b, num_subsets=1, max_subset_size=300), rel=1e-3, abs=1e-6)


def test_kernel_distance_has_no_bias_and_its_interval_holds_the_truth():
    """Few and unequal numbers of images: means over 100 draws against a large sample's value, for one distribution and for two."""
    for shift in (0.0, 0.5):
        truth = 0.0 if shift == 0 else kernel_distance(gaussian(1200, 7, shift), gaussian(1200, 8)).value
        found = [kernel_distance(gaussian(60, 2 * k, shift), gaussian(40, 2 * k + 1)) for k in range(100)]
        values = np.array([d.value for d in found])
        assert abs(values.mean() - truth) < 3 * values.std() / np.sqrt(100) + 0.06 * truth
        assert np.mean([d.interval[0] <= truth <= d.interval[1] for d in found]) > 0.9


def test_frechet_is_clean_fids_where_that_works_and_real_where_it_does_not():
    from cleanfid import fid

    a, b = gaussian(500, 0, 0.3, 1.2, d=6), gaussian(400, 1, d=6)
    with pytest.warns(DeprecationWarning):
        theirs = fid.frechet_distance(a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))
    assert frechet_distance(a, b).value == pytest.approx(theirs, rel=1e-5)
    few = gaussian(8, 2, d=32), gaussian(6, 3, d=32)  # singular covariances: |m|^2 + |S - S'|^2, S with the Procrustes rotation
    x, y = ((z - z.mean(0)) / np.sqrt(len(z) - 1) for z in few)
    nuclear = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    exact = ((few[0].mean(0) - few[1].mean(0)) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * nuclear
    assert frechet_distance(*few).value == pytest.approx(exact, rel=1e-3)


def test_precision_and_recall_on_separated_modes():
    """Samples that cover one of two far modes: all precise, half recalled, half covered."""
    real = np.concatenate([gaussian(300, 1), gaussian(300, 2, mean=50)])
    found = neighbour_shares(gaussian(300, 3), real)
    assert found.precision > 0.9 and found.recall == pytest.approx(0.5, abs=0.05) and found.coverage == pytest.approx(0.5, abs=0.05)
    nowhere = neighbour_shares(gaussian(300, 4, mean=-80), real)
    assert nowhere.precision == 0 and nowhere.coverage == 0
    assert found.intervals["recall"][0] < 0.5 < found.intervals["recall"][1] and found.n == 300


def test_memorised_samples_are_closer_to_the_reference():
    reference, heldout = gaussian(200, 0), gaussian(1000, 1)
    fresh = closer_to_reference(gaussian(600, 2), reference, heldout)
    assert fresh.interval[0] < 0.5 < fresh.interval[1]
    copied = closer_to_reference(np.repeat(reference, 3, 0) + gaussian(600, 3, scale=0.01), reference, heldout)
    assert copied.value > 0.97 and copied.n == 600 and copied.of_each == 200
    pairs = nearest(np.repeat(reference, 3, 0) + gaussian(600, 3, scale=0.01), reference).pairs()
    assert len(pairs) == 12 and all(row // 3 == image for row, image in pairs)


def test_training_images_are_held_against_held_out_ones_of_the_same_groups():
    """Training shows 10 % of the second group, held-out images half: even fresh samples would seem far from it without the groups."""

    def two_groups(n, share, seed):
        groups = (np.arange(n) < share * n).astype(int)
        return gaussian(n, seed) + 6 * groups[:, None].astype(np.float32), groups

    (training, of_training), (heldout, of_heldout), (fresh, _) = two_groups(2000, 0.1, 0), two_groups(600, 0.5, 1), two_groups(800, 0.5, 2)
    found = closer_to_training(fresh, training, heldout, (of_training, of_heldout))
    assert found.interval[0] < 0.5 < found.interval[1] and found.of_each == 200 + 300
    alone = closer_to_training(fresh, training, heldout, (np.zeros(2000), np.zeros(600)))
    assert alone.interval[1] < 0.5  # as many images of either set in all: the rare group's own are far
    copies = training[np.random.default_rng(3).permutation(2000)[:800]] + gaussian(800, 4, scale=0.001)
    # Only those of the images that were drawn are found; with them the share is above one half.
    assert closer_to_training(copies, training, heldout, (of_training, of_heldout)).interval[0] > 0.52
    assert closer_to_training(fresh, training, heldout, (np.full(2000, 5), of_heldout)) is None


def test_the_encoder_keeps_what_principal_components_keep():
    images = np.random.default_rng(0).integers(0, 256, (100, 6, 6, 3), dtype=np.uint8)
    encoder = fit_encoder(images, "noise")
    features = encoder(images)
    assert features.shape == (100, 64) and "64 principal components" in encoder.name
    covariance = np.cov(features, rowvar=False)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-2 * covariance.max()


@pytest.mark.parametrize(("n", "m"), [(200, 200), (150, 90)])
def test_distances_are_torch_fidelitys(n, m):
    """A second oracle, with torch's eigenvalues instead of scipy's square root; few images, and unequal numbers of them."""
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed (requirements-dev.txt)")
    from torch_fidelity.metric_fid import fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    a, b = gaussian(n, 0, 0.4, 1.3, d=6), gaussian(m, 1, d=6)
    stats = [{"mu": x.mean(0), "sigma": np.cov(x.astype(float), rowvar=False)} for x in (a.astype(float), b.astype(float))]
    frechet = fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(a, b).value == pytest.approx(frechet, rel=1e-4)
    if n == m:
        kid = kid_features_to_metric(*map(torch.from_numpy, (a, b)), kid_subsets=1, kid_subset_size=n, verbose=False)
        assert kernel_distance(a, b).value == pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-3)
        theirs = prc_features_to_metric(*map(torch.from_numpy, (a, b)), prc_neighborhood=5, verbose=False)
        ours = neighbour_shares(a, b, k=5)
        assert (ours.precision, ours.recall) == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-6)
