"""Weights that are no numbers: a training that diverged leaves NaN and infinity, and its images are black or noise."""

from collections.abc import Mapping

import torch
from torch import nn

WITHOUT_END = "attn_bias_for_masking"  # -inf on purpose: no place sees later scales


def count_nonfinite(model: nn.Module) -> dict[str, int]:
    """Count NaN and infinity in a model.

    Args:
        model: on any device, in any precision.

    Returns:
        How many there are, by name of the weight; weights without any are left out.
    """
    tensors = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and not name.endswith(WITHOUT_END)
    }
    if not tensors:
        return {}
    # A sum is finite only if all it adds up are, and takes no memory; one that overflowed is looked at again.
    sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in tensors.values()])
    suspects = [name for name, finite in zip(tensors, sums.isfinite().tolist(), strict=True) if not finite]
    counts = {name: tensors[name].numel() - int(tensors[name].isfinite().sum()) for name in suspects}
    return {name: count for name, count in counts.items() if count}


def describe_nonfinite(counts: Mapping[str, int]) -> str | None:
    """Say what a user sees of such weights, in a sentence; None where there are none.

    Args:
        counts: of `count_nonfinite`.
    """
    if not counts:
        return None
    name = next(iter(counts))
    where = name if len(counts) == 1 else f"{name} and {len(counts) - 1} more"
    verb = "is" if sum(counts.values()) == 1 else "are"
    return (
        f"{sum(counts.values()):,} of the weights' numbers {verb} NaN or infinite ({where}): the training diverged, "
        "or the file is damaged. Images will be black or noise; use an earlier checkpoint."
    )
