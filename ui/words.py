"""Labels, and numbers into words. Formatting only: every number comes from a result file."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

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
        "Recommended. Weights every noisy image by the ratio at its noise level, and corrects its target by the ratio's slope.",
    ),
    "correction-only": ("Correction only", "Corrects the target by the ratio's slope and weights nothing. Close to the full method."),
    "iw-dsm": ("IW-DSM", "One weight for each image, the same at every noise level. Suffers where the sets hardly overlap."),
    "weight-only": ("Weight only", "Weights without the correction. It does not reach the reference set: to learn from."),
    "dsm-ref": ("DSM on the reference alone", "Plain training on the reference set. Quick, and it soon begins to memorise it."),
    "dsm-obs": ("DSM on everything", "Plain training on both sets mixed, without any correction: the control."),
}
NETWORKS = [
    ("64×64, small: for a CPU", "demo"),
    ("64×64, large: for a GPU", "faces64"),
    ("32×32, large: for a GPU", "cifar10"),
    ("16×16, tiny: to try things out", "tiny"),
]


def percent(value: float | None, digits: int = 0) -> str:
    """'63 %', unbroken; no minus before a zero."""
    return "–" if value is None else f"{round(value, digits + 2) + 0.0:.{digits}%}".replace("%", "\u00a0%").replace("-", "−")


def number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


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


def size(bytes_: int) -> str:
    """'12 MB'."""
    mega, _ = divmod(bytes_, 1_000_000)
    return f"{mega:,} MB" if mega else "under 1 MB"
