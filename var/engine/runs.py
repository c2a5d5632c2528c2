"""A generation as the page asks for it: what is asked, checked; the images as they come; how it is stopped."""

import time
from array import array
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL.Image import Image
from torch import Tensor

from ..errors import USER_ERRORS, CheckpointError
from ..outputs.branch import Branch, branch_of
from ..outputs.recipe import Recipe, make_recipes
from ..pictures.pixels import read_image, read_mask
from ..pipeline import VARPipeline, check_keep_scales, given_scales
from ..sampling.declaration import is_whole
from ..sampling.options import SamplingOptions
from ..sampling.sampler import keep_at_scales
from ..sampling.steps import Step, share_done
from ..sampling.stopping import StopSignal
from .events import Finished, LoadingModel, Scale
from .models import Loading, Models
from .pace import Pace
from .queue import LocalJob, Steps

MOST_IMAGES = 64
# Images of a run that grow together. On the CPU each is computed apart, so that smaller batches cost nothing, and what
# is finished when a run is stopped is kept.
BATCH_ON_CPU, BATCH = 8, 32
EARLIEST_ESTIMATE = 0.15  # share of the work after which the rest is estimated

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Edit:
    """A part of an image that is made anew.

    Args:
        image: RGB; the middle square is taken.
        keep: "L", covers the whole image; nonzero is kept.
        keep_scales: so many first scales are kept whole.
        paste: whether the finished images get the original's own pixels back where they are kept.
    """

    image: Image
    keep: Image
    keep_scales: int = 0
    paste: bool = True


@dataclass(frozen=True)
class Parent:
    """An image whose first scales others keep, known by its recipe alone: it is made again for its tokens.

    Args:
        recipe: of the image.
        keep_scales: how many of its scales are kept.
    """

    recipe: Recipe
    keep_scales: int


@dataclass(frozen=True)
class Order:
    """What to generate.

    Args:
        path: the checkpoint's file.
        name: how people call it.
        class_labels: class index of each class asked for, 0 and up; None: no class.
        num_images: images of each class, 1 and up; or one number for each class.
        seed: seed of the first image; each image takes the next number, so that it can be made again alone.
        sampling: how tokens are drawn: arguments of `VARPipeline.stream` by name; those left out have their defaults.
        loading: how the checkpoint is loaded; None: the usual way.
        edit: the image of which a part is made anew, as often as there are images to make; None: all is made anew.
        previews: whether anybody looks at the images in progress.
        branch: the first scales of another image, which these keep, or that image; None: all scales are drawn. Not with
            `edit`.
        checkpoint_hash: `short_hash` of the file that the tokens of `branch`, or the images made already, are of.
        num_made: the first images, which were made already, by an engine that is gone.
    """

    path: Path
    name: str
    class_labels: Sequence[int | None]
    num_images: int | list[int] | tuple[int, ...]
    seed: int
    sampling: Mapping[str, Any] = field(default_factory=dict)
    loading: Loading | None = None
    edit: Edit | None = None
    previews: bool = True
    branch: Branch | Parent | None = None
    checkpoint_hash: str = ""
    num_made: int = 0

    def check(self) -> None:
        """Raise ValueError for an order that no model could carry out."""
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

    def check_for(self, num_classes: int, patch_nums: Sequence[int]) -> SamplingOptions:
        """Return the options of sampling for a model; raises ValueError where it cannot carry the order out.

        Args:
            num_classes: of the model.
            patch_nums: side of its token map at each scale.
        """
        self.check()
        options = SamplingOptions(self.image_labels, self.image_seeds, **self.sampling)
        options.check(num_classes, len(patch_nums))
        if self.edit is not None:
            check_edit(self.edit, patch_nums)
        if isinstance(self.branch, Branch):
            given_scales(len(self.branch.joined), patch_nums)
        return options

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


def carry_out(models: Models, order: Order, pace: Pace, stop: StopSignal) -> Steps:
    """Load the checkpoint unless it is there, and generate, a batch a turn; see `Run.steps`."""
    yield from Run(models, order, pace).steps(stop)


def gains_from_batches(models: Models) -> bool:
    """Whether images that grow together take less time than one after the other."""
    return models.placement()[0].type != "cpu"


def batch_size(models: Models) -> int:
    """Return how many images of a run grow together."""
    return BATCH if gains_from_batches(models) else BATCH_ON_CPU


def load(models: Models, path: Path, loading: Loading | None, pace: Pace) -> Generator[LoadingModel, None, VARPipeline]:
    """Return the pipeline of a checkpoint, and tell where it has to be loaded."""
    if models.is_current(path, loading):
        return models.load(path, loading)
    dtype = loading.dtype if loading else None
    yield LoadingModel(pace.load_seconds(path, dtype))
    start = time.perf_counter()
    pipeline = models.load(path, loading)
    pace.note_load(path, dtype, time.perf_counter() - start)
    return pipeline


