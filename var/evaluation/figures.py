"""The figures of a checkpoint, of all classes together and class by class."""

from dataclasses import dataclass

from torch import Tensor


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
