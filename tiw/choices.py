"""The words that an option may take."""

from __future__ import annotations

PAPER = "tiw-dsm-paper"  # TIW-DSM exactly as published: no anchor, no finish, the checkpoint's own noise levels, strength 1

OBJECTIVES = ("tiw-dsm", PAPER, "dsm-ref", "dsm-obs", "iw-dsm", "correction-only", "weight-only")

WITH_RATIO = ("tiw-dsm", PAPER, "iw-dsm", "correction-only", "weight-only")  # those that need the density ratio, and so have a strength

WITH_ANCHOR = ("tiw-dsm", "correction-only")  # those whose target can be anchored to the baseline

TRAINING = ("debias", "train")  # the actions that train: by several processes, if wanted, and resumed from a checkpoint

SOLVERS = ("heun", "dpm")

SPLITS = ("long-tail", "skew", "joint")

MAX_STRENGTH = 100
LABEL = "label: "  # before the name of every label in a table of scores: no label takes the place of a column of ours

ENCODERS = ("pca", "denoiser", "efficientnet", "inception")
