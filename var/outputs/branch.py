"""A branch: what an image keeps of another one, the tokens of its first scales, and which image that was."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isqrt
from typing import TYPE_CHECKING, Any

from ..pipeline import VARPipeline, check_keep_scales

if TYPE_CHECKING:
    from .recipe import Recipe

SMOOTH = (
    "More smooth mixed the tokens of this image, so its first scales cannot be kept. "
    "Make it without more smooth, and branch from that one."
)
ID_DIGITS = 12
MAX_NAME_LETTERS = 340  # of the parent: a class name and a seed
MAX_TOKENS = 16_384  # in all; a model of 512 pixels has 2,240
MAX_TOKEN = 2**31 - 1


@dataclass(frozen=True)
class Branch:
    """What an image keeps of another one.

    Args:
        first_tokens: of each kept scale, coarse to fine, its tokens row by row.
        parent: `Recipe.id` of the other image.
        parent_name: its class and seed, for people.
    """

    first_tokens: tuple[tuple[int, ...], ...]
    parent: str
    parent_name: str

    @property
    def keep_scales(self) -> int:
        """How many scales are kept."""
        return len(self.first_tokens)

    @property
    def joined(self) -> tuple[int, ...]:
        """The tokens of all kept scales, as `VARPipeline.stream` takes them."""
        return tuple(chain.from_iterable(self.first_tokens))

    def check(self, num_scales: int) -> None:
        """Raise ValueError unless every value is of its kind and in its range; for recipes of unknown origin."""
        if not 1 <= self.keep_scales < num_scales or len(self.joined) > MAX_TOKENS:
            raise ValueError(f"first_tokens must be of 1 to {num_scales - 1} scales")
        if not all(scale and isqrt(len(scale)) ** 2 == len(scale) for scale in self.first_tokens):
            raise ValueError("first_tokens must have as many tokens a scale as a square has")
        if not all(type(token) is int and 0 <= token <= MAX_TOKEN for token in self.joined):
            raise ValueError("first_tokens must be whole numbers from 0")
        if not (isinstance(self.parent, str) and re.fullmatch(f"[0-9a-f]{{{ID_DIGITS}}}", self.parent)):
            raise ValueError(f"parent must be {ID_DIGITS} hexadecimal digits")
        name = self.parent_name
        if not (isinstance(name, str) and len(name) <= MAX_NAME_LETTERS and name.isprintable()):
            raise ValueError("parent_name must be a line of text")

    def as_dict(self) -> dict[str, Any]:
        """The branch as plain values; `from_dict` reads it."""
        return {"first_tokens": self.first_tokens, "parent": self.parent, "parent_name": self.parent_name}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Branch":
        """The branch of plain values from anywhere; `check` says whether they mean anything.

        Raises:
            KeyError, TypeError: a value is missing or of another kind.
        """
        tokens = tuple(tuple(scale) for scale in values["first_tokens"])
        return cls(tokens, values["parent"], values["parent_name"])


def first_scales(tokens: Sequence[int], patch_nums: Sequence[int], keep_scales: int) -> tuple[tuple[int, ...], ...]:
    """The tokens of the first scales, a tuple for each.

    Args:
        tokens: of an image, all scales joined, or of its first ones.
        patch_nums: side of the token map of each scale.
        keep_scales: how many scales.
    """
    scales, start = [], 0
    for side in patch_nums[:keep_scales]:
        scales.append(tuple(tokens[start : start + side**2]))
        start += side**2
    return tuple(scales)


def branch_of(pipe: VARPipeline, recipe: "Recipe", keep_scales: int) -> Branch:
    """The branch of an image that is known by its recipe alone; makes the image again, for its tokens.

    Args:
        pipe: of the checkpoint that made the image, on the same kind of device and in the same precision.
        recipe: of the image.
        keep_scales: how many of its scales are kept, from 1.

    Raises:
        ValueError: the image cannot be made again, or not here; or `keep_scales` is out of range.
    """
    patch_nums = pipe.var.config.patch_nums
    check_keep_scales(keep_scales, len(patch_nums))
    if keep_scales == 0:
        raise ValueError(
            f"a branch keeps at least one scale of its image: keep_scales must be 1 to {len(patch_nums) - 1}"
        )
    if recipe.edited:
        raise ValueError("the image was edited from another one, which is not in the file, so it cannot be made again")
    if recipe.options.more_smooth:
        raise ValueError(SMOOTH)
    here = {
        "checkpoint": (recipe.checkpoint_hash, pipe.checkpoint_hash or ""),
        "VQVAE": (recipe.vae_hash, pipe.vae_hash),
        "weights": (recipe.weights, pipe.checkpoint and pipe.checkpoint.weights),
        "device": (recipe.device, pipe.device.type),
        "precision": (recipe.dtype, str(pipe.dtype).removeprefix("torch.")),
    }
    others = [f"{name} {made} made the image, here it is {now}" for name, (made, now) in here.items() if made != now]
    if others:
        raise ValueError(f"the image cannot be made again here: {'; '.join(others)}. Give the same ones")
    tokens = pipe(**recipe.arguments).tokens[0].tolist()
    return Branch(first_scales(tokens, patch_nums, keep_scales), recipe.id, recipe.name)
