"""What computes an order, of any kind, in this thread; and what is told of an error in it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ..comparing.comparison import batches_of
from ..device import is_out_of_memory
from ..errors import USER_ERRORS, error_text
from ..sampling.stopping import StopSignal
from .comparisons import ComparisonOrder, compare
from .engine import AnyOrder
from .events import Failed
from .films import FilmOrder, film
from .models import Loading, Models, TooLargeError
from .pace import Pace
from .queue import Steps
from .runs import Order, batch_size, carry_out

CARRY_OUT: Mapping[type, Callable[..., Steps]] = {Order: carry_out, FilmOrder: film, ComparisonOrder: compare}
TOO_LITTLE_MEMORY = "The machine has too little memory for this. Ask for fewer images, or choose a smaller checkpoint."


def carry_out_here(models: Models, order: AnyOrder, pace: Pace, stop: StopSignal) -> Steps:
    """Carry an order out in this thread; see `carry_out`, `film` and `compare`."""
    return CARRY_OUT[type(order)](models, order, pace, stop)


def named_file(order: AnyOrder) -> tuple[Path | None, str | None]:
    """Return the file of an order, and what people call it; None for both where it has several."""
    return (None, None) if isinstance(order, ComparisonOrder) else (order.path, order.name)


def model_of(order: AnyOrder) -> tuple[Path | None, Loading]:
    """Return which model an order uses first: its file, and how it is loaded."""
    if isinstance(order, ComparisonOrder):
        first = order.comparison.cells[0].model
        return order.files.get(first.checkpoint), order.loading(first)
    return order.path, order.loading or Loading()


def merges_scales(order: AnyOrder) -> bool:
    """Whether scales that nobody heard of in time become one."""
    return not isinstance(order, Order) or order.previews


def num_turns(order: AnyOrder, models: Models) -> int:
    """Return in how many batches an order is carried out."""
    if isinstance(order, ComparisonOrder):
        return len(list(batches_of(order.comparison.cells)))
    return -(-len(order.image_labels) // batch_size(models)) if isinstance(order, Order) else 1


def failed(error: Exception, path: Path | None = None, name: str | None = None) -> Failed | None:
    """Return what is told of an error that people can bring about; None for any other."""
    if is_out_of_memory(error) and not isinstance(error, TooLargeError):  # that one says how much is needed
        return Failed(TOO_LITTLE_MEMORY)
    if isinstance(error, USER_ERRORS):
        offer = error.offer if isinstance(error, TooLargeError) else None
        return Failed(error_text(error, path, name), offer)
    return None
