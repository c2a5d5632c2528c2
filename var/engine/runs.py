"""A generation as the page asks for it: what is asked, checked; the images as they come; how it is stopped."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL.Image import Image
from torch import Tensor

from ..outputs.recipe import Recipe, make_recipes
from ..pictures.pixels import read_mask
from ..pipeline import Step, VARPipeline, check_keep_scales
from ..sampling.options import SamplingOptions, is_whole
from ..sampling.steps import share_done
from ..sampling.stopping import StopSignal
from .models import Loading, ModelHolder
from .pace import Pace

MOST_IMAGES = 64
# Images of a run that grow together. On the CPU each is computed apart, so that smaller batches cost nothing, and what
# is finished when a run is stopped is kept.
BATCH_ON_CPU, BATCH = 8, 32
EARLIEST_ESTIMATE = 0.15  # share of the work after which the rest is estimated


@dataclass(frozen=True, eq=False)
class Edit:
    """A part of an image that is made anew.

    Args:
        image: RGB; the middle square is taken.
        keep: "L", covers the whole image; nonzero is kept.
        keep_scales: so many first scales are kept whole.
    """

    image: Image
    keep: Image
    keep_scales: int = 0


@dataclass(frozen=True)
class Order:
    """What to generate.

    Args:
        path: the checkpoint's file.
        class_labels: class index of each class asked for, 0 and up; None: no class.
        num_images: images of each class, 1 and up; or one number for each class.
        seed: seed of the first image; each image takes the next number, so that it can be made again alone.
        sampling: how tokens are drawn: arguments of `VARPipeline.stream` by name; those left out have their defaults.
        loading: how the checkpoint is loaded; None: the usual way.
        edit: the image of which a part is made anew, as often as there are images to make; None: all is made anew.
    """

    path: Path
    class_labels: Sequence[int | None]
    num_images: int | Sequence[int]
    seed: int
    sampling: Mapping[str, Any] = field(default_factory=dict)
    loading: Loading | None = None
    edit: Edit | None = None

    def check(self) -> None:
        """Raise ValueError for an order that no model could carry out; the model checks the rest."""
        if not self.class_labels:
            raise ValueError("No class chosen. Choose at least one.")
        for number in self.num_images if isinstance(self.num_images, list | tuple) else [self.num_images]:
            if not is_whole(number) or number < 1:
                raise ValueError(f"The number of images per class must be a whole number from 1, not {number}.")
        if len(self.class_counts) != len(self.class_labels):
            raise ValueError(
                f"Classes: {len(self.class_labels)}, numbers of images: {len(self.class_counts)}. "
                "Give one number for all classes, or one for each."
            )
        if self.seed is None:
            raise ValueError("The seed is empty. Give a whole number.")
        if not is_whole(self.seed):
            raise ValueError(f"The seed must be a whole number, not {self.seed}.")
        count = sum(self.class_counts)
        if count > MOST_IMAGES:
            raise ValueError(
                f"These are {count} images; at most {MOST_IMAGES} are made at a time. "
                "Choose fewer classes or fewer images per class."
            )

    @property
    def class_counts(self) -> list[int]:
        """Number of images of each class."""
        if isinstance(self.num_images, list | tuple):
            return list(self.num_images)
        return [self.num_images] * len(self.class_labels)

    @property
    def image_labels(self) -> list[int | None]:
        """Class index of each image."""
        counts = zip(self.class_labels, self.class_counts, strict=True)
        return [label for label, count in counts for _ in range(count)]

    @property
    def image_seeds(self) -> list[int]:
        """Seed of each image."""
        return [self.seed + index for index in range(len(self.image_labels))]


@dataclass(frozen=True, eq=False)
class Finished:
    """An image that is done.

    Args:
        image: the image.
        recipe: how it is made again.
        latents: float (1, S, C, N, N), after each scale, in main memory; None where the run was stopped meanwhile.
    """

    image: Image
    recipe: Recipe
    latents: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """How far a run is after one scale.

    Args:
        recipes: of all images of the run.
        finished: those that are done, in the recipes' order.
        previews: of the images in progress, which come next, the first ones for which there was time; perhaps none.
        scale_index: the scale just finished, from 0.
        num_growing: how many images grow together now; those that it has finished are among them.
        patch_nums: side of the token map of each scale.
        seconds: since the start of the run, loading included.
        remaining: seconds that are left, about; None where it is too early to tell.
    """

    recipes: list[Recipe]
    finished: list[Finished]
    previews: list[Image]
    scale_index: int
    num_growing: int
    patch_nums: tuple[int, ...]
    seconds: float
    remaining: float | None

    @property
    def last(self) -> bool:
        """Whether all images are done."""
        return len(self.finished) == len(self.recipes)


def carry_out(
    holder: ModelHolder, order: Order, stop: StopSignal, pace: Pace | None = None, *, previews: bool = True
) -> Iterator[Frame]:
    """Load the checkpoint unless it is there, and generate; one frame a scale.

    Args:
        holder: the server's model.
        order: what to generate.
        stop: once set, the run ends within one block of the transformer; what is finished stays.
        pace: tells how long images take, and is told how long these took; None where nobody asks.
        previews: whether anybody looks at the images in progress.

    Raises:
        ValueError: a setting is out of range; CheckpointError where the file cannot be used.
        FileNotFoundError: the checkpoint is gone.
    """
    order.check()
    start = time.perf_counter()
    with holder.use(order.path, order.loading) as pipeline:
        config = pipeline.var.config
        options = SamplingOptions(order.image_labels, order.image_seeds, **order.sampling)
        options.check(config.num_classes, config.num_scales)
        if order.edit is not None:
            check_edit(order.edit, config.patch_nums)
        recipes = make_recipes(pipeline, options, edited=order.edit is not None)
        dtype = order.loading and order.loading.dtype
        usual = pace and pace.image_seconds(order.path, dtype)
        run = Run(holder, pipeline, recipes, start, order.edit, usual, previews=previews)
        size = BATCH_ON_CPU if pipeline.device.type == "cpu" else BATCH
        for first in range(0, options.batch_size, size):
            if stop.is_set():
                return
            yield from run.make(run.recipes[first : first + size], stop)
        if pace and run.seconds_per_image:
            pace.note_images(order.path, dtype, run.seconds_per_image)


def check_edit(edit: Edit, patch_nums: Sequence[int]) -> None:
    """Raise ValueError where nothing would be made anew; `patch_nums` are the sides of the token maps."""
    check_keep_scales(edit.keep_scales, len(patch_nums))
    side = patch_nums[-1]
    if read_mask(edit.keep, edit.image, side).all():
        raise ValueError(
            "So little is painted that nothing would change. "
            f"Paint more than half of at least one of the {side}×{side} tokens."
        )


class Run:
    """A run in progress: what is finished, and how long the rest takes.

    Args:
        holder: computes.
        pipeline: in use.
        recipes: of all images.
        start: when the run began.
        edit: what the images are made from, if from another image.
        usual: seconds that an image takes; None where that is not known.
        previews: whether images in progress are shown.
    """

    def __init__(
        self,
        holder: ModelHolder,
        pipeline: VARPipeline,
        recipes: list[Recipe],
        start: float,
        edit: Edit | None = None,
        usual: float | None = None,
        *,
        previews: bool = True,
    ) -> None:
        self.recipes = recipes
        self._holder = holder
        self._pipeline = pipeline
        self._previewer = holder.previewer(pipeline) if previews else None
        self._start = start
        self._edit = edit
        self._usual = usual
        self._loaded = time.perf_counter()
        self._finished: list[Finished] = []

    @property
    def seconds_per_image(self) -> float | None:
        """How long an image took; None where none is finished."""
        return (time.perf_counter() - self._loaded) / len(self._finished) if self._finished else None

    def make(self, batch: list[Recipe], stop: StopSignal) -> Iterator[Frame]:
        """Make some of the images, all of the same settings."""
        arguments = batch[0].arguments | {
            "class_labels": [recipe.class_label for recipe in batch],
            "seed": [recipe.seed for recipe in batch],
        }
        steps = self._holder.compute(self._steps, arguments, stop)
        if self._previewer:
            self._holder.compute(self._previewer.start)
        before = list(self._finished)
        with closing(steps):
            while (step := self._holder.compute(next, steps, None)) is not None:
                previews = (self._holder.compute(self._previewer.offer, step) if self._previewer else None) or []
                if step.result is not None:
                    previews = []
                    latents = step.result.latents.cpu().split(1)
                    self._finished = before + list(map(Finished, step.result.images, batch, latents))
                elif stop.is_set():
                    self._finished = before + list(map(Finished, step.finished(), batch))
                yield self._frame(step, previews, len(before), len(batch))

    def _steps(self, arguments: dict, stop: StopSignal) -> Iterator[Step]:
        if self._edit is None:
            return self._pipeline.stream(**arguments, stop=stop)
        edit = self._edit
        return self._pipeline.stream_edit(edit.image, edit.keep, **arguments, keep_scales=edit.keep_scales, stop=stop)

    def _frame(self, step: Step, previews: list[Image], num_before: int, num_batch: int) -> Frame:
        patch_nums = self._pipeline.var.config.patch_nums
        share = (num_before + share_done(patch_nums, step.scale_index) * num_batch) / len(self.recipes)
        now = time.perf_counter()
        return Frame(
            recipes=self.recipes,
            finished=list(self._finished),
            previews=previews,
            scale_index=step.scale_index,
            num_growing=num_batch,
            patch_nums=patch_nums,
            seconds=now - self._start,
            remaining=self._remaining(now, share),
        )

    def _remaining(self, now: float, share: float) -> float | None:
        if share >= EARLIEST_ESTIMATE:
            return (now - self._loaded) * (1 - share) / share
        return self._usual and self._usual * len(self.recipes) * (1 - share)
