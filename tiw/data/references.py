"""A reference set out of a larger one: so many of its images, or images in stated shares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..errors import UserInputError
from .image_set import ImageSet
from .splits import apportion, checked_shares, draw, group_counts, groups_of


def choose_references(images: ImageSet, n: int, seed: int = 0) -> ImageSet:
    """`n` of the images, each as likely as any other, in the shares of their labels as nearly as that number allows; 0: all.

    A systematic sample (Madow 1949) of the images in order of their labels, those with few values first, and at random among equals: every
    (N / n)-th from a random start. Rows stay in their order. Raises UserInputError when more are asked for than there are.
    """
    if not 0 <= n <= len(images):
        raise UserInputError("references", f"{n:,} were asked for, the set has {len(images):,}", "choose a smaller number, or 0 for all")
    if n in (0, len(images)):
        return images
    rng = np.random.default_rng([seed, *b"references"])
    order = rng.permutation(len(images))
    if images.attributes is not None:
        codes = [pd.factorize(images.attributes[name], sort=True)[0] for name in images.attributes]
        codes.sort(key=lambda values: len(np.unique(values)))
        order = order[np.lexsort([values[order] for values in reversed(codes)])]
    places = np.floor((rng.random() + np.arange(n)) * len(images) / n).astype(int)
    return images.take(np.sort(order[np.minimum(places, len(images) - 1)]))


def reference_from_shares(
    images: ImageSet, shares: Mapping[str, Mapping[str, float]] | Mapping[str, float], n: int, seed: int = 0
) -> ImageSet:
    """A reference set of `n` images drawn from labelled ones to stated shares.

    shares: {"skin": {"darker": 0.5, "lighter": 0.5}}, or {"skin,hair": {"darker/long": 0.25, ...}} for a crossing; with one attribute
    in the set its values alone are enough. Shares add up to 1 or to 100. Raises UserInputError naming how many images a group has where
    it has too few.
    """
    return images.take(reference_rows(images.attributes, shares, n, seed))


def reference_rows(
    attributes: pd.DataFrame | None, shares: Mapping[str, Mapping[str, float]] | Mapping[str, float], n: int, seed: int = 0
) -> np.ndarray:
    """The rows that `reference_from_shares` draws, ascending, int [n]. Raises UserInputError as that does."""
    nested = isinstance(next(iter(shares.values()), None), Mapping)
    if nested and len(shares) != 1:
        raise UserInputError(
            "shares", f"{len(shares)} attributes are named", 'name one, or cross two: {"skin,hair": {"darker/long": 0.25}}'
        )
    attribute, stated = next(iter(shares.items())) if nested else ("", shares)
    crossing = "," in attribute and (attributes is None or attribute not in attributes)
    groups = groups_of(attributes, "joint" if crossing else "skew", attribute)
    counts = group_counts(groups)
    if not 1 <= n <= len(groups):
        found = f"{n:,}"[:40] + f" images were asked for, the set has {len(groups):,}"
        raise UserInputError("count", found, f"ask for 1 to {len(groups):,}")
    part = apportion(checked_shares("shares", stated, counts), n)
    short = np.flatnonzero(part > counts.to_numpy())
    if short.size:
        listed = ", ".join(f"{counts.index[g]} has {counts.iloc[g]:,} of {part[g]:,}" for g in short)
        raise UserInputError("shares", f"there are too few images for {n:,} references: {listed}", "ask for fewer, or label more images")
    return draw(groups, counts, (part,), seed)[0]
