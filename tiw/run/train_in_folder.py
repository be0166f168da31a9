"""A training run in its folder: budget, moving average, live lines, pictures, checkpoints, stop and resume.

Nothing random is kept: noise, noise levels, data order and dropout of step k all follow from (seed, k). So a checkpoint is the
step's number with model, moving average and optimiser, and a run that was ended anywhere goes on to the weights it would have had.
"""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from ..debiasing.config import DebiasConfig
from ..debiasing.fine_tune import TrainStep
from ..errors import UserInputError
from ..files import Unreadable, read_json, to_disk, write_atomic
from ..intervals import Estimate
from ..model import processes
from ..model.denoiser import Denoiser
from ..model.networks import EMAModel
from ..model.sampling import labels_like, sample
from ..pictures import contact_sheet
from . import names
from .budget import Plan, plan_for
from .folder import RunFolder, Stopped
from .forecast import preview_count
from .options import DebiasOptions, TrainOptions

PREVIEW_SEEDS = range(900_000, 900_064)  # all (of large images fewer) measure the gap closed, the first 16 are shown
CHECKPOINT_SECONDS = 600.0  # of training between two checkpoints at most, unless their steps are given: what a power cut can cost

StepsFn = Callable[[DebiasConfig, "dict | None"], Iterator[TrainStep]]
GapFn = Callable[[np.ndarray, "np.ndarray | None"], "Estimate | None"]  # of images [N,H,W,3] and their classes [N], if they have any


class _Preview:
    """Samples of the model in training from fixed seeds: a picture, and the gap closed so far. Raises Stopped when a stop is asked for."""

    def __init__(self, run: RunFolder, gap: GapFn | None, like: np.ndarray | None):
        self.run, self.gap, self.like = run, gap, like
        self.last: Estimate | None = None

    def __call__(self, model: Denoiser, step: int) -> None:
        seeds = PREVIEW_SEEDS[: preview_count(model) if self.gap else min(16, preview_count(model))]
        labels = labels_like(self.like, seeds)
        images = sample(model, seeds, labels=labels, batch_size=16, on_batch=self._stop_if_asked)
        self.last = None if self.gap is None else self.gap(images, labels)
        folder = self.run.path / names.PREVIEW_SHEETS
        folder.mkdir(exist_ok=True)
        write_atomic(folder / f"{step:06d}.webp", contact_sheet(images[:16], columns=8))
        gap = None if self.last is None else asdict(self.last)
        self.run.append(names.PREVIEWS, {"step": step, "file": f"{names.PREVIEW_SHEETS}/{step:06d}.webp", "gap_closed": gap})

    def _stop_if_asked(self, _done: int) -> None:
        if self.run.stop_requested():
            raise Stopped


def train_to_folder(
    run: RunFolder,
    o: DebiasOptions | TrainOptions,
    config: DebiasConfig,
    start_model: Denoiser,
    steps_of: StepsFn,
    gap: GapFn | None = None,
    like: np.ndarray | None = None,
) -> dict:
    """Run `steps_of(config, resume)` to its end in RUN, from RUN/checkpoint.pt if there is one.

    `like`: classes of the images that a class-conditional model's pictures shall resemble, [n].

    Leaves RUN/model (the moving average), RUN/raw, one JSON line per step, pictures on the way.
    Raises Stopped, with the checkpoint written, when a stop was asked for.
    """
    trained = run.shared / names.TRAINED
    with suppress(FileNotFoundError, Unreadable):  # ended between the last checkpoint's removal and the run's own result
        return read_json(trained)
    preview = _Preview(run, gap, like)
    shown = copy.deepcopy(start_model).requires_grad_(False).eval()  # carries the moving average
    ema = EMAModel(shown.parameters(), decay=o.ema)
    resume = _load_checkpoint(run)
    _forget_after(run, -1 if resume is None else resume["step"])
    preview_seconds, training_seconds = 0.0, 0.0
    if resume is None:
        run.progress("Drawing the first samples", 0, 1)
        began = time.monotonic()
        _picture(preview, shown, 0)
        preview_seconds = time.monotonic() - began
        _stop_if_asked(run)
    else:
        ema.load_state_dict(resume["ema"])
        ema.to(start_model.device)
        training_seconds = resume["seconds"]
    device = start_model.device.type
    plan = plan_for(run, o, device, preview_seconds, lambda n: steps_of(replace(config, steps=n), None))

    last = None
    saved_at = training_seconds
    clock = time.monotonic()
    for last in _steps(config, steps_of, plan, resume):
        ema.step(last.denoiser.parameters())
        now = time.monotonic()
        seconds, clock = now - clock, now
        training_seconds += seconds
        if processes.is_first():
            run.append(names.STEPS, _line(last, o.batch_size / seconds, training_seconds))
        plan.review(run, last.step, seconds, training_seconds)
        steps, every = plan.steps(last.step), plan.every(last.step)
        run.progress("Training", last.step, steps, training_seconds / last.step * (steps - last.step))
        overdue = not o.checkpoint_every and training_seconds - saved_at >= CHECKPOINT_SECONDS
        due = overdue or last.step % (o.checkpoint_every or every) == 0 or last.step == steps
        if due:
            _save_checkpoint(run, last, ema, training_seconds)
            saved_at = training_seconds
        grid, kept = last.step % every == 0 and last.step < steps, _is_kept(run, o, last.step, steps)
        if grid or kept:
            ema.copy_to(shown.parameters())
        if kept and processes.is_first():
            _save_model(shown, run.path / names.KEPT / f"{last.step:06d}")
        if grid:
            _picture(preview, shown, last.step)
        if processes.agreed(run.stop_requested()):
            if not due:
                _save_checkpoint(run, last, ema, training_seconds)
            raise Stopped
        clock = time.monotonic()

    ema.copy_to(shown.parameters())
    steps = plan.totals[-1][1]
    result = {
        "steps": steps,
        "processes": processes.size(),
        "training_seconds": training_seconds,
        "images_per_second": steps * o.batch_size / max(training_seconds, 1e-9),
    }
    if not processes.is_first():
        return result
    run.progress("Drawing the last samples", 0, 1)
    preview(shown, steps)
    result["gap_closed"] = None if preview.last is None else asdict(preview.last)
    if last is None:  # the last step was already done
        raw = copy.deepcopy(start_model)
        raw.load_state_dict(resume["model"])
    else:
        raw = last.denoiser
    for model, name in ((shown, names.MODEL), (raw, names.RAW)):
        _save_model(model, run.path / name)
    write_atomic(trained, json.dumps(result).encode())
    (run.path / names.CHECKPOINT).unlink(missing_ok=True)
    return result


