"""The words that an option may take."""

from __future__ import annotations

OBJECTIVES = ("tiw-dsm", "dsm-ref", "dsm-obs", "iw-dsm", "correction-only", "weight-only")

WITH_RATIO = ("tiw-dsm", "iw-dsm", "correction-only", "weight-only")  # those that need the density ratio, and so have a strength

WITH_ANCHOR = ("tiw-dsm", "correction-only")  # those whose target can be anchored to the baseline

TRAINING = ("debias", "train")  # the actions that train: by several processes, if wanted, and resumed from a checkpoint

SOLVERS = ("heun", "dpm")

SPLITS = ("long-tail", "skew", "joint")

MAX_STRENGTH = 100
LABEL = "label: "  # before the name of every label in a table of scores: no label takes the place of a column of ours

ENCODERS = ("pca", "denoiser", "efficientnet", "inception")
