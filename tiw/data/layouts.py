"""Data sets in the layout in which they are downloaded: EDM's, CelebA, FairFace, UTKFace."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from ..errors import UserInputError
from .decode import BadImage
from .labels import from_columns
from .listing import Listing, refuse_missing
from .metadata import read_plain_table as read_table
from .trees import Tree

CELEBA = ("list_attr_celeba.txt", "list_attr_celeba.csv")
FAIRFACE = ("age", "gender", "race")
MANY_TABLES = 20  # more CSV files than this belong to something else
DEEPEST = 4  # parts of a file's name in such a table
UTK = re.compile(r"(\d{1,3})_([01])_([0-4])_\d{8,17}\.jpe?g(\.chip\.jpg)?")
UTK_GENDERS = ("male", "female")
UTK_RACES = ("White", "Black", "Asian", "Indian", "Others")  # as its authors code 0 to 4
AGES = {0: "0-2", 3: "3-9", **{a: f"{a}-{a + 9}" for a in range(10, 70, 10)}, 70: "more than 70"}  # FairFace's bands, by their first year


def from_edm(tree: Tree, field: str) -> Listing | None:
    """A folder or zip of EDM's dataset_tool: 00000/img00000000.png, and dataset.json with {"labels": [[name, class], ...]} or null.

    None where there is no such file. Raises UserInputError for one that is damaged, names images that are missing, or leaves some out.
    """
    index = tree.named("dataset.json")
    if index is None:
        return None
    try:
        about = json.loads(tree.load(index, field))
        labels = about.get("labels", about)
        if labels is about:
            return None  # another program's
        pairs = None if labels is None else [(str(name), label) for name, label in labels]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        fix = 'write {"labels": [[name, class], ...]} or {"labels": null}'
        raise UserInputError(field, f"{index} cannot be read ({error})", fix) from error
    folder = PurePosixPath(index).parent
    names = tree.images()
    if not names:
        raise UserInputError(field, f"{tree.where} holds no image", "make it again with EDM's dataset_tool")
    if pairs is None:
        return tree.listing(names, None, used=(index,))
    classes = {(folder / name).as_posix(): label for name, label in pairs}
    refuse_missing(field, index, [n for n in classes if n not in tree.files])
    _refuse_unlabelled(field, index, [n for n in names if n not in classes])
    attributes, notes = from_columns({"label": [classes[n] for n in names]})
    return tree.listing(names, attributes, notes=notes, used=(index,))


def from_celeba(tree: Tree, field: str) -> Listing | None:
    """img_align_celeba (folder or zip) with list_attr_celeba.txt, or Kaggle's .csv, in it, beside it or in Anno/; values yes and no.

    None where there is no such table. Raises UserInputError for one that is damaged or does not list every image once.
    """
    name = tree.named(*CELEBA)
    if name is not None:
        raw = tree.load(name, field)
    elif beside := _celeba_beside(tree.path):
        name, raw = beside[0].name, beside[0].read_bytes()
    else:
        return None
    table = _celeba_csv(name, raw, field) if name.endswith(".csv") else _celeba_txt(name, raw, field)
    strange = ~table.isin(["-1", "1"]).to_numpy()
    if strange.any():
        row, column = np.argwhere(strange)[0]
        found = f"{name} has {table.iat[row, column]!r} for {table.columns[column]} of {table.index[row]}"
        raise UserInputError(field, found, "give 1 or -1")
    images = tree.images()
    aligned = [n for n in images if "img_align_celeba" in n.split("/")[:-1]] or images
    _refuse_empty(field, tree, aligned)
    basenames = [n.rsplit("/", 1)[-1] for n in aligned]
    known = table.index
    _refuse_unlabelled(field, name, [n for n, there in zip(aligned, np.isin(basenames, known.to_numpy(str)), strict=True) if not there])
    if not known.is_unique:
        raise UserInputError(field, f"{name} lists {known[known.duplicated()][0]} twice", "download it again")
    labels = table.loc[basenames].replace({"-1": "no", "1": "yes"}).reset_index(drop=True)
    left_out = tuple(BadImage(n, "not in the table", "it lies outside img_align_celeba") for n in sorted(set(images) - set(aligned)))
    return replace(tree.listing(aligned, labels, used=(name,)), left_out=left_out)


def _celeba_csv(name: str, raw: bytes, field: str) -> pd.DataFrame:
    table = read_table(field, name, raw)
    if "image_id" not in table:
        raise UserInputError(field, f"{name} has no column image_id", "download it again")
    return table.set_index("image_id")


def _celeba_txt(name: str, raw: bytes, field: str) -> pd.DataFrame:
    """The number of images, the names of the attributes, then a line per image."""
    count, _, rest = raw.partition(b"\n")
    header, _, rows = rest.partition(b"\n")
    names = header.decode("utf-8", "replace").split()
    said = count.decode("utf-8", "replace").strip()
    table = read_table(field, name, rows, sep=r"\s+", header=None, names=["image_id", *names]) if rows.strip() else pd.DataFrame()
    if said != str(len(table)) or not len(table):
        raise UserInputError(field, f"{name} announces {said[:20]!r} images and lists {len(table):,}", "download it again")
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus values for an index
        raise UserInputError(field, f"{name} has rows longer than its header", "download it again")
    return table.set_index("image_id")


def tables_beside(path: Path) -> list[Path]:
    """The tables outside a folder or zip of images that may hold their labels."""
    return [*_celeba_beside(path), *_fairface_beside(path)]


def _celeba_beside(path: Path) -> list[Path]:
    """The first of them is read."""
    places = (path.parent, path.parent / "Anno", path.parent.parent / "Anno") if "celeba" in path.name.lower() else ()
    return [place / name for place in places for name in CELEBA if (place / name).is_file()]


def _fairface_beside(path: Path) -> list[Path]:
    """All of them are read."""
    ours = "fairface" in path.name.lower() or path.name in ("train", "val")
    return sorted(path.parent.glob("fairface_label_*.csv")) if ours else []


def from_fairface(tree: Tree, field: str) -> Listing | None:
    """Images of train/ and val/ with fairface_label_train.csv and _val.csv, in the folder or beside it; any CSV with these columns."""
    names = sorted(n for n in tree.files if n.lower().endswith(".csv") and n.count("/") < 2)
    tables = {n: tree.load(n, field) for n in names} if len(names) <= MANY_TABLES else {}
    tables = tables or {p.name: p.read_bytes() for p in _fairface_beside(tree.path)}
    tables = {n: raw for n, raw in tables.items() if {"file", *FAIRFACE} <= set(_header(raw))}
    if not tables:
        return None
    images = tree.images()
    _refuse_empty(field, tree, images)
    rooted = {f"{tree.path.stem}/{n}": n for n in images}  # the folder given may be train/ itself
    chosen: dict[str, tuple[str, ...]] = {}
    for name, raw in tables.items():
        table = read_table(field, name, raw)
        depths = {min(f.count("/") + 1, DEEPEST) for f in table["file"]}
        there = {"/".join(r.split("/")[-depth:]): n for depth in depths for r, n in rooted.items()}
        here = {PurePosixPath(f).parent for f in there}
        table = table[[PurePosixPath(f).parent in here for f in table["file"]]]  # train's rows say nothing of a folder with val only
        refuse_missing(field, name, [n for n in table["file"] if n not in there])
        for file, *labels in table[["file", *FAIRFACE]].itertuples(index=False):
            chosen[there[file]] = tuple(labels)
    _refuse_unlabelled(field, " and ".join(tables), [n for n in images if n not in chosen])
    labels = pd.DataFrame([chosen[n] for n in images], columns=list(FAIRFACE))
    return tree.listing(images, labels, used=tuple(tables))


def _header(raw: bytes) -> list[str]:
    return [column.strip().strip('"') for column in raw[:4096].decode("utf-8-sig", "replace").split("\n")[0].split(",")]


def from_utkface(tree: Tree, field: str) -> Listing | None:
    """Labels in the file names, age_gender_race_date.jpg or .jpg.chip.jpg; the set's few malformed names count as bad images."""
    names = tree.images()
    parsed = {n: UTK.fullmatch(n.rsplit("/", 1)[-1]) for n in names}
    if 2 * sum(match is not None for match in parsed.values()) < max(len(names), 1):
        return None
    good = [n for n in names if parsed[n]]
    why = "no age_gender_race_date.jpg"
    bad = tuple(BadImage(n, "malformed name", why) for n in names if not parsed[n])
    fields = [tuple(map(int, parsed[n].groups()[:3])) for n in good]
    labels = {
        "age": [AGES[max(first for first in AGES if first <= age)] for age, _, _ in fields],
        "gender": [UTK_GENDERS[gender] for _, gender, _ in fields],
        "race": [UTK_RACES[race] for _, _, race in fields],
    }
    return tree.listing(good, pd.DataFrame(labels), bad)


def _refuse_empty(field: str, tree: Tree, images: list[str]) -> None:
    if not images:
        raise UserInputError(field, f"{tree.where} holds labels but no image", "unpack the images beside them")


def _refuse_unlabelled(field: str, name: str, without: list[str]) -> None:
    if without:
        found = f"{name} has no row for {len(without):,} image(s), for instance {without[0]!r}"
        raise UserInputError(field, found, "add the rows or remove the images")
