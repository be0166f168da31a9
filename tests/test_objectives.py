"""The objectives against closed forms: a pair of Gaussian mixtures gives r, w, their gradients and E_ref[x0 given xt] exactly."""

import pytest
import torch

from tiw.debiasing.objectives import corrected, dsm, iw_dsm, tiw_dsm
from tiw.model.correction import correction_at, log_weight
from tiw.model.noise import edm_loss_weight
from tiw.toys import GaussianMixture, MixturePair, joint_skew

F64 = torch.float64
MEANS, STDS = torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=F64), torch.tensor([0.4, 0.6], dtype=F64)
PAIR = MixturePair(*(GaussianMixture(torch.tensor(w, dtype=F64), MEANS, STDS) for w in ([0.8, 0.2], [0.4, 0.6])))
POINTS = [((0.3, -0.2), 0.7), ((-1.5, 1.0), 1.5), ((-0.2, 0.3), 0.5)]
SHARES = [0.0, 0.05, 0.5]
# Sums over this grid of x0 are integrals to 1e-12: its step is a quarter of the narrowest standard deviation.
X0 = torch.cartesian_prod(*[torch.arange(-5.0, 5.0, 0.1, dtype=F64)] * 2)


def row(values):
    return torch.tensor([values], dtype=F64)


def posterior(mixture, xt, sigma):
    """P(x0 given xt) on the grid, by Bayes' rule alone: the prior times N(xt; x0, sigma^2)."""
    log_prior = mixture.log_density(X0, torch.zeros(len(X0), dtype=F64))
    return torch.softmax(log_prior - (row(xt) - X0).square().sum(1) / (2 * sigma**2), 0)[:, None]


def truth(xt, sigma, mixture=PAIR.reference):
    """E[x0 given xt], integrated."""
    return (posterior(mixture, xt, sigma) * X0).sum(0)


def minimiser(xt, sigma, pi, **keywords):
    """The D at (xt, sigma) that minimises the expected `tiw_dsm` over x0 from q given xt.

    The expected loss is quadratic in D, so two of its gradients give the minimum. The noise is chosen so that xt stays where it is.
    """
    level = torch.full((len(X0),), sigma, dtype=F64)
    p = posterior(PAIR.mixture(pi), xt, sigma)

    def gradient(at):
        free = at.clone().requires_grad_(True)
        loss = tiw_dsm(lambda x, s: free.expand_as(x), X0, (row(xt) - X0) / sigma, level, PAIR.log_ratio, pi, **keywords)
        return torch.autograd.grad((p[:, 0] * loss).sum(), free)[0]

    at_zero, at_one = gradient(torch.zeros(2, dtype=F64)), gradient(torch.ones(2, dtype=F64))
    assert (at_one - at_zero > 0).all()  # a minimum
    return -at_zero / (at_one - at_zero)


@pytest.mark.parametrize("pi", SHARES)
@pytest.mark.parametrize("point", POINTS)
def test_the_minimiser_is_the_references_posterior_mean(point, pi):
    found = minimiser(*point, pi)
    torch.testing.assert_close(found, truth(*point), atol=1e-9, rtol=0)
    assert (truth(*point) - truth(*point, PAIR.biased)).norm() > 0.05  # they are not the same


@pytest.mark.parametrize("pi", SHARES)
@pytest.mark.parametrize("point", POINTS)
def test_the_correction_alone_reaches_it_and_the_weight_alone_does_not(point, pi):
    torch.testing.assert_close(minimiser(*point, pi, use_weight=False), truth(*point), atol=1e-9, rtol=0)
    weight_only = minimiser(*point, pi, use_correction=False)
    torch.testing.assert_close(weight_only, truth(*point, PAIR.mixture(pi)), atol=1e-9, rtol=0)  # it stays at q
    assert (weight_only - truth(*point)).norm() > 0.02


