"""Benchmark splits made from labels: a biased set, a small reference set and a held-out set, disjoint, as lists of rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..choices import SPLITS
from ..errors import UserInputError
from .image_set import ImageSet
from .listing import Listing
from .readers import read_listing

SKEW = 0.9  # share of the images that a skew favours, where no shares are stated
ROLES = ("biased", "reference", "heldout")
JOIN = "/"  # between the values of two attributes: darker/long
SCHEMA_VERSION = 1


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
    attributes = images.attributes if isinstance(images, ImageSet) else images
    groups = _groups(attributes, kind, attribute)
    counts = _ordered_counts(groups)
    biased_shares = _biased_shares(kind, groups, counts, imbalance, shares)
    even = _checked("reference_shares", reference_shares, counts) if reference_shares else _even(counts)
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
    return Split(*_draw(groups, counts, parts, seed), of)


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
    """The rows that `reference_from_shares` draws, ascending, int [n]."""
    nested = isinstance(next(iter(shares.values()), None), Mapping)
    if nested and len(shares) != 1:
        raise UserInputError(
            "shares", f"{len(shares)} attributes are named", 'name one, or cross two: {"skin,hair": {"darker/long": 0.25}}'
        )
    attribute, stated = next(iter(shares.items())) if nested else ("", shares)
    groups = _groups(attributes, "joint" if "," in attribute else "skew", attribute)
    counts = _ordered_counts(groups)
    part = apportion(_checked("shares", stated, counts), n)
    short = np.flatnonzero(part > counts.to_numpy())
    if short.size:
        listed = ", ".join(f"{counts.index[g]} has {counts.iloc[g]:,} of {part[g]:,}" for g in short)
        raise UserInputError("shares", f"there are too few images for {n:,} references: {listed}", "ask for fewer, or label more images")
    return _draw(groups, counts, (part,), seed)[0]


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
            raise UserInputError(field, f"{part!r} is no share", "write VALUE=PER CENT, with commas between: darker=10,lighter=90")
    return shares


def apportion(shares: np.ndarray, n: int) -> np.ndarray:
    """`n` whole images in these shares, by largest remainder, int [K]."""
    exact = shares * n
    parts = np.floor(exact + 1e-9).astype(int)
    parts[np.argsort(parts - exact, kind="stable")[: n - parts.sum()]] += 1
    return parts


def write_split(out: Path, data: str | Path, kind: str, attribute: str = "", **how: object) -> dict:
    """Make a split of the images at `data` from their labels alone, no pixel decoded, and leave OUT/biased.json, reference.json and
    heldout.json: where the images lie, a hash of their names and labels, the rows and their labels. `load_images` reads these files.

    Returns the sizes and shares. Raises what `make_split` raises, and UserInputError for a source that is a split itself.
    """
    if str(data).endswith(".json"):
        raise UserInputError("data", f"{data} is a split itself", "name the images that it was made from")
    listing = read_listing(data, "data")
    split = make_split(listing.attributes, kind, attribute, **how)
    columns = _columns(listing.attributes, kind, attribute)
    source = str(data) if str(data).startswith("hub:") else str(Path(data).expanduser().resolve())
    about = {"schema_version": SCHEMA_VERSION, "source": source, "source_images": len(listing), "source_key": listing.key()}
    recipe = {"kind": kind, **{name: dict(value) if isinstance(value, Mapping) else value for name, value in how.items()}}
    for role in ROLES:
        rows = getattr(split, role)
        labels = {name: listing.attributes[name].iloc[rows].tolist() for name in columns}
        made = {**about, "set": role, "recipe": recipe, "shares": split.shares[role], "rows": rows.tolist(), "labels": labels}
        Path(out, f"{role}.json").write_text(json.dumps(made))
    return {"source": source, "attributes": columns, "sizes": {role: len(getattr(split, role)) for role in ROLES}, "shares": split.shares}


def write_rows(out: Path, data: str | Path, rows: np.ndarray) -> None:
    """Leave OUT, a list of some rows of the images at `data` (itself such a list, or any other source), for `load_images` to read."""
    source, rows = data, np.sort(np.asarray(rows, dtype=np.int64))
    if str(data).endswith(".json"):
        made = json.loads(Path(data).read_bytes())
        source, rows = made["source"], np.array(made["rows"], dtype=np.int64)[rows]
    elif not str(data).startswith("hub:"):
        source = Path(data).expanduser().resolve()
    listing = read_listing(source, "data")
    about = {"schema_version": SCHEMA_VERSION, "source": str(source), "source_images": len(listing), "source_key": listing.key()}
    Path(out).write_text(json.dumps({**about, "rows": rows.tolist()}))


def read_rows(path: Path, field: str) -> Listing:
    """The images that a file written by `write_split` names. Raises UserInputError if it is none, or if its source has changed."""
    if not path.is_file():
        raise UserInputError(field, f"{path} does not exist", "check the path")
    try:
        made = json.loads(path.read_bytes())
        source, key, rows = made["source"], made["source_key"], np.array(made["rows"], dtype=np.int64).reshape(-1)
        if made["schema_version"] != SCHEMA_VERSION or not isinstance(source, str) or source.endswith(".json"):
            raise ValueError("of another version")
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise UserInputError(field, f"{path.name} is no list of rows ({error})", "give a file that make-split has written") from error
    listing = read_listing(source, field)
    if (rows.size and (rows.min() < 0 or rows.max() >= len(listing) or (np.diff(rows) <= 0).any())) or listing.key() != key:
        raise UserInputError(field, f"{source} has changed since {path.name} was made", "make the split again")
    return listing.take(rows)


def _columns(attributes: pd.DataFrame | None, kind: str, attribute: str) -> list[str]:
    if kind not in SPLITS:
        raise UserInputError("kind", f"it is {kind!r}", f"choose one of {', '.join(SPLITS)}")
    if attributes is None:
        raise UserInputError("data", "the images have no labels", "add class folders, a metadata.csv, or label columns")
    needed = 2 if kind == "joint" else 1
    columns = [name.strip() for name in attribute.split(",")] if attribute else [str(c) for c in attributes.columns[:needed]]
    unknown = [name for name in columns if name not in attributes]
    if unknown or len(columns) != needed or len(set(columns)) != needed:
        found = f"{attribute!r} does not name {needed} of the attributes {', '.join(map(str, attributes.columns))}"
        raise UserInputError("attribute", found, "name one" if needed == 1 else "name two, with a comma between them")
    return columns


def _groups(attributes: pd.DataFrame | None, kind: str, attribute: str) -> np.ndarray:
    """The group of every image, as text [N]: its value, or both values joined."""
    first, *others = (attributes[name].astype(str).to_numpy(object) for name in _columns(attributes, kind, attribute))
    for other in others:
        first = first + JOIN + other
    return first.astype(str)


def _ordered_counts(groups: np.ndarray) -> pd.Series:
    """Images of each group, in order of their names; numbers count as numbers."""
    values, counts = np.unique(groups, return_counts=True)
    order = sorted(range(len(values)), key=lambda k: (int(values[k]), "") if values[k].isdecimal() else (1 << 62, values[k]))
    return pd.Series(counts[order], index=[str(values[k]) for k in order])


def _biased_shares(kind: str, groups: np.ndarray, counts: pd.Series, imbalance: float, shares: Mapping[str, float] | None) -> np.ndarray:
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
        return _checked("shares", shares, counts)
    if kind == "skew":
        favoured = counts.index == counts.idxmax()
    else:
        pairs = [name.split(JOIN, 1) for name in counts.index]
        ranked = [_by_frequency(counts.groupby([pair[k] for pair in pairs]).sum()) for k in (0, 1)]
        favoured = np.array([ranked[0].index(a) == ranked[1].index(b) for a, b in pairs])
        if favoured.all() or not favoured.any():
            raise UserInputError("attribute", "these two do not cross", "choose others, or state shares")
    return np.where(favoured, SKEW / favoured.sum(), (1 - SKEW) / (~favoured).sum())


def _by_frequency(counts: pd.Series) -> list[str]:
    return list(counts.sort_values(ascending=False, kind="stable").index)


def _checked(field: str, shares: Mapping[str, float], counts: pd.Series) -> np.ndarray:
    """Stated shares as fractions, in the order of the groups; groups that are not named get none."""
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


def _draw(groups: np.ndarray, counts: pd.Series, parts: tuple[np.ndarray, ...], seed: int) -> list[np.ndarray]:
    """For each part, so many rows of each group, ascending; parts are disjoint."""
    rng = np.random.default_rng(seed)
    drawn: list[list[np.ndarray]] = [[] for _ in parts]
    for g, name in enumerate(counts.index):
        rows = rng.permutation(np.flatnonzero(groups == name))
        for taken, part in zip(drawn, parts, strict=True):
            taken.append(rows[: part[g]])
            rows = rows[part[g] :]
    return [np.sort(np.concatenate(taken)) for taken in drawn]
