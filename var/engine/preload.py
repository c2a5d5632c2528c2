"""The checkpoint that a server is started for: fetched and loaded while the page answers already."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from ..errors import USER_ERRORS, CheckpointError, error_text
from ..hub.addresses import is_hub_address
from ..text import format_bytes
from .catalog import Catalog
from .engine import Engine
from .events import Failed

# Fetches an address, and tells the bytes done and in total meanwhile; returns a name for the list, and the file.
Fetch = Callable[[str, Callable[[int, int], None]], tuple[str, Path]]

log = logging.getLogger(__name__)


class Preload:
    """Fetches and loads a checkpoint in a thread of its own; from then on pages open with it.

    Args:
        source: a name of the catalog, or `hf://owner/repo/path`.
        catalog: offers it to everybody, once it is there.
        engine: loads it.
        fetch: fetches it where it is on the Hub.
    """

    def __init__(self, source: str, catalog: Catalog, engine: Engine, fetch: Fetch) -> None:
        self._source, self._catalog, self._engine, self._fetch = source, catalog, engine, fetch
        self._over = threading.Event()
        self._say("is being fetched")

    def begin(self) -> None:
        """Begin; nothing waits for it."""
        threading.Thread(target=self._run, name="preload", daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether it is loaded, or cannot be."""
        return self._over.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until it is over; returns whether it is, after so many seconds at most."""
        return self._over.wait(seconds)

    def _run(self) -> None:
        try:
            name, path = self._find()
            self._say("is being loaded")
            self._engine.describe(path)
            for event in self._engine.prepare(path):
                if isinstance(event, Failed):
                    raise CheckpointError(event.sentence)
            self._catalog.offer(name, path)
            self._catalog.coming = ""
        except USER_ERRORS as error:
            self._catalog.coming = f"{self._source} cannot be loaded."
            log.error("--preload %s: %s", self._source, error_text(error))
        except Exception:
            self._catalog.coming = f"{self._source} cannot be loaded."
            log.exception("--preload %s", self._source)
        finally:
            self._over.set()

    def _say(self, what: str) -> None:
        self._catalog.coming = f"{self._source} {what}. Load this page again in a while to see it."

    def _find(self) -> tuple[str, Path]:
        if is_hub_address(self._source):
            return self._fetch(self._source, self._report)
        return self._source, self._catalog.resolve(self._source)

    def _report(self, done: int, total: int) -> None:
        if total:
            self._say(f"is being fetched, {format_bytes(done)} of {format_bytes(total)}")
