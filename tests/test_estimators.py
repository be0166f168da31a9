"""The two estimators on features whose log ratio is known, their calibration, and the choice between them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tiw.ratio.components import Components
from tiw.ratio.estimators import Fit, _calibrate, _carried, _Level, balanced_cross_entropy, fit, fit_convex, fit_network
from tiw.ratio.features import PixelEncoder, RatioConfig, RatioFeatures
from tiw.ratio.heads import ConvexHead


def bent(n_biased: int, n_reference: int, seed: int = 0):
    """Features N(0, I) against a mixture of N(+-mu, I), mu along the first axis: log r = log cosh(mu x) - mu^2 / 2, even in x, so
    that no linear map sees it. Two levels, the second without any difference. (features, truth of the biased rows)."""
    mu, width = 2.0, 6
    g = torch.Generator().manual_seed(seed)
    biased, reference = torch.randn(2, n_biased, width, generator=g), torch.randn(2, 1, n_reference, width, generator=g)
    reference[0, 0, :, 0] += mu * (2.0 * torch.randint(2, (n_reference,), generator=g) - 1)
    truth = torch.log(torch.cosh(mu * biased[0, :, 0])) - mu**2 / 2
    return RatioFeatures(np.arange(n_biased), biased, reference, n_biased), truth.numpy()


def folds(n: int, k: int = 4) -> np.ndarray:
    return np.arange(n) % k


CONFIG = RatioConfig(sigmas=(0.1, 1.0), folds=4, components=6)


@pytest.fixture(scope="module")
def network():
    data, truth = bent(2000, 1500)
    return data, truth, fit_network(data, folds(2000), folds(1500), CONFIG)


def test_the_network_bends_where_a_linear_map_is_blind(network):
    data, truth, found = network
    linear = fit_convex(data, folds(2000), folds(1500), CONFIG)
    assert np.corrcoef(truth, found.biased[0])[0, 1] > 0.9
    assert abs(np.corrcoef(truth, linear.biased[0])[0, 1]) < 0.2
    assert found.cross_entropy < linear.cross_entropy - 0.05
    assert np.abs(found.biased[1]).mean() < 0.35  # no difference there, and it says so


def shifted(n_biased: int, n_reference: int, sigmas: tuple[float, ...], seed: int, far: float = 1.0):
    """Images N(0, I) against N(mu, I), |mu| = far, under noise: log r = (mu . xt - |mu|^2 / 2) / (1 + sigma^2). (features, mu)."""
    g = torch.Generator().manual_seed(seed)
    mu = torch.zeros(12)
    mu[:2] = far * torch.tensor([0.8, -0.6])
    clean = torch.randn(n_biased, 12, generator=g), mu + torch.randn(n_reference, 12, generator=g)
    noisy = [torch.stack([x + sigma * torch.randn(x.shape, generator=g) for sigma in sigmas]) for x in clean]
    return RatioFeatures(np.arange(n_biased), noisy[0], noisy[1][:, None], n_biased), mu


def test_what_the_clear_levels_know_is_carried_to_the_noisy_ones():
    config = RatioConfig(sigmas=(0.1, 3.0), folds=4, components=12)
    errors = []
    for seed in range(3):
        data, mu = shifted(2000, 80, config.sigmas, seed)
        found = fit_convex(data, folds(2000), folds(80), config)
        assert found.about["carried"]
        truth = ((data.biased[1] @ mu - mu @ mu / 2) / 10).numpy()
        x = torch.cat([data.biased[1], data.reference[1, 0]]).numpy()
        alone = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5]).fit(x, np.arange(2080) >= 2000)
        logits = alone.decision_function(data.biased[1].numpy())
        errors.append([np.square(guess - truth).mean() for guess in (found.biased[1], logits)])
    carried, without = np.mean(errors, axis=0)
    assert carried < without / 2


def test_nothing_is_carried_over_a_density_chasm():
    """Five standard deviations apart, the few biased images that carry the weight are themselves and nobody else."""
    config = RatioConfig(sigmas=(0.1, 3.0), folds=4, components=12)
    data, mu = shifted(2000, 1000, config.sigmas, 0, far=5.0)
    found = fit_convex(data, folds(2000), folds(1000), config)
    truth = ((data.biased[1] @ mu - mu @ mu / 2) / 10).numpy()
    assert not found.about["carried"]
    assert np.square(found.biased[1] - truth).mean() < 0.05 * truth.var()


def test_another_fit_is_taken_only_where_it_is_clearly_better():
    """Without a difference the first ridge stays, though held out some other is better by chance; a far too strong one does not stay."""
    config = RatioConfig(sigmas=(0.1, 3.0), folds=4, components=12)
    for seed in range(4):
        data, _ = shifted(500, 60, config.sigmas, seed, far=0.0)
        found = fit_convex(data, folds(500), folds(60), config)
        assert (found.about["carried"], found.about["ridge"]) == (True, config.ridges[0])
    data, _ = shifted(2000, 1000, config.sigmas, 0, far=1.5)
    assert fit_convex(data, folds(2000), folds(1000), replace(config, ridges=(1e3, 1e-2))).about["ridge"] == 1e-2


def test_carried_means_are_the_references_by_the_true_ratio_and_a_fold_is_blind_to_its_own_images():
    config = RatioConfig(sigmas=(0.1, 3.0), folds=4, components=12)
    data, mu = shifted(20_000, 40, config.sigmas, 0)
    log_r = ((data.biased[0] @ mu - mu @ mu / 2) / 1.01).numpy()
    nobody = ConvexHead(torch.zeros(2, 4, 12), torch.zeros(2, 4))
    found = Fit("convex", nobody, np.repeat(log_r[None, :, None], 2, 0).repeat(4, 2), np.zeros((2, 40, 4)), folds(20_000), folds(40), {})
    level = _Level(
        Components(torch.zeros(12), torch.ones(12), torch.eye(12)), data.biased[1].double(), data.reference[1, 0].double(), *[None] * 2
    )
    level.biased[3::4] = 1e9  # of the fold 3
    means = _carried(found, [level], config)[0]
    assert (means[:3].abs() > 1e6).all(1).all()
    np.testing.assert_allclose(means[3].numpy(), mu.numpy(), atol=0.15)  # E_bias[r(x0) xt] = E_ref[xt]


def test_components_are_those_of_a_full_decomposition():
    """Against NumPy's: standardised rows on their leading principal axes, up to sign; a feature that never changes says nothing."""
    rng = np.random.default_rng(0)
    rows = 0.01 * rng.standard_normal((200, 30)) @ np.diag(np.linspace(5, 0.1, 30)) @ rng.standard_normal((30, 30))
    rows = np.concatenate([rows, np.full((200, 1), 7.0)], 1)
    z = (rows - rows.mean(0)) / np.maximum(rows.std(0, ddof=1), 1e-6)
    axes = np.linalg.svd(z, full_matrices=False)[2][:5]
    components = Components.of(torch.tensor(rows), 5, 0)
    found = components(torch.tensor(rows)).numpy()
    assert found.shape == (200, 5) and components.basis.shape == (31, 5)
    np.testing.assert_allclose(np.abs(found), np.abs(z @ axes.T), atol=0.02)  # the decomposition is a randomised one
    assert Components.of(torch.tensor(rows[:4]), 5, 0).basis.shape == (31, 4)  # no more than there are rows
    assert torch.equal(Components.of(torch.tensor(rows), 5, 0).basis, components.basis)


