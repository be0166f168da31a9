"""Data sets as they are downloaded: small ones in the exact layout, good, empty and broken."""

import gzip
import io
import json
import os
import pickle
import sys
import tarfile
import time
import zipfile
from contextlib import suppress
from types import ModuleType, SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import written, zipped
from PIL import Image

from tiw.data import load_images, source_of, write_rows
from tiw.data.cifar import restricted_loads
from tiw.errors import UserInputError


def pixels(seed, height=8, width=8):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image, format="PNG"):
    out = io.BytesIO()
    Image.fromarray(image).save(out, format)
    return out.getvalue()


def refused(path, match, **how):
    with pytest.raises(UserInputError, match=match) as caught:
        load_images(path, **how)
    assert "\n" not in str(caught.value)


# EDM


def edm(labels):
    images = {f"00000/img{k:08d}.png": encoded(pixels(k)) for k in range(3)}
    return images | {"dataset.json": json.dumps({"labels": labels})}


PAIRS = [[f"00000/img{k:08d}.png", label] for k, label in enumerate((6, 9, 6))]


def test_edm_zip_and_folder(tmp_path):
    found = load_images(zipped(tmp_path / "edm.zip", edm(PAIRS)))
    assert found.attributes["label"].tolist() == ["6", "9", "6"] and np.array_equal(found.images[1], pixels(1))
    assert load_images(written(tmp_path / "edm", edm(PAIRS[::-1]))).attributes["label"].tolist() == ["6", "9", "6"]
    assert load_images(zipped(tmp_path / "bare.zip", edm(None))).attributes is None
    other = {f"{label}/1.png": encoded(pixels(k)) for k, label in enumerate("ab")} | {"dataset.json": '{"title": "another program\'s"}'}
    assert load_images(written(tmp_path / "other", other)).attributes["label"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"dataset.json": '{"labels": null}'}, "no image"),
        (edm(None) | {"dataset.json": "{"}, "dataset.json cannot be read"),
        (edm(None) | {"dataset.json": "[1]"}, "dataset.json cannot be read"),
        (edm([*PAIRS, ["00000/img00000009.png", 1]]), "1 file.*img00000009"),
        (edm(PAIRS[:2]), "no row for 1 image.*img00000002"),
    ],
    ids=["empty", "json", "list", "missing", "unlabelled"],
)
def test_edm_empty_and_broken(tmp_path, files, match):
    refused(written(tmp_path / "edm", files), match)


def test_a_description_that_is_damaged_in_its_zip_is_named(tmp_path):
    path = zipped(tmp_path / "edm.zip", edm(PAIRS), zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b'{"labels"', b'{"LABELS"', 1))  # stored, so its checksum fails
    refused(path, "dataset.json in edm.zip cannot be read .Bad CRC")


# CelebA

NAMES = [f"{k:06d}.jpg" for k in (1, 2, 3)]
CELEBA_TXT = "3\nMale Smiling \n000001.jpg -1  1 \n000002.jpg  1 -1 \n000003.jpg -1 -1 \n"
CELEBA_CSV = "image_id,Male,Smiling\n000001.jpg,-1,1\n000002.jpg,1,-1\n000003.jpg,-1,-1\n"
WANTED = {"Male": ["no", "yes", "no"], "Smiling": ["yes", "no", "no"]}


def celeba(folder="img_align_celeba/"):
    return {f"{folder}{n}": encoded(pixels(k, 218, 178), "JPEG") for k, n in enumerate(NAMES)}


@pytest.mark.parametrize(
    ("files", "path"),
    [
        (celeba() | {"list_attr_celeba.txt": CELEBA_TXT}, ""),
        (celeba() | {"list_attr_celeba.txt": CELEBA_TXT}, "img_align_celeba"),
        (celeba("Img/img_align_celeba/") | {"Anno/list_attr_celeba.txt": CELEBA_TXT}, "Img/img_align_celeba"),
        (celeba("img_align_celeba/img_align_celeba/") | {"list_attr_celeba.csv": CELEBA_CSV, "list_eval_partition.csv": "x\n"}, ""),
    ],
    ids=["within", "beside", "official", "Kaggle"],
)
def test_celeba_where_the_list_lies(tmp_path, files, path):
    root = written(tmp_path / "set", files)
    refused(root / path, "178x218 pixels, not square; crop and resize all images to one size, for instance a resolution of 128")
    found = load_images(root / path, 64)
    assert found.images.shape == (3, 64, 64, 3) and found.attributes.to_dict("list") == WANTED


