"""Fine-tune a baseline towards the reference: a generator that yields after each optimiser step."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..choices import OWN_TARGET, WITH_RATIO
from ..data import ImageSet
from ..errors import UserInputError
from ..model import processes
from ..model.correction import Correction, DenoiserFn, correction_at, log_weight
from ..model.denoiser import Denoiser
from ..model.device import COMPILE_FROM, compile_blocks
from ..model.memory import batch_for
from ..model.networks import EMAModel
from ..model.noise import perturb, to_x0
from ..ratio.density_ratio import DensityRatio
from ..streams import sequence
from .config import TIW, DebiasConfig
from .objectives import corrected, dsm, iw_dsm


@dataclass(frozen=True)
class TrainStep:
    """What a step leaves behind."""

    step: int  # 1-based
    steps: int
    loss: float  # mean over the batch
    learning_rate: float
    effective_sample_size: float | None  # of the batch's weights, as a share of the batch; None: the objective has none
    largest_weight: float | None
    denoiser: Denoiser  # the model in training, in eval mode while it is handed out; the baseline is never touched
    optimizer: torch.optim.Optimizer
    average: Denoiser | None = None  # the moving average of its weights, in eval mode; None: none was asked for


def debias(
    denoiser: Denoiser,
    biased: ImageSet,
    reference: ImageSet,
    ratio: DensityRatio | None,
    config: DebiasConfig,
    *,
    ema: float = 0.0,
    resume: dict | None = None,
) -> Iterator[TrainStep]:
    """Fine-tune a copy of `denoiser`; yields after each optimiser step.

    `ratio` may be None for DSM(ref) and DSM(obs). With `ema`, the decay a step (the command's is 0.95), each step holds the moving average
    of the weights too, which the command saves as the model. Everything random in step k comes from (seed, k), so a run that is taken up
    again with `resume` (keys step, model, optimizer: state dicts) goes on exactly as if it had not stopped; its average begins anew.

    Raises UserInputError for a batch that cannot be shared out, and for a class-conditional model and images without classes.
    """
    check_batch_size(config.batch_size)
    if not 0 <= ema < 1:
        raise UserInputError("ema", f"it is {ema}", "give a number from 0 up to, but not 1")
    if denoiser.classes and (biased.labels is None or reference.labels is None):
        raise UserInputError("class_label", "the model is class-conditional and the images have no classes", "give both sets labels")
    student = copy.deepcopy(denoiser).requires_grad_(True).train()
    scaled = None if ratio is None else ratio.scaled(config.strength)
    usual = config.rate(student)
    optimizer = torch.optim.AdamW(student.parameters(), lr=usual, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    first = 1
    if resume is not None:
        student.load_state_dict(resume["model"])
        optimizer.load_state_dict(resume["optimizer"])
        first = resume["step"] + 1
    if student.device.type == "cuda" and config.steps >= COMPILE_FROM:
        compile_blocks(student.unet)
        compile_blocks(denoiser.unet)
    shown = copy.deepcopy(student).requires_grad_(False).eval() if ema else None
    average = EMAModel(shown.parameters(), decay=ema) if ema else None
    trained = processes.shared(student)
    at_once = processes.agreed(batch_for(student, config.batch_size // processes.size(), gradients=True))
    draws = (_draw(student, biased, reference, config, step) for step in range(first, config.steps + 1))
    batch = next(draws, None)
    for step in range(first, config.steps + 1):
        torch.manual_seed(_seed(config, step))  # dropout, where a user's network has it
        learning_rate = usual * _schedule(step, config.steps)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.zero_grad()
        loss, weight = _backward(student, trained, scaled, batch, config, at_once)
        norm = torch.nn.utils.clip_grad_norm_(student.parameters(), config.largest_gradient)
        optimizer.step()
        batch = next(draws, None)  # while a GPU is still at work on this step
        mean_loss = float(processes.gathered(loss).mean())
        if not math.isfinite(mean_loss + float(norm)):  # raised before the yield, so that no checkpoint holds these weights
            raise FloatingPointError(f"the loss is {mean_loss} and its gradient's norm {float(norm)} at step {step}")
        weight = None if weight is None else processes.gathered(weight)
        ess = None if weight is None else float(weight.sum() ** 2 / weight.square().sum() / len(weight))
        largest = None if weight is None else float(weight.max())
        if average is not None:
            average.step(student.parameters())
            average.copy_to(shown.parameters())
        yield TrainStep(step, config.steps, mean_loss, learning_rate, ess, largest, student.eval(), optimizer, shown)
        student.train()


def check_batch_size(batch_size: int) -> None:
    """Raises UserInputError for a batch that this run's processes cannot share out equally."""
    if batch_size % processes.size():
        found = f"{batch_size} images cannot be shared equally by {processes.size()} processes"
        raise UserInputError("batch_size", found, f"give a multiple of {processes.size()}")


@dataclass(frozen=True)
class _Batch:
    x0: Tensor  # [B,C,H,W]
    noise: Tensor  # [B,C,H,W]
    sigma: Tensor  # [B]
    items: Tensor  # [B] rows of biased followed by reference
    is_reference: Tensor  # bool [B]
    labels: Tensor | None = None  # int [B] classes, for a class-conditional model

    def take(self, rows: Tensor | slice) -> _Batch:
        own = (self.x0, self.noise, self.sigma, self.items, self.is_reference, self.labels)
        return _Batch(*(None if t is None else t[rows] for t in own))

    def parts(self, size: int) -> Iterator[_Batch]:
        """The same in parts of at most `size` images."""
        for start in range(0, len(self.x0), size):
            yield self.take(slice(start, start + size))


def _draw(student: Denoiser, biased: ImageSet, reference: ImageSet, config: DebiasConfig, step: int) -> _Batch:
    """This process's part of a batch of (1 - pi) p_bias + pi p_ref, stratified; all of it reference for DSM(ref)."""
    generator = torch.Generator().manual_seed(_seed(config, step))
    n_reference = config.references_a_batch
    of_reference = torch.randint(max(1, len(reference)), (n_reference,), generator=generator)  # none asked for of an empty set
    of_biased = torch.randint(len(biased), (config.batch_size - n_reference,), generator=generator)
    noise = torch.randn((config.batch_size, *student.shape), generator=generator)
    levels = student.config.noise.scaled(config.sigma_scale if config.objective in TIW else 1.0)
    sigma = levels.within(config.sigma_min, config.sigma_max).draw(config.batch_size, generator)
    items = torch.cat([of_biased, len(biased) + of_reference])
    own = processes.part(config.batch_size)
    items = items[own]
    rows, n = items.numpy(), len(biased)
    x0 = to_x0(np.concatenate([biased.images[rows[rows < n]], reference.images[rows[rows >= n] - n]]))
    parts = [x0, noise[own], sigma[own], items, items >= n]
    if student.classes:
        parts.append(torch.from_numpy(np.concatenate([biased.labels, reference.labels])[rows]))
    on_gpu = student.device.type == "cuda"  # from pinned memory, the copies wait for nothing
    return _Batch(*((t.pin_memory() if on_gpu else t).to(student.device, non_blocking=on_gpu) for t in parts))


def _seed(config: DebiasConfig, step: int) -> int:
    """Of everything random in this step."""
    return int(sequence(config.seed, "training step", step).generate_state(1, np.uint64)[0]) % 2**63


def _backward(
    student: Denoiser,
    trained: DenoiserFn,
    ratio: DensityRatio | None,
    batch: _Batch,
    config: DebiasConfig,
    at_once: int,
) -> tuple[Tensor, Tensor | None]:
    """Add the gradient of the batch's mean loss to the student's, from parts that memory holds; returns `_losses` of the whole batch."""
    losses, weights = [], []
    for part in batch.parts(at_once):
        loss, weight = _losses(student, trained, ratio, part, config)
        (loss.sum() / len(batch.x0)).backward()
        losses.append(loss.detach())
        weights.append(weight)
    return torch.cat(losses), None if weights[0] is None else torch.cat(weights)


def _losses(
    student: Denoiser,
    trained: DenoiserFn,
    ratio: DensityRatio | None,
    batch: _Batch,
    config: DebiasConfig,
) -> tuple[Tensor, Tensor | None]:
    """Loss per example [B] of `trained`, the student as several processes share it, and the weights [B] it used, if there are any."""
    x0, noise, sigma = batch.x0, batch.noise, batch.sigma
    denoise = trained if batch.labels is None else lambda xt, level: trained(xt, level, batch.labels)
    if config.objective not in WITH_RATIO:
        return dsm(denoise, x0, noise, sigma, loss_weight=student.loss_weight), None
    assert ratio is not None, f"{config.objective} needs a density ratio"
    if config.objective == "iw-dsm":
        lowest = sigma.new_full(sigma.shape, float(ratio.sigmas[0]))
        with torch.no_grad():
            log_r = _of_rows(ratio, batch)(x0 + lowest[0] * noise, lowest)
        weight = log_weight(log_r, config.exact_share).exp()
        return iw_dsm(denoise, x0, noise, sigma, weight, loss_weight=student.loss_weight), weight

    xt = perturb(x0, noise, sigma)
    own = config.objective in OWN_TARGET
    share = 0.0 if own else config.exact_share
    use_correction = config.objective != "weight-only"
    correction = Correction(torch.zeros_like(sigma), torch.zeros_like(xt))  # of a reference that is its own target
    rows = torch.nonzero(~batch.is_reference)[:, 0] if own else torch.arange(len(x0), device=x0.device)
    if len(rows):
        found = correction_at(_of_rows(ratio, batch.take(rows)), xt[rows], sigma[rows], use_correction)
        correction.log_r[rows], correction.gradient[rows] = found.log_r.to(sigma), found.gradient
    loss = corrected(
        denoise,
        x0,
        xt,
        sigma,
        correction,
        share,
        use_weight=config.objective != "correction-only",
        use_correction=use_correction,
        loss_weight=student.loss_weight,
    )
    return loss, correction.log_weight(share).exp()


def _of_rows(ratio: DensityRatio, batch: _Batch) -> DensityRatio:
    """log r of these images, each by the fold that has not seen it."""
    return (ratio if batch.labels is None else ratio.given(batch.labels)).held_out(batch.items)


def _schedule(step: int, steps: int) -> float:
    """Factor of the learning rate: linear warm-up over the first tenth, then a cosine to zero at the last step.

    Adam moves every weight by the full rate at its first step, whatever the gradient: without a warm-up a short run starts with a jolt.
    """
    warm = max(5, steps // 10)
    return min(1.0, step / warm) * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