def _is_kept(run: RunFolder, o: DebiasOptions | TrainOptions, step: int, steps: int) -> bool:
    """Whether the moving average is kept after this step: `keep` times before the last one, at even distances, or as soon as another plan
    has left one behind. That of a baseline is kept half way, for the test of whether more training would help."""
    parts = 2 if isinstance(o, TrainOptions) else o.keep + 1
    due = step * parts // steps
    return step < steps and due > 0 and (due > (step - 1) * parts // steps or due > len(list((run.shared / names.KEPT).glob("*"))))


def _save_model(model: Denoiser, folder: Path) -> None:
    model.save_pretrained(folder)
    for file in folder.rglob("*.*"):
        to_disk(file)


def _picture(preview: _Preview, model: Denoiser, step: int) -> None:
    """A preview on the way, by the first process alone; one that is given up for a stop is no loss: all processes then stop together."""
    if processes.is_first():
        with suppress(Stopped):
            preview(model, step)


def _stop_if_asked(run: RunFolder) -> None:
    if processes.agreed(run.stop_requested()):
        raise Stopped


def _line(step: TrainStep, images_per_second: float, seconds: float) -> dict:
    fields = ("step", "steps", "loss", "learning_rate", "effective_sample_size", "largest_weight")
    return {name: getattr(step, name) for name in fields} | {"images_per_second": images_per_second, "seconds": seconds}


def _steps(config: DebiasConfig, steps_of: StepsFn, plan: Plan, resume: dict | None) -> Iterator[TrainStep]:
    """All steps. Where another plan begins, training goes on from its own state as it does when a run is taken up again."""
    while True:
        done = 0 if resume is None else resume["step"]
        turned = False
        for step in steps_of(replace(config, steps=plan.steps(done)), resume):
            yield step
            if turned := plan.turns_at(step.step) and step.step < plan.steps(step.step):
                resume = {"step": step.step, "model": step.denoiser.state_dict(), "optimizer": step.optimizer.state_dict()}
                break
        if not turned:
            return


def _save_checkpoint(run: RunFolder, last: TrainStep, ema: EMAModel, seconds: float) -> None:
    """Replace RUN/checkpoint.pt: the old one stays until the new one is whole and on the disk."""
    if not processes.is_first():
        return
    state = {
        "step": last.step,
        "seconds": seconds,
        "model": last.denoiser.state_dict(),
        "optimizer": last.optimizer.state_dict(),
        "ema": ema.state_dict(),
    }
    partial = run.path / "checkpoint.partial"
    try:
        with partial.open("wb") as file:  # given a path, torch.save does not say that the disk is full
            torch.save(state, file)
        to_disk(partial)
        partial.replace(run.path / names.CHECKPOINT)
    finally:
        partial.unlink(missing_ok=True)  # a full disk gets the space back, so that the status can be written
    run.saved(last.step)


def _load_checkpoint(run: RunFolder) -> dict | None:
    path = run.shared / names.CHECKPOINT
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        found = f"{path} cannot be read ({(str(error).splitlines() or [''])[0][:100]})"
        raise UserInputError("out", found, "delete it to start this run from its first step, or start a new one") from error


def _forget_after(run: RunFolder, step: int) -> None:
    """Drop the lines of steps that were lost with the process; they are about to be made again."""
    for name in (names.STEPS, names.PREVIEWS):
        kept = [line for line in run.read_lines(name) if isinstance(line.get("step"), int) and line["step"] <= step]
        write_atomic(run.path / name, "".join(json.dumps(line) + "\n" for line in kept).encode())
    for folder in (run.path / names.KEPT).glob("*"):
        if int(folder.name) > step:
            shutil.rmtree(folder)
