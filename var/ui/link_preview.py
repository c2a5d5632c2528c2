"""What a link to the page shows elsewhere: title, description and picture, in place of Gradio's own."""

import re
from html import escape

from gradio.route_utils import get_root_url
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .static import FOLDER

TITLE = "VAR · images, scale by scale"
DESCRIPTION = (
    "Click a class and watch a Visual AutoRegressive model make its image, from a few coarse tokens to the finest map. "
    "A small model is there at once; any VAR checkpoint of yours will do, too."
)
PICTURE, WIDTH, HEIGHT = "link-preview.jpg", 1200, 630  # what most networks show whole
ALTERNATIVE = "A wall of small images of fruit, vegetables and nuts, each made by the model"
OF_GRADIO = re.compile(rb"<meta\s+(?:property=\"og:|name=\"twitter:|name=\"description\")[^>]*>\s*")
HEAD = re.compile(rb"<head[^>]*>")
MANIFEST = re.compile(rb'href="/manifest.json"')  # as if the page were served at no path of its own


class LinkPreview:
    """ASGI middleware: the page says itself what it is, with absolute addresses, where Gradio's template says its own.

    Args:
        app: what comes after it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, and write the head of the page anew."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        begun: list[Message] = []  # the beginning of a page that is held back until all of it is there
        parts: list[bytes] = []

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and is_page(message):
                begun.append(message)
            elif not begun or message["type"] != "http.response.body":
                await send(message)
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    root = get_root_url(Request(scope), scope["path"], scope.get("root_path"))
                    page = with_preview(b"".join(parts), root)
                    MutableHeaders(scope=begun[0])["content-length"] = str(len(page))
                    await send(begun.pop())
                    await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, send_on)


def is_page(message: Message) -> bool:
    """Whether an answer begins that is a page."""
    headers = MutableHeaders(scope=message)
    return message["status"] == 200 and headers.get("content-type", "").startswith("text/html")


def with_preview(page: bytes, root: str) -> bytes:
    """Return a page of Gradio whose head says what it is; any other page as it is.

    Args:
        page: HTML.
        root: address at which the page is, without a slash at its end.
    """
    page, of_gradio = OF_GRADIO.subn(b"", page)
    page = MANIFEST.sub(f'href="{escape(root)}/manifest.json"'.encode(), page)
    return HEAD.sub(lambda head: head[0] + tags(root).encode(), page, count=1) if of_gradio else page


def tags(root: str) -> str:
    """Return the tags by which networks and search engines know a page."""
    picture = f"{root}/{PICTURE}"
    told = {
        "og:type": "website",
        "og:site_name": "VAR demo",
        "og:title": TITLE,
        "og:description": DESCRIPTION,
        "og:url": f"{root}/",
        "og:image": picture,
        "og:image:type": "image/jpeg",
        "og:image:width": WIDTH,
        "og:image:height": HEIGHT,
        "og:image:alt": ALTERNATIVE,
    }
    named = {"description": DESCRIPTION, "twitter:card": "summary_large_image"}
    lines = [f'<meta property="{name}" content="{escape(str(value))}">' for name, value in told.items()]
    lines += [f'<meta name="{name}" content="{escape(value)}">' for name, value in named.items()]
    return "\n".join(["", f"<title>{escape(TITLE)}</title>", *lines])


def picture_route() -> Route:
    """Return where the picture is served."""

    async def picture(_: Request) -> FileResponse:
        return FileResponse(FOLDER / PICTURE, media_type="image/jpeg")

    return Route(f"/{PICTURE}", picture)
