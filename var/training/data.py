"""Images to train on: a folder of class folders, the same under train/ and val/, or a packed .npz.

Letters: B images, S pixels per side as stored.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import DataError
from ..pictures.pixels import upright
from .distributed import Processes

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
LEAST_IMAGES = 8
MOST_VALIDATED = 512  # held-out images looked at after an epoch
MOST_BYTES_IN_MEMORY = 4 << 30  # decoded images above this are read again each time

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
    """Images in memory, uint8 (N, 3, S, S)."""

    def __init__(self, pixels: Tensor):
        self.pixels = pixels

    def batch(self, indices: Tensor) -> Tensor:
        return self.pixels[indices]


class ImageFiles:
    """Images read from their files each time, by several threads."""

    def __init__(self, paths: Sequence[Path], size: int, workers: int):
        self.paths, self.size = list(paths), size
        self.pool = ThreadPoolExecutor(workers)

    def batch(self, indices: Tensor) -> Tensor:
        return torch.stack(list(self.pool.map(self._read, indices.tolist())))

    def _read(self, index: int) -> Tensor:
        # A file that broke since it was first looked at gives way to its neighbour: one image does not end a run.
        for path in (self.paths[index], *self.paths[index - 1 :: -1][:8], *self.paths[index + 1 :][:8]):
            pixels = read_image(path, self.size)
            if pixels is not None:
                return pixels
        raise DataError(f"{self.paths[index]} and the files beside it can no longer be read; check the folder.")


def read_image(path: Path, size: int) -> Tensor | None:
    """A file's image, resized and cropped at the centre to uint8 (3, size, size); None where it cannot be read."""
    try:
        with Image.open(path) as image:
            image = ImageOps.fit(upright(image), (size, size), Image.Resampling.LANCZOS)
            return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    except Exception:  # Pillow's decoders raise whatever a damaged file leads them to
        return None


