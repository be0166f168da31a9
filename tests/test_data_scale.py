"""Many images, and hostile files: one copy of the pixels, a mapped file beyond the limit, flat memory otherwise."""

import io
import os
import tracemalloc
import zipfile
import zlib
from collections import namedtuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tiw.data import ImageSet, check_sets, load_demo, load_images, memory
from tiw.data.near import near_copies, signatures
from tiw.errors import UserInputError

MB = 1 << 20


def png(image):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", compress_level=1)
    return out.getvalue()


def peak_of(action):
    """(what it returned or the UserInputError it raised, peak of memory allocated meanwhile in bytes)"""
    tracemalloc.start()
    try:
        found = action()
    except UserInputError as error:
        found = error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return found, peak


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """1,000 noisy images of 64x64 (12 MB of pixels) in every form that is decoded or read in chunks."""
    root = tmp_path_factory.mktemp("many")
    images = np.random.default_rng(0).integers(0, 256, (1000, 64, 64, 3), dtype=np.uint8)
    encoded = [png(image) for image in images]
    (root / "folder").mkdir()
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        for k, data in enumerate(encoded):
            archive.writestr(f"{k:04d}.png", data)
            (root / "folder" / f"{k:04d}.png").write_bytes(data)
    pq.write_table(pa.table({"image": encoded}), root / "a.parquet", row_group_size=200)
    np.savez(root / "a.npz", images=images.transpose(0, 3, 1, 2))
    np.savez_compressed(root / "b.npz", images=images)
    np.save(root / "a.npy", images)
    return root, images


@pytest.mark.parametrize("name", ["folder", "a.zip", "a.parquet", "a.npz", "b.npz"])
def test_one_copy_of_the_pixels_and_no_more(many, name):
    root, images = many
    load_images(root / name)  # what is imported or cached once does not count
    found, peak = peak_of(lambda: load_images(root / name))
    assert np.array_equal(found.images, images)
    assert peak < images.nbytes + 9 * MB, f"{peak / MB:.0f} MB"  # a chunk of encoded and decoded images on the way


@pytest.mark.parametrize("name", ["folder", "a.zip", "a.parquet", "a.npz", "b.npz", "a.npy"])
def test_large_sets_are_mapped_and_leave_nothing(many, name, monkeypatch, tmp_path):
    root, images = many
    monkeypatch.setattr("tiw.data.memory.IN_MEMORY", MB)
    monkeypatch.setattr("tiw.data.arrays.IN_MEMORY", MB)
    monkeypatch.setenv("TIW_HOME", str(tmp_path))
    plain = ImageSet(images)
    found, peak = peak_of(lambda: load_images(root / name))
    assert isinstance(found.images, np.memmap) and found.fingerprint == plain.fingerprint
    assert peak < 9 * MB, f"{peak / MB:.0f} MB"
    if os.name == "posix":
        assert not any(p.is_file() for p in tmp_path.rglob("*"))
    rows = np.random.default_rng(1).permutation(1000)
    taken, peak = peak_of(lambda: found.take(rows))
    assert isinstance(taken.images, np.memmap) and np.array_equal(taken.images, images[rows]) and peak < 9 * MB
    assert np.shares_memory(found.take(range(10, 900)).images, found.images)
    assert load_images(root / name, 32).images.shape == (1000, 32, 32, 3)


def test_a_hundred_thousand_rows_are_taken_from_a_mapped_set(monkeypatch, tmp_path):
    images = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (150_000, 4, 4, 3))
    images[:, 0, 0, 0] = np.arange(150_000) % 251
    rows = np.random.default_rng(0).permutation(150_000)[:120_000]
    monkeypatch.setattr("tiw.data.memory.IN_MEMORY", MB)
    taken = ImageSet(images, pd.DataFrame({"row": np.arange(150_000).astype(str)})).take(rows)
    assert np.array_equal(taken.images[:, 0, 0, 0], rows % 251) and taken.attributes["row"].iloc[7] == str(rows[7])


def test_a_full_disk_is_said_before_anything_is_decoded(many, monkeypatch):
    monkeypatch.setattr("tiw.data.memory.IN_MEMORY", MB)
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(5 * MB))
    with pytest.raises(UserInputError, match=r"1,000 images of 64x64 take 0\.0 GiB.*smaller resolution"):
        load_images(many[0] / "folder")


def test_checks_are_flat_in_memory(monkeypatch, tmp_path):
    images = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (8000, 64, 64, 3))
    rng = np.random.default_rng(0)
    for start in range(0, 8000, 1000):
        images[start : start + 1000] = rng.integers(0, 256, (1000, 64, 64, 3), dtype=np.uint8)
    images[7000] = images[3]
    reference = ImageSet(np.array(images[500:530]))
    found, peak = peak_of(lambda: check_sets(ImageSet(images), reference))
    assert {p.kind: p.count for p in found} == {"duplicate": 1, "overlap": 30}
    assert peak < 40 * MB < images.nbytes, f"{peak / MB:.0f} MB"


# near copies


def saved_again(image, **how):
    out = io.BytesIO()
    Image.fromarray(image).save(out, **how)
    return np.asarray(Image.open(out).convert("RGB"))


