"""False tokens in the context of the transformer, and what is right after them."""

import pytest
import torch
from pictures import TINY_OPTIONS

from var.model.vqvae import VQVAE
from var.training.context_noise import noisy_context
from var.training.options import make_options

PATCH_NUMS = (1, 2, 4)


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    quantizer = VQVAE(make_options("tiny", **TINY_OPTIONS).vae_config()).quantize.requires_grad_(False)
    torch.nn.init.normal_(quantizer.embedding.weight)
    return quantizer


def test_without_noise_all_is_as_it_was(quantizer):
    latent = torch.randn(6, 4, 4, 4)
    tokens = quantizer.encode(latent, PATCH_NUMS)
    inputs, right = noisy_context(quantizer, tokens, latent, PATCH_NUMS, torch.zeros(6))
    assert torch.equal(right, torch.cat(tokens, dim=1))
    assert torch.allclose(inputs, quantizer.teacher_forcing_inputs(tokens, PATCH_NUMS), atol=1e-6)


def test_after_false_tokens_the_right_ones_lead_back_to_the_image(quantizer):
    latent = torch.randn(6, 4, 4, 4)
    tokens = quantizer.encode(latent, PATCH_NUMS)
    shares = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    inputs, right = noisy_context(quantizer, tokens, latent, PATCH_NUMS, shares)
    true = torch.cat(tokens, dim=1)
    assert torch.equal(right[3:], true[3:])  # untouched images stay
    assert torch.equal(right[:, :1], true[:, :1])  # before the first scale nothing is false
    assert (right[:3, 5:] != true[:3, 5:]).any()
    # what the last scale sees is the whole context, at the latent's own size; its tokens are the nearest to the rest
    seen = inputs[:, -16:].transpose(1, 2).unflatten(2, (4, 4))  # (B, C, 4, 4)
    nearest = quantizer.nearest_tokens((latent - seen).permute(0, 2, 3, 1)).flatten(1)
    assert torch.equal(right[:3, 5:], nearest[:3])


def test_a_single_scale_has_no_context(quantizer):
    latent = torch.randn(2, 4, 4, 4)
    tokens = quantizer.encode(latent, (4,))
    inputs, right = noisy_context(quantizer, tokens, latent, (4,), torch.ones(2))
    assert inputs.shape == (2, 0, 4)
    assert torch.equal(right, tokens[0])
