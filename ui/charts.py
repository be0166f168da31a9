"""Plotly figures as JSON for assets/app/chart.js."""

from __future__ import annotations

import json
import math
from html import escape

import gradio as gr

from . import theme
from .theme import COLOURS
from .words import number, percent

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
SETS = {"baseline": "Baseline", "debiased": "Debiased", "reference": "Reference set", "target": "True target"}


def chart(title: str, elem_id: str | None = None) -> gr.HTML:
    """A titled chart that is updated in place, with its data as CSV; not there while it has no figure."""
    return gr.HTML(
        "",
        html_template=f'<section class="tiw-card chart-card"><div class="ex-bar"><div class="chart-title">{title}</div>'
        f'<button type="button" class="ghost" aria-label="{title} as CSV">CSV</button></div><div class="chart"></div></section>',
        js_on_load=theme.asset("csv.js", "chart.js"),
        head=theme.PLOTLY_HEAD,
        apply_default_css=False,
        elem_id=elem_id,
    )


def loss(steps: list[dict]) -> str:
    """Loss of every step, and its learning rate on hover."""
    if not steps:
        return ""
    last = steps[-1]
    power = -math.floor(math.log10(max((s["loss"] for s in steps if s["loss"] > 0), default=1.0)))  # 0.0015 is read as 1.5 thousandths
    unit = f"loss × 10{str(power).translate(RAISED)}" if power > 0 else "loss"
    figure = {
        "data": [
            {
                "type": "scatter",
                "mode": "lines" if len(steps) > 1 else "markers",
                "x": [s["step"] for s in steps],
                "y": [s["loss"] * 10 ** max(power, 0) for s in steps],
                "line": {"color": COLOURS["ink"], "width": 1.8},
                "hovertemplate": f"step %{{x}}<br>{unit}: %{{y:.2f}}<extra></extra>",
            }
        ],
        "layout": {
            "height": 230,
            "xaxis": {"range": [0, last["steps"]], "title": {"text": "step"}},
            "yaxis": {"title": {"text": unit}, "rangemode": "tozero"},
            "showlegend": False,
        },
        "alt": f"Loss against step; {number(last['loss'], 3)} at step {last['step']} of {last['steps']}.",
    }
    return json.dumps(figure)


def gap(previews: list[dict], steps: list[dict]) -> str:
    """Share of the gap closed at each image grid, with its interval."""
    known = [p for p in previews if p.get("gap_closed")]
    if not known:
        return ""
    end = steps[-1]["steps"] if steps else known[-1]["step"]
    figure = {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "x": [0, end],
                "y": [1, 1],
                "line": {"color": COLOURS["reference"], "width": 1.5, "dash": "dot"},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [p["step"] for p in known],
                "y": [p["gap_closed"]["value"] for p in known],
                "interval": [p["gap_closed"]["interval"] for p in known],
                "interval_color": COLOURS["debiased"],
                "line": {"color": COLOURS["debiased"], "width": 2},
                "marker": {"size": 8},
                "hovertemplate": "step %{x}<br>%{y:.0%} (%{customdata[0]:.0%} to %{customdata[1]:.0%})<extra></extra>",
            },
        ],
        "layout": {
            "height": 230,
            "xaxis": {"range": [0, end], "title": {"text": "step"}},
            "yaxis": {"tickformat": ".0%", "title": {"text": "gap closed"}, "rangemode": "tozero"},
            "showlegend": False,
        },
        "alt": f"Gap closed against step; {percent(known[-1]['gap_closed']['value'])} at step {known[-1]['step']}.",
    }
    return json.dumps(figure)


def front(models: list[dict]) -> str:
    """Every model by its distance from real images and that of its shares from the target; what belongs together is a line."""
    counted = [m for m in models if m["discrepancy"]]
    if len(counted) < 3:
        return ""
    start = [m for m in counted if m["name"] == "baseline"]
    way = [m for m in counted if m["step"] and m["strength"] is None]
    guided = sorted((m for m in counted if m["strength"] is not None), key=lambda m: m["strength"])
    rest = [m for m in counted if m not in start and m not in way and m not in guided]
    lines = [
        ("Debiased", "debiased", start + sorted(way, key=lambda m: m["step"])),
        ("Baseline, guided", "reference", guided and start + guided),
    ]
    lines = [line for line in lines if len(line[2]) > 1]
    traces = [(*line, "lines+markers+text") for line in lines] + ([("Other models", "ink", rest, "markers+text")] if rest else [])
    traces += [] if lines else [("Baseline", "baseline", start, "markers+text")]
    room = _with_room([m for _, _, found, _ in traces for m in found])
    data = [_points(name, colour, found, mode, room) for name, colour, found, mode in traces]
    told = "; ".join(
        f"{m['title']}: discrepancy {number(m['discrepancy']['value'], 3)}, kernel distance {number(m['kernel_distance']['value'], 3)}"
        for m in counted
    )
    layout = {
        "height": 380,
        "xaxis": {"title": {"text": "kernel distance to real images (lower: better images)"}},
        "yaxis": {"title": {"text": "discrepancy (lower: nearer to the target)"}, "rangemode": "tozero"},
        "legend": {"orientation": "h", "y": 1.12, "x": 0},
    }
    return json.dumps({"data": data, "layout": layout, "alt": f"Discrepancy against quality. {told}."})


