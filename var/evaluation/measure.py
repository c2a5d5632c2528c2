"""The figures of a checkpoint: reconstruction, whether samples look like their class, and whether they are copies.

Everything goes through in batches, so that memory does not grow with the images. Letters: B images, S pixels per side.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pipeline import VARPipeline
from ..training.data import ImageData, Split, center_crop, to_model_range
from ..training.perceptual import load_features, weights_path
from .classifier import Classifier, mean_features, train_classifier
from .distances import frechet_distance, nearest_distances, perceptual_distances, small_rows

MAX_HELD_OUT = 5000  # held-out images looked at, evenly spaced
MIN_FRECHET_IMAGES = 50  # below, a Fréchet distance says nothing
PIXELS_AT_ONCE = 1 << 20

Progress = Callable[..., Iterable]  # (items, label) -> the items, shown as they pass


@dataclass(frozen=True)
class SampleSettings:
    """How the samples that are measured are made; the seed of sample i is `seed` + i.

    Args:
        per_class: samples of each class.
        seed: of the first sample, and of the classifier.
        sampling: arguments of `VARPipeline.stream` by name; those that are not here have its defaults.
    """

    per_class: int = 10
    seed: int = 0
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassFigures:
    """What was measured of one class.

    Args:
        name: of the class.
        held_out: number of its held-out images.
        real_accuracy: share of these that the classifier names as they should be, 0 to 1; None where there are none.
        samples: number of its samples.
        sample_accuracy: the same share of the samples.
        taken_for: the class that the others are taken for most often; None where there are no others.
    """

    name: str
    held_out: int
    real_accuracy: float | None
    samples: int
    sample_accuracy: float
    taken_for: str | None


@dataclass(frozen=True)
class PerceptualFigures:
    """Means over the held-out images of `perceptual_distances`.

    Args:
        reconstructed: to their reconstructions.
        halved: to themselves at half the size and back, for a scale.
    """

    reconstructed: float
    halved: float


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Args:
        num_samples: samples made.
        num_held_out: held-out images looked at.
        psnr: mean over the held-out images of the PSNR of their reconstruction, dB.
        perceptual: how far the held-out images are from their reconstructions for a network, by its name: "classifier",
            and "EfficientNet-lite0" where its package is installed, with which the tokenizer may have been trained.
        real_accuracy: share of held-out images that the classifier names as they should be, 0 to 1.
        sample_accuracy: the same of the samples.
        accuracy_ratio: samples' over held-out images'.
        worst_accuracy: the least share of the samples of one class.
        worst_classes: the least recognized classes, with their share.
        frechet_images: images in each of the three sets of the Fréchet distances: samples, training images and held-out
            images, so many of each class in all three. As all sets are of one size, what few images add is in both
            distances alike; with more (`per_class`) it fades. The features are the classifier's last, 256.
        frechet_samples: Fréchet distance of samples to held-out images; None for fewer than 50 images.
        frechet_train: of training images to held-out images.
        frechet_ratio: the former over the latter.
        sample_distance: median over the samples of the root mean squared difference to the nearest training image of
            any class, mirrored or not, at 32 px, in [0, 1].
        held_out_distance: the same of held-out images.
        reconstruction_distance: the same of held-out images' reconstructions, which carry the tokenizer's error as the
            samples do.
        closest_sample: the smallest of the samples' distances.
        closest_held_out: the smallest of the held-out images' distances.
        classes: class by class.
    """

    num_samples: int
    num_held_out: int
    psnr: float
    perceptual: dict[str, PerceptualFigures]
    real_accuracy: float
    sample_accuracy: float
    accuracy_ratio: float
    worst_accuracy: float
    worst_classes: dict[str, float]
    frechet_images: int
    frechet_samples: float | None
    frechet_train: float | None
    frechet_ratio: float | None
    sample_distance: float
    held_out_distance: float
    reconstruction_distance: float
    closest_sample: float
    closest_held_out: float
    classes: list[ClassFigures]


