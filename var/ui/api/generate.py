"""The endpoint `/generate`, over the same runs as the page."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from ...engine.catalog import Catalog
from ...engine.engine import Engine
from ...engine.events import Finished, Scale
from ...engine.runs import Order, Parent
from ...outputs.recipe import from_png
from ..images.panel import Folder
from ..options import PageOptions
from ..reception import Reception
from .calls import api_errors, events_of, named_file, options_of, progress_info, uploaded, with_options


def generate_endpoint(
    catalog: Catalog, engine: Engine, reception: Reception, options: PageOptions
) -> Callable[..., Any]:
    """Return the handler of `/generate`.

    Args:
        catalog: the checkpoints that a call may name.
        engine: carries calls out.
        reception: takes orders, and hands out what becomes of them.
        options: what visitors may do.
    """

    # Gradio documents the endpoint from this signature: the types are those that the caller sees. It yields instead of
    # returning: to tell how far it is, to be stopped, and to have the files copied before their folder goes.
    async def generate(
        request: gr.Request,
        class_labels: list[int],
        checkpoint: str | dict = "",
        num_images: int | list[int] = 1,
        seed: int = 0,
        *,
        sampling: Mapping[str, Any],
        branch_from: dict | None = None,
        keep_scales: int = 0,
    ) -> tuple[list[str], dict[str, Any]]:
        """Generate images of classes.

        Parameters:
            class_labels: list of class indices; null for no class.
            checkpoint: name of a file in the checkpoints folder, or an uploaded file (handle_file); "" for the default.
            num_images: images of each class, or a list with a number for each; at most 64 in all.
            seed: seed of the first image; each further image takes the next number.
            branch_from: a PNG that the checkpoint made here (handle_file), whose first scales are kept; null for none.
            keep_scales: how many of its scales are kept, from 1.

        Returns:
            images: PNG files; each carries its settings. While the job runs there are none.
            info: checkpoint, class labels, class names and seeds, one an image. While the job runs, after each scale:
                scale, num_scales, images_done and num_images.
        """
        async with api_errors(catalog, checkpoint):
            name, path = named_file(catalog, checkpoint)
            labels = as_labels(class_labels)
            sampling = await options_of(engine, path, sampling)
            parent = (
                None if branch_from is None else Parent(from_png(uploaded(branch_from, "branch_from")), keep_scales)
            )
            order = Order(path, name, labels, num_images, seed, sampling, previews=False, branch=parent)
            async for told in result_of(engine, reception, request, order):
                yield told

    return with_options(generate)


async def result_of(
    engine: Engine, reception: Reception, request: gr.Request, order: Order
) -> AsyncIterator[tuple[list[dict], dict[str, Any]]]:
    """Carry an order out: yields how far it is after each scale, and at last the files and what is told of them.

    The files go when the iterator ends. To close it stops the run: what a caller who cancels, or is gone, brings about.
    """
    images: list[Finished] = []
    with TemporaryDirectory() as cache:
        async for event in events_of(engine, reception, request, order):
            if isinstance(event, Scale):
                images += event.finished
                yield [], progress_info(event.scale_index, event.patch_nums, event.num_finished, len(event.recipes))
        folder = Folder(cache)
        files = await asyncio.to_thread(lambda: [folder.write_image(one.image, one.recipe) for one in images])
        info = {
            "checkpoint": order.name,
            "class_labels": order.image_labels,
            "class_names": [one.recipe.class_name for one in images],
            "seeds": order.image_seeds,
        }
        yield [gr.FileData(path=file).model_dump() for file in files], info


def as_labels(class_labels: Any) -> list[int | None]:
    """Return the class indices that a call asks for; raises ValueError for anything but a list of them."""
    if not isinstance(class_labels, list) or not all(label is None or type(label) is int for label in class_labels):
        raise ValueError(f"class_labels must be a list of class indices such as [3, 7], not {class_labels!r}.")
    return class_labels
