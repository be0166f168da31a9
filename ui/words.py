"""Numbers into words and small pieces of HTML. Formatting only: every number comes from a result file."""

from __future__ import annotations

from datetime import datetime, timezone
from html import escape
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


def lead(title: str, text: str) -> str:
    return f'<div class="tiw-lead"><h2>{title}</h2><p>{text}</p></div>'


def card(body: str, kind: str = "") -> str:
    return f'<div class="tiw-card {kind}">{body}</div>'


def empty(title: str, text: str) -> str:
    return card(f"<h3>{title}</h3><p>{text}</p>", "tiw-empty")


def error(sentence: str) -> str:
    return f'<div class="tiw-error" role="alert">{escape(sentence)}</div>' if sentence else ""


def problems(title: str, found: list[str]) -> str:
    items = "".join(f"<li>{escape(item)}</li>" for item in found)
    return f'<div class="tiw-error" role="alert"><b>{escape(title)}</b><ul>{items}</ul></div>'


def dot(kind: str) -> str:
    return f'<span class="dot {kind}"></span>'


def interval(estimate: dict | None, show) -> str:
    """'95 %: 0.67 to 0.71'."""
    if not estimate or not estimate.get("interval"):
        return ""
    low, high = estimate["interval"]
    return f"95 %: {show(low)} to {show(high)}"


def tile(name: str, value: str, range_: str = "", help_: str = "", kind: str = "") -> str:
    mark = dot(kind) if kind else ""
    range_ = f'<div class="range">{range_}</div>' if range_ else ""
    help_ = f'<div class="help">{help_}</div>' if help_ else ""
    return f'<div class="tile"><div class="name">{mark}{name}</div><div class="value">{value}</div>{range_}{help_}</div>'


def tiles(*items: str) -> str:
    return f'<div class="tiles">{"".join(items)}</div>'


def table(head: list[str], rows: list[list[str]], caption: str = "") -> str:
    """Cells are HTML already."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    label = f' aria-label="{escape(caption)}"' if caption else ""
    return f'<div class="tiw-scroll"><table class="tiw-table"{label}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def bar(share: float, kind: str) -> str:
    return f'<div class="share {kind}" aria-hidden="true"><i style="width:{share:.1%}"></i></div>'


def chip(state: str) -> str:
    return f'<span class="chip {state}">{STATES.get(state, state)}</span>'


def progress(kind: str, status: dict, position: int | None) -> str:
    """Stage, bar and time left of a run that waits or works; `position` in the queue, 1 for the next."""
    stage = status["stage"] or "Starting"
    if status["state"] == "queued":
        stage = f"Waiting: number {position} in the queue" if position else "Starting"
    if status["state"] == "stopping":
        stage = "Stopping after this step"
    known = status["state"] == "running" and status["total"] > 1
    amount = f"{status['done']:,} of {status['total']:,}" if known else ""
    left = f"about {duration(status['eta_seconds'])} left" if status.get("eta_seconds") else ""
    value = f' value="{status["done"]}" max="{status["total"]}"' if known else ""
    text = " · ".join(part for part in (amount, left) if part)
    return card(
        f'<div class="progress" role="status"><div class="row"><b>{KINDS[kind]} · {escape(stage)}</b><span>{text}</span></div>'
        f'<progress{value} aria-label="{escape(stage)}"></progress></div>'
    )


def ended(run_kind: str, status: dict, resumable: bool = False) -> str:
    """Why a run without a result stands still."""
    name, state = KINDS[run_kind], status["state"]
    message = status.get("message") or ""
    if state == "failed":
        return error(f"{name} failed. {message}{' Resume tries again from the last checkpoint.' if resumable else ''}")
    if state == "interrupted":
        return error(f"{name} was interrupted. {message} {'Resume continues from the last checkpoint.' if resumable else ''}")
    if state == "stopped":
        return card(f"<p>{name} was stopped. {'Resume continues where it left off.' if resumable else ''}</p>")
    return ""


def size(bytes_: int) -> str:
    """'12 MB'."""
    mega, _ = divmod(bytes_, 1_000_000)
    return f"{mega:,} MB" if mega else "under 1 MB"
