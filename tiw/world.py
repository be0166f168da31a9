"""One run by several processes: `accelerate launch -m tiw debias ...` on the GPUs of one machine or many. Alone, all of this is nothing.

The batch of a step is drawn whole from (seed, step) by every process, which then keeps its part, so the number of processes does not change
what is trained. The first process writes the run folder; the others have a folder of their own, which is thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Among the processes on this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_first() -> bool:
    return rank() == 0


def join(device: torch.device) -> None:
    """Meet the other processes, by accelerate's choice of backend for this device."""
    if size() > 1:
        from accelerate import PartialState

        PartialState(cpu=device.type == "cpu")


@contextmanager
def first_goes_first() -> Iterator[None]:
    """The first process does the block, then the others, who find its files."""
    if size() == 1:
        yield
        return
    from accelerate import PartialState

    with PartialState().main_process_first():
        yield


def shared(module: nn.Module) -> nn.Module:
    """The module with its gradients averaged over the processes."""
    if size() == 1:
        return module
    device = next(module.parameters()).device
    return nn.parallel.DistributedDataParallel(module, [device.index] if device.type == "cuda" else None)


def part(n: int) -> slice:
    """This process's rows of a batch of `n`."""
    return slice(rank(), n, size())


def gathered(x: Tensor) -> Tensor:
    """The rows [B, ...] of all processes, which have as many each; their order is not the batch's."""
    if size() == 1:
        return x
    from accelerate.utils import gather

    return gather(x.contiguous())


def agreed(value: int) -> int:
    """The first process's number."""
    if size() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]
