"""A generation as the page asks for it: what is asked, checked; the images as they come; how it is stopped."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image

from ..options import is_whole
from .models import ModelHolder

MOST_IMAGES = 64


@dataclass(frozen=True)
class Order:
    """What to generate.

    Args:
        path: the checkpoint's file.
        class_labels: class index of each class asked for, 0 and up.
        num_images: images of each class, 1 and up.
        seed: seed of the first image; each image takes the next number, so that it can be made again alone.
        cfg_scale: guidance, 0 and up.
        top_k: 0 is off.
        top_p: 0 to 1, 0 is off.
        more_smooth: blend tokens instead of picking one.
    """

    path: Path
    class_labels: Sequence[int]
    num_images: int
    seed: int
    cfg_scale: float
    top_k: int
    top_p: float
    more_smooth: bool

    def check(self) -> None:
        """Raise ValueError for an order that no model could carry out; the model checks the rest."""
        if not self.class_labels:
            raise ValueError("No class chosen. Choose at least one under Classes.")
        if not is_whole(self.num_images) or self.num_images < 1:
            raise ValueError(f"The number of images per class must be a whole number from 1, not {self.num_images}.")
        if not is_whole(self.seed):
            raise ValueError(f"The seed must be a whole number, not {self.seed}.")
        count = len(self.class_labels) * self.num_images
        if count > MOST_IMAGES:
            raise ValueError(
                f"{len(self.class_labels)} classes with {self.num_images} images each are {count} images; "
                f"at most {MOST_IMAGES} are made at a time. Choose fewer classes or fewer images per class."
            )

    @property
    def image_labels(self) -> list[int]:
        """Class index of each image."""
        return [label for label in self.class_labels for _ in range(self.num_images)]

    @property
    def image_seeds(self) -> list[int]:
        """Seed of each image."""
        return [self.seed + index for index in range(len(self.image_labels))]

    def settings_text(self, checkpoint: str) -> str:
        """Return how the images were made, for the files themselves."""
        return (
            f"VAR, checkpoint {checkpoint}, guidance {self.cfg_scale:g}, top-k {self.top_k}, top-p {self.top_p:g}, "
            f"more smooth {'on' if self.more_smooth else 'off'}"
        )


@dataclass(frozen=True)
class Frame:
    """The images after one scale.

    Args:
        images: one an image asked for.
        class_names: the class of each image.
        scale_index: the scale just finished, from 0.
        patch_nums: side of the token map of each scale.
        seconds: since the start of the run, loading included.
        last: whether these are the final images.
    """

    images: list[Image]
    class_names: list[str]
    scale_index: int
    patch_nums: tuple[int, ...]
    seconds: float
    last: bool


def carry_out(holder: ModelHolder, order: Order, stop: threading.Event) -> Iterator[Frame]:
    """Load the checkpoint unless it is there, and generate; one frame a scale.

    Args:
        holder: the server's model.
        order: what to generate.
        stop: once set, no further scale is begun.

    Raises:
        ValueError: a setting is out of range; CheckpointError where the file cannot be used.
        FileNotFoundError: the checkpoint is gone.
    """
    order.check()
    start = time.perf_counter()
    with holder.use(order.path) as pipeline:
        class_names = pipeline.class_names
        patch_nums = pipeline.checkpoint.var_config.patch_nums
        steps = pipeline.stream(
            order.image_labels,
            seed=order.image_seeds,
            cfg_scale=order.cfg_scale,
            top_k=order.top_k,
            top_p=order.top_p,
            more_smooth=order.more_smooth,
        )
        with closing(steps):
            while not stop.is_set() and (step := holder.compute(next, steps, None)) is not None:
                images = holder.compute(step.preview) if step.result is None else step.result.images
                yield Frame(
                    images=images,
                    class_names=[class_names[label] for label in order.image_labels],
                    scale_index=step.scale_index,
                    patch_nums=patch_nums,
                    seconds=time.perf_counter() - start,
                    last=step.result is not None,
                )


class StopSignals:
    """One stop signal a session, new for each run."""

    def __init__(self) -> None:
        self._signals: dict[str, threading.Event] = {}

    def renew(self, session: str) -> None:
        """Begin a run: forget an earlier stop."""
        self._signals[session] = threading.Event()

    def of(self, session: str) -> threading.Event:
        """Return the signal of the session's run."""
        return self._signals.setdefault(session, threading.Event())

    def stop(self, session: str) -> None:
        """Stop the session's run at its next scale, or before it starts."""
        self.of(session).set()

    def leave(self, session: str) -> None:
        """Stop and forget: the session is over."""
        self._signals.pop(session, threading.Event()).set()
