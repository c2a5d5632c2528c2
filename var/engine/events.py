"""What a job tells while it goes on: plain values that can be pickled, pictures as images that hold their pixels."""

from array import array
from dataclasses import dataclass, field, replace

from PIL.Image import Image

from ..comparing.comparison import BatchStep, CellResult
from ..outputs.recipe import Recipe


@dataclass(frozen=True)
class Waiting:
    """The job waits for its turn, at its beginning or between two batches.

    Args:
        before: how many jobs come first, the one that computes included; 0: its turn comes now.
        seconds: until its turn comes, about; None where that is not known.
    """

    before: int
    seconds: float | None = None


@dataclass(frozen=True)
class LoadingModel:
    """The checkpoint is being loaded.

    Args:
        seconds: how long that took before; 0 where it is not known.
    """

    seconds: float = 0.0


@dataclass(frozen=True)
class Ready:
    """The checkpoint is in memory."""


@dataclass(frozen=True, eq=False)
class Finished:
    """An image that is done.

    Args:
        image: RGB.
        recipe: how it is made again.
        tokens: of all scales joined, those that made the image; None where it is not made of tokens alone, since
            `more_smooth` mixes them, or where the run was stopped before all images of its batch were done.
    """

    image: Image
    recipe: Recipe
    tokens: "array[int] | None" = None


@dataclass(frozen=True, eq=False)
class Scale:
    """One more scale of the images that grow together.

    Args:
        recipes: of all images of the run.
        num_finished: images of the run that are done, those of `finished` included.
        finished: those that are done since the event before, in the recipes' order.
        previews: of the images in progress, which come next, the first ones for which there was time; perhaps none.
        scale_index: the scale just finished, from 0.
        num_growing: how many images grow together now; those that it has finished are among them.
        patch_nums: side of the token map of each scale.
        remaining: seconds that are left, about; None where it is too early to tell.
    """

    recipes: tuple[Recipe, ...]
    num_finished: int
    finished: tuple[Finished, ...]
    previews: tuple[Image, ...]
    scale_index: int
    num_growing: int
    patch_nums: tuple[int, ...]
    remaining: float | None

    @property
    def last(self) -> bool:
        """Whether all images are done."""
        return self.num_finished == len(self.recipes)

    def after(self, missed: "Scale") -> "Scale":
        """Return what this event and the one before say together, for who did not hear that one."""
        previews = self.previews
        if not self.finished and not missed.finished:  # the same images grow: what was seen last of each
            previews += missed.previews[len(previews) :]
        return replace(self, finished=missed.finished + self.finished, previews=previews)


@dataclass(frozen=True, eq=False)
class FilmFrame:
    """An image after one of its scales.

    Args:
        image: RGB.
        patch_nums: side of the token map of each scale.
        tokens: of the whole image, as of `Finished`.
    """

    image: Image
    patch_nums: tuple[int, ...]
    tokens: "array[int] | None"


@dataclass(frozen=True)
class WorkerLost:
    """What computed the job is gone; another worker goes on with what is left, from the same seeds."""


@dataclass(frozen=True)
class Done:
    """The job is over.

    Args:
        seconds: since its first turn began.
        stopped: whether it was stopped before its end.
    """

    seconds: float = 0.0
    stopped: bool = False


@dataclass(frozen=True)
class Failed:
    """The job is over, for it cannot go on; what it told before holds.

    Args:
        sentence: why, for people; "" for a fault of the server, which is in its log.
        offer: a precision in which the checkpoint would fit into memory; None where that is not the reason.
    """

    sentence: str = field(default="")
    offer: str | None = None


Event = Waiting | LoadingModel | Ready | Scale | FilmFrame | BatchStep | CellResult | WorkerLost | Done | Failed