def test_the_discriminant_is_fishers_with_its_ridge_of_the_folds_own_images():
    """Against NumPy: (S + ridge F)^-1 (reference - biased) on standardised features, and nought halfway between the means."""
    rng, ridge = np.random.default_rng(1), 0.07
    biased, reference = rng.standard_normal((80, 6)) * np.arange(1, 7), 1 + rng.standard_normal((1, 30, 6))
    fold = np.arange(80) % 2
    config = RatioConfig(sigmas=(1.0,), folds=2, components=6)
    level = _Level.of(torch.tensor(biased).float(), torch.tensor(reference).float(), fold, config)
    both = np.concatenate([biased, reference[0]])
    z_b, z_r = ((x - both.mean(0)) / both.std(0, ddof=1) for x in (biased, reference[0]))
    weights, biases = level.discriminants(level.reference.mean(0).expand(2, -1), ridge)
    for k in range(2):
        own = z_b[fold != k]
        truth = np.linalg.solve(np.cov(own.T, bias=True) + ridge * 6 * np.eye(6), z_r.mean(0) - own.mean(0))
        np.testing.assert_allclose(weights[k].numpy() * both.std(0, ddof=1), truth, rtol=1e-3, atol=1e-4)
        halfway = (reference[0].mean(0) + biased[fold != k].mean(0)) / 2
        assert float(weights[k].double() @ torch.tensor(halfway) + biases[k]) == pytest.approx(0, abs=1e-4)


