"""A model's folder, ours or a diffusers pipeline's, read into the parts that a `Denoiser` is made of."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ..errors import UserInputError
from .checkpoint import AGAIN, INDEX_FILE, SCHEDULER_FILE, WEIGHTS, alphas_cumprod, finite, load_unet, pipeline_index, read_part, refused
from .networks import UNet2DModel
from .noise import ImageLossWeight, NoiseDistribution, UniformSteps

CONFIG_FILE = "denoiser.json"
SCHEMA_VERSION = 1
HUB_ID = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w.-]+))?")
FETCHED: dict[str, str] = {}  # models of the hub that this process has read, by the name that they were asked for: the commit


@dataclass(frozen=True)
class DenoiserConfig:
    """How a network's output becomes D(xt; sigma), and the weighting and noise levels it was trained with.

    prediction: `x0` (D is the output), `edm` (EDM, Eq. 7), or a VP checkpoint's `epsilon`, `v_prediction`, `sample`.
    """

    prediction: str = "x0"
    fold: int = 1  # pixels per side folded into channels
    sigma_data: float = 0.5  # standard deviation of x0
    time_scale: float = 250.0  # without a VP schedule, the U-Net's time is time_scale * log sigma (EDM, Table 1: 1/4)
    noise: NoiseDistribution | UniformSteps = field(default_factory=NoiseDistribution)
    loss_weight: ImageLossWeight | None = None  # None: errors of the network's output count the same at every level


@dataclass(frozen=True)
class Parts:
    """What a model's folder holds."""

    unet: UNet2DModel
    config: DenoiserConfig
    alphas_cumprod: Tensor | None = None  # [T] of a VP checkpoint
    pipeline: dict[str, str] | None = None  # the JSON files of a diffusers pipeline: path in the folder -> text


def read_parts(path: str | Path) -> Parts:
    """The parts of the model at `path`, or of `OWNER/NAME` on the hub where no such folder is here.

    Raises UserInputError as `Denoiser.from_pretrained` says.
    """
    folder = Path(path)
    if not folder.exists() and HUB_ID.fullmatch(str(path)):
        folder = _fetch(str(path))
    if (folder / CONFIG_FILE).is_file():
        return Parts(load_unet(folder / "unet"), _own(folder))
    if (folder / INDEX_FILE).is_file():
        return _from_pipeline(folder)
    found = f"{path} holds neither {CONFIG_FILE} nor {INDEX_FILE}" if folder.exists() else f"there is no folder {path}"
    raise UserInputError("baseline", found, "give the folder of a model saved by TIW Studio or diffusers")


def _fetch(hub_id: str) -> Path:
    """The folder of a model on the hub, downloaded once: what `from_pretrained` reads, and nothing else.

    Weights follow where model_index.json is not refused. The hub's `*` stands for "/" too: begun with one, a pattern finds every part's.
    """
    texts = [INDEX_FILE, CONFIG_FILE, SCHEDULER_FILE, Path(SCHEDULER_FILE).name, "config.json", "unet/config.json"]
    folder = _download(hub_id, texts)
    if (folder / INDEX_FILE).is_file():
        pipeline_index(folder)
    elif not (folder / CONFIG_FILE).is_file():
        return folder
    return _download(hub_id, [f"{place}{WEIGHTS}*.safetensors{index}" for place in ("", "unet/") for index in ("", ".index.json")])


def _download(hub_id: str, patterns: list[str]) -> Path:
    """The folder in which the files of a model on the hub lie that match a pattern, all of one commit."""
    from huggingface_hub import snapshot_download

    name, revision = HUB_ID.fullmatch(hub_id).groups()
    revision = FETCHED.get(hub_id, revision)
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:  # no network, no such model, no access: the client has an error for each
        reason = (str(error).splitlines() or [""])[0][:200]
        looked = f"no such folder is in {Path.cwd()}, and no model of that name could be fetched from the hub"
        found = f"{hub_id!r} was looked for in both places it could be: {looked} ({type(error).__name__}: {reason})"
        raise UserInputError("baseline", found, "check the path, or the name and the network") from error
    FETCHED[hub_id] = folder.name  # the hub's cache names a snapshot by its commit
    return folder


