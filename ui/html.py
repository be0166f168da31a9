"""Small pieces of HTML: cards, tiles, tables, progress. Text that is a user's is escaped where it comes in."""

from __future__ import annotations

import re
from html import escape

from .words import GLOSSARY, KINDS, STATES, duration


def lead(title: str, text: str) -> str:
    return f'<div class="tiw-lead"><h2>{title}</h2><p>{text}</p></div>'


def card(body: str, kind: str = "") -> str:
    return f'<div class="tiw-card {kind}">{body}</div>'


def empty(title: str, text: str) -> str:
    return card(f"<h3>{title}</h3><p>{text}</p>", "tiw-empty")


def error(sentence: str) -> str:
    return f'<div class="tiw-error" role="alert">{escape(sentence)}</div>' if sentence else ""


def problems(title: str, found: list[str], kind: str = "") -> str:
    """A list of them; `kind` "mild" where nothing stands in the way."""
    items = "".join(f"<li>{escape(item)}</li>" for item in found)
    return f'<div class="tiw-error {kind}" role="alert"><b>{escape(title)}</b><ul>{items}</ul></div>'


def term(name: str, shown: str = "") -> str:
    """A term with its explanation on hover and on focus."""
    return f'<dfn class="term" tabindex="0" data-tip="{escape(GLOSSARY[name])}">{shown or name}</dfn>'


def fold(title: str, body: str, hint: str = "") -> str:
    """A card that opens."""
    return f'<details class="tiw-card tiw-fold"><summary>{title} <span class="hint">{hint}</span></summary>{body}</details>'


def dot(kind: str) -> str:
    return f'<span class="dot {kind}"></span>'


def tile(name: str, value: str, range_: str = "", help_: str = "", kind: str = "") -> str:
    mark = dot(kind) if kind else ""
    range_ = f'<div class="range">{range_}</div>' if range_ else ""
    help_ = f'<div class="help">{help_}</div>' if help_ else ""
    return f'<div class="tile"><div class="name">{mark}{name}</div><div class="value">{value}</div>{range_}{help_}</div>'


def tiles(*items: str) -> str:
    return f'<div class="tiles">{"".join(items)}</div>'


def table(head: list[str], rows: list[list[str]], caption: str = "", cards: bool = False) -> str:
    """Cells are HTML already. cards: on a phone each row is a card, with the head beside every cell."""
    top = "".join(f'<th scope="col">{cell}</th>' if cell else "<td></td>" for cell in head)
    names = [f' data-head="{escape(re.sub("<[^>]*>", "", name))}"' if cards else "" for name in head]
    listed = ["".join(f"<td{name}>{cell}</td>" for name, cell in zip(names, row, strict=True)) for row in rows]
    body = "".join(f"<tr>{cells}</tr>" for cells in listed)
    label = f' aria-label="{escape(caption)}"' if caption else ""
    inner = f'<table class="tiw-table{" cards" if cards else ""}"{label}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="tiw-scroll" tabindex="0" role="region" aria-label="{escape(caption) or "Table"}">{inner}</div>'


def bar(share: float, kind: str) -> str:
    return f'<div class="share {kind}" aria-hidden="true"><i style="width:{share:.1%}"></i></div>'


def chip(state: str) -> str:
    return f'<span class="chip {state}">{STATES.get(state, state)}</span>'


def progress(kind: str, status: dict, position: int | None, stays: str = "") -> str:
    """Stage, bar and time left of a run that waits or works; `position` in the queue, 1 for the next; what stays when it is stopped."""
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
        f'<progress{value} aria-label="{escape(stage)}"></progress></div>' + (f"<small>{stays}</small>" if stays else "")
    )


def copy_link(run_id: str) -> str:
    """A button that copies the address of a run."""
    return f'<button type="button" class="button" data-copy="?run={run_id}">Copy link</button>'


def shipped(run_kind: str) -> str:
    """Above a run that came with the app."""
    button = {"compare": "Compare", "debias": "Debias"}.get(run_kind, "Audit")
    return f'<div class="tiw-good" role="note"><b>Computed before</b>, on the demo. Run it yourself: “{button}” takes its place.</div>'


def busy(what: str) -> str:
    """Something that takes a moment and says no number."""
    return card(f'<div class="progress"><div class="row"><b>{what}</b></div><progress aria-label="{what}"></progress></div>')


def ended(run_kind: str, status: dict, resumable: bool = False) -> str:
    """Why a run without a result stands still."""
    name, state = KINDS[run_kind], status["state"]
    message = f" {said}" if (said := status.get("message")) else ""
    resumable = resumable and "Resumed, it" not in message  # from where it goes on, in the run's own words
    if state == "failed":
        return error(f"{name} failed.{message}{' Resume tries again from the last checkpoint.' if resumable else ''}")
    if state == "interrupted":
        return error(f"{name} was interrupted.{message}{' Resume continues from the last checkpoint.' if resumable else ''}")
    if state == "stopped":
        return card(f"<p>{name} was stopped.{escape(message)}{' Resume continues where it left off.' if resumable else ''}</p>")
    return ""


DISMISS = '<button type="button" class="link" data-dismiss>Dismiss</button>'  # of a run that ended without a result
