"""Files as they come: links, Windows' and macOS's names, formats by content, tables under any name, folders that are no classes."""

import io
import json
import os
import struct
import time
import unicodedata
import zipfile
import zlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import written, zipped
from PIL import Image

from tiw.data import Limits, decode, load_images, memory, npz_rows, tidy_path, trees
from tiw.data.folders import class_folders
from tiw.data.sniff import kind_of
from tiw.errors import UserInputError


def picture(k, side=8):
    return np.random.default_rng(k).integers(0, 256, (side, side, 3), dtype=np.uint8)


def saved(k=0, format="PNG", image=None, **how):
    out = io.BytesIO()
    (Image.fromarray(picture(k)) if image is None else image).save(out, format, **how)
    return out.getvalue()


def labels_of(found):
    return dict(zip(found.sources, found.attributes.iloc[:, 0], strict=True))


# names


def test_a_zip_packed_on_windows_has_its_folders_and_its_table(tmp_path):
    files = {f"faces\\{'cat' if k % 2 else 'dog'}\\{k}.png": saved(k) for k in range(4)}
    assert load_images(zipped(tmp_path / "a.zip", {"faces\\": b"", **files})).attributes["label"].tolist() == ["cat", "cat", "dog", "dog"]
    files = {f"set\\{k}.png": saved(k) for k in range(3)} | {"set\\metadata.csv": "file_name,sex\n0.png,f\n2.png,m\n"}
    found = load_images(zipped(tmp_path / "b.zip", files))
    assert labels_of(found) == {"set/0.png": "f", "set/2.png": "m"}
    assert found.skipped == ("set/1.png (not in the table: set/metadata.csv does not name it)",)


@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_match_however_their_accents_are_written(tmp_path, forms):
    names = ["Müller", "José", "Zoë"]
    files = {unicodedata.normalize(forms[0], f"{name}.png"): saved(k) for k, name in enumerate(names)}
    table = "file_name,who\n" + "".join(f"{unicodedata.normalize(forms[1], name)}.png,{k}\n" for k, name in enumerate(names))
    found = load_images(written(tmp_path / "set", files | {"metadata.csv": table}))
    assert found.attributes["who"].tolist() == ["0", "1", "2"] and found.sources[0] == "Müller.png"
    for form in forms:
        written(tmp_path / form, {unicodedata.normalize(form, f"{name}/{name}.png"): saved(k) for k, name in enumerate(names)})
    assert load_images(tmp_path / "NFC").attributes.equals(load_images(tmp_path / "NFD").attributes)


def test_a_file_that_is_twice_in_a_zip_is_said(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for k, name in enumerate(("1.png", "2.png", "1.png")):
            archive.writestr(name, saved(k))
    found = load_images(tmp_path / "a.zip")
    assert np.array_equal(found.images[0], picture(2)) and "1 file(s) are in a.zip twice, for instance 1.png" in found.notes[0]


def test_a_table_whose_name_in_the_zip_is_damaged_is_named(tmp_path):
    """Found by benchmarks/fuzz_data.py: the name before the data said UTF-8 and was not."""
    path = zipped(tmp_path / "a.zip", {"1.png": saved(1), "2.png": saved(2), "metadata.csv": HEAD + "1.png,f\n2.png,m\n"})
    data = bytearray(path.read_bytes())
    header = data.rindex(b"PK\x03\x04")
    data[header + 7] |= 8  # names are UTF-8
    data[header + 30 + 5] = 0xC6
    path.write_bytes(data)
    with pytest.raises(UserInputError, match=r"metadata\.csv in a\.zip cannot be read"):
        load_images(path)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: zipped(path, {"..\\evil.png": saved(1), "2.png": saved(2)}), "points outside it"),
        (lambda path: zipped(path, {"a/../../evil.png": saved(1), "2.png": saved(2)}), "points outside it"),
        (lambda path: encrypted(zipped(path, {"1.png": saved(1), "2.png": saved(2)})), "is encrypted; pack it without a password"),
    ],
)
def test_a_zip_that_points_outside_or_is_locked_is_refused(tmp_path, make, sentence):
    with pytest.raises(UserInputError, match=sentence):
        load_images(make(tmp_path / "a.zip"))


