"""Sampling against closed forms and diffusers' scheduler."""

import numpy as np
import pytest
import torch

from tiw.denoiser import Denoiser
from tiw.networks import PRESETS
from tiw.sampling import guided, sample, sigma_steps, solve, starting_noise
from tiw.toys import GaussianMixture, two_modes

TOY = two_modes()


def run(model, xt, steps, solver):
    with torch.no_grad():
        *_, last = solve(model, xt, steps, solver)
    return last


def noise(n, d, sigma_max=80.0):
    return sigma_max * torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("solver", "steps"), [("heun", 40), ("dpm", 60)])
def test_the_solvers_draw_the_right_distribution(solver, steps):
    n = 4000
    x = run(TOY.biased.denoised, noise(n, 2), sigma_steps(steps), solver)
    upper = x[:, 0] > 0
    assert abs(upper.double().mean() - 0.1) < 4 * (0.09 / n) ** 0.5
    for mode, mean in ((~upper, -2.0), (upper, 2.0)):
        m = int(mode.sum())
        assert (x[mode].mean(0) - mean).abs().max() < 4 * 0.5 / m**0.5
        assert (x[mode].std(0) - 0.5).abs().max() < 4 * 0.5 / (2 * m) ** 0.5 + 0.01


@pytest.mark.parametrize("solver", ["heun", "dpm"])
def test_guidance_with_the_exact_ratio_draws_the_reference(solver):
    n = 3000
    x = run(guided(TOY.biased.denoised, TOY.log_ratio), noise(n, 2), sigma_steps(60), solver)
    assert abs((x[:, 0] > 0).double().mean() - 0.5) < 4 * (0.25 / n) ** 0.5


@pytest.mark.parametrize("solver", ["heun", "dpm"])
def test_second_order_convergence_on_a_gaussian(solver):
    """N(0, s^2): the exact flow is x * sqrt((s^2 + sigma_1^2) / (s^2 + sigma_0^2))."""
    s = 0.5
    gaussian = GaussianMixture(
        torch.ones(1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64), torch.tensor([s], dtype=torch.float64)
    )
    x = torch.tensor([[3.0]], dtype=torch.float64)
    exact = x * ((s**2 + 0.1**2) / (s**2 + 10.0**2)) ** 0.5

    def error(n):
        levels = torch.logspace(1, -1, n + 1, dtype=torch.float64)
        return float((run(gaussian.denoised, x, levels, solver) - exact).abs())

    assert 3.2 < error(40) / error(80) < 5.2  # 4 for second order, 2 for first


def test_agrees_with_diffusers_multistep_solver():
    from diffusers import EDMDPMSolverMultistepScheduler

    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_min=0.02,
        sigma_max=80.0,
        sigma_data=0.5,
        solver_order=2,
        final_sigmas_type="zero",
        euler_at_final=False,
        lower_order_final=True,
    )
    scheduler.set_timesteps(12)
    x = noise(5, 2).float()
    model = lambda xt, sigma: TOY.biased.denoised(xt.double(), sigma.double()).float()  # noqa: E731
    ours = run(model, x, scheduler.sigmas.double(), "dpm")
    theirs = x
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas[:-1], strict=True):
        # The scheduler asks for the network's raw output; EDM's preconditioning turned round gives it from D.
        d = model(theirs, sigma.expand(len(theirs)))
        c_skip, c_out = 0.25 / (sigma**2 + 0.25), sigma * 0.5 / (sigma**2 + 0.25).sqrt()
        theirs = scheduler.step((d - c_skip * theirs) / c_out, t, theirs).prev_sample
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=2e-4)
    torch.testing.assert_close(sigma_steps(12).float(), scheduler.sigmas, atol=1e-4, rtol=1e-4)


def test_an_image_depends_on_its_seed_alone():
    torch.manual_seed(0)
    denoiser = Denoiser.new(PRESETS["tiny"]).eval()
    together = sample(denoiser, [5, 6, 7], steps=3)
    alone = sample(denoiser, [6], steps=3)
    assert together.shape == (3, 16, 16, 3) and together.dtype == np.uint8
    assert np.abs(together[1].astype(int) - alone[0]).max() <= 1
    assert np.array_equal(sample(denoiser, [5, 6, 7], steps=3, batch_size=2)[2], together[2])


def test_antithetic_pairs_are_negatives():
    first = starting_noise([1, 2], (3, 4, 4))
    assert not torch.equal(first[0], first[1])
    torch.manual_seed(0)
    denoiser = Denoiser.new(PRESETS["tiny"]).eval()
    pairs = sample(denoiser, [1, 2], steps=2, antithetic=True)
    assert len(pairs) == 4 and np.array_equal(pairs[:2], sample(denoiser, [1, 2], steps=2))
