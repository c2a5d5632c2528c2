"""Measuring a checkpoint: reconstruction, whether samples look like their class, and whether they are copies.

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
from .figures import Figures, PerceptualFigures, class_figures, share

MAX_HELD_OUT = 5000  # held-out images looked at, evenly spaced
MIN_FRECHET_IMAGES = 50  # below, a Fréchet distance says nothing
PIXELS_AT_ONCE = 1 << 20

Progress = Callable[..., Iterable]  # (items, label) -> the items, shown as they pass
Network = Callable[[Tensor], list[Tensor]]  # images (B, 3, S, S) in [-1, 1] to its layers' maps


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
class Photographs:
    """The images of the data, as the model takes them.

    Args:
        size: pixels per side.
        device: where they go.
    """

    size: int
    device: torch.device

    @property
    def at_once(self) -> int:
        """How many to look at together."""
        return max(1, min(64, PIXELS_AT_ONCE // self.size**2))

    def load(self, split: Split, indices: Tensor) -> Tensor:
        """Images of a split, float (B, 3, S, S) in [-1, 1]."""
        return to_model_range(center_crop(split.images.batch(indices), self.size).to(self.device))


@dataclass
class Looked:
    """What was seen of some images, batch by batch; `labels` are their true classes, int64 (N,)."""

    labels: Tensor
    _named: list[Tensor] = field(default_factory=list)
    _features: list[Tensor] = field(default_factory=list)
    _rows: list[Tensor] = field(default_factory=list)

    def look(self, classifier: Classifier, images: Tensor) -> None:
        """Add images (B, 3, S, S) in [-1, 1]."""
        with torch.inference_mode():
            features = mean_features(classifier.maps(images))
            self._named.append(classifier.head(features).argmax(1).cpu())
            self._features.append(features.float().cpu())
            self._rows.append(small_rows(images.add(1).div(2)))

    @property
    def named(self) -> Tensor:
        """The classes that the classifier names, int64 (N,)."""
        return torch.cat(self._named)

    @property
    def features(self) -> Tensor:
        """The classifier's last features, (N, 256)."""
        return torch.cat(self._features)

    @property
    def rows(self) -> Tensor:
        """Small copies of the images, of `small_rows`."""
        return torch.cat(self._rows)


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
    num_classes = len(data.class_names)
    photographs = Photographs(pipeline.image_size, pipeline.device)
    classifier = train_classifier(
        lambda indices: photographs.load(data.train, indices),
        data.train.labels,
        num_classes,
        epochs=classifier_epochs,
        seed=settings.seed,
        device=pipeline.device,
        progress=progress,
    )
    chosen = torch.linspace(0, len(data.val) - 1, min(len(data.val), MAX_HELD_OUT)).round().long()
    held_out, rebuilt = Looked(data.val.labels[chosen]), Looked(data.val.labels[chosen])
    networks = perceiving_networks(classifier, pipeline.device)
    errors = []
    for indices in progress(chosen.split(photographs.at_once), "held-out images"):
        images = photographs.load(data.val, indices)
        again = pipeline.decode(pipeline.encode(images)).mul(2).sub(1)
        held_out.look(classifier, images)
        rebuilt.look(classifier, again)
        errors.append(reconstruction_errors(images, again, networks.values()))
    psnr, *perceived = torch.cat(errors, dim=1).mean(1).tolist()

    samples = Looked(torch.arange(num_classes).repeat_interleave(settings.per_class))
    for images in make_samples(pipeline, samples.labels, settings, photographs.at_once, progress):
        on_samples(images)
        samples.look(classifier, images.to(pipeline.device).mul(2).sub(1))

    counts = class_counts(num_classes, samples.labels, data.train.labels, held_out.labels)
    places = evenly_of_each_class(data.train.labels, counts)
    training = Looked(data.train.labels[places])
    for indices in progress(places.split(photographs.at_once), "training images"):
        training.look(classifier, photographs.load(data.train, indices))
    frechet_samples, frechet_train, frechet_ratio = None, None, None
    if len(places) >= MIN_FRECHET_IMAGES:
        real = held_out.features[evenly_of_each_class(held_out.labels, counts)]
        frechet_samples = frechet_distance(samples.features[evenly_of_each_class(samples.labels, counts)], real)
        frechet_train = frechet_distance(training.features, real)
        frechet_ratio = frechet_samples / max(frechet_train, 1e-9)

    parts = progress(torch.arange(len(data.train)).split(256), "nearest training images")
    train_rows = (small_rows(photographs.load(data.train, part).add(1).div(2)) for part in parts)
    rows = [looked.rows for looked in (samples, held_out, rebuilt)]
    distances = nearest_distances(torch.cat(rows), train_rows).split([len(part) for part in rows])

    classes = class_figures(data.class_names, (held_out.labels, held_out.named), (samples.labels, samples.named))
    worst = sorted(classes, key=lambda figures: figures.sample_accuracy)
    real_accuracy = share(held_out.named == held_out.labels)
    sample_accuracy = share(samples.named == samples.labels)
    return Figures(
        num_samples=len(samples.labels),
        num_held_out=len(chosen),
        psnr=psnr,
        perceptual={
            name: PerceptualFigures(*pair)
            for name, pair in zip(networks, zip(perceived[::2], perceived[1::2], strict=True), strict=True)
        },
        real_accuracy=real_accuracy,
        sample_accuracy=sample_accuracy,
        accuracy_ratio=sample_accuracy / max(real_accuracy, 1e-9),
        worst_accuracy=worst[0].sample_accuracy,
        worst_classes={of.name: round(of.sample_accuracy, 3) for of in worst[:5] if of.sample_accuracy < 1},
        frechet_images=len(places),
        frechet_samples=frechet_samples,
        frechet_train=frechet_train,
        frechet_ratio=frechet_ratio,
        sample_distance=distances[0].median().item(),
        held_out_distance=distances[1].median().item(),
        reconstruction_distance=distances[2].median().item(),
        closest_sample=distances[0].min().item(),
        closest_held_out=distances[1].min().item(),
        classes=classes,
    )


