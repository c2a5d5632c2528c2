"""The page's API: named endpoints for scripts, over the same runs as the page."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta

from ..build import check
from ..checkpoint import read_checkpoint
from ..commands.inspect import describe
from ..errors import CheckpointError
from .catalog import Catalog
from .images_panel import write_pngs
from .messages import USER_ERRORS, error_text
from .models import ModelHolder
from .runs import Order, carry_out

Handler = Callable[..., Any]


def add_endpoints(catalog: Catalog, holder: ModelHolder, concurrency_id: str) -> None:
    """Add `/generate` and `/inspect` to the page that is being laid out.

    Args:
        catalog: the checkpoints that a call may name.
        holder: the server's model.
        concurrency_id: the queue of everything that uses the model.
    """
    gr.api(generate_endpoint(catalog, holder), api_name="generate", concurrency_id=concurrency_id, concurrency_limit=1)
    gr.api(inspect_endpoint(catalog), api_name="inspect")


def generate_endpoint(catalog: Catalog, holder: ModelHolder) -> Handler:
    """Return the handler of `/generate`."""

    # Gradio documents the endpoint from this signature: the types are those that the caller sees. It yields instead of
    # returning, so that the files are copied to the server's cache before their folder goes.
    def generate(
        class_labels: list[int],
        checkpoint: str | dict = "",
        num_images: int = 1,
        seed: int = 0,
        cfg_scale: float = 4.0,
        top_k: int = 900,
        top_p: float = 0.95,
        more_smooth: bool = False,
    ) -> tuple[list[str], dict[str, Any]]:
        """Generate images of classes.

        Parameters:
            class_labels: list of class indices.
            checkpoint: name of a file in the checkpoints folder, or an uploaded file (handle_file); "" for the default.
            num_images: images of each class.
            seed: seed of the first image; each further image takes the next number.
            cfg_scale: guidance, 0 is off.
            top_k: draw each token from the k likeliest, 0 is off.
            top_p: draw from the likeliest tokens that make up this share, 0 is off.
            more_smooth: blend tokens instead of picking one, for softer images.

        Returns:
            images: PNG files.
            info: checkpoint, class labels, class names and seeds, one an image.
        """
        with api_errors(), TemporaryDirectory() as folder:
            name, path = named_file(catalog, checkpoint)
            order = Order(path, as_labels(class_labels), num_images, seed, cfg_scale, top_k, top_p, more_smooth)
            *_, frame = carry_out(holder, order, threading.Event())
            files = write_pngs(
                Path(folder), frame.images, frame.class_names, order.image_seeds, order.settings_text(name)
            )
            info = {
                "checkpoint": name,
                "class_labels": order.image_labels,
                "class_names": frame.class_names,
                "seeds": order.image_seeds,
            }
            yield [gr.FileData(path=file).model_dump() for file, _ in files], info

    return generate


def inspect_endpoint(catalog: Catalog) -> Handler:
    """Return the handler of `/inspect`."""

    def inspect(checkpoint: str | dict = "") -> dict[str, Any]:
        """Say what is in a checkpoint file, and whether it can be used.

        Parameters:
            checkpoint: name of a file in the checkpoints folder, or an uploaded file (handle_file); "" for the default.

        Returns:
            found: what `python -m var inspect FILE --json` prints, files by their names alone.
        """
        with api_errors():
            name, path = named_file(catalog, checkpoint)
            found = read_checkpoint(path)
            problem = None
            try:
                check(found)
            except CheckpointError as error:
                problem = error
            report = json.loads(json.dumps(describe(found, problem), default=str).replace(str(path), name))
            vqvae_file = report["vqvae_file"]
            return report | {"file": name, "vqvae_file": vqvae_file and Path(vqvae_file).name}

    return inspect


@contextmanager
def api_errors() -> Iterator[None]:
    """Hand errors that a caller can bring about over as one line."""
    try:
        yield
    except USER_ERRORS as error:
        # Gradio shows a message as HTML, here and on the page of a caller's own app.
        raise gr.Error(escape(error_text(error)), print_exception=False) from error


def named_file(catalog: Catalog, checkpoint: Any) -> tuple[str, Path]:
    """Return the name and the path of the checkpoint that a call asks for; raises for anything else."""
    if is_file_obj_with_meta(checkpoint):
        # Gradio has made sure that this path lies among the files uploaded to it.
        path = Path(checkpoint["path"])
        return checkpoint.get("orig_name") or path.name, path
    if not isinstance(checkpoint, str | None):
        raise ValueError("checkpoint must be the name of a file in the checkpoints folder, or handle_file(...) of one.")
    path = catalog.resolve(checkpoint)
    return path.name, path


def as_labels(class_labels: Any) -> list[int]:
    """Return the class indices that a call asks for; raises ValueError for anything but a list of whole numbers."""
    if not isinstance(class_labels, list) or not all(type(label) is int for label in class_labels):
        raise ValueError(f"class_labels must be a list of class indices such as [3, 7], not {class_labels!r}.")
    return class_labels
