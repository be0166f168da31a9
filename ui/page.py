"""The page: four tabs in the order of the work and one to learn, one timer that reads run folders, nothing kept but ids."""

from __future__ import annotations

import os
import threading
import traceback
from copy import copy
from itertools import zip_longest
from zlib import crc32

import gradio as gr

from tiw.errors import UserInputError
from tiw.run.queue import BUSY

from . import (
    api,
    audit_tab,
    caps,
    compare_tab,
    data_tab,
    debias_tab,
    gate,
    learn_tab,
    runs_list,
    sessions,
    store,
    theme,
    two_audits,
    zero,
)
from .panel import FOLLOWS, GONE, QUIET, Panel, dismiss
from .runs_list import NONE, TABS
from .sets import read

SECONDS = 1.0  # between two looks at a run that works
WAITING_SECONDS = 3.0  # at runs that only wait: in a class most do, and only one works
HEADER = (
    f'<header class="tiw-header">{theme.asset("icon.svg")}<div><h1>TIW Studio</h1>'
    "<p>See where a large image set departs from a small one you trust, and teach a diffusion model the difference.</p></div></header>"
)
_DRAWN, _DRAWING = {}, threading.Lock()  # the signature and the values of each panel of the shipped example


def build() -> gr.Blocks:
    """The whole app, without starting it."""
    if gate.zero_gpu():
        zero.borrowing()
    with gr.Blocks(title="TIW Studio", delete_cache=(3600, 86400), fill_width=True) as demo:
        current = gr.BrowserState(NONE, storage_key="tiw-runs", secret="tiw-studio")
        seen, kept = gr.State({}), gr.BrowserState([], storage_key="tiw-fields", secret="tiw-studio")
        timer = gr.Timer(SECONDS, active=False)
        theme.html(HEADER)
        ticks = theme.html(elem_id="ticks")
        if gate.public():
            _for_strangers()
        with gr.Tabs(elem_id="steps") as tabs:
            with gr.Tab("Data", id="data"):
                data = data_tab.build()
            with gr.Tab("Audit", id="audit"):
                audit = audit_tab.build(data.sets, data.chosen, data.restored, current)
                to_debias = gr.Button("Continue to debiasing  →", elem_classes="tiw-go", elem_id="audit-next")
            with gr.Tab("Debias", id="debias"):
                debias = debias_tab.build(data.chosen, current)
                to_compare = gr.Button("Continue to the comparison  →", elem_classes="tiw-go", elem_id="debias-next")
            with gr.Tab("Compare", id="compare"):
                compare = compare_tab.build(current)
            with gr.Tab("Learn", id="learn", elem_id="learn"):
                learn_tab.build()
        with gr.Accordion("Runs", open=False, elem_classes="tiw-runs", elem_id="runs"):
            runs = gr.HTML("", js_on_load=theme.asset("runs.js"), apply_default_css=False)

        panels = [*audit.panels, *debias.panels, compare.panel]
        shown = [component for panel in panels for component in panel.outputs]

        shows_sets = [data.view, audit.uses, audit.go, debias.uses]
        by_sets, own = [*shows_sets, *debias.by_sets], gr.State(None)

        def look(sets: dict, current: dict, seen: dict, request: gr.Request) -> list:  # by its name a client fires it
            with sessions.look(request.session_hash) as overtaken:
                values = _look(panels, by_sets, sets, current, seen or {})
            return [gr.skip() for _ in values] if overtaken() else values

        watch = {
            "fn": look,
            "inputs": [data.sets, current, seen],
            "outputs": [
                *shown,
                *by_sets,
                compare.runs,
                audit.other.box,
                audit.other.other,
                audit.other.both,
                data.example,
                runs,
                ticks,
                data.sets,
                own,
                seen,
                timer,
            ],
        }

        def follow_own(sets: dict | None, request: gr.Request) -> list:
            """One's own images may take a minute to read: runs and results do not wait for them, as they do for the demo."""
            with sessions.look(f"{request.session_hash} sets") as overtaken:
                values = [gr.skip() for _ in shows_sets] if sets is None else list(data_tab.follow_sets(sets))
            return [gr.skip() for _ in values] if overtaken() else values

        own.change(follow_own, own, shows_sets, **QUIET)

        asked = {**watch, **FOLLOWS}
        timer.tick(**watch, **QUIET, trigger_mode="once")
        if gate.zero_gpu():
            how = {**QUIET, "concurrency_limit": 1, "concurrency_id": "gpu"}
            timer.tick(lambda now: zero.work(now, NONE), current, None, **how, trigger_mode="once")
        dismissed = [panel.outputs[0].delete(dismiss(panel.kind), current, current, **QUIET) for panel in panels]
        for event in (*audit.started, *debias.started, *compare.started, *dismissed):
            event.then(**asked)
        data.sets.change(**asked)
        demo.load(None, js=learn_tab.OPEN)
        demo.load(None, js=theme.asset("tabs.js"))
        typed = [*audit.fields, *debias.fields, *compare.fields]
        usual = [field.value for field in typed]
        gr.on([field.input for field in typed], None, typed, kept, js="(...values) => [values]")

        def opened(current: dict, sets: dict, fields: list, values: list, request: gr.Request) -> list:
            """All that a browser kept, in one event: thirty who open the page at once pay for each."""
            return [*_reattach(current, request), *data_tab.restore(sets, fields), *refilled(values, usual)]

        restored = [current, tabs, *data.restored, *typed]
        demo.load(opened, [current, data.sets, data.fields, kept], restored, **QUIET).then(**asked)
        of_a_run = {**QUIET, "trigger_mode": "multiple"}  # each names its own: none is dropped, and none stands for another
        runs.select(runs_list.open_listed, current, [current, tabs], **of_a_run).then(**asked)
        runs.delete(runs_list.delete_listed, current, current, **of_a_run).then(**asked)
        runs.submit(runs_list.describe_listed, None, None, **of_a_run)
        data.next.click(**data.on_next, **QUIET).then(
            lambda free: gr.Tabs(selected="audit") if free else gr.skip(), data.free, tabs, **QUIET
        )
        data.see.click(lambda: gr.Tabs(selected="audit"), None, tabs, **QUIET)
        to_debias.click(lambda: gr.Tabs(selected="debias"), None, tabs, **QUIET)
        to_compare.click(lambda: gr.Tabs(selected="compare"), None, tabs, **QUIET)
        api.register()

    def closed(request: gr.Request) -> None:
        sessions.forget(demo, request.session_hash)

    demo.unload(closed)
    sessions.be_thrifty(demo)
    return demo


