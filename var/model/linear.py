"""Linear layers in the precision of their input, through oneDNN where that is faster.

PyTorch sends float32 products on the CPU to MKL, which is about as fast as oneDNN on Intel processors and half as fast
on AMD's. oneDNN besides adds the bias and applies GELU while the product is still in the registers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Below so many multiplications, half a millisecond's work, oneDNN takes longer to arrange the weights than it gains.
MIN_MULTIPLICATIONS = 1 << 24
# It is what `torch.compile` calls; it has no public name.
HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The product (..., out) of an input (..., in) and a weight (out, in), both of one precision.

    Args:
        bias: (out,), of any precision.
    """
    bias = None if bias is None else bias.to(x.dtype)
    return _onednn(x, weight, bias) if _is_for_onednn(x, weight) else F.linear(x, weight, bias)


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply the tanh approximation of GELU to `linear`, which takes the same arguments."""
    bias = None if bias is None else bias.to(x.dtype)
    if _is_for_onednn(x, weight):
        return _onednn(x, weight, bias, "gelu", "tanh")
    return F.gelu(F.linear(x, weight, bias), approximate="tanh")


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN is there and worth its overhead; it computes no gradients and knows no autocast."""
    return (
        HAS_ONEDNN
        and x.device.type == "cpu"
        and x.numel() * weight.shape[0] >= MIN_MULTIPLICATIONS
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and x.dtype == weight.dtype
        and x.dtype in (torch.float32, torch.bfloat16)
    )


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, then: str = "none", algorithm: str = "") -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], algorithm)
