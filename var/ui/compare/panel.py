"""Compare: what varies along columns, rows and grids; the grid of images; two of them side by side."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import gradio as gr

from ...comparing.axes import KINDS, WORDS_FOR_NO_CLASS, Names
from ...comparing.comparison import MOST_CELLS
from ...engine.comparisons import Comparison
from ...outputs.settings_text import NO_CLASS
from ...sampling.options import DECLARATIONS
from ..html import counted, duration, error_banner, status_line
from ..images.panel import recipe_html
from ..unchecked import Dropdown
from .grid import EMPTY_GRID, ShownImage

NOTHING = "none"
MOST_REASONS = 5
MOST_FILLED_CHECKPOINTS = 6
MOST_FILLED_CLASSES = 8
FIRST_KINDS = ("cfg_scale", "seed", None)
TITLES = ("Columns", "Rows", "Grids")
EXAMPLES = {
    "class": "banana, 3, 10-12",
    "seed": "0-3",
    "cfg_scale": "0, 1.5, 4 or 0-8:2",
    "top_p": "0.8, 0.95 or 0.8-1:0.05",
}
LIMITS = f"At most {MOST_CELLS} images at a time."

# The grid is a table of buttons; a click tells which image it was.
TELL_CELL = """element.addEventListener("click", event => {
  const button = event.target.closest("[data-image]");
  if (!button) return;
  document.getElementById("compare-grid").dataset.clicked = button.dataset.image;
  trigger("click");
});"""


@dataclass(frozen=True)
class AxisRow:
    """What varies along one direction."""

    kind: gr.Dropdown
    values: gr.Textbox
    fill: gr.Button


@dataclass(frozen=True)
class ComparePanel:
    """The panel's components.

    Args:
        shown: session state, the finished images.
        kept: session state, what the history is to keep of the last comparison; None where there is nothing.
        dark: not shown, whether the page is dark.
    """

    axes: tuple[AxisRow, ...]
    plan: gr.HTML
    run: gr.Button
    stop: gr.Button
    status: gr.HTML
    problem: gr.HTML
    grid: gr.HTML
    failures: gr.HTML
    picture: gr.DownloadButton
    bundle: gr.DownloadButton
    recipe: gr.HTML
    restore: gr.Button
    first: gr.Dropdown
    second: gr.Dropdown
    slider: gr.ImageSlider
    shown: gr.State
    kept: gr.State
    dark: gr.Checkbox


def create_compare_panel(state: str) -> ComparePanel:
    """Lay out the panel; `state` is what it says at first."""
    with gr.Group(elem_classes="card", elem_id="compare-axes"):
        axes = tuple(
            create_axis_row(title, kind, fill_text(kind, Names(), [], 0) if kind else "")
            for title, kind in zip(TITLES, FIRST_KINDS, strict=True)
        )
        plan = gr.HTML("", elem_id="compare-plan")
    with gr.Row(elem_classes="of-actions"):
        run = gr.Button("Compare", variant="primary", elem_id="compare-run", elem_classes="of-generate")
        stop = gr.Button("Stop", interactive=False, elem_id="compare-stop", elem_classes="of-stop")
    status = gr.HTML(status_line(state), elem_id="compare-status")
    problem = gr.HTML("", elem_id="compare-problem")
    grid = gr.HTML(EMPTY_GRID, js_on_load=TELL_CELL, elem_id="compare-grid")
    failures = gr.HTML("", elem_id="compare-failures")
    with gr.Row(elem_id="compare-files"):
        picture = gr.DownloadButton("Picture (PNG)", elem_id="compare-picture", size="sm", interactive=False)
        bundle = gr.DownloadButton("All images (ZIP)", elem_id="compare-bundle", size="sm", interactive=False)
    with gr.Column(elem_id="compare-pair"):
        with gr.Row(elem_id="compare-choices"):
            first = Dropdown([], label="A, left", elem_id="compare-first")
            second = Dropdown([], label="B, right", elem_id="compare-second")
        slider = gr.ImageSlider(
            label="Two images side by side",
            show_label=False,
            buttons=["fullscreen"],
            interactive=False,
            elem_id="compare-slider",
        )
        recipe = gr.HTML("", elem_id="compare-recipe")
        restore = gr.Button("Use the settings of B", size="sm", elem_id="compare-restore")
    dark = gr.Checkbox(visible=False)
    return ComparePanel(
        axes, plan, run, stop, status, problem, grid, failures, picture, bundle, recipe, restore, first, second,
        slider, gr.State(()), gr.State(None), dark,
    )  # fmt: skip


def create_axis_row(title: str, kind: str | None, values: str) -> AxisRow:
    """Lay out one direction."""
    word = title.lower()
    with gr.Row(elem_classes="axis"):
        choice = Dropdown(
            [(NOTHING, "")] + [(kind.title, name) for name, kind in KINDS.items()],
            value=kind or "",
            label=title,
            elem_id=f"compare-{word}-kind",
            elem_classes="axis-kind",
        )
        typed = gr.Textbox(
            values,
            label=values_label(kind),
            max_lines=4,
            interactive=bool(kind),
            elem_id=f"compare-{word}-values",
            elem_classes="axis-values",
        )
        fill = gr.Button("Suggest", interactive=bool(kind), elem_id=f"compare-{word}-fill", elem_classes="axis-fill")
    return AxisRow(choice, typed, fill)


def values_label(kind: str | None) -> str:
    """Return the label of the values, which says how they are typed."""
    return f"Values, such as {EXAMPLES.get(kind, KINDS[kind].hint)}" if kind else "Values"


def fill_text(kind: str, names: Names, class_labels: Sequence[int | None], seed: int, vocab_size: int = 4096) -> str:
    """Return sensible values of an axis, as a person would type them.

    Args:
        kind: one of `KINDS`.
        names: the classes and checkpoints that can be chosen.
        class_labels: the classes chosen in the settings.
        seed: of the settings.
        vocab_size: of the model; top-k goes no higher.
    """
    if kind == "checkpoint":
        return ", ".join(map(quoted, names.checkpoints[:MOST_FILLED_CHECKPOINTS]))
    if kind == "class":
        return ", ".join(class_word(label, names.classes) for label in class_labels[:MOST_FILLED_CLASSES])
    if kind == "seed":
        return f"{seed}-{seed + 3}"
    if kind == "top_k":
        return ", ".join(str(top_k) for top_k in DECLARATIONS[kind].suggested if top_k < vocab_size)
    return KINDS[kind].hint


def class_word(label: int | None, class_names: Sequence[str]) -> str:
    """A class as it is typed: its name, or its index where the name is not clear."""
    if label is None:
        return NO_CLASS
    name = class_names[label]
    alone = sum(other.casefold() == name.casefold() for other in class_names) == 1
    clear = alone and not name[:1].isdigit() and ";" not in name and name.casefold() not in WORDS_FOR_NO_CLASS
    return quoted(name) if clear else str(label)


def quoted(name: str) -> str:
    """A name as it stands in a list of values."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"' if set(name) & set(',"') else name


