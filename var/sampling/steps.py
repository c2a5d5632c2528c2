"""What a generation hands out: a step for each scale, and the result with the last.

Letters: B images, b images computed together, L tokens of all scales, S scales, C latent channels, N side of the
latent, H and W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image
from torch import Tensor

from ..pictures.pixels import to_pil
from .decoding import Decoding


@dataclass(frozen=True, eq=False)
class Result:
    """What a generation made.

    Args:
        images: list of PIL images, or a float tensor (B, 3, H, W) in [0, 1] where `output_type` is "pt".
        tokens: int64 (B, L), the drawn tokens of all scales joined. After an edit also the tokens drawn where the known
            image was kept; with `more_smooth` the tokens drawn beside the mixtures that made the image.
        latents: float (B, S, C, N, N), the latent after each scale, which the tokens alone do not tell after an edit
            or with `more_smooth`; small (0.3 MB an image of 256 pixels), on the device.
    """

    images: list[Image.Image] | Tensor
    tokens: Tensor
    latents: Tensor = field(repr=False)

    @property
    def pil_images(self) -> list[Image.Image]:
        """The images as PIL images, of whichever type they are."""
        return to_pil(self.images) if isinstance(self.images, Tensor) else self.images


@dataclass(frozen=True)
class Step:
    """One scale of a generation.

    Args:
        scale_index: 0-based.
        num_scales: scales of an image.
        patch_num: side of this scale's token map.
        result: of the whole generation, in its last step; None before.
        decoding: what the images so far are made from.
    """

    scale_index: int
    num_scales: int
    patch_num: int
    result: Result | None = None
    decoding: Decoding = field(kw_only=True, repr=False)

    def preview(self) -> list[Image.Image]:
        """The images so far, decoded now: the finished ones and those in progress.

        These are all, unless memory is too small to compute them at once; then the later ones follow in later steps.
        """
        return to_pil(self.decoding())

    def finished(self) -> list[Image.Image]:
        """The images that are done; what is left where a generation was stopped. Nothing is decoded for this."""
        return [image for images in self.decoding.finished for image in to_pil(images)]


def share_done(patch_nums: Sequence[int], scale_index: int) -> float:
    """The share of the tokens that are drawn after a scale, and so about the share of the work, 0 to 1.

    Args:
        patch_nums: side of the token map of each scale.
        scale_index: the scale that is done, 0-based.
    """
    tokens = [side**2 for side in patch_nums]
    return sum(tokens[: scale_index + 1]) / sum(tokens)
