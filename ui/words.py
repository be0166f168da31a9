"""Labels, and numbers into words. Formatting only: every number comes from a result file."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

from tiw.errors import UserInputError
from tiw.sentences import too_far

STATES = {
    "queued": "waiting",
    "running": "running",
    "stopping": "stopping",
    "stopped": "stopped",
    "finished": "finished",
    "failed": "failed",
    "interrupted": "interrupted",
}
KINDS = {
    "audit": "Audit",
    "even-out": "Camera fix",
    "preview": "Preview",
    "debias": "Debias",
    "compare": "Comparison",
    "sample": "Samples",
    "train": "Training",
    "make-split": "Split",
    "demo": "Demo",
}
ESTIMATORS = [
    ("The better of both", "auto"),
    ("Convex: linear, in seconds", "convex"),
    ("Network: can bend, for many references", "network"),
]
OBJECTIVES = {
    "tiw-dsm": (
        "TIW-DSM",
        "Recommended. Learns from the reference set as it is, and from the large set with the ratio's weight and slope at every noise "
        "level.",
    ),
    "tiw-dsm-paper": (
        "TIW-DSM as published",
        "Weights every noisy image by the ratio at its noise level, and corrects its target by the ratio's slope. For long runs.",
    ),
    "correction-only": ("Correction only", "Corrects the target by the ratio's slope and weights nothing. Close to the full method."),
    "iw-dsm": ("IW-DSM", "One weight for each image, the same at every noise level. Suffers where the sets hardly overlap."),
    "weight-only": ("Weight only", "Weights without the correction. It does not reach the reference set and is here to learn from."),
    "dsm-ref": ("DSM on the reference alone", "Plain training on the reference set. Quick, and it soon begins to memorise it."),
    "dsm-obs": ("DSM on everything", "Plain training on both sets mixed, without any correction. It is the control."),
}
ROLES = {"biased": "Large set", "reference": "Reference set"}
SHARE_SETS = {**ROLES, "reweighted": "Large set, reweighted"}
FIELDS = {
    **ROLES,
    "data": ROLES["biased"],
    "baseline": "Diffusion model",
    "class_label": "Its classes",
    "resolution": "Resolution",
    "labels": "Labelled images",
    "heldout": "Held-out images",
    "scored": "Images for the charts",
    "shares": "Wanted shares",
    "count": "Images",
    "minutes": "Minutes of training",
    "audit": "Audit",
    "strength": "Strength",
    "disk": "Disk",
}
# Names of options in a sentence of the library, and what stands on the page.
ON_THE_PAGE = [
    (r"\bset skip_bad to leave them out\b", "tick “Leave out images that cannot be read”"),
    (r"\bskip_bad\b", "“Leave out images that cannot be read”"),
    (r"\bset resolution to (\d+)\b", r"set “Resolution” to \1"),
    (r"\bset resolution\b", "set “Resolution”"),
    (r", for instance a resolution of \d+", ""),  # the button below says it, for both sets
    (r"\bclass_label\b", "“Its classes”"),
    (r"\bpython -m tiw train\b", "the Debias tab offers it"),
]
GLOSSARY = {
    "density ratio": "How many times more often the reference set shows such an image than the large set does. 1: equally often.",
    "noise level": "How much noise was laid over an image before it was scored. At high levels only the big picture is left.",
    "AUC": "Shown one image of each set, how often a model picks the right one. 0.5 is guessing, 1 is always.",
    "cross-entropy": "How surprised the model is by the truth; guessing costs 0.693, less is better.",
    "calibration": "Whether it is right in 70 of 100 cases where it says 70 %.",
    "effective sample size": "How many equally weighted images the weighted ones are worth.",
    "held out": "Measured on images that the model had not seen while it learnt.",
    "interval": "A range that holds the true value in 95 of 100 such studies.",
    "baseline": "The diffusion model before it is debiased.",
    "gap closed": "How far samples have moved from the large set to the reference set. 100 %: all the way.",
}
ENCODERS = {
    "pca": "Principal components of the pixels: at once",
    "denoiser": "The baseline’s own features",
    "efficientnet": "EfficientNet-Lite0, trained on photographs: where it is installed",
    "inception": "Inception-v3, as in published distances: its weights are fetched once",
}
NETWORKS = [
    ("the one for the images' size", "auto"),
    ("64×64, small: for a CPU", "demo"),
    ("64×64, large: for a GPU", "faces64"),
    ("32×32, small: for a CPU", "small32"),
    ("32×32, large: for a GPU", "cifar10"),
    ("16×16, tiny: to try things out", "tiny"),
]


def option(name: str) -> str:
    """An option as the page calls it."""
    return FIELDS.get(name, name.replace("_", " ").capitalize())


def name_of(options: dict, role: str) -> str:
    """What a run's options call one of its sets: the name that was given, else that of its file."""
    return options.get(f"{role}_name") or set_name(options[role])


def was_matched(result: dict) -> bool:
    """Whether a run took the strength that was matched: as published, TIW-DSM is matched for its meter and trained at 1."""
    return (result.get("strength_match") or {}).get("strength", -1) == result.get("strength")


def model_name(place: str) -> str:
    """A model by what is known of it: `place` as `store.called` names it."""
    if place == "demo":
        return "the demo’s baseline"
    return "the baseline trained here" if place.startswith("run:") else f"the model “{Path(place).name}”"


def label(name: str) -> str:
    """A label's name as people say it; groups are ours."""
    return "images like group" if name == "group" else name


def roles(sentence: str) -> str:
    """A sentence of the library about the biased set, which the page calls the large one."""
    return re.sub(r"\bbiased (ones|images)\b", r"\1 of the large set", sentence).replace("biased set", "large set")


def plain(problem: UserInputError) -> str:
    """A user's error with the page's names for fields and options: 'Large set: FOUND. FIX.'"""
    found, fix = problem.found, problem.fix
    for name, shown in ON_THE_PAGE:
        found, fix = re.sub(name, shown, found), re.sub(name, shown, fix)
    return roles(f"{option(problem.field)}: {found.rstrip('.')}. {fix[:1].upper()}{fix[1:].rstrip('.')}.")


def percent(value: float | None, digits: int = 0) -> str:
    """'63 %', unbroken; no minus before a zero."""
    return "–" if value is None else f"{round(value, digits + 2) + 0.0:.{digits}%}".replace("%", "\u00a0%").replace("-", "−")


def number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """'1 min 20 s'."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def set_name(path: str) -> str:
    return "demo portraits" if path == "demo" else Path(path).name


def clock(iso: str) -> str:
    """Local date and time of an ISO instant."""
    when = datetime.fromisoformat(iso.replace("Z", "+00:00")).astimezone()
    return when.strftime("%H:%M" if when.date() == datetime.now(timezone.utc).astimezone().date() else "%d %b %H:%M")


def interval(estimate: dict | None, show) -> str:
    """'95 %: 0.67 to 0.71'."""
    if not estimate or not estimate.get("interval"):
        return ""
    low, high = estimate["interval"]
    return f"95 %: {show(low)} to {show(high)}"


def gap_closed(gap: dict | None) -> str:
    """A sentence, as HTML."""
    if gap is None:
        return "How much of the gap it closes cannot be measured with so few reference images."
    return f"Gap closed <b>{percent(gap['value'])}</b> ({interval(gap, percent)}). {too_far(gap)}".rstrip()


def size(bytes_: int) -> str:
    """'12 MB'."""
    mega, _ = divmod(bytes_, 1_000_000)
    return f"{mega:,} MB" if mega else "under 1 MB"