def test_celeba_zip_beside_its_list_and_a_part_of_it(tmp_path):
    written(tmp_path, {"list_attr_celeba.txt": CELEBA_TXT})
    part = dict(list(celeba().items())[1:])
    found = load_images(zipped(tmp_path / "img_align_celeba.zip", part), 16)
    assert found.attributes["Male"].tolist() == ["yes", "no"]


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"list_attr_celeba.txt": CELEBA_TXT}, "labels but no image"),
        (celeba() | {"list_attr_celeba.txt": ""}, "announces '' images and lists 0"),
        (celeba() | {"list_attr_celeba.txt": CELEBA_TXT.replace("3\n", "4\n", 1)}, "announces '4' images and lists 3"),
        (celeba() | {"list_attr_celeba.txt": CELEBA_TXT.replace("  1 -1", "  7 -1")}, "'7' for Male of 000002.jpg"),
        (celeba() | {"list_attr_celeba.txt": CELEBA_TXT.replace("1  1 ", "1 ")}, "'' for Smiling of 000001.jpg"),
        (celeba() | {"list_attr_celeba.txt": CELEBA_TXT.replace("  1 ", "  1 1 1 ")}, "000001|longer|cannot be read"),
        (celeba() | {"list_attr_celeba.csv": CELEBA_CSV.replace("image_id", "name")}, "image_id"),
        (celeba() | {"list_attr_celeba.csv": CELEBA_CSV.replace("000003.jpg,-1,-1\n", "")}, "no row for 1 image.*000003"),
        (celeba() | {"list_attr_celeba.csv": CELEBA_CSV + "000003.jpg,-1,-1\n"}, "twice"),
        (celeba() | {"list_attr_celeba.txt": b"\xff\xfe\x00" * 50}, "list_attr_celeba.txt"),
    ],
)
def test_celeba_empty_and_broken(tmp_path, files, match):
    refused(written(tmp_path / "set", files), match, resolution=16)


# UTKFace


def utk(*names):
    return {n: encoded(pixels(k), "JPEG") for k, n in enumerate(names)}


def test_utkface_reads_its_file_names(tmp_path):
    names = ("100_1_0_20170112213500903.jpg.chip.jpg", "1_0_2_20161219140623097.jpg", "26_1_4_20170116174525125.jpg.chip.jpg")
    found = load_images(written(tmp_path / "UTKFace", utk(*names)))
    assert found.attributes.to_dict("list") == {
        "age": ["more than 70", "0-2", "20-29"],
        "gender": ["female", "male", "female"],
        "race": ["White", "Asian", "Others"],
    }


def test_utkface_malformed_names_are_reported_then_skipped(tmp_path):
    good = [f"{age}_0_1_201701162145{k}.jpg.chip.jpg" for k, age in enumerate((20, 31, 42, 53))]
    odd = "61_1_20170109142408075.jpg.chip.jpg"  # one of the three in the set as it is downloaded
    root = written(tmp_path / "part1", utk(*good, odd))
    refused(root, "1 of 5 images cannot be used: 1 malformed name, for instance 61_1_2017.*leave them out")
    found = load_images(root, skip_bad=True)
    assert len(found) == 4 and found.skipped == (f"{odd} (malformed name: no age_gender_race_date.jpg)",)
    assert found.attributes["age"].tolist() == ["20-29", "30-39", "40-49", "50-59"]
    (root / good[0]).write_bytes(b"nonsense")
    refused(root, "2 of 5 .*unreadable")
    (tmp_path / "none").mkdir()
    refused(tmp_path / "none", "holds no image")


# FairFace

FAIR = "file,age,gender,race,service_test\n"
TRAIN = FAIR + "train/1.jpg,50-59,Male,East Asian,True\ntrain/2.jpg,more than 70,Female,Indian,False\n"
VAL = FAIR + "val/1.jpg,3-9,Male,White,False\n"


def fair(*names):
    return {n: encoded(pixels(k), "JPEG") for k, n in enumerate(names)}


