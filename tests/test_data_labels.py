"""Labels are the same in every format; classes come in the order of their numbers; references are drawn in their shares."""

import io
import json
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tiw.data import (
    ImageSet,
    choose_references,
    load_images,
    load_set,
    make_split,
    with_classes,
    write_npz,
    write_parquet,
)
from tiw.data.labels import crossed, from_columns, in_order, text_of, tidy
from tiw.errors import UserInputError


def png(k):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (k, 2 * k, 9)).save(out, "PNG")
    return out.getvalue()


SEX, AGE, GLASSES = ["f", "m", None, "f"], [1, 2, None, 10], [True, None, False, True]
WANTED = {"sex": ["f", "m", None, "f"], "age": ["1", "2", None, "10"], "glasses": ["True", None, "False", "True"]}


def as_parquet(path):
    images = [{"bytes": png(k), "path": None} for k in range(4)]
    pq.write_table(pa.table({"image": images, "sex": SEX, "age": AGE, "glasses": GLASSES}), path / "a.parquet")
    return path / "a.parquet"


def as_pandas_parquet(path):
    """An integer column with a gap is one of floats in pandas."""
    table = pd.DataFrame({"image": [png(k) for k in range(4)], "sex": SEX, "age": AGE, "glasses": GLASSES})
    assert table["age"].dtype == float
    table.to_parquet(path / "a.parquet")
    return path / "a.parquet"


def folder(path):
    (path / "set").mkdir()
    for k in range(4):
        (path / "set" / f"{k}.png").write_bytes(png(k))
    return path / "set"


def as_csv(path):
    table = pd.DataFrame({"file_name": [f"{k}.png" for k in range(4)], "sex": SEX, "age": AGE, "glasses": GLASSES})
    table.to_csv(folder(path) / "metadata.csv", index=False)
    return path / "set"


