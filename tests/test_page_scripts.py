"""The page's scripts on an empty page in a real browser: what is typed, pressed and answered late ends up where it belongs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from served import CHROMIUM, FLAGS

from ui import charts, learn_tab, runs_list

APP = Path(__file__).parents[1] / "assets" / "app"
EXAMPLE = APP.parent / "example"
EXPLORER = ("csv.js", "focus.js", "explorer_state.js", "explorer_draw.js", "explorer_panel.js", "explorer_load.js")
FOCUS = "() => ({ ...document.activeElement.dataset })"

pytestmark = [pytest.mark.page, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install chromium to run it")]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")

# What Gradio 6.31's HTML component gives a script, and how it writes a new value into the page: element by element, in place.
GRADIO = """([html, script, value]) => {
  document.body.innerHTML = `<div id="component">${html}</div>`;
  const element = document.querySelector("#component"), props = { value }, watching = [];
  const patched = (old, now) => {
    if (old.nodeType !== Node.ELEMENT_NODE || old.tagName !== now.tagName) { old.replaceWith(now.cloneNode(true)); return; }
    for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) {
      old.setAttribute(name, value);
      if (name === "value" && old.tagName === "INPUT") old.value = value;
    }
    children(old, now);
  };
  const children = (old, now) => {
    const [before, after] = [[...old.childNodes], [...now.childNodes]];
    for (let k = 0; k < Math.max(before.length, after.length); k += 1) {
      if (!before[k]) old.append(after[k].cloneNode(true));
      else if (!after[k]) before[k].remove();
      else patched(before[k], after[k]);
    }
  };
  window.sent = [];
  window.listed = (html) => {
    const now = document.createElement("div");
    now.innerHTML = html;
    children(element, now);
    watching.forEach((then) => then());
  };
  window.given = (value) => { props.value = value; watching.forEach((then) => then()); };
  window.Plotly = {
    react: (at) => { at.classList.add("js-plotly-plot"); at.on ??= () => {}; }, relayout() {}, purge() {}, Plots: { resize() {} },
  };
  new Function("element", "trigger", "props", "watch", script)(
    element, (name, data) => sent.push([name, data.value]), props, (_, then) => watching.push(then));
}"""

# A server in the page: `states` by the last part of an address's folder, `asked` all that was asked for, `mode` how it answers.
SERVER = """(states) => {
  Object.assign(window, { states, asked: [], mode: "well", held: [] });
  window.fetch = async (url, options) => {
    const body = options?.body && JSON.parse(options.body), of = url.split("/").at(-2);
    asked.push([of, body ?? null]);
    if (mode === "hold" && body) await new Promise((then, not) => held.push({ then, not }));
    if (mode === "away") throw new TypeError("Failed to fetch");
    if (mode === "fast") {
      const said = "That was too fast: wait a moment.";
      return { ok: false, text: async () => JSON.stringify({ detail: said, error: said }) };
    }
    return { ok: true, json: async () => structuredClone(states[of]) };
  };
}"""

# A file that is saved is `saved`.
SAVED = """() => {
  URL.createObjectURL = (blob) => { window.saved = blob.text(); return ""; };
  HTMLAnchorElement.prototype.click = () => {};
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page, problems = browser.new_page(viewport={"width": 1200, "height": 1500}), []
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    page.close()
    assert problems == []


def opened(page: Any, html: str, *scripts: str, value: str | None = None) -> None:
    page.evaluate(GRADIO, [html, "\n".join((APP / name).read_text(encoding="utf-8") for name in scripts), value])


# ---------------------------------------------------------------------------------------------------- names and notes of runs

ONE, TWO = "a" * 32, "b" * 32


def listing(**noted: str) -> str:
    """The list of runs, in this order, as runs_list writes it: the notes of `a` and `b`."""
    rows = [runs_list._called(SimpleNamespace(id=32 * letter, name="", note=note)) for letter, note in noted.items()]
    return f"<table><tbody>{''.join(f'<tr><td>{row}</td></tr>' for row in rows)}</tbody></table>"


def fields(page: Any) -> dict[str, list[str]]:
    found = page.evaluate("() => [...document.querySelectorAll('input')].map((i) => [i.dataset.run, i.value])")
    return {run: [value for of, value in found if of == run] for run, _ in found}


def about(field: str, run: str) -> str:
    return f"input[data-run='{run}'][data-about={field}]"


def test_a_note_stays_with_its_run_when_another_takes_its_place_in_the_list(page: Any) -> None:
    """Gradio gives the field to the new run as it is: the note stood at the new one, and was kept there with its name."""
    opened(page, listing(a=""), "runs.js")
    page.fill(about("note", ONE), "only 50 references")
    page.keyboard.press("Tab")
    assert page.evaluate("sent") == [["submit", {"run": ONE, "name": "", "note": "only 50 references"}]]
    page.evaluate("listed", listing(b="", a="only 50 references"))
    assert fields(page) == {TWO: ["", ""], ONE: ["", "only 50 references"]}
    page.fill(about("name", TWO), "second")
    page.keyboard.press("Enter")
    assert page.evaluate("sent")[1:] == [["submit", {"run": TWO, "name": "second", "note": ""}]]


def test_a_note_that_is_being_typed_goes_on_at_its_own_run(page: Any) -> None:
    opened(page, listing(a=""), "runs.js")
    page.click(about("note", ONE))
    page.keyboard.type("mine")
    page.evaluate("listed", listing(b="", a=""))
    assert fields(page) == {TWO: ["", ""], ONE: ["", "mine"]}
    page.keyboard.type(" alone")
    page.keyboard.press("Tab")
    assert page.evaluate("sent") == [["submit", {"run": ONE, "name": "", "note": "mine alone"}]]


@pytest.mark.parametrize(("runs", "after", "kept"), [("ba", "a", True), ("ab", "b", False)])
def test_a_note_that_is_being_typed_is_of_no_other_run_when_the_list_gets_shorter(page: Any, runs: str, after: str, kept: bool) -> None:
    """The other run of the list is deleted; the one with the note is."""
    opened(page, listing(**dict.fromkeys(runs, "")), "runs.js")
    page.click(about("note", ONE))
    page.keyboard.type("mine")
    page.evaluate("listed", listing(**dict.fromkeys(after, "")))
    page.keyboard.type("!")
    page.keyboard.press("Tab")
    said = [value for _, value in page.evaluate("sent")]
    assert {value["run"] for value in said} <= {ONE} and (not kept or said[-1]["note"].startswith("mine"))
    assert not any(fields(page).get(TWO, []))


# ---------------------------------------------------------------------------------------------------------- the spot check


def sheet(samples: list[int], labels: list[str]) -> dict:
    shown = {"attribute": "skin", "values": ["dark", "light"], "samples": samples, "labels": labels}
    return {"sheet": {**shown, "keys": list("123456789"), "unsure": "?"}, "found": None}


def compared(run: str) -> str:
    return json.dumps({"base": f"tiw/{run}", "attributes": ["skin"], "mine": True})


def labels_sent(page: Any) -> list:
    return [[of, body["labels"]] for of, body in page.evaluate("asked") if body and "labels" in body]


@pytest.fixture
def spot(page: Any) -> Any:
    """The page with a spot check of which one label is missing, and one of another comparison that has none."""
    page.evaluate(SERVER, {"A": sheet(list(range(25)), 24 * ["dark"] + [""]), "B": sheet([900, 901], ["", ""])})
    opened(page, '<div class="spot-box"></div>', "answer.js", "spot.js", value=compared("A"))
    page.locator("[data-key]").first.wait_for()
    return page


@pytest.mark.parametrize("again", ["Enter", "1", "the button"])
def test_a_last_label_that_was_not_sent_is_sent_with_the_next_key(spot: Any, again: str) -> None:
    spot.evaluate("mode = 'away'")
    spot.click("[data-key='1']")
    assert "sent again with the next key" in spot.get_by_role("alert").inner_text()
    spot.evaluate("mode = 'well'; asked.length = 0")
    spot.evaluate("states.A.sheet.labels[24] = 'light'")
    spot.click("[data-finish]") if again == "the button" else spot.locator("section").press(again)
    spot.get_by_role("alert").wait_for(state="detached")
    assert labels_sent(spot) == [["A", {"24": "light"}]]
    if again != "1":
        spot.wait_for_function("sent.length")
        assert spot.evaluate("[asked.at(-1), sent]") == [["A", {"finish": True}], [["select", "spot"]]]


def test_labels_that_were_not_sent_are_of_their_own_comparison_and_wait_for_it(spot: Any) -> None:
    """They went out with those of the other comparison, which refused them all, time and again."""
    spot.evaluate("mode = 'hold'")
    spot.click("[data-key='1']")
    spot.evaluate("mode = 'well'")
    spot.evaluate("given", compared("B"))
    spot.locator("progress[max='2']").wait_for()
    spot.evaluate("held[0].not(new TypeError('Failed to fetch'))")
    spot.wait_for_timeout(100)
    assert spot.get_by_role("alert").count() == 0
    spot.evaluate("asked.length = 0")
    spot.click("[data-key='0']")
    spot.wait_for_timeout(100)
    assert labels_sent(spot) == [["B", {"900": "dark"}]]
    spot.evaluate("given", compared("A"))
    spot.get_by_text("25 of 25 labelled").wait_for()
    spot.wait_for_timeout(100)
    assert labels_sent(spot)[1:] == [["A", {"24": "light"}]]


def test_a_spot_check_that_could_not_be_looked_at_says_why_and_is_looked_at_again(page: Any) -> None:
    """It offered to begin, as if nothing had been labelled, and showed the gate's JSON."""
    page.evaluate(SERVER, {"A": sheet([5, 6], ["dark", ""])})
    page.evaluate("mode = 'fast'")
    opened(page, '<div class="spot-box"></div>', "answer.js", "spot.js", value=compared("A"))
    assert page.get_by_role("alert").inner_text() == "That was too fast: wait a moment."
    assert page.locator("[data-begin], .links").count() == 0
    page.evaluate("mode = 'well'")
    page.get_by_text("1 of 2 labelled").wait_for()
    assert page.get_by_role("alert").count() == 0


def test_nothing_of_another_comparison_can_be_pressed_before_the_answer(page: Any) -> None:
    """What was on screen stayed there, and began a spot check of the one that was asked for, by the other's attribute."""
    page.evaluate(SERVER, {"A": {"sheet": None, "found": None}, "B": {"sheet": None, "found": None}})
    opened(page, '<div class="spot-box"></div>', "answer.js", "spot.js", value=compared("A"))
    page.locator("[data-begin]").wait_for()
    assert page.evaluate("([b]) => { given(b); return document.querySelectorAll('[data-begin]').length; }", [compared("B")]) == 0
    page.locator("[data-begin]").wait_for()


# ------------------------------------------------------------------------------------------- what only the user knows


@pytest.fixture
def stated(page: Any) -> Any:
    form = {"fields": [["purpose", "What for?", ""]], "images": True}
    page.evaluate(SERVER, {"A": form, "B": form})
    opened(page, '<div class="stated-box"></div>', "answer.js", "stated.js", value=compared("A"))
    page.locator("summary").click()
    return page


def test_the_answer_of_one_comparison_is_not_said_in_the_form_of_another(stated: Any) -> None:
    stated.evaluate("mode = 'hold'")
    stated.click("[data-send]")
    stated.evaluate("mode = 'well'")
    stated.evaluate("given", compared("B"))
    stated.locator("details:not([open])").wait_for()
    stated.evaluate("held[0].then()")
    stated.wait_for_timeout(100)
    assert stated.locator("[role=status]").text_content() == ""


def test_a_refusal_of_the_gate_is_a_sentence(stated: Any) -> None:
    stated.evaluate("mode = 'fast'")
    stated.click("[data-send]")
    stated.get_by_text("too fast").wait_for()
    assert stated.locator("[role=status]").inner_text() == "That was too fast: wait a moment."


# -------------------------------------------------------------------------------------------------------------- the explorer


def level(sigma: float) -> dict:
    value = {"value": 0.5, "interval": [0.4, 0.6]}
    numbers = dict.fromkeys(("ece", "ece_by_chance", "mean_w", "largest_weight", "negligible_share"), 0.1)
    measured = dict.fromkeys(("auc", "mean_r", "mean_inverse_r", "gap_closed"), value)
    more = {
        "cross_entropy": {"held_out": 0.6, "train": 0.6},
        "effective_sample_size": {"share": 0.5, "count": 2},
        "histogram": {"edges": [-1, 0, 1], "biased": [0.5, 0.5], "reference": [0.5, 0.5]},
        "reliability": [{"predicted": 0.5, "observed": 0.5, "n": 4}],
        "said": {"auc": "", "worth": ""},
    }
    return {"sigma": sigma, **numbers, **measured, **more}


def audit(codes: list[int], values: list[str]) -> dict:
    """Three images of the large set, 0 to 2, and one of the reference set, with the values of their age."""
    points = {"item": [0, 1, 2, 3], "set": [0, 0, 0, 1], "index": [0, 1, 2, 0], "source": [f"{name}.png" for name in "abcd"]}
    points |= {"log_ratio": [[-0.3, -0.2, -0.1, 0.5]] * 2, "attributes": {"age": {"codes": codes, "values": values}}}
    sets = {"biased": {"n": 3, "scored": 3}, "reference": {"n": 1, "scored": 1}}
    drawn = {"shown": 4, "there": 4, "seed": 0}
    near = [[3], [3], [3], [0]]
    levels = [level(0.1), level(1.0)]
    shown = {"run": "r", "points": points, "levels": levels, "sprite": {"columns": 4}, "maps": {}, "near": near, "start": 0}
    return {**shown, **sets, "drawn": drawn}


def explored(page: Any, codes: tuple[int, ...] = (0, 0, 1, 1)) -> Any:
    page.evaluate(SERVER, {"explorer": audit(list(codes), ["young", "old"])})
    links = {"url": "explorer/x.json?v=1", "sprite": "data:,?", "strip": "data:,strip", "image": "data:,image", "zip": ""}
    html = f"<style>{(APP / 'style.css').read_text()}</style>{(APP / 'explorer.html').read_text()}"
    opened(page, html, *EXPLORER, value=json.dumps(links))
    page.locator(".thumb").first.wait_for()
    return page


def inspected(page: Any) -> str:
    return page.locator("[data-panel] .file").inner_text()


@pytest.mark.parametrize("pressed", ["[data-step='1']", "[data-thumbs] [data-point='1']"])
def test_what_is_pressed_after_a_tag_was_typed_is_done(page: Any, pressed: str) -> None:
    """Leaving the field drew the panel and the gallery anew under the mouse, and the click was lost."""
    explored(page).click("[data-thumbs] [data-point='0']")
    page.fill("[data-tag]", "blur,wrong label")
    page.click(pressed)
    assert inspected(page) == "b.png"
    assert page.get_by_role("button", name="Tagged (1)").is_visible()
    marked = page.locator("[data-thumbs] .thumb b").all()
    assert [dot.is_visible() for dot in marked].count(True) == 1
    page.click("[data-step='-1']")
    assert page.input_value("[data-tag]") == "blur, wrong label"


@pytest.mark.parametrize("pressed", ["[data-close]", "[data-galleries] [data-key=tagged]"])
def test_the_panel_closes_and_the_gallery_turns_after_a_tag_was_typed(page: Any, pressed: str) -> None:
    explored(page).click("[data-thumbs] [data-point='0']")
    page.fill("[data-tag]", "blur")
    page.click(pressed)
    assert page.locator("[data-panel]").is_hidden() == ("close" in pressed)
    assert page.locator("[data-thumbs] .thumb").count() == (3 if "close" in pressed else 1)


def test_the_keyboards_place_is_kept_in_the_explorer(page: Any) -> None:
    """Every step fell back to the top of the page, because the button that was pressed is drawn anew."""
    explored(page).focus("[data-thumbs] [data-point='0']")
    page.keyboard.press("Enter")
    assert page.evaluate(FOCUS) == {"point": "0"}
    page.focus("[data-step='1']")
    page.keyboard.press("Enter")
    assert (inspected(page), page.evaluate(FOCUS)) == ("b.png", {"step": "1"})
    page.keyboard.press("Enter")  # now at the last: there is no next one
    assert inspected(page) == "c.png" and page.evaluate("document.activeElement.matches('[data-panel]')")
    page.focus("[data-panel] [data-point]")
    page.keyboard.press("Enter")
    assert inspected(page) == "d.png" and page.evaluate("document.activeElement.matches('[data-panel]')")
    page.click("[data-thumbs] [data-point='2']")
    page.focus("[data-close]")
    page.keyboard.press("Enter")
    assert page.locator("[data-panel]").is_hidden() and page.evaluate(FOCUS) == {"point": "2"}
    page.locator("[data-strip] button").nth(1).focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.matches('[data-strip] button:nth-child(2)[aria-pressed=true]')")
    for where, key in (("galleries", "under"), ("modes", "pan")):
        page.focus(f"[data-{where}] [data-key={key}]")
        page.keyboard.press("Enter")
        assert page.evaluate(FOCUS) == {"key": key}


def test_escape_in_the_panel_leads_back_to_the_image_and_elsewhere_nowhere(page: Any) -> None:
    explored(page).click("[data-thumbs] [data-point='1']")
    page.focus("[data-slider]")
    page.keyboard.press("Escape")
    assert page.locator("[data-panel]").is_hidden() and page.evaluate(FOCUS) == {"slider": ""}
    page.click("[data-thumbs] [data-point='1']")
    page.fill("[data-tag]", "blur")
    page.keyboard.press("Escape")
    assert page.locator("[data-panel]").is_hidden() and page.evaluate(FOCUS) == {"point": "1"}
    assert page.get_by_role("button", name="Tagged (1)").is_visible()


@pytest.mark.parametrize(
    ("codes", "who"), [((0, 0, 0, 1), "Reference set, d.png (age old) · click another to follow it"), ((0, 0, 0, 0), "")]
)
def test_where_no_image_of_the_large_set_passes_the_strip_shows_another_or_none(page: Any, codes: tuple, who: str) -> None:
    """It said “undefined, undefined (age not known)”, and asked for an image of this name."""
    explored(page, codes).select_option("[data-only]", label="age: old")
    assert page.locator("[data-who]").text_content() == who
    assert page.locator("[data-strip] button").count() == (2 if who else 0)
    assert "undefined" not in page.content()


def test_tags_survive_their_own_table(page: Any) -> None:
    """What begins like a formula has a quote before it in the table, the second tag of an image as well."""
    explored(page).click("[data-thumbs] [data-point='0']")
    page.fill("[data-tag]", "@anna, -blur, plain")
    page.keyboard.press("Enter")
    page.evaluate(SAVED)
    page.locator("[data-csv=tags]").press("Enter")
    table = page.evaluate("saved")
    assert "'@anna; '-blur; plain" in table or "'@anna;' -blur; plain" in table
    page.fill("[data-tag]", "")
    page.keyboard.press("Enter")
    page.set_input_files("[data-tags-in]", {"name": "tags.csv", "mimeType": "text/csv", "buffer": table.encode()})
    page.get_by_role("button", name="Tagged (1)").wait_for()
    assert page.input_value("[data-tag]") == "@anna, -blur, plain"


# --------------------------------------------------------------------------------------------------------- pairs and charts


def test_the_keyboards_place_is_kept_among_the_pairs(page: Any) -> None:
    models = [{"name": name, "title": name} for name in ("baseline", "debiased", "guided")]
    value = {"base": "pairs", "pages": [list(range(30))], "models": models, "labels": [["a", "b", "a"]] * 30}
    opened(page, '<div class="pairs-box"></div>', "focus.js", "pairs.js", value=json.dumps(value))
    for press, held in (
        ("[data-how=flip]", {"how": "flip"}),
        ("[data-changed]", {"changed": ""}),
        ("[data-model='2']", {"model": "2"}),
        ("[data-by='1']", {}),  # the last page: there is no next one
    ):
        page.focus(press)
        page.keyboard.press("Space")
        assert page.evaluate(FOCUS) == held
    assert page.get_by_text("page 2 of 2").is_visible() and page.evaluate("document.activeElement.matches('section')")
    page.keyboard.press("ArrowLeft")
    assert page.get_by_text("page 1 of 2").is_visible() and page.evaluate("document.activeElement.matches('section')")


def test_the_table_of_shares_has_the_intervals_of_corrected_ones(page: Any) -> None:
    result = next(found for file in EXAMPLE.glob("*/result.json") if (found := json.loads(file.read_text()))["kind"] == "compare")
    figure = charts.shares(result["shares"])
    html = '<div class="chart-card"><div class="chart-title">Shares</div><button>CSV</button><div class="chart"></div></div>'
    opened(page, html, "csv.js", "chart.js", value=figure)
    page.evaluate(SAVED)
    page.click("button")
    lines = csv.reader(page.evaluate("saved").splitlines())
    found = {tuple(line[:3]): tuple(map(float, line[4:7])) for line in lines if "corrected" in line[0]}
    shown = [row for row in result["shares"] if row["set"] in charts.SETS and row.get("corrected")]
    assert found and set(found.values()) == {(*row["corrected"]["simultaneous"], row["n"]) for row in shown}


# ------------------------------------------------------------------------------------------------------------- the Learn tab

# What the lesson's script keeps to itself; its models take too long to train here.
LESSON = "train = () => {}; Object.assign(window, { start_round });"
MEASURING = (*learn_tab.MEASURING, "address", "measuring_view")


def lesson(page: Any, name: str = "lesson", *scripts: str, address: str = "") -> None:
    """A part of the Learn tab at an address of its own, where the browser lets it write there."""
    page.route("http://localhost/**", lambda route: route.fulfill(content_type="text/html", body="<!doctype html><body>"))
    page.goto(f"http://localhost/{address}")
    html = (APP / "learn" / f"{name}.html").read_text(encoding="utf-8")
    page.evaluate(GRADIO, [html, learn_tab.script(*scripts or learn_tab.LESSON) + (LESSON if name == "lesson" else ""), None])
    if name == "lesson":
        worked_out(page)


def worked_out(page: Any) -> None:
    """Waits until all levels are known."""
    page.locator("[data-error-says]", has_text="At this level").wait_for(state="attached")


def test_a_question_holds_the_setting_that_it_asks_about(page: Any) -> None:
    """The answer was worked out for whatever was set since."""
    lesson(page)
    page.click("[data-start]")
    for slider, value in (("n", "400"), ("biased", "10"), ("level", "0")):
        page.wait_for_function(f"document.querySelector('[data-{slider}]').value === '{value}'")
    for part in ("[data-n]", "[data-biased]", "[data-redraw]", "[data-handles] .ring", "[data-presets] button"):
        assert not page.evaluate("part => { document.querySelector(part).focus(); return document.activeElement.matches(part); }", part)
    page.locator("[data-level]").fill("2")  # every picture is of this level, and no answer is
    page.click("[data-reveal]")
    assert "It is 36 %" in page.inner_text("[data-guess] .told")
    page.locator("[data-n]").fill("100")
    page.click("[data-next]")
    page.evaluate("location.hash = '#learn/ratio?preset=moved'")
    page.get_by_text("groups stand elsewhere").wait_for()
    page.locator("[data-start]").wait_for()
    assert page.locator(".covered, .learn [inert]").count() == 0


def test_the_keyboard_is_led_from_question_to_question_and_out(page: Any) -> None:
    lesson(page)
    page.focus("[data-start]")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent").startswith("The biased set has 1 point in 10")
    page.locator("[data-reveal]:enabled").press("Enter")
    assert page.evaluate(FOCUS) == {"next": ""}
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent").startswith("And at noise level")
    page.focus("[data-leave]")
    page.keyboard.press("Enter")
    assert page.evaluate(FOCUS) == {"start": ""}


def test_what_a_question_hid_is_back_when_it_is_left(page: Any) -> None:
    lesson(page)
    page.click("[data-start]")
    page.evaluate("start_round(2)")
    page.get_by_text("error ?").first.wait_for()
    page.click("[data-leave]")
    assert "?" not in page.inner_text(".fields")


def test_an_answer_in_points_is_told_in_points(page: Any) -> None:
    lesson(page)
    page.click("[data-start]")
    page.evaluate("start_round(5)")
    page.locator("[data-slide]").fill("47")
    page.click("[data-reveal]")
    assert "It is 20 points. You said 47 points: 1 of 10 points." in page.inner_text(".told")
    assert "1 of 60 points" in page.inner_text("[data-guess] .hint")


def test_lesson_1_leaves_the_address_to_where_one_has_gone(page: Any) -> None:
    """It came back seconds later with its own, and the page opened there when it was loaded again."""
    lesson(page)
    for where, gone in (("#learn/measuring?case=rare", False), ("", True), ("#learn/ratio?preset=rare&n=100", False)):
        page.evaluate("document.querySelector('[data-error-says]').textContent = ''")
        page.locator("[data-width]").press("ArrowRight")
        if "ratio" not in where:
            page.evaluate("where => history.replaceState(null, '', location.pathname + where)", where)
        page.locator("#component").evaluate("(part, gone) => { part.style.display = gone ? 'none' : ''; }", gone)
        worked_out(page)
        found = page.evaluate("location.hash")
        assert "width=" in found if "ratio" in where else found == where
        page.locator("#component").evaluate("part => { part.style.display = ''; }")


def test_a_setting_that_was_changed_is_no_longer_called_by_its_example(page: Any) -> None:
    for name, scripts, example, slider, other, own in (
        ("lesson", learn_tab.LESSON, "A rare group", "biased", "40", "10"),
        ("measuring", MEASURING, "A usual classifier", "missed", "20", "10"),
    ):
        lesson(page, name, *scripts)
        button, about = page.get_by_role("button", name=example), page.locator("[data-about]")
        for value, changed in ((other, True), (own, False)):
            page.locator(f"[data-{slider}]").fill(value)
            sync_api.expect(button).to_have_attribute("aria-pressed", "false" if changed else "true")
            assert about.inner_text().endswith(" Changed since.") == changed


def test_copy_link_is_called_so_again_after_two_presses(page: Any) -> None:
    lesson(page, "measuring", *MEASURING)
    button = page.locator("[data-link]")
    for _ in range(2):
        button.click()
        sync_api.expect(button).not_to_have_text("Copy link")
    sync_api.expect(button).to_have_text("Copy link")


def test_lesson_2_draws_its_studies_at_the_edge_of_what_can_be_measured(page: Any) -> None:
    lesson(page, "measuring", *MEASURING, address="#learn/measuring?case=constructor&n_labelled=25")
    assert page.get_by_role("button", name="A usual classifier").count() == 1
    for missed, false_alarms, measurable in ((35, 35, True), (30, 40, True), (40, 30, True), (36, 35, False)):
        page.locator("[data-missed]").fill(str(missed))
        page.locator("[data-false_alarms]").fill(str(false_alarms))
        for _ in range(4):
            page.click("[data-redraw]")
            assert page.locator(".way svg").count() == (3 if measurable else 1)
            assert "NaN" not in page.content() and "null" not in page.content()


def test_the_tour_leaves_the_keyboard_where_it_began(page: Any) -> None:
    lesson(page, "tour", "tour")
    page.evaluate("""() => document.body.insertAdjacentHTML(
      "beforeend", "<div id=steps><button role=tab aria-selected=true>Learn</button></div>")""")
    page.focus("[data-start]")
    for end in ("[data-end]", "[data-next]"):
        page.keyboard.press("Enter")
        for _ in range(5 if end == "[data-next]" else 0):
            page.keyboard.press("Enter")
        page.locator(end).press("Enter")
        page.wait_for_function("document.activeElement.matches('[data-start]')")
    page.keyboard.press("Enter")
    page.locator("#component").evaluate("part => { part.style.display = 'none'; }")  # the tour led to another tab
    page.locator("[data-end]").press("Enter")
    page.wait_for_function("document.activeElement.matches('[role=tab]')")
