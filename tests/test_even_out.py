"""The camera fix: sets that differ in how they were made, evened out; what the images show is left to be seen."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import blobs, blurred, saved_as_jpeg
from PIL import Image
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from tiw.auditing.camera import camera_check
from tiw.auditing.even_out import Step, _ladder, even_out
from tiw.data import ImageSet, load_demo, load_images, memory, write_parquet
from tiw.errors import UserInputError
from tiw.run import actions
from tiw.run.folder import RunFolder
from tiw.run.options import EvenOutOptions

N = 300


def jpeg(image):
    return saved_as_jpeg(image, 20)


def framed(image):
    image = image.copy()
    image[:3] = image[-3:] = image[:, :3] = image[:, -3:] = 0
    return image


def brighter(image):
    return (image * 0.9 + 25).astype(np.uint8)  # without cutting anything off


def warmed(image):
    return (image * 0.9 + np.array([25, 13, 0])).astype(np.uint8)


def broken(change):
    """(biased, reference) of the demo's people, of which the biased set was made in another way."""
    demo = load_demo(N)
    biased = demo.biased.take(range(N))
    changed = ImageSet(np.stack([change(x) for x in biased.images]), biased.attributes, "broken")
    return changed, replace(demo.reference, files=None)


def skin(images):
    """How well a simple classifier tells the two skin tones apart: AUC, cross-fitted."""
    small = np.stack([np.asarray(Image.fromarray(x).resize((16, 16), Image.Resampling.BOX)) for x in images.images])
    label = (images.attributes["skin"] == "darker").to_numpy()
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
    return roc_auc_score(label, cross_val_predict(model, small.reshape(len(small), -1) / 255, label, method="decision_function"))


@pytest.mark.parametrize(
    ("change", "name", "kind"),
    [
        (framed, "borders", "crop"),
        (jpeg, "compression", "encode"),
        (blurred, "sharpness", "resize"),
        (brighter, "brightness", "equalise"),
        (warmed, "red cast", "equalise"),
    ],
)
def test_what_the_check_names_is_mended_and_the_people_stay(change, name, kind):
    biased, reference = broken(change)
    assert name in [s.name for s in camera_check(biased, reference)]
    done = even_out(biased, reference)
    assert done.steps[0].kind == kind, [step.sentence for step in done.steps]
    assert done.left == () and camera_check(done.biased, done.reference) == []
    assert skin(done.biased) > 0.95
    assert done.biased.attributes.equals(biased.attributes) and done.reference.attributes.equals(reference.attributes)


def test_both_sets_get_the_same_function_of_an_image(monkeypatch):
    """And no more than is asked for; sets larger than memory stay in a file."""
    biased, reference = broken(framed)
    twins = replace(reference, images=np.concatenate([reference.images[:-1], biased.images[:1]]), labels=np.arange(N))
    monkeypatch.setattr(memory, "IN_MEMORY", 1)
    done = even_out(biased, twins, ["borders", "file size"])
    assert [step.kind for step in done.steps] == ["crop"]
    assert np.array_equal(done.biased.images[0], done.reference.images[-1])
    assert isinstance(done.biased.images, np.memmap) and np.array_equal(done.reference.labels, np.arange(N))
    assert even_out(biased, reference, ["red cast", "original width"]).steps == ()


def test_what_only_the_files_tell_ends_with_the_files():
    """Files that are larger for no reason in the pixels: both sets get new ones."""
    demo = load_demo(N)
    files = demo.reference.files.assign(**{"file size": 2 * demo.reference.files["file size"]})
    done = even_out(demo.biased.take(range(N)), replace(demo.reference, files=files))
    assert [(step.kind, step.amount) for step in done.steps] == [("encode", 90)] and done.left == () and done.biased.files is None


