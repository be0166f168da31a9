"""How long will it take? Said before a run begins, from the time of a pass through its network.

What takes more than an hour is named with the options that shorten it, and a check that takes more is left out with a sentence.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ..choices import WITH_RATIO
from ..data import ImageSet
from ..debiasing import lagging
from ..model import processes
from ..model.denoiser import Denoiser
from ..model.memory import batch_for, thinned
from ..ratio.features import RatioConfig, RatioEncoder, features_at, levels, passes
from ..sentences import about_time
from . import names
from .budget import PREVIEWS
from .folder import RunFolder
from .options import AuditOptions, CompareOptions, DebiasOptions, PreviewOptions, SampleOptions

LONG = 3600.0  # seconds: from here on the ways to shorten it are named, and checks left out
LOOK = 900.0  # seconds: what looking for what lags may always take; more only where training takes as long
SLOW = 1.0  # seconds: a pass of one image that takes so long need not be timed twice
STEPS, GUIDED = 12, 3.0  # of the checks' samples, and what a guided pass costs against a plain one
TRAINED, CORRECTED = 3.0, 1.0  # passes of an image in a training step: forward and back, and its log ratio with the gradient
SHORT = {"levels": 4, "scored": 500}  # what is offered
PREVIEWED = (64, 8)  # samples of an image grid: of small images, and at least

_PASSES: WeakKeyDictionary[Denoiser, float] = WeakKeyDictionary()


@dataclass(frozen=True)
class Forecast:
    """Seconds of the parts of an audit."""

    encoding: float
    rest: float  # images beyond those of the charts
    strength: float

    @property
    def long(self) -> bool:
        return self.encoding > LONG


def forecast(
    run: RunFolder, o: AuditOptions, biased: ImageSet, reference: ImageSet, encoder: RatioEncoder, config: RatioConfig
) -> Forecast:
    """Time a batch and say what follows from it; on standard error, and in the run's log, where it is hours."""
    if not isinstance(encoder, Denoiser):
        return Forecast(0.0, 0.0, 0.0)
    labels = biased.labels

    def encode(n: int) -> None:
        own = None if labels is None else labels[:n]
        features_at(encoder, biased.images[:n], np.arange(n), config.sigmas[:1], o.seed, labels=own)

    each = _seconds_an_image(encode, min(8, batch_for(encoder, 8), len(biased)))
    rest = max(0, len(biased) - config.biased_images) * len(config.sigmas) if o.score_all else 0
    samples = matching_passes(encoder)
    count = passes(len(biased), len(reference), config)
    found = Forecast(count * each, rest * each, samples * seconds_a_pass(encoder))
    run.progress(f"Encoding the images takes {about_time(found.encoding)}", 0, 1)
    if found.long or found.rest > LONG:
        said = f"Encoding the images takes {about_time(found.encoding)}: {count:,} passes through the network, {each:.2g} seconds each."
        if found.rest:
            said += f" Scoring all other images takes {about_time(found.rest)} more; --no-score-all leaves it out."
        shorter = RatioConfig(sigmas=levels(min(SHORT["levels"], o.levels)), biased_images=min(SHORT["scored"], o.scored))
        less = passes(len(biased), len(reference), shorter)
        if less < count:
            said += f" With --levels {len(shorter.sigmas)} --scored {shorter.biased_images} the encoding takes {about_time(less * each)}."
        print(said, file=sys.stderr)
    return found


@dataclass(frozen=True)
class Part:
    """One part of a run, with the options that shorten it."""

    name: str
    passes: float  # of one image through the whole network
    shorter: str = ""
    limit: float = LONG  # seconds: what takes longer and cannot be shortened is left out


