"""How the page looks before any layout: colours, type and corners, for light and dark."""

import base64
from pathlib import Path

import gradio as gr

from .static import FOLDER

# The film of class 0, seed 102, guidance 3 of the model in the box, its scales side by side.
GROWING = FOLDER / "growing.webp"

# Grays with a trace of warmth, so that photographs on white do not look blue beside them.
_PAPER = gr.themes.Color(
    c50="#fafaf8",
    c100="#f3f3ef",
    c200="#e6e5df",
    c300="#d2d0c8",
    c400="#a3a097",
    c500="#757268",
    c600="#57554d",
    c700="#3f3d38",
    c800="#292825",
    c900="#1c1b19",
    c950="#131211",
    name="paper",
)
_LEAF = gr.themes.Color(
    c50="#eef7f3",
    c100="#d8ece3",
    c200="#b3dac8",
    c300="#84c1a7",
    c400="#56a586",
    c500="#37896b",
    c600="#276d55",
    c700="#205846",
    c800="#1c4739",
    c900="#183b30",
    c950="#0c211b",
    name="leaf",
)


def style_sheets() -> list[Path]:
    """Return the page's style sheets: the layout first, then one a panel."""
    return sorted(FOLDER.glob("*.css"), key=lambda sheet: (sheet.name != "page.css", sheet.name))


def growing_style() -> str:
    """Return the style of the page that shows an image growing, which needs no request of its own."""
    data = base64.b64encode(GROWING.read_bytes()).decode("ascii")
    return f':root {{ --growing: url("data:image/webp;base64,{data}"); }}'


def create_theme() -> gr.Theme:
    """Return the page's theme; its fonts are the system's, so that nothing is fetched."""
    sans = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    theme = gr.themes.Base(
        primary_hue=_LEAF,
        secondary_hue=_LEAF,
        neutral_hue=_PAPER,
        radius_size=gr.themes.sizes.radius_lg,
        font=[gr.themes.Font(name) for name in sans],
        font_mono=[gr.themes.Font(name) for name in mono],
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_800",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_title_text_weight="600",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_400",
        input_shadow_focus="0 0 0 3px color-mix(in srgb, *primary_500 22%, transparent)",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="white",
        button_primary_text_color_dark="*neutral_950",
        button_primary_shadow="none",
        button_primary_shadow_hover="none",
        button_secondary_background_fill="white",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        button_large_text_weight="600",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_500",
        error_border_color_dark="#7a2e24",
    )
