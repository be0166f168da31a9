"""D(xt; sigma), the denoiser: any diffusers U-Net checkpoint, with or without classes, behind one call."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UserInputError
from .networks import NetworkConfig, UNet2DModel, make_unet
from .noise import ImageLossWeight, NoiseDistribution, VPSchedule, expand
from .opening import CONFIG_FILE, SCHEMA_VERSION, DenoiserConfig, read_parts


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

    def sha256(self) -> str:
        """Fingerprint of the weights, whatever file they came from."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.unet.state_dict().items()):
            digest.update(f"{name} {list(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()

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
        """Read a folder of ours, or a diffusers pipeline with a `UNet2DModel` in pixel space; `OWNER/NAME` or `OWNER/NAME@REVISION`,
        where no such folder is here, is fetched from the hub. All of one process is of one commit, which a run's result records.

        Raises UserInputError for a folder that holds neither, for one that is damaged, not whole or contradicts itself, for weights that
        are not safetensors or not finite, for a network or a scheduler of another kind, and for a hub id that cannot be fetched.
        """
        parts = read_parts(path)
        return cls(parts.unet, parts.config, parts.alphas_cumprod, parts.pipeline)

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
