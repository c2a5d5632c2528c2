"""Finding weights that are no numbers."""

import pytest
import torch
from tiny import tiny_states, tiny_var_config
from torch import nn

from var.checkpoints.load import count_nonfinite, describe_nonfinite
from var.model.transformer import VAR


def test_a_sound_model_has_none_though_its_mask_is_infinite():
    model = VAR(tiny_var_config())
    model.load_state_dict(tiny_states()[0])
    assert model.attn_bias_for_masking.isinf().any()
    assert count_nonfinite(model) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_each_kind_is_counted_by_name(value, dtype):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).to(dtype)
    with torch.no_grad():
        model[1].weight[0, :3] = value
        model[1].bias[0] = -value
    assert count_nonfinite(model) == {"1.weight": 3, "1.bias": 1}


def test_infinities_that_cancel_are_counted():
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight[:] = torch.tensor([float("inf"), float("-inf")])
    assert count_nonfinite(model) == {"weight": 2}


def test_large_numbers_whose_sum_is_too_large_are_sound():
    model = nn.Linear(4, 4)
    with torch.no_grad():
        model.weight[:] = 3e38
    assert count_nonfinite(model) == {}


def test_buffers_count_and_whole_numbers_do_not():
    model = nn.Module()
    model.register_buffer("scale", torch.tensor([float("nan")]))
    model.register_buffer("index", torch.tensor([1]))
    assert count_nonfinite(model) == {"scale": 1}


def test_a_model_without_weights_has_none():
    assert count_nonfinite(nn.ReLU()) == {}


def test_the_sentence_counts_and_names():
    assert describe_nonfinite({}) is None
    assert "1 of the weights' numbers is NaN or infinite (head.bias)" in describe_nonfinite({"head.bias": 1})
    assert "1,202 of the weights' numbers are NaN or infinite (a and 1 more)" in describe_nonfinite({"a": 2, "b": 1200})
