"""Labels as text, the same whatever format they came in: a missing one is missing, and an integer has no decimal point."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

# What other programs write where there is no value; pandas reads the same words as missing.
MISSING = frozenset(("", "nan", "NaN", "NAN", "None", "null", "NULL", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaT"))
WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")  # no label needs them, and some cannot be written again
NESTED = (list, tuple, dict, set, np.ndarray)


def text_of(value: object) -> str | None:
    """One label: True and False by name, integers without a point, other text in Unicode's composed form; None where it is missing."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    elif isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    text = " ".join(unicodedata.normalize("NFC", CONTROL.sub(" ", str(value))).split())
    if text in MISSING:
        return None
    if "." in text and WHOLE.fullmatch(text):
        text = text.split(".")[0]
    return "0" if text == "-0" else text


def tidy(labels: pd.DataFrame) -> pd.DataFrame:
    """Labels [N, columns] as `text_of` writes them, every column under a name of its own. Doing it twice changes nothing."""
    columns: dict[str, np.ndarray] = {}
    for k in range(labels.shape[1]):
        name = text_of(labels.columns[k]) or f"column {k + 1}"
        columns[free_name(name, columns)] = _tidy_column(labels.iloc[:, k])
    return pd.DataFrame(columns, dtype=object, index=pd.RangeIndex(len(labels)))


def _tidy_column(values: pd.Series) -> np.ndarray:
    """str or None, object [N]; each different value is looked at once."""
    try:
        codes, known = pd.factorize(values.to_numpy(object))
    except TypeError:  # lists and the like cannot be counted
        codes, known = np.arange(len(values)), values.to_numpy(object)
    texts = np.empty(len(known) + 1, object)
    texts[:-1] = [text_of(value) for value in known]
    texts[-1] = None  # factorize codes what is missing as -1
    return texts[codes]


def free_name(name: str, taken: Iterable[str]) -> str:
    """The name, with a number behind it if it is taken."""
    taken = set(taken)
    return next(n for n in (name, *(f"{name} ({k})" for k in range(2, len(taken) + 3))) if n not in taken)


def from_columns(columns: Mapping[str, Sequence]) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """Labels out of the columns of a table, each of N values, and a sentence about each column that holds none.

    Numbers with fractions are measurements and lists are structure; neither names a group of images.
    """
    kept, unused = {}, {}
    for name, values in columns.items():
        values = pd.Series(list(values) if not isinstance(values, (np.ndarray, pd.Series)) else values)
        why = _no_label(values)
        if why:
            unused.setdefault(why, []).append(str(name))
        else:
            kept[name] = values.to_numpy(object)
    notes = tuple(f"{'Column' if len(names) == 1 else 'Columns'} {listed(names)} {why}." for why, names in unused.items())
    return (tidy(pd.DataFrame(kept, dtype=object)) if kept else None), notes


def _no_label(values: pd.Series) -> str:
    """Why a column names no groups; empty if it does."""
    values = values.to_numpy(object)
    if any(isinstance(value, NESTED) for value in values):
        return "not used as labels: lists, not single values"
    texts = [text for text in map(text_of, pd.unique(values)) if text is not None]
    if not texts:
        return "not used as labels: empty in every row"
    if all(map(NUMBER.fullmatch, texts)) and not all(map(WHOLE.fullmatch, texts)):
        return "not used as labels: numbers with fractions"
    return ""


def in_order(values: Iterable[str]) -> list[str]:
    """Different labels in the order people expect: numbers by value, before words; numbers within words by value too."""

    def key(value: str) -> tuple:
        if NUMBER.fullmatch(value):
            return (0, float(value), value)
        return (1, [(1, "", int(part)) if part.isdecimal() else (0, part, 0) for part in re.split(r"(\d+)", value)], value)

    return sorted(set(values), key=key)


def crossed(labels: pd.DataFrame, joint: str) -> np.ndarray:
    """The values of all columns joined, object [N]; None where one of them is missing."""
    first, *others = (labels.iloc[:, k].to_numpy(object) for k in range(labels.shape[1]))
    missing = labels.isna().any(axis=1).to_numpy()
    for other in others:
        first = np.array([f"{a}{joint}{b}" for a, b in zip(first, other, strict=True)], dtype=object)
    return np.where(missing, None, first)


def missing_notes(labels: pd.DataFrame) -> tuple[str, ...]:
    """A sentence about each column with missing values."""
    gaps = {str(name): int(labels[name].isna().sum()) for name in labels}
    return tuple(f"{n:,} of {len(labels):,} images have no value for {name}." for name, n in gaps.items() if n)


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
