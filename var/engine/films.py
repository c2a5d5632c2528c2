"""An image after each of its scales, made again from its tokens or, where these are not kept, from its recipe."""

from array import array
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL.Image import Image

from ..outputs.recipe import Recipe
from ..pipeline import VARPipeline
from ..sampling.steps import Result
from ..sampling.stopping import StopSignal
from .events import FilmFrame
from .models import Loading, Models
from .pace import Pace
from .queue import Steps
from .runs import load


@dataclass(frozen=True, eq=False)
class FilmOrder:
    """Which image to show scale by scale.

    Args:
        path: the checkpoint's file.
        name: how people call it.
        image: the image, RGB; it is the last frame.
        recipe: of the image.
        tokens: as of `Finished`.
        loading: how the checkpoint was loaded; None: the usual way.
    """

    path: Path
    name: str
    image: Image
    recipe: Recipe
    tokens: "array[int] | None" = None
    loading: Loading | None = None

    def check(self) -> None:
        """Raise ValueError where the image cannot be made again."""
        if self.tokens is None and self.recipe.edited:
            raise ValueError(
                "The scales of this image are no longer kept, and it cannot be made again: "
                "it was made from another image. Edit that one again."
            )


def film(models: Models, order: FilmOrder, pace: Pace, stop: StopSignal) -> Steps:
    """Decode an image after each of its scales.

    Args:
        models: the server's.
        order: checked.
        pace: is told how long the load took.
        stop: once set, it ends within a block of the transformer, or before the next scale.

    Yields:
        `LoadingModel`, and `FilmFrame` for each scale, coarse to fine.

    Raises:
        ValueError: the checkpoint is another one by now, or cannot be used.
        FileNotFoundError: it is gone.
    """
    pipeline = yield from load(models, order.path, order.loading, pace)
    if pipeline.checkpoint_hash != order.recipe.checkpoint_hash:
        raise ValueError(f"{order.name} changed since the image was made, so its scales cannot be made again.")
    result = None
    if order.tokens is not None:
        result = result_of(pipeline, order.image, order.tokens)
    else:
        for step in pipeline.stream(**order.recipe.arguments, stop=stop):
            result = step.result
    if result is None:  # stopped
        return
    tokens = None if order.recipe.options.more_smooth else array("I", result.tokens[0].tolist())
    for (image,) in pipeline.stream_film(result, stop=stop):
        yield FilmFrame(image, pipeline.var.config.patch_nums, tokens)


def result_of(pipeline: VARPipeline, image: Image, tokens: "array[int]") -> Result:
    """Return the result of a generation that ended in an image made of these tokens."""
    config = pipeline.var.config
    joined = torch.tensor([list(tokens)], device=pipeline.device)  # (1, L)
    with torch.inference_mode():
        scales = joined.split([side**2 for side in config.patch_nums], dim=1)
        latents = torch.stack(list(pipeline.vqvae.quantize.partial_sums(scales, config.patch_nums)), dim=1)
    return Result([image], joined, latents)
