"""The endpoint `/edit`, over the same runs as the page."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from PIL import Image

from ...engine.catalog import Catalog
from ...engine.engine import Engine
from ...engine.runs import Edit, Order
from ...pictures.files import open_image
from ..options import PageOptions
from ..reception import Reception
from .calls import api_errors, named_file, options_of, uploaded, with_options
from .generate import as_labels, result_of


def edit_endpoint(catalog: Catalog, engine: Engine, reception: Reception, options: PageOptions) -> Callable[..., Any]:
    """Return the handler of `/edit`.

    Args:
        catalog: the checkpoints that a call may name.
        engine: carries calls out.
        reception: takes orders, and hands out what becomes of them.
        options: what visitors may do.
    """

    # As of `/generate`, Gradio documents the endpoint from this signature, and it yields for the same reasons.
    async def edit(
        request: gr.Request,
        image: dict,
        mask: dict | None,
        class_labels: list[int],
        checkpoint: str | dict = "",
        num_images: int | list[int] = 1,
        seed: int = 0,
        *,
        sampling: Mapping[str, Any],
        keep_scales: int = 0,
        paste: bool = True,
    ) -> tuple[list[str], dict[str, Any]]:
        """Make a part of an image anew.

        Parameters:
            image: a file (handle_file) of any size; the middle square is taken.
            mask: a file that covers the whole image, of any size; black is made anew, all else is kept. null for the
                whole image.
            class_labels: of the new part: list of class indices; null for no class.
            checkpoint: name of a file in the checkpoints folder, or an uploaded file (handle_file); "" for the default.
            num_images: images of each class, or a list with a number for each; at most 64 in all.
            seed: seed of the first image; each further image takes the next number.
            keep_scales: so many first scales stay, also where the mask is black: more keep the shapes.
            paste: whether kept pixels are the original's own; else they are as the VQVAE sees them.

        Returns:
            images: PNG files; each carries its settings. While the job runs there are none.
            info: as of /generate.
        """
        async with api_errors(catalog, checkpoint):
            wanted = await asyncio.to_thread(read_edit, image, mask, keep_scales, paste)
            name, path = named_file(catalog, checkpoint)
            labels = as_labels(class_labels)
            sampling = await options_of(engine, path, sampling)
            order = Order(path, name, labels, num_images, seed, sampling, edit=wanted, previews=False)
            async for told in result_of(engine, reception, request, order):
                yield told

    return with_options(edit)


def read_edit(image: Any, mask: Any, keep_scales: int, paste: bool) -> Edit:
    """Return what a call wants to have made of a picture; raises ValueError where there is none."""
    keep = Image.new("L", (1, 1)) if mask is None else picture(mask, "mask").convert("L")
    return Edit(picture(image, "image"), keep, keep_scales, paste)


def picture(file: Any, argument: str) -> Image.Image:
    """Return the picture that a call uploads; raises ValueError for anything else."""
    return open_image(uploaded(file, argument), argument)
