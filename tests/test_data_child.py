"""Reading in a process of its own, with bounds; what a set will cost beforehand; whether it is still the same."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tiw.data import Cancelled, ImageSet, Limits, child, estimate, limits, load_images, load_in_child, source_stamp, write_npz, write_rows
from tiw.errors import UserInputError
from tiw.run.folder import RunFolder
from tiw.run.inputs import read_set
from tiw.run.options import AuditOptions

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TIW_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "cache" / "sets"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(6):
        (tmp_path / "set" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "set" / "ab"[k % 2] / f"{k}.png")
    (tmp_path / "set" / "a" / "bad.png").write_bytes(b"nonsense")
    (tmp_path / "set" / "notes.txt").write_text("x")
    return tmp_path / "set"


def bomb(path, n=64, side=8000):
    """28 KB that decode to some 12 GB: one-colour images of a bit a pixel."""
    png = io.BytesIO()
    Image.new("1", (side, side)).save(png, "PNG")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(n):
            archive.writestr(f"{k}.png", png.getvalue())
    return path


def test_the_child_reads_what_this_process_would_and_keeps_it(folder, home, monkeypatch):
    seen = []
    found = load_in_child(str(folder), "biased", skip_bad=True, limits=Limits(), on_progress=lambda *done: seen.append(done))
    here = load_images(folder, skip_bad=True)
    assert found.fingerprint == here.fingerprint and found.attributes.equals(here.attributes)
    for name in ("name", "skipped", "notes", "revision"):
        assert getattr(found, name) == getattr(here, name), name
    assert found.sources.tolist() == here.sources.tolist() and found.files.equals(here.files)
    assert len(found.skipped) == 1 and any("notes.txt" in note for note in found.notes)
    assert isinstance(found.images, np.memmap)
    found.images[0] = 0  # stays in memory
    monkeypatch.setattr(child, "_run", None)  # nobody reads it again
    again = load_in_child(str(folder), "biased", 3, skip_bad=True, limits=Limits())
    assert len(again) == 3 and load_in_child(str(folder), "biased", skip_bad=True, limits=Limits()).fingerprint == here.fingerprint
    assert not [p for p in home.iterdir() if p.name.startswith(".")]


def test_the_users_error_comes_back_whole(folder):
    with pytest.raises(UserInputError) as here:
        load_images(folder, field="reference")
    with pytest.raises(UserInputError) as there:
        load_in_child(str(folder), "reference", limits=Limits())
    assert str(there.value) == str(here.value) and there.value.offers == {"skip_bad": True} and there.value.field == "reference"


def test_a_changed_file_is_read_again(folder):
    (folder / "a" / "bad.png").unlink()
    before = load_in_child(str(folder), "biased", limits=Limits())
    Image.new("RGB", (16, 16), "red").save(folder / "a" / "0.png")
    after = load_in_child(str(folder), "biased", limits=Limits())
    assert before.fingerprint != after.fingerprint and before.is_that_of(before.about()["fingerprint"])
    assert not after.is_that_of(before.about()["fingerprint"])


def test_whoever_comes_second_waits_for_the_first(folder, monkeypatch):
    started, run = [], child._run
    monkeypatch.setattr(child, "_run", lambda *args: (started.append(1), run(*args)))
    found = []
    read = lambda: found.append(load_in_child(str(folder), "biased", skip_bad=True, limits=Limits()))  # noqa: E731
    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len(started) == 1


def test_nobody_waits_any_more(folder, home):
    with pytest.raises(Cancelled):
        load_in_child(str(folder), "biased", skip_bad=True, limits=Limits(), cancelled=lambda: True)
    asked = iter([False] * 3)
    with pytest.raises(Cancelled):
        load_in_child(str(folder), "biased", skip_bad=True, limits=Limits(), cancelled=lambda: next(asked, True))
    assert not list(home.glob("*/about.json"))


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(seconds=0.2), "biased: reading it took more than 0.2 seconds"),
        (Limits(memory=2 - child.OVERHEAD), "more than .* of memory, or broke off"),
        (Limits(pixels=1e6), "biased: its files have more than 1 million pixels together"),
        (Limits(images=10), "biased: it has 64 images, more than the 10 allowed here"),
        (Limits(result_bytes=1000, memory=4 << 30), "64 images of 16 pixels a side take 48 KiB, more than the 1 KiB allowed here"),
    ],
)
def test_what_costs_too_much_ends_in_a_sentence(limits, sentence, tmp_path, home):
    path = bomb(tmp_path / "bomb.zip", side=1100)
    assert path.stat().st_size < 28_000
    with pytest.raises(UserInputError, match=sentence):
        load_in_child(str(path), "biased", resolution=16, limits=limits)
    assert not list(home.glob("*/about.json")) and not list(home.glob(".reading*"))


def test_a_child_that_stands_still_is_given_up(folder, home, monkeypatch):
    """One that ran out of memory while it started a thread waited for half an hour."""
    monkeypatch.setattr(child, "STALLED", 0.5)
    monkeypatch.setattr(child, "COMMAND", (sys.executable, "-c", "import time; time.sleep(100)"))
    start = time.monotonic()
    with pytest.raises(UserInputError, match=r"biased: reading it took more than .* of memory, or broke off"):
        load_in_child(str(folder), "biased", limits=Limits())
    assert time.monotonic() - start < 30 and not list(home.glob(".reading*"))


def test_a_child_whose_page_is_gone_is_ended_by_the_system():
    """Nobody is left then who looks at a clock."""
    pytest.importorskip("resource", reason="this system has no such bound")
    code = "from tiw.data import Limits, child\nchild._limit(Limits(seconds=0.2))\nwhile True: pass"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=30).returncode in (-signal.SIGKILL, -signal.SIGXCPU)


def test_a_child_that_works_is_waited_for(folder, monkeypatch):
    monkeypatch.setattr(child, "STALLED", 0.5)
    work = "end = time.process_time() + 1.5\nwhile time.process_time() < end: pass"
    slow = f"import time, runpy\n{work}\nrunpy.run_module('tiw.data.child', run_name='__main__')"
    monkeypatch.setattr(child, "COMMAND", (sys.executable, "-W", "ignore", "-c", slow))
    assert len(load_in_child(str(folder), "biased", skip_bad=True, limits=Limits())) == 6


def test_the_longest_unused_sets_go_first(folder, home, monkeypatch):
    home.mkdir(parents=True)
    for age, side in ((3, 16), (2, 32), (1, 64)):
        child._keep(home / str(side), ImageSet(np.zeros((6, side, side, 3), np.uint8)))
        os.utime(home / str(side) / "about.json", (10 - age, 10 - age))
    monkeypatch.setattr(child, "CACHE_BYTES", 6 * 64 * 64 * 3 + 500)
    load_in_child(str(folder), "biased", 0, 128, True, limits=Limits())
    sides = sorted(np.load(path, mmap_mode="r").shape[1] for path in home.glob("*/pixels.npy"))
    assert sides == [64, 128]


@pytest.mark.parametrize("resolution", [0, 32])
def test_an_estimate_is_what_it_becomes(folder, tmp_path, resolution):
    (folder / "a" / "bad.png").unlink()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 24, 24), dtype=np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    np.savez(tmp_path / "x.npz", images=pixels, k=np.arange(5))
    write_rows(tmp_path / "some.json", folder, np.array([0, 2, 3]))
    for path in (folder, tmp_path / "x.npy", tmp_path / "x.npz", tmp_path / "some.json"):
        found, loaded = estimate(path, resolution), load_images(path, resolution)
        assert (found.n, found.side, found.bytes) == (len(loaded), loaded.resolution, loaded.images.nbytes), path
    assert "images of" in found.sentence
    with pytest.raises(UserInputError, match="does not exist"):
        estimate(tmp_path / "nothing")


def test_a_stamp_changes_with_any_file_and_costs_no_reading(folder, tmp_path):
    write_rows(tmp_path / "some.json", folder, np.array([0, 2, 3]))
    write_npz(tmp_path / "x.npz", ImageSet(np.zeros((2, 8, 8, 3), np.uint8), pd.DataFrame({"file": ["a", "b"]})))
    (folder / "loop").symlink_to(folder)
    stamps = {path: source_stamp(path) for path in (folder, tmp_path / "some.json", tmp_path / "x.npz")}
    assert all(source_stamp(path) == stamp for path, stamp in stamps.items())
    os.utime(folder / "a" / "0.png", (5, 5))
    os.utime(tmp_path / "x.npz", (5, 5))
    assert all(source_stamp(path) != stamp for path, stamp in stamps.items())
    with pytest.raises(UserInputError, match="does not exist"):
        source_stamp(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("given", "table", "text"),
    [
        ("img_align_celeba", "list_attr_celeba.txt", "2\nMale\n1.jpg {0}1\n2.jpg 1\n"),
        ("Img/img_align_celeba", "Anno/list_attr_celeba.csv", "image_id,Male\n1.jpg,{0}1\n2.jpg,1\n"),
        ("fairface", "fairface_label_train.csv", "file,age,gender,race\ntrain/1.jpg,3-9,{0}Male,White\ntrain/2.jpg,3-9,Male,White\n"),
    ],
)
def test_a_stamp_changes_with_the_labels_that_lie_beside_a_folder(given, table, text, tmp_path):
    """The page went on showing the old ones, or none."""
    for path in (tmp_path / given / "train", (tmp_path / table).parent):
        path.mkdir(parents=True, exist_ok=True)
    for k in (1, 2):
        Image.new("RGB", (16, 16)).save(tmp_path / given / "train" / f"{k}.jpg")
    seen = []
    for sign in (None, "-", ""):
        if sign is not None:
            (tmp_path / table).write_text(text.format(sign))
        attributes = load_images(tmp_path / given).attributes
        seen.append(("none" if attributes is None else attributes.to_csv(), source_stamp(tmp_path / given)))
    assert [len(set(of)) for of in zip(*seen, strict=True)] == [3, 3]
    (tmp_path / table).unlink()
    assert source_stamp(tmp_path / given) == seen[0][1]


def test_a_run_of_an_app_for_strangers_reads_their_images_within_its_bounds(folder, tmp_path, monkeypatch):
    """The page looks at a set before a run may have it; the run's own process used to decode it again without bounds."""
    monkeypatch.setenv(limits.BOUNDS, "")
    Limits(images=5).impose()
    options = AuditOptions(biased=str(folder), reference=str(folder), baseline="none", skip_bad=True)
    run = RunFolder.create(tmp_path / "run", "audit", options)
    with pytest.raises(UserInputError, match="more than the 5 allowed"):
        read_set(run, options, options.biased, "biased")
    Limits().impose()
    assert len(read_set(run, options, options.biased, "biased")) == 6
    assert [entry.suffix for entry in (tmp_path / "home" / "cache" / "sets").iterdir()].count("") == 1, "another process read it"