def plan_html(plan: Comparison | str, seconds: float | None = None) -> str:
    """Return what would be made and how long it takes, or why it cannot be.

    Args:
        plan: a comparison, or what is wrong with what was typed.
        seconds: as estimated; None where nothing was measured yet.
    """
    if isinstance(plan, str):
        return f'<div class="plan wrong" role="status"><p>{escape(plan)}</p></div>'
    checkpoints = len({cell.model for cell in plan.cells})
    facts = [f"<b>{counted(len(plan.cells))}</b>"]
    if checkpoints > 1:
        facts.append(f"{checkpoints} models, one after the other")
    facts.append("time not known before a first run" if seconds is None else f"about {duration(max(1, seconds))}")
    return (
        f'<div class="plan" role="status"><p>{" · ".join(facts)}</p>'
        f'<p class="note">All with {escape(plan.note)}, as in the settings. {LIMITS}</p></div>'
    )


def progress_html(done: int, total: int, share: float, remaining: float | None, remarks: Sequence[str]) -> str:
    """Return how far a comparison is.

    Args:
        done: images that are made, or cannot be made.
        total: images asked for.
        share: of the work that is done, 0 to 1: the scales of the images in progress included.
        remaining: seconds left, about; None where it is too early to tell.
        remarks: what is going on.
    """
    left = [f"about {duration(remaining)} left"] if remaining is not None and remaining >= 2 else []
    return (
        f'<div class="state" role="status"><p>{done} of {counted(total)} '
        f'<span class="remark">{escape(" · ".join([*left, *remarks]))}</span></p></div>'
        f'<div class="meter" aria-hidden="true"><i style="width:{100 * share:.1f}%"></i></div>'
    )


def failures_html(reasons: Sequence[str]) -> str:
    """Return why images were not made, each reason once."""
    shown = list(Counter(reasons).items())
    more = f"And {len(shown) - MOST_REASONS} more reasons." if len(shown) > MOST_REASONS else ""
    texts = [f"{counted(count)} not made. {reason}" for reason, count in shown[:MOST_REASONS]]
    return "".join(error_banner(text) for text in texts) + (f"<p>{more}</p>" if more else "")


def pair_html(left: ShownImage, right: ShownImage) -> str:
    """Return what the two images of the slider are, and the settings of the right one."""
    labels = f"<p>{escape(left.label)}</p><p>{escape(right.label)}</p>"
    return f'<div class="pair-labels">{labels}</div>{recipe_html(right.recipe)}'
