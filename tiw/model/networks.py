"""The network we train ourselves: a small U-Net on folded pixels, 64x64 for the price of 16x16."""

from __future__ import annotations

from dataclasses import dataclass

from . import torchvision_ops  # noqa: F401  (before diffusers)

from diffusers import UNet2DModel  # isort: skip
from diffusers.training_utils import EMAModel as EMAModel  # isort: skip


@dataclass(frozen=True)
class NetworkConfig:
    """Size of a U-Net that sees `fold` x `fold` pixels as one position with 3 * fold^2 channels."""

    resolution: int = 64  # pixels
    fold: int = 4  # pixels per side that become one position
    channels: tuple[int, ...] = (64, 96, 128)  # per resolution level
    layers: int = 1  # residual blocks per level
    attention: tuple[bool, ...] = (False, False, True)  # per level
    dropout: float = 0.0


PRESETS = {
    "demo": NetworkConfig(),  # 3.8 M parameters
    "small32": NetworkConfig(32, 2),  # the same network
    "cifar10": NetworkConfig(32, 1, (240, 256, 256), 4, (False, True, False), 0.13),  # DDPM++-like, 56 M parameters, the paper's scale
    "faces64": NetworkConfig(64, 1, (128, 256, 256, 256), 3, (False, False, True, False), 0.05),
    "tiny": NetworkConfig(16, 2, (32, 32), 1, (False, False)),  # tests
}
SMALL = {16: "tiny", 32: "small32", 64: "demo"}  # by the side of the images: what a CPU trains
LARGE = {16: "tiny", 32: "cifar10", 64: "faces64"}


def preset_for(side: int, device: str) -> str | None:
    """The preset for square images of `side` pixels on a device of this type; None where no preset has that size."""
    return (LARGE if device == "cuda" else SMALL).get(side)


def make_unet(config: NetworkConfig) -> UNet2DModel:
    """A diffusers U-Net for folded images: input and output [B, 3 * fold^2, resolution / fold, resolution / fold]."""
    return UNet2DModel(
        sample_size=config.resolution // config.fold,
        in_channels=3 * config.fold**2,
        out_channels=3 * config.fold**2,
        layers_per_block=config.layers,
        block_out_channels=config.channels,
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in config.attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(config.attention)),
        attention_head_dim=32,
        norm_num_groups=16,
        dropout=config.dropout,
    )
