"""The camera check on sets that differ in one way only: how the images were made, or what they show."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import blurred, saved_as_jpeg
from PIL import Image

from tiw.auditing.camera import SUSPECTS, camera_check, properties
from tiw.choices import CAMERA
from tiw.data import ImageSet, load_demo, load_images


def jpeg(image):
    return saved_as_jpeg(image, 40)


def framed(image):
    image = image.copy()
    image[:3] = image[-3:] = 0
    return image


def dimmed(image):
    return (image * 0.8).astype(np.uint8)


def warmed(image):
    return (image * np.array([1.15, 1, 1])).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "name"), [(jpeg, "compression"), (blurred, "sharpness"), (framed, "borders"), (dimmed, "brightness"), (warmed, "red cast")]
)
def test_one_change_of_the_camera_is_named_first(change, name):
    demo = load_demo(200)
    heldout = demo.heldout.take(range(800))  # of the same make-up as the reference
    changed = ImageSet(np.stack([change(x) for x in demo.reference.images]))
    found = camera_check(heldout, changed)
    of_kind = [s for s in found if s.subject == (name in ("brightness", "red cast"))]
    assert of_kind[0].name == name and of_kind[0].auc.interval[0] > 0.6
    assert name in found[0].sentence or found[0].name != name
    assert all([item >= 800 for item in s.examples] == [False] * 4 + [True] * 4 for s in found)  # four of either set, for every property


@pytest.mark.parametrize(("name", "factor"), [("file size", 1.6), ("original width", 4)])
def test_what_the_files_alone_tell_is_named(name, factor):
    demo = load_demo(200)
    files = demo.reference.files.assign(**{name: (demo.reference.files[name] * factor).astype(int)})
    (found,) = camera_check(demo.heldout.take(range(800)), replace(demo.reference, files=files))
    assert found.name == name and not found.subject and name in found.sentence
    without = replace(demo.reference, files=None)  # pixels that numpy saved have no files
    assert camera_check(demo.heldout.take(range(800)), without) == []


@pytest.mark.parametrize("kind", ["png", "bmp"])
def test_another_format_of_the_same_pixels_is_no_other_camera(kind, tmp_path):
    """The demo's images are WebP. Saved as PNG they are four times as large, and the ratio, which sees pixels, cannot know."""
    demo = load_demo(200)
    for place, x in enumerate(demo.reference.images):
        Image.fromarray(x).save(tmp_path / f"{place}.{kind}")
    saved = load_images(tmp_path)
    assert saved.files["format"].unique().tolist() == [kind.upper()] != demo.heldout.files["format"].unique().tolist()
    assert camera_check(demo.heldout.take(range(800)), saved) == []


@pytest.mark.parametrize("role", [0, 1])
def test_a_frame_is_seen_round_either_set(role):
    """Without a frame every image of a set has the same value: no quantile separates it from four framed sides."""
    demo = load_demo(200)
    sets = [demo.heldout.take(range(200)), demo.reference]
    sets[role] = ImageSet(np.stack([np.pad(x[3:-3, 3:-3], ((3, 3), (3, 3), (0, 0))) for x in sets[role].images]))
    found = camera_check(*sets)
    assert max(found, key=lambda s: s.auc.value).name == "borders"


def test_what_the_images_show_is_not_the_cameras():
    """The demo's sets differ in skin and hair, which moves sharpness and brightness; nothing else differs."""
    demo = load_demo()
    assert camera_check(demo.biased.take(range(1500)), demo.reference) == []


@pytest.mark.parametrize("n", [13, 25])
def test_of_equal_sets_nothing_is_named_where_the_bins_edges_are_images(n):
    """With 12 k + 1 references each edge is the value of one of them, which got a bin of its own that no other fold had seen."""
    biased = load_demo(50).biased
    reference = replace(biased.take(range(1000, 1000 + n)), files=None)
    assert camera_check(replace(biased.take(range(600)), files=None), reference) == []


def dimmer(image):
    return (image * 0.7 + 30).astype(np.uint8)  # without cutting anything off


def cooler(image):
    return (image * 0.7 + np.array([0, 30, 60])).astype(np.uint8)


@pytest.mark.parametrize("change", [dimmer, cooler])
def test_light_and_casts_are_not_taken_for_sharpness_or_compression(change):
    """Neither property changes with them, so what the images show explains them as before."""
    demo = load_demo(300)
    biased = demo.biased.take(range(300))
    changed = ImageSet(np.stack([change(x) for x in biased.images]))
    found = camera_check(changed, replace(demo.reference, files=None))
    assert found and all(suspect.subject for suspect in found), [suspect.sentence for suspect in found]


def test_properties_see_what_they_are_named_for():
    flat = np.full((1, 32, 32, 3), 128, np.uint8)
    red = flat.copy()
    red[..., 0] = 178
    assert properties(red)["red cast"][0] - properties(flat)["red cast"][0] == pytest.approx(50 / 255, abs=1e-5)
    assert properties(flat + 51)["brightness"][0] - properties(flat)["brightness"][0] == pytest.approx(0.2, abs=1e-5)
    noisy = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    framed_ = noisy.copy()
    framed_[:, 0] = framed_[:, :, -1] = 0
    assert properties(noisy)["borders"][0] == 0 and properties(framed_)["borders"][0] == 2


def test_the_properties_that_the_command_names_are_those_of_the_check():
    assert tuple(SUSPECTS) == CAMERA
