"""From logits to tokens: guidance, removal of unlikely tokens, and random draws from one generator or several.

Letters: B images, b images computed together, n side of one scale, V vocabulary, C latent channels.
Source: arXiv 2404.02905 and the reference implementation's sampler.
"""

from collections.abc import Sequence

import numpy
import torch
from torch import Tensor


class BatchDraws:
    """Random draws of one generator for a whole batch, of which a part of the images is computed.

    Always the whole batch is drawn, as the reference implementation does in one call a scale, so that a batch computed
    in parts for lack of memory sees the same draws.

    Args:
        seed: of the generator.
        batch_size: images of the whole batch.
        images: those whose draws are wanted.
        device: of the generator and the draws.
    """

    def __init__(self, seed: int, batch_size: int, images: range, device: torch.device):
        self.generator = torch.Generator(device).manual_seed(seed)
        self.batch_size = batch_size
        self.images = images

    def exponential(self, places: int, vocab_size: int) -> Tensor:
        """Exponential draws, float32 (b, places, V)."""
        draws = torch.empty(self.batch_size, places, vocab_size, device=self.generator.device)
        return draws.exponential_(generator=self.generator)[self.images.start : self.images.stop]


class ImageDraws:
    """Random draws of one generator an image.

    Args:
        seeds: one for each image.
        device: of the generators and the draws.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device):
        self.device = device
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def exponential(self, places: int, vocab_size: int) -> Tensor:
        """Exponential draws, float32 (b, places, V)."""
        draws = torch.empty(len(self.generators), places, vocab_size, device=self.device)
        for image_draws, generator in zip(draws, self.generators, strict=True):
            image_draws.exponential_(generator=generator)
        return draws


def guide(logits: Tensor, strength: float) -> Tensor:
    """Classifier-free guidance: (1 + t) · conditional - t · unconditional.

    Args:
        logits: (2b, n², V), the unconditional ones in the second half.
        strength: t, >= 0.

    Returns:
        (b, n², V).
    """
    conditional, unconditional = logits.chunk(2)  # each (b, n², V)
    return (1 + strength) * conditional - strength * unconditional


def keep_likely(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Remove unlikely tokens, by rank and then by share of the probability.

    Args:
        logits: (..., V).
        top_k: keep the k largest and their equals; 0, or V and more, is off.
        top_p: then keep the largest that hold this share; never removes the largest. 0 is off.

    Returns:
        (..., V), -inf where removed.
    """
    vocab_size = logits.shape[-1]
    limits_rank = 0 < top_k < vocab_size
    if not limits_rank and top_p <= 0:
        return logits
    ascending = sort_values(logits)  # (..., V)
    smallest_kept = ascending[..., vocab_size - top_k if limits_rank else 0, None]  # (..., 1)
    if top_p > 0:
        # the removed ones stay in the row, as in the reference's: with them its sums round alike
        ascending = ascending.masked_fill(ascending < smallest_kept, -torch.inf)
        removed = ascending.softmax(-1).cumsum_(-1) <= 1 - top_p
        removed[..., -1] = False
        count = removed.sum(-1, keepdim=True)  # (..., 1): they come first
        smallest_kept = ascending.gather(-1, count)
        # on the CPU, whose tokens are the reference's, equals of which a part goes are told apart by their place
        if logits.device.type == "cpu":
            tied = (ascending.gather(-1, (count - 1).clamp_min(0)) == smallest_kept) & (count > 0)  # (..., 1)
            if tied.any():
                order = logits.sort(-1).indices
                parted = torch.empty_like(removed).scatter_(-1, order, removed)
                logits = logits.masked_fill(parted & tied, -torch.inf)
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def sort_values(x: Tensor) -> Tensor:
    """Sort the last dimension, smallest first; on the CPU by numpy, which is twenty times faster at it than PyTorch."""
    if x.device.type == "cpu":
        return torch.from_numpy(numpy.sort(x.numpy(), axis=-1))
    return x.sort(-1).values


def draw_tokens(logits: Tensor, draws: Tensor) -> Tensor:
    """Draw one token a place.

    The same computation as `torch.multinomial` with one sample, token for token, with the exponential draws from
    outside, so that they can come from several generators; and without its checks, which wait for the device.

    Args:
        logits: (b, n², V).
        draws: exponential, of the same shape.

    Returns:
        int64 (b, n²).
    """
    return logits.softmax(-1).div_(draws).argmax(-1)


def soft_embedding(logits: Tensor, draws: Tensor, codebook: Tensor, ratio: float) -> Tensor:
    """Embed a mixture of tokens, by Gumbel-softmax; the temperature falls from scale to scale.

    Args:
        logits: (b, n², V), -inf where removed.
        draws: exponential, of the same shape.
        codebook: (V, C).
        ratio: place of the scale among all, 0 to 1.

    Returns:
        (b, n², C).
    """
    temperature = max(0.27 * (1 - ratio * 0.95), 0.005)
    noisy = logits.mul(1 + ratio) + -draws.log()  # (b, n², V)
    return noisy.div_(temperature).softmax(-1) @ codebook
