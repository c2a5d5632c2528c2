"""Who listens: what a session asked for is given up when nobody hears of it any more.

Gradio tells a session by a stream that its browser or script opens. A call whose session never opens one, or lost it,
would wait in the line and be computed for nobody.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from ..engine.engine import Engine
from ..engine.events import Event
from ..engine.jobs import Job

LOOK_SECONDS = 5.0  # between two looks whether somebody listens
MAX_SILENCE = 30.0  # seconds; a browser on a slow network opens its stream anew in that time
STREAM_OF_A_CALL = re.compile(r"/call/[^/]+/[^/]+$")  # of scripts that name the call, and not the session


class Listeners:
    """The sessions that listen now, as the middleware `Listening` has seen them."""

    def __init__(self) -> None:
        self.sessions: Counter[str | None] = Counter()
        self.num_calls = 0  # streams of calls, whose sessions are not known
        self.is_watching = False  # whether the middleware is there

    def hear(self, session: str | None) -> bool:
        """Whether what is told a session may reach somebody."""
        return not self.is_watching or self.num_calls > 0 or self.sessions[session] > 0

    async def events(self, engine: Engine, job: Job, session: str | None) -> AsyncIterator[Event]:
        """Hand out the events of a job, and stop it once its session has not listened for `MAX_SILENCE` seconds."""
        clock, silent_since = asyncio.get_running_loop().time, None
        async for event in job.events(LOOK_SECONDS):
            if self.hear(session):
                silent_since = None
            elif silent_since is None:
                silent_since = clock()
            elif clock() - silent_since > MAX_SILENCE:
                engine.stop(job)
            if event is not None:
                yield event


class Listening:
    """ASGI middleware that takes down who listens.

    Args:
        app: what comes after it.
        listeners: is told.
    """

    def __init__(self, app: ASGIApp, listeners: Listeners) -> None:
        self.app, self.listeners = app, listeners
        listeners.is_watching = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through; as long as it is a stream's, its session listens."""
        is_get = scope["type"] == "http" and scope["method"] == "GET"
        if is_get and scope["path"].endswith("/queue/data"):
            session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
            self.listeners.sessions[session] += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.listeners.sessions[session] -= 1
                self.listeners.sessions += Counter()  # without those that are at 0
        elif is_get and STREAM_OF_A_CALL.search(scope["path"]):
            self.listeners.num_calls += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.listeners.num_calls -= 1
        else:
            await self.app(scope, receive, send)
