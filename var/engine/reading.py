"""What engines have in common: they read files where they are called, and wait for no computation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..checkpoints.folder import Fingerprint
from ..checkpoints.pair import OpenedPair
from ..errors import USER_ERRORS
from .class_pictures import Pictured
from .comparisons import ComparisonOrder, seconds_of
from .description import Description
from .engine import AnyOrder, Engine, Placement
from .films import FilmOrder
from .models import Loading, Models, Resident
from .pace import Pace


class ReadingEngine(Engine):
    """Describes and opens checkpoints in this process.

    Args:
        models: read the files.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._pace = Pace()

    def describe(self, path: Path, loading: Loading | None = None) -> Description:
        """Say what a checkpoint holds, and make sure that it can be loaded; see `Engine`."""
        return self._models.describe(path, loading)

    def class_names(self, files: Mapping[str, Path], checkpoint: str) -> Sequence[str]:
        """Return the class names of a checkpoint; () where they cannot be read."""
        try:
            return self.describe(files[checkpoint]).class_names
        except (KeyError, *USER_ERRORS):
            return ()

    def open(self, path: Path, loading: Loading | None = None) -> OpenedPair:
        """Read a checkpoint and find its VQVAE, both complete, for an export; raises as `describe` does."""
        return self._models.open(path, loading)

    def resident(self, path: Path, loading: Loading | None = None) -> Resident | None:
        """Return what a checkpoint takes in memory; None where it is not loaded, or not there any more."""
        return self._models.resident(path, loading)

    def version(self, path: Path) -> Fingerprint | None:
        """Return what tells a file from a newer one at the same place; None where it is gone."""
        return self._models.version(path)

    def placement(self, loading: Loading | None = None, num_parameters: int = 0) -> Placement:
        """Return where models are, and in which precision one of so many parameters computes that is loaded so."""
        device, dtype = self._models.placement(loading, num_parameters)
        return Placement(device.type, str(dtype).removeprefix("torch."))

    def free_bytes(self) -> int | None:
        """Return the memory that is free on the device; None where nobody knows."""
        return self._models.free_bytes()

    def seconds_of(self, order: AnyOrder) -> float | None:
        """Return how long an order will take; None where that is not known yet."""
        if isinstance(order, FilmOrder):
            return None
        try:
            if isinstance(order, ComparisonOrder):
                return seconds_of(order, self._models, self._pace)
            dtype = order.loading.dtype if order.loading else None
            seconds = self._pace.estimate(order.path, dtype)
            is_loaded = self._models.resident(order.path, order.loading) is not None
            load = 0.0 if is_loaded else self._pace.load_seconds(order.path, dtype)
        except OSError:  # whoever carries it out tells
            return None
        return seconds and load + seconds * len(order.image_labels)

    def class_pictures(self, path: Path, labels: Sequence[int], loading: Loading | None = None) -> Pictured:
        """Return no pictures: none are made where that would cost somebody something."""
        return Pictured()

    def close(self) -> None:
        """Do nothing: all is of this process, and goes with it."""
