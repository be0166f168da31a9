"""The strength: a projection in closed form."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tiw.data import ImageSet
from tiw.debiasing import strength
from tiw.debiasing.strength import BEYOND, FADE, FEW, StrengthMatch, _nearest, gap_closed, match_strength
from tiw.intervals import Estimate
from tiw.model.noise import to_images
from tiw.model.sampling import labels_like, sample
from tiw.ratio.density_ratio import fit_density_ratio
from tiw.ratio.features import RatioConfig
from tiw.toys import GaussianMixture

Q, FOLDS = 12, 5
FADED = np.exp(-np.arange(Q) / FADE)


def ratio_of(rng: np.random.Generator, delta: np.ndarray, n: int) -> SimpleNamespace:
    """All of a ratio that the projection reads: the biased set at the origin, n references N(delta, I)."""
    folds = torch.arange(n) % FOLDS
    references = torch.from_numpy(delta + rng.standard_normal((n, Q)))
    return SimpleNamespace(gap_reference=references, gap_biased=torch.zeros(FOLDS, Q), folds=folds)


def moved_by(rng: np.random.Generator, step: np.ndarray) -> list[np.ndarray]:
    """What guidance adds to 40 samples of each fold: `step` on average."""
    return [step + 0.7 * rng.standard_normal((40, Q)) for _ in range(FOLDS)]


@pytest.mark.parametrize("astray", [0.0, 0.6])
def test_the_nearest_point_of_a_line_is_the_projection_however_few_the_references(astray):
    """Movement in the right direction wants 1 over its size; movement astray shortens it by <m, delta> / <m, m>. No bias from noise."""
    delta, step = np.zeros(Q), np.zeros(Q)
    delta[:2], step[:2], step[5] = 0.6, 0.4, astray
    truth = (FADED * step * delta).sum() / (FADED * step * step).sum()
    rng = np.random.default_rng(0)
    found = [_nearest(ratio_of(rng, delta, 50), moved_by(rng, step), seed) for seed in range(40)]
    values = np.array([value for value, _ in found])
    assert abs(values.mean() / truth - 1) < 3 * values.std() / truth / len(values) ** 0.5 + 0.02
    covered = np.mean([low <= truth <= high for _, (low, high) in found])
    assert 0.8 <= covered <= 1.0


@pytest.mark.parametrize("images_a_fold", [50.0, 1e9])
@pytest.mark.parametrize("closed", [-0.5, 0.0, 0.5, 1.0, 1.4])
def test_the_meter_reads_how_far_samples_have_gone(closed, images_a_fold, monkeypatch):
    """Samples N(closed * delta, I) between biased images at the origin and references N(delta, I), with an interval as narrow as it can be.

    By the delta method the reading varies with the samples' mean, by `closed` with the references', and by 1 - `closed` with the biased
    images', each along the weighted delta.
    """
    monkeypatch.setattr(strength, "in_gap_components", lambda ratio, images, labels, seed: images)
    rng, delta, n = np.random.default_rng(3), np.linspace(1, 0.2, Q), 1500
    ratio = ratio_of(rng, delta, n)
    ratio.gap_counts = torch.full((FOLDS,), images_a_fold)
    found = strength.gap_closed(ratio, closed * delta + rng.standard_normal((n, Q)))
    along = FADED * delta / (FADED * delta * delta).sum()  # gap = <mean, along> at the truth
    drawn = (1 + closed**2) / n
    spread = (along @ along * drawn) ** 0.5
    assert abs(found.value - closed) < 4 * spread
    assert found.interval[0] < closed < found.interval[1]
    wide = (along @ along * (drawn + (1 - closed) ** 2 / (FOLDS * images_a_fold))) ** 0.5
    assert found.interval[1] - found.interval[0] == pytest.approx(2 * 1.96 * wide, rel=0.25)


def test_samples_of_each_fold_are_measured_against_the_references_of_that_fold(monkeypatch):
    """Half of the folds stand at 0 and half at 1; whose samples they are is told by `folds`, in any order."""
    monkeypatch.setattr(strength, "in_gap_components", lambda ratio, images, labels, seed: images)
    rng, delta = np.random.default_rng(4), np.linspace(1, 0.2, Q)
    ratio = ratio_of(rng, delta, 1500)
    ratio.gap_counts = torch.full((FOLDS,), 1e9)
    folds = rng.permutation(np.arange(1000) % FOLDS)
    samples = (folds < 2)[:, None] * delta + 0.1 * rng.standard_normal((1000, Q))
    assert strength.gap_closed(ratio, samples, folds=folds).value == pytest.approx(2 / FOLDS, abs=0.05)


def test_without_movement_or_towards_the_other_side_the_strength_is_nought():
    rng, delta = np.random.default_rng(1), np.eye(Q)[0]
    assert _nearest(ratio_of(rng, delta, 200), [np.zeros((10, Q))] * FOLDS, 0)[0] == 0.0
    assert _nearest(ratio_of(rng, delta, 200), moved_by(rng, -delta), 0)[0] < 0  # clipped to nought by match_strength


def test_the_gap_is_closed_at_the_matched_strength_and_open_at_the_baseline():
    match = StrengthMatch(1.8, None, ((0.0, 0.05), (1.5, 0.95)))
    at_matched = 0.05 + 0.9 * 1.8 / 1.5
    for reading, closed in ((0.05, 0.0), (at_matched, 1.0), ((0.05 + at_matched) / 2, 0.5)):
        found = match.closed(Estimate(reading, (reading - 0.1, reading + 0.1)))
        assert found.value == pytest.approx(closed)
        assert np.diff(found.interval) == pytest.approx(0.2 / (at_matched - 0.05))
    unlike = StrengthMatch(1.5, None, ((0.0, 0.4), (1.5, 1.1)))  # a baseline whose shares are not the biased set's is ahead already
    assert unlike.closed(Estimate(0.4, (0.3, 0.5))).value == pytest.approx(0.25 / 0.95)
    assert unlike.closed(Estimate(0.4, (-1.5, 2.0))) is None  # neither "nothing" nor "all" nor "twice as much" is ruled out


SHAPE = (3, 16, 16)
LIGHTS = torch.tensor([[-0.5, 0.1], [-0.1, 0.5]])  # dark and bright, of each class: the second is the lighter one altogether


class TwoClasses:
    """A class-conditional model in closed form: each class is dark or bright, `bright` of it bright."""

    shape, device, sigma_max, classes = SHAPE, torch.device("cpu"), 80.0, 2

    def __init__(self, bright: float, labels: torch.Tensor | None = None):
        self.bright, self.labels = bright, labels
        weights, stds = torch.tensor([1 - bright, bright]), torch.tensor([0.2, 0.2])
        self.mixtures = [GaussianMixture(weights, lights[:, None].expand(2, 768), stds) for lights in LIGHTS]

    def given(self, labels):
        return TwoClasses(self.bright, labels)

    def _own(self, of_class):
        """Of [2, B, ...] the row of each one's class."""
        return of_class[self.labels, torch.arange(len(self.labels))]

    def __call__(self, xt, sigma):
        return self._own(torch.stack([m.denoised(xt.flatten(1), sigma) for m in self.mixtures])).reshape(xt.shape)

    def features(self, xt, sigma):
        odds = [m._log_components(xt.flatten(1), sigma).diff(dim=1)[:, 0] for m in self.mixtures]
        light = torch.tanh(self._own(torch.stack(odds)) / 2)
        return torch.stack([light, xt.mean((1, 2, 3)) / (sigma**2 + 1).sqrt(), self.labels.float()], 1)

    def images(self, n, second, seed):
        """`second` of them are of the second class."""
        generator = torch.Generator().manual_seed(seed)
        labels = (torch.rand(n, generator=generator) < second).long()
        drawn = self.given(labels)._own(torch.stack([m.sample(n, generator) for m in self.mixtures]))
        return ImageSet(to_images(drawn.reshape(n, *SHAPE)), labels=labels.numpy())


