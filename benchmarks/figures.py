"""Draw the figures of docs/ from benchmarks/results/, and make the tables of methods.

python benchmarks/figures.py                    # needs Chromium, like `make screenshots`
"""

from __future__ import annotations

import io
import json
import shutil
import statistics
from collections import defaultdict
from pathlib import Path

import plotly.graph_objects as go
import versus
from pages import as_table
from PIL import Image
from playwright.sync_api import sync_playwright
from plotly.subplots import make_subplots
from quality import best_rates, read_rows

ROOT = Path(__file__).parents[1]
TABLES = (("demo", 1.0), ("demo", 5.0), ("demo", 15.0), ("demo", 60.0), ("long-tail", 1.0))  # (setting, minutes) that docs/RESULTS.md has
RESULTS, DOCS = ROOT / "benchmarks" / "results", ROOT / "docs"
NAMES = {
    "baseline": "baseline",
    "dsm-ref": "reference alone, DSM(ref)",
    "dsm-obs": "both sets, DSM(obs)",
    "iw-dsm": "IW-DSM",
    "weight-only": "TIW, weight only",
    "correction-only": "TIW, correction only",
    "tiw-dsm-paper": "TIW-DSM as in the paper",
    "tiw-dsm": "TIW-DSM",
    "guidance": "guidance, no training",
}
COLOURS = {"dsm-ref": "#d55e00", "tiw-dsm": "#0072b2"}  # the colour-blind can tell these two from each other
MEASURES = {
    "fairness_discrepancy": "fairness discrepancy",
    "frechet_distance": "Frechet distance",
    "closer_to_reference": "nearer to a reference image",
}


