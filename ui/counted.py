"""What a comparison counted: the shares in numbers, what differs in words, the test without labels, the classifier's errors."""

from __future__ import annotations

from html import escape

from tiw.intervals import Estimate
from tiw.run.comparison_fields import WITHOUT_LABELS

from . import html, quality, store, words

SETS = {"baseline": "Baseline", "debiased": "Debiased", "reference": "Reference set"}


def lineup(run: store.Run) -> str:
    """Every model of the comparison where there are more than two, nearest to the target first, with what to take of it."""
    models = run.result.get("models") or []
    if len(models) < 3:
        return ""
    trained = store.maker_of(run.options["debiased"])
    rows = []
    for m in sorted(models, key=lambda m: (m["discrepancy"] or m["kernel_distance"])["value"]):
        far = words.interval(m["discrepancy"], lambda value: words.number(value, 3)) if m["discrepancy"] else ""
        near = f"<b>{words.number(m['discrepancy']['value'], 3)}</b> <small>{far}{'' if m['corrected'] else ', raw'}</small>" if far else ""
        image = words.interval(m["kernel_distance"], lambda value: words.number(value, 3))
        address = f"tiw/{trained.id}/kept/{m['step']}.zip" if trained and _kept(m) else ""
        taken = f'<a class="button" href="{address}" download>Take this one (zip)</a>' if address else ""
        rows.append([escape(m["title"]), near, f"<b>{words.number(m['kernel_distance']['value'], 3)}</b> <small>{image}</small>", taken])
    text = "Discrepancy says how far the shares lie from the target, kernel distance how far the images lie from real ones. Less is better."
    table = html.table(["Model", "Discrepancy", "Kernel distance", ""], rows, "Every model", cards=True)
    return html.card(f"<h3>Which one to keep</h3><p>{text}</p>{table}")


def _kept(model: dict) -> bool:
    """Whether it is one that a run has kept on the way."""
    return model["name"] == f"step {model['step']}"


def shares(result: dict) -> str:
    """Every share of every set, raw and corrected, each with its interval."""
    cells = {(row["attribute"], row["value"], row["set"]): row for row in result.get("shares", [])}
    keys = list(dict.fromkeys((attribute, value) for attribute, value, _ in cells))
    if not keys:
        return ""
    target = any(set_ == "target" for *_, set_ in cells)
    rows = []
    for key in keys:
        known = cells.get((*key, "target"))
        exact = [f"<b>{words.percent(known['share'], 1)}</b> exactly" if known else ""] if target else []
        rows.append([escape(f"{key[0]}: {key[1]}"), *(_share(cells.get((*key, set_))) for set_ in SETS), *exact])
    n = [cells[(*keys[0], set_)]["n"] for set_ in SETS]
    head = [
        "Share",
        *(f"{title}, n\u00a0=\u00a0{of:,}" for title, of in zip(SETS.values(), n, strict=True)),
        *(["Target"] if target else []),
    ]
    text = (
        "Shares are what the classifier perceives, not what people are or say of themselves. Raw shares stand with Wilson’s interval, then "
        "corrected for the classifier’s errors, with intervals that hold for all values at once."
    )
    table = html.table(head, rows, "Shares in numbers", cards=True)
    return html.card(f"<h3>Shares in numbers</h3><p>{text} All intervals are 95 %.</p>{table}")


def _share(row: dict | None) -> str:
    if row is None:
        return ""
    fixed = row.get("corrected")
    after = f"{_percents(fixed['share'], fixed['simultaneous'])} corrected" if fixed else "not corrected"
    few = " few" if row["small"] else ""
    return f"<span><b>{words.percent(row['share'], 1)}</b> <small>{_range(row['interval'])}{few}<br>{after}</small></span>"


def _percents(share: float, interval: list[float]) -> str:
    return f"{words.percent(share, 1)} {_range(interval)}"


