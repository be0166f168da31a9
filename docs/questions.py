"""The figures of the ten questions (docs/questions/*.webp) and the numbers of their answers, from closed forms and committed results.

python docs/questions.py                    # needs Chromium, like `make screenshots`
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from tiw.toys import MixturePair, chasm, two_modes  # noqa: E402  (the checkout, not an installed package)

RESULTS = ROOT / "benchmarks" / "results"
ORANGE, BLUE, GREEN, PURPLE, INK = "#d55e00", "#0072b2", "#009e73", "#aa4499", "#16202e"
SIGMAS = torch.logspace(-1.3, 1.18, 40, dtype=torch.float64)
METHODS = {"dsm-ref": ("reference alone", ORANGE, 3e-4), "tiw-dsm": ("TIW-DSM", BLUE, 0.0)}
FEW = (25, 50, 100, 400)


def read(name: str) -> dict:
    return json.loads((RESULTS / name).read_text())


def demo_rows(method: str, references: int, rate: float, minutes: float = 1.0) -> list[dict]:
    """The demo's rows of one cell, after so many nominal minutes, in the order of their seeds; those of the tuning are left out."""
    rows = [json.loads(line) for line in (RESULTS / "quality.jsonl").read_text().splitlines()]
    wanted = {"setting": "demo", "method": method, "references": references, "minutes": minutes, "rate": rate}
    found = [row for row in rows if row["cell"].items() >= wanted.items() and row["cell"]["seed"] < 100]
    return sorted(found, key=lambda row: row["cell"]["seed"])


def mean(method: str, measure: str, references: int = 400, minutes: float = 1.0) -> float:
    rate = 1e-3 if method == "dsm-obs" else METHODS.get(method, ("", "", 3e-4))[2]
    return statistics.mean(row[measure] for row in demo_rows(method, references, rate, minutes))


def effective_share(pair: MixturePair, sigma: float, n: int = 200_000) -> float:
    """(E r)^2 / E r^2 over the noisy biased set: what weighting leaves of it."""
    generator = torch.Generator().manual_seed(0)
    level = torch.full((n,), float(sigma), dtype=torch.float64)
    x0 = pair.biased.sample(n, generator)
    r = pair.log_ratio(x0 + level[:, None] * torch.randn(x0.shape, generator=generator, dtype=torch.float64), level).exp()
    return float(r.mean() ** 2 / r.square().mean())


