"""What a run tells: a progress bar, a line of JSON every few steps, sample grids and, at the end, the curves."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from ..formats.atomic import write_atomically
from ..pictures.pixels import contact_sheet
from ..pictures.sheets import labelled_sheet


class Log:
    """`log.jsonl`: one JSON object a line, with the stage, the step and what was measured.

    Args:
        path: the file; lines are added to those there.
        enabled: whether this process writes.
    """

    def __init__(self, path: Path, enabled: bool):
        self.path, self.enabled = path, enabled

    def add(self, stage: str, step: int, **values: float | int | str) -> None:
        """Write one line."""
        if self.enabled:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"stage": stage, "step": step, **values}) + "\n")

    def cut(self, stage: str, step: int) -> None:
        """Drop the lines of a stage after a step: an interrupted run goes on from there, and writes them again."""
        if self.enabled and self.path.exists():
            kept = [line for line in self.lines() if not (line["stage"] == stage and line["step"] > step)]
            text = "".join(json.dumps(line) + "\n" for line in kept)
            write_atomically(self.path, lambda file: file.write(text.encode()))

    def lines(self) -> list[dict[str, Any]]:
        """Every whole line; one that a kill cut short is passed over."""
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []:
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found


def show(items: Iterable, label: str, total: int | None = None, enabled: bool = True) -> Iterable:
    """Pass items on, with a progress bar."""
    return tqdm(items, desc=label, total=total, disable=not enabled, leave=False, dynamic_ncols=True)


def progress_bar(label: str, enabled: bool) -> tqdm:
    """A progress bar that counts images; use it as a context."""
    return tqdm(desc=label, unit="img", unit_scale=True, disable=not enabled, dynamic_ncols=True)


def save_grid(path: Path, images: Sequence[Image.Image], columns: int, captions: Sequence[str] = ()) -> None:
    """Write images as one PNG, so many a row, with a caption below each where there are captions."""
    picture = labelled_sheet(images, captions, columns) if captions else contact_sheet(images, columns, gap=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: picture.save(file, format="PNG"))


def save_curves(log: Log, path: Path) -> None:
    """Draw what was logged of both stages over their steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [
        ("tokenizer", "psnr", "tokenizer: PSNR (dB)"),
        ("tokenizer", "loss", "tokenizer: loss"),
        ("transformer", "loss", "transformer: token loss"),
        ("transformer", "accuracy", "transformer: token accuracy"),
    ]
    lines = log.lines()
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (stage, name, title) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "held out")):
            points = [(line["step"], line[key]) for line in lines if line["stage"] == stage and key in line]
            if points:
                axes.plot(*zip(*points, strict=True), label=label)
        axes.set_title(title)
        axes.set_xlabel("step")
        if axes.lines:
            axes.legend()
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=100))
