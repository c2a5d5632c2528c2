"""Images and masks: between tensors and PIL, and onto one sheet.

Letters: B images, H and W pixels, N side of the latent.
"""

from collections.abc import Mapping, Sequence

import numpy
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from .deep import to_eight_bits


def to_pil(images: Tensor) -> list[Image.Image]:
    """Images of a float tensor (B, 3, H, W) in [0, 1], rounded to 8 bits."""
    pixels = images.mul(255).round_().clamp_(0, 255).to(torch.uint8)
    arrays = pixels.permute(0, 2, 3, 1).cpu().numpy()  # (B, H, W, 3)
    return [Image.fromarray(array) for array in arrays]


def upright(image: Image.Image, whites: Mapping[str, float] | None = None, name: str = "The image") -> Image.Image:
    """An RGB image as its viewer shows it: turned as its EXIF says, transparent parts on white.

    Args:
        image: of any mode.
        whites: of images of more than 8 bits, the number that is white, by kind; None to find it in the image.
        name: what a message calls it.

    Raises:
        ValueError: numbers of no known scale.
    """
    image = to_eight_bits(ImageOps.exif_transpose(image), whites, name)  # Pillow's own conversion clips them to white
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def from_pil(image: Image.Image, size: int) -> Tensor:
    """The middle square of an image, resized: float (1, 3, size, size) in [-1, 1]."""
    square = ImageOps.fit(upright(image), (size, size), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(numpy.array(square))  # (size, size, 3)
    return pixels.permute(2, 0, 1)[None].float().div(127.5).sub(1)  # (1, 3, size, size)


def read_image(image: Image.Image | Tensor, size: int) -> Tensor:
    """An image of the size that a model works on.

    Args:
        image: PIL image of any size, of which the middle square is taken, or float (1, 3, size, size) in [-1, 1].
        size: pixels per side.

    Returns:
        float32 (1, 3, size, size) in [-1, 1].

    Raises:
        ValueError: neither of the two.
    """
    if isinstance(image, Image.Image):
        return from_pil(image, size)
    if not isinstance(image, Tensor):
        raise ValueError(
            f"the image must be a PIL image or a tensor, not {type(image).__name__}; Image.fromarray and Image.open "
            "make a PIL image of an array and of a file"
        )
    check_images(image, size)
    if image.shape[0] != 1:
        raise ValueError(f"one image is wanted, a tensor (1, 3, {size}, {size}), not {image.shape[0]} images")
    return image.float()


def check_images(images: object, size: int) -> Tensor:
    """Return images that are a float tensor (B, 3, size, size) in [-1, 1]; raises ValueError for anything else."""
    expected = f"images must be PIL images, or a float tensor (B, 3, {size}, {size}) in [-1, 1]"
    if not isinstance(images, Tensor) or not images.is_floating_point():
        found = f"a tensor of {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"{expected}, not {found}")
    if images.ndim != 4 or images.shape[0] == 0 or images.shape[1:] != (3, size, size):
        raise ValueError(f"{expected}, not of shape {tuple(images.shape)}")
    if not (images.abs() <= 1 + 1e-3).all():
        raise ValueError(f"{expected}; found values from {images.min():g} to {images.max():g}")
    return images


def read_images(images: Tensor | Image.Image | Sequence[Image.Image], size: int) -> Tensor:
    """Images of the size that a model works on.

    Args:
        images: PIL images of any size, of which the middle squares are taken; or float (B, 3, size, size) in [-1, 1].
        size: pixels per side.

    Returns:
        float32 (B, 3, size, size) in [-1, 1].

    Raises:
        ValueError: neither of the two.
    """
    if isinstance(images, Image.Image):
        images = [images]
    if isinstance(images, Sequence) and images and all(isinstance(image, Image.Image) for image in images):
        return torch.cat([from_pil(image, size) for image in images])
    return check_images(images, size).float()


def read_mask(mask: Image.Image | Tensor | numpy.ndarray, image: Image.Image | Tensor, side: int) -> Tensor:
    """Which places of an image an edit keeps.

    Args:
        mask: nonzero = keep; a PIL image, or a tensor or array (h, w) of any size, that covers the whole of `image`.
        image: the image it belongs to; the mask is cropped as `read_image` crops it.
        side: places per side (N): tokens, or pixels.

    Returns:
        float32 (N, N), 1 where more than half of the place is kept, else 0.

    Raises:
        ValueError: the mask is none of these, or is empty.
    """
    if isinstance(mask, Image.Image):
        mask = numpy.array(mask.convert("L"))  # (h, w)
    if isinstance(mask, numpy.ndarray) and mask.dtype.kind in "biuf":
        mask = torch.from_numpy(mask != 0)  # (h, w)
    if not isinstance(mask, Tensor) or mask.ndim != 2 or mask.numel() == 0:
        found = f"shape {tuple(mask.shape)}" if hasattr(mask, "shape") else type(mask).__name__
        raise ValueError(
            f"keep_mask must be a PIL image, or a tensor or array (h, w), nonzero where to keep, not {found}"
        )
    keep = mask.ne(0).float().cpu()
    if isinstance(image, Image.Image):
        keep = crop_to_square(keep, *ImageOps.exif_transpose(image).size)
    return F.interpolate(keep[None, None], size=(side, side), mode="area")[0, 0].gt(0.5).float()  # (N, N)


def crop_to_square(mask: Tensor, width: int, height: int) -> Tensor:
    """The part of a mask (h, w) that covers the middle square of an image of width × height pixels."""
    rows, columns = mask.shape
    if width > height:
        cut = round(columns * (1 - height / width) / 2)
        return mask[:, cut : columns - cut]
    cut = round(rows * (1 - width / height) / 2)
    return mask[cut : rows - cut]


def paste_kept(images: Tensor, original: Tensor, keep: Tensor, feather: int) -> Tensor:
    """Put the original's own pixels back where an edit kept them.

    What is made anew stays as it is, to the last pixel. From its border on the original fades in, and is itself, bit
    for bit, from a feather's width on.

    Args:
        images: of the edit, float (b, 3, H, W) in [0, 1].
        original: what was edited, float (1, 3, H, W) in [-1, 1].
        keep: float (H, W), 1 = keep, 0 = made anew.
        feather: pixels from the border on; a token's width hides that the tokens there were decoded beside new ones.

    Returns:
        float (b, 3, H, W) in [0, 1].
    """
    radius = feather // 2
    window = 2 * radius + 1
    near = F.max_pool2d(1 - keep[None, None], window, stride=1, padding=radius)  # (1, 1, H, W), 1 up to half of the way
    mean = F.avg_pool2d(near, window, stride=1, padding=radius, count_include_pad=False)  # (1, 1, H, W)
    share = 1 - mean  # of the original
    return torch.lerp(images, original.add(1).mul(0.5), share)


def contact_sheet(images: Sequence[Image.Image], columns: int, gap: int = 4) -> Image.Image:
    """Images of one size side by side, row by row, on white.

    Args:
        images: at least one.
        columns: images a row.
        gap: pixels between them and around.
    """
    width, height = images[0].size
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), "white")
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        sheet.paste(image, (gap + column * (width + gap), gap + row * (height + gap)))
    return sheet
