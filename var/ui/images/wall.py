"""The wall of classes: a picture of each, which a click generates; it and the picker of classes are one choice."""

import asyncio
import secrets
import shutil
import threading
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...checkpoints.folder import Fingerprint
from ...engine.class_pictures import Pictured
from ...engine.engine import Engine
from ...engine.models import Loading
from ...errors import USER_ERRORS
from ...outputs.class_sheet import ClassSheet, read_class_sheet
from ..checkpoint.panel import Choice, Follower
from ..compare.grid import file_address
from ..static import read_script

TEMPLATE = """<div class="head"><p><b></b> <span id="wall-hint">Click one and watch it grow. ✓ or Shift collects
several.</span></p>
<input type="search" placeholder="Find a class" aria-label="Find a class on the wall" autocomplete="off"></div>
<ul aria-label="Classes to generate" aria-describedby="wall-hint"></ul>
<p class="none" role="status"></p>"""
PLACE = "class-pictures"  # in the page's address
MAX_ASKED = 200  # pictures at a time
MAX_SHOWN = 1000  # checkpoints whose walls are answered


@dataclass(frozen=True)
class _Shown:
    """A checkpoint on a wall, as it was loaded, and the version of its file."""

    path: Path
    loading: Loading
    version: Fingerprint | None


class Walls:
    """What walls show, and the pictures that come while somebody looks at them.

    Args:
        engine: makes them in spare time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shown: OrderedDict[str, _Shown] = OrderedDict()  # by the name on pages; that used last at the end
        self._guard = threading.Lock()

    def create(self, choice: Choice) -> gr.HTML:
        """Make the wall of the checkpoint that the page opens with, to be rendered where it stands."""
        return gr.HTML(
            self.value_of(choice),
            html_template=TEMPLATE,
            js_on_load=read_script("wall"),
            apply_default_css=False,
            elem_id="wall",
            render=False,
        )

    def value_of(self, choice: Choice) -> dict[str, Any]:
        """Return what the wall shows of a checkpoint, beside the names, which the picker has.

        Returns:
            `first`, the classes that come first where not all are trained; `sheet`: where the pictures are, how many
            stand beside one another, and how many there are; None where there are none; `coming`: what to ask for
            pictures with that are made in spare time; None where none are.
        """
        description, path = choice.description, choice.path
        if description is None or path is None:
            return {"first": [], "sheet": None, "coming": None}
        first, sheet = list(description.trained_classes or ()), read_class_sheet(path, description.file_hash)
        if sheet is None:
            return {"first": first, "sheet": None, "coming": self._name(path, choice.loading)}
        address = file_address(str(served(sheet)))
        told = {"address": address, "columns": sheet.columns, "count": sheet.count}
        return {"first": first, "sheet": told, "coming": None}

    def follower(self, wall: gr.HTML) -> Follower:
        """Another checkpoint has other pictures; so has the same one loaded otherwise, or written anew."""
        return Follower([wall], lambda choice, is_first: {wall: self.value_of(choice)}, always=True)

    def route(self) -> Route:
        """Return where pages ask for pictures that are made in spare time."""

        async def pictures(request: Request) -> Response:
            try:
                asked = await request.json()
                name, labels = asked["wall"], asked["labels"]
                if not all(type(label) is int for label in labels) or len(labels) > MAX_ASKED:
                    raise ValueError
                with self._guard:
                    shown = self._shown[name]
                    self._shown.move_to_end(name)
            except (ValueError, TypeError, LookupError):
                return Response(status_code=404)
            told = await asyncio.to_thread(self._pictures, shown, labels)
            found = {label: f"data:image/webp;base64,{b64encode(data).decode()}" for label, data in told.found.items()}
            return JSONResponse({"pictures": found, "more": told.more})

        return Route(f"/{PLACE}", pictures, methods=["POST"])

    def _name(self, path: Path, loading: Loading) -> str:
        """Return what stands for a checkpoint on pages: drawn by chance, so that nobody can name another's file."""
        shown = _Shown(path, loading, self._engine.version(path))
        with self._guard:
            for name, other in self._shown.items():
                if other == shown:
                    return name
            name = secrets.token_urlsafe(12)
            self._shown[name] = shown
            while len(self._shown) > MAX_SHOWN:
                self._shown.popitem(last=False)
        return name

    def _pictures(self, shown: _Shown, labels: Sequence[int]) -> Pictured:
        if self._engine.version(shown.path) != shown.version:
            return Pictured()  # the page will hear of it
        try:
            return self._engine.class_pictures(shown.path, labels, shown.loading)
        except USER_ERRORS:
            return Pictured()


def served(sheet: ClassSheet) -> Path:
    """Return a copy of a sheet among the files that Gradio serves."""
    copy = Path(get_upload_folder()) / "classes" / f"{sheet.checkpoint_hash}.webp"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sheet.path, copy)
    return copy
