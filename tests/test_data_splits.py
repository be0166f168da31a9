"""Splits made from labels: sizes against the published ones, disjoint, seeded, read back."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from tiw.__main__ import app
from tiw.data import ImageSet, load_images, load_set, make_split, parse_shares, reference_from_shares, write_split
from tiw.errors import UserInputError
from tiw.run.folder import RunFolder
from tiw.run.options import AuditOptions, CompareOptions, DebiasOptions, PreviewOptions, TrainOptions


def labelled(**columns):
    """One image a row, its red channel the row's number."""
    table = pd.DataFrame(columns)
    images = np.zeros((len(table), 8, 8, 3), np.uint8)
    images[..., 0] = (np.arange(len(table)) % 256)[:, None, None]
    return ImageSet(images, table)


@pytest.fixture
def crossed():
    """400 images: sex f 300, m 100; hair long 200, short 200, independent."""
    return labelled(sex=["f", "f", "f", "m"] * 100, hair=["long"] * 200 + ["short"] * 200)


def counts(images, rows, *columns):
    return images.attributes.iloc[rows].groupby(list(columns)).size().to_dict()


@pytest.mark.parametrize(
    ("imbalance", "published"),  # Cao et al. 2019, exponential CIFAR-10
    [(100, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]), (10, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500])],
)
def test_a_long_tail_is_cifar_10_lt(imbalance, published):
    labels = pd.DataFrame({"label": np.repeat([str(k) for k in range(10)], 5000)})
    split = make_split(labels, "long-tail", imbalance=imbalance, reference_percent=0, heldout_percent=0)
    found = labels.iloc[split.biased].value_counts()
    assert [found[str(k),] for k in range(10)] == published
    assert split.reference.size == split.heldout.size == 0


def test_numbers_are_classes_in_order_of_value_and_the_rare_come_last():
    labels = pd.DataFrame({"label": [str(k) for k in range(11) for _ in range(50)] + ["7"] * 50})
    split = make_split(labels, "long-tail", imbalance=10, reference_percent=0, heldout_percent=0)
    found = labels["label"].iloc[split.biased].value_counts()
    assert list(found.sort_values(ascending=False).index) == ["7", *(str(k) for k in range(11) if k != 7)]


def test_a_skew_with_an_even_reference(crossed):
    split = make_split(crossed, "skew", "sex", reference_percent=10, heldout_percent=20)
    biased, reference, heldout = (counts(crossed, getattr(split, role), "sex") for role in ("biased", "reference", "heldout"))
    assert biased["f"] / (biased["f"] + biased["m"]) == pytest.approx(0.9, abs=0.01)
    n = sum(biased.values())
    assert reference["f"] == pytest.approx(reference["m"], abs=1) and sum(reference.values()) == round(0.1 * n)
    assert sum(heldout.values()) == round(0.2 * n)
    assert split.shares["biased"]["f"] == biased["f"] / n
    used = sum(np.array([p["f"], p["m"]]) for p in (biased, reference, heldout))
    assert (used <= [300, 100]).all() and max(used / [300, 100]) > 0.97  # nothing is left that could have been used
    rows = np.concatenate([split.biased, split.reference, split.heldout])
    assert len(set(rows)) == len(rows) and all((np.diff(getattr(split, role)) > 0).all() for role in ("biased", "reference", "heldout"))


def test_stated_shares_and_size(crossed):
    split = make_split(
        crossed, "skew", "sex", shares={"m": 80, "f": 20}, size=100, reference_shares={"f": 0.75, "m": 0.25}, reference_percent=8
    )
    assert counts(crossed, split.biased, "sex") == {"f": 20, "m": 80}
    assert counts(crossed, split.reference, "sex") == {"f": 6, "m": 2}


def test_a_joint_skew(crossed):
    split = make_split(crossed, "joint", "sex,hair", reference_percent=0, heldout_percent=0)
    found = counts(crossed, split.biased, "sex", "hair")
    n = sum(found.values())
    assert (found["f", "long"] + found["m", "short"]) / n == pytest.approx(0.9, abs=0.02)
    stated = make_split(crossed, "joint", shares={"f/long": 70, "f/short": 10, "m/long": 10, "m/short": 10}, size=50, heldout_percent=0)
    assert counts(crossed, stated.biased, "sex", "hair") == {("f", "long"): 35, ("f", "short"): 5, ("m", "long"): 5, ("m", "short"): 5}


