"""The objectives against closed forms: a pair of Gaussian mixtures gives r, w, their gradients and E_ref[x0 given xt] exactly."""

import pytest
import torch

from tiw.noise import edm_loss_weight
from tiw.objectives import dsm, iw_dsm, log_ratio_and_gradient, log_weight, tiw_dsm
from tiw.toys import GaussianMixture, MixturePair

F64 = torch.float64
PAIR = MixturePair(
    GaussianMixture(
        torch.tensor([0.8, 0.2], dtype=F64), torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=F64), torch.tensor([0.4, 0.6], dtype=F64)
    ),
    GaussianMixture(
        torch.tensor([0.4, 0.6], dtype=F64), torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=F64), torch.tensor([0.4, 0.6], dtype=F64)
    ),
)
POINTS = [((0.3, -0.2), 0.7), ((-1.5, 1.0), 1.5), ((-0.2, 0.3), 0.5)]
N = 40_000


def target_of(xt, sigma, pi, n=N, **keywords):
    """The mean target of `tiw_dsm` at one (xt, sigma) under q, and its standard error, read off the loss's gradient at a free D.

    x0 is drawn from its exact posterior under q and the noise chosen so that xt stays where it is.
    """
    generator = torch.Generator().manual_seed(1)
    xt = torch.tensor(xt, dtype=F64).expand(n, -1)
    sigma = torch.full((n,), sigma, dtype=F64)
    x0 = PAIR.mixture(pi).sample_posterior(xt, sigma, generator) if pi else PAIR.biased.sample_posterior(xt, sigma, generator)
    free = torch.zeros_like(xt, requires_grad=True)
    loss = tiw_dsm(lambda x, s: free, x0, (xt - x0) / sigma[:, None], sigma, PAIR.log_ratio, pi, **keywords)
    (gradient,) = torch.autograd.grad(loss.sum(), free)
    # d loss / d D = 2 w lambda (D - target) / dimensions, at D = 0
    use_weight = keywords.get("use_weight", True)
    w = log_weight(PAIR.log_ratio(xt, sigma), pi).exp() if use_weight else torch.ones_like(sigma)
    targets = -gradient / (2 * w * edm_loss_weight(sigma) / xt.shape[1])[:, None]
    return targets.mean(0), targets.std(0) / n**0.5


def truth(xt, sigma, mixture=PAIR.reference):
    return mixture.denoised(torch.tensor([xt], dtype=F64), torch.tensor([sigma], dtype=F64))[0]