def check_edit(edit: Edit, patch_nums: Sequence[int]) -> None:
    """Raise ValueError where nothing would be made anew; `patch_nums` are the sides of the token maps."""
    check_keep_scales(edit.keep_scales, len(patch_nums))
    side = patch_nums[-1]
    if read_mask(edit.keep, edit.image, side).all():
        raise ValueError(
            "So little is painted that nothing would change. "
            f"Paint more than half of at least one of the {side}×{side} tokens."
        )


def with_kept(pipeline: VARPipeline, edit: Edit, drawn: Tensor) -> Tensor:
    """Return the tokens that edited images are made of: the known image's where it was kept, else those drawn.

    Args:
        pipeline: made the edit.
        edit: what was kept of which image.
        drawn: int64 (B, L).
    """
    patch_nums = pipeline.var.config.patch_nums
    known = pipeline.encode(read_image(edit.image, pipeline.image_size)).to(drawn.device)  # (1, L)
    masks = keep_at_scales(read_mask(edit.keep, edit.image, patch_nums[-1]), patch_nums, edit.keep_scales)
    keep = torch.cat([mask.flatten(1) for mask in masks], dim=1).to(drawn.device)  # (1, L)
    return torch.where(keep, known, drawn)


@dataclass(eq=False)
class Part:
    """The images that a run has in a batch.

    Args:
        run: whose they are.
        recipes: of the images.
        first: place of the first of them in the batch.
        guest: its job, where that waits for its turn; None for the run whose turn it is.
    """

    run: "Run"
    recipes: tuple[Recipe, ...]
    first: int = 0
    guest: LocalJob | None = None

    def of(self, values: Sequence[Value], start: int = 0) -> Sequence[Value]:
        """Return this part's values of those of a batch, of which the first ones, up to `start`, are left out."""
        return values[max(self.first - start, 0) : max(self.first + len(self.recipes) - start, 0)]


