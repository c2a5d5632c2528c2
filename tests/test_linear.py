"""Linear layers through oneDNN: the numbers are those of PyTorch's own."""

import pytest
import torch
import torch.nn.functional as F
from golden_weights import load_golden

from var.model import linear as layers
from var.model.linear import HAS_ONEDNN, linear, linear_gelu
from var.pipeline import VARPipeline

needs_onednn = pytest.mark.skipif(not HAS_ONEDNN, reason="this build of torch has no oneDNN")


@pytest.fixture
def calls(monkeypatch):
    """Send all products through oneDNN, however small; the calls are kept."""
    whole, calls = layers._onednn, []
    monkeypatch.setattr(layers, "MIN_MULTIPLICATIONS", 0)
    monkeypatch.setattr(layers, "_onednn", lambda *args: calls.append(args) or whole(*args))
    return calls


@needs_onednn
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("biased", [True, False])
def test_product_through_onednn(calls, dtype, rows, biased):
    x, weight, bias = torch.randn(2, rows, 24), torch.randn(40, 24) / 5, torch.randn(40) if biased else None
    with torch.inference_mode():
        product = linear(x.to(dtype), weight.to(dtype), bias)
        activated = linear_gelu(x.to(dtype), weight.to(dtype), bias)
    assert len(calls) == 2
    expected = F.linear(x, weight, bias)
    tolerance = 1e-5 if dtype == torch.float32 else 5e-2
    assert product.dtype == activated.dtype == dtype
    torch.testing.assert_close(product.float(), expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(activated.float(), F.gelu(expected, approximate="tanh"), rtol=tolerance, atol=tolerance)


@needs_onednn
def test_reference_tokens_through_onednn(calls):
    golden = load_golden("a")
    call = next(call for call in golden.calls if call["edit"] is None)
    arguments = dict(seed=call["seed"], cfg_scale=call["cfg"], top_k=call["top_k"], top_p=call["top_p"])
    result = VARPipeline(golden.model, golden.vqvae)(call["labels"], more_smooth=call["more_smooth"], **arguments)
    assert len(calls) > 30
    assert torch.equal(result.tokens, golden.tensors[f"call{golden.calls.index(call)}.tokens"])


def test_gradients_and_autocast_keep_to_pytorch(calls):
    x, weight = torch.randn(3, 24), torch.randn(40, 24, requires_grad=True)
    linear_gelu(x, weight).sum().backward()
    assert weight.grad is not None
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
    assert not calls
