"""The toys' closed forms against autograd, integration and simulation, and the error of a ratio fitted on them."""

import numpy as np
import pytest
import torch

from tiw.ratio.estimators import fit_convex
from tiw.ratio.features import RatioConfig, RatioFeatures
from tiw.toys import chasm, joint_skew, two_modes

PAIR = two_modes()
GRID = torch.linspace(-12, 12, 241, dtype=torch.float64)  # step 0.1
PLANE = torch.cartesian_prod(GRID, GRID)


def level(sigma, points=PLANE):
    return torch.full((len(points),), sigma, dtype=torch.float64)


@pytest.mark.parametrize("pair", [two_modes(), chasm(), joint_skew()])
def test_the_score_is_the_gradient_of_the_log_density(pair):
    """And with it the denoiser, by Tweedie's formula: E[x0 given xt] = xt + sigma^2 score."""
    generator = torch.Generator().manual_seed(0)
    sigma = torch.tensor([0.2, 0.4, 1.3, 6.0], dtype=torch.float64)
    xt = pair.biased.sample(4, generator)
    xt = (xt + sigma[:, None] * torch.randn(xt.shape, generator=generator, dtype=torch.float64)).requires_grad_(True)
    for mixture in (pair.biased, pair.reference):
        (gradient,) = torch.autograd.grad(mixture.log_density(xt, sigma).sum(), xt)
        torch.testing.assert_close(mixture.score(xt, sigma).detach(), gradient)
        torch.testing.assert_close(mixture.denoised(xt, sigma).detach(), xt.detach() + sigma[:, None] ** 2 * gradient)


def test_the_log_density_integrates_to_one():
    assert abs(PAIR.reference.log_density(PLANE, level(0.8)).exp().sum() * 0.1**2 - 1) < 1e-9


@pytest.mark.parametrize("pair", [two_modes(), joint_skew()])
def test_samples_have_the_mixtures_moments(pair):
    n, mixture = 40_000, pair.biased
    x0 = mixture.sample(n, torch.Generator().manual_seed(0))
    mean = (mixture.weights[:, None] * mixture.means).sum(0)
    variance = (mixture.weights[:, None] * (mixture.means - mean).square()).sum(0) + (mixture.weights * mixture.stds**2).sum()
    assert ((x0.mean(0) - mean).abs() < 4.5 * (variance / n).sqrt()).all()
    torch.testing.assert_close(x0.var(0), variance, rtol=0.05, atol=0)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_the_weight_turns_q_into_the_reference(share):
    weight, q = PAIR.weight(PLANE, level(0.8), share), PAIR.mixture(share).log_density(PLANE, level(0.8)).exp()
    torch.testing.assert_close(weight * q, PAIR.reference.log_density(PLANE, level(0.8)).exp())
    ratio = PAIR.log_ratio(PLANE, level(0.8)).exp()
    torch.testing.assert_close(weight, ratio / ((1 - share) + share * ratio))  # METHOD.md


@pytest.mark.parametrize("toy", [two_modes, chasm])
def test_a_time_dependent_ratio_errs_far_less_than_a_time_independent_one(toy):
    """The library's convex estimator on xt itself, each level's own fit against the clearest level's at every level.

    Error E_q |w_hat - w| of the weight w = 2d, over the levels. The paper's figure for its own toy and network is 39.1 %; with networks:
    benchmarks/toy_ratio.py.
    """
    levels, pair, generator = (0.02, 0.1, 0.5, 2.0, 8.0, 40.0), toy(torch.float32), torch.Generator().manual_seed(0)

    def noisy(x0):
        return torch.stack([x0 + sigma * torch.randn(x0.shape, generator=generator) for sigma in levels])

    biased, reference = noisy(pair.biased.sample(2000, generator)), noisy(pair.reference.sample(200, generator))
    data = RatioFeatures(np.arange(2000), biased, reference[:, None], 2000)
    found = fit_convex(data, np.arange(2000) % 4, np.arange(200) % 4, RatioConfig(sigmas=levels, folds=4, components=2))
    errors = []
    for level, xt in enumerate(noisy(torch.cat([pair.biased.sample(2000, generator), pair.reference.sample(2000, generator)]))):
        guess, truth = found.head(xt).mean(2).sigmoid(), pair.log_ratio(xt, torch.full((4000,), levels[level])).sigmoid()
        errors.append([2 * float((guess[:, fitted] - truth).abs().mean()) for fitted in (level, 0)])
    own, clearest = np.mean(errors, axis=0)
    assert own < 0.3 * clearest
    assert np.max(errors, axis=0)[0] < 0.3  # of a weight in [0, 2]
