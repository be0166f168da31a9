"""Sampling against closed forms and diffusers' schedulers."""

import numpy as np
import pytest
import torch
from diffusers import EDMDPMSolverMultistepScheduler, HeunDiscreteScheduler

from tiw.model.denoiser import Denoiser
from tiw.model.networks import PRESETS
from tiw.model.sampling import guided, sample, sigma_steps, solve, starting_noise
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


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_guidance_adds_sigma_squared_times_the_gradient(strength):
    """At strength 1 and from an exact model of the biased set, that is the reference's own denoiser."""
    x, sigma = noise(6, 2, 3.0), torch.tensor([0.1, 0.5, 1.0, 3.0, 10.0, 60.0], dtype=torch.float64)
    found = guided(TOY.biased.denoised, lambda xt, s: strength * TOY.log_ratio(xt, s))(x, sigma)
    biased, reference = TOY.biased.denoised(x, sigma), TOY.reference.denoised(x, sigma)
    torch.testing.assert_close(found, biased + strength * (reference - biased))


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
    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_min=0.02, sigma_max=80.0, sigma_data=0.5, solver_order=2, final_sigmas_type="zero", euler_at_final=False
    )
    scheduler.set_timesteps(12)
    torch.testing.assert_close(sigma_steps(12).float(), scheduler.sigmas)
    x = theirs = noise(5, 2)
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas[:-1].double(), strict=True):
        # The scheduler asks for the network's raw output; EDM's preconditioning turned round gives it from D.
        d = TOY.biased.denoised(theirs, sigma.expand(5))
        c_skip, c_out = 0.25 / (sigma**2 + 0.25), sigma * 0.5 / (sigma**2 + 0.25).sqrt()
        theirs = scheduler.step((d - c_skip * theirs) / c_out, t, theirs).prev_sample
    # Their coefficients are float32.
    torch.testing.assert_close(run(TOY.biased.denoised, x, scheduler.sigmas.double(), "dpm"), theirs, atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs, with numpy 2
def test_agrees_with_diffusers_heun_solver():
    scheduler = HeunDiscreteScheduler(prediction_type="sample", use_karras_sigmas=True)
    scheduler.set_timesteps(12)
    x = theirs = noise(5, 2, float(scheduler.sigmas[0]))
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        theirs = scheduler.step(TOY.biased.denoised(theirs, sigma.double().expand(5)), t, theirs).prev_sample
    levels = torch.cat([scheduler.sigmas[:1], scheduler.sigmas[1::2]]).double()  # theirs lists each inner level twice
    torch.testing.assert_close(run(TOY.biased.denoised, x, levels, "heun"), theirs, atol=1e-7, rtol=0)


def test_an_image_depends_on_its_seed_alone():
    torch.manual_seed(0)
    denoiser = Denoiser.new(PRESETS["tiny"]).eval()
    together = sample(denoiser, [5, 6, 7], steps=3)
    alone = sample(denoiser, [6], steps=3)
    assert together.shape == (3, 16, 16, 3) and together.dtype == np.uint8
    assert np.abs(together[1].astype(int) - alone[0]).max() <= 1
    assert np.array_equal(sample(denoiser, [5, 6, 7], steps=3, batch_size=2)[2], together[2])


class GaussianDenoiser:
    """Images of independent pixels N(0, 0.2^2), float32."""

    shape, device, sigma_max, classes = (3, 4, 4), torch.device("cpu"), 80.0, 0

    def __call__(self, xt, sigma):
        return xt * (0.04 / (0.04 + sigma**2))[:, None, None, None]


def test_guidance_moves_images_by_its_strength():
    """r proportional to exp(5 sum x0) moves the mean of N(0, 0.2^2) by 5 * 0.2^2 = 0.2, which is 25.5 grey levels."""
    tilt = lambda xt, sigma: 5 * 0.04 / (0.04 + sigma**2) * xt.flatten(1).sum(1)  # noqa: E731
    draw = lambda **k: sample(GaussianDenoiser(), range(8), steps=60, **k).astype(float)  # noqa: E731
    assert np.array_equal(draw(guidance=tilt, strength=0.0), draw())
    for strength in (0.5, 1.0, 2.0):
        moved = draw(guidance=tilt, strength=strength) - draw()
        assert abs(moved.mean() - strength * 25.5) < 0.3 and moved.std() < 1  # rounding alone


def test_antithetic_pairs_are_negatives():
    """An odd denoiser turns the negative noise into the negative image."""
    assert not torch.equal(*starting_noise([1, 2], (3, 4, 4)))
    pairs = sample(GaussianDenoiser(), [1, 2], antithetic=True).astype(int)
    assert np.array_equal(pairs[::2], sample(GaussianDenoiser(), [1, 2])) and np.abs(pairs[::2] + pairs[1::2] - 255).max() <= 1
    for size in (1, 3):  # a pair may lie in two batches
        assert np.array_equal(sample(GaussianDenoiser(), [1, 2], antithetic=True, batch_size=size), pairs)


def test_a_model_in_train_mode_is_sampled_without_dropout_and_left_in_train_mode():
    class Dropping(torch.nn.Module):
        shape, classes, sigma_max, device = (3, 4, 4), 0, 80.0, torch.device("cpu")

        def forward(self, xt, sigma):
            return torch.nn.functional.dropout(xt / (1 + sigma[0] ** 2), 0.5, self.training)

    model = Dropping()
    in_eval_mode = sample(model.eval(), range(3), steps=4)
    assert np.array_equal(sample(model.train(), range(3), steps=4), in_eval_mode) and model.training
    with pytest.raises(KeyError):
        sample(model, range(3), steps=4, on_batch=lambda done: {}[done])
    assert model.training
