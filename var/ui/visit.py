"""What a visit keeps when its page is loaded again: its runs, uploads and settings, as its browser tab tells them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from ..compare import MOST_CELLS
from ..recipe import from_png
from .catalog import Catalog
from .checkpoint_panel import dropdown_update, folders_of
from .fill_events import values_from
from .history import MOST_RUNS, KeptRun, Source
from .links import from_query, link_values, to_query
from .messages import USER_ERRORS
from .models import Loading
from .parts import Parts, Updates
from .picked_events import shown_run
from .restore import Wanted
from .runs import MOST_IMAGES
from .wiring import AT_ONCE

MOST_LETTERS = 4_000_000  # of what a tab tells; fifty comparisons of 256 images have half
MOST_TITLE_LETTERS = 200
MOST_UPLOADS = 50
KEY = "var-visit"
TELL = f'(told, choice) => [sessionStorage.getItem("{KEY}") ?? "", choice]'
REMEMBER = f'(text) => {{ try {{ sessionStorage.setItem("{KEY}", text); }} catch {{ /* no room: then not */ }} }}'
MOST_KEPT_IMAGES = max(MOST_IMAGES, MOST_CELLS)  # of a run
SHOWN_AGAIN = "From before this page was loaded"


def wire_reload(parts: Parts, opened: gr.events.Dependency) -> gr.events.Dependency:
    """Bring runs and uploads back after the page was loaded again; settings follow where links are read.

    Args:
        parts: of the page.
        opened: the event of a page that is brought up to date.

    Returns:
        The event after which they are back.
    """
    checkpoint, history, images = parts.checkpoint, parts.history, parts.images

    def remember(text: str, choice: str | None) -> Updates:
        runs, uploads = from_text(text, parts.catalog, Path(history.gallery.GRADIO_CACHE))
        updates = {checkpoint.uploads: uploads, history.told: text}
        if uploads:
            updates[checkpoint.choice] = dropdown_update(parts.catalog, uploads, choice)
        if runs:
            updates |= history.updates(runs) | shown_run(images, runs[0], SHOWN_AGAIN)
        return updates

    outputs = [checkpoint.uploads, checkpoint.choice, history.told, *history.outputs]
    outputs += [images.gallery, images.shown, images.bundle, images.status, *images.of_picked]
    return opened.then(
        remember,
        [history.told, checkpoint.choice],
        outputs,
        js=TELL,
        **AT_ONCE,
    )


def wire_memory(parts: Parts, events: Sequence[gr.events.Dependency]) -> None:
    """Let the browser's tab remember runs, uploads and settings after each of these events."""

    def tell(data: dict[gr.blocks.Block, Any]) -> str:
        query = to_query(data[choice], link_values(values_from(data, parts.settings.controls)))
        return to_text(data[history.runs], data[uploads], query, data[parts.settings.controls["new_seed"]])

    history = parts.history
    choice, uploads = parts.checkpoint.choice, parts.checkpoint.uploads
    asked = {history.runs, choice, uploads, *parts.settings.controls.values()}
    for event in events:
        told = event.then(tell, asked, [history.told], **AT_ONCE)
        told.then(None, [history.told], None, js=REMEMBER, **AT_ONCE)


def to_text(runs: Sequence[KeptRun], uploads: Mapping[str, str], query: str = "", new_seed: bool = True) -> str:
    """Return what a tab is to remember.

    Args:
        runs: the newest first; their images say themselves how they were made.
        uploads: name and path of each of the session's own files.
        query: of a link with the settings.
        new_seed: whether each run rolls its seed.
    """
    told = []
    for run in runs:
        sources = list(dict.fromkeys(run.sources))
        images = [[file, sources.index(source)] for file, source in zip(run.files, run.sources, strict=True)]
        told.append(
            {
                "sources": [to_list(source) for source in sources],
                "images": images,
                "thumbnail": run.thumbnail,
                "title": run.title,
                "labels": run.labels,
            }
        )
    return json.dumps({"runs": told, "uploads": dict(uploads), "settings": query, "new_seed": new_seed})


def to_list(source: Source) -> list[str | None]:
    """Return what a tab is to remember of what made an image, as `read_source` takes it."""
    loading = source.loading or Loading()
    return [source.checkpoint, loading.weights, loading.dtype]


def settings_from(text: str) -> Wanted | None:
    """Return the settings that a tab remembers; None where it remembers none."""
    try:
        told = json.loads(text) if 0 < len(text) <= MOST_LETTERS else {}
        wanted = from_query(dict(parse_qsl(told.get("settings") or "")))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    if wanted is None:
        return None
    return replace(wanted, values={**wanted.values, "new_seed": told.get("new_seed") is not False}, silent=True)


def from_text(text: str, catalog: Catalog, cache: Path) -> tuple[list[KeptRun], dict[str, str]]:
    """Return the runs and uploads that a tab remembers, as far as their files are still there.

    Args:
        text: of `to_text`, but it comes from a browser and may be anything.
        catalog: the checkpoints.
        cache: the folder of what visitors made and uploaded; no other file is looked at.
    """
    try:
        told = json.loads(text) if 0 < len(text) <= MOST_LETTERS else {}
        found = {str(name): path for name, path in list(told["uploads"].items())[:MOST_UPLOADS]} if told else {}
        uploads = {name: path for name, path in found.items() if is_kept(path, cache)}
        runs = [read_run(run, uploads, catalog, cache) for run in (told["runs"] if told else [])[:MOST_RUNS]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return [], {}
    return [run for run in runs if run is not None], uploads


def read_run(told: Any, uploads: Mapping[str, str], catalog: Catalog, cache: Path) -> KeptRun | None:
    """Return a run; None where its images are no longer there, or were never."""
    images = told["images"][:MOST_KEPT_IMAGES]
    files = tuple(file for file, _ in images)
    if not files or not all(is_kept(file, cache) for file in (*files, told["thumbnail"])):
        return None
    try:
        recipes = tuple(map(from_png, files))
    except USER_ERRORS:
        return None
    found = [read_source(source, uploads, catalog) for source in told["sources"][:MOST_KEPT_IMAGES]]
    sources = tuple(found[index] for _, index in images)
    title, labels = str(told["title"])[:MOST_TITLE_LETTERS], [str(label) for label in told["labels"]]
    labels = tuple(label[:MOST_TITLE_LETTERS] for label in labels) if len(labels) == len(files) else ()
    return KeptRun(sources, files, recipes, (None,) * len(files), told["thumbnail"], title, labels)


def read_source(told: Any, uploads: Mapping[str, str], catalog: Catalog) -> Source:
    """Return what made an image; its checkpoint may be gone."""
    name, weights, dtype = told
    try:
        path = catalog.resolve(str(name), uploads)
    except FileNotFoundError:
        path = None
    return Source(str(name), path, Loading(text_or_none(weights), text_or_none(dtype), folders_of(uploads)))


def text_or_none(value: Any) -> str | None:
    """Return a text as it is; None for anything else."""
    return value if isinstance(value, str) else None


def is_kept(path: Any, cache: Path) -> bool:
    """Whether a path is that of a file below the folder."""
    if not isinstance(path, str) or "\0" in path:
        return False
    file = Path(path)
    return file.is_absolute() and cache.resolve() in file.resolve().parents and file.is_file()
