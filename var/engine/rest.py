"""What is left of an order while a worker carries it out, so that another one can go on where that one was lost."""

from dataclasses import replace

from ..comparing.comparison import CellResult
from .comparisons import ComparisonOrder
from .engine import AnyOrder
from .events import Event, FilmFrame, Scale
from .films import FilmOrder
from .runs import Order


class Rest:
    """What is left of an order.

    Args:
        order: all of it.

    Attributes:
        order: what is to be done. Images keep their seeds: they are the same, whoever makes them.
        is_done: whether nothing is left.
    """

    def __init__(self, order: AnyOrder) -> None:
        self.order = order
        self.is_done = False
        self._num_frames, self._num_told = 0, 0  # of a film, by this worker and in all

    def begin(self) -> None:
        """Begin with another worker."""
        self._num_frames = 0

    def is_new(self, event: Event) -> bool:
        """Whether an event says what was not told before; it is taken down."""
        if isinstance(self.order, Order) and isinstance(event, Scale):
            made_by = event.recipes[0].checkpoint_hash
            self.order = replace(self.order, num_made=event.num_finished, checkpoint_hash=made_by)
            self.is_done = event.last
        elif isinstance(self.order, ComparisonOrder) and isinstance(event, CellResult):
            comparison = self.order.comparison
            cells = [cell for cell in comparison.cells if cell != event.cell]
            self.is_done = not cells
            if cells:
                self.order = replace(self.order, comparison=replace(comparison, cells=cells))
        elif isinstance(self.order, FilmOrder) and isinstance(event, FilmFrame):
            self._num_frames += 1
            if self._num_frames <= self._num_told:
                return False
            self._num_told = self._num_frames
            self.is_done = self._num_told == len(event.patch_nums)
        return True
