"""The card of the model in the box, served as a page of its own: what it was made of, how, and how good it is."""

from html import escape
from pathlib import Path
from string import Template

from markdown_it import MarkdownIt
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from ..checkpoints.box import BOXED_MODEL
from .static import FOLDER

MODEL = Path(BOXED_MODEL).stem
CARD = f"{MODEL}.md"
BESIDE = {f"{MODEL}.png": "image/png", f"{MODEL}.LICENSE": "text/plain; charset=utf-8"}  # what the card shows and names
PLACE = "card"  # in the page's address


def card_address(checkpoints: Path) -> str | None:
    """Return where the card is, relative to the page; None where the model in the box is not among the checkpoints."""
    return f"{PLACE}/{CARD}" if (checkpoints / CARD).is_file() else None


def card_route(checkpoints: Path) -> Route:
    """Return where the card is served, and the files beside it that it shows and names."""

    def card(request: Request) -> Response:
        name = request.path_params["name"]
        path = checkpoints / name
        if not (name == CARD or name in BESIDE) or not path.is_file():
            raise HTTPException(404)
        if name in BESIDE:
            return FileResponse(path, media_type=BESIDE[name])
        return HTMLResponse(card_page(path.read_text(encoding="utf-8")))

    return Route(f"/{PLACE}/{{name}}", card)


def card_page(text: str) -> str:
    """Return a page from the Markdown of a card; HTML in it is shown as text."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    template = Template((FOLDER / "model_card.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(text.lstrip("# ").partition("\n")[0]), body=body)
