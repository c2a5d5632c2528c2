"""What a browser's tab is to remember of a visit, as text; and what of such a text is believed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from ...comparing.comparison import MOST_CELLS
from ...engine.catalog import Catalog
from ...engine.models import Loading
from ...engine.runs import MOST_IMAGES
from ...engine.uploads import Uploads
from ...errors import USER_ERRORS
from ...outputs.recipe import from_png
from ...text import BETWEEN_VALUES, clean_name
from ..checkpoint.panel import folders_of
from ..settings.links import from_query
from ..settings.restore import Wanted
from .kept_runs import MOST_RUNS, KeptRun, Source

MOST_LETTERS = 2_000_000  # of the text; fifty runs of 64 images have a fifth
MOST_UPLOADS = 50
MOST_IMAGES_OF_A_RUN = max(MOST_IMAGES, MOST_CELLS)
MOST_IMAGES_OF_ALL = MOST_RUNS * MOST_IMAGES
MOST_LABEL_LETTERS = 500  # of what a browser tells
NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError)


def to_text(runs: Sequence[KeptRun], uploads: Mapping[str, str], query: str = "", new_seed: bool = True) -> str:
    """Return what a tab is to remember; of very many runs the oldest are left out.

    Args:
        runs: the newest first; their images say themselves how they were made.
        uploads: name and path of each of the session's own files.
        query: of a link with the settings.
        new_seed: whether each run rolls its seed.
    """
    rest = {"uploads": dict(uploads), "settings": query, "new_seed": new_seed}
    told, left = [], MOST_LETTERS - len(json.dumps({"runs": [], **rest}))
    for run in map(to_dict, runs):
        left -= len(json.dumps(run)) + len(", ")
        if left < 0:
            break
        told.append(run)
    return json.dumps({"runs": told, **rest})


def to_dict(run: KeptRun) -> dict[str, Any]:
    """Return what a tab is to remember of a run, as `read_run` takes it."""
    sources = list(dict.fromkeys(run.sources))
    return {
        "sources": [[source.checkpoint, *told_of(source.loading)] for source in sources],
        "images": [[file, sources.index(source)] for file, source in zip(run.files, run.sources, strict=True)],
        "thumbnail": run.thumbnail,
        "title": run.title,
        "labels": run.labels,
    }


def told_of(loading: Loading | None) -> tuple[str | None, str | None, int | None]:
    """Return what was chosen of how a checkpoint is loaded."""
    return (loading.weights, loading.dtype, loading.num_heads) if loading else (None, None, None)


def settings_from(text: str) -> Wanted | None:
    """Return the settings that a tab remembers; None where it remembers none."""
    try:
        told = read(text)
        wanted = from_query(dict(parse_qsl(told.get("settings") or "")))
    except NONSENSE:
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
        told = read(text)
        found = list(told["uploads"].items())[:MOST_UPLOADS]
        uploads = {str(name): path for name, path in found if is_upload(path, catalog.uploads)}
        told_runs = list(told["runs"])[:MOST_RUNS]
    except NONSENSE:
        return [], {}
    files = catalog.files(uploads)
    runs: list[KeptRun] = []
    num_images = 0
    for told_run in told_runs:
        try:
            run = read_run(told_run, uploads, files, cache)
        except (*NONSENSE, *USER_ERRORS):  # its images are no longer there, or were never
            continue
        num_images += len(run.files)
        if num_images > MOST_IMAGES_OF_ALL:
            break
        runs.append(run)
    return runs, uploads


def read(text: str) -> dict[str, Any]:
    """Return what a text holds; raises one of NONSENSE."""
    return json.loads(text) if 0 < len(text) <= MOST_LETTERS else {}


def read_run(told: Any, uploads: Mapping[str, str], files: Mapping[str, Path], cache: Path) -> KeptRun:
    """Return a run; raises one of NONSENSE or USER_ERRORS where it is none.

    Args:
        told: of `to_dict`.
        uploads: name and path of each of the session's own files.
        files: name and path of each checkpoint that can be chosen.
        cache: no image is looked at elsewhere.
    """
    found = [read_source(source, uploads, files) for source in told["sources"][:MOST_IMAGES_OF_A_RUN]]
    images = told["images"][:MOST_IMAGES_OF_A_RUN]
    paths = tuple(path for path, _ in images)
    sources = tuple(found[index] for _, index in images)
    thumbnail, labels = told["thumbnail"], tuple(map(read_label, told["labels"][:MOST_IMAGES_OF_A_RUN]))
    if not paths or not all(is_kept(path, cache) for path in (*paths, thumbnail)) or len(labels) not in (0, len(paths)):
        raise ValueError("a run needs images, all of which are there, and a label for each or none")
    recipes = tuple(map(from_png, paths))
    return KeptRun(sources, paths, recipes, (None,) * len(paths), thumbnail, read_label(told["title"]), labels)


def read_source(told: Any, uploads: Mapping[str, str], files: Mapping[str, Path]) -> Source:
    """Return what made an image; its checkpoint may be gone."""
    name, weights, dtype, num_heads = (*told, None)[:4]  # three were remembered before heads could be given
    given = num_heads if type(num_heads) is int else None
    loading = Loading(text_or_none(weights), text_or_none(dtype), folders_of(uploads), given)
    return Source(name if name in files else clean_name(name), files.get(name), loading)


def read_label(told: str) -> str:
    """Return values that tell an image from others: one line of letters that can be shown."""
    return BETWEEN_VALUES.join(clean_name(part) for part in told[:MOST_LABEL_LETTERS].split(BETWEEN_VALUES))


def text_or_none(value: Any) -> str | None:
    """Return a text as it is; None for anything else."""
    return value if isinstance(value, str) else None


def is_upload(path: Any, uploads: Uploads) -> bool:
    """Whether a path is that of an uploaded checkpoint that may be used."""
    return uploads.limits.checkpoints and isinstance(path, str) and uploads.holds(path)


def is_kept(path: Any, cache: Path) -> bool:
    """Whether a path is that of a file below the folder."""
    if not isinstance(path, str) or "\0" in path:
        return False
    file = Path(path)
    return file.is_absolute() and cache.resolve() in file.resolve().parents and file.is_file()
