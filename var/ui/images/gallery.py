"""The images of a run in progress as the gallery shows them, and the files behind them."""

from ...engine.runs import Frame, Order
from ...outputs.recipe import caption
from ..history.kept_runs import KeptRun, Source, thumbnail
from .panel import Folder

Shown = list[tuple[str, str]]  # file and caption of each image


class ShownImages:
    """The files of a run in progress: finished images, previews, and places for what is not begun.

    Args:
        folder: for the files.
        frame: the first of the run.
    """

    def __init__(self, folder: Folder, frame: Frame) -> None:
        self._folder = folder
        self._finished: list[str] = []
        self._previews: list[str] = []
        self._begun = False
        self._empty = folder.write_empty(frame.recipes[0].image_size)

    def update(self, frame: Frame) -> Shown | None:
        """Return the images as they are now; None where nothing new is to be seen."""
        num_before = len(self._finished)
        self._write_finished(frame)
        if len(self._finished) == num_before and not frame.previews and self._begun:
            return None
        coming = frame.recipes[len(self._finished) :]
        new = [
            self._folder.write_preview(image, recipe, frame.scale_index)
            for image, recipe in zip(frame.previews, coming, strict=False)
        ]
        # An image for which there was no time this time stays as it was.
        self._previews = new + self._previews[len(new) :] if len(self._finished) == num_before else []
        self._begun = True
        files = self._finished + self._previews
        files += [self._empty] * (len(frame.recipes) - len(files))
        return list(zip(files, map(caption, frame.recipes), strict=True))

    def previews(self, frame: Frame) -> Shown:
        """Return what was seen of the images in progress, each with its caption."""
        return list(zip(self._previews, map(caption, frame.recipes[len(self._finished) :]), strict=False))

    def kept_run(self, frame: Frame, order: Order, checkpoint: str) -> KeptRun:
        """Write what is finished, and return what is kept of it; `checkpoint` is its name in the list."""
        self._write_finished(frame)
        path = self._folder.path("thumbnail.jpg")
        thumbnail([finished.image for finished in frame.finished]).save(path)
        return KeptRun(
            (Source(checkpoint, order.path, order.loading),) * len(frame.finished),
            tuple(self._finished),
            tuple(finished.recipe for finished in frame.finished),
            tuple(finished.latents for finished in frame.finished),
            path,
        )

    def _write_finished(self, frame: Frame) -> None:
        for finished in frame.finished[len(self._finished) :]:
            self._finished.append(self._folder.write_image(finished.image, finished.recipe))
