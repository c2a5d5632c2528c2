"""Images to train on, as a run holds them: in memory or in their files, with labels; and what a step makes of them.

Letters: B images, S pixels per side as stored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import DataError
from ..pictures.pixels import upright
from .distributed import Processes

MOST_VALIDATED = 512  # held-out images looked at after an epoch
NEIGHBOURS = 8  # files to either side that an image may be taken from where its own cannot be read any more
MAX_GPU_SHARE = 0.25  # of its free memory for images

Progress = Callable[..., Iterable]  # (items, label, total=None) -> the items, shown as they pass


class ImageStore(Protocol):
    """Where a split's images are."""

    def batch(self, indices: Tensor) -> Tensor:
        """The images at some indices, uint8 (B, 3, S, S)."""
        ...


@dataclass(frozen=True)
class Split:
    """Images and their classes.

    Args:
        images: read by index.
        labels: class of each image, int64 (images,).
    """

    images: ImageStore
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """All that a run learns from.

    Args:
        class_names: one for each class, in the order of the labels.
        train: to learn from.
        val: held out.
        notices: what a user should know of the data, a sentence each.
    """

    class_names: list[str]
    train: Split
    val: Split
    notices: list[str]


def prepare(data: ImageData, border: int, device: torch.device) -> ImageData:
    """Give images the border that moving them asks for, and put those in memory onto a GPU where they fit easily."""

    def prepared(split: Split) -> Split:
        images = split.images
        if isinstance(images, PackedImages) and device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if images.pixels.nbytes < MAX_GPU_SHARE * free:
                images = PackedImages(images.pixels.to(device), images.places)
        return Split(BorderedImages(images, border) if border else images, split.labels)

    return replace(data, train=prepared(data.train), val=prepared(data.val))


def validation_batches(num_images: int, batch_size: int, processes: Processes) -> Sequence[Tensor]:
    """This process's share of the held-out images that are looked at after an epoch: evenly spaced, in batches.

    Args:
        num_images: held-out images.
        batch_size: images at once, of all processes together.
        processes: of the run.
    """
    chosen = torch.linspace(0, num_images - 1, min(num_images, MOST_VALIDATED)).long()
    size = max(1, batch_size // processes.count)
    return chosen.split(size)[processes.rank :: processes.count] if num_images else []


class PackedImages:
    """Images in memory.

    Args:
        pixels: uint8 (N, 3, S, S).
        places: which of these are meant, int64 (images,); None for all.
    """

    def __init__(self, pixels: Tensor, places: Tensor | None = None):
        self.pixels, self.places = pixels, places

    def batch(self, indices: Tensor) -> Tensor:
        places = indices if self.places is None else self.places[indices]
        return self.pixels[places.to(self.pixels.device)]


class BorderedImages:
    """Images with a border that mirrors what is inside, so that crops at random move them.

    Args:
        images: the store without it.
        border: pixels on each side.
    """

    def __init__(self, images: ImageStore, border: int):
        self.images, self.border = images, border

    def batch(self, indices: Tensor) -> Tensor:
        pixels = self.images.batch(indices)  # (B, 3, S, S)
        side = pixels.shape[-1]
        places = torch.arange(-self.border, side + self.border, device=pixels.device).abs()
        places = side - 1 - (side - 1 - places).abs()
        return pixels.index_select(2, places).index_select(3, places)  # (B, 3, S + 2·border, S + 2·border)


class ImageFiles:
    """Images read from their files each time, by several threads.

    Args:
        paths: of the files.
        labels: their classes.
        size: pixels per side.
        workers: threads.
        whites: of `read_image`.
    """

    def __init__(
        self, paths: Sequence[Path], labels: Sequence[int], size: int, workers: int, whites: Mapping[str, float]
    ):
        self.paths, self.labels, self.size, self.whites = list(paths), list(labels), size, whites
        self.pool = ThreadPoolExecutor(workers)

    def batch(self, indices: Tensor) -> Tensor:
        return torch.stack(list(self.pool.map(self._read, indices.tolist())))

    def _read(self, index: int) -> Tensor:
        # A file that broke since it was first looked at gives way to its neighbour: one image does not end a run.
        nearest = sorted(range(max(0, index - NEIGHBOURS), index + NEIGHBOURS + 1), key=lambda i: abs(i - index))
        for i in nearest:
            if i < len(self.paths) and self.labels[i] == self.labels[index]:
                pixels = read_image(self.paths[i], self.size, self.whites)
                if pixels is not None:
                    return pixels
        raise DataError(f"{self.paths[index]} and the files beside it can no longer be read; check the folder.")


def read_image(path: Path, size: int, whites: Mapping[str, float]) -> Tensor | None:
    """Read a file's image, uint8 (3, size, size); None where it cannot be read.

    Args:
        path: of the file.
        size: pixels per side.
        whites: the number that is white in images of more than 8 bits, by kind.
    """
    try:
        with open_picture(path) as image:
            return to_pixels(image, size, whites)
    except MemoryError:  # says nothing of the file
        raise
    except Exception:  # Pillow's decoders raise whatever a damaged file leads them to
        return None


def open_picture(path: Path) -> Image.Image:
    """Open a file of any format that Pillow reads, but for EPS: for that it would start another program.

    Raises:
        PIL.UnidentifiedImageError: it is no image.
    """
    Image.init()
    return Image.open(path, formats=[name for name in Image.OPEN if name != "EPS"])


def to_pixels(image: Image.Image, size: int, whites: Mapping[str, float] | None = None) -> Tensor:
    """An image, upright, resized and cropped at the centre: uint8 (3, size, size); `whites` as in `read_image`."""
    fitted = ImageOps.fit(upright(image, whites), (size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1).contiguous()


def hold_out(labels: np.ndarray, fraction: float) -> np.ndarray:
    """Mark the last images of each class as held out: bool (N,); every class keeps at least one to train on."""
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        count = min(round(len(places) * fraction), len(places) - 1)
        if count:
            held_out[places[-count:]] = True
    return held_out


def augment(pixels: Tensor, image_size: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Crop at random and, optionally, mirror: uint8 (B, 3, S, S) to uint8 (B, 3, image_size, image_size)."""
    room = pixels.shape[-1] - image_size
    if room:
        offsets = torch.randint(room + 1, (len(pixels), 2), generator=generator).tolist()
        pixels = torch.stack(
            [image[:, y : y + image_size, x : x + image_size] for image, (y, x) in zip(pixels, offsets, strict=True)]
        )
    if flip:
        mirrored = (torch.rand(len(pixels), generator=generator) < 0.5).to(pixels.device)
        pixels = torch.where(mirrored.view(-1, 1, 1, 1), pixels.flip(3), pixels)
    return pixels


def center_crop(pixels: Tensor, image_size: int) -> Tensor:
    """uint8 (B, 3, S, S) to uint8 (B, 3, image_size, image_size)."""
    start = (pixels.shape[-1] - image_size) // 2
    return pixels[..., start : start + image_size, start : start + image_size]


def to_model_range(pixels: Tensor) -> Tensor:
    """uint8 0 … 255 to float32 in [-1, 1]."""
    return pixels.float().div_(127.5).sub_(1)
