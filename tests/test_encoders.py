"""Encoders: one's own, those that keep what took long, and Inception through clean-fid with weights that stand in for the real ones."""

import os
import socket
import time
import urllib.error

import numpy as np
import pytest
import torch
from conftest import blobs

import tiw
from tiw.comparing import encoders, kept_features
from tiw.comparing.compare import measure
from tiw.comparing.encoders import Encoder, check_encoder, open_encoder
from tiw.errors import UserInputError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TIW_HOME", str(tmp_path))
    return tmp_path


def mean_colours(seen):
    """An encoder that takes long, and a list of how many images it was asked about."""

    def function(images):
        seen.append(len(images))
        return images.mean((1, 2))

    return Encoder("mean colours", function, batch=8, kept_as="mean colours 1")


def test_what_took_long_is_not_asked_for_again(home):
    """The same pixels give the same features without the network; other pixels, another encoder or a damaged file do not."""
    seen, images = [], blobs(20, 0.5, 0).images
    found = mean_colours(seen)(images)
    np.testing.assert_allclose(found, images.mean((1, 2)), rtol=1e-6)
    assert seen == [8, 8, 4] and found.dtype == np.float32
    np.testing.assert_array_equal(mean_colours(seen)(images.copy()), found)
    assert len(seen) == 3
    mean_colours(seen)(images[:8])
    Encoder("other", mean_colours(seen).function, kept_as="other 1")(images)
    assert len(seen) == 5
    for path in (home / "cache" / "features").iterdir():
        path.write_bytes(path.read_bytes()[:-40])
    np.testing.assert_array_equal(mean_colours(seen)(images), found)
    assert len(seen) == 8


def test_what_is_kept_is_bounded_and_forgotten(home, monkeypatch):
    folder = home / "cache" / "features"
    sets = [blobs(20, 0.5, k).images for k in range(4)]
    monkeypatch.setattr(kept_features, "MOST_BYTES", 900)  # of 368 bytes each: two
    for age, images in zip((400, 300, 200), sets, strict=False):
        mean_colours([])(images)
        newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (time.time() - age,) * 2)
    assert len(list(folder.iterdir())) == 2
    seen = []
    mean_colours(seen)(sets[0])  # the oldest had gone
    assert seen and len(list(folder.iterdir())) == 2
    kept_features.forget_features(time.time() - 100)
    assert len(list(folder.iterdir())) == 1
    kept_features.forget_features(time.time() + 1)
    assert not list(folder.iterdir())


def test_progress_is_of_the_images_of_a_set():
    said = []
    encoder = Encoder("mean colours", lambda images: images.mean((1, 2)), batch=8, on_batch=lambda done, total: said.append((done, total)))
    encoder(blobs(20, 0.5, 0).images)
    assert said == [(8, 20), (16, 20), (20, 20)]


def test_ones_own_function_is_an_encoder_like_any_other():
    """Its name stands beside the figures, and they are of its features."""
    own = tiw.Encoder("mean brightness and its spread", lambda images: np.c_[images.mean((1, 2, 3)), images.std((1, 2, 3))])
    reference = blobs(60, 0.5, 2)
    found = measure(blobs(50, 0.1, 0).images, blobs(50, 0.5, 1).images, reference, None, encoder=own)
    kernel = found.quality["kernel_distance"]
    assert kernel["encoder"] == own.name == found.quality["frechet_distance"]["encoder"]
    assert kernel["baseline"]["value"] > 10 * abs(kernel["debiased"]["value"])
    with pytest.raises(UserInputError, match="choose one of pca"):
        measure(blobs(50, 0.1, 0).images, blobs(50, 0.5, 1).images, reference, None, encoder="resnet")


class StandIn(torch.nn.Module):
    """In the place of Inception's `layers`: the mean of each colour of what it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)).repeat_interleave(683, 1)[:, :2048]


class Weights(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = StandIn()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.mark.filterwarnings("ignore:`torch.jit")  # clean-fid's weights are of that kind
def test_inception_is_clean_fids_resizer_and_network(home, monkeypatch):
    """The folder is named, the images are resized to 299 pixels and scaled as clean-fid does."""
    monkeypatch.setenv("TIW_INCEPTION", str(home))
    torch.jit.script(Weights()).save(str(home / encoders.INCEPTION_FILE))
    check_encoder("inception")
    images = blobs(5, 0.4, 0).images
    features = open_encoder("inception", images, "these")(images)
    assert features.shape == (5, 2048)
    np.testing.assert_allclose(features[:, 0], (images[..., 0].mean((1, 2)) - 128) / 128, atol=0.02)  # resizing keeps the mean colour


def test_weights_that_are_not_there_are_fetched_or_a_sentence(home, monkeypatch):
    monkeypatch.setattr(encoders, "gettempdir", lambda: str(home))
    asked = []

    def download(folder):
        asked.append(folder)
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("cleanfid.downloads_helper.check_download_inception", download)
    with pytest.raises(UserInputError, match=r"could not be fetched.*TIW_INCEPTION"):
        check_encoder("inception")
    assert asked and not list(home.glob("inception*"))

    def whole(folder):
        path = os.path.join(folder, encoders.INCEPTION_FILE)
        open(path, "wb").close()
        return path

    monkeypatch.setattr("cleanfid.downloads_helper.check_download_inception", whole)
    check_encoder("inception")
    assert encoders.inception_file() == home / encoders.INCEPTION_FILE and encoders.inception_file().is_file()
    monkeypatch.setattr(socket, "socket", None)
    check_encoder("inception")  # once it is there, nobody is asked
