"""The figures of a checkpoint: reconstruction, whether samples look like their class, and whether they are copies.

Letters: B images, S pixels per side.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pipeline import VARPipeline
from ..training.data import ImageData, Split, center_crop, to_model_range
from .classifier import predict, train_classifier

COPY_SIDE = 32  # images are compared at this size: copies stay copies, and grain does not hide them


@dataclass(frozen=True)
class SampleSettings:
    """How the samples that are measured are made; the seed of sample i is `seed` + i.

    Args:
        per_class: samples of each class.
        seed: of the first sample, and of the classifier.
        cfg_scale, top_k, top_p: as in `VARPipeline`.
    """

    per_class: int = 10
    seed: int = 0
    cfg_scale: float = 4.0
    top_k: int = 900
    top_p: float = 0.95


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Args:
        num_samples: samples made.
        psnr: mean over held-out images of the PSNR of their reconstruction, dB.
        real_accuracy: share of held-out images that the classifier names as they should be, 0 to 1.
        sample_accuracy: the same of the samples.
        worst_classes: the least recognized classes, with their share.
        sample_distance: median over the samples of the root mean squared difference to the nearest training image of
            any class, mirrored or not, at 32 px, in [0, 1].
        held_out_distance: the same of held-out images.
        reconstruction_distance: the same of held-out images' reconstructions, which carry the tokenizer's error as the
            samples do.
        closest_sample: the smallest of the samples' distances.
        closest_held_out: the smallest of the held-out images' distances.
    """

    num_samples: int
    psnr: float
    real_accuracy: float
    sample_accuracy: float
    worst_classes: dict[str, float]
    sample_distance: float
    held_out_distance: float
    reconstruction_distance: float
    closest_sample: float
    closest_held_out: float


def measure(
    pipeline: VARPipeline,
    data: ImageData,
    settings: SampleSettings,
    *,
    classifier_epochs: int = 12,
    progress: Callable[..., Iterable],
) -> tuple[Figures, Tensor]:
    """Measure a checkpoint.

    Args:
        pipeline: the checkpoint's.
        data: the images that it was trained on, and held-out ones.
        settings: of the samples.
        classifier_epochs: passes of the classifier over the training images.
        progress: wraps a sequence, with a label, to show how far it is.

    Returns:
        The figures, and the samples, float (B, 3, S, S) in [0, 1], class by class.
    """
    num_classes, size = len(data.class_names), pipeline.image_size
    held_out = load_split(data.val, size)  # (B, 3, S, S)
    rebuilt = torch.cat(
        [pipeline.decode(pipeline.encode(part)).cpu() for part in progress(held_out.split(32), "reconstructions")]
    )
    squared = (rebuilt - held_out.add(1).div(2)).square().mean((1, 2, 3))  # (B,)
    psnr = (-10 * squared.clamp_min(1e-10).log10()).mean().item()

    labels = torch.arange(num_classes).repeat_interleave(settings.per_class)
    samples = make_samples(pipeline, labels, settings, progress)

    classifier = train_classifier(
        lambda indices: to_model_range(center_crop(data.train.images.batch(indices), size)),
        data.train.labels,
        num_classes,
        epochs=classifier_epochs,
        seed=settings.seed,
        device=pipeline.device,
        progress=progress,
    )
    real = predict(classifier, held_out.to(pipeline.device)).cpu() == data.val.labels
    named = predict(classifier, samples.mul(2).sub(1).to(pipeline.device)).cpu() == labels
    shares = named.view(num_classes, -1).float().mean(1)  # (classes,)
    worst = shares.argsort()[:5].tolist()

    train_rows = torch.cat(
        [
            small_rows(load_part(data.train, part, size).add(1).div(2))
            for part in progress(torch.arange(len(data.train)).split(256), "training images")
        ]
    )
    sample_distances = nearest_distances(samples, train_rows)
    held_out_distances = nearest_distances(held_out.add(1).div(2), train_rows)
    rebuilt_distances = nearest_distances(rebuilt, train_rows)
    figures = Figures(
        num_samples=len(samples),
        psnr=psnr,
        real_accuracy=real.float().mean().item(),
        sample_accuracy=named.float().mean().item(),
        worst_classes={data.class_names[i]: round(shares[i].item(), 3) for i in worst if shares[i] < 1},
        sample_distance=sample_distances.median().item(),
        held_out_distance=held_out_distances.median().item(),
        reconstruction_distance=rebuilt_distances.median().item(),
        closest_sample=sample_distances.min().item(),
        closest_held_out=held_out_distances.min().item(),
    )
    return figures, samples


def load_part(split: Split, indices: Tensor, size: int) -> Tensor:
    """Images at some indices, float (B, 3, size, size) in [-1, 1]."""
    return to_model_range(center_crop(split.images.batch(indices), size))


def load_split(split: Split, size: int) -> Tensor:
    """All images of a split, float (B, 3, size, size) in [-1, 1]."""
    return load_part(split, torch.arange(len(split)), size)


def make_samples(
    pipeline: VARPipeline, labels: Tensor, settings: SampleSettings, progress: Callable[..., Iterable]
) -> Tensor:
    """One sample for each label, each with a seed of its own: float (B, 3, S, S) in [0, 1]."""
    made, first = [], 0
    for part in progress(labels.split(16), "samples"):
        seeds = [settings.seed + first + i for i in range(len(part))]
        result = pipeline(
            part.tolist(),
            seed=seeds,
            cfg_scale=settings.cfg_scale,
            top_k=settings.top_k,
            top_p=settings.top_p,
            output_type="pt",
        )
        made.append(result.images.cpu())
        first += len(part)
    return torch.cat(made)


def small_rows(images: Tensor) -> Tensor:
    """Images (B, 3, S, S) shrunk to 32 px at most, as rows (B, 3·32·32)."""
    side = min(COPY_SIDE, images.shape[-1])
    return F.interpolate(images.cpu(), size=(side, side), mode="area").flatten(1)


def nearest_distances(images: Tensor, train_rows: Tensor) -> Tensor:
    """Root mean squared difference of each image to its nearest training image.

    Args:
        images: (B, 3, S, S) in [0, 1]; looked at mirrored, too.
        train_rows: what `small_rows` made of the training images.

    Returns:
        (B,), in [0, 1].
    """
    found = []
    for part in images.split(128):
        both = [torch.cdist(small_rows(view), train_rows).amin(1) for view in (part, part.flip(3))]
        found.append(torch.minimum(*both))
    return torch.cat(found) / train_rows.shape[1] ** 0.5
