"""Pictures of classes that are made in spare time, and kept: for checkpoints that come without a sheet of them."""

import io
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL.Image import Image, Resampling

from ..formats.atomic import write_atomically
from ..sampling.presets import PRESETS
from ..sampling.stopping import StopSignal
from .models import Loading, Models
from .queue import Steps

SIDE = 96  # pixels; of smaller images their own
QUALITY = 82  # of 100
SUFFIX = ".webp"
SEED = 0
MAX_BYTES = 64_000_000  # on the disk, of all checkpoints
MAX_SECONDS = 10.0  # of an image: a wall of slower ones would keep the machine busy for an hour


class ClassPictures:
    """Pictures on the disk, by the model that made them; those not seen for longest go first.

    Args:
        folder: where they are kept; made with the first one.
        max_bytes: of all of them together.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.folder, self._max_bytes = folder, max_bytes
        self._num_bytes: int | None = None  # known with the first picture that is written
        self._given_up: set[str] = set()

    def give_up(self, model_hash: str) -> None:
        """Make no more pictures of a model as long as the server runs."""
        self._given_up.add(model_hash)

    def has_given_up(self, model_hash: str) -> bool:
        """Whether no more pictures of a model are made."""
        return model_hash in self._given_up

    def read(self, model_hash: str, labels: Iterable[int]) -> dict[int, bytes]:
        """Return the pictures that are there, WebP, by class.

        Args:
            model_hash: of the model, see `Description`.
            labels: classes.
        """
        folder = self.folder / model_hash
        found = {}
        for label in labels:
            with suppress(OSError):
                found[label] = (folder / f"{label}{SUFFIX}").read_bytes()
        if found:
            with suppress(OSError):
                os.utime(folder)  # seen now
        return found

    def write(self, model_hash: str, label: int, image: Image) -> None:
        """Keep a picture; raises OSError where that cannot be."""
        side = min(SIDE, image.width)
        file = io.BytesIO()
        image.resize((side, side), Resampling.LANCZOS).save(file, "WEBP", quality=QUALITY)
        path = self.folder / model_hash / f"{label}{SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda target: target.write(file.getvalue()))
        if self._num_bytes is None:
            self._num_bytes = sum(map(bytes_of, self.folder.iterdir()))
        else:
            self._num_bytes += len(file.getvalue())
        if self._num_bytes > self._max_bytes:
            self._trim(model_hash)

    def _trim(self, kept: str) -> None:
        """Delete the pictures of the models not seen for longest, until half of the room is free."""
        folders = sorted(self.folder.iterdir(), key=lambda folder: folder.stat().st_mtime)
        sizes = {folder: bytes_of(folder) for folder in folders}
        left = sum(sizes.values())
        for folder in folders:
            if left <= self._max_bytes // 2:
                break
            if folder.name != kept:
                shutil.rmtree(folder, ignore_errors=True)
                left -= sizes[folder]
        self._num_bytes = left


@dataclass(frozen=True)
class Pictured:
    """What there is of the pictures that somebody looks at.

    Args:
        found: WebP by class.
        more: whether the others may come.
    """

    found: Mapping[int, bytes] = field(default_factory=dict)
    more: bool = False


@dataclass(frozen=True)
class PicturesOrder:
    """Which classes to picture.

    Args:
        path: the checkpoint's file.
        loading: how it is loaded; None: the usual way.
        labels: class indices, the most wanted first.
    """

    path: Path
    loading: Loading | None
    labels: tuple[int, ...]


def draw_pictures(models: Models, order: PicturesOrder, pictures: ClassPictures, stop: StopSignal) -> Steps:
    """Make pictures of classes one after the other, as the checkpoint is sampled by its authors.

    A model that is not in memory is not loaded for it: it would take the place of one that somebody uses.

    Args:
        models: the server's.
        order: what to make.
        pictures: where they are kept.
        stop: once set, it ends within a block of the transformer.

    Yields:
        None after each of them.
    """
    if not models.is_current(order.path, order.loading):
        return
    pipeline = models.load(order.path, order.loading)
    description = models.describe(order.path, order.loading)
    settings = PRESETS[0].settings() | dict(description.defaults)
    for label in order.labels:
        begin = time.perf_counter()
        try:
            for step in pipeline.stream([label], seed=[SEED], **settings, stop=stop):
                if step.result is not None:
                    pictures.write(description.model_hash, label, step.result.pil_images[0])
        except Exception:  # of the next class it would be the same
            pictures.give_up(description.model_hash)
            raise
        if stop.is_set():
            return
        if time.perf_counter() - begin > MAX_SECONDS:
            pictures.give_up(description.model_hash)
            return
        yield None


def bytes_of(folder: Path) -> int:
    """Return how many bytes the files of a folder have."""
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return 0
