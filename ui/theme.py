"""One theme, one palette, one style sheet; nothing is loaded from elsewhere."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import gradio as gr

from tiw.files import shipped

ASSETS = shipped("assets") / "app"
PLOTLY = Path(find_spec("plotly").origin).parent / "package_data" / "plotly.min.js"
PLOTLY_HEAD = '<script src="tiw/plotly.min.js"></script>'  # our own route: its place on this machine is nobody's business

# Okabe-Ito: told apart by colour-blind readers. The baseline shares the biased set's colour, the target the reference's.
COLOURS = {
    "biased": "#d55e00",
    "baseline": "#d55e00",
    "reference": "#0072b2",
    "debiased": "#009e73",
    "reweighted": "#aa4499",
    "ink": "#16202e",
}


def asset(name: str) -> str:
    """The text of a file in assets/app."""
    return (ASSETS / name).read_text(encoding="utf-8")


def html(value: str = "", **more: object) -> gr.HTML:
    """HTML that our own sheet styles, without Gradio's prose rules."""
    return gr.HTML(value, apply_default_css=False, js_on_load=None, **more)


def theme() -> gr.themes.Base:
    """Ink on paper, light also where the system prefers dark: thumbnails and charts are made for paper."""
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
    ).set(
        body_background_fill="#f8f7f3",
        body_text_color="#16202e",
        block_background_fill="#ffffff",
        block_border_width="0px",
        block_label_background_fill="transparent",
        block_title_text_weight="700",
        block_title_text_size="15px",
        block_title_text_color="#16202e",
        block_info_text_size="13.5px",
        block_info_text_color="#5a6473",
        input_background_fill="#ffffff",
        input_border_width="1px",
        input_border_color="#d8d5cd",
        input_border_color_focus="#16202e",
        button_primary_background_fill="#16202e",
        button_primary_background_fill_hover="#2e3947",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="#f1efe9",
        button_secondary_border_color="#d8d5cd",
        button_border_width="1px",
        checkbox_background_color_selected="#16202e",
        checkbox_border_color_selected="#16202e",
        checkbox_label_background_fill="#ffffff",
        checkbox_label_background_fill_selected="#f1efe9",
        checkbox_label_border_width="1px",
        checkbox_label_border_color="#d8d5cd",
        checkbox_label_border_color_selected="#16202e",
        checkbox_label_text_color_selected="#16202e",
        slider_color="#16202e",
    )
    for name in [name for name in vars(look) if name.endswith("_dark")]:
        light = getattr(look, name.removesuffix("_dark"), None)
        setattr(look, name, light)
    return look
