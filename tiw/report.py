"""One HTML file to hand on: the audit's or the comparison's findings, with its pictures inside."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, Template

from . import __version__
from .data import ImageSet
from .pictures import contact_sheet


@dataclass(frozen=True)
class Picture:
    source: str  # data address
    alt: str
    caption: str


@dataclass(frozen=True)
class Block:
    """A heading with what stands below it."""

    heading: str = ""
    texts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    histograms: list[dict] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


@cache
def _template() -> Template:
    # Names of sets and labels are the user's: everything is escaped.
    return Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True).get_template("report.html")


def audit_html(result: dict, biased: ImageSet, reference: ImageSet) -> str:
    """An audit's result.json with its most telling images, as one page."""
    verdict = result["verdict"]
    about = [
        f"{result['biased']['scored']:,} of the {result['biased']['n']:,} images of “{result['biased']['name']}” against "
        f"{result['reference']['n']:,} of “{result['reference']['name']}”, {result['estimator']} estimator, "
        f"fingerprints {result['biased']['fingerprint']['sha256'][:12]} and {result['reference']['fingerprint']['sha256'][:12]}."
    ]
    warnings = [suspect["sentence"] for suspect in result["camera"]]
    camera = [
        _picture(
            suspect["examples"], biased, reference, f"Most typical in {suspect['name']}: four of the biased set, four of the reference set"
        )
        for suspect in result["camera"]
    ]
    histogram = result["levels"][0]["histogram"]
    edges = np.asarray(histogram["edges"])
    highest = max(np.max(level["histogram"][name]) for level in result["levels"] for name in ("biased", "reference"))
    histograms = [
        {
            **{name: [round(58 * float(v) / highest, 1) for v in level["histogram"][name]] for name in ("biased", "reference")},
            "zero": round(float(4 * (len(edges) - 1) * (0 - edges[0]) / (edges[-1] - edges[0])), 1),
            "caption": f"Noise level {level['sigma']:.2g}: held-out AUC {_estimate(level['auc'])}",
            "alt": f"Log density ratio of both sets at noise level {level['sigma']:.2g}, from {edges[0]:.1f} to {edges[-1]:.1f}",
        }
        for level in result["levels"]
    ]
    shares = [[s["attribute"], s["value"], s["set"], _share(s), f"{s['n']:,.0f}"] for s in result["shares"]]
    diagnostics = [
        [
            f"{level['sigma']:.2g}",
            _estimate(level["auc"]),
            f"{level['cross_entropy']['held_out']:.3f} (train {level['cross_entropy']['train']:.3f})",
            f"{level['ece']:.3f}",
            f"{level['mean_r']['value']:.2f}, {level['mean_inverse_r']['value']:.2f}",
            f"{100 * level['effective_sample_size']['share']:.0f} % ({level['effective_sample_size']['count']:,.0f})",
            f"{level['largest_weight']:.1f}",
        ]
        for level in result["levels"]
    ]
    pictures = [
        _picture(result["over_represented"], biased, reference, "Over-represented in the biased set, most first"),
        _picture(result["under_represented"], biased, reference, "Under-represented in the biased set, most first"),
    ]
    groups = [_picture(items, biased, reference, f"Group {k}") for k, items in enumerate(result["groups"] or [], 1)]
    return _page(
        "Audit: " + verdict["sentence"],
        Block(texts=[*verdict["reasons"], *about], warnings=warnings, pictures=camera),
        Block(
            "Density ratio, level by level",
            ["Orange: biased set. Blue: reference set. Left of the line: too often in the biased set."],
            [],
            histograms,
        ),
        Block("Shares, and what the weights make of them", head=["Attribute", "Value", "Set", "Share", "n"], rows=shares)
        if shares
        else None,
        Block("Groups of alike images, numbered, not named", pictures=groups) if groups else None,
        Block("The most telling images", pictures=pictures),
        Block(
            "Diagnostics, held out",
            head=[
                "Noise level",
                "AUC",
                "Cross-entropy",
                "Calibration error",
                "Mean r, mean 1/r",
                "Effective sample size",
                "Largest weight",
            ],
            rows=diagnostics,
        ),
    )


def compare_html(result: dict, samples: dict[str, np.ndarray]) -> str:
    """A comparison's result.json with pairs of samples (baseline and debiased, uint8 [N,H,W,3]), as one page."""
    shares = [
        [
            s["attribute"],
            s["value"],
            s["set"],
            _share(s) if s["interval"] else f"{100 * s['share']:.1f} %",
            f"{s['n']:,}" if s["n"] else "exact",
        ]
        for s in result["shares"]
    ]
    distances = []
    for name in ("fairness_discrepancy", "frechet_distance"):
        found = result.get(name) or {}
        distances += [
            [name.replace("_", " "), set_.replace("_", " "), _estimate(found[set_])]
            for set_ in ("baseline", "baseline_resampled", "debiased", "floor")
            if set_ in found
        ]
    texts = [f"{result['n']:,} samples of each model, from the same seeds. {result['frechet_distance']['encoder']}."]
    for attribute in (result["classifier"] or {}).get("attributes", []):
        value = attribute["accuracy"]
        right = _share({"share": value["value"], **value})
        texts.append(f"The classifier of “{attribute['attribute']}” is right in {right} of {attribute['n']:,} images.")
    pictures = [
        Picture(_source(samples[name][:24], 12), f"24 samples of the {name} model", f"{name.capitalize()}, seeds in the same places")
        for name in ("baseline", "debiased")
    ]
    return _page(
        "Comparison of the baseline and the debiased model",
        Block(texts=texts),
        Block("Shares", head=["Attribute", "Value", "Set", "Share", "n"], rows=shares) if shares else None,
        Block("Distances", head=["Distance", "Of", "Value"], rows=distances),
        Block("Pairs", pictures=pictures),
    )


def _page(title: str, *blocks: Block | None) -> str:
    return _template().render(title=title, version=__version__, blocks=[block for block in blocks if block is not None])


def _picture(items: list[int] | np.ndarray, biased: ImageSet, reference: ImageSet, caption: str) -> Picture:
    """Contact sheet of items: rows of biased followed by reference."""
    n = len(biased)
    images = np.stack([biased.images[i] if i < n else reference.images[i - n] for i in items])
    return Picture(_source(images, 12), f"{len(images)} images. {caption}", caption)


def _source(images: np.ndarray, columns: int) -> str:
    return "data:image/webp;base64," + base64.b64encode(contact_sheet(images, min(columns, len(images)))).decode()


def _share(share: dict) -> str:
    return f"{100 * share['share']:.1f} % [{100 * share['interval'][0]:.1f}, {100 * share['interval'][1]:.1f}]"


def _estimate(found: dict) -> str:
    return f"{found['value']:.3g} [{found['interval'][0]:.3g}, {found['interval'][1]:.3g}]"
