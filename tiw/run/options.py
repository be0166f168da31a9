"""Options of every user action: one frozen dataclass each, the same in Python, on the command line and behind a button.

A run folder's config.json holds exactly these fields, so the button writes what the command reads.
Paths are strings; "demo" names the embedded demo's own set or model wherever a path is asked for.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ..choices import ENCODERS, MAX_STRENGTH, OBJECTIVES, SOLVERS, SPLITS
from ..errors import UserInputError


@dataclass(frozen=True)
class AuditOptions:
    """How far apart are two sets, where, and can the estimate be trusted?"""

    biased: str = "demo"
    reference: str = "demo"
    baseline: str = "demo"  # denoiser whose features feed the ratio; "none": pixels do
    class_label: str = ""  # column of both sets with the classes of a class-conditional baseline
    references: int = 0  # use this many of the reference images; 0: all
    scored: int = 2000  # biased images drawn, stratified by nothing but the seed, for charts and map
    levels: int = 8  # noise levels, 2 to 8: fewer take less time
    folds: int = 5
    estimator: str = "auto"  # convex, network, or auto: the one with the lower held-out cross-entropy
    map: bool = True  # UMAP layouts, after the charts
    score_all: bool = True  # the other biased images too, at the end
    resolution: int = 0  # pixels per side to crop and resize images to; 0: as they are
    skip_bad: bool = False  # leave out files that cannot be used, instead of stopping
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class PreviewOptions:
    """Guided samples of the baseline at the matched strength, beside the plain ones: no training."""

    audit: str = ""  # finished audit run whose ratio is used; empty: fit one here
    biased: str = "demo"
    reference: str = "demo"
    baseline: str = "demo"
    class_label: str = ""
    references: int = 0
    strength: str = "auto"  # number, or auto: matched to the reference without any label
    count: int = 64
    sampling_steps: int = 12
    solver: str = "dpm"
    resolution: int = 0  # pixels per side to crop and resize images to; 0: as they are
    skip_bad: bool = False  # leave out files that cannot be used, instead of stopping
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class DebiasOptions:
    """Fine-tune a baseline towards the reference."""

    biased: str = "demo"
    reference: str = "demo"
    baseline: str = "demo"
    class_label: str = ""
    audit: str = ""  # finished audit run whose ratio is used; empty: fit one here
    references: int = 0
    objective: str = "tiw-dsm"
    strength: str = "auto"
    anchor: str = "1"  # share of the frozen baseline in the target, C, or C0:C1 from the first step to the last
    reference_share: float = 0.5
    steps: int = 0  # 0: as many as fit into `minutes`
    minutes: float = 2.0
    batch_size: int = 48
    learning_rate: float = 0.0  # 0: the usual one for the objective, see tiw.debiasing.fine_tune.usual_rate
    ema: float = 0.95  # decay per step, warmed up
    weight_clip: float = 0.0  # largest weight; 0: none
    sigma_scale: float = 3.0  # TIW draws its noise levels this many times as high as the checkpoint did
    sigma_min: float = 0.0  # noise-level window; 0: the checkpoint's own
    sigma_max: float = 0.0
    preview_every: int = 0  # steps between image grids; 0: at most seven in all
    checkpoint_every: int = 0  # steps between checkpoints; 0: with each grid, and every ten minutes
    resolution: int = 0  # pixels per side to crop and resize images to; 0: as they are
    skip_bad: bool = False  # leave out files that cannot be used, instead of stopping
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"  # auto, float32, bfloat16


@dataclass(frozen=True)
class TrainOptions:
    """Train a baseline from scratch."""

    data: str = "demo"  # image set; "demo": the demo's biased set
    preset: str = "demo"  # network, see tiw.model.networks.PRESETS
    steps: int = 0  # 0: as many as fit into `minutes`
    minutes: float = 60.0
    batch_size: int = 128
    learning_rate: float = 1e-3
    ema: float = 0.9995
    preview_every: int = 0
    checkpoint_every: int = 0
    resolution: int = 0  # pixels per side to crop and resize images to; 0: as they are
    skip_bad: bool = False  # leave out files that cannot be used, instead of stopping
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class SampleOptions:
    """Images from a model, one seed each."""

    model: str = "demo"
    guidance: str = ""  # finished audit whose ratio steers a model of its biased set towards its reference; empty: none
    strength: str = "auto"  # of the guidance: number, or auto: the one that the audit matched
    count: int = 64
    sampling_steps: int = 12
    solver: str = "dpm"
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class CompareOptions:
    """Baseline and debiased model from the same seeds, measured against the reference.

    What is left empty is what the run used whose model is debiased, or the demo's own.
    """

    baseline: str = ""
    debiased: str = ""
    biased: str = ""  # images the baseline was trained on: what painting alone leaves in the test without labels
    reference: str = ""
    references: int = 0
    class_label: str = ""  # column of the reference with the classes of class-conditional models, which then paint them in its shares
    labels: str = ""  # labelled images for the attribute classifier, an .onnx file, or ita; "demo": the shipped classifier
    attributes: str = ""  # those that count, with commas between; empty: all, if there are one or two
    heldout: str = ""  # images for the quality measures; empty: the reference; "demo": the demo's 2,000
    encoder: str = "pca"  # of the quality measures
    margin: float = 0.05  # excess of the test without labels that would not matter
    count: int = 1000
    sampling_steps: int = 12
    solver: str = "dpm"
    resolution: int = 0  # pixels per side to crop and resize images to; 0: as they are
    skip_bad: bool = False  # leave out files that cannot be used, instead of stopping
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class SplitOptions:
    """Make a benchmark from labelled images: a biased, a reference and a held-out set, as lists of rows."""

    data: str = "demo"  # image set with labels; "demo": the demo's biased set
    kind: str = "skew"  # long-tail, skew, joint
    attribute: str = ""  # column; two with a comma for joint; empty: the first
    imbalance: float = 100.0  # long tail: largest class over the smallest
    shares: str = ""  # of the biased set: "darker=10,lighter=90", joint "darker/long=5,..."; empty: 90 to 10
    size: int = 0  # images of the biased set; 0: as many as there can be
    reference_percent: float = 5.0  # of the biased set's size
    heldout_percent: float = 10.0
    reference_shares: str = ""  # of the reference and held-out sets; empty: even
    seed: int = 0


@dataclass(frozen=True)
class EvenOutOptions:
    """Change both sets alike, as mildly as will do, until the camera check no longer names how the images were made."""

    biased: str = "demo"
    reference: str = "demo"
    references: int = 0
    fix: str = ""  # properties of the camera check, with commas between; empty: all that it names
    resolution: int = 0  # pixels per side to crop and resize images to; 0: as they are
    skip_bad: bool = False  # leave out files that cannot be used, instead of stopping
    seed: int = 0


@dataclass(frozen=True)
class DemoOptions:
    """The whole loop on the embedded demo."""

    preset: str = "quick"  # quick: five minutes on 2 CPU cores; full: fifteen
    seed: int = 0
    device: str = "auto"


OPTIONS = {
    "audit": AuditOptions,
    "preview": PreviewOptions,
    "debias": DebiasOptions,
    "train": TrainOptions,
    "sample": SampleOptions,
    "compare": CompareOptions,
    "make-split": SplitOptions,
    "even-out": EvenOutOptions,
    "demo": DemoOptions,
}


_POSITIVE = ("folds", "scored", "count", "sampling_steps", "batch_size", "learning_rate", "sigma_scale")
_NOT_NEGATIVE = (
    *("references", "steps", "minutes", "weight_clip", "sigma_min", "sigma_max", "preview_every", "checkpoint_every", "seed"),
    *("resolution", "size", "reference_percent", "heldout_percent"),
)
_CHOICES = {
    "estimator": ("auto", "convex", "network"),
    "objective": OBJECTIVES,
    "solver": SOLVERS,
    "precision": ("auto", "float32", "bfloat16"),
    "kind": SPLITS,
    "encoder": ENCODERS,
}


def validate(kind: str, options: object) -> None:
    """Raise UserInputError for the first option of the wrong type or out of range."""
    assert isinstance(options, OPTIONS[kind]), (kind, options)
    for name, default in vars(OPTIONS[kind]()).items():
        value = getattr(options, name)
        if not (type(value) is type(default) or (isinstance(default, float) and type(value) is int)):
            raise UserInputError(name, f"{value!r} is no {type(default).__name__}", f"give a {type(default).__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserInputError(name, f"it is {value}", "give a finite number")
        if name in _POSITIVE and value <= 0 and value != default:
            raise UserInputError(name, f"it is {value}", "give a number above 0")
        if name in _NOT_NEGATIVE and value < 0:
            raise UserInputError(name, f"it is {value}", "give 0 or more")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise UserInputError(name, f"it is {value!r}", f"choose one of {', '.join(_CHOICES[name])}")
        if name == "preset" and kind == "demo" and value not in ("quick", "full"):
            raise UserInputError(name, f"it is {value!r}", "choose quick or full")
        if name == "strength" and value != "auto" and not (re.fullmatch(r"\d+(\.\d+)?", value) and float(value) <= MAX_STRENGTH):
            raise UserInputError(name, f"it is {value!r}", f"give auto, or a number from 0 to {MAX_STRENGTH}")
        if name == "margin" and not 0 < value < 0.5:
            raise UserInputError(name, f"it is {value}", "give a number between 0 and 0.5")
        if name == "anchor":
            parse_anchor(value)
        if name in ("reference_share", "ema") and not 0 <= value < 1:
            raise UserInputError(name, f"it is {value}", "give a number from 0 up to, but not 1")
        if name == "device" and not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
            raise UserInputError(name, f"it is {value!r}", "choose auto, cpu, cuda, cuda:N or mps")
    if not 2 <= getattr(options, "levels", 2) <= 8:
        raise UserInputError("levels", f"it is {options.levels}", "give a number from 2 to 8")
    if getattr(options, "folds", 2) < 2:
        raise UserInputError("folds", f"it is {options.folds}", "give 2 or more")
    if 0 < getattr(options, "sigma_max", 0) <= options.sigma_min:
        raise UserInputError("sigma_max", f"it is {options.sigma_max}, not above sigma_min {options.sigma_min}", "widen the window")
    if hasattr(options, "minutes") and not options.steps and not options.minutes:
        raise UserInputError("minutes", "neither steps nor minutes are given", "give a budget")
    if (kind in ("preview", "debias") and options.baseline in ("", "none")) or (kind == "compare" and options.baseline == "none"):
        raise no_model()
    if kind == "compare" and not options.debiased:
        raise UserInputError("debiased", "no model is named", "give the folder of the debiased model, RUN/model")


def no_model() -> UserInputError:
    """What to say where a model is needed and none is named."""
    time = "about an hour on 2 CPU cores at 64x64 pixels, minutes on a GPU"
    return UserInputError(
        "baseline", "no model is named", f"give a diffusion model's folder, or train one first ({time}): python -m tiw train"
    )


def parse_anchor(text: str) -> float | tuple[float, float]:
    """`C` as a number, `C0:C1` as the pair (at the first step, at the last). Raises UserInputError for anything else."""
    if not re.fullmatch(r"(0(\.\d+)?|1(\.0+)?)(:(0(\.\d+)?|1(\.0+)?))?", text):
        raise UserInputError("anchor", f"it is {text!r}", "give a number from 0 to 1, or two as first:last for a change over the run")
    ends = tuple(float(part) for part in text.split(":"))
    return ends[0] if len(ends) == 1 else ends