def parts_of(
    o: PreviewOptions | DebiasOptions | SampleOptions | CompareOptions,
    denoiser: Denoiser,
    sizes: tuple[int, int] = (0, 0),
    home: Path | None = None,
    more: float = 0,
) -> list[Part]:
    """What a run with these options computes. `sizes`: of the biased set and of the reference. What lies in `home`, the folder of its
    ratio, is not made again. more: models of a comparison beside the two."""
    if not isinstance(o, DebiasOptions):
        painted = o.count * o.sampling_steps * (2 if o.solver == "heun" else 1)
    fewer = "--count or --sampling-steps"
    if isinstance(o, CompareOptions):
        return [Part("sampling the models", (2 + more) * painted, fewer)]
    if isinstance(o, SampleOptions):
        return [Part("sampling", painted * (GUIDED if o.guidance else 1), fewer)]
    found = []
    with_ratio = isinstance(o, PreviewOptions) or o.objective in WITH_RATIO
    if with_ratio and not (home / names.RATIO).is_dir():
        found.append(Part("encoding the images", passes(*sizes, RatioConfig()) / 2, "--audit, naming one made with fewer --levels"))
    if with_ratio and not (home / names.BASELINE_CHECK).is_file():
        found.append(Part("testing the baseline", testing_passes(denoiser)))
    if with_ratio and o.strength == "auto" and not (home / names.STRENGTH).is_file():
        found.append(Part("matching the strength", matching_passes(denoiser), "--strength 1.5 instead of auto"))
    if isinstance(o, PreviewOptions):
        return [*found, Part("sampling", painted * (1 + GUIDED), fewer)]
    if o.steps:
        grids = 1 + (o.steps // o.preview_every if o.preview_every else min(PREVIEWS, o.steps))
        found.append(Part("training", training_passes(o), "--steps or --batch-size"))
        found.append(Part("image grids", grids * preview_count(denoiser) * STEPS, "a larger --preview-every"))
    if with_ratio and not denoiser.classes:
        found.append(Part("looking for what lags", lagging_passes(denoiser), limit=lagging_limit(o, denoiser)))
    return found


def say_beforehand(run: RunFolder, denoiser: Denoiser, parts: list[Part]) -> None:
    """How long the parts take, as the run's stage; on standard error, with what shortens them, where it is hours."""
    seconds = {part: part.passes * seconds_a_pass(denoiser) for part in parts}
    done = {part: s for part, s in seconds.items() if part.shorter or s <= part.limit}
    whole = sum(done.values())
    run.progress(f"Takes {about_time(whole)} after this", 0, 1)
    if whole <= LONG or not processes.is_first():
        return
    long = [part for part in done if seconds[part] > whole / 10]
    said = ", ".join(f"{part.name} {about_time(seconds[part])}" for part in long)
    shorter = " ".join(f"Shorter with {part.shorter}." for part in long if part.shorter)
    print(f"This takes {about_time(whole)}: {said}. {shorter}", file=sys.stderr)


def too_long(what: str, denoiser: Denoiser, passes: float, limit: float = LONG) -> bool:
    """Whether a check of so many passes takes more than `limit` seconds; it is then said on standard error that it is left out."""
    seconds = passes * seconds_a_pass(denoiser)
    long = bool(processes.agreed(seconds > limit))
    if long and processes.is_first():
        print(f"{what} would take {about_time(seconds)} and is left out.", file=sys.stderr)
    return long


def seconds_a_pass(denoiser: Denoiser) -> float:
    """Of one image through the whole network; timed once."""
    if denoiser not in _PASSES:

        @torch.no_grad()
        def denoise(n: int) -> None:
            labels = {"labels": torch.zeros(n, dtype=torch.long, device=denoiser.device)} if denoiser.classes else {}
            denoiser(torch.zeros(n, *denoiser.shape, device=denoiser.device), torch.ones(n, device=denoiser.device), **labels).sum().item()

        _PASSES[denoiser] = _seconds_an_image(denoise, min(8, batch_for(denoiser, 8)))
    return _PASSES[denoiser]


def preview_count(denoiser: Denoiser) -> int:
    """Samples of an image grid on the way: fewer of large images."""
    return thinned(PREVIEWED[0], denoiser.shape, PREVIEWED[1])


def training_passes(o: DebiasOptions) -> float:
    """Of the steps that were asked for."""
    return o.steps * (o.batch_size * TRAINED + o.config().corrected_a_batch * CORRECTED)


def lagging_passes(denoiser: Denoiser) -> int:
    """Of the search for what lags, in the samples of both models."""
    return 2 * lagging.count_for(denoiser.shape) * STEPS


def lagging_limit(o: DebiasOptions, denoiser: Denoiser) -> float:
    """Seconds that this search may take: no longer than the training, whose result it looks at."""
    training = training_passes(o) * seconds_a_pass(denoiser) if o.steps else 60 * o.minutes
    return min(LONG, max(LOOK, training))


def testing_passes(denoiser: Denoiser) -> int:
    """Passes of `check_baseline`."""
    return thinned(240, denoiser.shape, 40) * STEPS


def matching_passes(denoiser: Denoiser) -> float:
    """Passes of `match_strength`."""
    return thinned(480, denoiser.shape, 80) * STEPS * (1 + GUIDED)


def _seconds_an_image(compute: Callable[[int], object], most: int) -> float:
    """Of `compute(n)` for n images: one, which warms up, then `most` unless that one took long."""
    each = np.inf
    for n in (1, most):
        start = time.monotonic()
        compute(n)
        seconds = time.monotonic() - start
        each = min(each, seconds / n)
        if seconds > SLOW:
            break
    return each
