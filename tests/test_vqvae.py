"""The VQVAE: shapes of any family member, ranges, keys."""

import pytest
import torch
from tiny import tiny_states, tiny_vae_config

from var.model.vqvae import VQVAE, group_norm, normalize_channels_last

PATCH_NUMS = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def vqvae() -> VQVAE:
    model = VQVAE(tiny_vae_config()).eval()
    model.load_state_dict(tiny_states()[1])
    return model.requires_grad_(False)


@pytest.mark.parametrize("ch_mult", [(1, 1), (1, 1, 2), (1, 1, 2, 2, 4)])
def test_sides_follow_the_levels(ch_mult):
    config = tiny_vae_config(ch_mult=ch_mult)
    model = VQVAE(config).eval()
    side = 2 * config.downsampling
    with torch.inference_mode():
        latent = model.encode_latent(torch.zeros(1, 3, side, side))
        assert latent.shape == (1, 8, 2, 2)
        assert model.decode_latent(latent).shape == (1, 3, side, side)


def test_tokens_of_every_scale(vqvae):
    tokens = vqvae.encode(torch.rand(2, 3, 16, 16) * 2 - 1, PATCH_NUMS)
    assert [tuple(scale.shape) for scale in tokens] == [(2, 1), (2, 4), (2, 9), (2, 16)]
    assert all(scale.dtype == torch.int64 for scale in tokens)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2e-6), (torch.bfloat16, 0.02), (torch.float16, 2e-3)])
def test_maps_with_channels_last_are_normalized_as_others_are(dtype, error):
    norm = group_norm(64)
    x = (torch.randn(2, 64, 5, 7) * 3 + 4).to(dtype, memory_format=torch.channels_last)
    with torch.inference_mode():
        norm.weight.copy_(torch.randn(64)), norm.bias.copy_(torch.randn(64))
        expected = norm(x.float())
        found = normalize_channels_last(x, norm.to(dtype))
    assert found.dtype == dtype and found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.float(), expected, atol=error, rtol=error)


def test_images_stay_in_range(vqvae):
    images = vqvae.decode_latent(torch.randn(2, 8, 4, 4) * 100)
    assert images.min() >= -1 and images.max() <= 1


def test_decode_sums_up_the_tokens(vqvae):
    tokens = vqvae.encode(torch.rand(1, 3, 16, 16) * 2 - 1, PATCH_NUMS)
    *_, latent = vqvae.quantize.partial_sums(tokens, PATCH_NUMS)
    torch.testing.assert_close(vqvae.decode(tokens, PATCH_NUMS), vqvae.decode_latent(latent))


def test_official_size_has_the_official_keys():
    with torch.device("meta"):
        state = VQVAE(tiny_vae_config(ch=160, ch_mult=(1, 1, 2, 2, 4), z_channels=32, vocab_size=4096)).state_dict()
    assert state["encoder.down.4.attn.1.qkv.weight"].shape == (1920, 640, 1, 1)
    assert state["encoder.down.2.block.0.nin_shortcut.weight"].shape == (320, 160, 1, 1)
    assert state["decoder.up.4.attn.2.proj_out.bias"].shape == (640,)
    assert state["decoder.up.1.upsample.conv.weight"].shape == (160, 160, 3, 3)
    assert "encoder.down.4.downsample.conv.weight" not in state and "decoder.up.0.upsample.conv.weight" not in state
