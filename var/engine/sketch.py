"""A rough picture of a latent for next to nothing: a linear map, learned from what the decoder made before.

To decode one image takes as long as a seventh to a third of its whole generation, so the decoder cannot show every
scale. A linear map from each place and its neighbours to 2 × 2 pixels shows colours and shapes, blurred.

Letters: B images, C latent channels, N side of the latent, F features of a place, H and W pixels.
"""

import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor

from ..pictures.pixels import to_pil

PIXELS = 2  # a side, of each place
RIDGE = 1e-2  # of each feature's own power; tried on the model in the box, 1e-3 to 1e-1 differ little
BLUR = 0.7  # pixels of the small picture; hides the edges between places
ROWS_A_FEATURE = 0.8  # places to learn from before the first sketch: one image of the official VQVAE


def position_features(side: int) -> Tensor:
    """Smooth functions of the place, (N², 8): backgrounds and borders depend on it."""
    ticks = torch.linspace(-1, 1, side)
    y, x = (grid.flatten() for grid in torch.meshgrid(ticks, ticks, indexing="ij"))
    return torch.stack((y, x, y * x, y**2, x**2, y**2 * x**2, y**4, x**4), dim=1)


def place_features(latents: Tensor) -> Tensor:
    """What the map sees of each place, float32 (B, N², F), of latents (B, C, N, N): 3 × 3 places, and where it is."""
    neighbours = F.unfold(latents, 3, padding=1).transpose(1, 2)  # (B, N², 9C)
    where = position_features(latents.shape[-1]).to(latents).expand(len(latents), -1, -1)  # (B, N², 8)
    return torch.cat((neighbours, where, torch.ones_like(where[..., :1])), dim=2)


class Sketch:
    """The map, and the sums that it is solved from; it learns for as long as it lives.

    Args:
        channels: of the latent (C).
        image_size: pixels per side.
    """

    def __init__(self, channels: int, image_size: int):
        self.image_size = image_size
        self.num_features = 9 * channels + 9
        self.rows = 0
        self._squares = torch.zeros(self.num_features, self.num_features, dtype=torch.float64)
        self._products = torch.zeros(self.num_features, 3 * PIXELS**2, dtype=torch.float64)
        self._map = torch.zeros(self.num_features, 3 * PIXELS**2)

    @property
    def ready(self) -> bool:
        """Whether it has learned enough to draw."""
        return self.rows >= ROWS_A_FEATURE * self.num_features

    def learn(self, latents: Tensor, images: Tensor) -> None:
        """Learn from latents (B, C, N, N) and their decoded images (B, 3, H, W) in [0, 1]."""
        side = latents.shape[-1]
        x = place_features(latents.cpu()).flatten(0, 1).double()  # (BN², F)
        small = F.interpolate(images.cpu(), size=(side * PIXELS, side * PIXELS), mode="area")  # (B, 3, 2N, 2N)
        y = F.pixel_unshuffle(small, PIXELS).flatten(2).transpose(1, 2).flatten(0, 1).double()  # (BN², 12)
        self._squares += x.T @ x
        self._products += x.T @ y
        self.rows += len(x)
        ridge = torch.diag(self._squares.diagonal() * RIDGE + 1e-6)
        self._map = torch.linalg.solve(self._squares + ridge, self._products).float()  # (F, 12)

    def draw(self, latents: Tensor) -> list[Image.Image]:
        """Pictures in full size of latents (B, C, N, N)."""
        side = latents.shape[-1]
        y = (place_features(latents.cpu()) @ self._map).transpose(1, 2)  # (B, 12, N²)
        small = to_pil(F.pixel_shuffle(y.unflatten(2, (side, side)), PIXELS))  # each 2N × 2N pixels
        size = (self.image_size, self.image_size)
        return [image.filter(ImageFilter.GaussianBlur(BLUR)).resize(size, Image.Resampling.BICUBIC) for image in small]
