"""The fifteen fields of a report that an auditor can hand on, filled from the results of an audit, a debiasing and a comparison.

What only the user knows comes from a small TOML file; where it is empty, the report says that it is not stated.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..errors import UserInputError
from ..intervals import Estimate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NOT_STATED = "Not stated."
ABOUT = {  # what the TOML file may say, and the question that it answers
    "purpose": "What the model is for",
    "intended_use": "Intended use",
    "out_of_scope": "Out of scope",
    "auditor": "Who audited",
    "independence": "How independent the auditor is",
    "origin": "Where the images come from",
    "licence": "Licence of the images",
    "consent": "Consent of the people shown",
    "preparation": "How the images were prepared",
    "reference_chosen_by": "Who chose the reference set",
    "reference_reason": "Why it is the target",
    "reference_gaps": "What the reference set lacks",
    "groups_note": "How the groups are defined",
    "alternatives": "Alternatives that were tried",
    "reliance": "Who may rely on this report, and for what",
    "next_audit": "When to audit again",
}
GLOSSARY = (
    ("AUC", "How often a classifier ranks an image of one set above an image of the other. 0.5 is guessing, 1 is never wrong."),
    ("Corrected share", "A share after the known errors of the classifier that counted it have been taken out."),
    ("Discrepancy", "Distance between the shares of the samples and the target, over all combinations of the attributes. 0 is equal."),
    ("Floor", "What the same measure shows where nothing is left to find."),
    ("Interval", "95 % of such intervals hold the true value."),
    ("Reference set", "The small set of images that stands for the distribution that is wanted."),
)


@dataclass(frozen=True)
class Table:
    """One table of a report: its head and its rows, as text."""

    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class ReportField:
    """One of the fifteen."""

    number: int
    title: str
    texts: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)  # each explained in itself
    table: Table | None = None


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


def read_about(path: str | Path) -> dict[str, str]:
    """What the TOML file says. Raises UserInputError for a file that cannot be read, and for a key that no field has."""
    try:
        raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserInputError("about", f"{path} cannot be read ({error})", "give a TOML file, one KEY = 'text' a line") from error
    if unknown := [key for key in raw if key not in ABOUT]:
        raise UserInputError("about", f"{path} has the key {unknown[0]!r}", f"known are {', '.join(ABOUT)}")
    return {key: str(value) for key, value in raw.items()}


def findings(results: dict[str, dict], about: dict[str, str], versions: dict[str, str], commands: list[str]) -> Findings:
    """From result.json of `audit`, `debias` and `compare`, as far as they are there."""
    audit, debias, compare = (results.get(kind) or {} for kind in ("audit", "debias", "compare"))

    def said(*keys: str) -> list[str]:
        return [f"{ABOUT[key]}. {about.get(key) or NOT_STATED}" for key in keys]

    shares, differences = _shares(compare), _differences(compare)
    spot_texts, spot_flags = _spot_check(compare)
    left = [row for row in compare.get("differences", []) if row["from"] == "target" and row["seen"]]
    residual = compare.get("residual")
    verdict = _verdict(compare, left, audit)
    fields_ = [
        ReportField(1, "Purpose and use", said("purpose", "intended_use", "out_of_scope")),
        ReportField(2, "Who audited", said("auditor", "independence")),
        ReportField(3, "Origin, licence and consent of the images", said("origin", "licence", "consent")),
        ReportField(4, "Preparation", said("preparation"), [p["sentence"] for p in audit.get("problems", [])], _sets(audit, compare)),
        ReportField(5, "The reference set", [*said("reference_chosen_by", "reference_reason", "reference_gaps"), REFERENCE]),
        ReportField(6, "Groups", [*said("groups_note"), *_groups(compare)], list(compare.get("not_measurable", {}).values())),
        ReportField(
            7, "The measuring instrument", [*_instrument(compare), *spot_texts], [*_transfer(compare), *spot_flags], _confusion(compare)
        ),
        ReportField(8, "Design", _design(audit, debias, compare)),
        ReportField(9, "Shares and differences", [RAW, *differences["words"]], differences["flags"], shares),
        ReportField(10, "What a test without labels still sees", *_residual(residual)),
        ReportField(11, "Quality and copying", *_quality(compare)),
        ReportField(12, "Crossings and unnamed groups", *_crossings(compare, audit)),
        ReportField(13, "Measures taken", [*_measures(debias), *said("alternatives")]),
        ReportField(
            14, "Limits", [*LIMITS, *compare.get("notes", []), *said("next_audit")], [s["sentence"] for s in audit.get("camera", [])]
        ),
        ReportField(15, "Reproduction", commands, [], _versions(versions)),
    ]
    return Findings(_finding(compare, audit), verdict, about.get("reliance") or RELIANCE, _next(left, residual, compare), fields_)


REFERENCE = "Everything here is measured against this set. Whether it is the right target is not something a measurement can say."
RAW = (
    "Raw shares are counted by the classifier, with Wilson’s interval. Corrected shares take out its known errors; their intervals hold "
    "for all values of an attribute at once. Shares are what the classifier perceives, not what people are or say of themselves."
)
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
            f"The distance of the shares of {found['of']} from the target went from {before} to {after}, "
            f"counted on {compare['n']:,} samples of each model and {how}."
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
    steps = [f"Look at {row['attribute']}, {row['value']}: {row['words']}" for row in sorted(left, key=_size)[:3]]
    if compare.get("not_measurable"):
        steps.append("Label more images of the rare values, so that their shares can be corrected.")
    if (compare.get("spot_check") or {}).get("disagrees"):
        steps.append("Rely on the labels of the spot check where they disagree with the corrected shares, and label more samples.")
    elif any(not t["fits"] for t in compare.get("transfer", [])) and not compare.get("spot_check"):
        steps.append("Label 100 to 300 samples in the spot check, since the classifier treats generated images in another way.")
    if residual and residual["verdict"] == "cannot tell at this n":
        steps.append("Sample more images, or give more references, to decide what the test without labels cannot tell yet.")
    return steps or ["Audit again when the model, its data or its use changes."]


def _size(row: dict) -> float:
    return -abs((row["corrected"] or row["raw"])["value"])


def _percent(share: float, interval: list[float] | None) -> str:
    return Estimate(share, tuple(interval)).percent(1) if interval else f"{100 * share:.1f} % (exact)"


def _shares(compare: dict) -> Table | None:
    """Worst first: by the distance of the debiased samples' share from the target's."""
    if not compare.get("shares"):
        return None
    cells = {(s["attribute"], s["value"], s["set"]): s for s in compare["shares"]}
    checked = compare.get("spot_check") or {}
    spot = {(row["attribute"], row["value"]): row for row in checked.get("shares", [])}
    order = sorted((row for row in compare["differences"] if row["from"] == "target"), key=_size)
    rows = []
    for row in order:
        key = (row["attribute"], row["value"])
        for set_ in ("baseline", "debiased", "reference"):
            s = cells[key[0], key[1], set_]
            by_hand = spot.get(key) if set_ == "debiased" else None
            fixed = s["corrected"] and _percent(s["corrected"]["share"], s["corrected"]["simultaneous"])
            rows.append([*key, set_, _percent(s["share"], s["interval"]), fixed or "not measurable", f"{s['n']:,}"])
            if spot:
                rows[-1].append(f"{_percent(by_hand['share'], by_hand['interval'])}, n {checked['n']:,}" if by_hand else "")
    return Table(["Attribute", "Value", "Set", "Raw", "Corrected", "n", *(["Spot check, by a person"] if spot else [])], rows)


def _differences(compare: dict) -> dict[str, list[str]]:
    words, flags = [], []
    for row in sorted(compare.get("differences", []), key=_size):
        p = f"p = {row['p_holm']:.2g} after Holm’s correction"
        sentence = f"{row['attribute']}, {row['value']}: {row['words']}"
        if row["from"] == "target" and row["seen"]:
            flags.append(f"{sentence} The debiased samples still differ from the target here ({p}).")
        elif " x " not in row["attribute"]:
            words.append(f"{sentence} ({p})")
    return {"words": words, "flags": flags}


def _camera(audit: dict) -> list[str]:
    return [found["sentence"] for found in audit.get("camera", [])]


def _sets(audit: dict, compare: dict) -> Table | None:
    sets = {name: audit.get(name) or compare.get("sets", {}).get(name) for name in ("biased", "reference", "heldout")}
    rows = [
        [role, s["name"], f"{s['n']:,}", f"{s['fingerprint']['resolution']} px", s["fingerprint"]["sha256"][:16]]
        for role, s in sets.items()
        if s
    ]
    return Table(["Set", "Name", "Images", "Size", "Fingerprint (SHA-256, beginning)"], rows) if rows else None


def _groups(compare: dict) -> list[str]:
    classifier = compare.get("classifier")
    if not classifier:
        return ["No attribute was counted."]
    listed = "; ".join(f"{a['attribute']} with the values {', '.join(a['values'])}" for a in classifier["attributes"])
    return [f"Counted are {listed}. Each is as perceived by the classifier of field 7."]


def _instrument(compare: dict) -> list[str]:
    classifier = compare.get("classifier")
    if not classifier:
        return ["None."]
    texts = [f"The classifier is {classifier['name']}. Licence: {classifier['licence']}."]
    for a in classifier["attributes"]:
        right = a["accuracy"] and f"right in {Estimate.of(a['accuracy']).percent(1)} of {a['n']:,} labelled images it was not trained on"
        texts.append(f"For {a['attribute']} it is {right or 'of unknown accuracy, since its errors were not counted'}.")
    return texts


def _transfer(compare: dict) -> list[str]:
    return [t["sentence"] for t in compare.get("transfer", []) if not t["fits"]]


def _spot_check(compare: dict) -> tuple[list[str], list[str]]:
    """(texts, flags) of the samples that a person labelled."""
    found = compare.get("spot_check")
    if not found:
        return ["No spot check was made: nobody has looked whether the classifier’s errors hold for the samples."] if compare.get(
            "shares"
        ) else [], []
    unsure = f" {found['unsure']:,} more could not be told and are left out." if found["unsure"] else ""
    about = f"Spot check: a person labelled {found['n']:,} debiased samples, drawn in strata of what the classifier calls them.{unsure}"
    return ([about], found["sentences"]) if found["disagrees"] else ([about, *found["sentences"]], [])


def _confusion(compare: dict) -> Table | None:
    rows = []
    for a in (compare.get("classifier") or {}).get("attributes", []):
        for value, counts in zip(a["values"], a["counts"] or [], strict=False):
            rows.append(
                [a["attribute"], f"called {value}", ", ".join(f"{n:,} truly {v}" for v, n in zip(a["values"], counts, strict=True))]
            )
    return Table(["Attribute", "Prediction", "Labelled images"], rows) if rows else None


def _design(audit: dict, debias: dict, compare: dict) -> list[str]:
    texts = []
    if "biased" in audit:
        texts.append(f"The audit scored {audit['biased']['scored']:,} biased images against {audit['reference']['n']:,} references.")
    if compare:
        reference = (compare.get("sets") or {}).get("reference")
        against = f" and {reference['n']:,} references" if reference else ""
        texts.append(f"The comparison has {compare['n']:,} samples of each model from the same seeds{against}.")
        smallest = {row["from"]: row["smallest"] for row in compare.get("differences", [])}
        texts += [f"Against the {name} it shows a difference of {100 * s:.0f} points in 80 % of cases." for name, s in smallest.items()]
        if compare.get("residual"):
            texts.append(f"The margin of the test without labels was set to an AUC of {compare['residual']['margin']:g} before.")
    return texts or [NOT_STATED]


def _residual(residual: dict | None) -> tuple[list[str], list[str], Table | None]:
    if not residual:
        return ["The test was not made."], [], None
    names = (
        ("baseline", "Baseline samples against the reference (must be seen)"),
        ("debiased", "Debiased samples against the reference"),
        ("floor", "Baseline samples against biased images (what painting leaves)"),
        ("halves", "Two halves of the reference (must not be seen)"),
    )
    rows = [
        [title, Estimate.of(s, "auc").text("{:.3f}"), f"{s['p']:.3g}", f"{s['n'][0]:,} and {s['n'][1]:,}"]
        for key, title in names
        if (s := residual[key])
    ]
    by = Estimate.of(residual["nearer"]).text("{:+.3f}")
    nearer = f"The debiased samples’ AUC lies below the baseline’s by {by} (p = {residual['nearer_p']:.3g})."
    flags = []
    if not residual["controls"]["baseline_seen"]:
        flags.append("The control failed that must be seen. The test has no power here, and its verdict says nothing.")
    if not residual["controls"]["halves_not_seen"]:
        flags.append("The control failed that must not be seen. The test raises false alarms on this reference, so read it with care.")
    return [residual["sentence"], nearer], flags, Table(["What is compared", "AUC", "p", "n"], rows)


def _quality(compare: dict) -> tuple[list[str], list[str], Table | None]:
    kernel, frechet = compare.get("kernel_distance"), compare.get("frechet_distance")
    if not kernel or not frechet:
        return ["Not measured."], [], None
    rows = []
    for name, found in (("Kernel distance", kernel), ("Frechet distance", frechet)):
        for set_ in ("baseline", "baseline_resampled", "debiased", "floor"):
            if set_ in found:
                rows.append([name, set_.replace("_", " "), Estimate.of(found[set_]).text("{:.3g}")])
    for set_, found in (compare.get("neighbours") or {}).items():
        rows += [[measure.capitalize(), set_, f"{found[measure]:.2f}"] for measure in ("precision", "recall", "coverage")]
    for group in compare.get("groups", []):
        for set_ in ("baseline", "debiased"):
            if group[set_]:
                rows.append([f"Kernel distance, only {group['group']} (n {group['n']:,})", set_, Estimate.of(group[set_]).text("{:.3g}")])
            else:
                rows.append([f"Kernel distance, only {group['group']}", set_, f"too few ({group['counts'].get(set_, 0):,} samples)"])
    flags = []
    for set_, found in (compare.get("closer_to_reference") or {}).items():
        rows.append(["Nearer to a reference than to a held-out image", set_, Estimate.of(found).percent()])
        if found["interval"][0] > 0.5:
            flags.append(
                f"The {set_} model’s samples lie nearer to references than to other images of their kind. It may copy some of them."
            )
    return [f"n = {kernel['n']:,} on both sides. Encoder: {kernel['encoder']}."], flags, Table(["Measure", "Of", "Value"], rows)


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
    closed = f" It closed {Estimate.of(gap).percent()} of the gap, judged without labels." if gap else ""
    strength = f" at strength {debias['strength']:.2f}" if debias.get("strength") is not None else ""
    return [f"The model was fine-tuned with {debias['objective']}{strength} for {debias['steps']:,} steps.{closed}"]


def _versions(versions: dict[str, str]) -> Table:
    return Table(["Part", "Version"], [[name, version] for name, version in versions.items()])
