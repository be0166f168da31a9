"""Benchmark splits made from labels: a biased set, a small reference set and a held-out set, disjoint, as lists of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..choices import SPLITS
from ..errors import UserInputError
from .image_set import ImageSet
from .labels import crossed, in_order, tidy

SKEW = 0.9  # share of the images that a skew favours, where no shares are stated
ROLES = ("biased", "reference", "heldout")
JOIN = "/"  # between the values of two attributes: darker/long


@dataclass(frozen=True)
class Split:
    """Rows of one set of images, ascending; no row is in two of them."""

    biased: np.ndarray  # int [N]
    reference: np.ndarray  # int [M]
    heldout: np.ndarray  # int [K]
    shares: dict[str, dict[str, float]]  # of each group, in each of the three


def make_split(
    images: ImageSet | pd.DataFrame | None,
    kind: str,
    attribute: str = "",
    *,
    imbalance: float = 100.0,
    shares: Mapping[str, float] | None = None,
    size: int = 0,
    reference_percent: float = 5.0,
    heldout_percent: float = 10.0,
    reference_shares: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Split:
    """Draw a biased, a reference and a held-out set from labelled images.

    images: a set with attributes, or the attributes alone.
    kind: "long-tail": class i of K keeps n_max * imbalance^(-i / (K - 1)) images, rounded down, the most frequent class first, then by
    name (Cao et al. 2019, CIFAR-10-LT); "skew": `shares` of one attribute, else 90 % for its most frequent value and 10 % for the others
    together; "joint": `shares` of the crossing of two attributes ("darker/long"), else 90 % where the values pair up by frequency.
    attribute: its name, two with a comma for "joint"; empty: the first column(s).
    size: images of the biased set, to within one per group; 0: as many as there can be.
    reference_percent, heldout_percent: sizes in per cent of the biased set; both follow `reference_shares`, even unless stated.
    Raises UserInputError where labels are missing, or where a group has too few images, with the number that it has.
    """
    attributes = images if images is None else images.attributes if isinstance(images, ImageSet) else tidy(images)
    groups = groups_of(attributes, kind, attribute)
    counts = group_counts(groups)
    pair_of = dict(zip(groups, map(tuple, attributes[group_columns(attributes, kind, attribute)].to_numpy(object)), strict=True))
    biased_shares = _biased_shares(kind, pair_of, counts, imbalance, shares)
    even = checked_shares("reference_shares", reference_shares, counts) if reference_shares else _even(counts)
    weights = biased_shares / biased_shares.max()

    def wanted(largest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        biased = np.floor(largest * weights + 1e-9).astype(int)
        sizes = [round(percent / 100 * biased.sum()) for percent in (reference_percent, heldout_percent)]
        return biased, apportion(even, sizes[0]), apportion(even, sizes[1])

    if size:
        largest = round(size * biased_shares.max())
    else:
        low, high = 0, int(counts.max())
        while low < high:  # the largest that leaves enough for the other two
            middle = (low + high + 1) // 2
            low, high = (middle, high) if (sum(wanted(middle)) <= counts.to_numpy()).all() else (low, middle - 1)
        largest = low
    parts = wanted(largest)
    short = np.flatnonzero(sum(parts) > counts.to_numpy())
    if short.size:
        listed = ", ".join(f"{counts.index[g]} has {counts.iloc[g]:,} and needs {sum(parts)[g]:,}" for g in short[:5])
        raise UserInputError("size", f"there are too few images: {listed}", "ask for fewer, or for other shares")
    empty = [counts.index[g] for g in np.flatnonzero((parts[0] == 0) & (biased_shares > 0))]
    if empty:
        found = f"no image of {', '.join(map(str, empty[:5]))} would be left in the biased set"
        raise UserInputError("imbalance" if kind == "long-tail" else "shares", found, "ask for a milder split, or give more images")
    of = {
        role: {str(g): float(k) / max(part.sum(), 1) for g, k in zip(counts.index, part, strict=True)}
        for role, part in zip(ROLES, parts, strict=True)
    }
    return Split(*draw(groups, counts, parts, seed), of)


def parse_shares(text: str, field: str = "shares") -> dict[str, float]:
    """The dict that a text like "darker=10,lighter=90" stands for; empty for an empty text. Raises UserInputError for others."""
    shares = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, number = part.rpartition("=")
        try:
            shares[name.strip()] = float(number)
        except ValueError:
            name = ""
        if not name.strip():
            raise UserInputError(field, f"{part!r} is not a share", "write VALUE=PER CENT, with commas between: darker=10,lighter=90")
    return shares


def apportion(shares: np.ndarray, n: int) -> np.ndarray:
    """`n` whole images in these shares, by largest remainder, int [K]."""
    exact = shares * n
    parts = np.floor(exact + 1e-9).astype(int)
    parts[np.argsort(parts - exact, kind="stable")[: n - parts.sum()]] += 1
    return parts


def group_columns(attributes: pd.DataFrame | None, kind: str, attribute: str) -> list[str]:
    """Names of the columns that a split of this kind is made by. Raises UserInputError where there are too few, or not these."""
    if kind not in SPLITS:
        raise UserInputError("kind", f"it is {kind!r}", f"choose one of {', '.join(SPLITS)}")
    if attributes is None:
        raise UserInputError("data", "the images have no labels", "add class folders, a metadata.csv, or label columns")
    needed = 2 if kind == "joint" else 1
    named = [attribute] if attribute in attributes else [name.strip() for name in attribute.split(",")]
    columns = named if attribute else [str(c) for c in attributes.columns[:needed]]
    unknown = [name for name in columns if name not in attributes]
    if unknown or len(columns) != needed or len(set(columns)) != needed:
        found = f"{attribute!r} does not name {needed} of the attributes {', '.join(map(str, attributes.columns))}"
        raise UserInputError("attribute", found, "name one" if needed == 1 else "name two, with a comma between them")
    return columns


def groups_of(attributes: pd.DataFrame | None, kind: str, attribute: str) -> np.ndarray:
    """The group of every image, object [N]: its value, or both values joined; None where one is missing."""
    return crossed(attributes[group_columns(attributes, kind, attribute)], JOIN)


def group_counts(groups: np.ndarray) -> pd.Series:
    """Images of each group, in order of their names, from each image's group, object [N]; numbers count as numbers.

    Raises UserInputError where no image has one.
    """
    counts = pd.Series(groups, dtype=object).value_counts()
    if counts.empty:
        raise UserInputError("attribute", "no image has a value of it", "choose another")
    return counts.loc[in_order(counts.index)]


def _biased_shares(
    kind: str, pair_of: dict[str, tuple[str, str]], counts: pd.Series, imbalance: float, shares: Mapping[str, float] | None
) -> np.ndarray:
    if len(counts) < 2:
        raise UserInputError("attribute", f"all images are {counts.index[0]!r}", "choose an attribute with two values or more")
    if kind == "long-tail":
        if shares:
            raise UserInputError("shares", "a long tail has none", "leave them out, or choose skew")
        if not 1 <= imbalance < float("inf"):
            raise UserInputError("imbalance", f"it is {imbalance}", "give 1 (even) or more: the largest class over the smallest")
        rank = np.empty(len(counts))
        rank[np.argsort(-counts.to_numpy(), kind="stable")] = np.arange(len(counts))
        weights = imbalance ** (-rank / (len(counts) - 1))
        return weights / weights.sum()
    if shares:
        return checked_shares("shares", shares, counts)
    if kind == "skew":
        favoured = counts.index == counts.idxmax()
    else:
        pairs = [pair_of[name] for name in counts.index]
        ranked = [_by_frequency(counts.groupby([pair[k] for pair in pairs]).sum()) for k in (0, 1)]
        favoured = np.array([ranked[0].index(a) == ranked[1].index(b) for a, b in pairs])
        if favoured.all() or not favoured.any():
            raise UserInputError("attribute", "these two do not cross", "choose others, or state shares")
    return np.where(favoured, SKEW / favoured.sum(), (1 - SKEW) / (~favoured).sum())


def _by_frequency(counts: pd.Series) -> list[str]:
    return list(counts.sort_values(ascending=False, kind="stable").index)


def checked_shares(field: str, shares: Mapping[str, float], counts: pd.Series) -> np.ndarray:
    """Stated shares as fractions [G], in the order of the G groups; groups that are not named get none.

    Raises UserInputError for a group that is not there, and for shares that add up neither to 1 nor to 100.
    """
    unknown = [name for name in shares if name not in counts.index]
    if unknown:
        raise UserInputError(field, f"no image is {unknown[0]!r}", f"the groups are {', '.join(counts.index[:20])}")
    given = np.array([float(shares.get(name, 0)) for name in counts.index])
    total = given.sum()
    if not np.isfinite(given).all() or (given < 0).any() or min(abs(total - 1), abs(total - 100)) > 1e-6 * max(total, 1):
        raise UserInputError(field, f"the shares add up to {total:g}", "let them add up to 1, or to 100 per cent, none below 0")
    return given / total


def _even(counts: pd.Series) -> np.ndarray:
    return np.full(len(counts), 1 / len(counts))


def draw(groups: np.ndarray, counts: pd.Series, parts: tuple[np.ndarray, ...], seed: int) -> list[np.ndarray]:
    """For each part, int [G], so many rows of each group, ascending; parts are disjoint. groups: object [N], as `counts` names them."""
    rng = np.random.default_rng(seed)
    drawn: list[list[np.ndarray]] = [[] for _ in parts]
    for g, name in enumerate(counts.index):
        rows = rng.permutation(np.flatnonzero(groups == name))
        for taken, part in zip(drawn, parts, strict=True):
            taken.append(rows[: part[g]])
            rows = rows[part[g] :]
    return [np.sort(np.concatenate(taken)) for taken in drawn]