@pytest.mark.parametrize(
    "again",
    [
        lambda image: saved_again(image, format="JPEG", quality=90),
        lambda image: saved_again(image, format="JPEG", quality=75),
        lambda image: saved_again(image, format="WEBP", quality=80),
        lambda image: np.asarray(Image.fromarray(image).resize((96, 96)).resize((64, 64))),
    ],
    ids=["jpeg90", "jpeg75", "webp", "resized"],
)
def test_copies_saved_again_are_near(again):
    demo = load_demo()
    copies = np.stack([again(image) for image in demo.biased.images[:100]])
    reference = ImageSet(np.concatenate([demo.reference.images, copies]))
    found = {p.kind: p for p in check_sets(demo.biased, reference)}
    assert set(found) == {"near"} and 95 <= found["near"].count <= 100  # none of the demo's 400 similar drawings among them
    assert min(found["near"].examples) >= 400


def test_near_copies_name_the_right_pair():
    images = load_demo().biased.images[:500]
    copy = saved_again(images[123], format="JPEG", quality=85)[None]
    assert near_copies(copy, signatures(copy), images, signatures(images)) == [(0, 123)]


def test_pictures_of_other_shapes_have_signatures_too():
    for shape in ((3, 5, 5, 3), (3, 8, 8, 3), (3, 17, 17, 3)):
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        assert near_copies(images, signatures(images), images, signatures(images)) == [(0, 0), (1, 1), (2, 2)]


# hostile


def bomb_npz(path):
    np.savez_compressed(path / "bomb.npz", images=np.zeros((20_000, 64, 64, 3), np.uint8))
    return path / "bomb.npz"


def lying_npz(path):
    """A header that promises a terabyte."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**8, 64, 64, 3)})
    with zipfile.ZipFile(path / "lying.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + b"x" * 100)
    return path / "lying.npz"


def lying_npy(path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**8, 64, 64, 3)})
    (path / "lying.npy").write_bytes(header.getvalue() + b"x" * 100)
    return path / "lying.npy"


def objects_npz(path):
    class Evil:
        def __reduce__(self):
            return os.system, ("touch hacked",)

    np.savez(path / "objects.npz", images=np.array([Evil()], dtype=object))
    return path / "objects.npz"


def objects_beside_pixels(path):
    np.savez(path / "objects.npz", images=np.zeros((2, 8, 8, 3), np.uint8), labels=np.array([{}, {}], dtype=object))
    return path / "objects.npz"


def ratio_zip(path):
    with zipfile.ZipFile(path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(1100):
            archive.writestr(f"{k}.png", bytes(200_000))  # each just below the ratio of one member
    return path / "bomb.zip"


def large_file(path):
    one_image(path)
    (path / "set" / "2.png").write_bytes(b"")
    os.truncate(path / "set" / "2.png", 300 << 20)  # takes no room on the disk
    return path / "set"


def huge_header(path):
    data = bytearray(png(np.zeros((8, 8, 3), np.uint8)))
    data[16:24] = (50_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    (path / "set").mkdir()
    for k in range(3):
        (path / "set" / f"{k}.png").write_bytes(bytes(data))
    return path / "set"


def hungry_size(path):
    """Few bytes that decode to much: 8000x8000 of one colour, many times."""
    image = png(np.zeros((8000, 8000, 3), np.uint8)[:, :1].repeat(1, 1))  # 8000x1: not square, so no room is made for it
    (path / "set").mkdir()
    for k in range(3):
        (path / "set" / f"{k}.png").write_bytes(image)
    return path / "set"


def one_image(path):
    (path / "set").mkdir()
    (path / "set" / "1.png").write_bytes(png(np.zeros((8, 8, 3), np.uint8)))


def missing_csv(path):
    one_image(path)
    (path / "set" / "metadata.csv").write_text("file_name,skin\n" + "../../etc/passwd,a\n" * 1000)
    return path / "set"


def binary_csv(path):
    one_image(path)
    (path / "set" / "metadata.csv").write_bytes(bytes(range(256)) * 100)
    return path / "set"


def deep_json(path):
    one_image(path)
    (path / "set" / "metadata.jsonl").write_text("[" * 200_000)
    return path / "set"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (bomb_npz, "bomb.npz would unpack from .* no images shrink"),
        (lying_npz, "lying.npz cannot be read"),
        (lying_npy, "lying.npy cannot be read"),
        (objects_npz, "Python objects"),
        (objects_beside_pixels, "Python objects"),
        (ratio_zip, "bomb.zip would unpack from"),
        (large_file, r"2.png .larger than 256 MiB"),
        (huge_header, "3 of 3 images cannot be used: 3 too large, for instance 0.png .more than 64,000,000 pixels"),
        (hungry_size, "1x8000 pixels, not square"),
        (missing_csv, "names 1 file.s. that are not there: '../../etc/passwd'"),
        (binary_csv, "metadata.csv"),
        (deep_json, "metadata.jsonl cannot be read"),
    ],
)
def test_a_hostile_file_is_one_sentence_with_nothing_written_and_memory_flat(make, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path)
    before = set(tmp_path.rglob("*"))
    error, peak = peak_of(lambda: load_images(path))
    assert isinstance(error, UserInputError)
    with pytest.raises(UserInputError, match=match):
        raise error
    assert "\n" not in str(error) and len(str(error)) < 400
    assert set(tmp_path.rglob("*")) == before
    assert peak < 20 * MB, f"{peak / MB:.0f} MB"


def test_a_phones_photo_with_a_preview_is_a_photo(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    for k in range(2):
        frames[0].save(tmp_path / f"{k}.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert load_images(tmp_path).images[0, 0, 0, 0] > 200
