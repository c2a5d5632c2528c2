"""What the page's endpoints share: which file a call names, and errors as one line."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta

from ...engine.catalog import Catalog
from ...engine.comparisons import ComparisonOrder
from ...engine.engine import Engine
from ...engine.events import Event, Failed
from ...engine.runs import Order
from ...errors import USER_ERRORS, error_text
from ...sampling.options import DECLARATIONS, option_names
from ...sampling.presets import OWN_SETTINGS, PRESETS, fill_in
from ...text import clean_name
from ..reception import Reception

FAILED_CALL = "Something went wrong on the server. Try again."
BY_PLACE = inspect.Parameter.POSITIONAL_OR_KEYWORD  # as Gradio hands values over

log = logging.getLogger(__name__)


@asynccontextmanager
async def api_errors(catalog: Catalog, checkpoint: Any) -> AsyncIterator[None]:
    """Hand errors that a caller can bring about over as one line, which calls the file as the caller does."""
    try:
        yield
    except USER_ERRORS as error:
        text = error_text(error)
        try:
            name, path = named_file(catalog, checkpoint)
            text = error_text(error, path, name)
        except USER_ERRORS:
            pass  # then it is this that the error is about
        raise as_error(text) from error
    except (gr.Error, GeneratorExit, asyncio.CancelledError):
        raise
    except Exception as error:
        log.exception("A call failed")
        raise as_error(FAILED_CALL) from error


def uploaded(file: Any, argument: str) -> Path:
    """Return the path of a file that a call uploads; raises ValueError for anything else."""
    if not is_file_obj_with_meta(file):
        raise ValueError(f"{argument} must be a file: handle_file(...) of one.")
    return Path(file["path"])  # Gradio has made sure that it lies among the files uploaded to it


def as_error(sentence: str) -> gr.Error:
    """Return what Gradio hands over as a sentence; it shows it as HTML, here and on the page of a caller's own app."""
    return gr.Error(escape(sentence, quote=False), print_exception=False)


async def events_of(
    engine: Engine, reception: Reception, request: gr.Request, order: Order | ComparisonOrder
) -> AsyncIterator[Event]:
    """Have an order carried out, and hand out what is told; closed before its end it stops the job.

    Raises:
        gr.Error: it failed.
        OSError: the disk has no room for what it makes.
        ValueError: no model could carry it out, or too many wait.
    """
    job = reception.submit(order, request)
    try:
        async for event in reception.events(job, request.session_hash):
            if isinstance(event, Failed):
                raise as_error(event.sentence or FAILED_CALL)
            yield event
    finally:
        engine.stop(job)


def named_file(catalog: Catalog, checkpoint: Any) -> tuple[str, Path]:
    """Return the name and the path of the checkpoint that a call asks for; raises for anything else.

    Args:
        catalog: the checkpoints that a call may name.
        checkpoint: what the call gives: a name, a file that it uploaded, or "" for the default.
    """
    if is_file_obj_with_meta(checkpoint):
        path = catalog.uploads.checkpoint(checkpoint["path"])
        return clean_name(str(checkpoint.get("orig_name") or path.name)), path
    if not isinstance(checkpoint, str | None):
        raise ValueError("checkpoint must be the name of a file in the checkpoints folder, or handle_file(...) of one.")
    return checkpoint or catalog.default() or "", catalog.resolve(checkpoint)


def with_options(handler: Callable[..., AsyncIterator[Any]], *, by_scale: bool = True) -> Callable[..., Any]:
    """Return an endpoint that takes every option of sampling as a parameter, from which Gradio documents it.

    Args:
        handler: of the endpoint; gets the options as one argument, `sampling`, by name; None: left out.
        by_scale: whether a value for each scale may be given.
    """
    signature, parameters = inspect.signature(handler), []
    for parameter in signature.parameters.values():
        parameters += (
            option_parameters(by_scale) if parameter.name == "sampling" else [parameter.replace(kind=BY_PLACE)]
        )
    names = [parameter.name for parameter in parameters]

    @wraps(handler)
    async def call(*values: Any) -> AsyncIterator[Any]:
        given = dict(zip(names, values, strict=True))
        sampling = {name: given.pop(name) for name in option_names()}
        async with aclosing(handler(**given, sampling=sampling)) as told:  # so that it ends with the call
            async for each in told:
                yield each

    call.__signature__ = signature.replace(parameters=parameters)
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def option_parameters(by_scale: bool) -> list[inspect.Parameter]:
    """Return the options of sampling as parameters; those that a checkpoint may ask for can be left out."""
    parameters = []
    for name, said in DECLARATIONS.items():
        kind, default = type(said.default), said.default
        if by_scale and said.by_scale:
            kind |= list[kind]
        if name in OWN_SETTINGS:
            kind, default = kind | None, None
        parameters.append(inspect.Parameter(name, BY_PLACE, default=default, annotation=kind))
    return parameters


async def options_of(engine: Engine, path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of sampling of a call by name; what it leaves out is as the page has it at first.

    Args:
        engine: knows what a checkpoint asks to be sampled with.
        path: of the checkpoint.
        given: by name; None: left out.

    Raises:
        CheckpointError, FileNotFoundError, MemoryError: as of `Engine.describe`.
    """
    description = await asyncio.to_thread(engine.describe, path)
    return fill_in(given, PRESETS[0].settings() | dict(description.defaults))


def progress_info(scale_index: int, patch_nums: Sequence[int], images_done: int, num_images: int) -> dict[str, int]:
    """Return what a call is told while it runs; `scale_index` is that of the last scale that is done, from 0."""
    return {
        "scale": scale_index + 1,
        "num_scales": len(patch_nums),
        "images_done": images_done,
        "num_images": num_images,
    }
