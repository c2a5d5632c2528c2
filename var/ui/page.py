"""The page: the panels and what happens in them, put together."""

from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from ..engine.catalog import Catalog
from ..engine.choose import Cluster, create_engine
from ..engine.class_pictures import ClassPictures
from ..engine.exports import remove_folder
from ..engine.preload import Preload
from ..engine.tasks import MAX_SESSIONS
from ..engine.uploads import GB, UploadLimits, Uploads
from ..hub.download import OWN_ACCESS
from .api.endpoints import add_endpoints
from .checkpoint.events import wire_changed_file, wire_checkpoint
from .checkpoint.export_events import wire_export
from .checkpoint.export_panel import create_export_panel
from .checkpoint.hub_events import access_of, fetch, wire_hub
from .checkpoint.hub_panel import create_hub_panel
from .checkpoint.panel import create_checkpoint_panel, first_choice, tab_follower
from .checkpoint.training import create_training_panel, wire_training
from .checkpoint.view import CheckpointView
from .compare.events import wire_compare
from .compare.panel import create_compare_panel
from .edit.events import EDIT_TAB, editing_of, wire_edit
from .edit.panel import create_edit_panel
from .guard import guarding, refuse_addresses
from .health import health_routes
from .history.panel import create_history_panel
from .history.visit import wire_memory, wire_reload
from .images.generate import wire_generation, wire_shortcut
from .images.panel import create_images_panel
from .images.picked import HISTORY_TAB, IMAGES_TAB, wire_history, wire_picked
from .images.wall import Walls
from .link_preview import TITLE, LinkPreview, picture_route
from .listeners import Listeners
from .metrics import Metrics
from .model_card import MODEL, card_address, card_route
from .options import PageOptions
from .reception import Reception
from .server_folder import UPLOADS
from .settings.events import wire_link, wire_settings
from .settings.fill import Fill
from .settings.panel import create_settings_panel, first_values
from .static import FOLDER, read_script
from .theme import create_theme, growing_style, style_sheets

COMPARE_TAB = "compare"
CLASSES = "pictures-of-classes"  # a folder
LOOKING_SECONDS = 0.3  # at the files of the folder before the page is up; the rest is told later
MAX_EVENTS = 1000  # that wait in Gradio's queue, which would be 1 on ZeroGPU; the line of runs is the engine's
QUEUE_SECONDS = 0.01  # between two looks at the queue; Gradio's own 0.001 takes a fifth of the speed of two cores
HEADER = Template("""
<header id="masthead">
  <span class="mark" aria-hidden="true"><i></i><i></i><i></i><i></i></span>
  <div>
    <h1>VAR</h1>
    <p><b>Visual AutoRegressive modeling</b> makes images scale by scale: a few coarse tokens, then all of each finer
    map at once.</p>
  </div>
  <nav aria-label="About VAR">
    <a href="https://arxiv.org/abs/2404.02905" target="_blank" rel="noopener">Paper</a>
    <a href="https://github.com/FoundationVision/VAR" target="_blank" rel="noopener">Code</a>
    <a href="https://huggingface.co/FoundationVision/var" target="_blank" rel="noopener">Models</a>
    $card
  </nav>
</header>
""")
CARD_LINK = '<a href="%s" target="_blank" title="%s, the model in the box">Model card</a>'