def _with_room(models: list[dict]) -> list[dict]:
    """The models whose names do not lie over another's: from the first on, whoever is not close to one that has its name already."""
    at = [(m["kernel_distance"]["value"], m["discrepancy"]["value"]) for m in models]
    wide, high = (max(values) - min(values) or 1 for values in zip(*at, strict=True))
    kept: list[int] = []
    for k, (x, y) in enumerate(at):
        if all(abs(x - at[j][0]) > 0.12 * wide or abs(y - at[j][1]) > 0.08 * high for j in kept):
            kept.append(k)
    return [models[k] for k in kept]


def _points(name: str, colour: str, models: list[dict], mode: str, named: list[dict]) -> dict:
    """A trace of `front`, with the names of those in `named`; the texts are ours and the run's name, which plotly would take for markup."""
    texts = [f"step {m['step']:,}" if m["step"] else f"×{m['strength']:g}" if m["strength"] is not None else m["title"] for m in models]
    return {
        "name": name,
        "type": "scatter",
        "mode": mode,
        "x": [m["kernel_distance"]["value"] for m in models],
        "y": [m["discrepancy"]["value"] for m in models],
        "interval": [m["discrepancy"]["interval"] for m in models],
        "interval_color": COLOURS[colour],
        "text": [escape(text) if m in named else "" for m, text in zip(models, texts, strict=True)],
        "hovertext": [escape(text) for text in texts],
        "textposition": "bottom center" if colour == "reference" else "top center",
        "line": {"color": COLOURS[colour], "width": 2},
        "marker": {"size": 9, "color": COLOURS[colour]},
        "hovertemplate": "%{hovertext}<br>discrepancy %{y:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})<br>"
        "kernel distance %{x:.3g}<extra></extra>",
    }


def shares(rows: list[dict]) -> str:
    """Every attribute's shares in one chart: baseline, debiased and reference with intervals and n, the truth as a line mark."""
    labels = list(dict.fromkeys((row["attribute"], row["value"]) for row in rows))
    data, corrected = [], []
    for name, title in SETS.items():
        of = {(row["attribute"], row["value"]): row for row in rows if row["set"] == name}
        drawn = [label for label in labels if label in of]
        if not drawn:
            continue
        found = [of[label] for label in drawn]
        trace = {
            "name": title if found[0]["n"] is None else f"{title} (n = {found[0]['n']:,})",
            "x": [[attribute for attribute, _ in drawn], [value for _, value in drawn]],
            "y": [row["share"] for row in found],
            "offsetgroup": "reference" if name == "target" else name,  # the target's mark and corrected shares stand over their bar
        }
        if name == "target":
            data.append(
                {
                    **trace,
                    "type": "scatter",
                    "mode": "markers",
                    "marker": {"symbol": "line-ew-open", "size": 30, "color": COLOURS["ink"], "line": {"width": 2}},
                    "hovertemplate": "%{y:.1%}<extra>target</extra>",
                }
            )
        else:
            fixed = [(label, row) for label, row in zip(drawn, found, strict=True) if row.get("corrected")]
            if fixed:
                corrected.append(
                    {
                        "name": f"{title}, corrected",
                        "offsetgroup": name,
                        "type": "scatter",
                        "mode": "markers",
                        "x": [[attribute for (attribute, _), _ in fixed], [value for (_, value), _ in fixed]],
                        "y": [row["corrected"]["share"] for _, row in fixed],
                        "customdata": [row["corrected"]["simultaneous"] for _, row in fixed],
                        "n": [row["n"] for _, row in fixed],
                        "marker": {"symbol": "diamond", "size": 9, "color": COLOURS[name], "line": {"width": 1.5, "color": "white"}},
                        "hovertemplate": "%{y:.1%}, all values at once 95 %: %{customdata[0]:.1%} to %{customdata[1]:.1%}<extra></extra>",
                    }
                )
            data.append(
                {
                    **trace,
                    "type": "bar",
                    "interval": [row["interval"] for row in found],
                    "n": [row["n"] for row in found],
                    "marker": {"color": COLOURS[name], "opacity": 0.88},
                    "hovertemplate": "%{y:.1%}, 95 %: %{customdata[0]:.1%} to %{customdata[1]:.1%}, n = %{customdata[2]:,}<extra></extra>",
                }
            )
    text = "; ".join(f"{row['set']} {row['attribute']} {row['value']} {percent(row['share'])}" for row in rows)
    layout = {
        "height": 400,
        "barmode": "group",
        "scattermode": "group",
        "bargap": 0.25,
        "scattergap": 0.25,
        "yaxis": {"tickformat": ".0%", "title": {"text": "share"}, "rangemode": "tozero"},
        "legend": {"orientation": "h", "y": 1.12, "x": 0},
    }
    return json.dumps({"data": data + corrected, "layout": layout, "alt": f"Attribute shares. {text}"})