def _for_strangers() -> None:
    """What a visitor of a public app should know, and where real work is done."""
    with gr.Row(elem_classes="tiw-actions"):
        theme.html(
            '<p class="tiw-note">A public app: you see only what is yours. Uploads and runs are deleted after '
            f"{gate.limits().kept_hours:g} hours. A run trains for at most {gate.limits().minutes:g} minutes "
            f"and is stopped after {gate.limits().run_minutes:g}. "
            "For real work run it on a machine of your own.</p>"
        )
        if gate.on_space():
            gr.DuplicateButton("Duplicate this Space", size="sm", elem_classes="tiw-go")
        if gate.on_space() and os.environ.get("OAUTH_CLIENT_ID"):  # elsewhere Gradio logs everyone in as this machine's own user
            gr.LoginButton(size="sm", elem_classes="tiw-go")


def _look(panels: list[Panel], by_sets: list, sets: dict, current: dict, seen: dict) -> list:
    """New values for what has changed since the last look; everything else stays untouched. The timer rests when no run works."""
    sets, current = read(sets), caps.shaped(current, NONE)
    values, marks, states = [], {}, []
    for panel in panels:
        shown, marks[panel.kind], state = _look_at(panel, current.get(panel.kind, ""), seen.get(panel.kind, (None, [])))
        values += shown
        states.append(state)
    chosen = debias_tab.with_model(sets, store.open_run(current.get("train", "")))
    runs = [store.changes(), states]  # costs the same however many runs there are
    before = seen["models"][2] if "models" in seen else []
    marks |= {"sets": chosen, "models": [runs, current.get("debias"), before], "runs": [runs, current], "audited": current["audit"]}

    def changed(name: str) -> bool:
        return name not in seen or marks[name] != seen[name]

    own, unread = chosen["biased"] not in ("", "demo"), [gr.skip() for _ in range(4)]
    values += (
        [*(unread if own else data_tab.follow_sets(chosen)), *debias_tab.follow(chosen)]
        if changed("sets")
        else [gr.skip() for _ in by_sets]
    )
    models = gr.skip()
    if changed("models"):
        models, marks["models"][2] = compare_tab.choices(current, before)
    values.append(models)
    values += [*two_audits.choices(current, changed("audited")), _newcomer(current)] if changed("runs") else [gr.skip()] * 4
    values.append(runs_list.render(current) if changed("runs") else gr.skip())
    values.append(ticked(sets, current) if changed("runs") or changed("sets") else gr.skip())
    values.append(chosen if chosen != sets else gr.skip())
    values.append((chosen if own else None) if changed("sets") else gr.skip())
    return [*values, marks, _pace(states)]