def test_a_class_conditional_model_is_matched_within_its_classes():
    """A tenth of the biased images and half of the references are of the lighter class, which no model changes: what counts is how many
    of either class are bright, 20 and 60 %."""
    model, reference = TwoClasses(0.2), TwoClasses(0.6).images(200, 0.5, 1)
    biased = model.images(800, 0.1, 0)
    ratio = fit_density_ratio(biased, reference, model, RatioConfig(sigmas=(0.1, 0.5, 2.0, 8.0)))
    for images, truth in ((model.images(2000, 0.5, 5), 0.0), (TwoClasses(0.6).images(2000, 0.5, 6), 1.0)):
        found = gap_closed(ratio, images.images, labels=images.labels)
        assert found.interval[0] < truth < found.interval[1] and abs(found.value - truth) < 0.15
    match = match_strength(model, ratio, biased, reference)
    nearest = match.strength / (BEYOND + FEW / len(reference))
    labels = labels_like(reference.labels, range(400))
    images = sample(model, range(400), guidance=ratio, strength=nearest, labels=labels)
    bright = images.mean((1, 2, 3)) / 127.5 - 1 > LIGHTS.mean(1).numpy()[labels]
    assert abs(bright.mean() - 0.6) < 0.1  # 0.025 standard error, and that of the strength
    assert abs(labels.mean() - reference.labels.mean()) < 4 * 0.5 / 20
