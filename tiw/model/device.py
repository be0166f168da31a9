"""Which device computes, and in which precision."""

from __future__ import annotations

import torch
from torch import nn

from . import processes

COMPILE_FROM = 2000  # steps: fewer do not earn the minute back that compiling takes


def pick_device(name: str = "auto") -> torch.device:
    """`auto` takes the first GPU if there is one (each of several processes its own), else the CPU."""
    if name != "auto":
        device = torch.device(name)
    elif torch.cuda.is_available():
        device = torch.device("cuda", processes.local_rank())
    else:
        device = torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32 for what stays float32; cuDNN's convolutions have it by default
    return device


def compile_blocks(unet: nn.Module) -> None:
    """Compile a diffusers U-Net in place, block by block; the names of its parameters stay.

    Blocks, because hooks between them (Denoiser.features) are not seen by a compiler that has the whole. A block that cannot be
    compiled, for want of a compiler perhaps, runs as it is.
    """
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True
    torch._dynamo.config.recompile_limit = 128  # counted over all blocks of a kind, of student and baseline, with and without gradients
    middle = (*unet.mid_block.resnets, *filter(None, unet.mid_block.attentions))  # the hooks are on the middle block itself
    for block in (*unet.down_blocks, *middle, *unet.up_blocks):
        block.compile()


def pick_precision(device: torch.device, name: str = "auto") -> torch.dtype:
    """`auto` takes bfloat16 where the hardware multiplies it natively; elsewhere it would be emulated and slower than float32."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        native = False
    return torch.bfloat16 if native else torch.float32
