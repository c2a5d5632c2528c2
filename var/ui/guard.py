"""What stands before Gradio's server: which browsers it answers, what may come in, and where uploads go."""

import asyncio
import contextlib
import errno
import ipaddress
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio.route_utils import upload_fn
from gradio.routes import file_upload_statuses
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..engine.uploads import UploadRefusedError, Uploads
from .health import PATHS
from .listeners import Listeners, Listening
from .options import PageOptions
from .server_folder import trim
from .sessions import LeanSessions

API = "/gradio_api/"
UPLOAD = "upload"
CANCEL = "cancel"
NO_FUNCTION = -1  # in place of an endpoint's number: names no call
# Nothing here uses these: they fetch addresses, write files of any number, or read whole files into memory.
CLOSED = ("file=http:", "file=https:", "file/http:", "file/https:", "proxy=", "deep_link", "component_server")
MAX_BODY = 16_000_000  # bytes of a call; what a tab remembers has at most two million letters
SWEEP_SECONDS = 600  # between two looks for old uploads
LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]+:", re.IGNORECASE)  # more than the one letter of a Windows drive


class Guard:
    """ASGI middleware around Gradio's app.

    Args:
        app: what comes after it.
        uploads: takes what is uploaded.
        hosts: names that the server answers to, see `allowed_hosts`; None for any.
        proxies: how many stand before the server, see `visitor_behind`.
    """

    def __init__(self, app: ASGIApp, uploads: Uploads, hosts: frozenset[str] | None, proxies: int = 0) -> None:
        self.app = app
        self.proxies = proxies
        self.uploads = uploads
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        visitor = visitor_behind(Headers(scope=scope).getlist("x-forwarded-for"), self.proxies)
        if visitor is not None:
            scope = {**scope, "client": (visitor, 0)}
        refused = self.refuse(scope)
        if refused is not None:
            await refused(scope, receive, send)
        elif scope["method"] != "POST":
            await self.app(scope, receive, send)
        elif called(scope) == UPLOAD:
            response = await take_upload(Request(scope, receive), self.uploads)
            await response(scope, receive, send)
        else:
            try:
                body = await read_body(scope, receive)
            except HTTPException as error:
                await PlainTextResponse(error.detail, error.status_code)(scope, receive, send)
                return
            if called(scope) == CANCEL:
                body = await cancel_one(body)
            await self.app(scope, replay(body, receive), send)

    def refuse(self, scope: Scope) -> Response | None:
        """Return the answer to a request that must not come through; None for one that may."""
        if scope["type"] != "http":
            return PlainTextResponse("There is nothing here.", 404)
        if called(scope).startswith(CLOSED):
            return PlainTextResponse("This server does not do that.", 404)
        if self.hosts is None or asked_path(scope) in PATHS:
            return None
        headers = Headers(scope=scope)
        hosts = self.hosts | share_host(scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        for told in [f"//{host}"] if origin is None else [f"//{host}", origin]:
            name = host_name(told)
            if name not in hosts:
                return PlainTextResponse(
                    f"This server answers to {', '.join(sorted(self.hosts))} only, and the browser asks for "
                    f"{name or 'another'}. Whoever runs it can allow that with --allowed-host.",
                    403,
                )
        return None


def guarding(uploads: Uploads, listeners: Listeners, options: PageOptions) -> dict[str, Any]:
    """Return the arguments of Gradio's app that put the guard before it, and delete uploads in time and at the end.

    Args:
        uploads: takes what is uploaded.
        listeners: is told who listens.
        options: where the page is served.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        app.state_holder = LeanSessions(app.get_blocks())
        sweeping = asyncio.create_task(sweep(uploads, app))
        try:
            yield
        finally:
            sweeping.cancel()
            uploads.remove_all()

    hosts = allowed_hosts(options.host, options.allowed_host, options.root_path)
    before = [
        Middleware(Guard, uploads=uploads, hosts=hosts, proxies=options.proxies),
        Middleware(Listening, listeners=listeners),
    ]
    return {"middleware": before, "lifespan": lifespan}


async def sweep(uploads: Uploads, app: Any) -> None:
    """Delete old uploads from time to time, and the oldest of what was made where it is very much."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await asyncio.to_thread(uploads.remove_old)
        kept = {file for block in app.get_blocks().blocks.values() for file in getattr(block, "keep_in_cache", ())}
        await asyncio.to_thread(trim, uploads.folder.parent, kept=kept)


def allowed_hosts(host: str, allowed: Sequence[str], root_path: str) -> frozenset[str] | None:
    """Return the names under which browsers may reach a server; None for any.

    A server that listens at this machine alone is for browsers of this machine. A page from elsewhere that has its own
    name lead to 127.0.0.1 would otherwise have full access.

    Args:
        host: address that the server listens at.
        allowed: further names; where there are some, a server of the network answers to these alone, too.
        root_path: at which a proxy serves it; may be an address with a name.
    """
    if not allowed and not is_loopback(host):
        return None
    named = [host_name(f"//{name}") for name in (host, *allowed)] + [urlsplit(root_path).hostname]
    return LOCAL_NAMES | {name for name in named if name}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_name(address: str) -> str:
    """Return the name of the host in an address, without its port; "" where there is none."""
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def share_host(scope: Scope) -> set[str]:
    """Return the name of the public link, once there is one."""
    blocks = getattr(scope.get("app"), "blocks", None)
    return {host_name(blocks.share_url)} if getattr(blocks, "share_url", None) else set()


def visitor_behind(said: Sequence[str], proxies: int) -> str | None:
    """Return for whom the outermost of so many proxies asks; None for no proxies, or where fewer have said it.

    Each adds the address that it was asked from at the end; what stands before, anybody may have written.

    Args:
        said: the headers X-Forwarded-For.
        proxies: how many are known to add to it.
    """
    addresses = [address.strip() for address in ",".join(said).split(",")]
    return addresses[-proxies] or None if 0 < proxies <= len(addresses) else None


def asked_path(scope: Scope) -> str:
    """Return the path that is asked for, below that at which a proxy serves the page."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def called(scope: Scope) -> str:
    """Return what is called of Gradio's routes, such as `queue/join`; "" for anything else."""
    path = asked_path(scope)
    return path.removeprefix(API) if path.startswith(API) else ""


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Return what is sent with a call; raises HTTPException where it is larger than `MAX_BODY`."""
    parts, size = [], int(Headers(scope=scope).get("content-length") or 0)
    while True:
        if size > MAX_BODY:
            raise HTTPException(413, f"The call is larger than {MAX_BODY // 1_000_000} MB.")
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HTTPException(400, "The call ended too early.")
        parts.append(message.get("body", b""))
        size = max(size, sum(map(len, parts)))
        if not message.get("more_body"):
            return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return what hands out a body that was read, and then what comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


async def cancel_one(body: bytes) -> bytes:
    """End the one call that is cancelled, and return the body with which Gradio tells its caller.

    Gradio 6.31 itself ends all calls of the same session and endpoint, and tells those who wait for the others nothing.
    It names the task of a call by these three.
    """
    try:
        call = json.loads(body)
        name = f"{call['session_hash']}_{call['fn_index']}<gradio-sep>{call['event_id']}"
    except (ValueError, TypeError, LookupError):
        return body  # Gradio says what is wrong with it
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == name]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return json.dumps(call | {"fn_index": NO_FUNCTION}).encode()


async def take_upload(request: Request, uploads: Uploads) -> Response:
    """Answer an upload: the paths of its files, as Gradio's own route does; what does not come whole is deleted."""
    visitor = request.client.host if request.client else ""
    upload_id = request.query_params.get("upload_id")
    try:
        expected = int(request.headers.get("content-length") or 0)
        with uploads.receive(visitor, expected) as receiving:

            async def counted() -> Message:
                message = await request.receive()
                receiving.add(len(message.get("body", b"")))
                return message

            paths, _, _ = await upload_fn(
                Request(request.scope, counted),
                receiving.folder,
                uploads.limits.each,
                upload_id,
                upload_progress=file_upload_statuses if upload_id else None,
            )
        return JSONResponse(paths)
    except UploadRefusedError as error:
        return PlainTextResponse(str(error), 413)
    except ClientDisconnect:
        return PlainTextResponse("The upload ended too early.", 400)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        said = "The server's disk is full." if full else "The server could not keep the upload."
        return PlainTextResponse(f"{said} Try again later.", 507)
    except (MultiPartException, HTTPException, ValueError, TypeError, AttributeError, LookupError):
        return PlainTextResponse("The upload cannot be read. Expected multipart/form-data with `files`.", 400)
    finally:
        if upload_id:
            file_upload_statuses.set_done(upload_id)


def refuse_addresses(blocks: gr.Blocks) -> None:
    """Have a page refuse addresses in place of files, for Gradio fetches them before any handler is asked.

    All calls come through `preprocess_data`: of the page, of named endpoints, and of those without a name.
    """
    preprocess = blocks.preprocess_data

    async def checked(block_fn: Any, inputs: list[Any], *others: Any, **named: Any) -> Any:
        if names_an_address(inputs):
            raise gr.Error(
                "This server fetches no addresses. Download the file, and give handle_file its path on your machine.",
                print_exception=False,
            )
        return await preprocess(block_fn, inputs, *others, **named)

    blocks.preprocess_data = checked


def names_an_address(value: Any) -> bool:
    """Whether an address stands in place of a file's path anywhere in what a call gives."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and ADDRESS.match(path):
                return True
            left.extend(value.values())
        elif isinstance(value, list | tuple):
            left.extend(value)
    return False