def at_their_rates(rows: list[dict]) -> list[dict]:
    """The demo's rows of TIW-DSM and of the reference alone, each at the rate of the tuning where that was run."""
    rates, cells = best_rates(rows), defaultdict(list)
    for row in rows:
        cell = row["cell"]
        if cell["setting"] == "demo" and cell["seed"] < 100 and cell["method"] in COLOURS:
            cells[cell["method"], cell["references"], cell["minutes"]].append(row)
    found = []
    for (method, *_), own in cells.items():
        found += [row for row in own if row["cell"]["rate"] == rates.get(method)] or own
    return found


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval (Student's t) over the seeds."""
    from scipy.stats import t

    if len(values) < 2:
        return values[0], float("nan")
    return statistics.mean(values), float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5


def save(figure: go.Figure, name: str, width: int, height: int) -> None:
    """docs/NAME.webp, drawn by Chromium."""
    figure.update_layout(template="plotly_white", font={"family": "Inter, Arial, sans-serif", "size": 14}, width=width, height=height)
    chromium = next(found for c in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(c)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"])
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=2)
        page.set_content(figure.to_html(include_plotlyjs=True, config={"displayModeBar": False}))
        page.locator(".main-svg").first.wait_for()
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    picture.save(DOCS / f"{name}.webp", quality=88)
    print(f"docs/{name}.webp")


def dots_and_means(figure: go.Figure, cells: list[dict], along: str, measure: str, name: str, colour: str, row: int, col: int) -> None:
    """Every seed a dot, means joined; the first panel carries the legend."""
    x = [r["cell"][along] for r in cells]
    ticks = sorted(set(x))
    means = [statistics.mean(r[measure] for r in cells if r["cell"][along] == tick) for tick in ticks]
    of_line = {"name": name, "showlegend": row == col == 1, "line": {"color": colour, "width": 3}}
    figure.add_scatter(x=ticks, y=means, mode="lines", **of_line, row=row, col=col)
    y, marker = [r[measure] for r in cells], {"color": colour, "size": 8}
    figure.add_scatter(x=x, y=y, mode="markers", marker=marker, showlegend=False, row=row, col=col)


def minutes(rows: list[dict], about: dict) -> None:
    """Methods against minutes of fine-tuning, one column per number of references: the seed that had every budget, each of them a dot."""
    rows = [r for r in at_their_rates(rows) if r["cell"]["seed"] == 0]
    longest = {n: max(r["cell"]["minutes"] for r in rows if r["cell"]["references"] == n) for n in (100, 400)}
    sizes = [n for n, most in longest.items() if most > 1]
    figure = make_subplots(
        len(MEASURES), len(sizes), shared_xaxes=True, column_titles=[f"{n} references" for n in sizes], vertical_spacing=0.06
    )
    for i, (measure, title) in enumerate(MEASURES.items(), 1):
        floor = 0.5 if measure == "closer_to_reference" else about["demo"][measure]["value"]
        for j, n in enumerate(sizes, 1):
            for method, colour in COLOURS.items():
                cells = [r for r in rows if r["cell"]["references"] == n and r["cell"]["method"] == method]
                dots_and_means(figure, cells, "minutes", measure, NAMES[method], colour, i, j)
            figure.add_hline(y=floor, line={"dash": "dot", "color": "#666"}, row=i, col=j)
        figure.update_yaxes(title_text=title, row=i, col=1, rangemode="tozero" if i < 3 else "normal")
        figure.update_yaxes(matches="y" if i == 1 else f"y{(i - 1) * len(sizes) + 1}", row=i)
    figure.update_xaxes(type="log", tickvals=[0.3, 1, 5, 15, 60])
    figure.update_xaxes(title_text="nominal minutes", row=len(MEASURES))
    figure.update_layout(legend={"orientation": "h", "y": -0.1}, margin={"l": 70, "r": 20, "t": 40, "b": 90})
    save(figure, "methods_minutes", 200 + 300 * len(sizes), 820)


def references(rows: list[dict], about: dict, budget: float = 1.0) -> None:
    """TIW-DSM and the reference alone against the number of references. Every seed is a dot, and means are joined."""
    rows = [r for r in at_their_rates(rows) if r["cell"]["minutes"] == budget]
    figure = make_subplots(1, len(MEASURES), subplot_titles=list(MEASURES.values()), horizontal_spacing=0.07)
    for j, measure in enumerate(MEASURES, 1):
        for method, colour in COLOURS.items():
            cells = [r for r in rows if r["cell"]["method"] == method]
            dots_and_means(figure, cells, "references", measure, NAMES[method], colour, 1, j)
        floor = 0.5 if measure == "closer_to_reference" else about["demo"][measure]["value"]
        figure.add_hline(y=floor, line={"dash": "dot", "color": "#666"}, row=1, col=j)
        figure.update_yaxes(rangemode="normal" if measure == "closer_to_reference" else "tozero", row=1, col=j)
    figure.update_xaxes(type="log", tickvals=[25, 50, 100, 400], title_text="reference images")
    figure.update_layout(margin={"l": 50, "r": 20, "t": 50, "b": 90}, legend={"orientation": "h", "y": -0.25})
    save(figure, "methods_references", 1100, 420)


def table(setting: str, minutes_: float) -> str:
    """The committed results, as docs/RESULTS.md has them: one row a method and reference size, mean and 95 % interval over the seeds."""
    head = ("method", "references", "rate", "discrepancy", "Frechet", "recall", "nearer to reference", "seeds")
    columns = ("fairness_discrepancy", "frechet_distance", "recall", "closer_to_reference")
    digits = (3, 0, 2, 2)
    lines: list[tuple[str, ...]] = [head]
    budgets = {minutes_, 0} if minutes_ == 1 else {minutes_}  # what is not trained stands once
    chosen = [r for r in read_rows() if r["cell"]["setting"] == setting and r["cell"]["seed"] < 100 and r["cell"]["minutes"] in budgets]
    sizes = {r["cell"]["references"] for r in chosen if r["cell"]["minutes"] == minutes_}
    for n in sorted({0, *sizes}):
        for method, name in NAMES.items():
            of_method = [r for r in chosen if r["cell"]["references"] == n and r["cell"]["method"] == method]
            for rate in sorted({r["cell"]["rate"] for r in of_method}):
                cells, shown = [r for r in of_method if r["cell"]["rate"] == rate], []
                for column, digit in zip(columns, digits, strict=True):
                    values = [c[column] for c in cells if column in c]
                    mean, half = interval(values) if values else (float("nan"), float("nan"))
                    spread = f" ± {half:.{digit}f}" if len(values) > 1 else " (one seed)"
                    shown.append(f"{mean:.{digit}f}{spread}" if values else "")
                lines.append((name, str(n or ""), f"{rate:g}" if rate else "", *shown, str(len(cells))))
    return as_table(lines)


def sampler(found: dict) -> None:
    figure = go.Figure()
    for solver, colour in (("dpm", "#0072b2"), ("heun", "#d55e00")):
        rows = [r for r in found["settings"] if r["solver"] == solver]
        figure.add_scatter(
            x=[r["seconds_for_64"] for r in rows],
            y=[r["frechet_distance"] for r in rows],
            text=[str(r["steps"]) for r in rows],
            textposition="top center",
            mode="lines+markers+text",
            name={"dpm": "DPM-Solver++(2M)", "heun": "Heun"}[solver] + ", steps",
            line={"color": colour},
        )
    figure.add_hline(y=found["floor"], line={"dash": "dot", "color": "#666"}, annotation_text="two halves of the data")
    figure.update_xaxes(title_text="seconds for 64 images, 2 cores")
    figure.update_yaxes(title_text=f"Frechet distance to the biased set, n = {found['n']:,}", rangemode="tozero")
    figure.update_layout(margin={"l": 70, "r": 20, "t": 20, "b": 60}, legend={"x": 0.6, "y": 0.95})
    save(figure, "sampler", 760, 440)


def maturity(found: dict) -> None:
    rows, ours = found["lengths"], found["library"]
    figure = make_subplots(1, 3, subplot_titles=("cross-entropy, nats", "fairness discrepancy", "Frechet distance"))
    x = [r["length"] for r in rows]
    lines = [("train", "#999999", 1, "on what it saw"), ("held_out", "#0072b2", 1, "held out")]
    lines += [("fairness_discrepancy", "#0072b2", 2, ""), ("frechet_distance", "#0072b2", 3, "")]
    for key, colour, column, name in lines:
        figure.add_scatter(
            x=x, y=[r[key] for r in rows], mode="lines+markers", line={"color": colour}, name=name, showlegend=bool(name), row=1, col=column
        )
        if key != "train":
            figure.add_hline(y=ours[key], line={"dash": "dot", "color": "#666"}, row=1, col=column)
    figure.update_xaxes(type="log", title_text="training steps of the discriminator", dtick=1)
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(margin={"l": 50, "r": 20, "t": 40, "b": 60}, legend={"orientation": "h", "y": -0.2})
    save(figure, "maturity", 1100, 420)


def weights(about: dict) -> None:
    figure = go.Figure()
    for (name, setting), colour in zip(about.items(), ("#0072b2", "#d55e00"), strict=False):
        for found in setting["weights"]:
            shares = [100 * x for x in found["below_0.01"]]
            figure.add_scatter(x=found["sigma"], y=shares, mode="lines+markers", name=f"{name}, {found['references']} references")
            figure.data[-1].line.color = colour
    figure.update_xaxes(type="log", title_text="noise level sigma", dtick=1)
    figure.update_yaxes(title_text="biased images with a weight below 0.01, %", rangemode="tozero")
    figure.update_layout(margin={"l": 70, "r": 20, "t": 20, "b": 60}, legend={"x": 0.5, "y": 0.95})
    save(figure, "weights_noise", 760, 420)


def summary() -> str:
    """TIW-DSM against the reference alone on every draw of the demo that both had a minute for."""
    of = {method: {} for method in COLOURS}
    for row in at_their_rates(read_rows()):
        cell = row["cell"]
        if cell["minutes"] == 1:
            of[cell["method"]][cell["references"], cell["seed"]] = row
    own, alone = of["tiw-dsm"], of["dsm-ref"]
    return versus.table([(key[0], own[key], alone[key]) for key in sorted(own.keys() & alone.keys())])


def main() -> None:
    def read(name: str) -> dict | None:
        path = RESULTS / name
        return json.loads(path.read_text()) if path.is_file() else None

    rows = read_rows()
    about = read("quality_settings.json")
    references(rows, about)
    if len({r["cell"]["minutes"] for r in rows if r["cell"]["method"] == "dsm-ref" and r["cell"]["setting"] == "demo"}) > 1:
        minutes(rows, about)
    weights(about)
    for name, draw in (("sampler", sampler), ("maturity", maturity)):
        if (found := read(f"{name}.json")) is not None:
            draw(found)


if __name__ == "__main__":
    main()