def load_data(
    path: Path, image_size: int, stored_size: int, val_fraction: float, workers: int, progress: Progress
) -> ImageData:
    """Find and read the images of a run.

    Args:
        path: a folder that holds a folder for each class; or `train/` and `val/` with them; or an .npz file with
            `images` uint8 (N, H, W, 3), `labels` int (N,) and, optionally, `class_names` (classes,) and `split` (N,),
            0 for training and 1 for held-out.
        image_size: pixels per side of the model's images.
        stored_size: pixels per side to keep, `image_size` or more where random crops want room.
        val_fraction: share of each class held out where the data says nothing of it.
        workers: threads that decode.
        progress: wraps a sequence with a label to show how far it is.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: it holds no images to train on.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; give a folder of class folders, or an .npz file.")
    data = (
        _load_folder(path, image_size, stored_size, val_fraction, workers, progress)
        if path.is_dir()
        else _load_packed(path, stored_size, val_fraction, progress)
    )
    if len(data.train) < LEAST_IMAGES:
        raise DataError(
            f"{path} has {len(data.train)} images to train on; at least {LEAST_IMAGES} are needed, "
            "and some hundreds a class for a model worth looking at."
        )
    if len(data.class_names) == 1:
        data.notices.append(f"One class only ({data.class_names[0]}): the model will know nothing else.")
    return data


def _held_out(labels: np.ndarray, fraction: float) -> np.ndarray:
    """Mark the last images of each class as held out: bool (N,); every class keeps at least one to train on."""
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        count = min(round(len(places) * fraction), len(places) - 1)
        if count:
            held_out[places[-count:]] = True
    return held_out


def _load_packed(path: Path, stored_size: int, val_fraction: float, progress: Progress) -> ImageData:
    try:
        with np.load(path, allow_pickle=False) as packed:
            arrays = {name: packed[name] for name in ("images", "labels", "class_names", "split") if name in packed}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise DataError(f"{path} is not an .npz file of images ({error}); give one, or a folder.") from error
    except Exception as error:  # zipfile and lzma raise classes of their own for damaged members
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}); make or copy it again.") from error
    images, labels = arrays.get("images"), arrays.get("labels")
    if images is None or labels is None or images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise DataError(f"{path} has {sorted(arrays)}; expected `images` uint8 (N, H, W, 3) and `labels` (N,).")
    if len(images) != len(labels) or labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{path} has labels {labels.dtype} {labels.shape}; expected {len(images)} whole numbers.")
    if len(labels) and labels.min() < 0:
        raise DataError(f"{path} has a label of {labels.min()}; expected 0 or more.")
    split = arrays.get("split")
    if split is not None and (split.shape != labels.shape or split.dtype.kind not in "biu"):
        raise DataError(f"{path} has a split {split.dtype} {split.shape}; expected {len(labels)} numbers, 0 or 1.")
    num_classes = int(labels.max()) + 1 if len(labels) else 0
    names = [str(name) for name in arrays.get("class_names", [f"class {i}" for i in range(num_classes)])]
    if len(names) < num_classes:
        raise DataError(f"{path} has {len(names)} class names for labels up to {num_classes - 1}; name each class.")
    notices = []
    if images.shape[1:3] != (stored_size, stored_size):
        notices.append(f"{images.shape[2]}×{images.shape[1]} images are resized to {stored_size}×{stored_size}.")
        images = np.stack(
            [
                np.array(ImageOps.fit(Image.fromarray(image), (stored_size, stored_size), Image.Resampling.LANCZOS))
                for image in progress(images, "resizing")
            ]
        )
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    labels = labels.astype(np.int64)
    held_out = _held_out(labels, val_fraction) if split is None else split.astype(bool)

    def part(mask: np.ndarray) -> Split:
        places = torch.from_numpy(np.flatnonzero(mask))
        return Split(PackedImages(pixels[places].contiguous()), torch.from_numpy(labels)[places])

    return ImageData(names, part(~held_out), part(held_out), notices)


def _class_folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _image_paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _load_folder(
    path: Path, image_size: int, stored_size: int, val_fraction: float, workers: int, progress: Progress
) -> ImageData:
    has_train = (path / "train").is_dir() and any(_image_paths(entry) for entry in _class_folders(path / "train"))
    train_folder = path / "train" if has_train else path
    val_folder = path / "val" if train_folder != path and (path / "val").is_dir() else None
    classes = [folder.name for folder in _class_folders(train_folder) if _image_paths(folder)]
    if not classes:
        loose = len(_image_paths(train_folder))
        found = f"{loose} images that stand in no class folder" if loose else "no images"
        raise DataError(f"{path} has {found}; expected a folder for each class, with its images inside.")
    if {name.lower() for name in classes} <= {"val", "valid", "validation", "test"}:
        raise DataError(f"{path} has {' and '.join(classes)}, but no train/ with a folder for each class.")
    notices: list[str] = []
    train_paths, train_labels = _list_images(train_folder, classes)
    if val_folder is not None:
        strangers = [folder.name for folder in _class_folders(val_folder) if folder.name not in classes]
        if strangers:
            notices.append(f"Classes in val/ without a folder in train/ are left out: {', '.join(strangers[:5])}.")
        val_paths, val_labels = _list_images(val_folder, classes)
    else:
        held_out = _held_out(np.array(train_labels), val_fraction)
        val_paths = [p for p, held in zip(train_paths, held_out, strict=True) if held]
        val_labels = [label for label, held in zip(train_labels, held_out, strict=True) if held]
        train_labels = [label for label, held in zip(train_labels, held_out, strict=True) if not held]
        train_paths = [p for p, held in zip(train_paths, held_out, strict=True) if not held]
    in_memory = (len(train_paths) + len(val_paths)) * 3 * stored_size**2 <= MOST_BYTES_IN_MEMORY
    broken: list[Path] = []
    small: list[Path] = []
    with ThreadPoolExecutor(workers) as pool:

        def make_split(paths: list[Path], labels: list[int], name: str) -> Split:
            kept, pixels = [], []
            look = (lambda p: _look_at(p, stored_size)) if in_memory else _look_at
            for index, (side, image) in enumerate(progress(pool.map(look, paths), f"reading {name}", len(paths))):
                if side is None:
                    broken.append(paths[index])
                    continue
                if side < image_size:
                    small.append(paths[index])
                kept.append(index)
                pixels.append(image)
            kept_labels = torch.tensor([labels[i] for i in kept], dtype=torch.int64)
            if in_memory:
                empty = torch.zeros(0, 3, stored_size, stored_size, dtype=torch.uint8)
                return Split(PackedImages(torch.stack(pixels) if pixels else empty), kept_labels)
            return Split(ImageFiles([paths[i] for i in kept], stored_size, workers), kept_labels)

        train = make_split(train_paths, train_labels, "training images")
        val = make_split(val_paths, val_labels, "held-out images")
    if broken:
        notices.append(f"{len(broken)} files cannot be read and are skipped, the first is {broken[0]}.")
    if small:
        notices.append(
            f"{len(small)} images are smaller than {image_size} px and are enlarged, the first is {small[0]}."
        )
    return ImageData(classes, train, val, notices)


def _list_images(folder: Path, classes: list[str]) -> tuple[list[Path], list[int]]:
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = _image_paths(folder / name) if (folder / name).is_dir() else []
        paths += found
        labels += [label] * len(found)
    return paths, labels


def _look_at(path: Path, size: int | None = None) -> tuple[int | None, Tensor | None]:
    """Shorter side of a file's image (None where it is broken) and, with a size, its pixels."""
    try:
        with Image.open(path) as image:
            side = min(image.size)
            if size is None:
                image.verify()
    except Exception:  # Pillow's decoders raise whatever a damaged file leads them to
        return None, None
    pixels = None if size is None else read_image(path, size)
    return (None if size is not None and pixels is None else side), pixels


def augment(pixels: Tensor, image_size: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Crop at random and, optionally, mirror: uint8 (B, 3, S, S) to uint8 (B, 3, image_size, image_size)."""
    room = pixels.shape[-1] - image_size
    if room:
        offsets = torch.randint(room + 1, (len(pixels), 2), generator=generator).tolist()
        pixels = torch.stack(
            [image[:, y : y + image_size, x : x + image_size] for image, (y, x) in zip(pixels, offsets, strict=True)]
        )
    if flip:
        mirrored = torch.rand(len(pixels), generator=generator) < 0.5
        pixels = torch.where(mirrored.view(-1, 1, 1, 1), pixels.flip(3), pixels)
    return pixels


def center_crop(pixels: Tensor, image_size: int) -> Tensor:
    """uint8 (B, 3, S, S) to uint8 (B, 3, image_size, image_size)."""
    start = (pixels.shape[-1] - image_size) // 2
    return pixels[..., start : start + image_size, start : start + image_size]


def to_model_range(pixels: Tensor) -> Tensor:
    """uint8 0 … 255 to float32 in [-1, 1]."""
    return pixels.float().div_(127.5).sub_(1)
