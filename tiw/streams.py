"""Random numbers by name: one stream of a seed for each use, so that no two uses share their numbers by accident."""

from __future__ import annotations

import numpy as np

# Add a name at the end: its place is its number. Noise of an item and starting noise of an image have seeds of their own
# (tiw.ratio.features.item_noise, tiw.model.sampling.starting_noise).
STREAMS = (
    "scored images",
    "folds",
    "permutations",
    "moment check",
    "camera check",
    "even out",
    "reweighted shares",
    "baseline check",
    "classes",
    "gap",
    "strength",
    "training step",
    "corrected shares",
    "corrected difference",
    "residual",
    "spot check",
    "quality",
    "neighbours",
    "painting floor",
    "transfer check",
    "copying",
    "images trained on",
    "labelled images",
    "what lags",
    "unnamed groups",
)


def sequence(seed: int, name: str, *key: int) -> np.random.SeedSequence:
    """The seed of the stream of that name; `key` for one of many, a step's or an image's."""
    return np.random.SeedSequence(seed, spawn_key=(STREAMS.index(name), *key))


def stream(seed: int, name: str, *key: int) -> np.random.Generator:
    """A generator of its own for this use of the seed."""
    return np.random.default_rng(sequence(seed, name, *key))