def test_early_stopping_ends_before_the_training_loss_does(network):
    few, _ = bent(200, 60)
    found = fit_network(few, folds(200), folds(60), CONFIG)
    assert 1 <= found.about["epochs"] < 60
    assert found.train_cross_entropy[0] < np.log(2)


def test_held_out_logits_come_from_the_fold_that_did_not_see_the_row(network):
    data, _, found = network
    logits = found.head(data.biased[0])[:, 0]  # [m, K]
    np.testing.assert_allclose(logits[torch.arange(2000), torch.from_numpy(folds(2000))].numpy(), found.biased[0], atol=1e-4)
    alone = found.head.of_fold(2)(data.biased[0])[:, 0, 0]
    torch.testing.assert_close(alone, logits[:, 2])


def test_calibration_finds_the_slope_of_a_timid_ratio():
    rng = np.random.default_rng(0)
    truth_b, truth_r = (rng.normal(sign * 0.5, 1, 20_000) for sign in (-1, 1))  # N(-1/2, 1) against N(1/2, 1): the logit itself
    heads = ConvexHead(torch.ones(1, 1, 3), torch.zeros(1, 1))
    none = np.zeros(20_000, int)
    timid = Fit("convex", heads, (truth_b / 1.5 + 0.3)[None, :, None], (truth_r / 1.5 + 0.3)[None, :, None], none, none, {})
    found = _calibrate(timid)
    assert abs(found.about["calibration_slopes"][0] - 1.5) < 0.05
    np.testing.assert_allclose(found.biased[0], truth_b, atol=0.12)
    torch.testing.assert_close(found.head(torch.ones(1, 3))[0, 0, 0], torch.tensor(3 * 1.5 - 0.3 * 1.5), atol=0.2, rtol=0)
    assert found.cross_entropy < timid.cross_entropy


def test_the_better_estimator_is_taken_and_either_can_be_forced(network):
    data, _, _ = network
    best, tried = fit(data, folds(2000), folds(1500), CONFIG)
    assert best.estimator == "network" and set(tried) == {"convex", "network"}
    assert best.cross_entropy == min(tried.values())
    forced, only = fit(data, folds(2000), folds(1500), RatioConfig(sigmas=(0.1, 1.0), folds=4, components=6, estimator="convex"))
    assert forced.estimator == "convex" and set(only) == {"convex"}


def test_cross_entropy_is_log_two_for_a_coin_and_weighs_the_classes_alike():
    assert balanced_cross_entropy(np.zeros(5), np.zeros(50)) == pytest.approx(np.log(2))
    assert balanced_cross_entropy(np.full(1, -9.0), np.full(99, -9.0)) == pytest.approx((np.log1p(np.exp(-9)) * 2 + 9) / 2)


def test_pixels_stand_in_for_a_model():
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    features = PixelEncoder().features(x, torch.tensor([0.5, 0.5]))
    assert features.shape == (2, 3 * 16 * 16)
    torch.testing.assert_close(features[0, 0], x[0, 0, :4, :4].mean() / 0.5**0.5)