def test_the_seed_decides(crossed):
    first, again, other = (make_split(crossed, "skew", "sex", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.biased, again.biased) and not np.array_equal(first.biased, other.biased)
    assert len(first.biased) == len(other.biased)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kind": "zipf"}, "kind: it is 'zipf'; choose one of long-tail, skew, joint"),
        ({"kind": "skew", "attribute": "age"}, "attribute: 'age' does not name 1 of the attributes sex, hair; name one"),
        ({"kind": "joint", "attribute": "sex"}, "attribute: 'sex' does not name 2 of the attributes"),
        ({"kind": "joint", "attribute": "sex,sex"}, "attribute: 'sex,sex' does not name 2"),
        ({"kind": "skew", "shares": {"x": 1}}, "shares: no image is 'x'; the groups are f, m"),
        ({"kind": "skew", "shares": {"f": 50, "m": 60}}, "shares: the shares add up to 110"),
        ({"kind": "skew", "shares": {"f": 150, "m": -50}}, "shares: the shares add up to 100; .* none below 0"),
        ({"kind": "skew", "reference_shares": {"f": float("nan")}}, "reference_shares: the shares add up to nan"),
        ({"kind": "skew", "shares": {"m": 100}, "size": 101}, "size: there are too few images: m has 100 and needs 108"),
        ({"kind": "long-tail", "imbalance": 0.5}, "imbalance: it is 0.5"),
        ({"kind": "long-tail", "imbalance": 1e6}, "imbalance: no image of m would be left"),
        ({"kind": "long-tail", "shares": {"f": 1}}, "shares: a long tail has none"),
    ],
)
def test_what_cannot_be_split_is_said(crossed, options, sentence):
    with pytest.raises(UserInputError, match=f"^{sentence}"):
        make_split(crossed, **options)


def test_no_labels_or_one_value():
    with pytest.raises(UserInputError, match="no labels"):
        make_split(ImageSet(np.zeros((4, 8, 8, 3), np.uint8)), "skew")
    with pytest.raises(UserInputError, match="all images are 'a'"):
        make_split(labelled(x=["a"] * 9), "skew")


def test_a_reference_set_from_labels(crossed):
    found = reference_from_shares(crossed, {"sex": {"f": 0.5, "m": 0.5}}, 51, seed=3)
    assert sorted(found.attributes["sex"].value_counts()) == [25, 26]
    joint = reference_from_shares(crossed, {"sex,hair": {"f/long": 25, "f/short": 25, "m/long": 25, "m/short": 25}}, 40)
    assert joint.attributes.value_counts().tolist() == [10] * 4
    assert len(reference_from_shares(crossed, {"f": 100}, 7)) == 7
    assert np.array_equal(found.images, reference_from_shares(crossed, {"sex": {"f": 0.5, "m": 0.5}}, 51, seed=3).images)
    with pytest.raises(UserInputError, match="too few images for 300 references: m has 100 of 150"):
        reference_from_shares(crossed, {"sex": {"f": 0.5, "m": 0.5}}, 300)
    for n in (-1, 0, len(crossed) + 1, 10**30):  # -1 gave a set of some other size
        with pytest.raises(UserInputError, match=f"{n:,} images were asked for, the set has"[:40]):
            reference_from_shares(crossed, {"sex": {"f": 0.5, "m": 0.5}}, n)
    with pytest.raises(UserInputError, match="2 attributes"):
        reference_from_shares(crossed, {"sex": {"f": 1}, "hair": {"long": 1}}, 3)
    for shares in ({"sex,hair": {"f/long": 1}}, {"sex": {"f": 1}}, {"f": 1}):
        with pytest.raises(UserInputError, match="no labels"):
            reference_from_shares(ImageSet(crossed.images), shares, 3)


def test_shares_as_text():
    assert parse_shares(" 20-29=10, a=b=90") == {"20-29": 10.0, "a=b": 90.0} and parse_shares("") == {}
    for text in ("darker", "=3", "darker=x"):
        with pytest.raises(UserInputError, match="is not a share"):
            parse_shares(text)


@pytest.fixture
def folder(tmp_path):
    for k in range(60):
        path = tmp_path / "set" / ("cat" if k % 3 else "dog") / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (k, 0, 0)).save(path)
    return tmp_path / "set"


