"""Training: every objective runs, nothing is shared with the baseline, and a run that stops goes on as if it had not."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kstest, truncnorm

from tiw.choices import OBJECTIVES
from tiw.debiasing.fine_tune import DebiasConfig, _anchor, _draw, _losses, debias
from tiw.errors import UserInputError
from tiw.model.noise import UniformSteps
from tiw.ratio.density_ratio import fit_density_ratio
from tiw.ratio.estimators import ConvexHead
from tiw.ratio.features import RatioConfig

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


@pytest.mark.parametrize("objective", ["tiw-dsm", "weight-only", "iw-dsm", "correction-only"])
def test_the_weights_are_made_for_the_share_that_the_batch_has(objective, blob_sets, ratio):
    """0.3 of 8 images are 2: the step is that of a share of 0.25, not of 0.3."""
    nominal, exact = (replace(CONFIG, objective=objective, batch_size=8, reference_share=share) for share in (0.3, 0.25))
    first, second = (next(debias(ratio.denoiser, *blob_sets, ratio, config)) for config in (nominal, exact))
    assert first.loss == second.loss and first.largest_weight == second.largest_weight
    with pytest.raises(UserInputError, match=r"reference_share.*leave no biased one"):
        next(debias(ratio.denoiser, *blob_sets, ratio, replace(nominal, batch_size=2, reference_share=0.8)))


def test_the_window_cuts_and_does_not_pile_up(blob_sets, tiny_denoiser):
    """Within it log sigma is the normal variable it was, cut off at both ends: against SciPy's."""
    config = replace(CONFIG, sigma_scale=1.0, sigma_min=0.3, sigma_max=0.6, batch_size=2000)
    sigma = _draw(tiny_denoiser, *blob_sets, config, 1).sigma
    assert sigma.min() >= 0.3 and sigma.max() <= 0.6
    noise = tiny_denoiser.config.noise
    ends = (np.log([0.3, 0.6]) - noise.mean) / noise.std
    assert kstest(sigma.log().numpy(), truncnorm(*ends, noise.mean, noise.std).cdf).pvalue > 1e-3
    assert UniformSteps((0.1, 0.3, 0.5, 0.7)).within(0.3, 0.6).sigmas == (0.3, 0.5)
    for levels in (noise, UniformSteps((0.1, 0.7))):
        with pytest.raises(UserInputError, match=r"sigma_min.*between 100 and inf"):
            levels.within(100.0)


@pytest.mark.parametrize("objective", ["tiw-dsm", "weight-only", "iw-dsm", "correction-only"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_clip_is_the_largest_factor_of_a_loss(objective, share, blob_sets, ratio):
    """Clipped, each loss is min(w, clip) / w of the unclipped one; the correction alone has no factor to clip."""
    config = replace(CONFIG, objective=objective, reference_share=share, anchor=0.0)
    batch = _draw(ratio.denoiser, *blob_sets, config, 1)
    loss, weight = _losses(ratio.denoiser, ratio.denoiser, ratio.denoiser, ratio, batch, config, 0.0)
    clip = float(weight.median())
    clipped, shown = _losses(ratio.denoiser, ratio.denoiser, ratio.denoiser, ratio, batch, replace(config, weight_clip=clip), 0.0)
    if objective == "correction-only":
        assert torch.equal(clipped, loss)
    else:
        torch.testing.assert_close(clipped, loss * (clip / weight).clamp(max=1))
        assert shown.max() <= clip < weight.max()


def test_the_anchor_goes_in_a_line_from_the_first_step_to_the_last():
    config = replace(CONFIG, steps=5, anchor=(0.8, 0.0))
    assert [_anchor(config, step) for step in range(1, 6)] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])
    assert _anchor(replace(config, steps=1), 1) == 0.8
    assert [_anchor(replace(config, anchor=0.3), step) for step in (1, 5)] == [0.3, 0.3]


@pytest.mark.parametrize(("schedule", "step"), [((0.7, 0.7), 2), ((0.4, 0.7), 4)])
def test_a_schedule_trains_with_the_anchor_of_its_step(schedule, step, blob_sets, ratio):
    """A step's loss, before any weight has moved, is that of a constant anchor of the same size."""

    def loss(anchor):
        still = replace(CONFIG, anchor=anchor, learning_rate=0.0)
        return [s.loss for s in debias(ratio.denoiser, *blob_sets, ratio, still)][step - 1]

    assert loss(schedule) == pytest.approx(loss(0.7), rel=1e-5)
    assert loss(schedule) != pytest.approx(loss(0.4), rel=1e-3)


def test_weight_only_is_not_held_where_it_is_by_the_anchor(blob_sets, ratio):
    losses = [
        [s.loss for s in debias(ratio.denoiser, *blob_sets, ratio, replace(CONFIG, objective="weight-only", anchor=c))] for c in (0.0, 1.0)
    ]
    assert losses[0] == losses[1] and losses[0][0] > 0


def test_the_first_step_of_tiw_equals_dsm_when_the_ratio_is_nought(blob_sets, ratio):
    silent = ConvexHead(torch.zeros_like(ratio.head.weights), torch.zeros_like(ratio.head.biases))
    nought = replace(ratio, head=silent, log_ratio_biased=0 * ratio.log_ratio_biased)
    plain = next(debias(ratio.denoiser, *blob_sets, nought, replace(CONFIG, sigma_scale=1.0, anchor=0.0)))
    observed = next(debias(ratio.denoiser, *blob_sets, None, replace(CONFIG, objective="dsm-obs")))
    assert abs(plain.loss - observed.loss) < 1e-5 * observed.loss


def test_tiw_draws_its_levels_higher_and_the_others_as_the_checkpoint_did(blob_sets, tiny_denoiser):
    def median(objective, scale):
        config = replace(CONFIG, objective=objective, sigma_scale=scale, batch_size=4000)
        return float(_draw(tiny_denoiser, *blob_sets, config, 1).sigma.median())

    assert median("tiw-dsm", 3.0) == pytest.approx(3 * median("tiw-dsm", 1.0), rel=0.06)  # cut off at the ends
    assert median("dsm-ref", 3.0) == median("dsm-ref", 1.0)
