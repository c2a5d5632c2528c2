"""What the handlers share: the server's parts, and the panels of the page."""

from dataclasses import dataclass

import gradio as gr

from ..engine.catalog import Catalog
from ..engine.engine import Engine
from .checkpoint.export_panel import ExportPanel
from .checkpoint.hub_panel import HubPanel
from .checkpoint.panel import CheckpointPanel, Choice
from .compare.panel import ComparePanel
from .edit.panel import EditPanel
from .history.panel import HistoryPanel
from .images.panel import ImagesPanel
from .listeners import Listeners
from .settings.panel import SettingsPanel


@dataclass(frozen=True)
class Parts:
    """What the handlers need.

    Args:
        catalog: the checkpoints that can be chosen.
        engine: computes.
        listeners: who hears of it.
        checkpoint, hub, export, settings, images, edit, compare, history: the panels.
        first: the checkpoint that the page was laid out for.
    """

    catalog: Catalog
    engine: Engine
    listeners: Listeners
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