@pytest.mark.parametrize("pi", SHARES)
def test_the_correction_is_the_finite_difference_of_log_w(pi):
    sigma, xt, x0, h = torch.tensor([0.7], dtype=F64), row([0.3, -0.2]), row([0.1, 0.4]), 1e-5
    free = torch.zeros_like(x0, requires_grad=True)
    loss = tiw_dsm(lambda x, s: free, x0, (xt - x0) / sigma, sigma, PAIR.log_ratio, pi, use_weight=False)
    (gradient,) = torch.autograd.grad(loss.sum(), free)
    target = -gradient / edm_loss_weight(sigma)  # d loss / d D = 2 lambda (D - target) / dimensions, at D = 0, two dimensions

    def log_w(x):
        return PAIR.weight(x, sigma, pi).log()

    difference = torch.cat([(log_w(xt + e) - log_w(xt - e)) / (2 * h) for e in h * torch.eye(2, dtype=F64)])
    torch.testing.assert_close(target[0], x0[0] + sigma[0] ** 2 * difference, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("pi", SHARES)
def test_the_outer_weight_is_the_exact_weight(pi):
    x0, noise, sigma = batch(6, 2)
    model = lambda x, s: 0.3 * x  # noqa: E731
    weighted = tiw_dsm(model, x0, noise, sigma, PAIR.log_ratio, pi)
    flat = tiw_dsm(model, x0, noise, sigma, PAIR.log_ratio, pi, use_weight=False)
    torch.testing.assert_close(weighted / flat, PAIR.weight(x0 + sigma[:, None] * noise, sigma, pi))


def test_the_weight_stays_finite_where_the_ratio_does_not():
    log_r = torch.tensor([-1e4, 0.0, 1e4], dtype=F64)
    torch.testing.assert_close(log_weight(log_r, 0.05).exp(), torch.tensor([0.0, 1.0, 20.0], dtype=F64))  # at most 1 / pi
    x0, noise, sigma = batch(3, 2)
    steep = lambda x, s: log_r + 1e4 * x[:, 0]  # noqa: E731
    assert torch.isfinite(tiw_dsm(lambda x, s: x, x0, noise, sigma, steep, 0.05)).all()


@pytest.mark.parametrize("pi", SHARES)
def test_the_minimiser_in_64_dimensions_shaped_like_images(pi):
    """The target is linear in x0 at a fixed xt, so the mean target is the target of E_q[x0 given xt]."""
    pair, generator = joint_skew(), torch.Generator().manual_seed(0)
    sigma = torch.tensor([1.5, 2.0, 3.0, 5.0], dtype=F64)
    xt = pair.biased.sample(4, generator) + sigma[:, None] * torch.randn(4, 64, generator=generator, dtype=F64)
    x0 = pair.mixture(pi).denoised(xt, sigma)
    image = lambda x: x.reshape(-1, 4, 4, 4)  # noqa: E731
    reference = lambda x, s: image(pair.reference.denoised(x.flatten(1), s))  # noqa: E731
    biased = lambda x, s: image(pair.biased.denoised(x.flatten(1), s))  # noqa: E731
    ratio = lambda x, s: pair.log_ratio(x.flatten(1), s)  # noqa: E731
    arguments = (image(x0), image((xt - x0) / sigma[:, None]), sigma, ratio, pi)
    loss = tiw_dsm(reference, *arguments, loss_weight=torch.ones_like)
    assert loss.shape == (4,) and loss.max() < 1e-20
    assert tiw_dsm(biased, *arguments, loss_weight=torch.ones_like).min() > 1e-6


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


def test_every_loss_takes_sigma_data_and_a_loss_weight():
    """lambda = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2, unless another is given."""
    x0, noise, sigma = batch(4, 2)
    model = lambda x, s: 0.3 * x  # noqa: E731
    ones = torch.ones_like(sigma)
    losses = [
        lambda **k: dsm(model, x0, noise, sigma, **k),
        lambda **k: iw_dsm(model, x0, noise, sigma, 2 * ones, **k),
        lambda **k: tiw_dsm(model, x0, noise, sigma, PAIR.log_ratio, 0.05, **k),
    ]
    for loss in losses:
        flat = loss(loss_weight=torch.ones_like)
        torch.testing.assert_close(loss(), flat * (sigma**2 + 0.25) / (0.5 * sigma) ** 2)
        torch.testing.assert_close(loss(sigma_data=2.0), flat * (sigma**2 + 4) / (2 * sigma) ** 2)
        torch.testing.assert_close(loss(loss_weight=lambda s: s**3), flat * sigma**3)


def test_no_gradient_reaches_the_ratio():
    x0, noise, sigma = batch(4, 2)
    a, c = (torch.tensor(1.0, dtype=F64, requires_grad=True) for _ in range(2))
    ratio = lambda x, s: a * PAIR.log_ratio(x, s)  # noqa: E731
    loss = tiw_dsm(lambda x, s: c * x, x0, noise, sigma, ratio, 0.05)
    loss.sum().backward()
    assert a.grad is None and c.grad is not None


def test_gradient_and_value_of_the_exact_ratio():
    xt = torch.tensor([[0.3, -0.2], [1.0, 1.0]], dtype=F64)
    sigma = torch.tensor([0.7, 1.2], dtype=F64)
    found = correction_at(PAIR.log_ratio, xt, sigma)
    torch.testing.assert_close(found.gradient, PAIR.reference.score(xt, sigma) - PAIR.biased.score(xt, sigma))
    torch.testing.assert_close(found.log_r, PAIR.log_ratio(xt, sigma))


@pytest.mark.parametrize("pi", SHARES)
def test_a_correction_knows_the_weight_of_its_share_and_the_weights_gradient(pi):
    """log w and its gradient against the densities themselves, whose score is exact."""
    xt = torch.tensor([[0.3, -0.2], [1.0, 1.0]], dtype=F64)
    sigma = torch.tensor([0.7, 1.2], dtype=F64)
    found = correction_at(PAIR.log_ratio, xt, sigma)
    torch.testing.assert_close(found.log_weight(pi).exp(), PAIR.weight(xt, sigma, pi))
    torch.testing.assert_close(found.weight_gradient(pi), PAIR.reference.score(xt, sigma) - PAIR.mixture(pi).score(xt, sigma))
    torch.testing.assert_close(found.scaled(1.5).gradient, 1.5 * found.gradient)


def test_a_correction_made_before_gives_the_same_loss_with_nothing_else_said():
    x0, noise = torch.randn(2, 6, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    sigma = torch.linspace(0.3, 2.0, 6, dtype=F64)
    xt = x0 + sigma[:, None] * noise
    made = corrected(PAIR.biased.denoised, x0, xt, sigma, correction_at(PAIR.log_ratio, xt, sigma), 0.3)
    torch.testing.assert_close(made, tiw_dsm(PAIR.biased.denoised, x0, noise, sigma, PAIR.log_ratio, 0.3), rtol=1e-12, atol=0)
