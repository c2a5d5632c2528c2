"""What the handlers share: the server's parts, and the panels of the page."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..engine.catalog import Catalog
from ..engine.models import ModelHolder
from ..engine.pace import Pace
from ..engine.queue import Line
from .checkpoint.export_panel import ExportPanel
from .checkpoint.hub_panel import HubPanel
from .checkpoint.panel import CheckpointPanel, Choice
from .compare.panel import ComparePanel
from .edit.panel import EditPanel
from .history.panel import HistoryPanel
from .images.panel import ImagesPanel
from .settings.panel import SettingsPanel

Updates = dict[gr.blocks.Block, Any]


@dataclass(frozen=True)
class Parts:
    """What the handlers need.

    Args:
        catalog: the checkpoints that can be chosen.
        holder: the server's model.
        line: who waits for the model.
        pace: how long images took.
        checkpoint, hub, export, settings, images, edit, compare, history: the panels.
        first: the checkpoint that the page was laid out for.
    """

    catalog: Catalog
    holder: ModelHolder
    line: Line
    pace: Pace
    checkpoint: CheckpointPanel
    hub: HubPanel
    export: ExportPanel
    settings: SettingsPanel
    images: ImagesPanel
    edit: EditPanel
    compare: ComparePanel
    history: HistoryPanel
    first: Choice

    @property
    def statuses(self) -> list[gr.HTML]:
        """Where tabs say whether they are ready, which is up to the checkpoint alone."""
        return [self.images.status, self.compare.status]

    @property
    def problems(self) -> list[gr.HTML]:
        """Where tabs say what went wrong."""
        return [self.images.problem, self.edit.images.problem, self.compare.problem]
