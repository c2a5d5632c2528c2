"""What a server tells those who run it: whether it lives and takes runs, and figures."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .. import __version__
from ..engine.preload import Preload
from .metrics import Metrics
from .reception import Reception

LIVE, READY, METRICS = "/health", "/health/ready", "/metrics"
PATHS = (LIVE, READY, METRICS)  # whoever asks for these comes from inside, under any name of the machine


def health_routes(reception: Reception, preload: Preload | None, metrics: Metrics | None) -> Sequence[Route]:
    """Return the routes.

    `/health` answers 200 as long as the server answers at all. `/health/ready` answers 200 when runs are taken and the
    checkpoint of `--preload` is loaded or cannot be; else 503. `/metrics` has figures where there are any.

    Args:
        reception: takes runs, until the server is stopped.
        preload: of a checkpoint; None for none.
        metrics: figures; None for none.
    """

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "stopping" if reception.is_closing else "ok", "version": __version__})

    async def ready(_: Request) -> Response:
        is_loading = preload is not None and not preload.is_over
        status = "stopping" if reception.is_closing else "loading" if is_loading else "ready"
        return JSONResponse({"status": status}, 200 if status == "ready" else 503)

    def figures(_: Request) -> Response:  # in a thread: it asks the operating system
        text, kind = metrics.page()
        return Response(text, headers={"Content-Type": kind})

    routes = [Route(LIVE, live), Route(READY, ready)]
    return [*routes, Route(METRICS, figures)] if metrics is not None else routes
