"""References unlike any biased image: found where they were put in, and not claimed where the sets differ in their shares alone."""

import numpy as np
import pytest
import torch

from tiw.auditing.unlike import unlike_references
from tiw.data import ImageSet
from tiw.ratio.features import RatioFeatures

N_BIASED, N_REFERENCE, F = 1000, 200, 40


class Ratio:
    """The exact ratio of two kinds, 95 : 5 against 50 : 50, at one noise level."""

    sigmas = np.array([0.1])

    def __init__(self, rare):
        self.log_ratio_biased = np.where(rare, np.log(0.5 / 0.05), np.log(0.5 / 0.95))[None]


def drawn(seed, wrong=0):
    """(features of both sets, ratio, reference, its wrong rows): the rare kind lies aside and spreads further."""
    rng = np.random.default_rng(seed)
    rare = [rng.random(n) < share for n, share in ((N_BIASED, 0.05), (N_REFERENCE, 0.5))]
    x = [rng.normal(size=(len(own), F)) * np.where(own, 1.3, 1.0)[:, None] + 6 * own[:, None] * (np.arange(F) == 0) for own in rare]
    rows = np.sort(rng.choice(N_REFERENCE, wrong, replace=False))
    x[1][rows] = rng.normal(size=(wrong, F)) * 3  # of neither kind
    biased, reference = (torch.from_numpy(part).float() for part in x)
    images = ImageSet(np.zeros((N_REFERENCE, 8, 8, 3), np.uint8), sources=np.array([f"{k}.png" for k in range(N_REFERENCE)], object))
    return RatioFeatures(np.arange(N_BIASED), biased[None], reference[None, None], N_BIASED), Ratio(rare[0]), images, rows


def test_sets_that_differ_in_their_shares_alone_have_none():
    named = [unlike_references(*drawn(seed)[:3]) for seed in range(60)]
    assert sum(map(len, named)) <= 2


@pytest.mark.parametrize("wrong", [10, 40])
def test_images_of_another_kind_are_counted_and_named(wrong):
    features, ratio, reference, rows = drawn(0, wrong)
    (found,) = unlike_references(features, ratio, reference)
    assert (found.set, found.kind) == ("reference", "unlike") and wrong <= found.count <= wrong + 4
    assert len(found.examples) == 5 and set(found.examples) <= set(rows)
    assert f"{found.count} of 200 reference images" in found.sentence and f"{found.examples[0]}.png" in found.sentence


def test_a_rare_kind_counts_as_often_as_the_ratio_says():
    """Without the weights the limit would be that of the common kind, and half of the rare kind's references would lie beyond it."""
    features, ratio, reference, _ = drawn(0)
    ratio.log_ratio_biased = np.zeros_like(ratio.log_ratio_biased)
    assert unlike_references(features, ratio, reference)[0].count > 15


def test_of_a_few_biased_images_nothing_is_said():
    """Three copies of one image make a component of their own there, and looked like another kind."""
    features, ratio, reference, _ = drawn(0, 40)
    ratio.log_ratio_biased = ratio.log_ratio_biased[:, :100]
    few = RatioFeatures(np.arange(100), features.biased[:, :100], features.reference, N_BIASED)
    assert unlike_references(few, ratio, reference) == []
