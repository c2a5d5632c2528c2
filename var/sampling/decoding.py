"""From latents to images, now or when asked, as many at once as fit into memory.

Letters: B images, b images of one latent, C latent channels, N side of the latent, H and W pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..device import computing, free_memory, is_out_of_memory
from .stopping import StopSignal, raise_if_set


class Decoder(Protocol):
    """What makes images of latents: a VQVAE, or recordings of one."""

    def decode_latent(self, latent: Tensor) -> Tensor: ...


def images_at_once(latent: Tensor) -> int:
    """How many images of a latent to decode together: one on the CPU, where more are no faster, else all."""
    return 1 if latent.device.type == "cpu" else len(latent)


def decode_parts(decoder: Decoder, latents: Sequence[Tensor], stop: StopSignal | None = None) -> Iterator[Tensor]:
    """Images of latents, as many at a time as fit into memory.

    Args:
        decoder: a VQVAE, or what decodes as one does.
        latents: each (b, C, N, N); on the CPU images are decoded one by one, and one that is alone in its latent gives
            the same pixels whatever is beside it.
        stop: looked at before each part.

    Yields:
        float (1 or more, 3, H, W) in [0, 1], in order, as inference tensors.

    Raises:
        Stopped: the signal was set.
        torch.OutOfMemoryError: not even one image fits.
    """
    for latent in latents:
        first, size = 0, images_at_once(latent)
        while first < len(latent):
            raise_if_set(stop)
            images = None
            try:
                with computing(latent.device):
                    images = decoder.decode_latent(latent[first : first + size]).add(1).mul(0.5)
            except RuntimeError as error:
                if not is_out_of_memory(error) or size == 1:
                    raise
            if images is None:  # outside of the handler, where the failed attempt's tensors are gone
                free_memory(latent.device)
                size = (size + 1) // 2
            else:
                first += size
                yield images


def decode_latents(decoder: Decoder, latents: Sequence[Tensor]) -> Tensor:
    """All images of latents, float (B, 3, H, W) in [0, 1]; arguments and errors are those of `decode_parts`."""
    return torch.cat(list(decode_parts(decoder, latents)))  # outside of the inference mode: without its restrictions


@dataclass(frozen=True)
class Decoding:
    """Images of one step, decoded when called: those of finished parts, and those of latents in progress."""

    decoder: Decoder
    finished: tuple[Tensor, ...]
    latents: Sequence[Tensor]

    def __call__(self) -> Tensor:
        parts = list(self.finished)
        if self.latents:
            parts.append(decode_latents(self.decoder, self.latents))
        return torch.cat(parts)  # (B, 3, H, W)
