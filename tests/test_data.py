"""Every way in: a good, an empty and a broken one; and what a hostile file gets."""

import io
import json
import stat
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import zipped
from PIL import Image

from tiw.data import ImageSet, check_sets, load_demo, load_images, load_set
from tiw.errors import UserInputError


def png(seed=0, size=(8, 8), mode="RGB", **save):
    channels = len(mode) if mode != "L" else 1
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], channels), dtype=np.uint8).squeeze()
    out = io.BytesIO()
    Image.fromarray(pixels, mode if mode in ("RGB", "RGBA", "L") else None).save(out, save.pop("format", "PNG"), **save)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for name in ("cat/1.png", "cat/2.png", "dog/3.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(ord(name[4])))
    return root


def test_a_folder_a_zip_and_class_folders(folder, tmp_path):
    found = load_images(folder)
    assert found.images.shape == (3, 8, 8, 3) and found.attributes["label"].tolist() == ["cat", "cat", "dog"]
    assert np.array_equal(found.images[0], np.asarray(Image.open(folder / "cat/1.png")))
    small = load_images(folder, 16)
    names = ("cat/1.png", "cat/2.png", "dog/3.png")
    assert small.files.to_numpy().tolist() == [[(folder / name).stat().st_size, 8, "PNG"] for name in names]
    assert small.take([2]).files.to_numpy().tolist() == small.files.to_numpy()[2:].tolist()
    entries = {f"x/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*.png")}
    assert load_images(zipped(tmp_path / "a.zip", entries)).fingerprint == found.fingerprint


def test_metadata_names_files_and_labels(folder):
    (folder / "metadata.csv").write_text("file_name,skin,hair\ndog/3.png,a,long\ncat/1.png,b,short\n")
    found = load_images(folder)
    assert found.attributes.to_dict("list") == {"skin": ["a", "b"], "hair": ["long", "short"]}
    (folder / "metadata.csv").write_text("file_name,skin\ndog/9.png,a\n")
    with pytest.raises(UserInputError, match=r"1 file.*dog/9\.png"):
        load_images(folder)
    (folder / "metadata.csv").write_text("name\nx\n")
    with pytest.raises(UserInputError, match="file_name"):
        load_images(folder)
    (folder / "metadata.csv").unlink()
    (folder / "metadata.jsonl").write_text(
        json.dumps({"file_name": "cat/1.png", "k": 1}) + "\n" + json.dumps({"file_name": "cat/2.png", "k": 2})
    )
    assert load_images(folder).attributes["k"].tolist() == ["1", "2"]


def test_metadata_of_each_part_is_read(folder, tmp_path):
    (folder / "cat" / "metadata.csv").write_text("file_name,hair\n1.png,long\n")
    (folder / "dog" / "metadata.csv").write_text("file_name,skin\n3.png,a\n")
    assert load_images(folder).attributes.to_dict("list") == {"hair": ["long", None], "skin": [None, "a"]}
    shards = tmp_path / "shards"
    shards.mkdir()
    pq.write_table(pa.table({"image": [png()]}), shards / "train-00000-of-00001.parquet")
    with pytest.raises(UserInputError, match="name one of its tables, for instance train-00000-of-00001"):
        load_images(shards)


def test_npz_both_layouts_and_labels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", arr_0=pixels)
    np.savez(tmp_path / "b.npz", images=pixels.transpose(0, 3, 1, 2), labels=np.array([0, 1, 0, 1]))
    assert np.array_equal(load_images(tmp_path / "a.npz").images, pixels)
    assert np.array_equal(load_images(tmp_path / "b.npz").images, pixels)
    assert load_images(tmp_path / "b.npz").attributes["labels"].tolist() == ["0", "1", "0", "1"]


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"images": np.zeros((3, 8, 8, 3), np.float32)}, "float32"),
        ({"images": np.zeros((3, 8, 8), np.uint8)}, "uint8"),
        ({"other": np.zeros(3)}, "other"),
        ({"images": np.array([{"a": 1}], dtype=object)}, "Python objects"),
    ],
)
def test_npz_that_is_no_image_set(tmp_path, arrays, complaint):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserInputError, match=complaint):
        load_images(tmp_path / "a.npz")


