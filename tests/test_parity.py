"""Parity with the reference implementation, from its recorded outputs: tokens equal, images and logits within 1e-4."""

from functools import cache

import pytest
import torch
from golden_weights import NAMES, Golden, load_golden

from var.model.quantizer import resize_area
from var.pipeline import VARPipeline

TOLERANCE = 1e-4
NUM_CALLS = 6


@cache
def golden_pair(name: str) -> Golden:
    return load_golden(name)


@pytest.fixture(params=NAMES)
def golden(request) -> Golden:
    return golden_pair(request.param)


@pytest.fixture
def pipe(golden) -> VARPipeline:
    return VARPipeline(golden.model, golden.vqvae)


def assert_near(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


def test_transformer_has_exactly_the_reference_entries(golden):
    found = {key: list(tensor.shape) for key, tensor in golden.model.state_dict().items()}
    assert found == golden.shapes["var"]


def test_vqvae_has_exactly_the_reference_entries(golden):
    found = {key: list(tensor.shape) for key, tensor in golden.vqvae.state_dict().items()}
    assert found == golden.shapes["vae"]


def test_encode(golden, pipe):
    assert torch.equal(pipe.encode(golden.tensors["encode.input"]), golden.tensors["encode.tokens"])


def test_reconstruction(golden, pipe):
    image = pipe.decode(golden.tensors["encode.tokens"])
    assert_near(image * 2 - 1, golden.tensors["encode.recon"])


def test_teacher_forcing(golden):
    patch_nums = golden.model.config.patch_nums
    tokens = golden.tensors["encode.tokens"].split([patch_num**2 for patch_num in patch_nums], dim=1)
    latents = golden.vqvae.quantize.partial_sums(tokens[:-1], patch_nums)
    inputs = [resize_area(latent, side).flatten(2).mT for latent, side in zip(latents, patch_nums[1:], strict=True)]
    logits = golden.model(golden.tensors["forward.labels"], torch.cat(inputs, dim=1))
    assert_near(logits, golden.tensors["forward.logits"])


@pytest.mark.parametrize("index", range(NUM_CALLS))
def test_call(golden, pipe, index):
    call = golden.calls[index]
    arguments = dict(seed=call["seed"], cfg_scale=call["cfg"], top_k=call["top_k"], top_p=call["top_p"])
    arguments |= dict(more_smooth=call["more_smooth"], output_type="pt")
    if call["edit"] is None:
        result = pipe(call["labels"], **arguments)
    else:
        known, mask = golden.tensors["encode.input"], golden.tensors[f"call{index}.mask"]
        result = pipe.edit(known, mask, call["labels"], **arguments)
    assert torch.equal(result.tokens, golden.tensors[f"call{index}.tokens"])
    assert_near(result.images, golden.tensors[f"call{index}.image"])


def test_every_golden_call_is_tested(golden):
    assert len(golden.calls) == NUM_CALLS