def test_fairface_with_its_tables_within_and_beside(tmp_path):
    tables = {"fairface_label_train.csv": TRAIN, "fairface_label_val.csv": VAL}
    both = load_images(written(tmp_path / "a", fair("train/1.jpg", "train/2.jpg", "val/1.jpg") | tables))
    assert both.attributes["race"].tolist() == ["East Asian", "Indian", "White"]
    assert list(both.attributes) == ["age", "gender", "race"]
    written(tmp_path / "b", fair("fairface-img-margin025-trainval/train/1.jpg", "fairface-img-margin025-trainval/train/2.jpg") | tables)
    for path in ("fairface-img-margin025-trainval", "fairface-img-margin025-trainval/train"):
        if path.endswith("train"):
            written(tmp_path / "b/fairface-img-margin025-trainval", tables)
        assert load_images(tmp_path / "b" / path).attributes["age"].tolist() == ["50-59", "more than 70"]
    assert load_images(zipped(tmp_path / "c.zip", fair("train/1.jpg", "train/2.jpg") | {"any.csv": TRAIN})).attributes.shape == (2, 3)


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"any.csv": TRAIN}, "labels but no image"),
        (fair("train/1.jpg") | {"any.csv": TRAIN}, "1 file.*train/2.jpg"),
        (fair("train/1.jpg", "train/2.jpg", "train/3.jpg") | {"any.csv": TRAIN}, "no row for 1 image.*train/3.jpg"),
        (fair("train/1.jpg", "train/2.jpg") | {"any.csv": TRAIN + '"train/3.jpg,1'}, "any.csv"),
    ],
    ids=["empty", "missing", "unlabelled", "quote"],
)
def test_fairface_empty_and_broken(tmp_path, files, match):
    refused(written(tmp_path / "fairface", files), match)


# CIFAR


def python2_batch(images, **lists):
    """What Python 2 wrote for CIFAR, opcode by opcode: {'data': uint8 [N,3072], 'labels': [..]}."""
    data = images.transpose(0, 3, 1, 2).tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K"
        + bytes([len(images)])
        + b"M\x00\x0c\x86cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + len(data).to_bytes(4, "little")
        + data
        + b"tb"
    )
    named = b"".join(
        b"U" + bytes([len(k)]) + k.encode() + b"](" + b"".join(b"K" + bytes([v]) for v in values) + b"e" for k, values in lists.items()
    )
    return b"\x80\x02}(U\x04data" + array + named + b"u."


def strings(**lists):
    """Likewise for a meta file: {'label_names': ['airplane', ...]}."""
    texts = {k: b"".join(b"U" + bytes([len(v)]) + v.encode() for v in values) for k, values in lists.items()}
    return b"\x80\x02}(" + b"".join(b"U" + bytes([len(k)]) + k.encode() + b"](" + v + b"e" for k, v in texts.items()) + b"u."


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def cifar10(folder="cifar-10-batches-py/"):
    return {
        f"{folder}data_batch_1": python2_batch(IMAGES[:2], labels=[1, 0]),
        f"{folder}data_batch_2": python2_batch(IMAGES[2:4], labels=[0, 0]),
        f"{folder}test_batch": python2_batch(IMAGES[4:], labels=[1, 1]),
        f"{folder}batches.meta": strings(label_names=["airplane", "automobile"]),
        f"{folder}readme.html": b"<html>",
    }


def tarred(path, files, links=()):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return path


def test_the_batches_of_this_test_are_what_python_reads():
    batch = pickle.loads(python2_batch(IMAGES[:2], labels=[1, 0]), encoding="bytes")
    assert batch[b"labels"] == [1, 0] and np.array_equal(batch[b"data"], IMAGES[:2].transpose(0, 3, 1, 2).reshape(2, 3072))


def test_cifar_10_folder_zip_and_archive(tmp_path):
    root = written(tmp_path, cifar10())
    for path in (
        root / "cifar-10-batches-py",
        tarred(tmp_path / "cifar-10-python.tar.gz", cifar10()),
        zipped(tmp_path / "cifar.zip", cifar10()),
    ):
        found = load_images(path)
        assert np.array_equal(found.images, IMAGES[:4]), path
        assert found.attributes["label"].tolist() == ["automobile", "airplane", "airplane", "airplane"]
    only = written(tmp_path / "only", {"test_batch": cifar10("")["test_batch"]})
    assert load_images(only).attributes["label"].tolist() == ["1", "1"]
    assert load_images(only, 16).images.shape == (2, 16, 16, 3)


