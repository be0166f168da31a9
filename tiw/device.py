"""Which device computes, and in which precision."""

from __future__ import annotations

import torch

from . import world


def pick_device(name: str = "auto") -> torch.device:
    """`auto` takes the first GPU if there is one (each of several processes its own), else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", world.local_rank())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


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
