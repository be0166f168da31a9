"""The toys' closed forms against autograd and simulation, and what the paper found on its own toy."""

import sys
from pathlib import Path

import torch

from tiw.toys import two_modes

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
PAIR = two_modes()


def test_the_denoiser_is_tweedies():
    xt = torch.tensor([[0.3, -0.2], [-2.0, 1.0], [5.0, 5.0]], dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([0.4, 1.3, 6.0], dtype=torch.float64)
    (score,) = torch.autograd.grad(PAIR.biased.log_density(xt, sigma).sum(), xt)
    torch.testing.assert_close(PAIR.biased.denoised(xt, sigma), (xt + sigma[:, None] ** 2 * score).detach())


def test_samples_and_posterior_draws_have_the_right_moments():
    generator = torch.Generator().manual_seed(0)
    n = 40_000
    x0 = PAIR.biased.sample(n, generator)
    assert (x0.mean(0) + 1.6).abs().max() < 4 * 1.3 / n**0.5
    xt, sigma = torch.tensor([[0.3, -0.2]], dtype=torch.float64).expand(n, -1), torch.full((n,), 1.3, dtype=torch.float64)
    drawn = PAIR.biased.sample_posterior(xt, sigma, generator)
    exact = PAIR.biased.denoised(xt[:1], sigma[:1])[0]
    assert ((drawn.mean(0) - exact).abs() < 4 * drawn.std(0) / n**0.5).all()


def test_the_log_density_integrates_to_one():
    grid = torch.linspace(-12, 12, 241, dtype=torch.float64)
    points = torch.cartesian_prod(grid, grid)
    density = PAIR.reference.log_density(points, torch.full((len(points),), 0.8, dtype=torch.float64)).exp()
    assert abs(density.sum() * 0.1**2 - 1) < 1e-4


def test_q_mixes_the_two():
    xt, sigma = torch.randn(5, 2, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    mixed = 0.7 * PAIR.biased.log_density(xt, sigma).exp() + 0.3 * PAIR.reference.log_density(xt, sigma).exp()
    torch.testing.assert_close(PAIR.mixture(0.3).log_density(xt, sigma).exp(), mixed)


def test_a_time_dependent_ratio_errs_far_less_than_a_clean_one():
    """The paper, Section 4: on its toy the integrated error falls to 39.1 %. Setting and error: benchmarks/toy_ratio.py."""
    import toy_ratio

    assert toy_ratio.main()["share_of_the_time_independent_error"] <= 0.39
