"""D(xt; sigma), the denoiser: our own network and any unconditional diffusers checkpoint behind one call."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UserInputError
from .checkpoint import AGAIN, INDEX_FILE, SCHEDULER_FILE, alphas_cumprod, finite, load_unet, pipeline_index, read_part, refused
from .networks import NetworkConfig, UNet2DModel, make_unet
from .noise import ImageLossWeight, NoiseDistribution, UniformSteps, VPSchedule, expand

CONFIG_FILE = "denoiser.json"
SCHEMA_VERSION = 1
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


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


class Denoiser(nn.Module):
    """A U-Net with its preconditioning. Call it: `denoiser(xt, sigma)` -> E[x0 given xt], [B,C,H,W], at its optimum."""

    def __init__(
        self, unet: UNet2DModel, config: DenoiserConfig, alphas_cumprod: Tensor | None = None, pipeline: dict[str, str] | None = None
    ):
        super().__init__()
        self.unet = unet
        self.config = config
        self.pipeline = pipeline  # the JSON files of the diffusers pipeline it came from: path in the folder -> text
        self.schedule = None if alphas_cumprod is None else VPSchedule(alphas_cumprod)
        self.precision = torch.float32

    def prepare(self, device: torch.device | str = "cpu", precision: torch.dtype = torch.float32) -> Denoiser:
        """Move to `device` and compute in `precision` (float32, or bfloat16 by autocast; weights stay float32). Returns self."""
        self.precision = precision
        return self.to(device=device, memory_format=torch.channels_last)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, (C, H, W)."""
        size = self.unet.config.sample_size
        side = (size if isinstance(size, int) else size[0]) * self.config.fold
        return (self.unet.config.in_channels // self.config.fold**2, side, side)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def sigma_max(self) -> float:
        """The highest noise level it was trained on: sampling starts no higher."""
        return self.config.noise.sigma_max

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """lambda(sigma) this checkpoint was trained with, [B].

        Unless its config says otherwise 1 / c_out^2: DDPM's unit weight on epsilon, v or x0 as well as EDM's (EDM, Eq. 8). Together
        with its noise levels fine-tuning goes on where the training stopped, instead of moving the network's effort elsewhere.
        """
        if self.config.loss_weight is not None:
            return self.config.loss_weight(sigma)
        return self._preconditioning(sigma)[1] ** -2

    def _inputs(self, xt: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """What the U-Net sees: its scaled, folded input and its time, [B]."""
        sigma = sigma.float()
        if self.schedule is not None:
            x, t = xt * expand((1 + sigma**2).rsqrt(), xt), self.schedule.t(sigma)
        else:
            x, t = xt * expand((sigma**2 + self.config.sigma_data**2).rsqrt(), xt), self.config.time_scale * sigma.log()
        x = F.pixel_unshuffle(x, self.config.fold) if self.config.fold > 1 else x
        return x.contiguous(memory_format=torch.channels_last), t

    @property
    def classes(self) -> int:
        """Number of classes of a class-conditional network, whose every call needs `labels`; 0: it has none."""
        return self.unet.config.num_class_embeds or 0

    def given(self, labels: Tensor) -> Conditioned:
        """This denoiser with the class of each row given, int [B]: a callable (xt, sigma) like any other."""
        return Conditioned(self, labels.to(self.device))

    def _run(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        if self.classes and labels is None:
            raise UserInputError("class_label", "the model is class-conditional and no classes are given", "name the column that has them")
        with torch.autocast(x.device.type, self.precision, enabled=self.precision != torch.float32):
            return self.unet(x, t, class_labels=labels, return_dict=False)[0]

    def _preconditioning(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """c_skip and c_out, like sigma: D = c_skip xt + c_out F for the network's output F (EDM, Eq. 7; METHOD: VP checkpoints)."""
        match self.config.prediction:
            case "x0" | "sample":
                return torch.zeros_like(sigma), torch.ones_like(sigma)
            case "epsilon":
                return torch.ones_like(sigma), -sigma
            case "v_prediction":
                return 1 / (1 + sigma**2), -sigma * (1 + sigma**2).rsqrt()
            case "edm":
                d = self.config.sigma_data
                return d**2 / (sigma**2 + d**2), sigma * d * (sigma**2 + d**2).rsqrt()
        raise AssertionError(self.config.prediction)

    def _denoised(self, output: Tensor, xt: Tensor, sigma: Tensor) -> Tensor:
        """D from the U-Net's output."""
        f = F.pixel_shuffle(output, self.config.fold) if self.config.fold > 1 else output
        c_skip, c_out = self._preconditioning(expand(sigma, xt))
        return c_skip * xt + c_out * f.to(xt.dtype)

    def forward(self, xt: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """D(xt; sigma): xt [B,C,H,W] in units of x0, sigma [B], labels int [B] for a class-conditional network -> [B,C,H,W]."""
        x, t = self._inputs(xt, sigma)
        return self._denoised(self._run(x, t, labels), xt, sigma)

    def with_features(self, xt: Tensor, sigma: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(D(xt; sigma), features [B, F]) from one forward pass. Only the features are differentiable in xt."""
        caught: list[Tensor] = []

        def catch(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
            caught.append(output)
            torch.set_grad_enabled(False)  # nothing is kept for the decoder's gradient, which nobody asks for
            return output.detach()

        handle = self.unet.mid_block.register_forward_hook(catch)
        grad_enabled = torch.is_grad_enabled()
        try:
            denoised = self(xt, sigma, labels)
        finally:
            torch.set_grad_enabled(grad_enabled)
            handle.remove()
        return denoised.detach(), _pool(caught[0])

    def features(self, xt: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """The middle block's output, at most 4x4 positions, flattened, float32 [B, F]; differentiable in xt.

        Stops after the middle block, which is about half the work of a denoising pass.
        """
        x, t = self._inputs(xt, sigma)
        handle = self.unet.mid_block.register_forward_hook(_stop_at_output)
        try:
            self._run(x, t, labels)
        except _Reached as reached:
            return _pool(reached.output)
        finally:
            handle.remove()
        raise AssertionError("the middle block was not reached")

    def save_pretrained(self, path: str | Path) -> None:
        """Write a diffusers-style folder: unet/ (safetensors and JSON) and denoiser.json; a wrapped pipeline as that pipeline again."""
        own = {CONFIG_FILE: json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self.config)}, indent=2) + "\n"}
        self.unet.save_pretrained(Path(path) / "unet")
        config = Path(path) / "unet" / "config.json"
        kept = {name: value for name, value in json.loads(config.read_text()).items() if name != "_name_or_path"}  # a place on this machine
        config.write_text(json.dumps(kept, indent=2) + "\n")
        for name, text in (self.pipeline or own).items():
            file = Path(path) / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Denoiser:
        """Read a folder of ours, or a diffusers pipeline with a `UNet2DModel` in pixel space; `OWNER/NAME`, where no such folder is
        here, is fetched from the hub.

        Raises UserInputError for a folder that holds neither, for one that is damaged, not whole or contradicts itself, for weights that
        are not safetensors or not finite, for a network or a scheduler of another kind, and for a hub id that cannot be fetched.
        """
        folder = Path(path)
        if not folder.exists() and HUB_ID.fullmatch(str(path)):
            folder = _fetch(str(path))
        if (folder / CONFIG_FILE).is_file():
            return cls(load_unet(folder / "unet"), _own(folder))
        if (folder / INDEX_FILE).is_file():
            return _from_pipeline(folder)
        raise UserInputError(
            "baseline",
            f"{path} holds neither {CONFIG_FILE} nor {INDEX_FILE}" if folder.exists() else f"there is no folder {path}",
            "give the folder of a model saved by TIW Studio or diffusers",
        )

    @classmethod
    def new(cls, network: NetworkConfig) -> Denoiser:
        """An untrained denoiser. Folded networks predict x0 directly: too narrow to carry the noise through, as EDM's
        preconditioning asks of them; the others use EDM's."""
        if network.fold > 1:
            return cls(make_unet(network), DenoiserConfig("x0", network.fold, loss_weight=ImageLossWeight()))
        return cls(make_unet(network), DenoiserConfig("edm", noise=NoiseDistribution(-1.2, 1.2)))


@dataclass(frozen=True)
class Conditioned:
    """A class-conditional denoiser with the class of each row given."""

    denoiser: Denoiser
    labels: Tensor  # int [B]

    @property
    def device(self) -> torch.device:
        return self.denoiser.device

    def __call__(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """D(xt; sigma) given the class, [B,C,H,W]."""
        return self.denoiser(xt, sigma, self.labels)

    def features(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """As `Denoiser.features`, [B, F], given the class."""
        return self.denoiser.features(xt, sigma, self.labels)

    def with_features(self, xt: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """As `Denoiser.with_features`, [B,C,H,W] and [B, F], given the class."""
        return self.denoiser.with_features(xt, sigma, self.labels)


class _Reached(Exception):  # noqa: N818  (control flow, not an error)
    def __init__(self, output: Tensor):
        self.output = output


def _stop_at_output(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
    raise _Reached(output)


def _pool(h: Tensor) -> Tensor:
    h = h.float().contiguous()
    return (F.adaptive_avg_pool2d(h, 4) if h.shape[-1] > 4 else h).flatten(1)


def _fetch(hub_id: str) -> Path:
    """The folder of a model on the hub, downloaded once: what `from_pretrained` reads, and nothing else."""
    from huggingface_hub import snapshot_download

    weights = [f"{folder}{name}" for folder in ("", "unet/") for name in ("config.json", "*.safetensors", "*.safetensors.index.json")]
    try:
        return Path(
            snapshot_download(hub_id, allow_patterns=[INDEX_FILE, CONFIG_FILE, SCHEDULER_FILE, Path(SCHEDULER_FILE).name, *weights])
        )
    except Exception as error:  # no network, no such model, no access: the client has an error for each
        reason = (str(error).splitlines() or [""])[0][:200]
        looked = f"no such folder is in {Path.cwd()}, and no model of that name could be fetched from the hub"
        found = f"{hub_id!r} was looked for in both places it could be: {looked} ({type(error).__name__}: {reason})"
        raise UserInputError("baseline", found, "check the path, or the name and the network") from error


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


def _from_pipeline(path: Path) -> Denoiser:
    """Wrap a DDPM/DDIM or EDM pipeline folder; its scheduler's config says what the network predicts.

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
        return Denoiser(unet, config, pipeline=files)
    prediction, alphas = alphas_cumprod(path, raw)
    if raw.pop("predict_epsilon", None) is False and "prediction_type" not in raw:  # which the diffusers of today passes over
        files[SCHEDULER_FILE] = json.dumps({**raw, "prediction_type": prediction}, indent=2) + "\n"
    sigmas = ((1 - alphas) / alphas).sqrt()
    return Denoiser(unet, DenoiserConfig(prediction, noise=UniformSteps(tuple(sigmas.tolist()))), alphas, files)