def encrypted(path):
    """The zip with the flag that says so, in both of its places."""
    data = path.read_bytes()
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + offset
        data = data[:at] + bytes([data[at] | 1]) + data[at + 1 :]
    path.write_bytes(data)
    return path


def test_twenty_thousand_entries_are_within_limits_or_refused_before_any_is_read(tmp_path):
    path = zipped(tmp_path / "many.zip", {f"{k}.png": b"x" for k in range(20_000)})
    with pytest.raises(UserInputError, match="it has 20,000 images, more than the 10,000 allowed here"):
        load_images(path, limits=Limits(images=10_000))


def test_a_member_larger_than_any_image_and_a_folder_without_end_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "MAX_MEMBER", 5000)
    monkeypatch.setattr(trees, "MAX_FILES", 3)
    zipped(tmp_path / "a.zip", {"1.png": saved(1), "2.png": saved(2), "3.png": os.urandom(6000)}, zipfile.ZIP_STORED)
    with pytest.raises(UserInputError, match=r"'3.png' in a.zip would unpack from 6,000 to 6,000 bytes"):
        load_images(tmp_path / "a.zip")
    with pytest.raises(UserInputError, match="holds more than 3 files; check for links"):
        load_images(written(tmp_path / "set", {f"{k}.png": saved(k) for k in range(4)}))


@pytest.mark.parametrize(
    ("limits", "resolution", "sentence"),
    [
        (Limits(pixels=190), 0, "its files have more than 0 million pixels together"),
        (Limits(result_bytes=570), 0, "3 images of 8 pixels a side take 1 KiB, more than the 1 KiB allowed here"),
        (Limits(result_bytes=2300), 16, "3 images of 16 pixels a side take 2 KiB"),
    ],
)
def test_pixels_that_come_as_numbers_are_bounded_as_files_are(tmp_path, limits, resolution, sentence):
    np.savez(tmp_path / "a.npz", images=np.stack([picture(k) for k in range(3)]))
    np.save(tmp_path / "a.npy", np.stack([picture(k) for k in range(3)]))
    for name in ("a.npz", "a.npy"):
        with pytest.raises(UserInputError, match=sentence):
            load_images(tmp_path / name, resolution, limits=limits)
        assert len(load_images(tmp_path / name, resolution, limits=Limits(pixels=192, result_bytes=2304))) == 3


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_pixels_of_an_npz_lie_where_there_is_room(tmp_path, monkeypatch, save):
    save(tmp_path / "a.npz", images=np.stack([picture(k) for k in range(3)]))
    monkeypatch.setenv("TIW_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(memory, "IN_MEMORY", 100)
    assert isinstance(load_images(tmp_path / "a.npz").images, np.memmap)
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda folder: SimpleNamespace(free=500))
    with pytest.raises(UserInputError, match=r"its 3 images of 8x8 take 0.0 GiB, .* has 0.0 GiB free"):
        load_images(tmp_path / "a.npz")


def test_no_two_large_images_are_decoded_at_the_same_time(tmp_path, monkeypatch):
    """Each of 64 million pixels takes 256 MB and more while it is decoded, and four threads decode."""
    root = written(tmp_path / "set", {f"{k}.png": saved(k) for k in range(8)})
    decoded, now, most = decode._decoded, [], []

    def slowly(*given):
        now.append(1)
        most.append(len(now))
        time.sleep(0.02)
        now.pop()
        return decoded(*given)

    monkeypatch.setattr(decode, "_decoded", slowly)
    load_images(root)
    assert max(most) > 1, "small ones are"
    most.clear()
    monkeypatch.setattr(decode, "BIG", 63)
    load_images(root)
    assert max(most) == 1


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_of_an_array_are_those_of_the_whole(tmp_path, save):
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    save(tmp_path / "a.npz", seeds=np.arange(50), images=images)
    for rows in (slice(None), slice(0, 3), slice(24, 48), slice(48, 72), slice(60, 70), slice(5, 2)):
        assert np.array_equal(npz_rows(tmp_path / "a.npz", "images", rows), images[rows])
        assert np.array_equal(npz_rows(tmp_path / "a.npz", "seeds", rows), np.arange(50)[rows])
    with pytest.raises(KeyError):
        npz_rows(tmp_path / "a.npz", "others")


