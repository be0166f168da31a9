"""One run by several processes: `accelerate launch -m tiw debias ...` on the GPUs of one machine or many. Alone, all of this is nothing.

The batch of a step is drawn whole from (seed, step) by every process, which then keeps its part, so the number of processes does not change
what is trained. The first process writes the run folder; the others have a folder of their own, which is thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line asks who is first before it loads torch
    import torch
    from torch import Tensor, nn

PATIENCE = timedelta(days=1)  # while the first process fits a ratio or paints a preview, the others wait


class FirstEnded(Exception):  # noqa: N818  (its status tells why)
    """The first process has ended, by a stop or an error: there is nothing left to do for the others."""


def size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number among them."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Among the processes on this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def join(device: torch.device) -> None:
    """Meet the other processes, by accelerate's choice of backend for this device."""
    if size() > 1:
        from accelerate import PartialState

        PartialState(cpu=device.type == "cpu", timeout=PATIENCE)


@contextmanager
def first_goes_first() -> Iterator[None]:
    """The first process does the block, then the others, who find its files. Raises FirstEnded in them where it does not come through."""
    if size() == 1:
        yield
    elif is_first():
        done = False
        try:
            yield
            done = True
        finally:
            agreed(done)
    else:
        if not agreed(False):
            raise FirstEnded
        yield


def shared(module: nn.Module) -> nn.Module:
    """The module with its gradients averaged over the processes."""
    if size() == 1:
        return module
    from torch.nn.parallel import DistributedDataParallel

    device = next(module.parameters()).device
    return DistributedDataParallel(module, [device.index] if device.type == "cuda" else None)


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
