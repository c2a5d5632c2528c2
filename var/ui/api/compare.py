"""The endpoint `/compare`, over the same comparisons as the page."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from ...comparing.axes import Names
from ...comparing.comparison import BatchStep, Cell, CellResult, ModelChoice
from ...engine.catalog import Catalog
from ...engine.comparisons import ComparisonOrder, ask, cell_label, write_files
from ...engine.engine import Engine
from ...pictures.sheets import DARK, LIGHT
from ...sampling.declaration import is_whole
from ...sampling.options import SamplingOptions
from ..options import PageOptions
from ..reception import Reception
from .calls import api_errors, events_of, named_file, options_of, progress_info, with_options


def compare_endpoint(
    catalog: Catalog, engine: Engine, reception: Reception, options: PageOptions
) -> Callable[..., Any]:
    """Return the handler of `/compare`.

    Args:
        catalog: the checkpoints that a call may name.
        engine: carries calls out.
        reception: takes orders, and hands out what becomes of them.
        options: what visitors may do.
    """

    # Gradio documents the endpoint from this signature. It yields for the reasons of `/generate`.
    async def compare(
        request: gr.Request,
        x_kind: str = "cfg_scale",
        x_values: str = "0, 1.5, 4",
        y_kind: str = "",
        y_values: str = "",
        z_kind: str = "",
        z_values: str = "",
        checkpoint: str | dict = "",
        class_label: int | None = 0,
        seed: int = 0,
        *,
        sampling: Mapping[str, Any],
        dark: bool = False,
    ) -> tuple[str, str, dict[str, Any]]:
        """Make one image for every combination of values along up to three axes; at most 256.

        Parameters:
            x_kind: what varies from column to column: "checkpoint", "weights", "dtype", "class", "seed", "cfg_scale",
                "cfg_curve", "cfg_start", "cfg_end", "top_k", "top_p", "temperature", "more_smooth"; "" for nothing.
            x_values: its values as typed on the page: "0, 1.5, 4", "0-10:2", "banana, 3", "ep-10.pth, ep-20.pth".
            y_kind: what varies from row to row.
            y_values: its values.
            z_kind: what varies from grid to grid.
            z_values: its values.
            checkpoint: name of a file in the checkpoints folder, or an uploaded file (handle_file); "" for the default.
            class_label: index of the class where no axis varies it; null for no class.
            seed: seed of every image where no axis varies it.
            dark: whether the picture has a dark background.

        Returns:
            picture: the labelled grid, a PNG file.
            bundle: zip of the picture, the single images with their settings inside, and images.json.
            info: number of images, what they share, and the images that could not be made, with the reason. While the
                job runs, after each scale and without files: scale, num_scales, images_done and num_images.
        """
        async with api_errors(catalog, checkpoint):
            name, path = named_file(catalog, checkpoint)
            description = await asyncio.to_thread(engine.describe, path)
            sampling = await options_of(engine, path, sampling)
            base = base_cell(name, class_label, seed, len(description.class_names), sampling)
            names = Names(description.class_names, list(dict.fromkeys((name, *catalog.names()))))
            typed, files = [(x_kind, x_values), (y_kind, y_values), (z_kind, z_values)], catalog.files() | {name: path}
            comparison = await asyncio.to_thread(ask, typed, base, names, partial(engine.class_names, files))
            order = ComparisonOrder(comparison, files)
            results: list[CellResult] = []
            async for event in events_of(engine, reception, request, order):
                if isinstance(event, CellResult):
                    results.append(event)
                elif isinstance(event, BatchStep):
                    done, total = len(results), len(comparison.cells)
                    yield None, None, progress_info(event.scale_index, event.patch_nums, done, total)
            failed = [
                {"image": cell_label(result.cell, comparison.axes), "reason": result.error}
                for result in results
                if result.error
            ]
            if len(failed) == len(results):
                raise ValueError(failed[0]["reason"])
            info = {"num_images": len(results) - len(failed), "shared": comparison.note, "failed": failed}
            with TemporaryDirectory() as folder:
                palette = DARK if dark else LIGHT
                picture, bundle = await asyncio.to_thread(write_files, Path(folder), comparison, results, palette)
                yield gr.FileData(path=str(picture)).model_dump(), gr.FileData(path=str(bundle)).model_dump(), info

    return with_options(compare, by_scale=False)


def base_cell(checkpoint: str, class_label: int | None, seed: int, num_classes: int, sampling: dict[str, Any]) -> Cell:
    """What holds where no axis says otherwise; raises ValueError for a value that no model takes."""
    if not is_whole(seed):
        raise ValueError(f"seed must be a whole number, not {seed!r}.")
    options = SamplingOptions((class_label,), (seed,), **sampling)
    options.check(num_classes)
    return Cell(ModelChoice(checkpoint), options)
