"""Reference images unlike any biased image: of another kind, put in by mistake, or rightly there and missing from the biased set."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import binom

from ..data import ImageSet, Problem
from ..data.checks import EXAMPLES
from ..ratio.density_ratio import DensityRatio, whitening
from ..ratio.features import RatioFeatures, clear_level

FEWEST = 200  # biased images: of fewer nobody knows what is usual
BEYOND = 3.0  # standard deviations above the mean distance
BY_CHANCE = 0.01, 0.001  # so large a share of the references may lie beyond that for no reason; how rarely chance then names any


def unlike_references(features: RatioFeatures, ratio: DensityRatio, reference: ImageSet, seed: int = 0) -> list[Problem]:
    """The references whose nearest biased image is too far away, farthest first.

    Empty if there are no more than chance would give, and for fewer than FEWEST scored images.

    Too far: beyond the usual distances of the biased images from their nearest neighbours. These count by the ratio, so that a rare kind,
    whose neighbours are few, counts as often as in the reference. Distances are Euclidean in whitened principal components of
    both sets together.
    """
    if len(features.scored) < FEWEST:
        return []
    level = clear_level(ratio.sigmas)
    both = torch.cat([features.biased[level], features.reference[level, 0]])  # what is new in the reference has components of its own
    own, theirs = (both @ whitening(both, seed)).split([len(features.scored), len(reference)])
    to_others = torch.cdist(own, own).fill_diagonal_(torch.inf).amin(1).numpy()
    from_reference = torch.cdist(theirs, own).amin(1).numpy()
    weight = np.exp(ratio.log_ratio_biased[level].astype(np.float64))
    usual = np.average(to_others, weights=weight)
    spread = np.sqrt(np.average((to_others - usual) ** 2, weights=weight))
    rows = np.flatnonzero(from_reference > usual + BEYOND * spread)
    share, error = BY_CHANCE
    if len(rows) <= binom.isf(error, len(reference), share):
        return []
    shown = rows[np.argsort(-from_reference[rows], kind="stable")][:EXAMPLES]
    sentence = (
        f"{len(rows):,} of {len(reference):,} reference images look unlike all {len(own):,} biased images that were compared, for instance "
        f"{', '.join(reference.sources[shown])}. Remove them if they are there by mistake. "
        "If they belong there, the biased set may lack their kind."
    )
    return [Problem("reference", "unlike", len(rows), tuple(map(int, shown)), sentence)]
