"""The fifteen fields of a report that an auditor can hand on, filled from the results of an audit, a debiasing and a comparison.

What only the user knows comes from `about`; where that is empty, the report says that it is not stated.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date

from ..intervals import Estimate
from ..sentences import too_far
from . import comparison_fields as of_comparison
from .about import ABOUT, NOT_STATED
from .comparison_fields import ReportField, Table

GLOSSARY = (
    ("AUC", "How often a classifier ranks an image of one set above an image of the other. 0.5 is guessing, 1 is never wrong."),
    ("Corrected share", "A share after the known errors of the classifier that counted it have been taken out."),
    ("Discrepancy", "Distance between the shares of the samples and the target, over all combinations of the attributes. 0 is equal."),
    ("Floor", "What the same measure shows where nothing is left to find."),
    ("Interval", "95 % of such intervals hold the true value."),
    ("Reference set", "The small set of images drawn from the distribution that is wanted."),
)


@dataclass(frozen=True)
class Findings:
    """The front page and the fifteen fields."""

    finding: str
    verdict: str
    reliance: str
    next_steps: list[str]
    fields: list[ReportField]

    def to_json(self) -> dict:
        return asdict(self)


def findings(results: dict[str, dict], about: dict[str, str], versions: dict[str, str], commands: list[str], machine: str = "") -> Findings:
    """From result.json of `audit`, `debias` and `compare`, as far as they are there; versions and machine are those of the report."""
    audit, debias, compare = (results.get(kind) or {} for kind in ("audit", "debias", "compare"))
    compare = of_comparison.as_perceived(compare)

    def said(*keys: str) -> list[str]:
        return [f"{ABOUT[key]}. {about.get(key) or NOT_STATED}" for key in keys]

    shares, differences = of_comparison.shares(compare), of_comparison.differences(compare)
    spot_texts, spot_flags = of_comparison.spot_check(compare)
    left = [row for row in compare.get("differences", []) if row["from"] == "target" and row["seen"]]
    residual = compare.get("residual")
    verdict = _verdict(compare, left, audit)
    fields_ = [
        ReportField(1, "Purpose and use", said("purpose", "intended_use", "out_of_scope")),
        ReportField(2, "Who audited, and when", [*said("auditor", "independence"), f"This report was made on {date.today().isoformat()}."]),
        ReportField(3, "Origin, licence and consent of the images", said("origin", "licence", "consent")),
        ReportField(4, "Preparation", said("preparation"), [p["sentence"] for p in audit.get("problems", [])], _sets(audit, compare)),
        ReportField(5, "The reference set", [*said("reference_chosen_by", "reference_reason", "reference_gaps"), REFERENCE]),
        ReportField(6, "Groups", [*said("groups_note"), *of_comparison.groups(compare)], list(compare.get("not_measurable", {}).values())),
        ReportField(
            7,
            "The measuring instrument",
            [*of_comparison.instrument(compare), *spot_texts],
            [*of_comparison.transfer(compare), *spot_flags],
            of_comparison.confusion(compare),
        ),
        ReportField(8, "Design", _design(audit, debias, compare)),
        ReportField(
            9, "Shares and differences", [of_comparison.RAW, *_distances(compare), *differences["words"]], differences["flags"], shares
        ),
        ReportField(10, "What a test without labels still sees", *of_comparison.residual(residual)),
        ReportField(11, "Quality and copying", *of_comparison.quality(compare)),
        ReportField(12, "Crossings and unnamed groups", *_crossings(compare, audit)),
        ReportField(13, "Measures taken", [*_measures(debias), *said("alternatives")], [], _lineup(compare)),
        ReportField(
            14, "Limits", [*LIMITS, *compare.get("notes", []), *said("next_audit")], [s["sentence"] for s in audit.get("camera", [])]
        ),
        ReportField(15, "Reproduction", [*commands, *_made_on(results, machine)], [], _versions(versions, results)),
    ]
    return Findings(_finding(compare, audit), verdict, about.get("reliance") or RELIANCE, _next(left, residual, compare), fields_)


REFERENCE = "Everything here is measured against this set. Whether it is the right target is not something a measurement can say."
RELIANCE = "Whoever uses this model with this reference set, for these attributes and at these numbers of images. Nothing beyond them."
LIMITS = [
    "Only attributes with labels or a classifier were measured. Others can be skewed.",
    "A corrected share holds if the classifier errs on generated images as it does on labelled ones. Measured shifts depend on where its "
    "boundary lies.",
    "A difference that is not seen is not shown to be absent. The size that would have been seen stands beside it.",
    "Another model, reference set, sampler or use voids the result, and so does further training.",
]


def _finding(compare: dict, audit: dict) -> str:
    corrected = compare.get("fairness_discrepancy_corrected")
    found = corrected or compare.get("fairness_discrepancy")
    if found:
        before, after = (Estimate.of(found[name]).text("{:.3f}") for name in ("baseline", "debiased"))
        how = "corrected for the classifier’s errors" if corrected else "not corrected for the classifier’s errors"
        return (
            f"The distance of the shares of {found['of']} from the target, as the classifier perceives them, went from {before} to "
            f"{after}, counted on {compare['n']:,} samples of each model and {how}."
        )
    if compare:
        return f"No attribute was counted. Quality and a test without labels were measured on {compare['n']:,} samples of each model."
    return (audit.get("verdict") or {}).get("sentence", "Nothing was measured.")


def _verdict(compare: dict, left: list[dict], audit: dict) -> str:
    if not compare:
        return (audit.get("verdict") or {}).get("sentence", "")
    parts = []
    if compare.get("shares"):
        tested = len([row for row in compare["differences"] if row["from"] == "target"])
        parts.append(f"{len(left)} of {tested} shares still differ from the target.")
    residual = compare.get("residual")
    parts.append(f"Test without labels: {residual['verdict']}." if residual else "The test without labels was not made.")
    return " ".join(parts)


def _next(left: list[dict], residual: dict | None, compare: dict) -> list[str]:
    steps = [f"Look at {row['attribute']}, {row['value']}: {row['words']}" for row in sorted(left, key=of_comparison.by_size)[:3]]
    if compare.get("not_measurable"):
        steps.append("Label more images of the rare values, so that their shares can be corrected.")
    if (compare.get("spot_check") or {}).get("disagrees"):
        steps.append("Rely on the labels of the spot check where they disagree with the corrected shares, and label more samples.")
    elif any(not t["fits"] for t in compare.get("transfer", [])) and not compare.get("spot_check"):
        steps.append("Label 100 to 300 samples in the spot check, since the classifier treats generated images in another way.")
    if residual and residual["verdict"] == "cannot tell at this n":
        steps.append("Sample more images, or give more references, to decide what the test without labels cannot tell yet.")
    return steps or ["Audit again when the model, its data or its use changes."]


def _sets(audit: dict, compare: dict) -> Table | None:
    sets = {name: audit.get(name) or compare.get("sets", {}).get(name) for name in ("biased", "reference", "heldout")}
    rows = [
        [role, s["name"], f"{s['n']:,}", f"{s['fingerprint']['resolution']} px", s["fingerprint"]["sha256"][:16]]
        for role, s in sets.items()
        if s
    ]
    return Table(["Set", "Name", "Images", "Size", "Fingerprint (SHA-256, beginning)"], rows) if rows else None


def _design(audit: dict, debias: dict, compare: dict) -> list[str]:
    texts = []
    if "biased" in audit:
        texts.append(f"The audit scored {audit['biased']['scored']:,} biased images against {audit['reference']['n']:,} references.")
    if compare:
        reference = (compare.get("sets") or {}).get("reference")
        against = f" and {reference['n']:,} references" if reference else ""
        texts.append(f"The comparison has {compare['n']:,} samples of each model from the same seeds{against}.")
        smallest = {row["from"]: row["smallest"] for row in compare.get("differences", [])}
        if "solver" in (used := compare.get("used") or {}):
            last = used["seed"] + compare["n"] - 1
            texts.append(f"Seeds {used['seed']:,} to {last:,}, sampler {used['solver']} with {used['sampling_steps']} steps.")
        texts += [f"Against the {name} it shows a difference of {100 * s:.0f} points in 80 % of cases." for name, s in smallest.items()]
        if compare.get("residual"):
            texts.append(f"The margin of the test without labels was set to an AUC of {compare['residual']['margin']:g} before.")
    return texts or [NOT_STATED]


def _distances(compare: dict) -> list[str]:
    """The discrepancy, raw and corrected, with its floor; total variation."""
    texts = []
    for key, how in (("fairness_discrepancy_corrected", "corrected"), ("fairness_discrepancy", "raw")):
        if found := compare.get(key):
            before, after = (Estimate.of(found[name]).text("{:.3f}") for name in ("baseline", "debiased"))
            floor = (
                f" As many images of the target itself would give {Estimate.of(found['floor']).text('{:.3f}')}." if "floor" in found else ""
            )
            texts.append(f"Discrepancy of {found['of']}, {how}: baseline {before}, debiased {after}.{floor}")
    if found := compare.get("total_variation"):
        before, after = (Estimate.of(found[name]).text("{:.3f}") for name in ("baseline", "debiased"))
        texts.append(f"Total variation, raw: baseline {before}, debiased {after}.")
    return texts


def _crossings(compare: dict, audit: dict) -> tuple[list[str], list[str], Table | None]:
    small = [s for s in compare.get("shares", []) if s.get("small")]
    flags = [f"Only {s['count']} {s['set']} images are {s['value']} ({s['attribute']}). Their share is hardly known." for s in small]
    crossed = [name for name in {s["attribute"] for s in compare.get("shares", [])} if " x " in name]
    texts = [f"Crossings counted in field 9: {', '.join(sorted(crossed))}."] if crossed else ["No crossing was counted."]
    if audit.get("groups"):
        texts.append(
            f"The audit found {len(audit['groups'])} unnamed groups of images that look much the same. They are in its own report."
        )
    return texts, flags, None


def _measures(debias: dict) -> list[str]:
    if not debias:
        return ["Nothing was changed in the model by this tool."]
    gap = debias.get("gap_closed")
    closed = f" It closed {Estimate.of(gap).percent()} of the gap, judged without labels. {too_far(gap)}".rstrip() if gap else ""
    strength = f" at strength {debias['strength']:.2f}" if debias.get("strength") is not None else ""
    return [f"The model was fine-tuned with {debias['objective']}{strength} for {debias['steps']:,} steps.{closed}"]


def _lineup(compare: dict) -> Table | None:
    """Every model of the comparison where there are more than two, nearest to the target first."""
    models = compare.get("models") or []
    if len(models) < 3:
        return None
    order = sorted(models, key=lambda m: (m["discrepancy"] or m["kernel_distance"])["value"])
    rows = [
        [
            m["title"],
            Estimate.of(m["discrepancy"]).text("{:.3f}") + ("" if m["corrected"] else " (raw)") if m["discrepancy"] else "not counted",
            Estimate.of(m["kernel_distance"]).text("{:.3g}"),
        ]
        for m in order
    ]
    return Table(["Model", "Discrepancy", "Kernel distance"], rows)


def _made_on(results: dict[str, dict], machine: str) -> list[str]:
    """The machine of each run, and the fingerprints of the weights."""
    texts = [f"The {kind} run was computed on {result['machine']}." for kind, result in results.items() if result.get("machine")]
    weights = (results.get("compare") or {}).get("weights") or {}
    texts += [f"Weights of the {name} model: SHA-256 {found}." for name, found in weights.items()]
    return texts + ([f"The report was made on {machine}."] if machine else [])


def _versions(versions: dict[str, str], results: dict[str, dict]) -> Table:
    """Of the report, and of each run where they were others."""
    kinds = [kind for kind, result in results.items() if result.get("versions") not in (None, versions)]
    rows = [[name, version, *(results[kind]["versions"].get(name, "") for kind in kinds)] for name, version in versions.items()]
    return Table(["Part", "Version", *(f"At the time of {kind}" for kind in kinds)], rows)
