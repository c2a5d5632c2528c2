"""The multi-scale residual quantizer: a latent map to token maps of growing size and back.

Letters: B images, C latent channels, V vocabulary, N side of the latent, n side of one scale, L tokens of all scales.
Source: arXiv 2404.02905, algorithms 1 and 2.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import VQVAEConfig

PHI_RATIO = 0.5  # not in the weights: φ(h) = (1 - ratio) h + ratio conv(h)


class SharedPhi(nn.Module):
    """The one φ of all scales; its attribute is a checkpoint key."""

    def __init__(self, channels: int):
        super().__init__()
        self.qresi = nn.Conv2d(channels, channels, 3, padding=1)

    def convolutions(self) -> list[nn.Conv2d]:
        return [self.qresi]


class PartiallySharedPhi(nn.Module):
    """A few φ, spread over the scales; its attribute is a checkpoint key."""

    def __init__(self, channels: int, count: int):
        super().__init__()
        self.qresi_ls = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(count))

    def convolutions(self) -> list[nn.Conv2d]:
        return [layer for layer in self.qresi_ls if isinstance(layer, nn.Conv2d)]


class SeparatePhi(nn.ModuleList):
    """One φ for each scale."""

    def __init__(self, channels: int, count: int):
        super().__init__(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(count))

    def convolutions(self) -> list[nn.Conv2d]:
        return [layer for layer in self if isinstance(layer, nn.Conv2d)]


def phi_index(scale_index: int, num_scales: int, num_phi: int) -> int:
    """Which of `num_phi` convolutions serves a scale: the one whose tick is nearest.

    The ticks' margins follow the reference implementation, where four φ are spread differently from any other count.
    A scale midway between two ticks (with the official ten scales: the third and the eighth) goes where the rounding
    of 64-bit numbers sends it there, so the arithmetic is that of `numpy.linspace`, step by step.
    """
    if num_phi == 1:
        return 0
    start = 1 / (3 * num_phi) if num_phi == 4 else 1 / (2 * num_phi)
    end = 1 - start
    step = (end - start) / (num_phi - 1)
    ticks = [i * step + start for i in range(num_phi - 1)] + [end]
    position = scale_index / (num_scales - 1) if num_scales > 1 else 0.0
    distances = [abs(tick - position) for tick in ticks]
    return distances.index(min(distances))


def area_weights(side: int, size: int) -> Tensor:
    """The matrix (size, side) that averages `side` places down to `size` overlapping areas."""
    weights = torch.zeros(size, side)
    for i in range(size):
        start, end = i * side // size, -(-(i + 1) * side // size)
        weights[i, start:end] = 1 / (end - start)
    return weights


def resize_area(x: Tensor, size: int) -> Tensor:
    """Shrink a map (B, C, N, N) to (B, C, size, size) by averaging areas."""
    if x.shape[-1] == size:
        return x
    if x.device.type == "mps" and x.shape[-1] % size:  # not implemented there
        weights = area_weights(x.shape[-1], size).to(x)  # (size, N)
        return weights @ x @ weights.T
    return F.interpolate(x, size=(size, size), mode="area")


def resize_bicubic(x: Tensor, size: int) -> Tensor:
    """Enlarge a map (B, C, n, n) to (B, C, size, size)."""
    return x if x.shape[-1] == size else F.interpolate(x, size=(size, size), mode="bicubic")


class MultiScaleQuantizer(nn.Module):
    """Codebook and φ; every method works in the precision of the codebook.

    `embedding`, `quant_resi` and `ema_vocab_hit_SV` are checkpoint keys of the reference implementation.
    """

    def __init__(self, config: VQVAEConfig):
        super().__init__()
        channels = config.z_channels
        self.embedding = nn.Embedding(config.vocab_size, channels)
        self.quant_resi: SharedPhi | PartiallySharedPhi | SeparatePhi
        if config.phi_sharing == 1:
            self.quant_resi = SharedPhi(channels)
        elif config.phi_sharing > 1:
            self.quant_resi = PartiallySharedPhi(channels, config.num_phi)
        else:
            self.quant_resi = SeparatePhi(channels, config.num_phi)
        if config.num_usage_rows:
            self.register_buffer("ema_vocab_hit_SV", torch.zeros(config.num_usage_rows, config.vocab_size))

    def phi(self, h: Tensor, scale_index: int, num_scales: int) -> Tensor:
        """Apply the φ of one scale to a map (B, C, N, N)."""
        convolutions = self.quant_resi.convolutions()
        convolution = convolutions[phi_index(scale_index, num_scales, len(convolutions))]
        return h.mul(1 - PHI_RATIO) + convolution(h).mul(PHI_RATIO)

    def nearest_tokens(self, z: Tensor) -> Tensor:
        """Index of the nearest codebook row (squared Euclid) for each row of z (..., C): int64 (...)."""
        flat, rows = z.reshape(-1, z.shape[-1]), self.embedding.weight
        distances = flat.square().sum(1, keepdim=True) + rows.square().sum(1)
        distances = torch.addmm(distances, flat, rows.T, alpha=-2)  # (places, V)
        return distances.argmin(1).view(z.shape[:-1])

    def contribution(self, h: Tensor, scale_index: int, patch_nums: Sequence[int]) -> Tensor:
        """What one scale adds to the latent.

        Args:
            h: embedded tokens of the scale, (B, C, n, n).
            scale_index: 0-based.
            patch_nums: side of the token map of each scale.

        Returns:
            (B, C, N, N).
        """
        return self.phi(resize_bicubic(h, patch_nums[-1]), scale_index, len(patch_nums))

    def tokens_to_map(self, tokens: Tensor) -> Tensor:
        """Embed the tokens (B, n²) of one scale as a map (B, C, n, n)."""
        side = round(tokens.shape[1] ** 0.5)
        return self.embedding(tokens).transpose(1, 2).reshape(tokens.shape[0], -1, side, side)

    def encode(self, latent: Tensor, patch_nums: Sequence[int]) -> list[Tensor]:
        """Tokens of every scale of a latent map.

        Args:
            latent: (B, C, N, N) with N = patch_nums[-1].
            patch_nums: side of the token map of each scale, coarse to fine.

        Returns:
            One int64 (B, n²) for each scale.
        """
        rest, tokens = latent, []
        for scale_index, patch_num in enumerate(patch_nums):
            z = resize_area(rest, patch_num).permute(0, 2, 3, 1)  # (B, n, n, C)
            tokens.append(self.nearest_tokens(z).flatten(1))  # (B, n²)
            rest = rest - self.contribution(self.tokens_to_map(tokens[-1]), scale_index, patch_nums)
        return tokens

    def partial_sums(self, tokens: Sequence[Tensor], patch_nums: Sequence[int]) -> Iterator[Tensor]:
        """The latent so far, (B, C, N, N), after each scale of `tokens` (one int64 (B, n²) a scale)."""
        latent = torch.zeros((), device=self.embedding.weight.device, dtype=self.embedding.weight.dtype)
        for scale_index, scale_tokens in enumerate(tokens):
            latent = latent + self.contribution(self.tokens_to_map(scale_tokens), scale_index, patch_nums)
            yield latent

    def teacher_forcing_inputs(self, tokens: Sequence[Tensor], patch_nums: Sequence[int]) -> Tensor:
        """What the transformer sees at every place after the first scale, given the true tokens.

        Args:
            tokens: one int64 (B, n²) for each scale; the last scale's are not needed, and not used.
            patch_nums: side of the token map of each scale, coarse to fine.

        Returns:
            (B, L - n_1², C): the latent after each scale, resized to the next one's side.
        """
        sums = self.partial_sums(tokens[: len(patch_nums) - 1], patch_nums)
        resized = [resize_area(latent, side).flatten(2) for latent, side in zip(sums, patch_nums[1:], strict=True)]
        if not resized:  # a single scale sees nothing but its class
            return self.embedding.weight.new_zeros(len(tokens[0]), 0, self.embedding.weight.shape[1])
        return torch.cat(resized, dim=2).transpose(1, 2)  # (B, L - n_1², C)
