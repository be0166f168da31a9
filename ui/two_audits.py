"""Two audits side by side: fewer references against more, before a fix against after."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr

from . import html, pictures, store, theme, words
from .panel import FOLLOWS

NONE = "none"


@dataclass(frozen=True)
class TwoAudits:
    box: gr.Column
    other: gr.Dropdown
    both: gr.HTML


def build(current: gr.BrowserState) -> TwoAudits:
    """A drop-down of the other audits, and both side by side once one is chosen."""
    with gr.Column(visible=False) as box:
        other = gr.Dropdown(
            [("no other", NONE)],
            value=NONE,
            label="Side by side with another audit",
            info="For instance 50 references against 400, or before and after a fix.",
            elem_id="audit-other",
        )
        both = theme.html(elem_id="two-audits")
    other.input(beside, [current, other], both, **FOLLOWS)
    return TwoAudits(box, other, both)


def choices(current: dict, anew: bool = False) -> list:
    """The other finished audits for the drop-down; it is not there while there is none, or nothing yet to hold beside it. `anew`: another
    audit is on screen, and nothing is beside it."""
    finished, own = there(), current.get("audit")
    named = [("no other", NONE), *((called(run), run.id) for run in finished if run.id != own)]
    other, both = (gr.update(choices=named, value=NONE), "") if anew else (gr.update(choices=named), gr.skip())
    return [gr.update(visible=len(named) > 1 and own in {run.id for run in finished}), other, both]


def there() -> list[store.Run]:
    """Every audit with a result that this visitor may see, the shipped one last."""
    shipped = [store.open_run(run_id) for kind, run_id in store.examples().items() if kind == "audit"]
    return [run for run in (*store.all_runs("audit"), *shipped) if run is not None and run.result is not None]


def called(run: store.Run) -> str:
    """An audit by its name, else by what it compared."""
    sets = [run.result[role] for role in pictures.ROLES]
    about = f"{sets[0]['name']}, {sets[0]['n']:,} against {sets[1]['n']:,} · {words.clock(run.status['created'])}"
    return f"{run.name} · {about}" if run.name else f"Computed before · {about}" if run.shipped else about


def beside(current: dict, other: str) -> str:
    """Both audits: verdicts, then every share and every level that both know, in one table each."""
    runs = [store.open_run(run_id) for run_id in (str((current or {}).get("audit", "")), str(other))]
    if any(run is None or run.result is None for run in runs):
        return ""
    results = [run.result for run in runs]
    heads = "".join(
        f"<div><h4>{escape(called(run))}</h4><p><b>{escape(run.result['verdict']['sentence'])}</b></p>"
        f"<p>{escape((run.result.get('finding') or {}).get('sentence', ''))}</p></div>"
        for run in runs
    )
    note = "" if _same(results) else "<small>The large sets are not the same images: their shares may differ for that reason.</small>"
    return html.card(f'<h3>Two audits side by side</h3><div class="tiw-two">{heads}</div>{note}{_shares(results)}{_levels(results)}')


def _same(results: list[dict]) -> bool:
    prints = [result["biased"].get("fingerprint", {}).get("sha256") for result in results]
    return prints[0] == prints[1]


def _shares(results: list[dict]) -> str:
    of = [{(row["attribute"], row["value"], row["set"]): row for row in result["shares"]} for result in results]
    labels = dict.fromkeys((a, v) for rows in of for a, v, role in rows if role in pictures.ROLES and a != "group")
    rows = [
        [f"{escape(words.label(a))} <b>{escape(v)}</b>", *(_share(rows.get((a, v, role))) for role in pictures.ROLES for rows in of)]
        for a, v in labels
        if any((a, v, role) in rows for rows in of for role in pictures.ROLES)
    ]
    head = ["Share", *(f"{html.dot(role)} {words.ROLES[role]}, {which}" for role in pictures.ROLES for which in ("this", "the other"))]
    return html.table(head, rows, "Shares in both audits") if rows else ""


def _share(row: dict | None) -> str:
    if row is None:
        return "–"
    low, high = (words.percent(edge) for edge in row["interval"])
    return f"<b>{words.percent(row['share'])}</b> <small>{low} to {high}, n = {words.count(row['n'])}</small>"


def _levels(results: list[dict]) -> str:
    """The AUC and what the weights leave, for every noise level of either."""
    of = [{f"{level['sigma']:.2g}": level for level in result["levels"]} for result in results]
    sigmas = sorted({sigma for levels in of for sigma in levels}, key=float)
    rows = [[sigma, *(_auc(levels.get(sigma)) for levels in of), *(_worth(levels.get(sigma)) for levels in of)] for sigma in sigmas]
    auc, size = html.term("AUC"), html.term("effective sample size", "Effective sample size")
    head = [html.term("noise level", "Noise level"), f"{auc}, this", f"{auc}, the other", f"{size}, this", f"{size}, the other"]
    return html.table(head, rows, "Noise levels in both audits")


def _auc(level: dict | None) -> str:
    if level is None:
        return "–"
    low, high = (words.number(edge) for edge in level["auc"]["interval"])
    return f"<b>{words.number(level['auc']['value'])}</b> <small>{low} to {high}</small>"


def _worth(level: dict | None) -> str:
    return "–" if level is None else words.percent(level["effective_sample_size"]["share"])
