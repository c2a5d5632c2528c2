"""The page's API: named endpoints for scripts, over the same runs as the page."""

import gradio as gr

from .catalog import Catalog
from .checkpoint_api import export_endpoint, inspect_endpoint
from .compare_api import compare_endpoint
from .edit_api import edit_endpoint
from .exporting import EXPORT_QUEUE
from .generate_api import generate_endpoint
from .models import ModelHolder
from .options import PageOptions
from .turns import Line


def add_endpoints(catalog: Catalog, holder: ModelHolder, line: Line, concurrency_id: str, options: PageOptions) -> None:
    """Add the endpoints to the page that is being laid out.

    Args:
        catalog: the checkpoints that a call may name.
        holder: the server's model.
        line: who waits for the model.
        concurrency_id: the queue of everything that uses the model.
        options: what visitors may do.
    """
    gr.api(
        generate_endpoint(catalog, holder, line, options),
        api_name="generate",
        concurrency_id=concurrency_id,
        concurrency_limit=1,
    )
    edit = edit_endpoint(catalog, holder, line, options)
    gr.api(edit, api_name="edit", concurrency_id=concurrency_id, concurrency_limit=1)
    compare = compare_endpoint(catalog, holder, line, options)
    gr.api(compare, api_name="compare", concurrency_id=concurrency_id, concurrency_limit=1)
    gr.api(inspect_endpoint(catalog, options), api_name="inspect")
    export = export_endpoint(catalog, holder, options)
    gr.api(export, api_name="export", concurrency_id=EXPORT_QUEUE, concurrency_limit=1)