def cifar100():
    return {
        "cifar-100-python/train": python2_batch(IMAGES[:3], fine_labels=[1, 0, 1], coarse_labels=[0, 0, 0]),
        "cifar-100-python/test": python2_batch(IMAGES[3:], fine_labels=[0, 0, 0], coarse_labels=[0, 0, 0]),
        "cifar-100-python/meta": strings(fine_label_names=["apple", "bear"], coarse_label_names=["things"]),
        "cifar-100-python/file.txt~": b"",
    }


def test_cifar_100_has_two_labels(tmp_path):
    files = cifar100()
    for path in (written(tmp_path, files) / "cifar-100-python", tarred(tmp_path / "cifar-100-python.tar.gz", files)):
        found = load_images(path)
        assert np.array_equal(found.images, IMAGES[:3])
        assert found.attributes.to_dict("list") == {"label": ["bear", "apple", "bear"], "superclass": ["things"] * 3}


def test_both_cifars_are_not_one_set(tmp_path):
    """torchvision keeps them side by side: they became one set of 150,000 images without labels."""
    files = cifar10() | cifar100()
    for path in (written(tmp_path / "data", files), zipped(tmp_path / "both.zip", files), tarred(tmp_path / "both.tar.gz", files)):
        refused(path, f"{path.name} holds CIFAR batches in 2 folders: cifar-10-batches-py, cifar-100-python; give one of them")
    assert len(load_images(tmp_path / "data" / "cifar-100-python")) == 3


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_batch_written_by_todays_python_is_read_too(tmp_path, protocol):
    batch = {"data": IMAGES[:2].transpose(0, 3, 1, 2).reshape(2, 3072), "labels": [0, 1]}
    root = written(tmp_path / "x", {"data_batch_1": pickle.dumps(batch, protocol=protocol)})
    assert np.array_equal(load_images(root).images, IMAGES[:2])


class Evil:
    def __reduce__(self):
        return os.system, ("touch hacked",)


class Opener:
    def __reduce__(self):
        return open, ("hacked", "w")


def memory_hog():
    return b"\x80\x02}r" + (2**31 - 1).to_bytes(4, "little") + b"."  # an index for which the unpickler in C takes 32 GB


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (pickle.dumps({"data": Evil()}), r"asks to run (posix|nt)\.system; do not use"),
        (pickle.dumps(Opener()), r"asks to run (_?io)\.open"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (pickle.dumps({"data": np.array([{}], object)}), "array that is not of uint8"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.float32)}), "not of uint8"),
        (pickle.dumps({"data": np.zeros((2, 99), np.uint8)}, protocol=4), r"no \[N,3072\] uint8"),
        (pickle.dumps([1, 2]), r"no \[N,3072\]"),
        (memory_hog(), r"no \[N,3072\]"),
        (b"", "cannot be read"),
        (b"nonsense", "cannot be read"),
        (python2_batch(IMAGES[:2], labels=[1])[:3000], "cannot be read"),
    ],
)
def test_a_hostile_or_broken_batch_runs_nothing(tmp_path, monkeypatch, data, match):
    monkeypatch.chdir(tmp_path)
    root = written(tmp_path / "x", {"data_batch_1": data})
    before = set(tmp_path.rglob("*"))
    refused(root, match)
    refused(tarred(tmp_path / "x.tar.gz", {"data_batch_1": data}), match)
    assert set(tmp_path.rglob("*")) == before | {tmp_path / "x.tar.gz"}


def nested_key(depth):
    """A dict whose key is a tuple of twice the same tuple of ...: its hash takes 2^depth steps."""
    return b"\x80\x02}(K\x01" + b"2\x86" * depth + b"K\x00u."


