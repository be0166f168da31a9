"""How good a comparison's images are: the distances, each group by itself, and the samples nearest to a reference."""

from __future__ import annotations

from html import escape

import numpy as np

from . import html, pictures, store, words

SHOWN = 12  # pairs, and images that the test without labels is surest of


def card(result: dict) -> str:
    """The kernel distance first, which no number of images biases; Frechet's beside it."""
    kernel, frechet = result.get("kernel_distance"), result.get("frechet_distance")
    if not kernel or not frechet:
        return ""
    before, after = (f"{words.number(kernel[name]['value'], 3)}" for name in ("baseline", "debiased"))
    resampled = frechet.get("baseline_resampled")
    evened = f" Baseline’s samples, resampled to the target shares: {words.number(resampled['value'], 1)}." if resampled else ""
    values = ", ".join(f"{name} {words.number(frechet[name]['value'], 1)}" for name in ("baseline", "debiased"))
    floor = f" Two draws of real images: {words.number(frechet['floor']['value'], 1)}." if frechet.get("floor") else ""
    return html.card(
        f'<h3>Kernel distance to real images</h3><div class="big"><span class="from">{before}</span>'
        f'<span class="arrow" aria-label="becomes">→</span><span class="to">{after}</span></div>'
        f"<p>Baseline {_interval(kernel['baseline'])}. Debiased {_interval(kernel['debiased'])}. "
        f"Two draws of real images: {words.number(kernel['floor']['value'], 3)}.</p>"
        f"<small>Quality and variety; lower is better, 0 is equal. Frechet distance, which few images inflate: {values}.{evened}{floor} "
        f"n = {kernel['n']:,}. Encoder: {escape(kernel['encoder'])}.</small>"
    )


def details(run: store.Run) -> str:
    """Behind the card: precision and the like, every group, and what may have been copied."""
    result, rows = run.result, []
    for title, key in (("Precision", "precision"), ("Recall", "recall"), ("Coverage", "coverage")):
        found = result.get("neighbours") or {}
        if found:
            rows.append([title, *(_neighbours(found[name], key) for name in ("baseline", "debiased")), _floor(found.get("floor"), key)])
    for group in result.get("groups", []):
        cells = [_of_group(group, name) for name in ("baseline", "debiased")]
        rows.append([f"Kernel distance, only {escape(str(group['group']))}", *cells, _change(group)])
    table = html.table(["Measure", "Baseline", "Debiased", "In words"], rows, "Image quality, group by group", cards=True) if rows else ""
    text = (
        "A debiased model can paint the rare groups worse than the common ones. Each group’s samples are held against real images of that "
        "group, as the classifier calls them."
    )
    body = f"<h3>Image quality, group by group</h3><p>{text}</p>{table}"
    return (html.card(body) if rows else "") + nearest(run)


def _neighbours(found: dict, key: str) -> str:
    value, interval = words.number(found[key], 2), (found.get("intervals") or {}).get(key)
    if not interval:
        return value
    low, high = (words.number(end, 2) for end in interval)
    return f"<b>{value}</b> <small>{low} to {high}, n = {found['n']:,}</small>"


def _floor(found: dict | None, key: str) -> str:
    return f"two draws of real images: {words.number(found[key], 2)}" if found else ""


def nearest(run: store.Run) -> str:
    """The debiased samples that lie nearest to a reference or to a training image, and those: copies would stand here."""
    sides = [
        ("Debiased samples", "nearest_samples"),
        ("The references nearest to them, in the same places", "nearest_references"),
        ("Debiased samples", "samples_near_training"),
        ("The training images nearest to them, in the same places", "nearest_training"),
    ]
    sheets = _sheets(run, sides)
    text = "If the model had copied images that it was trained on, the copies would stand here."
    return html.card(f'<h3>Nearest to what it was trained on</h3><p>{text}</p><div class="tiw-two">{sheets}</div>') if sheets else ""


def surest(run: store.Run) -> str:
    """The images that the test without labels is surest of."""
    sides = [("Samples least like the reference", "surest_samples"), ("References least like the samples", "surest_references")]
    return f'<div class="tiw-two">{_sheets(run, sides)}</div>'


def _sheets(run: store.Run, sides: list[tuple[str, str]]) -> str:
    kept = pictures.examples(run)
    return "".join(
        f"<div><h4>{title}</h4>{pictures.sheet(np.asarray(kept[name][:SHOWN]), title, 6)}</div>"
        for title, name in sides
        if len(kept.get(name, []))
    )


def _interval(found: dict) -> str:
    return words.interval(found, lambda value: words.number(value, 3))


def _of_group(group: dict, name: str) -> str:
    """A group's distance with its interval, or why there is none."""
    found = group[name]
    if not found:
        return f"too few ({group['counts'].get(name, 0):,} samples)"
    return f"<b>{words.number(found['value'], 3)}</b> <small>{_interval(found)}, n = {group['n']:,}</small>"


def _change(group: dict) -> str:
    """In words; intervals that overlap say nothing."""
    if not group["baseline"] or not group["debiased"]:
        return ""
    before, after = (group[name]["interval"] for name in ("baseline", "debiased"))
    return "worse" if after[0] > before[1] else "better" if after[1] < before[0] else "not distinguishable at this n"
