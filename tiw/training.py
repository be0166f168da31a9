"""A training run in its folder: budget, moving average, live lines, pictures, checkpoints, stop and resume."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import torch
from diffusers.training_utils import EMAModel

from . import world
from .debias import DebiasConfig, TrainStep
from .denoiser import Denoiser
from .options import DebiasOptions, TrainOptions
from .pictures import contact_sheet
from .runs import RunFolder, Stopped, write_atomic
from .sampling import sample
from .strength import Estimate

PREVIEW_SEEDS = range(900_000, 900_064)  # all measure the gap closed, the first 16 are shown
PREVIEWS = 6  # image grids in a run, unless asked otherwise

StepsFn = Callable[[DebiasConfig, "dict | None"], Iterator[TrainStep]]
GapFn = Callable[["torch.Tensor"], Estimate]


class _Preview:
    """Samples of the model in training from fixed seeds: a picture, and the gap closed so far."""

    def __init__(self, run: RunFolder, gap: GapFn | None):
        self.run, self.gap = run, gap
        self.last: Estimate | None = None

    def __call__(self, model: Denoiser, step: int) -> None:
        images = sample(model, PREVIEW_SEEDS if self.gap else PREVIEW_SEEDS[:16])
        self.last = None if self.gap is None else self.gap(images)
        folder = self.run.path / "previews"
        folder.mkdir(exist_ok=True)
        write_atomic(folder / f"{step:06d}.webp", contact_sheet(images[:16], columns=8))
        gap = None if self.last is None else asdict(self.last)
        self.run.append("previews.jsonl", {"step": step, "file": f"previews/{step:06d}.webp", "gap_closed": gap})


def train_to_folder(
    run: RunFolder,
    o: DebiasOptions | TrainOptions,
    config: DebiasConfig,
    start_model: Denoiser,
    steps_of: StepsFn,
    gap: GapFn | None = None,
) -> dict:
    """Run `steps_of(config, resume)` to its end in RUN, from RUN/checkpoint.pt if there is one.

    Leaves RUN/model (the moving average), RUN/raw, one JSON line per step, pictures on the way.
    Raises Stopped, with the checkpoint written, when a stop was asked for.
    """
    preview = _Preview(run, gap)
    shown = copy.deepcopy(start_model).requires_grad_(False).eval()  # carries the moving average
    resume = _load_checkpoint(run)
    _forget_after(run, -1 if resume is None else resume["step"])
    if resume is None:
        run.progress("Drawing the first samples", 0, 1)
        began = time.monotonic()
        preview(shown, 0)
        preview_seconds = time.monotonic() - began
        steps = o.steps or world.agreed(_steps_in(60 * o.minutes - PREVIEWS * preview_seconds, config, steps_of, run))
        config = replace(config, steps=steps)
        ema = EMAModel(shown.parameters(), decay=o.ema)
    else:
        config = replace(config, steps=resume["steps"])
        ema = EMAModel(shown.parameters(), decay=o.ema)
        ema.load_state_dict(resume["ema"])
        ema.to(start_model.device)
    every = o.preview_every or max(1, round(config.steps / PREVIEWS))
    checkpoint_every = o.checkpoint_every or every

    training_seconds = 0.0 if resume is None else resume["seconds"]
    last = None
    clock = time.monotonic()
    for last in steps_of(config, resume):
        ema.step(last.denoiser.parameters())
        now = time.monotonic()
        seconds, clock = now - clock, now
        training_seconds += seconds
        run.append("steps.jsonl", _line(last, o.batch_size / seconds, training_seconds))
        remaining = training_seconds / last.step * (config.steps - last.step)
        run.progress("Training", last.step, config.steps, remaining)
        stop = bool(world.agreed(run.stop_requested()))
        if world.is_first() and (stop or last.step % checkpoint_every == 0):
            _save_checkpoint(run, last, ema, training_seconds)
        if stop:
            raise Stopped
        if world.is_first() and (last.step % every == 0 or last.step == config.steps):
            ema.copy_to(shown.parameters())
            preview(shown, last.step)
        clock = time.monotonic()

    ema.copy_to(shown.parameters())
    shown.save_pretrained(run.path / "model")
    if last is not None:
        last.denoiser.save_pretrained(run.path / "raw")
    (run.path / "checkpoint.pt").unlink(missing_ok=True)
    return {
        "steps": config.steps,
        "training_seconds": training_seconds,
        "images_per_second": config.steps * o.batch_size / max(training_seconds, 1e-9),
        "gap_closed": None if preview.last is None else asdict(preview.last),
    }


def _line(step: TrainStep, images_per_second: float, seconds: float) -> dict:
    fields = ("step", "steps", "loss", "learning_rate", "effective_sample_size", "largest_weight")
    return {name: getattr(step, name) for name in fields} | {"images_per_second": images_per_second, "seconds": seconds}


def _steps_in(seconds: float, config: DebiasConfig, steps_of: StepsFn, run: RunFolder) -> int:
    """How many steps fit: the budget is turned into steps once, so that the run can be repeated."""
    run.progress("Timing a few steps", 0, 1)
    times = []
    for _ in steps_of(replace(config, steps=4), None):
        times.append(time.monotonic())
    return max(1, int(seconds / ((times[-1] - times[0]) / (len(times) - 1))))


def _save_checkpoint(run: RunFolder, last: TrainStep, ema: EMAModel, seconds: float) -> None:
    state = {
        "step": last.step,
        "steps": last.steps,
        "seconds": seconds,
        "model": last.denoiser.state_dict(),
        "optimizer": last.optimizer.state_dict(),
        "ema": ema.state_dict(),
    }
    partial = run.path / "checkpoint.partial"
    torch.save(state, partial)
    partial.replace(run.path / "checkpoint.pt")


def _load_checkpoint(run: RunFolder) -> dict | None:
    path = run.shared / "checkpoint.pt"
    return torch.load(path, weights_only=True) if path.is_file() else None


def _forget_after(run: RunFolder, step: int) -> None:
    """Drop the lines of steps that were lost with the process; they are about to be made again."""
    for name in ("steps.jsonl", "previews.jsonl"):
        kept = [line for line in run.read_lines(name) if line["step"] <= step]
        write_atomic(run.path / name, "".join(json.dumps(line) + "\n" for line in kept).encode())
