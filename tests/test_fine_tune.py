"""Training: every objective runs, nothing is shared with the baseline, and a run that stops goes on as if it had not."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kstest, truncnorm

from tiw.choices import OBJECTIVES
from tiw.debiasing import fine_tune
from tiw.debiasing.config import DebiasConfig
from tiw.debiasing.fine_tune import _draw, _losses, _schedule, debias
from tiw.debiasing.objectives import dsm, tiw_dsm
from tiw.errors import UserInputError
from tiw.model.noise import UniformSteps
from tiw.ratio.density_ratio import fit_density_ratio
from tiw.ratio.features import RatioConfig
from tiw.ratio.heads import ConvexHead
from tiw.run.options import DebiasOptions

CONFIG = DebiasConfig(steps=4, batch_size=12, strength=1.2, learning_rate=1e-3, reference_share=0.5)


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


def test_a_batch_holds_a_biased_image_however_large_the_share_of_the_references():
    assert [DebiasConfig(batch_size=size).references_a_batch for size in (2, 3, 8, 48)] == [1, 2, 7, 41]
    assert DebiasConfig("dsm-ref", batch_size=3).references_a_batch == 3
    with pytest.raises(UserInputError, match=r"batch_size.*both sets"):
        DebiasConfig(batch_size=1)
    with pytest.raises(UserInputError, match=r"batch_size.*both sets"):  # before any work
        DebiasOptions(batch_size=1)
    assert DebiasConfig("dsm-obs", batch_size=1, reference_share=0).references_a_batch == 0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_a_forecast_counts_is_what_the_ratio_is_asked_about(objective, blob_sets, ratio, monkeypatch):
    asked, of_rows = [], fine_tune._of_rows
    monkeypatch.setattr(fine_tune, "_of_rows", lambda ratio, batch: asked.append(len(batch.x0)) or of_rows(ratio, batch))
    config = replace(CONFIG, objective=objective, batch_size=8, reference_share=0.5)
    next(debias(ratio.denoiser, *blob_sets, ratio, config))
    assert sum(asked) == config.corrected_a_batch


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


def test_the_papers_objective_has_the_checkpoints_own_levels_and_corrects_references_too(blob_sets, ratio):
    config = replace(CONFIG, objective="tiw-dsm-paper", sigma_scale=3.0, steps=4)
    batch, model = _draw(ratio.denoiser, *blob_sets, config, 4), ratio.denoiser
    own = _draw(ratio.denoiser, *blob_sets, replace(config, objective="dsm-obs"), 4)
    assert torch.equal(batch.sigma, own.sigma) and torch.equal(batch.items, own.items)
    loss, _ = _losses(model, model, ratio, batch, config)
    expected = tiw_dsm(model, batch.x0, batch.noise, batch.sigma, ratio.held_out(batch.items), 0.5, loss_weight=model.loss_weight)
    torch.testing.assert_close(loss, expected)


def test_weight_only_is_weighted_score_matching(blob_sets, ratio):
    config = replace(CONFIG, objective="weight-only")
    batch, model = _draw(ratio.denoiser, *blob_sets, config, 1), copy.deepcopy(ratio.denoiser)
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)
    found, weight = _losses(model, model, ratio, batch, config)
    plain = dsm(model, batch.x0, batch.noise, batch.sigma, loss_weight=model.loss_weight)
    torch.testing.assert_close(found, weight * plain)


def test_iw_dsm_is_weighted_by_the_ratio_at_the_lowest_level(blob_sets, ratio):
    config, model = replace(CONFIG, objective="iw-dsm"), ratio.denoiser
    batch = _draw(model, *blob_sets, config, 1)
    loss, weight = _losses(model, model, ratio, batch, config)
    r = ratio.held_out(batch.items)(batch.x0 + 0.1 * batch.noise, torch.full_like(batch.sigma, 0.1)).exp()
    torch.testing.assert_close(weight, r / (0.5 + 0.5 * r))
    torch.testing.assert_close(loss, weight * dsm(model, batch.x0, batch.noise, batch.sigma, loss_weight=model.loss_weight))


def test_the_first_step_of_tiw_equals_dsm_when_the_ratio_is_nought(blob_sets, ratio):
    silent = ConvexHead(torch.zeros_like(ratio.head.weights), torch.zeros_like(ratio.head.biases))
    nought = replace(ratio, head=silent, log_ratio_biased=0 * ratio.log_ratio_biased)
    plain = next(debias(ratio.denoiser, *blob_sets, nought, replace(CONFIG, sigma_scale=1.0)))
    observed = next(debias(ratio.denoiser, *blob_sets, None, replace(CONFIG, objective="dsm-obs")))
    assert abs(plain.loss - observed.loss) < 1e-5 * observed.loss


def test_tiw_draws_its_levels_higher_and_the_others_as_the_checkpoint_did(blob_sets, tiny_denoiser):
    def median(objective, scale):
        config = replace(CONFIG, objective=objective, sigma_scale=scale, batch_size=4000)
        return float(_draw(tiny_denoiser, *blob_sets, config, 1).sigma.median())

    assert median("tiw-dsm", 3.0) == pytest.approx(3 * median("tiw-dsm", 1.0), rel=0.06)  # cut off at the ends
    assert median("dsm-ref", 3.0) == median("dsm-ref", 1.0)


@pytest.mark.parametrize("objective", ["tiw-dsm", "correction-only"])
def test_a_reference_image_is_its_own_target_and_a_biased_one_is_corrected(objective, blob_sets, ratio):
    """Against the two public losses: DSM of the references, and TIW-DSM of the biased images alone, a share of nought."""
    config = replace(CONFIG, objective=objective)
    batch, model, student = _draw(ratio.denoiser, *blob_sets, config, 1), ratio.denoiser, copy.deepcopy(ratio.denoiser)
    with torch.no_grad():
        next(student.parameters()).mul_(1.5)
    loss, weight = _losses(student, student, ratio, batch, config)
    of_reference, of_biased = batch.take(batch.is_reference), batch.take(~batch.is_reference)
    assert len(of_reference.x0) == len(of_biased.x0) == 6
    alone = dsm(student, of_reference.x0, of_reference.noise, of_reference.sigma, loss_weight=model.loss_weight)
    torch.testing.assert_close(loss[batch.is_reference], alone)
    held_out = ratio.held_out(of_biased.items)
    given = {"use_weight": objective == "tiw-dsm", "loss_weight": model.loss_weight}
    corrected = tiw_dsm(student, of_biased.x0, of_biased.noise, of_biased.sigma, held_out, **given)
    torch.testing.assert_close(loss[~batch.is_reference], corrected)
    assert (weight[batch.is_reference] == 1).all()
    r = held_out(of_biased.x0 + of_biased.sigma[:, None, None, None] * of_biased.noise, of_biased.sigma).exp()
    torch.testing.assert_close(weight[~batch.is_reference], r)
    only = _losses(student, student, ratio, of_reference, config)[0]  # a part of a batch may hold no biased image
    torch.testing.assert_close(only, alone)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("objective", "tiw_dsm"),
        ("objective", ""),
        ("steps", 0),
        ("steps", 1.5),
        ("batch_size", 0),
        ("strength", -0.1),
        ("strength", float("nan")),
        ("reference_share", 1.0),
        ("learning_rate", -1e-4),
        ("learning_rate", float("inf")),
        ("largest_gradient", 0.0),
        ("sigma_scale", 0.0),
        ("sigma_min", -1.0),
    ],
)
def test_a_wrong_field_is_named_before_any_work(field, value):
    with pytest.raises(UserInputError) as error:
        DebiasConfig(**{field: value})
    assert error.value.field == field and str(value)[:20] in str(error.value)


def test_a_window_without_width_is_named():
    with pytest.raises(UserInputError, match=r"sigma_max.*not above sigma_min 2"):
        DebiasConfig(sigma_min=2.0, sigma_max=1.0)


def test_the_usual_rate_falls_with_the_networks_size_within_bounds(blob_sets, ratio):
    def network(parameters):
        return torch.nn.ParameterList([torch.zeros(parameters)])

    config = DebiasConfig()
    for parameters, rate in ((10, 6e-4), (1_900_000, 3e-4), (3_800_000, 1.5e-4), (7_600_000, 7.5e-5), (100_000_000, 3e-5)):
        assert config.rate(network(parameters)) == pytest.approx(rate)
        assert replace(config, objective="dsm-ref").rate(network(parameters)) == pytest.approx(2 * rate)
    assert replace(config, learning_rate=0.02).rate(network(10)) == 0.02
    first = next(debias(ratio.denoiser, *blob_sets, ratio, DebiasConfig(steps=20, batch_size=4, reference_share=0.5)))
    assert first.learning_rate == pytest.approx(config.rate(ratio.denoiser) / 5)  # the warm-up


def test_no_step_follows_a_gradient_longer_than_the_largest(blob_sets, ratio):
    """Adam hides a gradient's length from its first step, its first moment does not: a tenth of the shortened gradient."""
    step = next(debias(ratio.denoiser, *blob_sets, ratio, replace(CONFIG, largest_gradient=1e-4)))
    moments = torch.cat([state["exp_avg"].flatten() for state in step.optimizer.state.values()])
    assert float(moments.norm()) == pytest.approx(0.1 * 1e-4, rel=1e-3)