def perceiving_networks(classifier: Classifier, device: torch.device) -> dict[str, Network]:
    """The networks that perceptual distances are measured in, by name."""
    networks: dict[str, Network] = {"classifier": classifier.maps}
    if (path := weights_path()) is not None and path.exists():
        networks["EfficientNet-lite0"] = load_features().to(device)
    return networks


@torch.inference_mode()
def reconstruction_errors(images: Tensor, again: Tensor, networks: Iterable[Network]) -> Tensor:
    """How far images are from their reconstructions.

    Args:
        images: (B, 3, S, S) in [-1, 1].
        again: their reconstructions.
        networks: to perceive them with.

    Returns:
        (1 + 2·networks, B) on the CPU: PSNR in dB; for each network the perceptual distance to the reconstruction, and
        to the image at half the size and back.
    """
    squared = (again - images).div(2).square().mean((1, 2, 3))  # (B,)
    found = [-10 * squared.clamp_min(1e-10).log10()]
    for network in networks:
        maps = network(images)
        found += [perceptual_distances(maps, network(view)) for view in (again, halve(images))]
    return torch.stack(found).cpu()


def make_samples(
    pipeline: VARPipeline, labels: Tensor, settings: SampleSettings, at_once: int, progress: Progress
) -> Iterator[Tensor]:
    """One sample for each label, each with a seed of its own: float (B, 3, S, S) in [0, 1], batch by batch."""
    first = settings.seed
    for part in progress(labels.split(at_once), "samples"):
        seeds = list(range(first, first + len(part)))
        images = pipeline(part.tolist(), seed=seeds, output_type="pt", **settings.sampling).images
        assert isinstance(images, Tensor), "as asked for"
        yield images
        first += len(part)


def halve(images: Tensor) -> Tensor:
    """Images (B, 3, S, S) at half the size, enlarged again."""
    size = images.shape[-1]
    small = F.interpolate(images, size=(max(1, size // 2), max(1, size // 2)), mode="area")
    return F.interpolate(small, size=(size, size), mode="bilinear")


def class_counts(num_classes: int, *sets: Tensor) -> Tensor:
    """How many images of each class there are in each of several sets of labels, at least: int64 (classes,)."""
    return torch.stack([torch.bincount(labels, minlength=num_classes) for labels in sets]).amin(0)


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
