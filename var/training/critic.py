"""A light critic that tells reconstructions from photographs, patch by patch, and how its word is weighed.

Letters: B images, C channels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 64


def patch_head(channels: int, stride: int) -> nn.Sequential:
    """Three convolutions from a map (B, C, H, W) to one number a patch."""
    return nn.Sequential(
        nn.Conv2d(channels, WIDTH, 4 if stride > 1 else 1, stride, padding=stride // 2),
        nn.LeakyReLU(0.2),
        nn.Conv2d(WIDTH, WIDTH, 4 if stride > 1 else 3, stride, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(WIDTH, 1, 3, padding=1),
    )


class Critic(nn.Module):
    """One head on the pixels, and one on each depth of fixed features where there are any.

    Fixed features let a critic learn in minutes from few images (projected GANs, arXiv 2111.01007); the head on the
    pixels sees what they overlook.

    Args:
        feature_channels: of each depth of the features; empty for pixels alone.
    """

    def __init__(self, feature_channels: Sequence[int] = ()):
        super().__init__()
        self.pixels = patch_head(3, stride=2)
        self.features = nn.ModuleList(patch_head(channels, stride=1) for channels in feature_channels)

    def forward(self, images: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """Judge images.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            features: of these images, one (B, C, H', W') for each depth.

        Returns:
            One (B, 1, h, w) a head, high where a patch looks real.
        """
        # channels of a feature differ in size by orders; unit length at each place makes one learning rate fit
        units = [F.normalize(x.float(), dim=1) * x.shape[1] ** 0.5 for x in features]
        return [self.pixels(images), *(head(x) for head, x in zip(self.features, units, strict=True))]


def critic_loss(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """The hinge loss that the critic learns from: real patches above 1, made ones below -1."""
    parts = [F.relu(1 - x.float()).mean() + F.relu(1 + y.float()).mean() for x, y in zip(real, made, strict=True)]
    return torch.stack(parts).mean() / 2


def persuasion_loss(made: Sequence[Tensor]) -> Tensor:
    """What the images' maker learns from: minus the critic's mean judgement."""
    return -torch.stack([x.float().mean() for x in made]).mean()


def balanced_gradient(images: Tensor, loss: Tensor, other: Tensor, ratio: Tensor | float) -> Tensor:
    """The gradient of two losses on images, the second one's length made a fixed part of the first's.

    Measured at the images themselves, this costs no further pass through the network that made them, as VQGAN's
    adaptive weight at its last layer does.

    Args:
        images: (B, 3, H, W), what both losses were computed from.
        loss: a scalar.
        other: a scalar.
        ratio: length of the second gradient over the first's.

    Returns:
        (B, 3, H, W), of the first loss's own scale.
    """
    (first,) = torch.autograd.grad(loss, images, retain_graph=True)
    (second,) = torch.autograd.grad(other, images)
    return first + ratio * first.norm() / second.norm().clamp_min(1e-12) * second
