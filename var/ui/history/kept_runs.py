"""The runs of a session: what is kept of each, and how much."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

from PIL import Image

from ...engine.models import Loading
from ...outputs.recipe import Recipe, caption, name_of
from ...pictures.pixels import contact_sheet
from ..html import counted

MOST_RUNS = 50
THUMBNAIL_SIDE = 256
MOST_THUMBNAIL_COLUMNS = 4
MOST_NAMES = 3


@dataclass(frozen=True)
class Source:
    """What made an image.

    Args:
        checkpoint: its name in the list.
        path: its file; None where the list no longer has it.
        loading: how it was loaded; None for the usual way.
    """

    checkpoint: str
    path: Path | None
    loading: Loading | None


@dataclass(frozen=True, eq=False)
class KeptRun:
    """A run that is over.

    Args:
        sources: one an image; they differ where checkpoints were compared.
        files: one PNG an image, at a place that Gradio serves.
        recipes: one an image.
        tokens: one an image, of all its scales joined, from which these are decoded; None where they are not kept.
        thumbnail: a picture of the first images.
        title: what was compared; "" where nothing was.
        labels: what tells each image of a comparison from the others; () where class and seed do.
    """

    sources: tuple[Source, ...]
    files: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    tokens: tuple[array | None, ...]
    thumbnail: str
    title: str = ""
    labels: tuple[str, ...] = ()

    @property
    def shown(self) -> list[tuple[str, str]]:
        """What a gallery shows: each image with its caption."""
        return list(zip(self.files, self.labels or map(caption, self.recipes), strict=True))

    @property
    def caption(self) -> str:
        """Classes, number of images and seeds, or what was compared, in two lines."""
        if self.title:
            return f"{self.title}\n{counted(len(self.recipes))} compared"
        names = list(dict.fromkeys(map(name_of, self.recipes)))
        more = f" + {len(names) - MOST_NAMES}" if len(names) > MOST_NAMES else ""
        return f"{', '.join(names[:MOST_NAMES])}{more}\n{counted(len(self.recipes))}, {self.seeds}"

    @property
    def seeds(self) -> str:
        """The first and the last seed in words."""
        first, last = self.recipes[0].seed, self.recipes[-1].seed
        return f"seed {first}" if first == last else f"seeds {first} to {last}"


def keep(runs: Sequence[KeptRun], run: KeptRun) -> list[KeptRun]:
    """Return a session's runs with another one, the newest first, and no more than may be kept."""
    return [run, *runs][:MOST_RUNS]


def thumbnail(images: Sequence[Image.Image]) -> Image.Image:
    """Return a small picture of a run: its first image, or the first 4, 9 or 16."""
    columns = min(isqrt(len(images)), MOST_THUMBNAIL_COLUMNS)
    side = THUMBNAIL_SIDE // columns
    small = [image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS) for image in images[: columns**2]]
    return contact_sheet(small, columns, gap=0)
