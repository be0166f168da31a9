"""One HTML file to hand on: the audit's findings, with its pictures inside, and the page that every report is made of."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from html import escape
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, Template

from .. import __version__
from ..data import ImageSet
from ..intervals import Estimate
from ..pictures import contact_sheet
from ..sentences import auc_sentence, worth_sentence


@dataclass(frozen=True)
class Picture:
    """An image of a report, inside the file."""

    source: str  # data address
    alt: str
    caption: str
    columns: int = 12  # images a row
    files: tuple[str, ...] = ()  # of its images, in their order


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram, in the drawing's units."""

    name: str  # biased, reference
    left: float
    width: float
    height: float


@dataclass(frozen=True)
class Chart:
    """A drawing 100 wide and 60 high, its origin at the top left."""

    caption: str
    alt: str  # what it shows, in words and numbers
    ends: tuple[str, str]  # of the axis
    bars: list[Bar] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)
    lines: list[tuple[float, float, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    """A heading with what stands below it."""

    heading: str = ""
    texts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


@cache
def _template() -> Template:
    # Names of sets and labels are the user's: everything is escaped.
    return Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True).get_template("report.html")


def with_about(report: str, name: str, note: str) -> str:
    """The report with the name and note that its run has now below the heading, in place of earlier ones."""
    report = re.sub(r'<p id="about">.*?</p>\n', "", report, flags=re.DOTALL)
    if not (name or note):
        return report
    said = "<br>".join(filter(None, (f"<b>{escape(name)}</b>" if name else "", escape(note))))
    head, end, rest = report.partition("</h1>\n")
    return f'{head}{end}<p id="about">{said}</p>\n{rest}'


def audit_html(result: dict, biased: ImageSet, reference: ImageSet) -> str:
    """An audit's result.json with its most telling images, as one page."""
    verdict, levels = result["verdict"], result["levels"]
    warnings = [found["sentence"] for found in (*result["problems"], *result["camera"])]
    camera = [
        _picture(found["examples"], biased, reference, f"Most typical in {found['name']}: four of the large set, four of the reference set")
        for found in result["camera"]
    ]
    unlike = [
        _picture([len(biased) + row for row in found["examples"]], biased, reference, "Reference images unlike any biased image")
        for found in result["problems"]
        if found["kind"] == "unlike"
    ]
    sets = [
        [
            CALLED[role],
            s["name"],
            f"{s['n']:,}",
            f"{s.get('scored', s['n']):,}",
            f"{s['fingerprint']['resolution']} px",
            s["fingerprint"]["sha256"],
        ]
        for role, s in (("biased", result["biased"]), ("reference", result["reference"]))
    ]
    tried = ", ".join(f"{name} {value:.4f}" for name, value in result["cross_entropy"].items())
    how = f"Estimator: {result['estimator']}, cross-fitted; held-out cross-entropy of {tried} (a coin has 0.6931)."
    shares = [
        [s["attribute"], s["value"], CALLED[s["set"]], Estimate.of(s, "share").percent(1), f"{s['n']:,.0f}"] for s in result["shares"]
    ]
    pictures = [
        _picture(result["over_represented"], biased, reference, "Over-represented in the large set, most first"),
        _picture(result["under_represented"], biased, reference, "Under-represented in the large set, most first"),
    ]
    groups = [_picture(items, biased, reference, f"Group {k}") for k, items in enumerate(result["groups"] or [], 1)]
    finding = result["finding"]
    return page(
        "Audit: " + (verdict if finding is None else finding)["sentence"],
        _finding(finding, biased, reference) if finding else None,
        Block("Can this be trusted?", [verdict["sentence"], *in_words(result), *verdict["reasons"]]),
        Block(texts=[MENDED] if camera else [], warnings=warnings, pictures=[*unlike, *camera]) if warnings else None,
        Block(
            "What was compared", [how], head=["Set", "Name", "Images", "Scored", "Size", "Fingerprint (SHA-256 of the pixels)"], rows=sets
        ),
        _left_out(result),
        Block("Shares, and what the weights make of them", head=["Attribute", "Value", "Set", "Share", "n"], rows=shares)
        if shares
        else None,
        Block("Groups of similar images, numbered, not named", pictures=groups) if groups else None,
        Block("The most telling images", pictures=pictures),
        Block(
            "Density ratio, level by level",
            [
                "Log density ratio of every scored image, held out. Orange: large set. Blue: reference set. Left of the dashed line (0) "
                "lies what the large set shows too often."
            ],
            charts=_histograms(levels),
        ),
        Block(
            "Calibration, level by level",
            ["Of images with this predicted chance of being a reference image (across), the share that is one (up), classes balanced."],
            charts=[_reliability(level) for level in levels],
        ),
        Block(
            "Diagnostics, held out",
            [DIAGNOSTICS],
            head=list(COLUMNS),
            rows=[[show(level) for show in COLUMNS.values()] for level in levels],
        ),
    )


def _left_out(result: dict) -> Block | None:
    """What of both sets was not used, and what was converted, file by file."""
    roles = ("biased", "reference")
    rows = [[CALLED[role], said] for role in roles for said in (*result[role].get("notes", []), *result[role].get("left_out", []))]
    counted = ", ".join(f"{len(result[role].get('left_out', [])):,} of the {CALLED[role].lower()}" for role in roles)
    return (
        Block("What was left out or converted", [f"Files left out: {counted}."], head=["Set", "File or note"], rows=rows) if rows else None
    )


def _finding(finding: dict, biased: ImageSet, reference: ImageSet) -> Block:
    """What differs, worst first, with images of either set that show it."""
    found = [*finding["too_rare"], *finding["too_frequent"], *finding["crossings"]]
    rows = [
        [
            f"{d['attribute']} {d['value']}",
            f"too {d['too']}",
            *(f"{Estimate.of(d[role], 'share').percent(1)}, n = {d[role]['n']:,}" for role in ("biased", "reference")),
            _points(d["difference"]),
            _factor(d["factor"]),
            f"{d['p']:.2g}",
        ]
        for d in found
    ]
    pictures = [
        _picture(
            d[f"examples_{role}"], biased, reference, f"{d['attribute']} {d['value']}, too {d['too']}: images of the {CALLED[role].lower()}"
        )
        for d in (*finding["too_rare"][:SHOWN], *finding["too_frequent"][:SHOWN])
        for role in ("biased", "reference")
        if d[f"examples_{role}"]
    ]
    head = ["Value", "In the large set", "Large set", "Reference set", "Difference in points", "Times", "p (Holm)"]
    adjusted = "p-values are adjusted over all labels, and over all pairs of labels."
    about = f"{finding['tested']} values were compared. Intervals are 95 %. {adjusted}"
    return Block("The finding", [about], head=head if rows else [], rows=rows, pictures=pictures)


def _points(difference: dict) -> str:
    return Estimate(100 * difference["value"], tuple(100 * end for end in difference["interval"])).text("{:+.1f}")


def _factor(factor: dict | None) -> str:
    return "none in one set" if factor is None else Estimate(**factor).text("{:.1f}")


def in_words(result: dict) -> list[str]:
    """Of an audit's result: the strongest level's AUC, and what the weights leave of the images from where on the verdict trusts them."""
    levels, scored, start = result["levels"], result["biased"]["scored"], result["verdict"]["reliable_from"]
    strongest = max(levels, key=lambda level: level["auc"]["value"])
    trusted = next((level for level in levels if level["sigma"] == start), None)
    worth = [] if trusted is None else [f"Weighted by the ratio, {worth_sentence(scored, trusted['effective_sample_size']['count'])}"]
    return [auc_sentence(strongest["auc"]["value"]), *worth]


CALLED = {"biased": "Large set", "reference": "Reference set", "reweighted": "Large set, reweighted"}
SHOWN = 3  # values that are shown by their images, too rare and too frequent each
MENDED = (
    "python -m tiw even-out makes copies of both sets. It changes both in the same way, as mildly as will do, until the camera check no "
    "longer names how the images were made, or it says what is left. Audit those."
)
DIAGNOSTICS = (
    "For the true ratio the means of r and of 1/r are 1. The gap closed by weighting is how far the weights r move the mean features of "
    "the large set towards the reference’s. A ratio learnt from few references stops short, which the strength makes up for."
)
COLUMNS: dict[str, Callable[[dict], str]] = {
    "Noise level": lambda level: f"{level['sigma']:.2g}",
    "AUC": lambda level: _number(level["auc"]),
    "Cross-entropy (on what the fit saw)": lambda level: (
        f"{level['cross_entropy']['held_out']:.3f} ({level['cross_entropy']['train']:.3f})"
    ),
    "Calibration error (by chance)": lambda level: f"{level['ece']:.3f} ({level['ece_by_chance']:.3f})",
    "Mean r": lambda level: _number(level["mean_r"]),
    "Mean 1/r": lambda level: _number(level["mean_inverse_r"]),
    "Gap closed by weighting": lambda level: _number(level["gap_closed"]) if level["gap_closed"] else "no difference to close",
    "Effective sample size": lambda level: "{share:.0%} ({count:,.0f})".format(**level["effective_sample_size"]),
    "Largest weight": lambda level: f"{level['largest_weight']:.1f}",
}


def _histograms(levels: list[dict]) -> list[Chart]:
    edges = np.asarray(levels[0]["histogram"]["edges"])
    highest = max(np.max(level["histogram"][name]) for level in levels for name in ("biased", "reference"))
    found = []
    for level in levels:
        middle = {name: _median(edges, np.asarray(level["histogram"][name])) for name in ("biased", "reference")}
        bars = [
            Bar(name, 100 * k / (len(edges) - 1), 100 / (len(edges) - 1), 58 * value / highest)
            for name in middle
            for k, value in enumerate(level["histogram"][name])
        ]
        text = f"Noise level {level['sigma']:.2g}: held-out AUC {_number(level['auc'])}"
        alt = f"{text}. Median log density ratio: large set {middle['biased']:.2f}, reference {middle['reference']:.2f}."
        zero = float(100 * (0 - edges[0]) / (edges[-1] - edges[0]))
        found.append(Chart(text, alt, (f"{edges[0]:.3g}", f"{edges[-1]:.3g}"), bars=bars, lines=[(zero, 0.0, zero, 60.0)]))
    return found


def _median(edges: np.ndarray, density: np.ndarray) -> float:
    below = np.r_[0, np.cumsum(density * np.diff(edges))]
    return float(np.interp(0.5, below, edges))


def _reliability(level: dict) -> Chart:
    points = [(100 * b["predicted"], 60 - 60 * b["observed"]) for b in level["reliability"]]
    text = f"Noise level {level['sigma']:.2g}: calibration error {level['ece']:.3f}"
    pairs = ", ".join(f"{b['observed']:.2f} at {b['predicted']:.2f}" for b in level["reliability"])
    return Chart(text, f"{text}. Observed share at predicted chance: {pairs}.", ("0", "1"), points=points, lines=[(0.0, 60.0, 100.0, 0.0)])


def page(title: str, *blocks: Block | None) -> str:
    """A self-contained HTML page of these blocks; None is left out."""
    return _template().render(
        title=title, version=__version__, today=date.today().isoformat(), blocks=[block for block in blocks if block is not None]
    )


def _picture(items: list[int] | np.ndarray, biased: ImageSet, reference: ImageSet, caption: str) -> Picture:
    """Contact sheet of items: rows of biased followed by reference."""
    n = len(biased)
    images = np.stack([biased.images[i] if i < n else reference.images[i - n] for i in items])
    files = tuple(str(biased.sources[i] if i < n else reference.sources[i - n]) for i in items)
    return Picture(source(images, 12), f"{len(images)} images. {caption}", caption, min(12, len(images)), files)


def source(images: np.ndarray, columns: int) -> str:
    """Contact sheet of uint8 [N,H,W,3] as a data address."""
    return "data:image/webp;base64," + base64.b64encode(contact_sheet(images, min(columns, len(images)))).decode()


def _number(found: dict) -> str:
    return Estimate.of(found).text("{:.3g}")