def test_links_are_followed_and_never_round_in_a_circle(tmp_path):
    written(tmp_path / "store", {f"{sex}/{k}.png": saved(k + 10 * len(sex)) for sex in ("man", "woman") for k in range(2)})
    root = written(tmp_path / "set", {"child/0.png": saved(99)})
    for sex in ("man", "woman"):
        (root / sex).symlink_to(tmp_path / "store" / sex)
    (root / "child" / "again").symlink_to(root)
    (root / "man" / "up").symlink_to(tmp_path / "store")
    found = load_images(root)
    assert set(found.attributes["label"]) >= {"man", "woman"} and len(found) < 40
    (tmp_path / "store" / "man" / "up").unlink()
    (root / "child" / "again").unlink()
    assert load_images(root).attributes["label"].tolist() == ["child", "man", "man", "woman", "woman"]
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(UserInputError, match=r"1 of 6 images cannot be used: 1 unreadable, for instance gone.png \(No such file") as caught:
        load_images(root)
    assert "nowhere" not in str(caught.value)
    os.mkfifo(root / "pipe.png")  # would wait for ever
    assert len(load_images(root, skip_bad=True)) == 5


# formats


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.jfif", "JPEG"), ("a.avif", "AVIF"), ("a.jp2", "JPEG2000"), ("a.ppm", "PPM"), ("a", "PNG"), ("a.xyz", "WEBP"), ("a.png", "JPEG")]
    + [("b", format) for format in ("JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")],
)
def test_what_pillow_reads_is_read_by_content(tmp_path, name, format):
    data = saved(1, format)
    assert kind_of(data)
    root = written(tmp_path / "set", {"0.png": saved(0), name: data})
    assert sorted(load_images(root).sources) == sorted(["0.png", name])
    assert len(load_images(zipped(tmp_path / "a.zip", {"0.png": saved(0), name: data}))) == 2


def test_text_and_pickles_are_no_images():
    for data in (b"", b"BM is text", b"P1 is no picture", b"RIFFxxxxWAVE", b"PK\x03\x04", b"\x80\x04.", b"%PDF-1.4", b"GIF is text"):
        assert kind_of(data) == ""


def test_cmyk_and_sixteen_bits_are_converted_with_a_word(tmp_path):
    ramp = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    files = {
        "cmyk.jpg": saved(format="JPEG", image=Image.new("CMYK", (8, 8), (0, 255, 255, 0))),
        "grey16.png": saved(image=Image.fromarray(ramp)),
        "grey16.tif": saved(format="TIFF", image=Image.fromarray(ramp)),
        "plain.png": saved(image=Image.new("RGB", (8, 8), (1, 2, 3))),
        "see-through.png": saved(image=Image.new("RGBA", (8, 8), (0, 0, 0, 0))),
        "solid.png": saved(image=Image.new("RGBA", (8, 8), (9, 9, 9, 255))),
    }
    found = load_images(written(tmp_path / "set", files))
    assert found.skipped == () and found.images[3].tolist() == [[[1, 2, 3]] * 8] * 8
    assert found.images[0, 0, 0, 0] > 200 > 60 > found.images[0, 0, 0, 1:].max()  # red
    exact = np.round(ramp / 257)  # 65535 becomes 255
    for k in (1, 2):
        assert np.abs(found.images[k].astype(int) - exact[..., None]).max() <= 1 and found.images[k].max() == 255
    assert (found.images[4] == 255).all()
    said = " ".join(found.notes)
    for word in ("1 image(s) in printing colours (CMYK)", "2 image(s) with 16 bits", "1 image(s) with transparent parts"):
        assert word in said


