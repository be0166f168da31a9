"""Is the baseline a model of the biased set? Closed-form models of image sets whose overlap is known."""

import numpy as np
import pytest
import torch

from tiw.data import ImageSet
from tiw.debiasing.baseline_check import check_baseline, check_training
from tiw.model.noise import to_images
from tiw.toys import GaussianMixture

SHAPE = (3, 16, 16)


class TwoKinds:
    """Dark and bright images, far apart, `bright` of them bright; exactly denoised."""

    shape, device, sigma_max, classes = SHAPE, torch.device("cpu"), 80.0, 0

    def __init__(self, bright: float):
        means = torch.tensor([[-0.4], [0.4]]).expand(2, 768)
        self.mixture = GaussianMixture(torch.tensor([1 - bright, bright]), means, torch.tensor([0.1, 0.1]))

    def __call__(self, xt, sigma):
        return self.mixture.denoised(xt.flatten(1), sigma).reshape(xt.shape)

    def images(self, n):
        return to_images(self.mixture.sample(n, torch.Generator().manual_seed(0)).reshape(n, *SHAPE))


@pytest.mark.parametrize("bright", [0.2, 0.6, 0.9])
def test_two_kinds_apart_give_half_and_half_the_difference_of_their_shares(bright):
    """The best discriminator sees the kind and nothing else: AUC = 1/2 + (p - q) / 2."""
    biased = ImageSet(TwoKinds(0.2).images(600))
    check = check_baseline(TwoKinds(bright), biased)
    assert abs(check.auc - (0.5 + (bright - 0.2) / 2)) < 0.07  # 0.023 standard error, the odds of ties, and 12 steps of a solver
    assert check.differs == (bright > 0.2)
    assert (check.n, check.n_biased) == (240, 480) and ("train" in check.sentence) == check.differs
    assert f"{check.auc:.2f}" in check.sentence and "240 samples" in check.sentence


def test_noise_is_told_from_images_and_the_same_seed_gives_the_same():
    biased = ImageSet(np.random.default_rng(0).integers(0, 60, (60, 16, 16, 3), dtype=np.uint8))
    done = []
    first = check_baseline(TwoKinds(0.5), biased, count=40, on_progress=lambda *a: done.append(a))
    assert first.differs and first.auc > 0.95 and done[-1] == (40, 40)
    assert first == check_baseline(TwoKinds(0.5), biased, count=40)


@pytest.mark.parametrize(
    ("halfway", "trained", "differs", "falling", "said"),
    [
        (0.9, 0.2, False, True, "ready to debias"),
        (0.9, 0.55, True, True, "It still falls, so train longer"),  # AUC 0.85, then 0.68
        (0.9, 0.9, True, False, "may help more than time"),
        (None, 0.9, True, None, "trained too little to debias"),
    ],
)
def test_a_baseline_trained_too_little_is_told_and_whether_time_would_help(halfway, trained, differs, falling, said):
    before = None if halfway is None else TwoKinds(halfway)
    found = check_training(TwoKinds(trained), before, ImageSet(TwoKinds(0.2).images(600)))
    assert found.check.differs == differs and found.falling == falling and said in found.sentence
    assert f"{found.check.auc:.2f} [{found.check.interval[0]:.2f}" in found.sentence and "240 samples" in found.sentence
    assert (found.halfway is None) == (halfway is None)
