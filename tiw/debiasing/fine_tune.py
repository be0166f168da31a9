"""Fine-tune a baseline towards the reference: a generator that yields after each optimiser step."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..choices import WITH_ANCHOR, WITH_RATIO
from ..data import ImageSet
from ..errors import UserInputError
from ..model import processes
from ..model.correction import DenoiserFn, log_weight
from ..model.denoiser import Denoiser
from ..model.device import COMPILE_FROM, compile_blocks
from ..model.memory import batch_for
from ..model.noise import to_x0
from ..ratio.density_ratio import DensityRatio
from .objectives import dsm, iw_dsm, tiw_dsm

TIW = ("tiw-dsm", "correction-only", "weight-only")


@dataclass(frozen=True)
class DebiasConfig:
    """One fine-tune. `objective` is one of tiw.choices.OBJECTIVES."""

    objective: str = "tiw-dsm"
    steps: int = 60
    strength: float = 1.0
    anchor: float | tuple[float, float] = 1.0  # share of the frozen baseline in the target; (first, last step): linear between them
    reference_share: float = 0.5
    batch_size: int = 48  # the anchored target is free of x0's noise: many small steps beat few large ones
    learning_rate: float = 1e-4  # warmed up over the first tenth, then decayed to zero along a cosine
    weight_clip: float = 0.0  # largest weight; 0: none
    sigma_scale: float = 3.0  # TIW draws its noise levels this many times as high as the checkpoint did: shares are decided at high noise
    sigma_min: float = 0.0  # noise-level window; 0: the checkpoint's own
    sigma_max: float = 0.0
    seed: int = 0

    @property
    def references_a_batch(self) -> int:
        """Whole images: what `reference_share` comes to."""
        return self.batch_size if self.objective == "dsm-ref" else round(self.reference_share * self.batch_size)

    @property
    def exact_share(self) -> float:
        """pi as the batches have it, which is the one that the weights must be made with."""
        return self.references_a_batch / self.batch_size


@dataclass(frozen=True)
class TrainStep:
    """What a step leaves behind."""

    step: int  # 1-based
    steps: int
    loss: float  # mean over the batch
    learning_rate: float
    effective_sample_size: float | None  # of the batch's weights, as a share of the batch; None: the objective has none
    largest_weight: float | None
    denoiser: Denoiser  # the model in training; the baseline is never touched
    optimizer: torch.optim.Optimizer


def usual_rate(objective: str, anchor: float | tuple[float, float]) -> float:
    """The learning rate where none is given. An anchored target has no noise to average out and is little away from the model as it
    is: a higher rate first spoils the lower noise levels and spends the run on mending them (docs/METHOD.md, "Noise levels")."""
    return 1e-4 if anchor and objective in WITH_ANCHOR else 3e-4


def debias(
    denoiser: Denoiser,
    biased: ImageSet,
    reference: ImageSet,
    ratio: DensityRatio | None,
    config: DebiasConfig,
    *,
    resume: dict | None = None,
) -> Iterator[TrainStep]:
    """Fine-tune a copy of `denoiser`; yields after each optimiser step.

    `ratio` may be None for DSM(ref) and DSM(obs). Everything random in step k comes from (seed, k), so a run that
    is taken up again with `resume` (keys step, model, optimizer: state dicts) goes on exactly as if it had not stopped.
    """
    if config.batch_size % processes.size():
        found = f"{config.batch_size} images cannot be shared equally by {processes.size()} processes"
        raise UserInputError("batch_size", found, f"give a multiple of {processes.size()}")
    if config.objective != "dsm-ref" and config.exact_share == 1:
        found = f"{config.reference_share} of {config.batch_size} images leave no biased one in a batch"
        raise UserInputError("reference_share", found, "give a smaller share or larger batches")
    if denoiser.classes and (biased.labels is None or reference.labels is None):
        raise UserInputError("class_label", "the model is class-conditional and the images have no classes", "give both sets labels")
    student = copy.deepcopy(denoiser).requires_grad_(True).train()
    scaled = None if ratio is None else ratio.scaled(config.strength)
    optimizer = torch.optim.AdamW(student.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    first = 1
    if resume is not None:
        student.load_state_dict(resume["model"])
        optimizer.load_state_dict(resume["optimizer"])
        first = resume["step"] + 1
    if student.device.type == "cuda" and config.steps >= COMPILE_FROM:
        compile_blocks(student.unet)
        compile_blocks(denoiser.unet)
    trained = processes.shared(student)
    at_once = processes.agreed(batch_for(student, config.batch_size // processes.size(), gradients=True))
    draws = (_draw(student, biased, reference, config, step) for step in range(first, config.steps + 1))
    batch = next(draws, None)
    for step in range(first, config.steps + 1):
        torch.manual_seed(_seed(config, step))  # dropout, where a user's network has it
        learning_rate = config.learning_rate * _schedule(step, config.steps)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.zero_grad()
        loss, weight = _backward(student, trained, denoiser, scaled, batch, config, _anchor(config, step), at_once)
        norm = torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        batch = next(draws, None)  # while a GPU is still at work on this step
        mean_loss = float(processes.gathered(loss).mean())
        if not math.isfinite(mean_loss + float(norm)):  # raised before the yield, so that no checkpoint holds these weights
            raise FloatingPointError(f"the loss is {mean_loss} and its gradient's norm {float(norm)} at step {step}")
        weight = None if weight is None else processes.gathered(weight)
        ess = None if weight is None else float(weight.sum() ** 2 / weight.square().sum() / len(weight))
        largest = None if weight is None else float(weight.max())
        yield TrainStep(step, config.steps, mean_loss, learning_rate, ess, largest, student, optimizer)


@dataclass(frozen=True)
class _Batch:
    x0: Tensor  # [B,C,H,W]
    noise: Tensor  # [B,C,H,W]
    sigma: Tensor  # [B]
    items: Tensor  # [B] rows of biased followed by reference
    labels: Tensor | None = None  # int [B] classes, for a class-conditional model

    def parts(self, size: int) -> Iterator[_Batch]:
        """The same in parts of at most `size` images."""
        for start in range(0, len(self.x0), size):
            rows = slice(start, start + size)
            yield _Batch(*(None if t is None else t[rows] for t in (self.x0, self.noise, self.sigma, self.items, self.labels)))


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
    parts = [x0, noise[own], sigma[own], items]
    if student.classes:
        parts.append(torch.from_numpy(np.concatenate([biased.labels, reference.labels])[rows]))
    on_gpu = student.device.type == "cuda"  # from pinned memory, the copies wait for nothing
    return _Batch(*((t.pin_memory() if on_gpu else t).to(student.device, non_blocking=on_gpu) for t in parts))


def _seed(config: DebiasConfig, step: int) -> int:
    """Of everything random in this step."""
    return int(np.random.SeedSequence([config.seed, step]).generate_state(1, np.uint64)[0]) % 2**63


def _backward(
    student: Denoiser,
    trained: DenoiserFn,
    baseline: Denoiser,
    ratio: DensityRatio | None,
    batch: _Batch,
    config: DebiasConfig,
    anchor: float,
    at_once: int,
) -> tuple[Tensor, Tensor | None]:
    """Add the gradient of the batch's mean loss to the student's, from parts that memory holds; returns `_losses` of the whole batch."""
    losses, weights = [], []
    for part in batch.parts(at_once):
        loss, weight = _losses(student, trained, baseline, ratio, part, config, anchor)
        (loss.sum() / len(batch.x0)).backward()
        losses.append(loss.detach())
        weights.append(weight)
    return torch.cat(losses), None if weights[0] is None else torch.cat(weights)


def _losses(
    student: Denoiser,
    trained: DenoiserFn,
    baseline: Denoiser,
    ratio: DensityRatio | None,
    batch: _Batch,
    config: DebiasConfig,
    anchor: float,
) -> tuple[Tensor, Tensor | None]:
    """Loss per example [B] of `trained`, the student as several processes share it, and the weights [B] it used, if there are any."""
    x0, noise, sigma = batch.x0, batch.noise, batch.sigma
    network, shares_pass = trained, ratio is not None and ratio.shares_pass(baseline)
    if batch.labels is not None:
        trained, baseline = (lambda xt, level: network(xt, level, batch.labels)), baseline.given(batch.labels)
        ratio = None if ratio is None else ratio.given(batch.labels)
    if config.objective not in WITH_RATIO:
        return dsm(trained, x0, noise, sigma, loss_weight=student.loss_weight), None
    assert ratio is not None, f"{config.objective} needs a density ratio"
    held_out = ratio.held_out(batch.items)
    if config.objective == "iw-dsm":
        lowest = sigma.new_full(sigma.shape, float(ratio.sigmas[0]))
        with torch.no_grad():
            weight = log_weight(held_out(x0 + lowest[0] * noise, lowest), config.exact_share).exp()
        weight = weight.clamp(max=config.weight_clip) if config.weight_clip else weight
        return iw_dsm(trained, x0, noise, sigma, weight, loss_weight=student.loss_weight), weight

    shared = held_out.shared_pass() if anchor and shares_pass else None
    seen: list[Tensor] = []

    def log_ratio(xt: Tensor, level: Tensor) -> Tensor:
        seen.append((held_out if shared is None else shared.log_ratio)(xt, level))
        return seen[-1]

    loss = tiw_dsm(
        trained,
        x0,
        noise,
        sigma,
        log_ratio,
        config.exact_share,
        use_weight=config.objective != "correction-only",
        use_correction=config.objective != "weight-only",
        anchor=anchor,
        baseline=baseline if shared is None else shared.denoiser,
        loss_weight=student.loss_weight,
    )
    weight = log_weight(seen[-1].detach(), config.exact_share).exp()
    if config.weight_clip and config.objective != "correction-only":
        loss = loss * (config.weight_clip / weight).clamp(max=1)
        weight = weight.clamp(max=config.weight_clip)
    return loss, weight


def _anchor(config: DebiasConfig, step: int) -> float:
    """Share of the baseline in step `step`'s target. Weight-only has none: without the correction the baseline is no control variate
    for its target, and anchored to it the model would stay where it is."""
    if config.objective == "weight-only":
        return 0.0
    first, last = config.anchor if isinstance(config.anchor, tuple) else (config.anchor, config.anchor)
    return first + (last - first) * (step - 1) / max(1, config.steps - 1)


def _schedule(step: int, steps: int) -> float:
    """Factor of the learning rate: linear warm-up over the first tenth, then a cosine to zero at the last step.

    Adam moves every weight by the full rate at its first step, whatever the gradient: without a warm-up a short run starts with a jolt.
    """
    warm = max(5, steps // 10)
    return min(1.0, step / warm) * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
