"""Noise levels and the one place where sigma meets t."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from tiw.data import noisy_strip
from tiw.model.noise import NoiseDistribution, VPSchedule, edm_loss_weight, expand, perturb, to_images, to_x0
from tiw.ratio.features import item_noise


def test_sigma_and_t_are_inverse_and_exact_at_the_trained_steps():
    alphas = DDPMScheduler().alphas_cumprod
    schedule = VPSchedule(alphas)
    t = torch.cat([torch.arange(1000.0), torch.tensor([0.3, 17.4, 500.5])])
    torch.testing.assert_close(schedule.t(schedule.sigma(t)), t, atol=1e-4, rtol=1e-6)
    exact = ((1 - alphas) / alphas).sqrt()
    torch.testing.assert_close(schedule.sigma(torch.arange(1000.0)), exact, rtol=1e-5, atol=0)


def test_the_distribution_is_log_normal():
    draw = NoiseDistribution(0.3, 0.5, 1e-6, 1e6).draw(40_000, torch.Generator().manual_seed(0)).log()
    assert abs(draw.mean() - 0.3) < 4 * 0.5 / 200 and abs(draw.std() - 0.5) < 4 * 0.5 / 283


def test_pixels_survive_the_round_trip():
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    assert np.array_equal(to_images(to_x0(images)), images)
    assert to_x0(images).min() >= -1 and to_x0(images).max() <= 1


def test_perturbing_and_expanding_are_per_example():
    x0, noise, sigma = torch.zeros(3, 2, 2), torch.ones(3, 2, 2), torch.tensor([1.0, 2.0, 3.0])
    assert perturb(x0, noise, sigma)[:, 0, 0].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(AssertionError):
        expand(torch.ones(2), x0)


def test_edm_weight_makes_the_initial_loss_one():
    """EDM, Appendix B.6: lambda * c_out^2 = 1, so that an untrained network has loss 1 at every level."""
    sigma = torch.tensor([0.01, 0.5, 80.0])
    c_out = sigma * 0.5 / (sigma**2 + 0.25).sqrt()
    torch.testing.assert_close(edm_loss_weight(sigma) * c_out**2, torch.ones(3))


def test_the_strip_shows_the_noise_the_audit_scores():
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    (shown,) = noisy_strip(image, [0.7], seed=3, item=11)
    xt = to_x0(image[None])[0] + 0.7 * torch.from_numpy(item_noise(3, 11, (3, 8, 8)))
    assert np.array_equal(shown, to_images(xt[None] / (1 + 0.7**2) ** 0.5)[0])


def test_scaled_levels_are_the_truncated_log_normal_moved_up():
    from scipy.stats import kstest, truncnorm

    noise = NoiseDistribution(-0.2, 1.6, 0.05, 20.0).scaled(3.0)
    mean = -0.2 + np.log(3)
    low, high = ((np.log(end) - mean) / 1.6 for end in (0.05, 20.0))
    found = noise.draw(4000, torch.Generator().manual_seed(0)).log().numpy()
    assert kstest(found, truncnorm(low, high, mean, 1.6).cdf).pvalue > 0.01
    assert kstest(found, truncnorm(low, high, -0.2, 1.6).cdf).pvalue < 1e-6
