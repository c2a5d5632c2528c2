"""The first scales of an image that new images keep, while people want it: what is kept, and how the page says it."""

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from ...outputs.branch import Branch
from ...outputs.recipe import Recipe
from ..compare.grid import file_address


@dataclass(frozen=True)
class Kept:
    """What new images keep.

    Args:
        branch: the tokens, and of which image they are.
        checkpoint_hash: `short_hash` of the checkpoint that made that image.
        num_scales: of the image.
        picture: the image after the kept scales, a file that Gradio serves; "" where there is none.
    """

    branch: Branch
    checkpoint_hash: str
    num_scales: int
    picture: str = ""


@dataclass(frozen=True)
class KeptRow:
    """The line above the images that says what new ones keep; it is there only while they keep something.

    Args:
        kept: session state, what is kept; None: nothing.
        text: says it.
        drop: the button that ends it.
    """

    kept: gr.State
    text: gr.HTML
    drop: gr.Button

    @property
    def outputs(self) -> list[gr.blocks.Block]:
        """What `updates` changes."""
        return [self.kept, self.text]

    def updates(self, kept: Kept | None) -> dict[gr.blocks.Block, Any]:
        """Return the updates for new images that keep this, or nothing."""
        return {self.kept: kept, self.text: kept_html(kept) if kept else ""}


def create_kept_row() -> KeptRow:
    """Make the line, to be rendered where it stands."""
    text = gr.HTML("", elem_id="kept", render=False)
    return KeptRow(gr.State(None), text, gr.Button("Draw all scales", size="sm", elem_id="drop-kept", render=False))


def kept_html(kept: Kept) -> str:
    """Return what is kept, in words and as a picture."""
    scales = kept.branch.keep_scales
    which = "scale 1" if scales == 1 else f"scales 1 to {scales}"
    picture = f'<img src="{file_address(kept.picture)}" alt="">' if kept.picture else ""
    return (
        f'<div class="kept" role="status">{picture}<p>New images keep <b>{which} of {kept.num_scales}</b> '
        f"of {escape(kept.branch.parent_name)}</p></div>"
    )


def kept_of(recipe: Recipe) -> Kept | None:
    """Return what an image kept of another one; None where it kept nothing."""
    return Kept(recipe.branch, recipe.checkpoint_hash, recipe.num_scales) if recipe.branch else None
