"""How far images are from each other: as sets, as pairs, and from the nearest of many.

Letters: B, M, N images, D features, S pixels per side, s pixels per side of a layer, C channels of a layer.
"""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

COPY_SIDE = 32  # images are compared at this size: copies stay copies, and grain does not hide them


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """The squared Fréchet distance between two sets of features, each taken as a normal distribution.

    |μ - μ'|² + tr(Σ + Σ' - 2(ΣΣ')^½); Heusel et al. 2017, there with the features of an Inception network. Few images
    make it larger, so that only distances between sets of the same sizes can be compared.

    Args:
        one: (M, D), M >= 2.
        other: (N, D), N >= 2.
    """
    one, other = one.cpu().double(), other.cpu().double()
    means = (one.mean(0) - other.mean(0)).square().sum()
    first, second = torch.cov(one.T), torch.cov(other.T)  # (D, D)
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T  # (D, D)
    mixed = torch.linalg.eigvalsh(root @ second @ root).clamp_min(0).sqrt().sum()
    return max(0.0, (means + first.trace() + second.trace() - 2 * mixed).item())


def perceptual_distances(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """How differently a network sees each of two lists of images.

    At every place of every layer the features are scaled to unit length; their squared difference is averaged over
    places and layers. The form is that of LPIPS (Zhang et al. 2018), without weights for the channels.

    Args:
        one: a layer's features of the images, (B, C, s, s) each.
        other: the same of other images.

    Returns:
        (B,), from 0 to 2 where features are not negative.
    """
    layers = [
        (F.normalize(a, dim=1, eps=1e-6) - F.normalize(b, dim=1, eps=1e-6)).square().sum(1).mean((1, 2))  # (B,)
        for a, b in zip(one, other, strict=True)
    ]
    return torch.stack(layers).mean(0)


def small_rows(images: Tensor) -> Tensor:
    """Images (B, 3, S, S) shrunk to 32 px at most, as rows (B, 3·32·32) on the CPU."""
    side = min(COPY_SIDE, images.shape[-1])
    return F.interpolate(images, size=(side, side), mode="area").flatten(1).float().cpu()


def mirrored_rows(rows: Tensor) -> Tensor:
    """The rows that `small_rows` makes of the images mirrored left to right."""
    side = round((rows.shape[1] / 3) ** 0.5)
    return rows.view(-1, 3, side, side).flip(3).flatten(1)


def nearest_distances(rows: Tensor, train_rows: Iterable[Tensor]) -> Tensor:
    """Root mean squared difference of each image to its nearest training image.

    Args:
        rows: what `small_rows` made of the images, in [0, 1]; looked at mirrored, too.
        train_rows: what it made of the training images, part by part.

    Returns:
        (B,), in [0, 1].
    """
    nearest = torch.full((len(rows),), float("inf"))
    views = (rows, mirrored_rows(rows))
    for part in train_rows:
        for view in views:
            nearest = torch.minimum(nearest, torch.cdist(view, part).amin(1))
    return nearest / rows.shape[1] ** 0.5
