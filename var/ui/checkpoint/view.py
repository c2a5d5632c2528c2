"""Shows a session its checkpoint: what the panel's components become when one is looked into, refused or loaded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from ...engine.catalog import Catalog
from ...engine.description import Description
from ...engine.engine import Engine
from ...engine.events import Ready
from ...engine.models import Loading
from ...engine.tasks import BySession
from ..html import error_banner
from ..runs import Updates
from .panel import (
    CheckpointPanel,
    Choice,
    Follower,
    choose,
    details_of,
    dropdown_update,
    found_html,
    heads_field,
    look_into,
    weights_field,
)


@dataclass(frozen=True, eq=False)
class _Ask:
    """A session's wish to see a checkpoint; one for the same checkpoint later is another wish.

    Args:
        name: of the checkpoint.
        picked: whether it was picked in the list.
    """

    name: str | None
    picked: bool


class CheckpointView:
    """Shows a session its checkpoint: what the panel's components become.

    Args:
        catalog: the checkpoints that can be chosen.
        engine: describes and loads them.
        panel: of the checkpoint.
        followers: what else of the page changes with the checkpoint.

    Attributes:
        session: the components that hold which checkpoint a session has, and how it is loaded.
        outputs: all that `take`, `show` and `refuse` change.
    """

    def __init__(self, catalog: Catalog, engine: Engine, panel: CheckpointPanel, followers: Sequence[Follower]) -> None:
        self.catalog, self.engine, self.panel = catalog, engine, panel
        self._followers = followers
        self._asked: BySession[_Ask] = BySession()
        self.session = [panel.uploads, panel.loaded, panel.loading]
        self.outputs = [panel.choice, panel.upload, panel.found, panel.problem, panel.offer, panel.details_group]
        self.outputs += [panel.details, panel.weights, panel.heads, panel.precision, panel.version, panel.refused]
        self.outputs += self.session
        self.outputs += [component for follower in followers for component in follower.components]

    def describe(self, name: str | None, uploads: Mapping[str, str]) -> Description | None:
        """Return what is known of a checkpoint; None where it cannot be used."""
        return choose(self.catalog, self.engine, name, uploads).description

    def kept(self, uploads: Mapping[str, str], loaded: str | None, loading: Loading) -> Choice:
        """Return the checkpoint that a session has; arguments as it has them in the components of `session`."""
        return choose(self.catalog, self.engine, loaded, uploads, loading) if loaded else Choice()

    def lines(self, choice: Choice, news: str = "") -> Updates:
        """Return the lines that say what a checkpoint is, what it takes, and what happened to it."""
        return {
            self.panel.found: found_html(choice, self.catalog, self.engine, news),
            self.panel.details: details_of(choice, self.engine),
        }

    def begin(
        self, session: str | None, name: str | None, *, unasked: bool = False, picked: bool = False
    ) -> Callable[[], bool]:
        """Begin to look into a checkpoint; returns whether the session has asked for nothing else since.

        Args:
            session: its hash.
            name: of the checkpoint.
            unasked: it is the page that looks; what the session asked for before goes on.
            picked: it was picked in the list.
        """
        if unasked and session in self._asked:
            return lambda: False
        ask = self._asked[session] = _Ask(name, picked)
        return lambda: self._asked.get(session) is ask

    def picked_another(self, session: str | None, name: str | None) -> bool:
        """Whether what a session asked for last is another checkpoint than this, picked in the list."""
        ask = self._asked.get(session)
        return ask is not None and ask.picked and ask.name != name

    def leave(self, session: str | None) -> None:
        """The session is over."""
        self._asked.pop(session, None)

    async def take(
        self,
        name: str,
        uploads: dict[str, str],
        loaded: str | None,
        before: Loading,
        loading: Loading,
        is_latest: Callable[[], bool],
    ) -> AsyncIterator[Updates]:
        """Look into a checkpoint, show it, and load it unless the model is busy; or say why not.

        What it says last is nothing: Gradio sends that once more when all is over, and by then the page may show
        something newer.

        Args:
            name: of the checkpoint.
            uploads: the session's own files.
            loaded: the name last found good.
            before: how that one is loaded.
            loading: how this one is wanted.
            is_latest: of `begin`.
        """
        choice = await look_into(self.catalog, self.engine, name, uploads, loading)
        if not is_latest():
            pass  # what is shown by then stays
        elif choice.problem:
            yield await asyncio.to_thread(self.refuse, choice, uploads, loaded, before)
        else:
            yield await asyncio.to_thread(self.show, choice, uploads, name != loaded, loaded is None)
            async for updates in self.load(choice, is_latest):
                yield updates
        yield {self.panel.found: gr.skip()}

    async def load(self, choice: Choice, is_latest: Callable[[], bool]) -> AsyncIterator[Updates]:
        """Load a checkpoint ahead of its use, unless the model is busy, and show what it takes."""
        if self.engine.resident(choice.path, choice.loading) is not None:
            return
        async for event in self.engine.prepare(choice.path, choice.loading).events():
            if isinstance(event, Ready):
                break  # it goes on to practise
        if is_latest():
            yield self.lines(choice)

    def show(
        self, choice: Choice, uploads: dict[str, str], is_new: bool, is_first: bool = False, news: str = ""
    ) -> Updates:
        """Show a checkpoint that can be used.

        Args:
            choice: the checkpoint.
            uploads: the session's own files.
            is_new: it is another one than before; the other panels follow.
            is_first: there was none before.
            news: what happened to it; "" for nothing.
        """
        panel = self.panel
        updates = self.lines(choice, news) | {
            panel.choice: dropdown_update(self.catalog, uploads, choice.name),
            panel.problem: "",
            panel.offer: gr.update(visible=False),
            panel.details_group: gr.update(visible=True),
            panel.weights: gr.update(**weights_field(choice)),
            panel.heads: gr.update(**heads_field(choice)),
            panel.precision: choice.loading.dtype or "",
            panel.uploads: uploads,
            panel.loaded: choice.name,
            panel.loading: choice.loading,
            panel.refused: None,
            panel.version: self.engine.version(choice.path),
        }
        for follower in self._followers:
            if is_new or follower.always:
                updates |= follower.updates(choice, is_first)
        return updates

    def refuse(self, choice: Choice, uploads: dict[str, str], loaded: str | None, before: Loading) -> Updates:
        """Say what is wrong, and leave the checkpoint that was there before in place."""
        panel = self.panel
        kept = self.kept(uploads, loaded, before)
        return {
            panel.choice: dropdown_update(self.catalog, uploads, kept.name),
            panel.found: found_html(kept, self.catalog, self.engine),
            panel.problem: error_banner(choice.problem or ""),
            panel.offer: gr.update(visible=choice.offer is not None, value=f"Load in {choice.offer}"),
            panel.refused: (choice.name, choice.offer),
            panel.weights: gr.update(value=(kept.description and kept.description.weights) or "ema"),
            panel.heads: before.num_heads,
            panel.precision: before.dtype or "",
            panel.uploads: uploads,
        }