def test_a_split_is_written_without_decoding_and_read_back(folder, tmp_path):
    made = write_split(tmp_path, folder, "skew", reference_percent=20, heldout_percent=20)
    sets = {role: load_images(tmp_path / f"{role}.json") for role in ("biased", "reference", "heldout")}
    assert {role: len(images) for role, images in sets.items()} == made["sizes"]
    for role, images in sets.items():
        kept = json.loads((tmp_path / f"{role}.json").read_text())
        assert images.attributes["label"].tolist() == kept["labels"]["label"]
        named = [int(p.stem) for p in sorted(folder.rglob("*.png"))]
        assert images.images[:, 0, 0, 0].tolist() == [named[row] for row in kept["rows"]]
    assert load_set(str(tmp_path / "biased.json"), "biased", resolution=16).resolution == 16
    (folder / "dog" / "00.png").write_bytes(b"nonsense")  # labels alone were read, and a bad image is found when it is needed
    write_split(tmp_path, folder, "skew", reference_percent=20, heldout_percent=20)


def test_pixels_and_tables_can_be_split_too(tmp_path):
    images = labelled(kind=["a", "b"] * 20)
    np.savez(tmp_path / "set.npz", images=images.images, kind=images.attributes["kind"].to_numpy(str))
    write_split(tmp_path, tmp_path / "set.npz", "skew", reference_percent=20, heldout_percent=20)
    rows = json.loads((tmp_path / "biased.json").read_text())["rows"]
    assert load_images(tmp_path / "biased.json").images[:, 0, 0, 0].tolist() == rows


def test_a_split_that_no_longer_fits_is_refused(folder, tmp_path):
    write_split(tmp_path, folder, "skew", reference_percent=20, heldout_percent=20)
    good = json.loads((tmp_path / "biased.json").read_text())
    (folder / "dog" / "00.png").rename(folder / "dog" / "new.png")
    with pytest.raises(UserInputError, match=r"has changed since biased\.json was made; make the split again"):
        load_images(tmp_path / "biased.json")
    with pytest.raises(UserInputError, match="is a split itself"):
        write_split(tmp_path, tmp_path / "biased.json", "skew")
    for broken in ({**good, "rows": "x"}, {**good, "schema_version": 2}, {**good, "source": str(tmp_path / "biased.json")}, [1], {}):
        (tmp_path / "broken.json").write_text(json.dumps(broken))
        with pytest.raises(UserInputError, match=r"broken\.json is not a list of rows"):
            load_images(tmp_path / "broken.json")
    (folder / "dog" / "new.png").rename(folder / "dog" / "00.png")
    for rows in ([3, 2], [-1, 2], [0, 60]):
        (tmp_path / "other.json").write_text(json.dumps({**good, "rows": rows}))
        with pytest.raises(UserInputError, match="has changed"):
            load_images(tmp_path / "other.json")
    with pytest.raises(UserInputError, match="does not exist"):
        load_images(tmp_path / "missing.json")


def test_the_command_makes_the_same_files(folder, tmp_path):
    words = ["make-split", "--out", str(tmp_path / "run"), "--data", str(folder), "--reference-percent", "20", "--shares", "cat=20,dog=80"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    biased = load_images(tmp_path / "run" / "biased.json")
    assert biased.attributes["label"].value_counts(normalize=True)["dog"] == pytest.approx(0.8, abs=0.05)
    assert len(biased) == result["sizes"]["biased"]
    refused = CliRunner().invoke(app, ["make-split", "--out", str(tmp_path / "other"), "--data", str(folder), "--shares", "cat=200"])
    assert refused.exit_code == 2 and refused.stderr.startswith("shares: the shares add up to 200")


def test_resolution_and_skip_bad_are_options_and_the_log_names_what_was_left_out(folder, tmp_path):
    from tiw.run.inputs import read_set  # loads torch

    (folder / "dog" / "00.png").write_bytes(b"nonsense")
    run = RunFolder.create(tmp_path / "run", "audit", AuditOptions(biased=str(folder), resolution=16, skip_bad=True))
    images = read_set(run, run.options, run.options.biased, "biased")
    assert len(images) == 59 and images.resolution == 16
    assert (run.path / "log.txt").read_text().startswith("biased: left out dog/00.png (unreadable")
    for options in (AuditOptions(), PreviewOptions(), DebiasOptions(), TrainOptions(), CompareOptions(debiased="x")):
        assert (options.resolution, options.skip_bad) == (0, False)
    assert read_set(run, AuditOptions(resolution=16), "demo", "reference", 50).images.shape == (50, 16, 16, 3)


def test_the_command_names_the_options_that_would_help(folder, tmp_path):
    (folder / "dog" / "00.png").write_bytes(b"nonsense")
    Image.new("RGB", (9, 20)).save(folder / "dog" / "03.png")
    words = ["audit", "--out", str(tmp_path / "run"), "--biased", str(folder), "--reference", str(folder), "--baseline", "none"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and done.stderr.strip().endswith("(--skip-bad --resolution 16)"), done.stderr