def along(pair: MixturePair, sigma: float, n: int = 201) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points on the diagonal through both groups: the place along it, the points, the level of each."""
    place = torch.linspace(-6, 6, n, dtype=torch.float64)
    return place, torch.stack([place, place], 1) / 2**0.5, torch.full((n,), float(sigma), dtype=torch.float64)


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def facts() -> dict[int, list[str]]:
    """The numbers in each answer, as they stand in its text."""
    toy, maturity, choices = read("toy_ratio.json"), read("maturity.json"), read("ratio_choices.json")
    lengths = {row["length"]: row for row in maturity["lengths"]}
    discrepancy = "fairness_discrepancy"
    return {
        1: [percent(toy["chasm"]["carried_from_clean"]["mean"]), percent(toy["two_modes"]["carried_from_clean"]["mean"])],
        2: [f"{mean(m, discrepancy):.3f}" for m in ("weight-only", "correction-only", "tiw-dsm-paper")],
        3: [],
        4: [f"{choices['truth_cross_entropy']:.3f}"]
        + [percent(choices["table"][f"{name}, {n}"]["information"][0]) for n in (50, 400) for name in ("convex", "logistic regression")],
        5: [
            *(f"{mean(m, 'frechet_distance', n):.0f}" for n in FEW for m in METHODS),
            *(f"{mean(m, discrepancy, 100):.3f}" for m in METHODS),
        ],
        6: [f"{mean(m, discrepancy):.3f}" for m in ("dsm-obs", "weight-only", "correction-only", "tiw-dsm-paper")],
        7: [percent(toy["chasm"]["at_every_level"]["mean"]), percent(toy["two_modes"]["at_every_level"]["mean"])],
        8: [percent(mean(m, "closer_to_reference", n)) for n in (25, 50, 100) for m in METHODS]
        + [percent(mean(m, "closer_to_reference", 100, 15.0)) for m in METHODS],
        9: [f"{lengths[k][what]:.3f}" for k in (10, 3000) for what in ("held_out", discrepancy)]
        + [f"{lengths[3000]['train']:.3f}", f"{math.log(2):.3f}"],
        10: [percent(effective_share(two_modes(), s)) for s in (0.05, 10)],
    }


def figures() -> None:
    import plotly.graph_objects as go
    from figures import save
    from plotly.subplots import make_subplots

    def line(x, y, name, colour, dash="solid", **more):
        return go.Scatter(
            x=list(map(float, x)), y=list(map(float, y)), name=name, mode="lines", line={"color": colour, "dash": dash}, **more
        )

    def kept(figure: go.Figure, name: str, height: int = 370, **layout) -> None:
        figure.update_yaxes(automargin=True)
        figure.update_layout(margin={"l": 60, "r": 15, "t": 30, "b": 90}, legend={"orientation": "h", "y": -0.28, "x": 0}, **layout)
        save(figure, f"questions/{name}", 760, height)

    def effective(name: str) -> None:
        figure = go.Figure()
        for title, pair, colour in (("same groups, other shares", two_modes(), BLUE), ("density chasm", chasm(), ORANGE)):
            figure.add_trace(line(SIGMAS, [100 * effective_share(pair, s, 40_000) for s in SIGMAS], title, colour))
        figure.update_xaxes(type="log", title_text="noise level sigma", dtick=1)
        figure.update_yaxes(title_text="effective sample size, %", range=[0, 102])
        if name == "gan":
            figure.add_vline(x=0.055, line={"dash": "dot", "color": INK})
            figure.add_annotation(x=-1.24, y=70, text="all a GAN sees", xanchor="left", showarrow=False)
        kept(figure, name)

    effective("chasm"), effective("gan")

    figure = make_subplots(1, 3, subplot_titles=[f"sigma = {s:g}" for s in (0.1, 1, 5)], shared_yaxes=False)
    for column, sigma in enumerate((0.1, 1, 5), 1):
        place, points, level = along(two_modes(), sigma)
        log_r = two_modes().log_ratio(points, level)
        figure.add_trace(line(place, log_r.exp(), "weight r", PURPLE, showlegend=column == 1), 1, column)
        slope = sigma**2 * (two_modes().reference.score(points, level) - two_modes().biased.score(points, level)).sum(1) / 2**0.5
        figure.add_trace(line(place, slope, "correction sigma² grad log r", GREEN, showlegend=column == 1), 1, column)
    figure.update_xaxes(title_text="place along the diagonal")
    kept(figure, "one_ratio", 380)

    figure, pair = go.Figure(), two_modes()
    place, points, level = along(pair, 2.0)
    biased, exact = (m.denoised(points, level).sum(1) / 2**0.5 for m in (pair.biased, pair.reference))
    gap = 4 * (pair.reference.score(points, level) - pair.biased.score(points, level)).sum(1) / 2**0.5
    for y, name, colour, dash in (
        (biased, "E_bias[x0 | xt]", ORANGE, "solid"),
        (gap, "sigma² grad log r", GREEN, "solid"),
        (exact, "E_ref[x0 | xt]", BLUE, "solid"),
        (biased + gap, "their sum", INK, "dot"),
    ):
        figure.add_trace(line(place, y, name, colour, dash))
    figure.update_xaxes(title_text="xt along the diagonal, sigma = 2")
    kept(figure, "theorem")

    figure = go.Figure()
    table, columns = read("ratio_choices.json")["rows"], {"convex": BLUE, "logistic regression": ORANGE, "uncalibrated": PURPLE}
    for name, colour in columns.items():
        rows = [row for row in table if row["variant"] == name and row["references"] <= 400]
        x, y = [row["references"] for row in rows], [100 * row["information"] for row in rows]
        figure.add_scatter(x=x, y=y, mode="markers", name=name, marker={"color": colour, "size": 9})
    figure.update_xaxes(type="log", tickvals=[50, 100, 200, 400], title_text="references")
    figure.update_yaxes(title_text="information, % of the exact ratio's")
    kept(figure, "discriminator")

    for name, measure, title in (
        ("few", "frechet_distance", "Frechet distance"),
        ("memorising", "closer_to_reference", "nearer to a reference"),
    ):
        figure = go.Figure()
        for method, (label, colour, rate) in METHODS.items():
            cells = [(n, row[measure]) for n in FEW for row in demo_rows(method, n, rate)]
            figure.add_scatter(
                x=[c[0] for c in cells], y=[c[1] for c in cells], mode="markers", name=label, marker={"color": colour, "size": 9}
            )
        figure.update_xaxes(type="log", tickvals=FEW, title_text="reference images")
        figure.update_yaxes(title_text=title)
        kept(figure, name)

    figure = go.Figure()
    for y, (method, label, rate) in enumerate(
        (
            ("dsm-obs", "both sets, DSM(obs)", 1e-3),
            ("weight-only", "weight only", 3e-4),
            ("correction-only", "correction only", 3e-4),
            ("tiw-dsm-paper", "TIW-DSM as in the paper", 3e-4),
        )
    ):
        found = [row["fairness_discrepancy"] for row in demo_rows(method, 400, rate)]
        figure.add_scatter(
            x=found,
            y=[label] * len(found),
            mode="markers",
            marker={"color": (INK, PURPLE, GREEN, BLUE)[y], "size": 11, "opacity": 0.6},
            showlegend=False,
        )
    figure.update_xaxes(title_text="discrepancy, 400 references, one minute; each dot one draw", rangemode="tozero")
    kept(figure, "correction", 260)

    figure, pair = make_subplots(1, 2, subplot_titles=("same groups, other shares", "density chasm")), None
    for column, pair in enumerate((two_modes(), chasm()), 1):
        grid = torch.stack([pair.log_ratio(along(pair, s)[1], along(pair, s)[2]) for s in SIGMAS]).clamp(-4, 4)
        scale = [[0, ORANGE], [0.5, "#ffffff"], [1, BLUE]]
        figure.add_heatmap(
            x=along(pair, 1)[0].tolist(),
            y=SIGMAS.tolist(),
            z=grid.tolist(),
            zmid=0,
            colorscale=scale,
            showscale=column == 2,
            row=1,
            col=column,
        )
    figure.update_yaxes(type="log", dtick=1, title_text="noise level sigma")
    figure.update_xaxes(title_text="place along the diagonal")
    kept(figure, "levels", 360)

    rows = read("maturity.json")["lengths"]
    figure = go.Figure()
    for key, name, colour in (
        ("train", "cross-entropy on what it saw", "#999999"),
        ("held_out", "cross-entropy held out", BLUE),
        ("fairness_discrepancy", "discrepancy of the guided samples", GREEN),
    ):
        figure.add_scatter(x=[r["length"] for r in rows], y=[r[key] for r in rows], mode="lines+markers", name=name, line={"color": colour})
    figure.update_xaxes(type="log", dtick=1, title_text="training steps of the discriminator")
    figure.update_yaxes(rangemode="tozero")
    kept(figure, "maturity")


if __name__ == "__main__":
    (ROOT / "docs" / "questions").mkdir(exist_ok=True)
    figures()