def nested_name(depth):
    """Likewise a list, for whoever turns it into text."""
    return b"\x80\x02}(U\x0blabel_names]" + b"]q\x000" + b"](h\x00h\x00eq\x000" * depth + b"h\x00au."


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (nested_key(200), "a key that is not text"),
        (b"\x80\x04\x8f(" + b"K\x01" + b"2\x86" * 200 + b"\x90.", "cannot be read"),  # a set of such
        (b"\x80\x02(" + b"K\x01" + b"2\x86" * 200 + b"K\x00d.", "cannot be read"),  # a dict made at once
        (pickle.dumps({"data": b"x" * 50_000, "labels": [1] * 1_200_000}, 2), "far too many values"),
        (b"\x80\x02X\xff\x00\x00\x00" + b"x" * 255 + b"q\x00(" + b"c_codecs\nencode\nh\x00\x85R" * 50 + b"l.", "more than it holds"),
        (b"cnumpy._core.numeric\n_frombuffer\n(I99999999999\nNNNtR.", "without bytes"),
    ],
)
def test_a_pickle_costs_no_more_than_its_size(data, match):
    start = time.process_time()
    with pytest.raises(UserInputError, match=match):
        restricted_loads(data, "evil", "path")
    assert time.process_time() - start < 5


def test_labels_of_a_pickle_are_numbers_and_text(tmp_path):
    batch = {"data": IMAGES[:2].transpose(0, 3, 1, 2).reshape(2, 3072), "labels": [0, 10**400]}
    root = written(tmp_path / "x", {"data_batch_1": pickle.dumps(batch, 2), "batches.meta": nested_name(60)})
    assert load_images(root).attributes is None
    (root / "data_batch_1").write_bytes(pickle.dumps({**batch, "labels": [0, 1]}, 2))
    assert load_images(root).attributes["label"].tolist() == ["0", "1"]  # such a name as text would take 2^60 letters


def test_one_hostile_pickle_leaves_nothing_behind_for_the_next():
    for called in (b"numpy\nndarray", b"numpy\ndtype", b"numpy.core.multiarray\n_reconstruct"):
        with suppress(UserInputError):  # tries to set an attribute on the class or function itself
            restricted_loads(b"c" + called + b"\n(N}S'__init__'\nNstb.", "evil", "path")
    assert np.array_equal(restricted_loads(python2_batch(IMAGES[:1]), "good", "path")["data"][0, :3], IMAGES[0, 0, :3, 0])


def test_archives_that_are_not_cifar(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"nonsense")
    refused(tmp_path / "a.tar.gz", "a.tar.gz is not a readable tar.gz")
    refused(tarred(tmp_path / "b.tar.gz", {}), "no CIFAR batches")
    refused(tarred(tmp_path / "c.tar.gz", {"x.png": encoded(pixels(0))}, links=["data_batch_1"]), "no CIFAR batches")
    whole = tarred(tmp_path / "d.tar.gz", cifar10()).read_bytes()
    (tmp_path / "e.tar.gz").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "e.tar.gz", "not a readable tar.gz")


def test_an_archive_that_unpacks_without_end_is_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr("tiw.data.cifar.MAX_UNPACKED", 1 << 20)
    bomb = tarfile.TarInfo("data_batch_1")
    bomb.size = 1 << 30
    with gzip.open(tmp_path / "bomb.tar.gz", "wb") as file:
        file.write(bomb.tobuf())
        for _ in range(4):
            file.write(bytes(1 << 20))
    refused(tmp_path / "bomb.tar.gz", "unpacks to more than")


# numpy, parquet, hub


def test_npy_both_layouts_and_its_errors(tmp_path):
    images = np.stack([pixels(k) for k in range(3)])
    np.save(tmp_path / "a.npy", images)
    np.save(tmp_path / "b.npy", np.asfortranarray(images.transpose(0, 3, 1, 2)))
    assert np.array_equal(load_images(tmp_path / "a.npy").images, images) and np.array_equal(load_images(tmp_path / "b.npy").images, images)
    np.savez_compressed(tmp_path / "c.npz", images=np.asfortranarray(images), names=np.array([b"x", b"y", b"z"]), id=np.arange(9))
    found = load_images(tmp_path / "c.npz")
    assert np.array_equal(found.images, images) and found.attributes.to_dict("list") == {"names": ["x", "y", "z"]}
    assert load_images(tmp_path / "c.npz", 16).images.shape == (3, 16, 16, 3)
    np.save(tmp_path / "empty.npy", images[:0])
    refused(tmp_path / "empty.npy", "0 usable")
    np.save(tmp_path / "wide.npy", images[:, :4])
    refused(tmp_path / "wide.npy", "8x4.*resolution of 16")
    np.save(tmp_path / "objects.npy", np.array([{}, {}], object))
    refused(tmp_path / "objects.npy", "no plain array|cannot be read")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:200])
    refused(tmp_path / "cut.npy", "cannot be read")


