"""The runs of a session: what is kept of each, and how much."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from torch import Tensor

from ..pictures.images import contact_sheet
from ..recipe import Recipe
from .messages import counted
from .models import Loading

MOST_RUNS = 50
MOST_LATENT_BYTES = 64 << 20  # of a session, in main memory
THUMBNAIL_SIDE = 256
MOST_NAMES = 3


def name_of(recipe: Recipe) -> str:
    """Return the class of an image for people."""
    return recipe.class_name or "no class"


def caption(recipe: Recipe) -> str:
    """Return the two lines below an image: enough to make it again."""
    return f"{name_of(recipe)}\nseed {recipe.seed}"


@dataclass(frozen=True, eq=False)
class KeptRun:
    """A run that is over.

    Args:
        checkpoint: its name in the list.
        path: its file; None where the list no longer has it.
        loading: how it was loaded; None for the usual way.
        files: one PNG an image, at a place that Gradio serves.
        recipes: one an image.
        latents: one an image, float (1, S, C, N, N), from which its scales are decoded; None where these are not kept.
        thumbnail: a picture of the first images.
    """

    checkpoint: str
    path: Path | None
    loading: Loading | None
    files: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    latents: tuple[Tensor | None, ...]
    thumbnail: str

    @property
    def shown(self) -> list[tuple[str, str]]:
        """What a gallery shows: each image with its caption."""
        return list(zip(self.files, map(caption, self.recipes), strict=True))

    @property
    def latent_bytes(self) -> int:
        """Size of what is kept in memory."""
        return sum(latent.nbytes for latent in self.latents if latent is not None)

    @property
    def caption(self) -> str:
        """Classes, number of images and seeds, in two lines."""
        names = list(dict.fromkeys(recipe.class_name or "no class" for recipe in self.recipes))
        more = f" + {len(names) - MOST_NAMES}" if len(names) > MOST_NAMES else ""
        return f"{', '.join(names[:MOST_NAMES])}{more}\n{counted(len(self.recipes))}, {self.seeds}"

    @property
    def seeds(self) -> str:
        """The first and the last seed in words."""
        first, last = self.recipes[0].seed, self.recipes[-1].seed
        return f"seed {first}" if first == last else f"seeds {first} to {last}"


def keep(runs: Sequence[KeptRun], run: KeptRun) -> list[KeptRun]:
    """Return a session's runs with another one, the newest first, and no more than may be kept."""
    kept, left = [], MOST_LATENT_BYTES
    for old in [run, *runs][:MOST_RUNS]:
        left -= old.latent_bytes
        kept.append(old if left >= 0 else replace(old, latents=(None,) * len(old.recipes)))
    return kept


def thumbnail(images: Sequence[Image.Image]) -> Image.Image:
    """Return a small picture of a run: its first image, or the first four."""
    picture = contact_sheet(images[:4], 2, gap=0) if len(images) >= 4 else images[0]
    return picture.convert("RGB").resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
