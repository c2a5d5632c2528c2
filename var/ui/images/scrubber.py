"""The scales of the large image under one's hand: a slider that shows it after each, and branches from there."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ...outputs.branch import SMOOTH, Branch, first_scales
from ...outputs.recipe import Recipe
from ..compare.grid import file_address
from ..settings.kept import Kept
from ..static import read_script

TEMPLATE = """<div class="scrubber">
  <label><span>Scale</span><input type="range" min="1" max="1" value="1" step="1"></label>
  <output></output>
  <button type="button">Branch from here</button>
  <p role="status"></p>
</div>"""


@dataclass(frozen=True, eq=False)
class Film:
    """An image after each of its scales.

    Args:
        file: the PNG of the image.
        recipe: of the image.
        frames: a file for each scale, coarse to fine; the last is `file`.
        patch_nums: side of the token map of each scale.
        tokens: as of `Finished`.
    """

    file: str
    recipe: Recipe
    frames: Sequence[str]
    patch_nums: Sequence[int]
    tokens: array | None

    def kept(self, keep_scales: int) -> Kept:
        """Return what branches keep that leave the image after so many scales; raises ValueError if there are none."""
        if self.tokens is None:
            raise ValueError(SMOOTH)
        if not 1 <= keep_scales < len(self.patch_nums):
            raise ValueError(f"A branch keeps 1 to {len(self.patch_nums) - 1} scales, not {keep_scales}.")
        scales = first_scales(self.tokens, self.patch_nums, keep_scales)
        branch = Branch(scales, self.recipe.id, self.recipe.name)
        return Kept(branch, self.recipe.checkpoint_hash, len(self.patch_nums), self.frames[keep_scales - 1])


def create_scrubber(prefix: str) -> gr.HTML:
    """Lay out the scrubber, without a film; `prefix` is of the ids of the panel's elements."""
    return gr.HTML(
        scrubber_value(None),
        html_template=TEMPLATE,
        js_on_load=read_script("scrubber"),
        apply_default_css=False,
        elem_id=f"{prefix}scrubber",
        elem_classes="of-scrubber",
    )


def scrubber_value(film: Film | None) -> dict[str, Any]:
    """Return the scrubber's value for a film; None for none."""
    if film is None:
        return {"frames": [], "sides": [], "why": ""}
    frames = [file_address(frame) for frame in film.frames]
    return {"frames": frames, "sides": list(film.patch_nums), "why": SMOOTH if film.tokens is None else ""}
