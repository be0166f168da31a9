"""The fields of a report that a comparison fills: what was counted by which instrument, what is left, and how good the pictures are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..intervals import Estimate

RAW = (
    "Raw shares are counted by the classifier, with Wilson’s interval. Corrected shares take out its known errors; their intervals hold "
    "for all values of an attribute at once. Shares are what the classifier perceives, not what people are or say of themselves."
)
COPIES = (  # of result.json: where copies would show, one image and all
    ("closer_to_reference", "a reference", "references"),
    ("closer_to_training", "a training image", "images that the baseline was trained on"),
)
GENDER = re.compile(r"(?<![^\W_])(gender|sex|male|female)(?![^\W_])", re.IGNORECASE)  # CelebA has a column Male
WITHOUT_LABELS = (  # the rows of that test: keys of result.json["residual"], and what is compared
    ("baseline", "Baseline samples against the reference (must be seen)"),
    ("debiased", "Debiased samples against the reference"),
    ("floor", "Baseline samples against biased images (what painting leaves)"),
    ("halves", "Two halves of the reference (must not be seen)"),
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


def as_perceived(found: object) -> object:
    """A result for people to read: an attribute called gender or sex never stands without saying who perceives it."""
    if isinstance(found, list):
        return [as_perceived(part) for part in found]
    if isinstance(found, dict):
        return {
            key: _named(part) if key in ("attribute", "of") and isinstance(part, str) else as_perceived(part) for key, part in found.items()
        }
    return found


def _named(attribute: str) -> str:
    parts = attribute.split(" x ")
    return " x ".join(
        f"{part} (perceived by the classifier)" if GENDER.search(part) and "perceived" not in part else part for part in parts
    )


def by_size(row: dict) -> float:
    """A key that sorts differences by their size, the largest first."""
    return -abs((row["corrected"] or row["raw"])["value"])


def _percent(share: float, interval: list[float] | None) -> str:
    return Estimate(share, tuple(interval)).percent(1) if interval else f"{100 * share:.1f} % (exact)"


def shares(compare: dict) -> Table | None:
    """Worst first: by the distance of the debiased samples' share from the target's."""
    if not compare.get("shares"):
        return None
    cells = {(s["attribute"], s["value"], s["set"]): s for s in compare["shares"]}
    checked = compare.get("spot_check") or {}
    spot = {(row["attribute"], row["value"]): row for row in checked.get("shares", [])}
    order = sorted((row for row in compare["differences"] if row["from"] == "target"), key=by_size)
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


def differences(compare: dict) -> dict[str, list[str]]:
    """`words`: the differences, largest first. `flags`: those between the debiased samples and the target that are seen."""
    words, flags = [], []
    for row in sorted(compare.get("differences", []), key=by_size):
        p = f"p = {row['p_holm']:.2g} after Holm’s correction"
        sentence = f"{row['attribute']}, {row['value']}: {row['words']}"
        if row["from"] == "target" and row["seen"]:
            flags.append(f"{sentence} The debiased samples still differ from the target here ({p}).")
        elif " x " not in row["attribute"]:
            words.append(f"{sentence} ({p})")
    return {"words": words, "flags": flags}


def groups(compare: dict) -> list[str]:
    """What was counted, and that it is the classifier's view."""
    classifier = compare.get("classifier")
    if not classifier:
        return ["No attribute was counted."]
    listed = "; ".join(f"{a['attribute']} with the values {', '.join(a['values'])}" for a in classifier["attributes"])
    return [f"Counted are {listed}. Each is as perceived by the classifier of field 7."]


def instrument(compare: dict) -> list[str]:
    """The classifier, and how often it is right."""
    classifier = compare.get("classifier")
    if not classifier:
        return ["None."]
    texts = [f"The classifier is {classifier['name']}. Licence: {classifier['licence']}."]
    for a in classifier["attributes"]:
        right = a["accuracy"] and f"right in {Estimate.of(a['accuracy']).percent(1)} of {a['n']:,} labelled images it was not trained on"
        texts.append(f"For {a['attribute']} it is {right or 'of unknown accuracy, since its errors were not counted'}.")
    return texts