def as_jsonl(path):
    rows = [{"file_name": f"{k}.png", "sex": SEX[k], "age": AGE[k], "glasses": GLASSES[k]} for k in range(4)]
    rows[2].pop("age")  # absent instead of null
    (folder(path) / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path / "set"


def as_npz(path):
    images = np.stack([np.asarray(Image.open(io.BytesIO(png(k)))) for k in range(4)])
    arrays = {"sex": np.array(SEX).astype(str), "age": np.array(AGE, float), "glasses": np.array(GLASSES).astype(str)}
    np.savez(path / "a.npz", images=images, **arrays)
    return path / "a.npz"


FORMATS = [as_parquet, as_pandas_parquet, as_csv, as_jsonl, as_npz]


@pytest.mark.parametrize("write", FORMATS)
def test_missing_labels_and_whole_numbers_are_the_same_in_every_format(write, tmp_path):
    found = load_images(write(tmp_path))
    assert found.attributes[list(WANTED)].to_dict("list") == WANTED
    assert {f"1 of 4 images have no value for {name}." for name in WANTED} <= set(found.notes)
    assert found.attributes.isna().sum().tolist() == [1, 1, 1]


@pytest.mark.parametrize("write", [write_parquet, write_npz])
def test_what_is_written_is_read_back_the_same(write, tmp_path):
    names = ["image", "images", "samples", "arr_0", "file", "set", "index", "item", "log_ratio_0", "a x b", "a/b", "sources", "arr", "=1+1"]
    table = pd.DataFrame({name: [f"{name} {k}" if k else None for k in range(3)] for name in names})
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    images = ImageSet(pixels, table, sources=np.array(["a/1.png", "a/2.jpg", "row 7"]))
    write(tmp_path / f"x.{write.__name__[6:]}", images)
    found = load_images(tmp_path / f"x.{write.__name__[6:]}")
    assert np.array_equal(found.images, pixels) and found.sources.tolist() == images.sources.tolist()
    columns = [tuple(found.attributes[name]) for name in found.attributes]
    assert {tuple(images.attributes[name]) for name in names} == set(columns)
    assert set(names) - set(found.attributes) <= {"images", "samples", "arr_0", "sources"}  # in .npz these have a number behind them


def test_one_label():
    from decimal import Decimal

    same = [1, 1.0, "1", "1.0", " 1 ", np.int64(1), np.float32(1), b"1", Decimal("1.0"), True + 0]
    assert {text_of(value) for value in same} == {"1"}
    missing = [None, np.nan, float("nan"), pd.NA, pd.NaT, "", "  ", "nan", "None", "NaN", "null", "N/A", np.str_("nan")]
    assert {text_of(value) for value in missing} == {None}
    assert [text_of(v) for v in (True, "-", "+", "none of them", "1.5", "007", -0.0, "e\u0301", "a\nb\0", "\ud800")] == [
        *("True", "-", "+", "none of them", "1.5", "007", "0", "\u00e9", "a b", None)
    ]


def test_tidying_twice_changes_nothing_and_names_stay_apart():
    table = pd.DataFrame([[1.0, "a", None], [None, "nan", True]], columns=["x", "x", ""])
    once = tidy(table)
    assert once.to_dict("list") == {"x": ["1", None], "x (2)": ["a", None], "column 3": [None, "True"]}
    assert tidy(once).equals(once)


def test_columns_that_name_no_groups_are_said():
    columns = {"score": [0.1, 0.5], "tags": [["a"], ["b"]], "gone": [None, "nan"], "text": ["0.1", "0.25"], "k": [1.0, 2.0]}
    kept, notes = from_columns(columns)
    assert list(kept) == ["k"]
    for part in ("Columns score, text not used as labels: numbers", "tags not used", "gone not used as labels: empty"):
        assert part in " ".join(notes)


def test_a_set_made_by_hand_has_the_same_labels():
    images = ImageSet(np.zeros((3, 8, 8, 3), np.uint8), pd.DataFrame({"k": [1.0, np.nan, 2.0]}))
    assert images.attributes["k"].tolist() == ["1", None, "2"] and images.sources.tolist() == ["row 0", "row 1", "row 2"]
    assert images.take([2, 0]).sources.tolist() == ["row 2", "row 0"]


def test_numbers_come_in_the_order_of_their_values():
    assert in_order(["10", "9", "b", "-1", "a10", "a9", "1"]) == ["-1", "1", "9", "10", "a9", "a10", "b"]
    assert in_order(["9" * 5000, "1"])[0] == "1"


def classes_of(values, classes):
    images = ImageSet(np.zeros((len(values), 8, 8, 3), np.uint8), pd.DataFrame({"label": values}))
    return with_classes("label", classes, biased=images, reference=images)[1].labels.tolist()


def test_classes_are_numbered_by_value():
    assert classes_of([str(k) for k in range(1, 13)], 12) == list(range(12))  # published labels that begin at 1
    assert classes_of([f"{float(k)}" for k in range(12)], 12) == list(range(12))
    assert classes_of([10, 2, 0], 12) == [10, 2, 0]
    assert classes_of([1, 2], 2) == [0, 1]
    assert classes_of([f"n{k}" for k in range(12)], 12) == list(range(12))
    assert classes_of(["dog", "cat"], 2) == [1, 0]


@pytest.mark.parametrize(
    ("values", "classes", "sentence"),
    [
        (["0.0", "1.0", "nan"], 3, r"1 image\(s\) of the biased set have no label, for instance row 2"),
        (["cat", "dog", None], 3, "have no label, for instance row 2"),
        (["a", "b"], 3, "has 2 values"),
        (["1", "2", "13"], 12, "has 3 values"),
        (["-1", "0"], 3, "has 2 values"),
    ],
)
def test_what_is_no_class_is_said(values, classes, sentence):
    with pytest.raises(UserInputError, match=sentence):
        classes_of(values, classes)


def test_a_split_leaves_out_images_without_the_label_and_takes_values_with_a_slash():
    table = pd.DataFrame({"race": ["Hispanic/Latino", "White", None, "White"] * 40, "hair,colour": ["a/b", "c", "c", "a/b"] * 40})
    split = make_split(table, "joint", reference_percent=5, heldout_percent=0)
    rows = np.concatenate([split.biased, split.reference])
    assert not (rows % 4 == 2).any() and len(rows)
    single = make_split(table, "skew", "hair,colour", reference_percent=5, heldout_percent=0)
    assert len(single.biased)
    with pytest.raises(UserInputError, match="no image has a value"):
        make_split(pd.DataFrame({"a": [None, "nan"]}), "skew")
    assert crossed(pd.DataFrame({"a": ["x", None], "b": ["y", "z"]}), "/").tolist() == ["x/y", None]


# references


def rows_with(n_of):
    """Images whose row stands in their pixels, with `n_of[label]` of each label, in that order: class folders, read by name."""
    labels = [name for name, n in n_of.items() for _ in range(n)]
    pixels = np.zeros((len(labels), 8, 8, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = (np.arange(len(labels)) // 256)[:, None, None], (np.arange(len(labels)) % 256)[:, None, None]
    return ImageSet(pixels, pd.DataFrame({"id": [str(k) for k in range(len(labels))], "label": labels}))


def test_references_are_drawn_in_the_shares_of_their_labels():
    images = rows_with({"a": 100, "b": 200, "c": 700})
    chosen = choose_references(images, 50)
    assert chosen.attributes["label"].value_counts().to_dict() == {"a": 5, "b": 10, "c": 35}
    assert (np.diff([int(k) for k in chosen.attributes["id"]]) > 0).all()
    assert chosen.sources[0] == f"row {chosen.attributes['id'][0]}"
    again, other = choose_references(images, 50), choose_references(images, 50, seed=1)
    assert again.fingerprint == chosen.fingerprint != other.fingerprint


def test_every_image_is_as_likely_as_any_other():
    """Inclusion is n / N for each of 60 images, over 200 seeds: a binomial count, within 4.5 standard deviations of 50."""
    images = rows_with({"a": 7, "b": 53})
    counts = np.zeros(60)
    for seed in range(200):
        counts[[int(k) for k in choose_references(images, 15, seed).attributes["id"]]] += 1
    assert abs(counts - 50).max() < 4.5 * np.sqrt(200 * 0.25 * 0.75)


def test_references_without_labels_are_no_first_files(tmp_path):
    np.save(tmp_path / "x.npy", rows_with({"a": 300}).images)
    chosen = load_set(str(tmp_path / "x.npy"), "reference", 30)
    rows = [int(source.split()[1]) for source in chosen.sources]
    assert len(set(rows)) == 30 and max(rows) > 200
    for role, n in product(("biased", "reference"), (0, 300)):
        assert len(load_set(str(tmp_path / "x.npy"), role, n)) == 300
    for n in (301, -1):
        with pytest.raises(UserInputError, match=f"references: {n} were asked for, the set has 300"):
            load_set(str(tmp_path / "x.npy"), "reference", n)


def test_the_demo_follows_the_same_rule():
    whole = load_set("demo", "reference")
    assert load_set("demo", "reference", 60).fingerprint == choose_references(whole, 60).fingerprint
