"""How many images at once: from what one of them takes in this network, and from the memory that is free."""

from __future__ import annotations

import re
from pathlib import Path
from weakref import WeakKeyDictionary

import psutil
import torch
from torch import nn

SHARE = 0.4  # of the free memory that a batch may take: others work on the machine too
KEPT = 1.5  # bytes that a pass with gradients holds for each byte of the layers' outputs (1.04 in 113 M parameters at 256 pixels)
PASSING = 0.6  # likewise without gradients: the skip connections and the layer at work
CGROUP = Path("/sys/fs/cgroup")

_OUTPUTS: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


def batch_for(model: object, wanted: int, gradients: bool = False) -> int:
    """How many images, at most `wanted`, `model` computes at once, with `gradients` or without; at least 1.

    As many as memory holds. On a CPU, where more at once are no faster, large images come in smaller batches: progress and Stop would wait
    minutes for one batch. The results do not depend on it, apart from rounding. A model that is no `tiw.Denoiser` gets what it wants.
    """
    model = getattr(model, "denoiser", model)  # of a Conditioned
    if not isinstance(model, nn.Module) or wanted <= 1:
        return max(1, wanted)
    if model.device.type == "cpu":
        wanted = thinned(wanted, model.shape, 1)
    one = _bytes_of_outputs(model) * (KEPT if gradients else PASSING)
    return int(max(1, min(wanted, SHARE * free_bytes(model.device) // max(one, 1))))


def thinned(count: int, shape: tuple[int, ...], least: int) -> int:
    """`count` images of 64x64 pixels, fewer where images [C,H,W] are larger, at least `least`: what a check may cost has a bound."""
    return max(min(least, count), min(count, count * 64**2 // (shape[-1] * shape[-2])))


def free_bytes(device: torch.device) -> int:
    """Memory that is free on the device, or for this process where it runs on the CPU."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return min(psutil.virtual_memory().available, _left_in_container())


def _left_in_container() -> int:
    """What a container's limit leaves; without one, more than any machine has."""
    try:
        cached = re.search(r"^inactive_file (\d+)", (CGROUP / "memory.stat").read_text(), re.MULTILINE)  # given back when asked for
        used = int((CGROUP / "memory.current").read_text()) - (int(cached[1]) if cached else 0)
        return int((CGROUP / "memory.max").read_text()) - used
    except (OSError, ValueError):  # no such file, or "max"
        return 1 << 60


@torch.no_grad()
def _bytes_of_outputs(model: nn.Module) -> int:
    """Of all layers, for one image: from one pass, made once for each network."""
    if model not in _OUTPUTS:
        total = 0

        def count(_module: nn.Module, _inputs: tuple, output: object) -> None:
            nonlocal total
            total += output.numel() * output.element_size() if isinstance(output, torch.Tensor) else 0

        hooks = [part.register_forward_hook(count) for part in model.modules() if not any(True for _ in part.children())]
        training = model.training
        model.eval()  # dropout would use up random numbers
        try:
            labels = {"labels": torch.zeros(1, dtype=torch.long, device=model.device)} if model.classes else {}
            model(torch.zeros(1, *model.shape, device=model.device), torch.ones(1, device=model.device), **labels)
        finally:
            model.train(training)
            for hook in hooks:
                hook.remove()
        _OUTPUTS[model] = total
    return _OUTPUTS[model]