class Run:
    """A run in progress: which images are done, and how long the rest takes.

    Args:
        models: the server's.
        order: what to generate.
        pace: how long images take.
    """

    def __init__(self, models: Models, order: Order, pace: Pace) -> None:
        self._models, self._order, self._pace = models, order, pace
        self._dtype = order.loading.dtype if order.loading else None
        self._recipes: tuple[Recipe, ...] = ()  # of all images, from the first batch on
        self._num_finished = order.num_made
        self._seconds = 0.0  # of computing, in the batches that are over
        self._usual: float | None = None  # seconds of an image, as measured before

    @property
    def is_complete(self) -> bool:
        """Whether all images are done."""
        return self._num_finished == len(self._order.image_labels)

    @property
    def shares_with(self) -> Hashable:
        """What is equal for runs whose images may grow together; None where they grow alone.

        They have seeds of their own, so that none of them depends on its neighbours. The processor computes them apart,
        so that nothing is gained there.
        """
        order = self._order
        if order.edit is not None or order.branch is not None or not gains_from_batches(self._models):
            return None
        return order.path, order.loading, order.previews, repr(sorted(order.sampling.items()))

    def steps(self, stop: StopSignal, guests: Callable[[], Iterable[LocalJob]] = tuple) -> Steps:
        """Load the checkpoint unless it is there, and generate, a batch a turn.

        Between two turns nothing of the model is held: it may give way to another one, and is loaded again.

        Args:
            stop: once set, the run ends within one block of the transformer; what is finished stays.
            guests: returns jobs that wait and share with this run, the first one first: the room in a batch is theirs.
                Where this run is stopped, their images are made in their own turn.

        Yields:
            `LoadingModel` and `Scale`; None after each batch.

        Raises:
            ValueError: a setting is out of range; CheckpointError where the file cannot be used, or is another one by
                now.
            FileNotFoundError: the checkpoint is gone.
        """
        self._check_operations()
        while not (self.is_complete or stop.is_set()):
            yield from self._next_batch(stop, guests)
            yield None

    def _check_operations(self) -> None:
        order = self._order
        self._models.check_operations({(order.path, order.loading): len(order.image_labels)})

    def _next_batch(
        self, stop: StopSignal, guests: Callable[[], Iterable[LocalJob]]
    ) -> Generator[LoadingModel | Scale, None, None]:
        """Make the next images that grow together."""
        order = self._order
        pipeline = yield from load(self._models, order.path, order.loading, self._pace)
        self._begin_with(pipeline)
        parts = self._parts(pipeline, guests)
        batch = [recipe for part in parts for recipe in part.recipes]
        previewer = self._models.previewer(pipeline) if order.previews else None
        begin = time.perf_counter()
        if previewer:
            previewer.start()
        told = 0
        with closing(self._steps(pipeline, batch, stop)) as steps:
            for step in steps:
                previews = (previewer.offer(step) if previewer else None) or []
                finished: list[Finished] = []
                if step.result is not None:
                    previews, images = [], step.result.pil_images[told:]
                    tokens = self._tokens(pipeline, step.result.tokens, batch)[told:]
                    finished = list(map(Finished, images, batch[told:], tokens))
                elif stop.is_set():  # here ends the run, and not those of the guests
                    finished = list(map(Finished, step.finished()[told:], parts[0].recipes[told:]))
                for part in parts:
                    seconds = (time.perf_counter() - begin) * len(part.recipes) / len(batch)
                    of_part = (part, part.of(finished, told), part.of(previews), seconds)
                    event = part.run._after(step, pipeline.var.config.patch_nums, *of_part)
                    if part.guest is None:
                        yield event
                    else:
                        part.guest.tell(event)
                told += len(finished)
        for part in parts:
            part.run._end_batch((time.perf_counter() - begin) * len(part.recipes) / len(batch))

    def _parts(self, pipeline: VARPipeline, guests: Callable[[], Iterable[LocalJob]]) -> list[Part]:
        """Return whose images grow together now."""
        size = batch_size(self._models)
        parts = [Part(self, self._next(size))]
        size -= len(parts[0].recipes)
        for guest in guests():
            run = guest.run
            if run is None:
                continue
            with suppress(*USER_ERRORS):  # which it tells when its turn comes
                run._check_operations()
                run._begin_with(pipeline)
                recipes = run._next(size)
                if recipes:
                    guest.begin()
                    parts.append(Part(run, recipes, parts[-1].first + len(parts[-1].recipes), guest))
                    size -= len(recipes)
        return parts

    def _next(self, size: int) -> tuple[Recipe, ...]:
        """Return the recipes of the next images, at most so many."""
        return self._recipes[self._num_finished : self._num_finished + size]

    def _after(
        self,
        step: Step,
        patch_nums: tuple[int, ...],
        part: Part,
        finished: Sequence[Finished],
        previews: Sequence[Image],
        seconds: float,
    ) -> Scale:
        """Take down what a scale brought, and return what is told of it.

        Args:
            step: of the batch.
            patch_nums: side of the token map of each scale.
            part: this run's of it.
            finished: its images that are done now.
            previews: of its images in progress.
            seconds: that its part of the batch took by now.
        """
        done = self._num_finished + share_done(patch_nums, step.scale_index) * len(part.recipes)
        self._num_finished += len(finished)
        return Scale(
            recipes=self._recipes,
            num_finished=self._num_finished,
            finished=tuple(finished),
            previews=tuple(previews),
            scale_index=step.scale_index,
            num_growing=len(part.recipes),
            patch_nums=patch_nums,
            remaining=self._remaining(self._seconds + seconds, done / len(self._recipes)),
        )

    def _end_batch(self, seconds: float) -> None:
        """Take down how long this run's part of a batch took."""
        self._seconds += seconds
        num_made = self._num_finished - self._order.num_made
        if num_made:
            self._pace.note_images(self._order.path, self._dtype, self._seconds / num_made)

    def _begin_with(self, pipeline: VARPipeline) -> None:
        """Make the recipes; later see that the model is still the one that they are of."""
        order = self._order
        if self._recipes or order.num_made:
            made_by = self._recipes[0].checkpoint_hash if self._recipes else order.checkpoint_hash
            if pipeline.checkpoint_hash != made_by:
                raise CheckpointError(
                    f"{order.name} changed while the run went on, so that the other images would be another model's. "
                    "Start again to use the file as it is now."
                )
        if self._recipes:
            return
        if isinstance(order.branch, Branch) and order.checkpoint_hash != pipeline.checkpoint_hash:
            raise CheckpointError(
                f"{order.name} did not make the scales to be kept, or changed since, so their tokens mean something "
                "else to it. Choose the checkpoint that made them, or keep no scales."
            )
        config = pipeline.var.config
        options = order.check_for(config.num_classes, config.patch_nums)
        branch = order.branch
        if isinstance(branch, Parent):
            branch = branch_of(pipeline, branch.recipe, branch.keep_scales)
        self._recipes = tuple(make_recipes(pipeline, options, order.edit is not None, branch))
        self._usual = self._pace.image_seconds(order.path, self._dtype)

    def _steps(self, pipeline: VARPipeline, batch: Sequence[Recipe], stop: StopSignal) -> Generator[Step, None, None]:
        arguments = batch[0].arguments | {
            "class_labels": [recipe.class_label for recipe in batch],
            "seed": [recipe.seed for recipe in batch],
        }
        edit = self._order.edit
        if edit is None:
            return pipeline.stream(**arguments, stop=stop)
        arguments |= {"keep_scales": edit.keep_scales, "paste": edit.paste}
        return pipeline.stream_edit(edit.image, edit.keep, **arguments, stop=stop)

    def _tokens(self, pipeline: VARPipeline, drawn: Tensor, batch: Sequence[Recipe]) -> "list[array[int] | None]":
        """Return the tokens that each image of a batch is made of; `drawn` are those of its result, (B, L)."""
        if batch[0].options.more_smooth:
            return [None] * len(batch)
        edit = self._order.edit
        if edit is not None:
            drawn = with_kept(pipeline, edit, drawn)
        return [array("I", row) for row in drawn.tolist()]

    def _remaining(self, seconds: float, share: float) -> float | None:
        done = share - self._order.num_made / len(self._recipes)
        if done >= EARLIEST_ESTIMATE:
            return seconds * (1 - share) / done
        return self._usual and self._usual * len(self._recipes) * (1 - share)