def _own(folder: Path) -> DenoiserConfig:
    """What denoiser.json says. Raises UserInputError where it is damaged or of another version."""
    raw = read_part(folder / CONFIG_FILE)
    if (version := raw.pop("schema_version", None)) != SCHEMA_VERSION:
        raise refused(folder, f"has a {CONFIG_FILE} of version {str(version)[:20]}, this is {SCHEMA_VERSION}", "update TIW Studio")
    finite(folder, raw, fold=(1, 16), sigma_data=(1e-6, 1e6), time_scale=(-1e6, 1e6))
    try:
        weight = raw.pop("loss_weight")
        noise = NoiseDistribution(**raw.pop("noise"))
        config = DenoiserConfig(**raw, noise=noise, loss_weight=None if weight is None else ImageLossWeight(**weight))
        usable = config.prediction in ("x0", "edm") and isinstance(config.fold, int) and 0 < noise.sigma_min < noise.sigma_max < 1e6
    except (KeyError, TypeError, AttributeError) as error:
        raise refused(folder, f"has a damaged {CONFIG_FILE} ({type(error).__name__}: {str(error)[:60]})", AGAIN) from error
    if not usable:
        raise refused(folder, f"has a {CONFIG_FILE} that describes no denoiser", AGAIN)
    return config


def _from_pipeline(path: Path) -> Parts:
    """A DDPM, DDIM or EDM pipeline folder; its scheduler's config says what the network predicts.

    Parts without a folder of their own lie in the root, as the oldest pipelines have them.
    """
    pipeline_index(path)
    scheduler_file = path / SCHEDULER_FILE
    scheduler_file = scheduler_file if scheduler_file.is_file() else path / scheduler_file.name
    if not scheduler_file.is_file():
        raise refused(path, f"has no {SCHEDULER_FILE}, which says what the network predicts", "add the one that it was trained with")
    raw = read_part(scheduler_file)
    unet = load_unet(path / "unet" if (path / "unet").is_dir() else path)
    channels, size = (unet.config.in_channels, unet.config.out_channels), unet.config.sample_size
    if channels != (3, 3):
        raise refused(path, f"has a U-Net of {channels[0]} channels in and {channels[1]} out")
    if not isinstance(size, int) and len(set(size or (0, 1))) > 1:
        raise refused(path, f"has a U-Net with sample_size {size}")
    if unet.config.class_embed_type is not None:
        raise refused(path, f"has a U-Net with class embeddings of type {unet.config.class_embed_type}, not of numbered classes,")
    files = {INDEX_FILE: (path / INDEX_FILE).read_text(), SCHEDULER_FILE: scheduler_file.read_text()}
    if str(raw.get("_class_name", "")).startswith("EDM"):
        if raw.get("prediction_type", "epsilon") != "epsilon":
            raise refused(path, f"is an EDM model of {str(raw['prediction_type'])[:60]}", "give one that predicts epsilon")
        finite(path, raw, sigma_data=(1e-6, 1e6))
        config = DenoiserConfig("edm", sigma_data=raw.get("sigma_data", 0.5), time_scale=0.25, noise=NoiseDistribution(-1.2, 1.2))
        return Parts(unet, config, pipeline=files)
    prediction, alphas = alphas_cumprod(path, raw)
    if raw.pop("predict_epsilon", None) is False and "prediction_type" not in raw:  # which the diffusers of today passes over
        files[SCHEDULER_FILE] = json.dumps({**raw, "prediction_type": prediction}, indent=2) + "\n"
    sigmas = ((1 - alphas) / alphas).sqrt()
    return Parts(unet, DenoiserConfig(prediction, noise=UniformSteps(tuple(sigmas.tolist()))), alphas, files)
