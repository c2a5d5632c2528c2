"""Loading what a run learns from: a folder of class folders, the same under train/ and val/, or a packed .npz."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from ..errors import DataError
from .data import ImageData, PackedImages, Progress, Split, hold_out
from .image_folder import load_folder, some

MIN_IMAGES = 8


def load_data(
    path: Path, image_size: int, stored_size: int, val_fraction: float, workers: int, progress: Progress
) -> ImageData:
    """Find and read the images of a run.

    Args:
        path: a folder that holds a folder for each class, with images of any format that Pillow reads; or `train/` and
            `val/` with them; or an .npz file with `images` uint8 (N, H, W, 3), `labels` int (N,) and, optionally,
            `class_names` (classes,) and `split` (N,), 0 for training and 1 for held-out.
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
        load_folder(path, image_size, stored_size, val_fraction, workers, progress)
        if path.is_dir()
        else _load_packed(path, stored_size, val_fraction, progress)
    )
    if len(data.train) < MIN_IMAGES:
        raise DataError(
            f"{path} has {len(data.train)} images to train on; at least {MIN_IMAGES} are needed, "
            "and some hundreds a class for a model worth looking at."
        )
    if len(data.class_names) == 1:
        data.notices.append(f"One class only ({data.class_names[0]}): the model will know nothing else.")
    for split, use in ((data.train, "to train on"), (data.val, "held out")):
        there = set(split.labels.tolist())
        missing = [name for label, name in enumerate(data.class_names) if label not in there] if there else []
        if missing:
            data.notices.append(f"{len(missing)} classes have no image {use}: {some(missing)}.")
    return data


def _load_packed(path: Path, stored_size: int, val_fraction: float, progress: Progress) -> ImageData:
    try:
        with np.load(path, allow_pickle=False) as packed:
            arrays = {name: packed[name] for name in ("images", "labels", "class_names", "split") if name in packed}
    except MemoryError:
        raise
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
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    labels = labels.astype(np.int64)
    held_out = hold_out(labels, val_fraction) if split is None else split.astype(bool)

    def part(mask: np.ndarray) -> Split:
        places = torch.from_numpy(np.flatnonzero(mask))
        return Split(PackedImages(pixels, places), torch.from_numpy(labels)[places])

    return ImageData(names, part(~held_out), part(held_out), notices)
