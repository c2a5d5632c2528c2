"""The runs of a tab: each is one event, an async generator from the click to the end, Stop and errors included."""

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from ..engine.comparisons import ComparisonOrder
from ..engine.engine import Engine
from ..engine.events import Event, LoadingModel, Waiting, WorkerLost
from ..engine.jobs import Job
from ..engine.runs import Order
from ..errors import USER_ERRORS, error_text
from .html import FAILED, NOTHING, error_banner, loading_line, status_line, waiting_line
from .reception import Reception
from .settings.sampling import in_words

Updates = dict[gr.blocks.Block, Any]

DELAYED = status_line("Delayed", "a worker was lost; another one goes on with the images that are left")

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """Raised where a run ends with a sentence for people.

    Args:
        sentence: it.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class SessionRun:
    """A session's run, from its click on.

    Args:
        request: the click.

    Attributes:
        job: what the engine does for it; None before that has begun.
        is_stopped: whether the visitor pressed Stop.
    """

    def __init__(self, request: gr.Request) -> None:
        self.request = request
        self.job: Job | None = None
        self.is_stopped = False


class TabRuns(ABC):
    """What a tab does for the runs of its visitors; each session has one at a time.

    Args:
        engine: carries them out.
        reception: takes orders, and hands out what becomes of them.
        status: where the tab says how far it is.
        problem: where it says what went wrong.
        start: its button that begins a run.
        stop_button: the one that ends it.
    """

    def __init__(
        self,
        engine: Engine,
        reception: Reception,
        status: gr.HTML,
        problem: gr.HTML,
        start: gr.Button,
        stop_button: gr.Button,
    ) -> None:
        self.engine, self.reception, self.status, self.problem = engine, reception, status, problem
        self.start, self.stop_button = start, stop_button
        self._runs: dict[str | None, SessionRun] = {}

    @abstractmethod
    def begin(self, data: Updates) -> Updates:
        """Return what the page shows at once, besides the buttons and the status."""

    @abstractmethod
    def make(self, data: Updates, run: SessionRun) -> AsyncIterator[Updates]:
        """Make what is asked for and show it; raises RefusedError, or one of USER_ERRORS, where that cannot be."""

    async def run(self, data: Updates, request: gr.Request) -> AsyncIterator[Updates]:
        """Carry a run out. What is changed on the page meanwhile does not get into it: `data` is of the click."""
        session = request.session_hash
        skip: Updates = {self.status: gr.skip()}
        if session in self._runs:  # a second click before the page knew of the first
            yield skip
            return
        run = self._runs[session] = SessionRun(request)
        try:
            begun = {self.start: gr.update(interactive=False), self.stop_button: gr.update(interactive=True)}
            yield begun | {self.status: waiting_line(0), self.problem: ""} | self.begin(data)
            async for updates in self.make(data, run):
                yield updates
            ended: Updates = {}
        except RefusedError as refused:
            ended = self.refused(refused.sentence)
        except USER_ERRORS as error:
            ended = self.refused(error_text(error))
        except Exception:
            log.exception("A run failed")
            ended = self.refused(FAILED)
        finally:  # also where the visitor is gone
            self._runs.pop(session, None)
            if run.job is not None:
                self.engine.stop(run.job)
        yield {self.start: gr.update(interactive=True), self.stop_button: gr.update(interactive=False)} | ended
        yield skip  # Gradio sends what comes last once more, and by then the page may show something else

    async def follow(self, run: SessionRun, order: Order | ComparisonOrder) -> AsyncIterator[Event | Updates]:
        """Have an order carried out: what is said of every job as updates, all other events as they are."""
        run.job = self.reception.submit(order, run.request)
        if run.is_stopped:
            self.engine.stop(run.job)
        is_delayed = False
        async for event in self.reception.events(run.job, run.request.session_hash):
            is_delayed |= isinstance(event, WorkerLost)
            if is_delayed and isinstance(event, WorkerLost | Waiting | LoadingModel):
                yield {self.status: DELAYED}
            elif isinstance(event, Waiting):
                yield {self.status: waiting_line(event.before, event.seconds)}
            elif isinstance(event, LoadingModel):
                yield {self.status: loading_line(event.seconds)}
            else:
                yield event

    def refused(self, sentence: str) -> Updates:
        """Return what says why a run made nothing."""
        return {self.status: status_line(NOTHING), self.problem: error_banner(in_words(sentence or FAILED))}

    def stop(self, request: gr.Request) -> Updates:
        """End the session's run: within a block, or at once where it waits. The run itself says what came of it."""
        run = self._runs.get(request.session_hash)
        if run is not None:
            run.is_stopped = True
            if run.job is not None:
                self.engine.stop(run.job)
        return {self.stop_button: gr.update(interactive=False)}

    def leave(self, request: gr.Request) -> None:
        """The session is over."""
        self.stop(request)