@dataclass
class Looked:
    """What was seen of some images, batch by batch.

    Args:
        named: the class that the classifier names, int64 (B,) each.
        features: its last features, (B, 256) each.
        rows: of `small_rows`.
    """

    named: list[Tensor] = field(default_factory=list)
    features: list[Tensor] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)

    def look(self, classifier: Classifier, images: Tensor) -> None:
        """Add images (B, 3, S, S) in [-1, 1]."""
        features = mean_features(classifier.maps(images))
        self.named.append(classifier.head(features).argmax(1).cpu())
        self.features.append(features.float().cpu())
        self.rows.append(small_rows(images.add(1).div(2)))


def measure(
    pipeline: VARPipeline,
    data: ImageData,
    settings: SampleSettings,
    *,
    classifier_epochs: int = 6,
    progress: Progress,
    on_samples: Callable[[Tensor], None] = lambda _: None,
) -> Figures:
    """Measure a checkpoint.

    Args:
        pipeline: the checkpoint's; all is computed on its device.
        data: the images that it was trained on, and held-out ones.
        settings: of the samples.
        classifier_epochs: passes of the classifier over the training images.
        progress: wraps a sequence, with a label, to show how far it is.
        on_samples: gets the samples as they are made, class by class, float (B, 3, S, S) in [0, 1].
    """
    num_classes, size, device = len(data.class_names), pipeline.image_size, pipeline.device
    at_once = max(1, min(64, PIXELS_AT_ONCE // size**2))

    def load(split: Split, indices: Tensor) -> Tensor:
        return to_model_range(center_crop(split.images.batch(indices), size).to(device))

    classifier = train_classifier(
        lambda indices: load(data.train, indices),
        data.train.labels,
        num_classes,
        epochs=classifier_epochs,
        seed=settings.seed,
        device=device,
        progress=progress,
    )

    chosen = torch.linspace(0, len(data.val) - 1, min(len(data.val), MAX_HELD_OUT)).round().long()
    held_out, rebuilt = Looked(), Looked()
    networks = {"classifier": classifier.maps}
    if (path := weights_path()) is not None and path.exists():
        networks["EfficientNet-lite0"] = load_features().to(device)
    psnr, perceived = [], {name: [] for name in networks}
    with torch.inference_mode():
        for indices in progress(chosen.split(at_once), "held-out images"):
            images = load(data.val, indices)
            again = pipeline.decode(pipeline.encode(images)).mul(2).sub(1)
            held_out.look(classifier, images)
            rebuilt.look(classifier, again)
            squared = (again - images).div(2).square().mean((1, 2, 3))  # (B,)
            psnr.append(-10 * squared.clamp_min(1e-10).log10().cpu())
            for name, network in networks.items():
                maps = network(images)
                distances = [perceptual_distances(maps, network(view)).cpu() for view in (again, halve(images))]
                perceived[name].append(torch.stack(distances))  # (2, B)

    labels = torch.arange(num_classes).repeat_interleave(settings.per_class)
    samples = Looked()
    for images in make_samples(pipeline, labels, settings, at_once, progress):
        on_samples(images)
        with torch.inference_mode():
            samples.look(classifier, images.to(device).mul(2).sub(1))

    val_labels = data.val.labels[chosen]
    counts = [torch.bincount(of, minlength=num_classes) for of in (labels, data.train.labels, val_labels)]
    counts = torch.stack(counts).amin(0)  # (classes,) of each set
    training = Looked()
    with torch.inference_mode():
        train_places = evenly_of_each_class(data.train.labels, counts)
        for indices in progress(train_places.split(at_once), "training images"):
            training.look(classifier, load(data.train, indices))
    frechet_samples, frechet_train = None, None
    if counts.sum() >= MIN_FRECHET_IMAGES:
        features = torch.cat(held_out.features)[evenly_of_each_class(val_labels, counts)]
        of_samples = torch.cat(samples.features)[evenly_of_each_class(labels, counts)]
        frechet_samples = frechet_distance(of_samples, features)
        frechet_train = frechet_distance(torch.cat(training.features), features)

    looked = [torch.cat(images.rows) for images in (samples, held_out, rebuilt)]
    with torch.inference_mode():
        parts = progress(torch.arange(len(data.train)).split(256), "nearest training images")
        train_rows = (small_rows(load(data.train, part).add(1).div(2)) for part in parts)
        distances = nearest_distances(torch.cat(looked), train_rows).split([len(rows) for rows in looked])

    named, real = torch.cat(samples.named), torch.cat(held_out.named)
    classes = class_figures(data.class_names, (val_labels, real), (labels, named))
    worst = sorted(classes, key=lambda figures: figures.sample_accuracy)
    real_accuracy, sample_accuracy = share(real == val_labels), share(named == labels)
    return Figures(
        num_samples=len(labels),
        num_held_out=len(chosen),
        psnr=torch.cat(psnr).mean().item(),
        perceptual={
            name: PerceptualFigures(*torch.cat(parts, dim=1).mean(1).tolist()) for name, parts in perceived.items()
        },
        real_accuracy=real_accuracy,
        sample_accuracy=sample_accuracy,
        accuracy_ratio=sample_accuracy / max(real_accuracy, 1e-9),
        worst_accuracy=worst[0].sample_accuracy,
        worst_classes={of.name: round(of.sample_accuracy, 3) for of in worst[:5] if of.sample_accuracy < 1},
        frechet_images=int(counts.sum()),
        frechet_samples=frechet_samples,
        frechet_train=frechet_train,
        frechet_ratio=None if frechet_samples is None else frechet_samples / max(frechet_train, 1e-9),
        sample_distance=distances[0].median().item(),
        held_out_distance=distances[1].median().item(),
        reconstruction_distance=distances[2].median().item(),
        closest_sample=distances[0].min().item(),
        closest_held_out=distances[1].min().item(),
        classes=classes,
    )


def make_samples(
    pipeline: VARPipeline, labels: Tensor, settings: SampleSettings, at_once: int, progress: Progress
) -> Iterator[Tensor]:
    """One sample for each label, each with a seed of its own: float (B, 3, S, S) in [0, 1], batch by batch."""
    first = settings.seed
    for part in progress(labels.split(at_once), "samples"):
        seeds = list(range(first, first + len(part)))
        yield pipeline(part.tolist(), seed=seeds, output_type="pt", **settings.sampling).images
        first += len(part)


def halve(images: Tensor) -> Tensor:
    """Images (B, 3, S, S) at half the size, enlarged again."""
    size = images.shape[-1]
    small = F.interpolate(images, size=(max(1, size // 2), max(1, size // 2)), mode="area")
    return F.interpolate(small, size=(size, size), mode="bilinear")


def evenly_of_each_class(labels: Tensor, counts: Tensor) -> Tensor:
    """Places of so many images of each class, evenly spaced among the class's.

    Args:
        labels: of all images, int64 (N,).
        counts: of each class, int64 (classes,), at most as many as there are.
    """
    found = [labels.new_empty(0)]
    for label, count in enumerate(counts.tolist()):
        places = (labels == label).nonzero().flatten()
        found.append(places[torch.linspace(0, len(places) - 1, count).round().long()])
    return torch.cat(found)


def class_figures(names: list[str], real: tuple[Tensor, Tensor], samples: tuple[Tensor, Tensor]) -> list[ClassFigures]:
    """Figures class by class.

    Args:
        names: of the classes.
        real: of the held-out images, the true and the named class, int64 (N,) each.
        samples: the same of the samples.
    """
    found = []
    for label, name in enumerate(names):
        right = real[1][real[0] == label] == label
        named = samples[1][samples[0] == label]
        wrong = named[named != label]
        found.append(
            ClassFigures(
                name=name,
                held_out=len(right),
                real_accuracy=share(right) if len(right) else None,
                samples=len(named),
                sample_accuracy=share(named == label),
                taken_for=names[int(wrong.mode().values)] if len(wrong) else None,
            )
        )
    return found


def share(flags: Tensor) -> float:
    """The share of a bool tensor that is true."""
    return flags.double().mean().item()
