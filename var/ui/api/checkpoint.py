"""The endpoints about a checkpoint itself: `/inspect` and `/export`."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from ...checkpoints.checkpoint import read_checkpoint
from ...checkpoints.report import describe, find_problem
from ...engine.catalog import Catalog
from ...engine.description import is_inside
from ...engine.engine import Engine
from ...engine.exports import ExportOrder, export, new_folder, remove_folder
from ...engine.models import Loading
from ...text import encodable, hide_folders
from ..options import PageOptions
from .calls import api_errors, named_file

Handler = Callable[..., Any]


def inspect_endpoint(catalog: Catalog, options: PageOptions) -> Handler:
    """Return the handler of `/inspect`."""

    async def inspect(checkpoint: str | dict = "", weights: str = "") -> dict[str, Any]:
        """Say what is in a checkpoint file, and whether it can be used.

        Parameters:
            checkpoint: name of a file in the checkpoints folder, or an uploaded file (handle_file); "" for the default.
            weights: "ema" or "raw" where the file has both; "" for the EMA.

        Returns:
            found: what `python -m var inspect FILE --json` prints, files by their names alone.
        """
        async with api_errors(catalog, checkpoint):
            name, path = named_file(catalog, checkpoint)
            return await asyncio.to_thread(report_of, path, name, weights or None, catalog.folder)

    return inspect


def for_visitors(value: Any, path: Path, name: str) -> Any:
    """Return what JSON has of a value, without the folders around a file, which is called by a name."""
    if isinstance(value, Mapping):
        return {for_visitors(str(key), path, name): for_visitors(part, path, name) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [for_visitors(part, path, name) for part in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return encodable(hide_folders(str(value), path, name))


def report_of(path: Path, name: str, weights: str | None, folder: Path) -> dict[str, Any]:
    """Return what `var inspect --json` prints, files by their names alone.

    Args:
        path: of the file.
        name: how the caller calls it.
        weights: "ema" or "raw" where the file has both.
        folder: of the server's own checkpoints.
    """
    found = read_checkpoint(path, weights)
    described = describe(found, find_problem(found), trusted=is_inside(path, folder))
    report = for_visitors(described, path, name)
    files, vqvae_file = [Path(file).name for file in report["files"]], report["vqvae_file"]
    return report | {"file": name, "files": files, "vqvae_file": vqvae_file and Path(vqvae_file).name}


def export_endpoint(catalog: Catalog, engine: Engine, options: PageOptions) -> Handler:
    """Return the handler of `/export`."""

    # It yields instead of returning, so that a caller that goes away leaves nothing behind.
    async def export_weights(
        checkpoint: str | dict = "", format: str = "safetensors", dtype: str = "", weights: str = ""
    ) -> tuple[list[str], dict[str, Any]]:
        """Write a checkpoint's weights alone, VAR and VQVAE.

        Parameters:
            checkpoint: name of a file in the checkpoints folder, or an uploaded file (handle_file); "" for the default.
            format: "safetensors" for one file with both models; "official" for plain .pth files as the reference
                implementation loads them.
            dtype: "float32", "bfloat16" or "float16"; "" keeps the precision of the file.
            weights: "ema" or "raw" where the file has both; "" for the EMA.

        Returns:
            files: the file, or the two files, the transformer's first.
            info: checkpoint; and of each file its name, bytes and sha256.
        """
        async with api_errors(catalog, checkpoint):
            if not options.exports:
                raise ValueError("This server hands out no weights.")
            name, path = named_file(catalog, checkpoint)
            order = ExportOrder(name, path, format, dtype, Loading(weights or None))
            order.check()
            pair = await asyncio.to_thread(engine.open, path, order.loading)
            folder = new_folder(get_upload_folder())
            try:
                exported = await asyncio.to_thread(export, order, pair, folder)
            except BaseException:
                remove_folder(folder)
                raise
            info = {
                "checkpoint": name,
                "names": [file.name for file in exported.paths],
                "bytes": list(exported.num_bytes),
                "sha256": list(exported.sha256),
            }
            yield [gr.FileData(path=str(file)).model_dump() for file in exported.paths], info

    return export_weights
