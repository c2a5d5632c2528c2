"""Right of the page, last tab: the runs of this session, to be shown again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..html import hint_line
from ..static import read_script
from .kept_runs import MOST_RUNS, KeptRun
from .tree import tree_html

EXPLANATION = f"The last {MOST_RUNS} runs of this tab. Click one to see it again. The server deletes them after a day."


@dataclass(frozen=True)
class HistoryPanel:
    """The panel's components.

    Args:
        tree: which image is a branch of which.
        runs: session state, the newest first.
        told: not shown, what the browser's tab is to remember of them.
    """

    gallery: gr.Gallery
    tree: gr.HTML
    runs: gr.State
    told: gr.Textbox

    @property
    def outputs(self) -> list[gr.blocks.Block]:
        """What `updates` changes."""
        return [self.gallery, self.tree, self.runs]

    def updates(self, runs: Sequence[KeptRun]) -> dict[gr.blocks.Block, Any]:
        """Return the updates that show these runs."""
        shown = [(run.thumbnail, run.caption) for run in runs]
        return {self.runs: runs, self.gallery: shown, self.tree: tree_html(runs)}


def create_history_panel() -> HistoryPanel:
    """Lay out the panel."""
    gr.HTML(hint_line(EXPLANATION), elem_id="history-note")
    tree = gr.HTML("", js_on_load=read_script("buttons"), elem_id="tree")
    gallery = gr.Gallery(
        label="Runs of this visit",
        show_label=False,
        columns=6,
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="history",
    )
    return HistoryPanel(gallery, tree, gr.State([]), gr.Textbox(visible=False, label="Visit"))