def _pace(states: list[str]) -> gr.Timer:
    waiting = all(state == "queued" for state in states if state in BUSY)
    return gr.Timer(WAITING_SECONDS if waiting else SECONDS, active=any(state in BUSY for state in states))


def _look_at(panel: Panel, run_id: str, mark: tuple) -> tuple[list, tuple, str]:
    """One panel's new values, its new mark and its run's state. A run that cannot be shown says so in its own panel, and nowhere else."""
    before, sent = mark
    run, now = None, [run_id]
    try:
        now = store.signature(run_id)  # before the run: what comes in between is then new at the next look
        run = store.open_run(run_id)
        if now == before:
            return [gr.skip() for _ in panel.outputs], mark, run.state if run is not None else ""
        rendered = _shipped(panel, run, now) if run is not None and run.shipped else panel.render(run)
    except Exception as problem:  # whatever is wrong with one run's files, the others are shown, and this one can be deleted
        if not isinstance(problem, UserInputError | OSError):
            traceback.print_exc()
        rendered = panel.broken(problem)
    # Of a run at work most often the progress alone has changed: the browser gets no more than that.
    digests = [crc32(repr(value).encode()) for value in rendered]
    values = [gr.skip() if old == new else value for value, old, new in zip_longest(rendered, sent, digests)]
    return values, (now, digests), run.state if run is not None else ""


def _shipped(panel: Panel, run: store.Run, now: list) -> list:
    """The example's panel is the same for everybody: thirty who open the page at once have it drawn once."""
    with _DRAWING:
        if _DRAWN.get(panel.kind, (None,))[0] != now:
            _DRAWN[panel.kind] = now, panel.render(run)
    return [copy(value) for value in _DRAWN[panel.kind][1]]  # Gradio takes an update apart


def _newcomer(current: dict) -> dict:
    """What was computed before is shown on the first tab while nothing else has been audited."""
    shipped = store.examples().get("audit", "")
    return gr.update(visible=bool(shipped) and current["audit"] in ("", shipped))


def ticked(sets: dict, current: dict) -> str:
    """A tick in place of the number of each step that this visitor has done."""
    done = {
        TABS[kind] for kind in ("audit", "debias", "compare") if (run := store.open_run(current[kind])) and run.result and not run.shipped
    }
    tabs = ",".join(f"#steps button[data-tab-id={tab}]::before" for tab in sorted(done | ({"data"} if done and sets["biased"] else set())))
    return f'<style>{tabs}{{content:"✓" !important;content:"✓"/"" !important}}</style>' if tabs else ""


def refilled(values: object, usual: list) -> list:
    """What a browser kept of the fields, where it is of their types and not what they are built with."""
    if not isinstance(values, list) or len(values) != len(usual):
        return [gr.skip() for _ in usual]

    def fits(value: object, like: object) -> bool:
        numbers = isinstance(value, int | float) and isinstance(like, int | float) and type(value) is not bool and type(like) is not bool
        return numbers or type(value) is type(like)

    return [value if fits(value, like) and value != like else gr.skip() for value, like in zip(values, usual, strict=True)]


def _reattach(current: dict, request: gr.Request) -> tuple[dict, dict]:
    """After a reload: ?run=ID, else the runs this browser had, else the newest of each kind."""
    newest = {run.kind: run.id for run in reversed(store.all_runs()) if run.kind in NONE}
    kept = {kind: run_id for kind, run_id in caps.shaped(current, NONE).items() if run_id == GONE or store.open_run(run_id)}
    asked = store.open_run(request.query_params.get("run", ""))
    if asked is None or asked.kind not in NONE:
        return {**NONE, **store.examples(), **newest, **kept}, gr.skip()
    return {**NONE, **store.examples(), **newest, **kept, asked.kind: asked.id}, gr.Tabs(selected=TABS[asked.kind])