def transfer(compare: dict) -> list[str]:
    """Where its errors on labelled images do not hold for samples."""
    return [t["sentence"] for t in compare.get("transfer", []) if not t["fits"]]


def spot_check(compare: dict) -> tuple[list[str], list[str]]:
    """(texts, flags) of the samples that a person labelled."""
    found = compare.get("spot_check")
    if not found:
        return ["No spot check was made: nobody has looked whether the classifier’s errors hold for the samples."] if compare.get(
            "shares"
        ) else [], []
    unsure = f" {found['unsure']:,} more could not be told and are left out." if found["unsure"] else ""
    about = f"Spot check: a person labelled {found['n']:,} debiased samples, drawn in strata of what the classifier calls them.{unsure}"
    return ([about], found["sentences"]) if found["disagrees"] else ([about, *found["sentences"]], [])


def confusion(compare: dict) -> Table | None:
    """Its counts: what it calls each labelled image, and what that is."""
    rows = []
    for a in (compare.get("classifier") or {}).get("attributes", []):
        for value, counts in zip(a["values"], a["counts"] or [], strict=False):
            rows.append(
                [a["attribute"], f"called {value}", ", ".join(f"{n:,} truly {v}" for v, n in zip(a["values"], counts, strict=True))]
            )
    return Table(["Attribute", "Prediction", "Labelled images"], rows) if rows else None


def residual(residual: dict | None) -> tuple[list[str], list[str], Table | None]:
    """(texts, flags, table) of the test without labels."""
    if not residual:
        return ["The test was not made."], [], None
    rows = [
        [title, Estimate.of(s, "auc").text("{:.3f}"), f"{s['p']:.3g}", f"{s['n'][0]:,} and {s['n'][1]:,}"]
        for key, title in WITHOUT_LABELS
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


def _neighbours(found: dict, measure: str) -> str:
    interval = (found.get("intervals") or {}).get(measure)
    return Estimate(found[measure], tuple(interval)).text() if interval else f"{found[measure]:.2f}"


def quality(compare: dict) -> tuple[list[str], list[str], Table | None]:
    """(texts, flags, table) of distances, precision and the like, of groups, and of copying."""
    kernel, frechet = compare.get("kernel_distance"), compare.get("frechet_distance")
    if not kernel or not frechet:
        return ["Not measured."], [], None
    rows = []
    for name, found in (("Kernel distance", kernel), ("Frechet distance", frechet)):
        for set_ in ("baseline", "baseline_resampled", "debiased", "floor"):
            if set_ in found:
                rows.append([name, set_.replace("_", " "), Estimate.of(found[set_]).text("{:.3g}")])
    for set_, found in (compare.get("neighbours") or {}).items():
        rows += [[measure.capitalize(), set_, _neighbours(found, measure)] for measure in ("precision", "recall", "coverage")]
    for group in compare.get("groups", []):
        for set_ in ("baseline", "debiased"):
            if group[set_]:
                rows.append([f"Kernel distance, only {group['group']} (n {group['n']:,})", set_, Estimate.of(group[set_]).text("{:.3g}")])
            else:
                rows.append([f"Kernel distance, only {group['group']}", set_, f"too few ({group['counts'].get(set_, 0):,} samples)"])
    flags = []
    for group in compare.get("groups", []):
        if group["baseline"] and group["debiased"] and group["debiased"]["interval"][0] > group["baseline"]["interval"][1]:
            before, after = (Estimate.of(group[set_]).text("{:.3g}") for set_ in ("baseline", "debiased"))
            rose = f"Its kernel distance rose from {before} to {after}."
            flags.append(f"The debiased model paints {group['group']} worse than the baseline does. {rose}")
    for key, title, images in COPIES:
        for set_, found in (compare.get(key) or {}).items():
            rows.append([f"Nearer to {title} than to a held-out image (n {found['n']:,})", set_, Estimate.of(found).percent()])
            if found["interval"][0] > 0.5:
                flags.append(
                    f"The {set_} model’s samples lie nearer to {images} than to other images of their kind. It may copy some of them."
                )
    return [f"n = {kernel['n']:,} on both sides. Encoder: {kernel['encoder']}."], flags, Table(["Measure", "Of", "Value"], rows)
