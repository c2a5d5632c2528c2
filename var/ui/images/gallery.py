"""The images of a run in progress as the gallery shows them, and the files behind them."""

from ...engine.events import Finished, Scale
from ...engine.runs import Order
from ...outputs.recipe import caption
from ..history.kept_runs import KeptRun, Source, thumbnail
from .panel import Folder

Shown = list[tuple[str, str]]  # file and caption of each image


class ShownImages:
    """The files of a run in progress: finished images, previews, and places for what is not begun.

    Args:
        folder: for the files.
    """

    def __init__(self, folder: Folder) -> None:
        self.finished: list[Finished] = []
        self._folder = folder
        self._files: list[str] = []  # of the finished images
        self._previews: list[str] = []
        self._begun = False

    def update(self, scale: Scale) -> Shown | None:
        """Take in one more scale; returns the images as they are now, None where nothing new is to be seen."""
        for finished in scale.finished:
            self.finished.append(finished)
            self._files.append(self._folder.write_image(finished.image, finished.recipe))
        if not scale.finished and not scale.previews and self._begun:
            return None
        coming = scale.recipes[len(self._files) :]
        new = [
            self._folder.write_preview(image, recipe, scale.scale_index)
            for image, recipe in zip(scale.previews, coming, strict=False)
        ]
        # An image for which there was no time this time stays as it was.
        self._previews = new if scale.finished else new + self._previews[len(new) :]
        self._begun = True
        files = self._files + self._previews
        files += [self._folder.write_empty(scale.recipes[0].image_size)] * (len(scale.recipes) - len(files))
        return list(zip(files, map(caption, scale.recipes), strict=True))

    def previews(self, scale: Scale) -> Shown:
        """Return what was seen of the images in progress, each with its caption."""
        return list(zip(self._previews, map(caption, scale.recipes[len(self._files) :]), strict=False))

    def kept_run(self, order: Order) -> KeptRun:
        """Return what is kept of the finished images."""
        path = self._folder.path("thumbnail.jpg")
        thumbnail([finished.image for finished in self.finished]).save(path)
        return KeptRun(
            (Source(order.name, order.path, order.loading),) * len(self.finished),
            tuple(self._files),
            tuple(finished.recipe for finished in self.finished),
            tuple(finished.tokens for finished in self.finished),
            path,
        )
