"""How a training goes whose checkpoint is chosen: its curve, its newest samples, the time left; while one looks."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from ...engine.catalog import Catalog
from ...engine.description import is_inside
from ...training.progress import Progress, Sheet, read_progress
from ..compare.grid import file_address
from ..events import AT_ONCE
from ..html import duration
from ..runs import Updates
from .panel import Choice, Follower
from .view import CheckpointView

LOOK_SECONDS = 5
WIDTH, HEIGHT = 320, 110  # of the curves, in units of their own
MAX_SHEET_WIDTH, MAX_SHEET_HEIGHT, QUALITY = 1024, 2048, 85
MAX_PIXELS = 50_000_000  # of a sheet
STAGES = {"tokenizer": "the tokenizer", "transformer": "the transformer"}


@dataclass(frozen=True)
class TrainingPanel:
    """The panel's components.

    Args:
        catalog: the checkpoints; the trainings in their folder are shown, no others.
        fold: is there as long as the checkpoint lies in the folder of a training.
        shown: curve and samples.
        timer: looks again from time to time.
    """

    catalog: Catalog
    fold: gr.Accordion
    shown: gr.HTML
    timer: gr.Timer

    def updates(self, path: Path | None) -> Updates:
        """Return what is shown of the training of a checkpoint's file; None: there is none."""
        progress = self.progress(path)
        if progress is None:
            return {self.fold: gr.update(visible=False), self.shown: "", self.timer: gr.update(active=False)}
        fold = gr.update(visible=True, label=heading(progress), open=progress.goes_on)
        return {self.fold: fold, self.shown: training_html(progress), self.timer: gr.update(active=True)}

    def progress(self, path: Path | None) -> Progress | None:
        """Return how far the training is in whose folder a file lies; None where it is not one of the server's."""
        return read_progress(path.parent) if path and is_inside(path, self.catalog.folder) else None

    @property
    def follower(self) -> Follower:
        """Another checkpoint has another training."""
        components = [self.fold, self.shown, self.timer]
        return Follower(components, lambda choice, is_first: self.updates(choice.path))


def create_training_panel(catalog: Catalog, first: Choice) -> TrainingPanel:
    """Lay out the panel for the checkpoint that the page opens with."""
    with gr.Accordion("Training", open=False, visible=False, elem_id="training", elem_classes="fold") as fold:
        shown = gr.HTML("", elem_id="training-shown")
    panel = TrainingPanel(catalog, fold, shown, gr.Timer(LOOK_SECONDS, active=False))
    progress = panel.progress(first.path)
    if progress is not None:
        fold.visible, fold.label, fold.open, panel.timer.active = True, heading(progress), progress.goes_on, True
        shown.value = training_html(progress)
    return panel


def wire_training(panel: TrainingPanel, view: CheckpointView) -> None:
    """Look from time to time how the training goes."""

    def look(before: str, uploads: dict[str, str], loaded: str | None) -> Updates:
        files: Mapping[str, Path] = view.catalog.files(uploads)
        progress = panel.progress(files.get(loaded or ""))
        if progress is None:
            return panel.updates(None)
        shown = training_html(progress)
        return {panel.fold: gr.update(label=heading(progress)), panel.shown: gr.skip() if shown == before else shown}

    outputs = [panel.fold, panel.shown, panel.timer]
    panel.timer.tick(look, [panel.shown, view.panel.uploads, view.panel.loaded], outputs, **AT_ONCE)


def heading(progress: Progress) -> str:
    """Return how far a training is, in a line."""
    epochs = f"{progress.epoch} of {progress.epochs}" if progress.epochs else str(progress.epoch)
    if progress.is_over:
        return f"Training: done, {progress.epoch} epochs"
    if not progress.goes_on:
        return f"Training: stopped in epoch {epochs}"
    left = f", about {duration(progress.seconds_left)} left" if progress.seconds_left else ""
    return f"In training: epoch {epochs}{left}"


def training_html(progress: Progress) -> str:
    """Return curve and samples of a training."""
    told = f"{progress.measure[0].upper()}{progress.measure[1:]} of {STAGES[progress.stage]}"
    legend = "".join(
        f'<li class="{label.replace(" ", "-")}">{label} <b>{points[-1][1]:.3f}</b></li>'
        for label, points in progress.curves.items()
        if points
    )
    picture = ""
    if progress.sheet is not None and (address := sheet_address(progress.sheet)):
        caption = f"Samples after epoch {progress.sheet.epoch}"
        picture = (
            f'<figure><a href="{escape(address)}" target="_blank"><img src="{escape(address)}" alt="{caption}, large">'
            f"</a><figcaption>{caption}</figcaption></figure>"
        )
    return (
        f'<div class="training"><p>{escape(told)}, step {progress.step:,}</p>{curves_svg(progress.curves, told)}'
        f"<ul>{legend}</ul>{picture}</div>"
    )


def curves_svg(curves: Mapping[str, Sequence[tuple[int, float]]], told: str) -> str:
    """Return a drawing of curves over their steps.

    Args:
        curves: step and value of each point by the curve's name.
        told: what it shows, for those who do not see it.
    """
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return ""
    steps, values = zip(*points, strict=True)
    first, last, least, most = min(steps), max(steps), min(values), max(values)

    def place(step: int, value: float) -> str:
        x = WIDTH * (step - first) / max(1, last - first)
        y = HEIGHT - HEIGHT * (value - least) / ((most - least) or 1)
        return f"{x:.1f},{y:.1f}"

    lines = "".join(
        f'<polyline class="{label.replace(" ", "-")}" points="{" ".join(place(*point) for point in curve)}"/>'
        for label, curve in curves.items()
        if curve
    )
    return (
        f'<div class="curves"><span>{most:.3g}</span><span>{least:.3g}</span>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(told)}, '
        f'from {values[0]:.3g} on, between {least:.3g} and {most:.3g}">{lines}</svg></div>'
    )


def sheet_address(sheet: Sheet) -> str | None:
    """Return where a small copy of a sheet is served; None where it cannot be read now."""
    name = hashlib.sha256(f"{sheet.path} {sheet.made}".encode()).hexdigest()[:24]
    copy = Path(get_upload_folder()) / "training" / f"{name}.webp"
    if not copy.exists():
        try:
            with Image.open(sheet.path, formats=["PNG"]) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                small = image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None
        small.thumbnail((MAX_SHEET_WIDTH, MAX_SHEET_HEIGHT))
        copy.parent.mkdir(parents=True, exist_ok=True)
        small.save(copy, "WEBP", quality=QUALITY)
    return file_address(str(copy))
