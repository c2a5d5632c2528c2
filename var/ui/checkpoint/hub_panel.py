"""Top left of the page: checkpoints from the Hugging Face Hub."""

from dataclasses import dataclass
from html import escape

import gradio as gr

from ...checkpoints.remote import Peek
from ...hub.addresses import parse_address
from ...hub.known_models import KNOWN_MODELS, KnownModel, find_known
from ...text import clean_name, format_bytes
from ..unchecked import Dropdown
from .card import meter_html


@dataclass(frozen=True)
class HubPanel:
    """The panel's components."""

    model: gr.Dropdown
    about: gr.HTML
    download: gr.Button
    cancel: gr.Button
    progress: gr.HTML
    arrived: gr.State


def create_hub_panel(visible: bool, other_models: bool = True) -> HubPanel:
    """Lay out the panel.

    Args:
        visible: whether visitors may download.
        other_models: also what is not in the list.
    """
    with gr.Accordion("From the Hugging Face Hub", open=False, visible=visible, elem_id="hub", elem_classes="fold"):
        model = Dropdown(
            [(model.name, model.source) for model in KNOWN_MODELS],
            value=KNOWN_MODELS[0].source,
            allow_custom_value=other_models,
            label="Model",
            info="One of the list, or any owner/repo/path or its address." if other_models else None,
            elem_id="hub-model",
        )
        about = gr.HTML(about_html(KNOWN_MODELS[0].source), elem_id="hub-about")
        with gr.Row(elem_id="hub-actions"):
            download = gr.Button("Download", elem_id="hub-download")
            cancel = gr.Button("Cancel", interactive=False, elem_id="hub-cancel")
        progress = gr.HTML("", elem_id="hub-progress")
    return HubPanel(model, about, download, cancel, progress, gr.State(None))


def about_html(text: str | None, looked: str = "") -> str:
    """Return what is known of a model before it is downloaded.

    Args:
        text: what stands in the field.
        looked: what a look at the Hub told, as `look_html` says it.
    """
    try:
        address = parse_address(text or "")
        known = find_known(address.repo, address.path)
    except ValueError:
        known = None
    if known is None:
        return (
            '<div class="about"><p>A model that is not in the list: its licence and settings are on its page.</p>'
            f"{looked}</div>"
        )
    lines = [" · ".join((f"{known.image_size} × {known.image_size}", _size(known), known.licence))]
    lines.append(f"Its authors sample with guidance {known.cfg_scale:g}, {_draws(known)}.")
    lines += [known.note] if known.note else []
    place = f"<p class='address'>{escape(known.repo)}/{escape(known.file)}</p>"
    return f'<div class="about">{"".join(f"<p>{escape(line)}</p>" for line in lines)}{place}{looked}</div>'


def look_html(found: Peek | None) -> str:
    """Return what a look into a file on the Hub told; "" where only the whole file tells it."""
    if found is None:
        return ""
    size, comes = format_bytes(found.num_bytes), format_bytes(found.download_bytes)
    amount = size if found.download_bytes >= found.num_bytes else f"{comes} of {size} are to download, the weights"
    lines = (found.checkpoint.summary(), f"{amount}. {found.scan}", *found.checkpoint.warnings)
    return "".join(f"<p>{escape(clean_name(line))}</p>" for line in lines)


def progress_html(done: int, total: int) -> str:
    """Return how far a download is; `total` is 0 as long as it is not known."""
    if not total:
        return meter_html("Asking the Hub …", 0, 0)
    return meter_html(f"{format_bytes(done)} of {format_bytes(total)}", done, total)


def _size(known: KnownModel) -> str:
    return format_bytes(known.num_bytes) if known.num_bytes else "size unknown"


def _draws(known: KnownModel) -> str:
    if not known.top_k and not known.top_p:
        return "from all tokens"
    return f"top-k {known.top_k}, top-p {known.top_p:g}"
