"""Figures of a server for Prometheus, by its own client library, which is optional: `pip install prometheus-client`."""

import time
from collections.abc import Callable
from importlib.util import find_spec

from ..comparing.comparison import CellResult
from ..engine.engine import Engine
from ..engine.events import Done, Event, Failed, LoadingModel, Scale, Waiting
from ..engine.uploads import Uploads

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500)  # bounds of what is counted apart


def check_metrics() -> None:
    """Raise ValueError where the library is missing."""
    if find_spec("prometheus_client") is None:
        raise ValueError("--metrics needs a package that is not installed: pip install prometheus-client")


class Metrics:
    """What happened since the start of the server, and what is going on.

    Args:
        engine: tells how many runs compute or wait.
        uploads: tells how much is kept.
    """

    def __init__(self, engine: Engine, uploads: Uploads) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, processor time, open files

        def gauge(name: str, help: str, value: Callable[[], float]) -> None:
            Gauge(f"var_{name}", help, registry=self._registry).set_function(value)

        def seconds(name: str, help: str) -> Histogram:
            return Histogram(f"var_{name}_seconds", help, registry=self._registry, buckets=SECONDS)

        gauge("line_length", "Runs that compute or wait.", lambda: engine.num_jobs)
        gauge("uploads_bytes", "Bytes of the visitors' uploads that are kept.", lambda: uploads.num_bytes)
        self._waits = seconds("wait", "From an order to the beginning of its first turn.")
        self._runs = seconds("run", "From the first turn of an order to its end.")
        self._loads = seconds("load", "Loads of checkpoints for an order.")
        self._images = Counter("var_images", "Images that were finished.", registry=self._registry)
        self._errors = Counter(
            "var_errors",
            "Orders that were refused (busy or impossible), failed for a reason that was told, or for a fault.",
            ["kind"],
            registry=self._registry,
        )
        for kind in ("refused", "failed", "fault"):
            self._errors.labels(kind)  # so that each is there from the start

    def page(self) -> tuple[bytes, str]:
        """Return the figures as Prometheus reads them, and the type of that text."""
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def refused(self) -> None:
        """Take down that an order was not taken."""
        self._errors.labels("refused").inc()

    def job(self, clock: Callable[[], float] = time.monotonic) -> Callable[[Event], None]:
        """Return what takes down the events of a job that is ordered now.

        Args:
            clock: seconds.
        """
        ordered, loading = clock(), None
        begun: float | None = None

        def note(event: Event) -> None:
            nonlocal begun, loading
            if begun is None and not (isinstance(event, Waiting) and event.before):
                begun = clock()
                self._waits.observe(begun - ordered)
            if loading is not None:
                self._loads.observe(clock() - loading)
                loading = None
            if isinstance(event, LoadingModel):
                loading = clock()
            elif isinstance(event, Scale):
                self._images.inc(len(event.finished))
            elif isinstance(event, CellResult):
                self._images.inc(event.image is not None)
            elif isinstance(event, Failed):
                self._errors.labels("failed" if event.sentence else "fault").inc()
            if isinstance(event, Done | Failed):
                self._runs.observe(clock() - begun)

        return note
