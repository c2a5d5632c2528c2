"""The page's API: named endpoints for scripts, over the same runs as the page."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

import gradio as gr

from ...engine.catalog import Catalog
from ...engine.engine import Engine
from ...engine.exports import EXPORT_QUEUE
from ...sampling.options import SamplingOptions, help_of, option_names
from ..options import PageOptions
from ..reception import Reception
from .checkpoint import export_endpoint, inspect_endpoint
from .compare import compare_endpoint
from .edit import edit_endpoint
from .generate import generate_endpoint


def add_endpoints(catalog: Catalog, engine: Engine, reception: Reception, options: PageOptions) -> None:
    """Add the endpoints to the page that is being laid out.

    Args:
        catalog: the checkpoints that a call may name.
        engine: carries calls out.
        reception: takes orders, and hands out what becomes of them.
        options: what visitors may do.
    """
    of_model = {"concurrency_limit": None}  # the engine has a line of its own
    add_endpoint(generate_endpoint(catalog, engine, reception, options), "generate", **of_model)
    add_endpoint(edit_endpoint(catalog, engine, reception, options), "edit", **of_model)
    add_endpoint(compare_endpoint(catalog, engine, reception, options), "compare", **of_model)
    add_endpoint(inspect_endpoint(catalog, options), "inspect")
    exports = {"concurrency_id": EXPORT_QUEUE, "concurrency_limit": 1}
    add_endpoint(export_endpoint(catalog, engine, options), "export", **exports)


def add_endpoint(handler: Callable[..., Any], name: str, **queue: Any) -> None:
    """Add an endpoint, each parameter and value documented.

    Gradio itself calls them "1st", "2nd", and says nothing of them.
    """
    gr.api(handler, api_name=name, **queue)
    function = list(gr.context.Context.root_block.fns.values())[-1]
    described = sections(handler)
    for texts, key, components in (
        (describe_parameters(handler, described["Parameters"]), "additional_description", function.inputs),
        (described["Returns"], "description", function.outputs),
    ):
        for component, (label, text) in zip(components, texts.items(), strict=True):
            component.label = label
            component._api_info = {**component._api_info, key: text}


def describe_parameters(handler: Callable[..., Any], texts: Mapping[str, str]) -> dict[str, str]:
    """Return what each parameter means; options of sampling say it themselves, for all others the docstring does."""
    described = {}
    for name, parameter in inspect.signature(handler).parameters.items():
        if name in option_names():
            takes_list = any(get_origin(kind) is list for kind in get_args(parameter.annotation))
            described[name] = help_of(name, by_scale=takes_list)
            if parameter.default is None:
                described[name] += f"; left out: as the checkpoint asks for, else {getattr(SamplingOptions, name)}"
        elif name != "request":
            described[name] = texts[name]
    return described


def sections(handler: Callable[..., Any]) -> dict[str, dict[str, str]]:
    """Return the names and texts of each section of a docstring, by the section's title."""
    found: dict[str, dict[str, str]] = {}
    for line in inspect.getdoc(handler).splitlines():
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if not indent and text.endswith(":"):
            section = found[text[:-1]] = {}
        elif indent == 4:
            name, _, section[name] = text.partition(": ")
        elif indent > 4:
            section[name] += f" {text}"
    return found
