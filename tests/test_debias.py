"""Training: every objective runs, nothing is shared with the baseline, and a run that stops goes on as if it had not."""

import copy
from dataclasses import replace

import pytest
import torch

from tiw.debias import DebiasConfig, _draw, debias
from tiw.estimators import ConvexHead
from tiw.features import RatioConfig
from tiw.options import OBJECTIVES
from tiw.ratio import fit_density_ratio

CONFIG = DebiasConfig(steps=4, batch_size=12, strength=1.2, learning_rate=1e-3)


@pytest.fixture
def ratio(blob_sets, tiny_denoiser):
    config = RatioConfig(sigmas=(0.1, 0.5, 2.0), folds=3, components=10, biased_images=100, reference_draws=1)
    return fit_density_ratio(*blob_sets, tiny_denoiser, config)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_trains_a_copy(objective, blob_sets, ratio):
    before = weights(ratio.denoiser).clone()
    steps = list(debias(ratio.denoiser, *blob_sets, ratio, replace(CONFIG, objective=objective)))
    assert [s.step for s in steps] == [1, 2, 3, 4]
    assert torch.equal(weights(ratio.denoiser), before)
    assert not torch.equal(weights(steps[-1].denoiser), before)
    has_weights = objective not in ("dsm-ref", "dsm-obs")
    assert (steps[0].effective_sample_size is not None) == has_weights
    if has_weights:
        assert 0 < steps[0].effective_sample_size <= 1


def test_a_resumed_run_is_bit_equal(blob_sets, ratio):
    whole = [(s.loss, weights(s.denoiser).clone()) for s in debias(ratio.denoiser, *blob_sets, ratio, CONFIG)]
    for step in debias(ratio.denoiser, *blob_sets, ratio, CONFIG):
        if step.step == 2:
            state = {"step": 2, "model": step.denoiser.state_dict(), "optimizer": step.optimizer.state_dict()}
            state = copy.deepcopy(state)
            break
    rest = [(s.loss, weights(s.denoiser).clone()) for s in debias(ratio.denoiser, *blob_sets, ratio, CONFIG, resume=state)]
    assert len(rest) == 2
    for (loss, w), (loss_again, w_again) in zip(whole[2:], rest, strict=True):
        assert loss == loss_again and torch.equal(w, w_again)


def test_batches_hold_the_exact_share_and_depend_on_seed_and_step_alone(blob_sets, tiny_denoiser):
    config = replace(CONFIG, reference_share=0.25)
    one = _draw(tiny_denoiser, *blob_sets, config, 3)
    torch.randn(10)
    again = _draw(tiny_denoiser, *blob_sets, config, 3)
    assert int((one.items >= len(blob_sets[0])).sum()) == 3
    assert torch.equal(one.x0, again.x0) and torch.equal(one.noise, again.noise) and torch.equal(one.sigma, again.sigma)
    assert not torch.equal(one.noise, _draw(tiny_denoiser, *blob_sets, config, 4).noise)
    assert not torch.equal(one.noise, _draw(tiny_denoiser, *blob_sets, replace(config, seed=1), 3).noise)
    assert (_draw(tiny_denoiser, *blob_sets, replace(config, objective="dsm-ref"), 3).items >= len(blob_sets[0])).all()


def test_window_and_clip_are_kept(blob_sets, ratio):
    config = replace(CONFIG, sigma_min=0.3, sigma_max=0.6)
    sigma = _draw(ratio.denoiser, *blob_sets, config, 1).sigma
    assert sigma.min() >= 0.3 and sigma.max() <= 0.6
    for step in debias(ratio.denoiser, *blob_sets, ratio, replace(CONFIG, weight_clip=0.9, reference_share=0.0)):
        assert step.largest_weight <= 0.9 + 1e-6


def test_the_first_step_of_tiw_equals_dsm_when_the_ratio_is_nought(blob_sets, ratio):
    silent = ConvexHead(torch.zeros_like(ratio.head.weights), torch.zeros_like(ratio.head.biases))
    nought = replace(ratio, head=silent, log_ratio_biased=0 * ratio.log_ratio_biased)
    plain = next(debias(ratio.denoiser, *blob_sets, nought, replace(CONFIG, anchor=0.0)))
    observed = next(debias(ratio.denoiser, *blob_sets, None, replace(CONFIG, objective="dsm-obs")))
    assert abs(plain.loss - observed.loss) < 1e-5 * observed.loss
