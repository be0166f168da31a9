"""How long will it take? Said before an audit begins, from the time of one batch of its own images."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

from ..data import ImageSet
from ..model.denoiser import Denoiser
from ..model.memory import batch_for, thinned
from ..ratio.features import RatioConfig, RatioEncoder, features_at, levels, passes
from ..sentences import about_time
from .folder import RunFolder
from .options import AuditOptions

LONG = 3600.0  # seconds: from here on the ways to shorten it are named
MATCH_STEPS, GUIDED = 12, 3.0  # of `match_strength`: steps a sample, and what a guided pass costs against a plain one
SHORT = {"levels": 4, "scored": 500}  # what is offered


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
    n = min(8, batch_for(encoder, 8), len(biased))
    rows, labels = np.arange(n), None if biased.labels is None else biased.labels[:n]
    each = np.inf
    for _ in range(2):  # the first warms up
        start = time.monotonic()
        features_at(encoder, biased.images[:n], rows, config.sigmas[:1], o.seed, labels=labels)
        each = min(each, (time.monotonic() - start) / n)
    rest = max(0, len(biased) - config.biased_images) * len(config.sigmas) if o.score_all else 0
    samples = thinned(480, encoder.shape, 80) * MATCH_STEPS * (1 + GUIDED)
    count = passes(len(biased), len(reference), config)
    found = Forecast(count * each, rest * each, samples * each)
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