def test_coded_classes_of_a_parquet_file_get_their_names(tmp_path):
    names = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}}}
    table = pa.table({"image": [{"bytes": encoded(pixels(k)), "path": None} for k in range(3)], "label": [1, 0, 1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), tmp_path / "a.parquet")
    assert load_images(tmp_path / "a.parquet").attributes["label"].tolist() == ["dog", "cat", "dog"]
    pq.write_table(table.slice(0, 0), tmp_path / "empty.parquet")
    refused(tmp_path / "empty.parquet", "0 usable")
    pq.write_table(pa.table({"image": [encoded(pixels(0)), None, encoded(pixels(1))]}), tmp_path / "b.parquet")
    refused(tmp_path / "b.parquet", "1 of 3.*row 1")
    assert load_images(tmp_path / "b.parquet", skip_bad=True).skipped[0].startswith("row 1 (unreadable")


class HubSet:
    """What this code uses of a loaded data set of the package `datasets`."""

    def __init__(self, rows, features):
        self.rows, self.features = rows, features

    def cast_column(self, name, feature):
        assert feature.decode is False
        return self

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        return [row[key] for row in self.rows] if isinstance(key, str) else self.rows[key]


def hub(monkeypatch, found):
    """Stand-ins for the packages `datasets` and `huggingface_hub`: what was asked of them, and the former."""
    asked = []

    def load_dataset(name, split, revision):
        asked.append((name, split, revision))
        if isinstance(found, Exception):
            raise found
        return found

    class HfApi:
        def dataset_info(self, name, revision):
            return SimpleNamespace(sha={None: "c0ffee", "v1": "beef"}[revision])

    image = type("Image", (), {"__init__": lambda self, decode=True: setattr(self, "decode", decode)})
    module = ModuleType("datasets")
    module.load_dataset, module.Image = load_dataset, image
    of_hub = ModuleType("huggingface_hub")
    of_hub.HfApi = HfApi
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub", of_hub)
    return asked, module


def test_a_data_set_of_the_hub_is_read_at_one_commit(tmp_path, monkeypatch):
    (tmp_path / "1.png").write_bytes(encoded(pixels(1)))
    images = [{"bytes": encoded(pixels(0)), "path": None}, {"bytes": None, "path": str(tmp_path / "1.png")}] * 2
    found = HubSet([{"image": image, "label": k % 2, "score": 0.5 + k} for k, image in enumerate(images)], {})
    asked, module = hub(monkeypatch, found)
    found.features = {
        "image": module.Image(),
        "label": SimpleNamespace(names=["cat", "dog"], dtype="int64"),
        "score": SimpleNamespace(dtype="float32"),
    }
    loaded = load_images("hub:owner/name:test")
    assert asked == [("owner/name", "test", "c0ffee")] and loaded.attributes.to_dict("list") == {"label": ["cat", "dog"] * 2}
    assert np.array_equal(loaded.images[:2], np.stack([pixels(0), pixels(1)]))
    assert loaded.revision == loaded.about()["revision"] == "c0ffee"
    load_images("hub:owner/name@v1")
    assert asked[-1] == ("owner/name", "train", "beef")
    write_rows(tmp_path / "rows.json", "hub:owner/name", np.array([1, 3]))
    assert source_of(tmp_path / "rows.json") == "hub:owner/name@c0ffee:train"


def test_a_hub_that_cannot_help(monkeypatch):
    hub(monkeypatch, ConnectionError("no route\nto host"))
    refused("hub:owner/name", "cannot be loaded .no route.")
    hub(monkeypatch, HubSet([], {"text": SimpleNamespace(dtype="string")}))
    refused("hub:owner/name", "none with images")
    for wrong in ("hub:", "hub:../x", "hub:https://host/x", "hub:a/b/c", "hub:a b"):
        refused(wrong, "names no data set")
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused("hub:owner/name", "needs the package datasets, which is not installed; install it")
