"""The finding first: which values are too rare or too frequent, with their pictures, and every share as a chart."""

from __future__ import annotations

from html import escape

from . import explorer, html, pictures, store, words

SHOWN = 3  # differences of either kind that get pictures; the others are in the chart below
AXIS = "<i>0\u00a0%</i><i>50\u00a0%</i><i>100\u00a0%</i>"
FEW = 10  # images of a value in a set: a share that small a count cannot pin down


def card(run: store.Run) -> str:
    """The sentence, and the largest differences with eight images of each set."""
    found = run.result.get("finding")
    if not found:
        return ""
    shown = [*found["too_rare"][:SHOWN], *found["too_frequent"][:SHOWN]] or found["crossings"][:SHOWN]
    compared = f"{found['tested']:,} {'values' if found['labelled'] else 'groups'} of {_sets(run)} were compared."
    about = f"{compared} p-values are adjusted for all of them, {html.term('interval', 'intervals')} are 95 %."
    rows = "".join(_difference(run, difference) for difference in shown)
    return html.card(f'<h3 class="finding">{_sentence(found)}</h3>{rows}<small>{about}</small>', "found")


def _sets(run: store.Run) -> str:
    """Which images it is about: others may have been loaded since."""
    return " and ".join(f"“{escape(run.result[role]['name'])}”" for role in pictures.ROLES)


def _sentence(found: dict) -> str:
    """What was found; no line ends between a number and its per cent."""
    return escape(found.get("sentence", "")).replace(" %", "\u00a0%")


def first(run: store.Run) -> str:
    """The sentence and the faces of the largest difference, for who has not seen an audit yet."""
    found = run.result.get("finding") or {}
    largest = [*found.get("too_rare", []), *found.get("too_frequent", [])][:1]
    faces = "".join(_difference(run, difference) for difference in largest)
    text = "An audit of the demo portraits, computed before. Run it yourself with “Continue to the audit”."
    return f'<div class="found first"><p>{text}</p><h3 class="finding">{_sentence(found)}</h3>{faces}</div>'


def _difference(run: store.Run, found: dict) -> str:
    """One value: what it is, how often each set shows it, and what it looks like."""
    sides = []
    for role in pictures.ROLES:
        counted = found[role]
        alt = f"{found['attribute']} {found['value']} in the {words.ROLES[role].lower()}"
        sheet = (
            pictures.items_sheet(run, explorer.chosen(run, found[f"examples_{role}"]), escape(alt), 8) if found[f"examples_{role}"] else ""
        )
        low, high = (words.percent(edge) for edge in counted["interval"])
        share = f"<b>{words.percent(counted['share'])}</b> <small>{low} to {high}, {counted['count']:,} of {counted['n']:,}</small>"
        sides.append(f"<div>{html.dot(role)} {words.ROLES[role]} {share}{sheet}</div>")
    factor = found["factor"]
    often = "none in one of the sets"
    if factor:
        low, high = (words.number(edge, 1) for edge in factor["interval"])
        often = f"{words.number(factor['value'], 1)} times too {found['too']} <small>{low} to {high}</small>"
    name = f"{escape(words.label(found['attribute']))} <b>{escape(found['value'])}</b>"
    return f'<div class="difference {found["too"]}"><h4>{name} · {often}</h4><div class="tiw-two">{"".join(sides)}</div></div>'


def shares(rows: list[dict], finding: dict | None) -> str:
    """Every value's share as dots with their intervals, the largest difference first, crossings at the end."""
    of: dict[tuple, dict] = {}
    for row in rows:
        of.setdefault((row["attribute"], row["value"]), {})[row["set"]] = row
    both = {key: sets for key, sets in of.items() if set(pictures.ROLES) <= set(sets)}
    ordered = sorted(both, key=lambda key: (" x " in key[0], -abs(both[key]["biased"]["share"] - both[key]["reference"]["share"])))
    sure = {(d["attribute"], d["value"]) for part in ("too_rare", "too_frequent", "crossings") for d in (finding or {}).get(part, [])}
    lines = "".join(_line(key, both[key], key in sure) for key in ordered)
    lines += f'<div class="dotline axis" aria-hidden="true"><span></span><span class="ends">{AXIS}</span><span></span></div>'
    legend = "".join(f"<span>{html.dot(name)} {title}</span>" for name, title in words.SHARE_SETS.items())
    text = (
        "The largest difference first, crossings of two labels last. Lines are 95 % intervals. ● marks a difference that chance does not "
        "explain; “few” marks fewer than ten images. If the ratio is right, weighting brings the large set to the reference’s shares."
    )
    table = html.table(
        ["Share", *(f"{html.dot(name)} {title}" for name, title in words.SHARE_SETS.items())],
        [[_named(key), *(_counted(both[key].get(name)) for name in words.SHARE_SETS)] for key in ordered],
        "Shares in numbers",
        cards=True,
    )
    numbers = f'<details class="tiw-what more"><summary>The same in numbers, with n and intervals</summary>{table}</details>'
    return (
        f'<h3>Shares, and what the weights make of them</h3><p>{text}</p><div class="legend">{legend}</div><div class="dots">{lines}</div>'
        f"{numbers}"
    )


def _named(key: tuple) -> str:
    return f"{escape(words.label(key[0]))} <b>{escape(key[1])}</b>"


def _few(row: dict) -> bool:
    """Whether a counted share rests on too few images; a weighted one is not counted."""
    return row.get("count") is not None and row["count"] < FEW


def _counted(row: dict | None) -> str:
    if row is None:
        return ""
    low, high = (words.percent(edge, 1) for edge in row["interval"])
    few = ", few" if _few(row) else ""
    return f"<span><b>{words.percent(row['share'], 1)}</b> <small>{low} to {high}, n = {words.count(row['n'])}{few}</small></span>"


def _line(key: tuple, sets: dict, sure: bool) -> str:
    marks, said = [], []
    for name, title in words.SHARE_SETS.items():
        row = sets.get(name)
        if row is None:
            continue
        low, high = row["interval"]
        marks.append(
            f'<i class="whisker {name}" style="left:{low:.2%};width:{high - low:.2%}"></i>'
            f'<i class="point {name}" style="left:{row["share"]:.2%}"></i>'
        )
        low, high = words.percent(low), words.percent(high)
        said.append(f"{title} {words.percent(row['share'], 1)} ({low} to {high}, n = {words.count(row['n'])})")
    flags = ("●" if sure else "") + (" few" if any(map(_few, sets.values())) else "")
    shown = " ".join(f'<b class="{role}">{words.percent(sets[role]["share"])}</b>' for role in pictures.ROLES)
    tip = escape("; ".join(said))
    return (
        f'<div class="dotline"><span>{_named(key)} <em>{flags}</em></span>'
        f'<span class="track" role="img" aria-label="{tip}" title="{tip}">{"".join(marks)}</span><span class="nums">{shown}</span></div>'
    )
