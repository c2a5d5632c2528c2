"""Decoding of latents: one by one on the CPU, in parts where memory is small."""

import threading

import pytest
import torch
from tiny import tiny_states, tiny_vae_config

from var.model.vqvae import VQVAE
from var.sampling import decoding
from var.sampling.decoding import Decoding, decode_latents, decode_parts
from var.sampling.stopping import Stopped


@pytest.fixture
def vqvae() -> VQVAE:
    model = VQVAE(tiny_vae_config()).eval()
    model.load_state_dict(tiny_states()[1])
    return model.requires_grad_(False)


def latents(count):
    return torch.randn(count, 8, 4, 4, generator=torch.Generator().manual_seed(1))


def test_images_are_in_order_and_in_range(vqvae):
    several = latents(3)
    images = decode_latents(vqvae, [several[:2], several[2:]])
    torch.testing.assert_close(images, (vqvae.decode_latent(several) + 1) / 2, rtol=0, atol=1e-5)


def test_images_are_ordinary_tensors(vqvae):
    assert not decode_latents(vqvae, [latents(1)]).is_inference()


def test_memory_too_small_for_the_batch(vqvae, monkeypatch):
    whole, sizes = vqvae.decode_latent, []

    def small(latent):
        sizes.append(len(latent))
        if len(latent) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(latent)

    expected = decode_latents(vqvae, [latents(5)])
    monkeypatch.setattr(vqvae, "decode_latent", small)
    monkeypatch.setattr(decoding, "images_at_once", len)
    images = decode_latents(vqvae, [latents(5)])
    assert sizes == [5, 3, 2, 2, 1]
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-5)


def test_memory_too_small_for_one_image(vqvae, monkeypatch):
    def full(latent):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(vqvae, "decode_latent", full)
    with pytest.raises(torch.OutOfMemoryError):
        decode_latents(vqvae, [latents(2)])


def test_nothing_is_decoded_before_it_is_asked_for(vqvae, monkeypatch):
    calls, whole = [], vqvae.decode_latent
    monkeypatch.setattr(vqvae, "decode_latent", lambda latent: calls.append(1) or whole(latent))
    decode = Decoding(vqvae, (torch.zeros(1, 3, 16, 16),), [latents(1)])
    assert not calls
    assert decode().shape == (2, 3, 16, 16)


def test_stop_ends_before_the_next_part(vqvae):
    stop, seen = threading.Event(), []
    with pytest.raises(Stopped):
        for images in decode_parts(vqvae, [latents(3)], stop):
            seen.append(len(images))
            stop.set()
    assert seen == [1]