def test_parquet_as_the_ecosystem_writes_it(tmp_path):
    images = [{"bytes": png(k), "path": None} for k in range(3)]
    pq.write_table(pa.table({"image": images, "skin": ["a", "b", "a"], "score": [0.1, 0.2, 0.3]}), tmp_path / "a.parquet")
    found = load_images(tmp_path / "a.parquet")
    assert len(found) == 3 and list(found.attributes) == ["skin"]
    pq.write_table(pa.table({"skin": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(UserInputError, match="skin"):
        load_images(tmp_path / "b.parquet")
    (tmp_path / "c.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(UserInputError, match="parquet"):
        load_images(tmp_path / "c.parquet")


@pytest.mark.parametrize("name", ["missing", "notes.txt", "empty", "empty.zip", "broken.zip", "broken.npz"])
def test_what_is_no_image_set_is_named(tmp_path, name):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    zipped(tmp_path / "empty.zip", {"readme.txt": b"hello"})
    for broken in ("broken.zip", "broken.npz"):
        (tmp_path / broken).write_bytes(b"nonsense")
    with pytest.raises(UserInputError, match=name) as caught:
        load_images(tmp_path / name, field="reference")
    assert caught.value.field == "reference" and caught.value.fix


def test_all_bad_images_are_counted_with_an_example(folder):
    (folder / "cat" / "4.png").write_bytes(png()[:60])
    (folder / "cat" / "5.png").write_bytes(b"nonsense")
    (folder / "cat" / "6.jpg").write_bytes(cmyk())
    (folder / "cat" / "7.png").write_bytes(sixteen_bit())
    (folder / "cat" / "8.gif").write_bytes(animated())
    with pytest.raises(UserInputError) as caught:
        load_images(folder)
    for kind in ("3 of 8", "truncated", "unreadable", "animated", "cat/4.png"):
        assert kind in str(caught.value), kind
    assert "object at" not in str(caught.value)
    assert caught.value.offers == {"skip_bad": True}
    assert len(load_images(folder, skip_bad=True)) == 5
    (folder / "dog" / "9.png").write_bytes(png(9, (20, 10)))
    with pytest.raises(UserInputError, match=r"3 of 9 .*2 sizes.*20x10.*leave them out.*resolution of 16") as caught:
        load_images(folder)
    assert caught.value.offers == {"skip_bad": True, "resolution": 16}


def cmyk():
    out = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(out, "JPEG")
    return out.getvalue()


def sixteen_bit():
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(out, "PNG")
    return out.getvalue()


def animated():
    out = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


@pytest.mark.parametrize("resolution", [1, 15, 1025, 100_000, -64])
def test_a_resolution_that_would_fill_the_memory_is_refused_before_an_image_is_read(folder, monkeypatch, resolution):
    """One that was typed on the Data tab made the page hold 15 GB."""
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("an image was read"))
    with pytest.raises(UserInputError, match="choose 16 to 1024 pixels") as error:
        load_images(folder, resolution=resolution)
    assert error.value.field == "resolution"


def test_sizes_must_agree_or_a_resolution_be_named(folder):
    (folder / "dog" / "9.png").write_bytes(png(9, (20, 10)))
    with pytest.raises(UserInputError, match="resolution"):
        load_images(folder)
    assert load_images(folder, resolution=16).images.shape == (4, 16, 16, 3)


def test_transparency_becomes_white_and_grey_becomes_rgb(tmp_path):
    for name, image in (("a.png", Image.new("RGBA", (8, 8), (0, 0, 0, 0))), ("b.png", Image.new("L", (8, 8), 128))):
        image.save(tmp_path / name)
    found = load_images(tmp_path)
    assert (found.images[0] == 255).all() and (found.images[1] == 128).all()


def link():
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({"../evil.png": png()}, "outside"),
        ({"/etc/evil.png": png()}, "outside"),
        ({"C:\\evil.png": png()}, "outside"),
        ({"bomb.png": bytes(30_000_000)}, "unpack"),
        ({link(): b"/etc/passwd"}, "has a link in it"),
        ({f"{k}.txt": b"" for k in range(100_001)}, "entries"),
    ],
    ids=["dots", "absolute", "drive", "ratio", "link", "entries"],
)
def test_hostile_zips_end_in_one_sentence(tmp_path, entries, complaint):
    zipped(tmp_path / "evil.zip", {"1.png": png(1), "2.png": png(2), **entries})
    before = set(tmp_path.rglob("*"))
    with pytest.raises(UserInputError, match=complaint):
        load_images(tmp_path / "evil.zip")
    assert set(tmp_path.rglob("*")) == before


def test_formats_that_nobody_keeps_photos_in_reach_no_decoder(tmp_path):
    """Pillow knows dozens; each is one more way in."""
    for k, kind in enumerate(("PCX", "TGA", "ICO", "EPS")):
        out = io.BytesIO()
        Image.new("RGB", (16, 16), (k, 0, 0)).save(out, kind)
        (tmp_path / f"{k}.png").write_bytes(out.getvalue())
    with pytest.raises(UserInputError, match="4 of 4 images cannot be used: 4 unreadable"):
        load_images(tmp_path)


@pytest.mark.parametrize("side", [9000, 50_000])  # the smaller one Pillow would read
def test_a_huge_header_is_refused_before_its_pixels(tmp_path, side):
    header = bytearray(png())
    header[16:24] = side.to_bytes(4, "big") * 2
    import zlib

    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    (tmp_path / "huge.png").write_bytes(bytes(header))
    (tmp_path / "fine.png").write_bytes(png())
    with pytest.raises(UserInputError, match="too large"):
        load_images(tmp_path)


def test_problems_of_two_sets_are_listed_together():
    rng = np.random.default_rng(0)
    biased = rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    reference = rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    assert check_sets(ImageSet(biased), ImageSet(reference)) == []
    biased[5] = biased[4]
    biased[7] = 9
    reference[3] = biased[20]
    found = {(p.set, p.kind): p for p in check_sets(ImageSet(biased), ImageSet(reference[:10]))}
    assert set(found) == {("biased", "duplicate"), ("biased", "constant"), ("reference", "overlap"), ("reference", "too few")}
    assert found["biased", "duplicate"].examples == (5,) and found["reference", "overlap"].examples == (3,)


def test_problems_name_files_and_labels_that_share_no_value():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    pixels[5] = pixels[4]
    names = [f"a/{k}.png" for k in range(60)]
    biased = ImageSet(pixels, pd.DataFrame({"sex": ["f", "m"] * 30, "age": ["1"] * 60, "id": names}), sources=names)
    others = rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    reference = ImageSet(others, pd.DataFrame({"sex": [0.0, 1.0, None] * 10, "age": [1.0] * 30, "id": [str(k) for k in range(30)]}))
    found = {p.kind: p.sentence for p in check_sets(biased, reference)}
    assert set(found) == {"duplicate", "labels"} and "a/5.png" in found["duplicate"]
    assert found["labels"].startswith("No value of the label sex is in both sets: the biased set has 'f', 'm', the reference '0', '1'.")


@pytest.mark.parametrize(("many", "few"), [(4, 4), (2, 40), (100, 1), (100, 2)])
def test_very_small_and_very_odd_sets_are_checked_without_a_fall(many, few):
    rng = np.random.default_rng(0)
    sets = [ImageSet(rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)) for n in (many, few)]
    assert "too few" in {p.kind for p in check_sets(*sets)}
    same = ImageSet(np.repeat(sets[0].images[:1], 100, axis=0))
    assert {"duplicate"} <= {p.kind for p in check_sets(same, sets[1])}
    assert check_sets(same, same)


def test_the_demo_is_what_its_truth_says():
    demo = load_demo()
    assert (len(demo.biased), len(demo.reference), len(demo.heldout)) == (8000, 400, 2000)
    for name, images in (("biased", demo.biased), ("reference", demo.reference), ("heldout", demo.heldout)):
        joint = (images.attributes["skin"] + "-" + images.attributes["hair"]).value_counts(normalize=True)
        assert joint.to_dict() == pytest.approx(demo.truth["shares"][name])
    assert check_sets(demo.biased, demo.reference) == []


def test_fewer_references_stay_even():
    for n in (50, 100, 200):
        counts = pd.Series(load_demo(n).reference.attributes.agg("-".join, axis=1)).value_counts()
        assert counts.sum() == n and counts.max() - counts.min() <= 1
    with pytest.raises(UserInputError, match="references"):
        load_demo(401)
    assert len(load_set("demo", "reference", 60)) == 60
