"""Small things that several tests use."""

import io
import os
import sys
import zipfile
from pathlib import Path
from types import ModuleType

# One thread here and in every child: the same bits whatever the number of cores, and no two processes fight for one.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tiw.data import ImageSet
from tiw.debiasing import lagging
from tiw.model.denoiser import Denoiser
from tiw.model.networks import PRESETS
from tiw.run import folder


def blobs(n: int, share: float, seed: int) -> ImageSet:
    """16x16 images, bright (with this share) or dark, with noise: a set whose one attribute a tiny network can see."""
    rng = np.random.default_rng(seed)
    bright = rng.permutation(n) < round(share * n)
    images = rng.normal(np.where(bright, 170, 90)[:, None, None, None], 25, (n, 16, 16, 3)).clip(0, 255).astype(np.uint8)
    return ImageSet(images, pd.DataFrame({"light": np.where(bright, "bright", "dark")}), "blobs")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """An empty TIW_HOME for the app that a file's tests share."""
    home = tmp_path_factory.mktemp("public") / "home"
    home.mkdir()
    return home


@pytest.fixture(autouse=True)
def _quiet(monkeypatch) -> None:
    """The command line leaves its progress lines switched on for the process; the next test starts without them."""
    monkeypatch.setattr(folder, "ON_PROGRESS", None)


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch) -> None:
    """What lags is looked for in fewer samples than a user's run takes."""
    monkeypatch.setattr(lagging, "COUNT", 30)


@pytest.fixture(scope="session")
def blob_sets() -> tuple[ImageSet, ImageSet]:
    """(biased: 20 % bright, reference: 60 % bright)."""
    return blobs(300, 0.2, 0), blobs(80, 0.6, 1)


@pytest.fixture
def work(monkeypatch):
    """Put a function in the place of every command's work."""

    def put(function) -> None:
        fake = ModuleType("tiw.run.actions")
        fake.EXECUTE = {"audit": function}
        monkeypatch.setitem(sys.modules, "tiw.run.actions", fake)

    return put


@pytest.fixture
def tiny_denoiser() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser.new(PRESETS["tiny"]).requires_grad_(False).eval()


def saved_as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """The image [H,W,3] as it comes back from a JPEG of this quality."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def blurred(image: np.ndarray) -> np.ndarray:
    """The image [64,64,3] by way of 32x32 pixels."""
    return np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BOX).resize((64, 64), Image.Resampling.BICUBIC))


def written(root: Path, files: dict[str, bytes | str]) -> Path:
    """These files below a folder, which is made where it is not there."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return root


def zipped(path: Path, files: dict[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """These files in a zip, under their names as they are."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path
