"""Options of every user action: one frozen dataclass each, the same in Python, on the command line and behind a button.

A run folder's config.json holds exactly these fields, so the button writes what the command reads. Each option is described once, here;
groups that several actions share are classes of their own. Paths are strings; "demo" names the embedded demo's own set or model wherever
a path is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..choices import CAMERA, ENCODERS, MAX_RESOLUTION, MAX_STRENGTH, OBJECTIVES, SOLVERS, SPLITS, check_resolution
from ..debiasing.config import DebiasConfig
from ..described import Checked, option
from ..errors import UserInputError

MANY = 10_000_000  # images or steps: more is a slip of the hand
STRENGTH = {"pattern": r"auto|\d{1,2}(\.\d{1,20})?|100(\.0{1,20})?", "rule": f"auto, or a number from 0 to {MAX_STRENGTH}"}

CALLED = {"pattern": r"[^\x00-\x1f\x7f]{0,80}", "rule": "one line of 80 characters at most"}


@dataclass(frozen=True)
class _Seeded(Checked):
    seed: int = option(0, "Everything random follows from it.", low=0, high=2**32 - 1)


@dataclass(frozen=True)
class _OnDevice(_Seeded):
    device: str = option("auto", "Device to compute on:", pattern=r"auto|cpu|mps|cuda(:\d{1,3})?", rule="auto, cpu, cuda, cuda:N or mps")


@dataclass(frozen=True)
class _Images(Checked):
    resolution: int = option(
        0,
        "Pixels per side, from 16 to 1,024. Images of another size are cropped and resized. 0 keeps them as they are.",
        low=0,
        high=MAX_RESOLUTION,
        unit="pixels",
    )
    skip_bad: bool = option(False, "Leave out files that cannot be used, instead of stopping.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_resolution(self.resolution)


def _named(role: str) -> str:
    return option("", f"What tables and reports call the {role} set. If empty, the name of its file.", **CALLED)


@dataclass(frozen=True)
class _Sets(Checked):
    biased: str = option("demo", "The large image set: folder, .zip, .npz, .npy, .parquet, a split's .json, hub:OWNER/NAME, or demo.")
    reference: str = option("demo", "The small set drawn from the distribution you want: a path like those of --biased, or demo.")
    references: int = option(0, "Use this many of the reference images. 0 uses all.", low=0, high=MANY)
    biased_name: str = _named("biased")
    reference_name: str = _named("reference")


@dataclass(frozen=True)
class _SetsAndModel(_Images, _Sets):
    baseline: str = option("demo", "Folder of the diffusion model trained on the biased set, or demo. An audit also takes none.")
    class_label: str = option("", "Column with the classes that a class-conditional baseline was trained on. All sets need it.")


@dataclass(frozen=True)
class _Guided(Checked):
    audit: str = option("", "Folder of a finished audit whose ratio is used. If empty, the run fits one itself.")
    strength: str = option(
        "auto", "Strength of the correction or the guidance. auto matches it to the reference without any label.", **STRENGTH
    )


@dataclass(frozen=True)
class _Sampling(Checked):
    count: int = option(64, "Number of images (of each model).", low=1, high=1_000_000)
    sampling_steps: int = option(12, "Steps of the sampler.", low=1, high=1000)
    solver: str = option("dpm", "Solver of the sampler:", choices=SOLVERS)


@dataclass(frozen=True)
class _Training(Checked):
    steps: int = option(0, "Number of steps. 0 takes as many as fit into --minutes.", low=0, high=MANY)
    minutes: float = option(
        2.0, "Budget, turned into steps at the start and planned again on the way.", low=0, high=60 * 24 * 60, unit="minutes"
    )
    batch_size: int = option(48, "Images per step.", low=1, high=65_536)
    learning_rate: float = option(
        0.0,
        "Learning rate at the start. It decays to the end of the budget. For debias, 0 takes the usual one of the network's size.",
        low=0,
        high=1,
    )
    ema: float = option(0.95, "Decay per step of the moving average of the weights.", low=0, high=1, open_high=True)
    preview_every: int = option(0, "Steps between image grids. 0 makes a few in all.", low=0, high=MANY)
    checkpoint_every: int = option(0, "Steps between checkpoints. 0 saves with each grid, and every ten minutes.", low=0, high=MANY)
    precision: str = option("auto", "Precision of the arithmetic:", choices=("auto", "float32", "bfloat16"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.steps and not self.minutes:
            raise UserInputError("minutes", "neither steps nor minutes are given", "give a budget")


@dataclass(frozen=True)
class AuditOptions(_OnDevice, _SetsAndModel):
    """How far apart are two sets, where, and can the estimate be trusted?"""

    scored: int = option(2000, "Number of biased images drawn for charts and map. The seed alone decides which.", low=1, high=MANY)
    levels: int = option(8, "Number of noise levels. Fewer take less time.", low=2, high=8)
    folds: int = option(5, "Folds of the cross-fit. Every image is scored by a model that did not see it.", low=2, high=100)
    estimator: str = option(
        "auto", "Estimator of the ratio. auto takes the one with the lower held-out cross-entropy.", choices=("auto", "convex", "network")
    )
    map: bool = option(True, "Draw the map after the charts.")
    score_all: bool = option(True, "At the end, score the biased images that were not drawn for the charts as well.")


@dataclass(frozen=True)
class PreviewOptions(_OnDevice, _Sampling, _Guided, _SetsAndModel):
    """Draw samples of the baseline with guidance at the matched strength, beside plain ones. Nothing is trained."""


@dataclass(frozen=True)
class DebiasOptions(_OnDevice, _Training, _Guided, _SetsAndModel):
    """Fine-tune a baseline towards the reference."""

    objective: str = option("tiw-dsm", "Objective to minimise:", choices=OBJECTIVES)
    reference_share: float = option(0.85, "Share of reference images in a batch, from 0 to below 1.", low=0, high=1, open_high=True)
    keep: int = option(
        0, "Number of moving averages to keep on the way in RUN/kept. The comparison shows which one to take.", low=0, high=20
    )
    sigma_scale: float = option(
        3.0, "TIW draws its noise levels this many times as high as the checkpoint did. 1 keeps them.", low=0, high=1e4, open_low=True
    )
    sigma_min: float = option(0.0, "Lowest noise level. 0 takes the checkpoint's own.", low=0, high=1e6)
    sigma_max: float = option(0.0, "Highest noise level. 0 takes the checkpoint's own.", low=0, high=1e6)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.config()

    def config(self, strength: float = 1.0) -> DebiasConfig:
        """What the fine-tune is told, all but its steps. Raises UserInputError for options that do not go together."""
        own = ("objective", "reference_share", "batch_size", "learning_rate", "sigma_scale", "sigma_min", "sigma_max", "seed")
        return DebiasConfig(strength=strength, **{name: getattr(self, name) for name in own})


@dataclass(frozen=True)
class TrainOptions(_OnDevice, _Training, _Images):
    """Train a baseline from scratch."""

    data: str = option("demo", "Images to train on or to split by their labels, or demo for the demo's biased set.")
    preset: str = option(
        "auto", "Network to train: demo, small32, faces64, cifar10 or tiny. auto takes the one for the images' size, a larger one on a GPU."
    )
    minutes: float = option(
        60.0, "Budget, turned into steps at the start and planned again on the way.", low=0, high=60 * 24 * 60, unit="minutes"
    )
    batch_size: int = option(0, "Images per step; 0: 128 on a GPU and 32 elsewhere, where more steps pay more.", low=0, high=65_536)
    learning_rate: float = option(1e-3, "Learning rate at the start. It decays to the end of the budget.", low=0, high=1, open_low=True)
    ema: float = option(0.9995, "Decay per step of the moving average of the weights.", low=0, high=1, open_high=True)


@dataclass(frozen=True)
class SampleOptions(_OnDevice, _Sampling):
    """Images from a model, one seed each."""

    model: str = option("demo", "Folder of the model to sample, or demo.")
    guidance: str = option(
        "", "Folder of a finished audit whose ratio steers the samples towards its reference. If empty, there is no guidance."
    )
    strength: str = option("auto", "Strength of the guidance. auto takes the one that the audit matched.", **STRENGTH)


@dataclass(frozen=True)
class CompareOptions(_OnDevice, _Sampling, _Images):
    """Baseline and debiased model from the same seeds, measured against the reference.

    An option that is left empty takes its value from the debiasing run that made the model, or else from the demo.
    """

    baseline: str = option("", "Folder of the diffusion model that was debiased, or demo.")
    debiased: str = option("", "Folder of the debiased model (RUN/model).")
    biased: str = option(
        "",
        "Images that the baseline was trained on. They show how far sampled images differ from real ones where nothing is skewed."
        " The test without labels takes that as its floor.",
    )
    reference: str = option("", "The reference set that both are measured against, or demo.")
    references: int = option(0, "Use this many of the reference images. 0 uses all.", low=0, high=MANY)
    biased_name: str = _named("biased")
    reference_name: str = _named("reference")
    class_label: str = option("", "Column of the reference with the classes of class-conditional models.")
    labels: str = option(
        "",
        "Labelled images for the attribute classifier, an .onnx file, a .prompts.json file, ita (skin colour), groups, or demo. If empty, "
        "the biased set's own labels, where it has one or two columns of them or attributes names some.",
    )
    attributes: str = option("", "Attributes to count, with commas between. If empty, all of them where there are one or two.")
    heldout: str = option("", "Images for the quality measures. If empty, the reference.")
    encoder: str = option("pca", "Encoder of the quality measures:", choices=ENCODERS)
    also: str = option(
        "",
        "More models from the same seeds, with commas between: folders of models, kept (all kept on the way), kept:STEP, guided (the "
        "baseline, guided), guided:STRENGTH, or sweep (guided at 0.5 to 2).",
    )
    margin: float = option(
        0.05,
        "In the test without labels, an excess of the AUC below this would not matter. Set it beforehand.",
        low=0,
        high=0.5,
        open_low=True,
        open_high=True,
    )
    count: int = option(1000, "Number of images of each model.", low=2, high=1_000_000)


@dataclass(frozen=True)
class SplitOptions(_Seeded):
    """Make a benchmark from labelled images: a biased, a reference and a held-out set, as lists of rows."""

    data: str = option("demo", "Images to train on or to split by their labels, or demo for the demo's biased set.")
    kind: str = option("skew", "How the biased set is biased (joint needs two attributes):", choices=SPLITS)
    attribute: str = option("", "Label to split by, or two with a comma for joint. If empty, the first.")
    imbalance: float = option(100.0, "For a long tail, the size of the largest class over that of the smallest.", low=1, high=1e6)
    shares: str = option(
        "", "Shares of the biased set in per cent, such as darker=10,lighter=90, or darker/long=5,... for joint. If empty, 90 to 10."
    )
    size: int = option(0, "Number of images in the biased set. 0 takes as many as there can be.", low=0, high=MANY)
    reference_percent: float = option(5.0, "Size of the reference set, in per cent of the biased set.", low=0, high=1e4)
    heldout_percent: float = option(10.0, "Size of the held-out set, in per cent of the biased set.", low=0, high=1e4)
    reference_shares: str = option("", "Shares of the reference and held-out sets in per cent. If empty, equal shares.")


@dataclass(frozen=True)
class EvenOutOptions(_Seeded, _Images, _Sets):
    """Change both sets in the same way, as little as possible, until the camera check no longer names how the images were made.

    On the page this is the camera fix.
    """

    fix: str = option(
        "", f"Properties of the camera check that may be mended, with commas between: {', '.join(CAMERA)}. If empty, all that it names."
    )


@dataclass(frozen=True)
class DemoOptions(_OnDevice):
    """The whole loop on the embedded demo."""

    preset: str = option(
        "quick",
        "How thorough the run is. On 2 CPU cores quick takes at most five minutes and full at most fifteen:",
        choices=("quick", "full"),
    )


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


def validate(kind: str, options: object) -> None:
    """Raise UserInputError where what an action cannot do without is missing. Each option alone was checked when `options` was made."""
    assert isinstance(options, OPTIONS[kind]), (kind, options)
    if (kind in ("preview", "debias") and options.baseline in ("", "none")) or (kind == "compare" and options.baseline == "none"):
        raise no_model()
    if kind == "compare" and not options.debiased:
        raise UserInputError("debiased", "no model is named", "give the folder of the debiased model, RUN/model")


def no_model(field: str = "baseline") -> UserInputError:
    """What to say where the option `field` has to name a model and names none."""
    time = "about an hour on 2 CPU cores at 64x64 pixels, minutes on a GPU"
    fix = f"give a diffusion model's folder, or train one first ({time}): python -m tiw train"
    return UserInputError(field, "no model is named", fix)