def deep_png(mode, values):
    """A PNG of 16 bits a colour, [H,W,C], which Pillow does not write; mode: 2 RGB, 4 grey and alpha, 6 RGBA."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", *values.shape[1::-1], 16, mode, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def deep_tiff(values):
    """A TIFF of 16 bits a colour, [H,W,3]."""
    height, width, _ = values.shape
    short, long = 3, 4
    tags = [(256, short, 1, width), (257, short, 1, height), (258, short, 3, 110), (259, short, 1, 1), (262, short, 1, 2)]
    tags += [(273, long, 1, 116), (277, short, 1, 3), (278, short, 1, height)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return (b"II*\0" + struct.pack("<I", 8) + directory).ljust(110, b"\0") + struct.pack("<3H", 16, 16, 16) + values.astype("<u2").tobytes()


def test_sixteen_bits_a_colour_are_read_with_a_word(tmp_path):
    """Pillow opens them as images of 8 bits; only greys were noticed."""
    deep, opaque = picture(1).astype(np.uint16) * 257, np.full((8, 8, 1), 65535, np.uint16)
    files = {
        "0.png": deep_png(2, deep),
        "1.png": deep_png(4, np.concatenate([deep[..., :1], opaque], 2)),
        "2.png": deep_png(6, np.concatenate([deep, opaque], 2)),
        "3.tif": deep_tiff(deep),
        "4.png": saved(1),
        "5.png": saved(image=Image.fromarray(picture(1)).convert("RGBA")),
        "6.ppm": b"P6 8 8 65535\n" + deep.astype(">u2").tobytes(),
        "7.ppm": b"P6 8 8 255\n" + picture(1).tobytes(),
    }
    found = load_images(written(tmp_path / "set", files))
    assert all(np.array_equal(found.images[k], picture(1)) for k in (0, 2, 3, 4, 6, 7))
    assert np.array_equal(found.images[1], picture(1)[..., :1].repeat(3, 2))
    assert found.notes == ("5 image(s) with 16 bits a pixel were converted to 8, for instance 0.png.",)


def test_an_image_that_loses_two_things_counts_for_both(tmp_path):
    see_through = np.concatenate([picture(1).astype(np.uint16) * 257, np.full((8, 8, 1), 257, np.uint16)], 2)
    found = load_images(written(tmp_path / "set", {"0.png": deep_png(6, see_through), "1.png": saved(1)}))
    assert [note.split(", ")[0] for note in found.notes] == [
        "1 image(s) with 16 bits a pixel were converted to 8",
        "1 image(s) with transparent parts were put on white",
    ]


def test_what_is_not_read_is_counted_and_named(tmp_path):
    heic = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(99)
    files = {"1.png": saved(1), "2.png": saved(2), "3.heic": heic, "4.svg": "<svg/>", "5.CR2": b"II*\x00", "empty.png": b""}
    root = written(tmp_path / "set", files | {"notes.txt": "x", "clip.mp4": b"x", ".DS_Store": b"x", "._1.png": b"x", "Thumbs.db": b"x"})
    with pytest.raises(UserInputError, match=r"4 of 6 images cannot be used: .*2 other format.*1 HEIC.*1 unreadable") as caught:
        load_images(root)
    assert "pillow-heif" in str(caught.value) or "HEIC" in str(caught.value)
    found = load_images(root, skip_bad=True)
    assert len(found) == 2 and sorted(line.split(" ")[0] for line in found.skipped) == ["3.heic", "4.svg", "5.CR2", "empty.png"]
    assert found.notes == ("2 file(s) that are not images were left out: clip.mp4, notes.txt.",)
    assert found.about()["left_out"] == list(found.skipped)


def test_nothing_large_is_decoded_where_a_size_must_be_chosen(tmp_path, monkeypatch):
    root = written(tmp_path / "set", {f"{k}.png": saved(image=Image.new("RGB", (2000, 2000))) for k in range(2)})
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(UserInputError, match=r"the images are 2000x2000 pixels; crop and resize .* 1024") as caught:
        load_images(root)
    assert caught.value.offers == {"resolution": 1024}
    for resolution in (8, 1025, -1, 10**9):
        with pytest.raises(UserInputError, match=f"resolution: it is {resolution}; choose 16 to 1024"):
            load_images(root, resolution)


# tables


ROWS = "".join(f"{k}.png,{'fm'[k % 2]}\n" for k in range(4))
HEAD = "file_name,sex\n"


def with_table(root, name, text, encoding="utf-8", below=""):
    files = {os.path.join(below, f"{k}.png"): saved(k) for k in range(4)}
    return written(root / "set", files | {name: text.encode(encoding) if isinstance(text, str) else text})


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("metadata.csv", "\ufeff" + HEAD + ROWS, "utf-8"),
        ("metadata.csv", HEAD + ROWS, "utf-16"),
        ("metadata.csv", (HEAD + ROWS).replace("\n", "\r\n"), "utf-8"),
        ("metadata.csv", (HEAD + ROWS).replace(",", ";"), "utf-8"),
        ("metadata.csv", (HEAD + ROWS).replace(",", " , "), "utf-8"),
        ("metadata.csv", HEAD + ROWS + ",\n , \n\n", "utf-8"),
        ("metadata.csv", HEAD + ROWS.replace(".png", ""), "utf-8"),
        ("metadata.csv", HEAD + ROWS.replace(".png", ".PNG"), "utf-8"),
        ("metadata.csv", HEAD + "".join(f"D:\\data\\faces\\{row}\n" for row in ROWS.split()), "utf-8"),
        ("metadata.csv", HEAD + "".join(f"./{row}\n" for row in ROWS.split()), "utf-8"),
        ("metadata.csv", HEAD + ROWS + "0.png,f\n", "utf-8"),
        ("metadata.csv", ",file_name,sex\n" + "".join(f"{k},{row}\n" for k, row in enumerate(ROWS.split())), "utf-8"),
        ("metadata.csv", "image,sex\n" + ROWS, "utf-8"),
        ("Metadata.CSV", HEAD + ROWS, "utf-8"),
        ("metadata.tsv", (HEAD + ROWS).replace(",", "\t"), "utf-8"),
        ("metadata1000.jsonl", "".join(json.dumps({"image": f"{k}.png", "sex": "fm"[k % 2]}) + "\n" for k in range(4)), "utf-8"),
        ("metadata.jsonl", json.dumps([{"file_name": f"{k}.png", "sex": "fm"[k % 2]} for k in range(4)]), "utf-8"),
        ("labels.csv", HEAD + ROWS, "utf-8"),
        ("faces.tsv", ("filename,sex\n" + ROWS).replace(",", "\t"), "utf-8"),
    ],
)
def test_a_table_is_read_under_any_name_and_in_any_spelling(tmp_path, name, text, encoding):
    found = load_images(with_table(tmp_path, name, text, encoding))
    assert list(found.attributes) == ["sex"] and labels_of(found) == {f"{k}.png": "fm"[k % 2] for k in range(4)}
    assert not found.skipped


def test_a_table_finds_images_in_folders(tmp_path):
    assert len(labels_of(load_images(with_table(tmp_path, "metadata.csv", HEAD + ROWS, below="images")))) == 4
    windows = HEAD + "".join(f"images\\{row}\n" for row in ROWS.split())
    (tmp_path / "set" / "metadata.csv").write_text(windows)
    assert labels_of(load_images(tmp_path / "set"))["images/1.png"] == "m"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + "".join(f"../other/{row}\n" for row in ROWS.split()), "names 4 file.s. that are not there: '../other/0.png'"),
        (HEAD + "".join(f"val/{row}\n" for row in ROWS.split()), "names 4 file.s. that are not there: 'val/0.png'"),
        (HEAD + ROWS + "0.png,m\n", "names 0.png twice, with different labels"),
        (HEAD + ROWS + "1.png,f,extra\n", "cannot be read"),
        (HEAD + ROWS.replace("\n", ",x\n"), "rows longer than its header"),
        (HEAD, "has no row"),
        ("", "cannot be read"),
        (bytes(range(256)) * 9, "it is not text"),
        ("name\n" + "x\n", "has the columns name; name the images in a column file_name"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path, text, sentence):
    with pytest.raises(UserInputError, match=sentence):
        load_images(with_table(tmp_path, "metadata.csv", text))


def test_a_table_that_is_not_used_is_said(tmp_path):
    root = with_table(tmp_path, "other.csv", "who,sex\n1,f\n")
    assert any("other.csv lies there unused" in note for note in load_images(root).notes)
    classes = written(tmp_path / "classes", {"a/1.png": saved(1), "b/2.png": saved(2), "labels.csv": "file,sex\na/1.png,f\nb/2.png,m\n"})
    found = load_images(classes)
    assert found.attributes["label"].tolist() == ["a", "b"] and any("labels.csv lies there unused" in note for note in found.notes)


def test_labels_that_a_table_found_by_itself_lacks_are_missing(tmp_path):
    found = load_images(with_table(tmp_path, "labels.csv", HEAD + "0.png,f\n1.png,m\n9.png,m\n3.png,-\n"))
    assert found.attributes["sex"].tolist() == ["f", "m", None, "-"] and "1 of 4 images have no value for sex." in found.notes


def test_text_of_windows_is_read_with_a_word(tmp_path):
    found = load_images(with_table(tmp_path, "metadata.csv", HEAD + ROWS.replace(",f", ",féminin"), "latin-1"))
    assert found.attributes["sex"][0] == "féminin" and any("not in UTF-8" in note for note in found.notes)


def test_signs_and_captions_are_labels_like_others(tmp_path):
    rows = HEAD + "0.png,-\n1.png,+\n2.png,@me\n3.png,=1+1\n"
    assert load_images(with_table(tmp_path, "metadata.csv", rows)).attributes["sex"].tolist() == ["-", "+", "@me", "=1+1"]


# folders


@pytest.mark.parametrize(
    ("names", "classes", "said"),
    [
        (["cat/1.png", "dog/2.png"], ["cat", "dog"], ""),
        (["x/cat/1.png", "x/dog/2.png"], ["cat", "dog"], ""),
        (["cat/images/1.png", "dog/images/2.png"], ["cat", "dog"], ""),
        (["dog/pug/1.png", "dog/boxer/2.png", "cat/3.png"], ["dog", "dog", "cat"], ""),
        (["train/cat/1.png", "test/dog/2.png", "test/cat/3.png"], ["cat", "dog", "cat"], "test, train were put together"),
        ([f"{k}/1.png" for k in range(10)], [str(k) for k in range(10)], ""),
        (["train/1.png", "test/2.png"], None, "test, train were put together"),
        (["1.png", "cat/2.png"], None, "cat were not taken for classes, since 1 image(s) lie outside"),
        (["1.png", "2.png"], None, ""),
        (["images/1.png", "images/2.png"], None, ""),
        (["00000/1.png", "00001/2.png"], None, "names only count"),
        (["part1/1.png", "part2/2.png"], None, "names only count"),
        (["DCIM/100CANON/1.jpg", "DCIM/101CANON/2.jpg"], None, "names only count"),
        (["2024-05-01/1.jpg", "2024-05-02/2.jpg"], None, "names only count"),
        ([f"person{k}/1.png" for k in range(30)], None, "there are 30 for 30 images"),
        ([], None, ""),
    ],
)
def test_folders_are_classes_only_where_they_name_some(names, classes, said):
    found, notes = class_folders(names)
    assert found == classes and said in " ".join(notes) and bool(said) == bool(notes)


def test_where_folders_are_no_classes_that_is_said(tmp_path):
    root = written(tmp_path / "set", {"a/1.png": saved(1), "b/2.png": saved(2), "3.png": saved(3)})
    found = load_images(root)
    assert found.attributes is None and "a, b were not taken for classes, since 1 image(s) lie outside them" in " ".join(found.notes)


# paths


@pytest.mark.parametrize("written_as", ["'{}'", '"{}"', "  {} ", "“{}”", "file://{}", "{}/", "'{}/'"])
def test_a_pasted_path_is_read(tmp_path, written_as):
    written(tmp_path / "my set", {"1.png": saved(1), "2.png": saved(2)})
    assert len(load_images(written_as.format(tmp_path / "my set"))) == 2


def test_what_is_no_path_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tidy_path("~/x") == str(tmp_path / "x") and tidy_path(" hub:a/b ") == "hub:a/b"
    for address in ("https://host/a.zip", "www.host.org/x", "S3://bucket/x"):
        with pytest.raises(UserInputError, match="is an address on the web; download the images"):
            load_images(address)
    for nothing in ("", "  ", "''", "a\0b"):
        with pytest.raises(UserInputError, match="no path is given"):
            load_images(nothing)
    with pytest.raises(UserInputError, match="does not exist"):
        load_images("/nowhere/x")
    with pytest.raises(UserInputError, match="File name too long"):
        load_images("x" * 300)
    (tmp_path / "empty.zip").write_bytes(b"")
    with pytest.raises(UserInputError, match=r"empty\.zip is empty"):
        load_images(tmp_path / "empty.zip")


def test_the_names_of_a_table_of_images_are_kept(tmp_path):
    images = [{"bytes": saved(k), "path": path} for k, path in enumerate(("a/1.png", "/home/me/2.png", None))]
    pd.DataFrame({"image": images}).to_parquet(tmp_path / "a.parquet")
    assert load_images(tmp_path / "a.parquet").sources.tolist() == ["a/1.png", "2.png", "row 2"]
