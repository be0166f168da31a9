"""Tab 5: two lessons with known truth, ten questions, a tour. All of it runs in the browser, from files in assets/app/learn."""

from __future__ import annotations

import re

import gradio as gr

from . import html, learn_words, theme

# Files of a component's script, in the order they build on each other; the first ones of a lesson know no page.
RATIO = ("random", "mixtures", "regression", "ratio", "training")
MEASURING = ("random", "measuring")
LESSON = (*RATIO, "measuring", "address", "draw", "samples", "predictions", "lesson", "lesson_view")
OPEN = theme.asset("learn/open.js")  # opens the tab when the address names a lesson


def script(*names: str) -> str:
    return "\n".join(theme.asset(f"learn/{name}.js") for name in names)


def build() -> None:
    theme.html(
        html.lead(
            "Learn how it works, where the truth is known",
            "Move points, weights and noise, and see what a density ratio is worth, why it is learnt at every noise level, and what each "
            "method makes of it. Only the tour needs runs, and nothing here needs a network.",
        )
        + learn_words.what("learn")
    )
    _part("tour", "tour")
    theme.html('<div class="tiw-lead"><h2>Lesson 1: what noise does to a density ratio</h2></div>')
    _part("lesson", *LESSON)
    theme.html(
        '<div class="tiw-lead"><h2>Lesson 2: counting with a classifier that errs</h2>'
        "<p>A share counted by a classifier carries its errors. "
        "Three ways to report it, each tried in 1,000 simulated studies.</p></div>"
    )
    _part("measuring", *MEASURING, "address", "measuring_view")
    theme.html('<div class="tiw-lead"><h2>Ten questions</h2><p>Short answers with a figure, and a setting of the lesson to try.</p></div>')
    for title, text in questions():
        with gr.Accordion(title, open=False, elem_classes="learn-questions"):
            gr.Markdown(text)


def _part(name: str, *scripts: str) -> gr.HTML:
    return gr.HTML(
        "",
        html_template=theme.asset(f"learn/{name}.html"),
        js_on_load=script(*scripts),
        apply_default_css=False,
        elem_id=f"learn-{name}",
    )


def questions() -> list[tuple[str, str]]:
    """(question, answer in Markdown) of docs/questions, its figures at the address that the page serves them from."""
    _, *parts = re.split(r"^## ", (theme.FIGURES / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    answers = [re.sub(r"\]\((\w+\.webp)\)", r"](tiw/figures/\1)", part) for part in parts]
    return [(title, text) for title, _, text in (answer.partition("\n") for answer in answers)]
