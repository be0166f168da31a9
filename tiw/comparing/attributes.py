"""Which label columns count, and what of them can be used: decided and said before any work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from ..choices import parse_list
from ..data.labels import text_of
from ..errors import UserInputError

FEWEST_OF_VALUE = 5  # labelled images: one for each fold of the cross-validation
MOST_VALUES = 12
MOST_UNNAMED = 2  # attributes that are taken without being named


def parse_attributes(text: str) -> tuple[str, ...]:
    """`skin, hair` as ("skin", "hair")."""
    return parse_list(text)


def chosen(names: Sequence[str], there: Iterable[str], field: str = "attributes") -> tuple[str, ...]:
    """The named ones of the attributes that are there; all if there are one or two and none is named.

    Raises UserInputError where a name is not there, or where there are more than two and none is named.
    """
    there = list(there)
    if missing := [name for name in names if name not in there]:
        raise UserInputError(field, f"there is no {missing[0]!r}", f"choose from {_listed(there)}")
    if not names and len(there) > MOST_UNNAMED:
        found = f"there are {len(there)} ({_listed(there)}) and none is named"
        raise UserInputError(field, found, f"name those that count, for instance {','.join(there[:2])}")
    return tuple(names) or tuple(there)


def usable_labels(labels: pd.DataFrame | None, names: Sequence[str] = (), source: str = "the set") -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(labels [N, attributes] as text with None where missing or too rare, what was done to them in sentences).

    Of `names`, or of every column that can be used. A column of more than 12 whole numbers is split at its median. Values with fewer than
    five images are left out. Raises UserInputError where nothing can be used, and where a named column cannot.
    """
    if labels is None or not len(labels.columns):
        raise UserInputError("labels", f"{source} has no label columns", "add a metadata.csv, class folders or label columns")
    columns = chosen(names, labels.columns) if names else tuple(labels.columns)
    kept, notes, unused = {}, [], []
    for name in columns:
        values, done, why = _column(str(name), labels[name])
        if not why:
            kept[name] = values
            notes += done
        elif names:
            raise UserInputError("labels", why, "give images of every value, or choose another attribute")
        else:
            unused.append(why)
    if not kept:
        raise UserInputError("labels", "; ".join(unused[:3]), "give at least five labelled images of each of two or more values")
    if not names:
        chosen((), kept)
        notes += [f"Not used: {why}." for why in unused]
    return pd.DataFrame(kept, dtype=object), tuple(notes)


def _column(name: str, column: pd.Series) -> tuple[np.ndarray, list[str], str]:
    """(text or None [N], what was done, why it cannot be used or nothing)."""
    values = np.array([None if pd.isna(v) else text_of(v) for v in column], object)
    there = values != None  # noqa: E711  (elementwise)
    different = pd.unique(values[there])
    notes = []
    if len(different) == 1:
        return values, notes, f"every image has {name} = {different[0]!r}"
    numbers = pd.to_numeric(pd.Series(different, dtype=object), errors="coerce")
    if len(different) > MOST_VALUES and len(different) == there.sum():
        return values, notes, f"{name} has another value for every image, as names and numbers of files do"
    if len(different) > MOST_VALUES and numbers.notna().all():
        amount = pd.to_numeric(pd.Series(values)).to_numpy(float)
        middle = float(np.median(amount[there]))
        values = np.where(there, np.where(amount < middle, f"below {middle:g}", f"{middle:g} or more"), None)
        notes.append(f"{name} holds {len(different)} numbers and was split at its median, {middle:g}.")
    counts = pd.Series(values[there]).value_counts()
    if (~there).any():
        notes.append(f"{name} is missing for {(~there).sum():,} of {len(values):,} images, which are left out.")
    rare = counts[counts < FEWEST_OF_VALUE]
    if len(rare):
        values = np.where(pd.Series(values, dtype=object).isin(rare.index), None, values)
        listed = _listed([f"{value} ({n})" for value, n in rare.items()])
        notes.append(f"Values of {name} with fewer than {FEWEST_OF_VALUE} images are left out: {listed}.")
    left = len(counts) - len(rare)
    if left < 2:
        return values, notes, f"{name} has {left} value(s) with at least {FEWEST_OF_VALUE} labelled images, of {len(counts)} in all"
    if left > MOST_VALUES:
        return values, notes, f"{name} has {left} values, more than {MOST_VALUES}"
    return values, notes, ""


def crossings(classes: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """The names of every pair of attributes, and of all together where there are more than two: `skin x hair` -> (skin, hair)."""
    names = list(classes)
    crossed = [*combinations(names, 2), *([tuple(names)] if len(names) > 2 else [])]
    return {" x ".join(parts): parts for parts in crossed}


def crossed_classes(classes: dict[str, list[str]]) -> dict[str, list[str]]:
    """The attributes and their crossings with all possible values, `lighter-long`; the last one holds all attributes."""
    every = {name: list(values) for name, values in classes.items()}
    for name, parts in crossings(classes).items():
        combined = [""]
        for part in parts:
            combined = [f"{before}-{value}" if before else value for before in combined for value in classes[part]]
        every[name] = combined
    return every


def codes(labels: pd.DataFrame, classes: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """Place of each image's value among the classes of every attribute and crossing, int [N]; -1 where it is missing."""
    found = {name: pd.Categorical(labels[name], categories=values).codes.astype(int) for name, values in classes.items()}
    for name, parts in crossings(classes).items():
        place = np.zeros(len(labels), int)
        known = np.ones(len(labels), bool)
        for part in parts:
            place = place * len(classes[part]) + found[part]
            known &= found[part] >= 0
        found[name] = np.where(known, place, -1)
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(str, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
