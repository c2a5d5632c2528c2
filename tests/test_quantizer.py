"""The multi-scale quantizer: φ by scale, nearest rows, sums, resizing."""

import numpy
import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_states, tiny_vae_config

from var.model.quantizer import MultiScaleQuantizer, area_weights, phi_index, resize_area
from var.model.vqvae import VQVAE

PATCH_NUMS = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def quantizer() -> MultiScaleQuantizer:
    vqvae = VQVAE(tiny_vae_config())
    vqvae.load_state_dict(tiny_states()[1])
    return vqvae.quantize.requires_grad_(False)


def test_four_phi_over_the_ten_official_scales():
    # scales 2 and 7 lie midway between two ticks; the reference's rounding sends both to the later one
    assert [phi_index(s, 10, 4) for s in range(10)] == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("num_phi", range(2, 13))
def test_phi_is_that_of_numpys_arithmetic(num_phi):
    margin = 1 / 3 / num_phi if num_phi == 4 else 1 / 2 / num_phi
    ticks = numpy.linspace(margin, 1 - margin, num_phi)
    for num_scales in range(2, 25):
        expected = [int(numpy.argmin(numpy.abs(ticks - s / (num_scales - 1)))) for s in range(num_scales)]
        assert [phi_index(s, num_scales, num_phi) for s in range(num_scales)] == expected


def test_one_scale_alone_takes_the_first_phi():
    assert phi_index(0, 1, 4) == 0


@pytest.mark.parametrize("num_scales", [1, 2, 4, 5, 7, 10])
def test_one_phi_a_scale_serves_its_own_scale(num_scales):
    assert [phi_index(s, num_scales, num_scales) for s in range(num_scales)] == list(range(num_scales))


@pytest.mark.parametrize(
    ("sharing", "count", "key"),
    [(1, 1, "quant_resi.qresi.weight"), (4, 4, "quant_resi.qresi_ls.3.weight"), (0, 3, "quant_resi.2.weight")],
)
def test_form_of_the_phi_keys(sharing, count, key):
    state = MultiScaleQuantizer(tiny_vae_config(phi_sharing=sharing, num_phi=count)).state_dict()
    assert key in state
    assert sum("quant_resi" in name and name.endswith("weight") for name in state) == count


def test_no_usage_rows_no_buffer():
    assert "ema_vocab_hit_SV" not in MultiScaleQuantizer(tiny_vae_config(num_usage_rows=0)).state_dict()


def test_nearest_tokens_find_the_rows_themselves(quantizer):
    rows = quantizer.embedding.weight
    assert torch.equal(quantizer.nearest_tokens(rows.view(4, 16, -1)), torch.arange(64).view(4, 16))


def test_tokens_to_map_keeps_the_order_of_places(quantizer):
    tokens = torch.arange(9).view(1, 9)
    assert torch.equal(quantizer.tokens_to_map(tokens)[0, :, 1, 2], quantizer.embedding.weight[5])


def test_encode_leaves_its_input_alone(quantizer):
    latent = torch.randn(2, 8, 4, 4)
    before = latent.clone()
    quantizer.encode(latent, PATCH_NUMS)
    assert torch.equal(latent, before)


def test_encode_does_not_depend_on_the_batch(quantizer):
    latent = torch.randn(3, 8, 4, 4)
    together = torch.cat(quantizer.encode(latent, PATCH_NUMS), dim=1)
    assert torch.equal(together[1:2], torch.cat(quantizer.encode(latent[1:2], PATCH_NUMS), dim=1))


def test_partial_sums_add_one_contribution_a_scale(quantizer):
    tokens = [torch.randint(0, 64, (2, side**2)) for side in PATCH_NUMS]
    sums = list(quantizer.partial_sums(tokens, PATCH_NUMS))
    for s in range(1, 4):
        expected = quantizer.contribution(quantizer.tokens_to_map(tokens[s]), s, PATCH_NUMS)
        torch.testing.assert_close(sums[s] - sums[s - 1], expected)


@pytest.mark.parametrize("size", [1, 3, 5, 6, 10, 13, 16])
def test_area_weights_average_as_the_area_mode_does(size):
    x = torch.randn(2, 3, 16, 16)
    weights = area_weights(16, size)
    torch.testing.assert_close(weights @ x @ weights.T, F.interpolate(x, size=(size, size), mode="area"))


def test_map_of_the_right_size_is_left_as_it_is():
    x = torch.randn(1, 2, 4, 4)
    assert resize_area(x, 4) is x