def test_an_image_gets_the_brightness_contrast_and_casts_that_are_asked_for():
    image = np.random.default_rng(0).normal(120, 30, (32, 32, 3)).clip(0, 255).astype(np.uint8)
    x = Step("equalise", {"brightness": 0.6, "red cast": 0.1})(image) / 255
    before, grey = image / 255, np.array([0.299, 0.587, 0.114])
    assert (x @ grey).mean() == pytest.approx(0.6, abs=0.003)
    assert x[..., 0].mean() - x[..., 1].mean() == pytest.approx(0.1, abs=0.003)
    assert x[..., 2].mean() - x[..., 1].mean() == pytest.approx(before[..., 2].mean() - before[..., 1].mean(), abs=0.003)
    assert (x @ grey).std() == pytest.approx((before @ grey).std(), abs=0.003)
    flat = Step("equalise", {"contrast": 0.2})(np.full((8, 8, 3), 128, np.uint8))
    assert flat.std() == 0  # nothing to stretch


def test_large_images_are_measured_a_few_at_a_time():
    """2,000 images of 1024 pixels took 70 GiB: twelve times their own memory, all at once."""
    rng = np.random.default_rng(0)
    sets = [ImageSet(rng.integers(low, 256, (n, 256, 256, 3), dtype=np.uint8)) for low, n in ((0, 60), (100, 31))]
    tracemalloc.start()
    [step] = _ladder("equalise", ["brightness", "red cast"], sets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < sum(images.images.nbytes for images in sets)
    means = np.concatenate([images.images.mean((1, 2)) for images in sets]) / 255
    wanted = {"brightness": np.median(means @ [0.299, 0.587, 0.114]), "red cast": np.median(means[:, 0] - means[:, 1])}
    assert step.amount == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("names", "side", "sentence"), [(["colour"], 16, "fix: 'colour' is not a property"), ([], 32, "reference: .* 16 pixels .* 32")]
)
def test_what_cannot_be_evened_out_is_said(names, side, sentence):
    sets = [ImageSet(np.zeros((30, size, size, 3), np.uint8)) for size in (side, 16)]
    with pytest.raises(UserInputError, match=sentence):
        even_out(*sets, names)


def test_a_written_set_is_read_back(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (700, 8, 8, 3), dtype=np.uint8)
    labels = pd.DataFrame({"image": np.arange(700), "size": ["small", "large"] * 350})
    files = write_parquet(tmp_path / "set.parquet", ImageSet(images, labels))
    read = load_images(tmp_path / "set.parquet")
    assert np.array_equal(read.images, images) and read.attributes.equals(labels.astype(str).astype(object)) and read.files.equals(files)


def test_the_command_leaves_two_sets_that_every_command_reads(tmp_path):
    biased, reference = broken(framed)
    paths = {role: str(tmp_path / f"{role}.parquet") for role in ("biased", "reference")}
    for role, images in (("biased", biased), ("reference", reference)):
        write_parquet(paths[role], images)

    def run(name, **more):
        folder = RunFolder.create(tmp_path / name, "even-out", EvenOutOptions(**paths, **more))
        return folder, actions.even_out(folder, folder.options)

    folder, result = run("run", fix="borders, brightness")
    assert result["steps"] == ["3 pixel(s) cropped from every side, then resized back"] and result["left"] == []
    for role, before in (("biased", biased), ("reference", reference)):
        read = load_images(folder.path / f"{role}.parquet")
        assert {**read.about(), "name": result[role]["name"]} == result[role] and len(read) == N
        assert read.attributes.equals(before.attributes)
    with pytest.raises(UserInputError, match="fix: the camera check names none of these"):
        run("other", fix="red cast")


def test_one_image_a_hundred_times_is_refused_not_shrunk(tmp_path):
    """It was resized to 4x4 pixels and back, in vain: whatever the image shows sets it apart."""
    for name, images in (("biased", blobs(1, 0.0, 0).images.repeat(100, 0)), ("reference", blobs(40, 0.5, 1).images)):
        np.savez(tmp_path / f"{name}.npz", images=images)
    o = EvenOutOptions(biased=str(tmp_path / "biased.npz"), reference=str(tmp_path / "reference.npz"))
    with pytest.raises(UserInputError, match=r"biased: it has 100 image\(s\), but only 1 different one"):
        actions.even_out(RunFolder.create(tmp_path / "run", "even-out", o), o)
    assert not (tmp_path / "run" / "biased.parquet").exists()
