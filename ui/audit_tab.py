"""Tab 2: how far apart are the sets, where, and can the estimate be trusted?"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr
from gradio.components import Component

from tiw.errors import UserInputError
from tiw.run.report import in_words

from . import caps, cite, data_tab, explorer, finding, gate, html, learn_words, pictures, store, theme, two_audits, words
from .panel import QUIET, Panel, settings, start, state_of, state_row, stop, stop_button
from .sessions import on_screen
from .sets import NAMES, read
from .sets import chosen as chosen_sets

MARKS = {"reliable": "✓", "partly-reliable": "!", "unreliable": "✕", "no-difference": "="}
EXPLORER = ["csv.js", "focus.js", *(f"explorer_{part}.js" for part in ("state", "draw", "panel", "load"))]
MOST_LISTED = 200  # files that were left out, on the page
OF_SETS = ("biased", "reference", "references", "resolution", "skip_bad", *NAMES)  # options that say which images
NOTHING = html.empty(
    "No audit yet",
    "Press “Audit”. About a minute later you see how far the large set departs from the reference, where, and how far to believe it.",
)


@dataclass(frozen=True)
class AuditTab:
    panels: list[Panel]
    uses: gr.HTML  # the two sets of the next audit
    go: gr.Button
    started: list[gr.events.Dependency]
    fields: list[Component]  # of the next audit, kept by the browser
    other: two_audits.TwoAudits


def build(sets: gr.BrowserState, chosen: list[Component], shown: list[Component], current: gr.BrowserState) -> AuditTab:
    """`chosen`: inputs of `sets.chosen`. `shown`: what `data_tab.restore` sets, for the moves that change the sets from here."""
    theme.html(
        html.lead(
            "Where does the set depart from the reference?",
            "For every image the audit estimates the "
            + html.term("density ratio")
            + ", at several levels of noise. Noise blurs the two sets "
            "until they overlap, and there the ratio can be trusted. Each image is scored by a model that has not seen it.",
        )
        + learn_words.what("audit")
    )
    with gr.Row(elem_classes="tiw-actions"):
        go = gr.Button("Audit", variant="primary", size="lg", elem_id="audit-go", elem_classes="tiw-go")
        uses = theme.html(elem_id="audit-uses")
    with gr.Accordion("Advanced", open=False, elem_classes="tiw-panel"), gr.Row(elem_classes="tiw-grid"):
        scored = gr.Slider(
            200,
            gate.at_most("scored", 5000),
            2000,
            step=100,
            label="Images for the charts",
            info="Of the large set, drawn at random by the seed.",
            elem_id="audit-scored",
        )
        folds = gr.Slider(2, 10, 5, step=1, label="Folds", info="Each image is scored by the folds that did not see it.")
        estimator = gr.Dropdown(
            words.ESTIMATORS, value="auto", label="Estimator", info="The better one is the one with the lower held-out cross-entropy."
        )
        layouts = gr.Checkbox(True, label="Draw the map", info="Half a minute more, after the charts.")
        score_all = gr.Checkbox(True, label="Score all images", info="At the end, the images of the large set that the charts do not show.")
        seed = gr.Number(0, precision=0, label="Seed", info="The same seed gives the same audit.")
    message = theme.html()
    state, halt = state_row("audit")
    camera = theme.html(elem_id="audit-camera")
    fix = gr.Button("Apply the fix to both sets", visible=False, elem_id="even-out-go", elem_classes="tiw-go")
    fix_state, fix_halt = state_row("even-out")
    fixed = theme.html(elem_id="even-out-result")
    use_fixed = gr.Button("Load both copies", visible=False, elem_id="even-out-load", elem_classes="tiw-go")
    verdict = theme.html(NOTHING, elem_id="audit-verdict")
    explore = gr.HTML(
        "",
        html_template=theme.asset("explorer.html"),
        js_on_load=theme.asset(*EXPLORER),
        head=theme.PLOTLY_HEAD,
        apply_default_css=False,
        elem_id="explorer",
    )
    tables = theme.html()
    other = two_audits.build(current)

    def begin(current: dict, scored: int, folds: int, seed: int, estimator: str, layouts: bool, score_all: bool, *typed: object):
        how = {"scored": scored, "folds": folds, "seed": seed, "estimator": estimator}
        return start("audit", current, {**chosen_sets(*typed), **how, "map": layouts, "score_all": score_all})

    def render(run: store.Run | None) -> list:
        measured = run is not None and run.result is not None
        named = measured and bool(run.result["camera"])
        first = f'<div class="stack">{_problems(run)}{_camera(run)}</div>' if measured and (named or run.result["problems"]) else ""
        return [
            *(state_of(run), stop_button(run), first, gr.update(visible=named)),
            *(NOTHING if run is None else _head(run) if measured else "", explorer.value(run)),
            _tables(run) if measured else "",
        ]

    def begin_fix(current: dict) -> tuple[dict, str]:
        """On the sets of the audit on screen, which are what its camera card is about."""
        run = store.open_run(caps.shaped(current, {"audit": ""})["audit"])
        return start("even-out", current, {name: run.options[name] for name in OF_SETS}) if run is not None else (on_screen(current), "")

    fields = [scored, folds, seed, estimator, layouts, score_all]
    started = go.click(begin, [current, *fields, *chosen], [current, message], **QUIET)
    explore.select(_move_to_reference, sets, [sets, message], **QUIET).then(data_tab.restore, sets, shown, **QUIET)
    use_fixed.click(load_fixed, [sets, current], sets, **QUIET).then(data_tab.restore, sets, shown, **QUIET)
    started = [
        started,
        fix.click(begin_fix, current, [current, message], **QUIET),
        halt.click(stop("audit"), current, None, **QUIET),
        fix_halt.click(stop("even-out"), current, None, **QUIET),
    ]
    panel = Panel("audit", [state, halt, camera, fix, verdict, explore, tables], render)
    return AuditTab([panel, Panel("even-out", [fix_state, fix_halt, fixed, use_fixed], render_fix)], uses, go, started, fields, other)


def load_fixed(sets: dict, current: dict) -> dict:
    sets = read(sets)
    changed = evened_out(sets, store.open_run(caps.shaped(current, {"even-out": ""})["even-out"]))
    if changed != sets:
        gr.Info("Both copies are loaded. Press “Audit” to see what is left.")
    return changed


def evened_out(sets: dict, run: store.Run | None) -> dict:
    """The copies that a finished camera fix has made, in place of the sets; the model stays as it was chosen."""
    if run is None or not run.done:
        return sets
    copies = {role: store.named(run.path / f"{role}.parquet") for role in pictures.ROLES}
    return {**sets, **copies, **{name: run.options[name] for name in NAMES}, "references": 0, "resolution": 0}


def render_fix(run: store.Run | None) -> list:
    done = run is not None and run.done
    return [state_of(run), stop_button(run), _fixed(run) if done else "", gr.update(visible=done)]


def _fixed(run: store.Run) -> str:
    """What has been done to both sets, and what the check names still."""
    done, left = run.result["steps"], run.result["left"]
    steps = "".join(f"<li>{escape(step[:1].upper() + step[1:])}</li>" for step in done)
    still = "".join(f"<li>{escape(found[:1].upper() + found[1:])}</li>" for found in left)
    rest = f"<p>Still named:</p><ul>{still}</ul>" if left else "<p>In these copies the check names nothing.</p>"
    names = " and ".join(f"“{escape(run.result[role]['name'])}”" for role in pictures.ROLES)
    text = (
        "Your own files are as they were. “Load both copies” puts the copies in their place here; then “Audit” looks at them. "
        "The fix takes from both sets what one of them lacks; it brings no detail back."
    )
    made = html.card(f"<h3>Camera fix of {names}</h3><p>Done to every image of both sets:</p><ul>{steps}</ul>{rest}<p>{text}</p>", "camera")
    return f'<div class="stack">{made}{settings(run)}</div>'


def _move_to_reference(sets: dict, event: gr.EventData) -> tuple[dict, str]:
    """The selection becomes a part of the reference set; the next audit sees it."""
    sets = read(sets)
    asked = caps.shaped(caps.shaped(event._data, {"value": {}})["value"], {"run": "", "items": []})
    run = store.open_run(asked["run"])
    if run is None or run.result is None:
        return sets, ""
    try:
        changed = explorer.with_more_references(run, asked["items"])
    except UserInputError as problem:
        return sets, html.error(store.plain(problem))
    n = len(pictures.open_set(changed, "reference"))
    gr.Info(f"The reference set now has {n:,} images. Press “Audit” to see what changes.")
    return changed, ""


def _head(run: store.Run) -> str:
    """The finding, then how far to believe it."""
    return f'<div class="stack">{finding.card(run)}{_verdict(run.result, run.name)}</div>'


def _verdict(result: dict, called: str = "") -> str:
    verdict, biased, reference = result["verdict"], result["biased"], result["reference"]
    said = [*(in_words(result) if result["levels"] else []), *map(words.roles, verdict["reasons"])]
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in said)
    about = (f"{escape(called)} · " if called else "") + (
        f"{biased['scored']:,} of {biased['n']:,} images of “{escape(biased['name'])}” against {reference['n']:,} of "
        f"“{escape(reference['name'])}” · {escape(result['estimator'])} estimator"
    )
    return html.card(
        f'<div class="mark" aria-hidden="true">{MARKS[verdict["level"]]}</div>'
        f"<div><h3>{escape(verdict['sentence'])}</h3><ul>{reasons}</ul><small>{about}</small></div>",
        f"verdict {verdict['level']}",
    )


def _problems(run: store.Run) -> str:
    """What the checks found, with the references that are unlike any image of the large set."""
    found = run.result.get("problems", [])
    if not found:
        return ""
    unlike = [("reference", row) for problem in found if problem["kind"] == "unlike" for row in problem["examples"]]
    shown = pictures.items_sheet(run, unlike, "The reference images furthest from any image of the large set", 5)
    return html.problems("Look at the images first:", [words.roles(problem["sentence"]) for problem in found], "mild") + shown


def _camera(run: store.Run) -> str:
    """Before anything else: properties of how the images were made that alone separate the sets, with the images most typical of each."""
    found = []
    for suspect in run.result["camera"]:
        sentence, named = words.roles(suspect["sentence"]), explorer.chosen(run, suspect["examples"])
        sheets = []
        for role in pictures.ROLES:
            alt = f"Images of the {words.ROLES[role].lower()}, typical in {suspect['name']}"
            examples = pictures.items_sheet(run, [item for item in named if item[0] == role], alt, 4)
            sheets.append(f"<div><h4>{html.dot(role)} {words.ROLES[role]}</h4>{examples}</div>")
        found.append(f'<p>{escape(sentence[:1].upper() + sentence[1:])}</p><div class="tiw-two narrow">{"".join(sheets)}</div>')
    fixes = dict.fromkeys(suspect["fix"] for suspect in run.result["camera"])
    offer = (
        f"<p><b>The fix:</b> {escape('; '.join(fixes))}. The button below makes copies of both sets, changed in the same way, as little "
        "as is needed to silence the check. Your own files stay as they are.</p>"
    )
    return html.card(f"<h3>Is it the people, or the camera?</h3>{''.join(found)}{offer}", "camera") if found else ""


def _tables(run: store.Run) -> str:
    files = {"report.html": "Report (HTML)", "scores.csv": "Every image's scores (CSV)", "levels.csv": "Diagnostics (CSV)"}
    files |= {"shares.csv": "Shares (CSV)"} if run.result["shares"] else {}
    files |= {"result.json": "All numbers (JSON)"}
    links = "".join(f'<a class="button" href="tiw/{run.id}/{name}" download>{title}</a>' for name, title in files.items())
    shares = ""
    if run.result["shares"]:
        shares = html.card(finding.shares(run.result["shares"], run.result.get("finding"))) + _groups(run)
    diagnostics = html.fold("All noise levels", _diagnostics(run.result["levels"]), "their diagnostics in one table")
    keep = html.card(f'<h3>To keep</h3><div class="links">{links}{html.copy_link(run.id)}</div>')
    return f'<div class="stack">{shares}{diagnostics}{keep}{_left_out(run)}{cite.fold(run)}{settings(run)}</div>'


def _left_out(run: store.Run) -> str:
    """What of both sets was not used, and what was converted: counted, and named file by file."""
    parts = []
    for role in pictures.ROLES:
        files, notes = (run.result[role].get(name, []) for name in ("left_out", "notes"))
        if files or notes:
            listed = "".join(f"<li>{escape(said)}</li>" for said in (*notes, *files[:MOST_LISTED]))
            more = f"<p>And {len(files) - MOST_LISTED:,} more, all in the CSV.</p>" if len(files) > MOST_LISTED else ""
            parts.append(f"<h4>{html.dot(role)} {words.ROLES[role]}: {len(files):,} left out</h4><ul>{listed}</ul>{more}")
    link = f'<div class="links"><a class="button" href="tiw/{run.id}/left_out.csv" download>Left out (CSV)</a></div>'
    return html.fold("What was left out or converted", "".join(parts) + link, "of both sets") if parts else ""


def _groups(run: store.Run) -> str:
    """Sets without labels: what the numbered groups look like."""
    if not run.result["groups"]:
        return ""
    sheets = "".join(
        f"<div><h4>Group {k}</h4>{pictures.items_sheet(run, explorer.chosen(run, items), f'Typical images of group {k}', 6)}</div>"
        for k, items in enumerate(run.result["groups"], 1)
    )
    text = "Without labels, groups of similar images stand in for them. They are numbered by size, not named: look what they share."
    return html.card(f'<h3>The groups</h3><p>{text}</p><div class="tiw-two">{sheets}</div>')


def _diagnostics(levels: list[dict]) -> str:
    def row(level: dict) -> list[str]:
        size, entropy = level["effective_sample_size"], level["cross_entropy"]
        low, high = level["auc"]["interval"]
        return [
            f"{level['sigma']:.2g}",
            f"<b>{words.number(level['auc']['value'])}</b> <small>{words.number(low)} to {words.number(high)}</small>",
            f"{words.number(entropy['held_out'], 3)} <small>train {words.number(entropy['train'], 3)}</small>",
            words.number(level["ece"], 3),
            f"{words.number(level['mean_r']['value'])} <small>1/r {words.number(level['mean_inverse_r']['value'])}</small>",
            f"<b>{words.percent(size['share'])}</b> <small>{words.count(size['count'])} images</small>",
            _way(level.get("gap_closed")),
            words.number(level["largest_weight"], 1),
            words.percent(level["negligible_share"], 1),
        ]

    head = [
        html.term("noise level", "Noise level"),
        f"{html.term('AUC')}, {html.term('held out')} (95 %)",
        html.term("cross-entropy", "Cross-entropy"),
        html.term("calibration", "Calibration error"),
        "Mean ratio (should be 1)",
        html.term("effective sample size", "Effective sample size"),
        "Gap closed by weighting",
        "Largest weight",
        "Weights below 0.01",
    ]
    text = (
        "All on images that the scoring model had not seen. Training far below held-out cross-entropy: memorised. Gap closed by "
        "weighting is how far the weights move the mean features of the large set to the reference’s. With few references it stops short, "
        "which the strength makes up for."
    )
    return f"<p>{text}</p>" + html.table(head, [row(level) for level in levels], "Diagnostics per noise level")


def _way(found: dict | None) -> str:
    return f"{words.percent(found['value'])} <small>{words.interval(found, words.percent)}</small>" if found else "no difference to close"