@pytest.mark.parametrize("anchor", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("pi", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("point", POINTS)
def test_the_minimiser_is_the_references_posterior_mean(point, pi, anchor):
    mean, error = target_of(*point, pi, anchor=anchor, baseline=PAIR.biased.denoised)
    assert ((mean - truth(*point)).abs() < 4.5 * error + 1e-9).all()
    assert (truth(*point) - truth(*point, PAIR.biased)).norm() > 20 * error.max()  # the test can tell the two apart


@pytest.mark.parametrize("anchor", [0.5, 1.0])
def test_a_wrong_baseline_is_off_by_anchor_times_its_error(anchor):
    point, wrong = POINTS[0], torch.tensor([0.3, -0.1], dtype=F64)
    right, _ = target_of(*point, 0.05, anchor=anchor, baseline=PAIR.biased.denoised)
    off, _ = target_of(*point, 0.05, anchor=anchor, baseline=lambda x, s: PAIR.biased.denoised(x, s) + wrong)
    torch.testing.assert_close(off - right, anchor * wrong)


@pytest.mark.parametrize("point", POINTS)
def test_the_correction_alone_reaches_it_and_the_weight_alone_does_not(point):
    mean, error = target_of(*point, 0.05, use_weight=False)
    assert ((mean - truth(*point)).abs() < 4.5 * error).all()
    mean, error = target_of(*point, 0.05, use_correction=False)
    of_mixture = truth(*point, PAIR.mixture(0.05))
    assert ((mean - of_mixture).abs() < 4.5 * error).all()
    assert (mean - truth(*point)).norm() > 10 * error.max()


@pytest.mark.parametrize("pi", [0.0, 0.05, 0.5])
def test_the_correction_is_the_finite_difference_of_log_w(pi):
    sigma, xt, h = torch.tensor([0.7], dtype=F64), torch.tensor([[0.3, -0.2]], dtype=F64), 1e-5
    x0 = torch.tensor([[0.1, 0.4]], dtype=F64)
    free = torch.zeros_like(x0, requires_grad=True)
    loss = tiw_dsm(lambda x, s: free, x0, (xt - x0) / sigma, sigma, PAIR.log_ratio, pi, use_weight=False)
    (gradient,) = torch.autograd.grad(loss.sum(), free)
    target = -gradient * 2 / (2 * edm_loss_weight(sigma))

    def log_w(x):
        return log_weight(PAIR.log_ratio(x, sigma), pi)

    steps = h * torch.eye(2, dtype=F64)
    difference = torch.stack([(log_w(xt + e) - log_w(xt - e))[0] / (2 * h) for e in steps])
    torch.testing.assert_close(target[0], x0[0] + sigma[0] ** 2 * difference, atol=1e-7, rtol=1e-6)


def batch(*shape):
    generator = torch.Generator().manual_seed(3)
    draw = lambda *s: torch.randn(*s, generator=generator, dtype=F64)  # noqa: E731
    return draw(*shape), draw(*shape), draw(shape[0]).exp()


def test_a_log_ratio_of_zero_is_dsm_exactly():
    x0, noise, sigma = batch(6, 3, 4, 4)
    model = lambda x, s: 0.3 * x  # noqa: E731
    zero = lambda x, s: torch.zeros_like(s)  # noqa: E731
    for pi in (0.0, 0.05, 0.5):
        assert torch.equal(tiw_dsm(model, x0, noise, sigma, zero, pi), dsm(model, x0, noise, sigma))


def test_strength_is_a_plain_factor_on_log_r():
    x0, noise, sigma = batch(6, 2)
    model = lambda x, s: 0.3 * x  # noqa: E731
    doubled = lambda x, s: 2 * PAIR.log_ratio(x, s)  # noqa: E731
    one = tiw_dsm(model, x0, noise, sigma, PAIR.log_ratio, 0.5, strength=2.0)
    torch.testing.assert_close(one, tiw_dsm(model, x0, noise, sigma, doubled, 0.5))


def test_losses_are_per_example_for_any_trailing_shape():
    x0, noise, sigma = batch(6, 3, 4, 4)
    flat = lambda x, s: x.flatten(1)[:, :2]  # noqa: E731
    ratio = lambda x, s: PAIR.log_ratio(flat(x, s), s)  # noqa: E731
    model = lambda x, s: 0.3 * x  # noqa: E731
    before = tiw_dsm(model, x0, noise, sigma, ratio, 0.05)
    assert before.shape == (6,)
    changed = x0.clone()
    changed[2] += 1
    after = tiw_dsm(model, changed, noise, sigma, ratio, 0.05)
    assert (before != after).tolist() == [False, False, True, False, False, False]
    alone = torch.cat([tiw_dsm(model, x0[i : i + 1], noise[i : i + 1], sigma[i : i + 1], ratio, 0.05) for i in range(6)])
    torch.testing.assert_close(before, alone)  # nobody's weight is averaged into another's


def test_iw_dsm_weights_each_example_and_dsm_is_the_mean_square():
    x0, noise, sigma = batch(5, 2)
    weight = torch.arange(1.0, 6.0, dtype=F64)
    model = lambda x, s: 0.3 * x  # noqa: E731
    plain = dsm(model, x0, noise, sigma, loss_weight=torch.ones_like)
    by_hand = torch.stack([((0.3 * (x0[i] + sigma[i] * noise[i]) - x0[i]) ** 2).mean() for i in range(5)])
    torch.testing.assert_close(plain, by_hand)
    torch.testing.assert_close(iw_dsm(model, x0, noise, sigma, weight, loss_weight=torch.ones_like), weight * by_hand)


def test_no_gradient_reaches_the_ratio_or_the_baseline():
    x0, noise, sigma = batch(4, 2)
    a, b, c = (torch.tensor(1.0, dtype=F64, requires_grad=True) for _ in range(3))
    ratio = lambda x, s: a * PAIR.log_ratio(x, s)  # noqa: E731
    loss = tiw_dsm(lambda x, s: c * x, x0, noise, sigma, ratio, 0.05, anchor=0.5, baseline=lambda x, s: b * x)
    loss.sum().backward()
    assert a.grad is None and b.grad is None and c.grad is not None


def test_gradient_and_value_of_the_exact_ratio():
    xt = torch.tensor([[0.3, -0.2], [1.0, 1.0]], dtype=F64)
    sigma = torch.tensor([0.7, 1.2], dtype=F64)
    value, gradient = log_ratio_and_gradient(PAIR.log_ratio, xt, sigma)
    score = lambda m: (m.denoised(xt, sigma) - xt) / sigma[:, None] ** 2  # noqa: E731  (Tweedie's formula)
    torch.testing.assert_close(gradient, score(PAIR.reference) - score(PAIR.biased))
    torch.testing.assert_close(value, PAIR.log_ratio(xt, sigma))
