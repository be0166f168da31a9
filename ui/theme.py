"""One theme, one palette, one style sheet; nothing is loaded from elsewhere."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import gradio as gr

from tiw.files import shipped

ASSETS = shipped("assets") / "app"
FIGURES = shipped("docs") / "questions"  # the ten questions of the Learn tab, text and pictures
PLOTLY = Path(find_spec("plotly").origin).parent / "package_data" / "plotly.min.js"
PLOTLY_HEAD = '<script src="tiw/plotly.min.js"></script>'  # our own route: its place on this machine is nobody's business

# Okabe-Ito, which colour-blind readers can distinguish. The baseline shares the biased set's colour, the target the reference's.
COLOURS = {
    "biased": "#d55e00",
    "baseline": "#d55e00",
    "reference": "#0072b2",
    "debiased": "#009e73",
    "reweighted": "#aa4499",
    "ink": "#16202e",
}


def asset(*names: str) -> str:
    """The text of files in assets/app, one after the other."""
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names)


def html(value: str = "", **more: object) -> gr.HTML:
    """HTML that our own sheet styles, without Gradio's prose rules."""
    return gr.HTML(value, apply_default_css=False, js_on_load=None, **more)


def theme() -> gr.themes.Base:
    """Ink on paper, paper on ink where the system prefers dark: colours come from the style sheet, which knows both."""
    ink = gr.themes.Color(
        "#f4f5f7", "#e7e9ed", "#cfd4db", "#adb5c0", "#828d9c", "#5a6473", "#434d5c", "#2e3947", "#222c3a", "#16202e", "#0e1622"
    )
    look = gr.themes.Base(
        primary_hue=ink,
        secondary_hue=ink,
        neutral_hue=ink,
        font=[gr.themes.LocalFont("IBM Plex Sans", (400, 700)), "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_lg,
        text_size=gr.themes.sizes.text_lg,
        spacing_size=gr.themes.sizes.spacing_lg,
    )
    ours = {
        "body_background_fill": "var(--paper)",
        "body_text_color": "var(--ink)",
        "body_text_color_subdued": "var(--muted)",
        "background_fill_primary": "var(--card)",
        "background_fill_secondary": "var(--soft)",
        "border_color_primary": "var(--line)",
        "block_background_fill": "var(--card)",
        "block_border_width": "0px",
        "block_label_background_fill": "transparent",
        "block_label_text_color": "var(--muted)",
        "block_title_text_weight": "700",
        "block_title_text_size": "15px",
        "block_title_text_color": "var(--ink)",
        "block_info_text_size": "13.5px",
        "block_info_text_color": "var(--muted)",
        "input_background_fill": "var(--card)",
        "input_background_fill_focus": "var(--card)",
        "input_border_width": "1px",
        "input_border_color": "var(--edge)",
        "input_border_color_focus": "var(--ink)",
        "input_placeholder_color": "var(--muted)",
        "button_primary_background_fill": "var(--ink)",
        "button_primary_background_fill_hover": "var(--muted)",
        "button_primary_text_color": "var(--card)",
        "button_primary_text_color_hover": "var(--card)",
        "button_secondary_background_fill": "var(--card)",
        "button_secondary_background_fill_hover": "var(--soft)",
        "button_secondary_text_color": "var(--ink)",
        "button_secondary_text_color_hover": "var(--ink)",
        "button_secondary_border_color": "var(--edge)",
        "button_border_width": "1px",
        "checkbox_background_color": "var(--card)",
        "checkbox_border_color": "var(--muted)",
        "checkbox_background_color_selected": "var(--pick)",
        "checkbox_border_color_selected": "var(--pick)",
        "checkbox_label_background_fill": "var(--card)",
        "checkbox_label_background_fill_hover": "var(--soft)",
        "checkbox_label_background_fill_selected": "var(--soft)",
        "checkbox_label_border_width": "1px",
        "checkbox_label_border_color": "var(--edge)",
        "checkbox_label_border_color_selected": "var(--ink)",
        "checkbox_label_text_color": "var(--ink)",
        "checkbox_label_text_color_selected": "var(--ink)",
        "slider_color": "var(--ink)",
        **{f"link_text_color{state}": "var(--reference)" for state in ("", "_hover", "_active", "_visited")},
    }
    return look.set(**ours, **{f"{name}_dark": value for name, value in ours.items() if hasattr(look, f"{name}_dark")})