def create_page(checkpoints: Path, device: str | None = None, options: PageOptions | None = None) -> gr.Blocks:
    """Lay out the page.

    Args:
        checkpoints: folder of checkpoints; may be empty or missing, the page says what to do then.
        device: "cpu", "cuda", "cuda:1", "mps"; None: the best that the machine has.
        options: what visitors may do, and what the server keeps.

    Returns:
        The page, to be launched with `launch_options()`.
    """
    options = options or PageOptions()
    limits = UploadLimits(
        *(round(size * GB) for size in (options.largest_upload, options.visitor_uploads, options.all_uploads)),
        checkpoints=options.uploads,
    )
    catalog = Catalog(checkpoints, Uploads(Path(get_upload_folder()) / UPLOADS, limits))
    catalog.look_for(LOOKING_SECONDS)
    engine = create_engine(
        options.engine,
        checkpoints,
        device,
        options.keep,
        options.max_operations * 1e12 or None,
        ClassPictures(options.cache / CLASSES),
        ClassPictures(Path(get_upload_folder()) / CLASSES),
        Cluster(options.address, options.workers, options.max_workers, access_of(options)),
        max_waiting=options.max_waiting,
    )
    metrics = Metrics(engine, catalog.uploads) if options.metrics else None
    reception = Reception(engine, Listeners(), options.max_seconds, metrics)
    preload = Preload(options.preload, catalog, engine, fetch_as_owner) if options.preload else None
    first, card = first_choice(catalog, engine), card_address(checkpoints)
    walls = Walls(engine)
    ready = first.description is not None
    status = "Ready" if ready else "Choose a checkpoint first"
    values = first_values(first.description)
    num_images = len(values["classes"]) * values["num_images"]
    day = 24 * 60 * 60
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(day, day)) as blocks:
        wall = walls.create(first)
        gr.HTML(HEADER.substitute(card=CARD_LINK % (card, MODEL) if card else ""))
        with gr.Row(elem_id="columns", equal_height=False):
            with gr.Column(elem_id="left", min_width=300):
                with gr.Group(elem_classes="card"):
                    checkpoint_panel = create_checkpoint_panel(catalog, engine, first, options.uploads)
                    training_panel = create_training_panel(catalog, first)
                    with checkpoint_panel.fold:
                        hub_panel = create_hub_panel(options.hub, options.other_models)
                        export_panel = create_export_panel(options.exports, ready, remove_folder)
                with gr.Group(elem_classes="card"):
                    settings_panel = create_settings_panel(first.description)
            with gr.Column(elem_id="right", min_width=300), gr.Tabs(selected=IMAGES_TAB, elem_id="tabs") as tabs:
                with gr.Tab("Images", id=IMAGES_TAB):
                    images_panel = create_images_panel(
                        status,
                        num_images,
                        wall=wall,
                        copy_link=settings_panel.copy_link,
                        kept=settings_panel.kept,
                    )
                with gr.Tab("Edit", id=EDIT_TAB):
                    edit_panel = create_edit_panel(first.description, num_images)
                with gr.Tab("Compare", id=COMPARE_TAB) as compare_tab:
                    compare_panel = create_compare_panel(status)
                with gr.Tab("History", id=HISTORY_TAB):
                    history_panel = create_history_panel()
        tabs_with_runs = (images_panel, compare_panel)
        followers = [export_panel.follower, settings_panel.follower, edit_panel.follower]
        followers += [walls.follower(wall), training_panel.follower]
        followers += [tab_follower(panel.status, panel.problem) for panel in tabs_with_runs]
        view = CheckpointView(catalog, engine, checkpoint_panel, followers)
        problems = [panel.problem for panel in (*tabs_with_runs, edit_panel.images)]
        fill = Fill(view, settings_panel, [panel.status for panel in tabs_with_runs], problems)
        of_images = (images_panel, edit_panel.images)
        if options.api:
            # First, for a private handler's name would be taken from an endpoint that comes after it.
            add_endpoints(catalog, engine, reception, options)
        opened, uploaded = wire_checkpoint(blocks, view, first)
        wire_training(training_panel, view)
        wire_hub(blocks, hub_panel, view, options)
        wire_export(export_panel, view, options)
        wire_shortcut(blocks)
        blocks.load(None, None, None, js=read_script("page"), show_progress="hidden", api_visibility="private")
        brought_back = wire_reload(opened, view, history_panel, images_panel)
        wire_link(brought_back, view, fill, history_panel.told, images_panel.of_link)
        wire_settings(settings_panel, view, fill, [panel.generate for panel in of_images], images_panel.problem)
        wire_edit(edit_panel, of_images, view, fill, tabs)
        wire_history(history_panel, images_panel, tabs)
        of_runs = (view, settings_panel, history_panel, reception)
        made = wire_generation(blocks, images_panel, *of_runs)
        edited = wire_generation(blocks, edit_panel.images, *of_runs, editing_of(edit_panel))
        compared = wire_compare(blocks, compare_tab, compare_panel, *of_runs, fill)
        for panel in of_images:
            wire_picked(panel, view, fill, reception, tabs)
        wire_changed_file(view, [made, edited])
        wire_memory([made, edited, compared, uploaded], view, history_panel, settings_panel)
    blocks.queue(max_size=MAX_EVENTS)
    blocks._queue.sleep_when_free = QUEUE_SECONDS
    blocks.engine, blocks.reception, blocks.uploads, blocks.preload = engine, reception, catalog.uploads, preload
    blocks.routes = [
        picture_route(),
        card_route(checkpoints),
        walls.route(),
        *health_routes(reception, preload, metrics),
    ]
    refuse_addresses(blocks)
    return blocks


def fetch_as_owner(source: str, report: Callable[[int, int], None]) -> tuple[str, Path]:
    """Download what the person who starts the server asked for; see `fetch`."""
    return fetch(source, OWN_ACCESS, report)


def launch_options(page: gr.Blocks, options: PageOptions | None = None) -> dict[str, Any]:
    """Return how a page is launched.

    Args:
        page: of `create_page`.
        options: where it is served; None for a free port of this machine.
    """
    options = options or PageOptions()
    served = guarding(page.uploads, page.reception.listeners, options)
    served["middleware"].append(Middleware(LinkPreview))
    return {
        "server_name": options.host,
        "server_port": options.port,
        "share": options.share,
        "root_path": options.root_path or None,
        "ssr_mode": False,  # a second server in front, of which a Space would make use
        "theme": create_theme(),
        "css": growing_style(),
        "css_paths": style_sheets(),
        "favicon_path": str(FOLDER / "favicon.svg"),
        "footer_links": ["api", "settings"] if options.api else ["settings"],
        "enable_monitoring": False,  # it would tell everybody what everybody does; `--metrics` tells whoever runs it
        "run_history": False,
        "mcp_server": options.mcp and options.api,
        "app_kwargs": served | {"routes": page.routes},
        "state_session_capacity": MAX_SESSIONS,
        "max_file_size": round(options.largest_upload * GB),
    }
