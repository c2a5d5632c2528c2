"""Small images to train on, and the options of a model small enough to train in seconds."""

from pathlib import Path

import numpy as np
from PIL import Image

TINY_OPTIONS = {
    "patch_nums": (1, 2),
    "vae_ch_mult": (1, 1, 1, 1),
    "vocab_size": 16,
    "z_channels": 4,
    "depth": 2,
    "embed_dim": 32,
    "num_heads": 2,
    "tokenizer_epochs": 2,
    "tokenizer_batch_size": 8,
    "epochs": 3,
    "batch_size": 8,
    "precision": "float32",
    "device": "cpu",
    "workers": 1,
}
IMAGE_SIZE = 16


def tiny_arguments() -> list[str]:
    """`TINY_OPTIONS` as arguments of the command line."""
    arguments = []
    for name, value in TINY_OPTIONS.items():
        arguments.append("--" + name.replace("_", "-"))
        arguments += [str(part) for part in (value if isinstance(value, tuple) else (value,))]
    return arguments


def picture(seed: int, label: int, size: int = IMAGE_SIZE) -> np.ndarray:
    """A random uint8 (size, size, 3) image whose colour tells its class."""
    pixels = np.random.default_rng(seed).integers(0, 120, (size, size, 3))
    pixels[..., label % 3] += 120
    return pixels.astype(np.uint8)


def write_class_folders(folder: Path, classes=("apple", "banana"), count: int = 20, size: int = IMAGE_SIZE) -> Path:
    """A folder with `count` PNG images for each class."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(picture(1000 * label + i, label, size)).save(folder / name / f"{i:03d}.png")
    return folder


def write_packed(path: Path, count: int = 20, num_classes: int = 2, size: int = IMAGE_SIZE, **extra) -> Path:
    """An .npz with `count` images for each class."""
    labels = np.repeat(np.arange(num_classes), count)
    images = np.stack([picture(i, label, size) for i, label in enumerate(labels)])
    np.savez_compressed(path, images=images, labels=labels, **extra)
    return path
