"""A small classifier, trained on real images: it says whether samples look like their class, and its layers compare.

Letters: B images, S pixels per side, s pixels per side of a layer, C channels of a layer.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256)
MAX_SIDE = 128  # pixels; larger images are shrunk first
BATCH_SIZE = 64
PEAK_LR = 2e-3


class Classifier(nn.Module):
    """Four strided convolutions, the mean over all places, and a linear layer."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.layers, channels = nn.ModuleList(), 3
        for width in WIDTHS:
            convolution = nn.Conv2d(channels, width, 3, stride=2, padding=1)
            self.layers.append(nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU()))
            channels = width
        self.head = nn.Linear(channels, num_classes)

    def maps(self, images: Tensor) -> list[Tensor]:
        """What each layer makes of images (B, 3, S, S) in [-1, 1]: (B, C, s, s), fine to coarse."""
        if images.shape[-1] > MAX_SIDE:
            images = F.interpolate(images, size=(MAX_SIDE, MAX_SIDE), mode="area")
        maps, found = images.contiguous(memory_format=torch.channels_last), []  # on the CPU four times as fast
        for layer in self.layers:
            maps = layer(maps)
            found.append(maps)
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [-1, 1] to logits (B, classes)."""
        return self.head(mean_features(self.maps(images)))


def mean_features(maps: list[Tensor]) -> Tensor:
    """The last layer's maps, averaged over all places: (B, 256)."""
    return maps[-1].mean((2, 3))


def train_classifier(
    load: Callable[[Tensor], Tensor],
    labels: Tensor,
    num_classes: int,
    *,
    epochs: int,
    seed: int,
    device: torch.device,
    progress: Callable[..., Iterable],
) -> Classifier:
    """Train on real images, mirrored, shifted in place and softened at random.

    Args:
        load: indices int64 (B,) to images, float (B, 3, S, S) in [-1, 1].
        labels: class of each image, int64 (N,).
        num_classes: classes.
        epochs: passes over the images.
        seed: of the weights and of every draw.
        device: to train on.
        progress: wraps the steps, with a label, to show how far it is.

    Returns:
        The classifier in evaluation mode.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model = Classifier(num_classes).to(device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in torch's types
        steps_per_epoch = max(1, len(labels) // BATCH_SIZE)
        optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LR, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=epochs * steps_per_epoch)
        order = torch.empty(0, dtype=torch.int64)
        for _ in progress(range(epochs * steps_per_epoch), "classifier"):
            if len(order) < min(BATCH_SIZE, len(labels)):
                order = torch.randperm(len(labels))
            indices, order = order[:BATCH_SIZE], order[BATCH_SIZE:]
            images = vary(load(indices).to(device))
            loss = F.cross_entropy(model(images), labels[indices].to(device), label_smoothing=0.05)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return model.eval()


def vary(images: Tensor) -> Tensor:
    """Mirror half of the images, move all by up to 3 pixels, and soften or grain a part: (B, 3, S, S)."""
    batch, _, size, _ = images.shape
    mirrored = torch.rand(batch, 1, 1, 1, device=images.device) < 0.5
    images = torch.where(mirrored, images.flip(3), images)
    y, x = torch.randint(7, (2,)).tolist()
    images = F.pad(images, (3, 3, 3, 3), mode="replicate")[:, :, y : y + size, x : x + size]
    softened = torch.rand(batch, 1, 1, 1, device=images.device) < 0.3
    images = torch.where(softened, F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False), images)
    grain = 0.05 * torch.rand(batch, 1, 1, 1, device=images.device)
    return images + grain * torch.randn_like(images)