def _range(interval: list[float]) -> str:
    """'[13.2, 19.7]', in per cent."""
    low, high = (f"{100 * end + 0.0:.1f}" for end in interval)
    return f"[{low}, {high}]"


def differences(result: dict) -> str:
    """What changed and what is left, in words; then the test without labels and what could not be measured."""
    cards = []
    for from_, title in (("baseline", "Against the baseline"), ("target", "Against the target")):
        rows = [row for row in result.get("differences", []) if row["from"] == from_]
        listed, before = [], ""
        for row in rows:  # one p-value an attribute: it is of all its values together
            p = "" if row["attribute"] == before else words.p_value(row["p_holm"])
            before = row["attribute"]
            listed.append([f"{row['attribute']}: {row['value']}", points(row["raw"]), points(row["corrected"]), row["words"], p])
        if listed:
            head = ["Share", "Raw, in points", "Corrected", "In words", "p of the attribute"]
            hint = "<p>Intervals are 95 % each. p is of all values of an attribute together, adjusted by Holm for all attributes.</p>"
            table = html.table(head, [[escape(cell) for cell in row] for row in listed], title, cards=True)
            cards.append(html.card(f"<h3>{title}</h3>{hint}{table}"))
    unfit = (t["sentence"] for t in result.get("transfer", []) if not t["fits"])
    warnings = [*result.get("not_measurable", {}).values(), *unfit, *result.get("notes", [])]
    if warnings:
        said = "".join(f"<p>{escape(text)}</p>" for text in warnings)
        cards.append(html.card(f"<h3>Read with care</h3>{said}"))
    return "".join(cards)


def points(found: dict | None) -> str:
    """'+36.1 [+33.0, +39.0]', in points."""
    if not found:
        return "not measurable"
    value, low, high = (f"{100 * x:+.1f}" for x in (found["value"], *found["interval"]))
    return f"{value} [{low}, {high}]"


def residual(run: store.Run) -> str:
    found = run.result.get("residual")
    if not found:
        return ""
    rows = [
        [title, Estimate.of(s, "auc").text("{:.3f}"), words.p_value(s["p"]), f"{s['n'][0]:,} and {s['n'][1]:,}"]
        for name, title in WITHOUT_LABELS
        if (s := found.get(name))
    ]
    table = html.table(["What is compared", "AUC", "p", "n"], rows, "Test without labels", cards=True)
    verdict = found["verdict"].capitalize()
    return html.card(
        f"<h3>What a test without labels still sees</h3><p><b>{verdict}.</b> {escape(found['sentence'])}</p>{table}{quality.surest(run)}"
    )


def classifier(result: dict) -> str:
    """How far the counting itself can be trusted, said beside the shares."""
    tables = []
    for a in (result.get("classifier") or {}).get("attributes", []):
        if not a["accuracy"]:
            continue
        rows = [
            [f"called {escape(str(p))}", *(words.percent(cell, 1) for cell in row)]
            for p, row in zip(a["values"], a["confusion"], strict=True)
        ]
        accuracy = a["accuracy"]
        tables.append(
            f"<div><h4>{escape(a['attribute'])}: {words.percent(accuracy['value'], 1)} right "
            f"({words.interval(accuracy, lambda v: words.percent(v, 1))}, n = {a['n']:,})</h4>"
            f"{html.table(['', *(f'truly {escape(str(v))}' for v in a['values'])], rows, 'Confusion in ' + a['attribute'])}</div>"
        )
    found = result.get("classifier")
    if not found:
        return ""
    who = f"The classifier is {escape(found['name'])}. Licence: {escape(found['licence'])}."
    note = (
        "It errs as follows, measured on labelled images it was not trained on. Corrected shares take these errors out."
        if tables
        else "Its errors are not counted, so shares are raw."
    )
    return html.card(f'<h3>How the shares were counted</h3><p>{who} {note}</p><div class="tiw-two">{"".join(tables)}</div>')