def test_what_is_handed_out_is_ready_for_sampling_and_the_average_is_one(blob_sets, ratio):
    """The average against its own recursion: m_k = d_k m_(k-1) + (1 - d_k) w_k with the warm-up d_k = min(decay, k / (k + 9))."""
    mean, plain = weights(ratio.denoiser).clone(), []
    for k, step in enumerate(debias(ratio.denoiser, *blob_sets, ratio, CONFIG, ema=0.9), 1):
        assert not step.denoiser.training and not step.average.training
        decay = min(0.9, (1 + (k - 1)) / (10 + (k - 1))) if k > 1 else 0.0
        mean = decay * mean + (1 - decay) * weights(step.denoiser)
        torch.testing.assert_close(weights(step.average), mean)
        plain.append(weights(step.denoiser).clone())
    without = [(s.average, weights(s.denoiser).clone()) for s in debias(ratio.denoiser, *blob_sets, ratio, CONFIG)]
    assert all(average is None and torch.equal(a, b) for (average, a), b in zip(without, plain, strict=True))
    with pytest.raises(UserInputError, match="ema"):
        next(debias(ratio.denoiser, *blob_sets, ratio, CONFIG, ema=1.0))


def test_the_rate_warms_up_and_falls_along_a_cosine():
    """The cosine is torch's own; the warm-up, a tenth of the steps and at least five, multiplies it."""
    for steps in (20, 200):
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([weight], lr=1.0)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            cosine.step()
        warm = max(5, steps // 10)
        expected = np.array(rates) * np.minimum(1, np.arange(1, steps + 1) / warm)
        np.testing.assert_allclose([_schedule(k, steps) for k in range(1, steps + 1)], expected, atol=1e-9)
