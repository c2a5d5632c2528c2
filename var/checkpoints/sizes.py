"""The architecture of a model, read from the names and shapes of its weights."""

import itertools
import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..formats.tensors import StoredTensor
from ..model.config import VARConfig, VQVAEConfig

NORM_GROUPS = 32  # not in the weights: every normalized width of the VQVAE is a multiple of it
# Far above what anybody trained, and low enough that laying out a model with absurd sizes costs nothing.
MAX_DEPTH = 256
MAX_TOKENS = 1 << 15  # of one image, all scales together: the attention mask is the square of it
MAX_CLASSES = 50_000  # ImageNet has 21,841 with all of its classes
MAX_LEVELS = 12
MAX_RESIDUAL_BLOCKS = 64
SCALE_OF_HEADS = "blocks.0.attn.scale_mul_1H11"  # there with l2 norm alone
HEAD_DIM = 64  # of the reference's recipe; needed only where attention has no learned scale a head


def infer_var_config(state: Mapping[str, StoredTensor | Tensor], num_heads: int | None = None) -> VARConfig:
    """Sizes of a VAR transformer.

    Args:
        state: its state dict, with official key names; only `lvl_1L`'s values are read.
        num_heads: attention heads. The weights tell them where attention has a learned scale a head; where it has none
            and this is None, each is taken to be 64 wide, as in the reference's recipe.

    Raises:
        CheckpointError: a weight that tells a size is missing or has an impossible shape.
    """
    embed_dim, z_channels = _shape(state, "word_embed.weight", 2)
    class_rows, _ = _shape(state, "class_emb.weight", 2)
    vocab_size, _ = _shape(state, "head.weight", 2)
    hidden, _ = _shape(state, "blocks.0.ffn.fc1.weight", 2)
    if class_rows < 2:
        raise CheckpointError("class_emb.weight has 1 row; expected one for each class and one more. Fetch it again.")
    if class_rows - 1 > MAX_CLASSES:
        raise CheckpointError(
            f"class_emb.weight has rows for {class_rows - 1:,} classes; expected at most {MAX_CLASSES:,}. No model of "
            "this family has so many: check where the file comes from."
        )
    attn_l2_norm = SCALE_OF_HEADS in state
    if attn_l2_norm:
        told = _shape(state, SCALE_OF_HEADS, 4)[1]
        if num_heads not in (None, told):
            raise CheckpointError(f"The weights have {told} attention heads, not {num_heads}. Leave the number out.")
        num_heads = told
    elif num_heads is None:
        num_heads = embed_dim // HEAD_DIM
        if embed_dim % HEAD_DIM:
            raise CheckpointError(
                f"The number of attention heads is not in the file, and a width of {embed_dim} is no multiple of "
                f"{HEAD_DIM}, the width of a head in the reference's recipe. Give the number that the model was "
                "trained with (--num-heads, num_heads=)."
            )
    if num_heads < 1 or embed_dim % num_heads:
        raise CheckpointError(
            f"A width of {embed_dim} cannot be shared by {num_heads} attention heads. Expected a divisor of the width: "
            "give the number that the model was trained with (--num-heads, num_heads=), or check the file."
        )
    return VARConfig(
        depth=_count(state, r"blocks\.(\d{1,6})\.", MAX_DEPTH),
        embed_dim=embed_dim,
        num_heads=num_heads,
        mlp_ratio=hidden / embed_dim,
        num_classes=class_rows - 1,
        patch_nums=infer_patch_nums(state),
        vocab_size=vocab_size,
        z_channels=z_channels,
        shared_adaln="shared_ada_lin.1.weight" in state,
        attn_l2_norm=attn_l2_norm,
    )


def infer_patch_nums(state: Mapping[str, StoredTensor | Tensor]) -> tuple[int, ...]:
    """Side of each scale's token map: the root of how often `lvl_1L` names the scale."""
    num_tokens = math.prod(_shape(state, "lvl_1L", 2))
    if num_tokens > MAX_TOKENS:
        raise CheckpointError(
            f"lvl_1L names the scales of {num_tokens:,} tokens; expected at most {MAX_TOKENS:,}. No model of this "
            "family has so many: check where the file comes from."
        )
    levels = state["lvl_1L"]
    levels = (levels.read() if isinstance(levels, StoredTensor) else levels).flatten().to(torch.int64)
    if levels.numel() == 0 or bool((levels.diff() < 0).any()) or int(levels[0]) != 0:
        raise CheckpointError("lvl_1L, which names the scale of every token, does not count up from 0. Fetch it again.")
    counts = levels.unique_consecutive(return_counts=True)[1].tolist()
    sides = tuple(math.isqrt(count) for count in counts)
    if int(levels[-1]) + 1 != len(counts) or any(side**2 != count for side, count in zip(sides, counts, strict=True)):
        few = f"{counts[:12]}{' and more' if len(counts) > 12 else ''}"
        raise CheckpointError(
            f"lvl_1L names scales of {few} tokens; expected a square number for every scale. Fetch the file again."
        )
    return sides


def infer_vae_config(state: Mapping[str, StoredTensor | Tensor]) -> VQVAEConfig:
    """Sizes of a multi-scale VQVAE.

    Args:
        state: its state dict, with official key names; no values are read.

    Raises:
        CheckpointError: a weight that tells a size is missing or has an impossible shape.
    """
    vocab_size, z_channels = _shape(state, "quantize.embedding.weight", 2)
    ch = _shape(state, "encoder.conv_in.weight", 4)[0]
    levels = _count(state, r"encoder\.down\.(\d{1,6})\.", MAX_LEVELS)
    widths = [_shape(state, f"encoder.down.{i}.block.0.conv1.weight", 4)[0] for i in range(levels)]
    if ch < 1 or ch % NORM_GROUPS or any(width < ch or width % ch for width in widths):
        raise CheckpointError(
            f"The encoder has {ch} channels and levels of {widths}; expected a multiple of {NORM_GROUPS} "
            "and multiples of the first. Check that this is the VQVAE of a VAR."
        )
    if "quantize.quant_resi.qresi.weight" in state:
        phi_sharing = num_phi = 1
    elif "quantize.quant_resi.qresi_ls.0.weight" in state:
        phi_sharing = num_phi = _count(state, r"quantize\.quant_resi\.qresi_ls\.(\d{1,6})\.", MAX_DEPTH)
    else:
        phi_sharing, num_phi = 0, _count(state, r"quantize\.quant_resi\.(\d{1,6})\.", MAX_DEPTH)
    has_usage = "quantize.ema_vocab_hit_SV" in state
    return VQVAEConfig(
        vocab_size=vocab_size,
        z_channels=z_channels,
        ch=ch,
        ch_mult=tuple(width // ch for width in widths),
        phi_sharing=phi_sharing,
        num_phi=num_phi,
        num_usage_rows=_shape(state, "quantize.ema_vocab_hit_SV", 2)[0] if has_usage else 0,
        num_res_blocks=_count(state, r"encoder\.down\.0\.block\.(\d{1,6})\.", MAX_RESIDUAL_BLOCKS),
    )


def _shape(state: Mapping[str, StoredTensor | Tensor], key: str, dimensions: int) -> tuple[int, ...]:
    """Shape of a weight that tells a size."""
    if key not in state:
        raise CheckpointError(
            f"The weight {key} is missing ({len(state)} others are there), and sizes of the model are read from it. "
            "Save the whole state dict, or fetch the file again."
        )
    shape = tuple(state[key].shape)
    if 0 in shape:
        raise CheckpointError(
            f"The weight {key} is empty (shape {shape}): its numbers are in other files, as DeepSpeed's ZeRO-3 and "
            "FSDP keep them. Make one file of all with the trainer's own tool (DeepSpeed: zero_to_fp32.py)."
        )
    if len(shape) != dimensions:
        raise CheckpointError(
            f"The weight {key} has the shape {shape}; expected {dimensions} dimensions. "
            "Check that this is a checkpoint of VAR, or fetch it again."
        )
    return shape


def _count(state: Mapping[str, StoredTensor | Tensor], pattern: str, most: int) -> int:
    """How many numbered parts match; they have to be numbered 0, 1, 2, ... without a gap."""
    numbers = {int(match[1]) for key in state if (match := re.match(pattern, key))}
    first_missing = next(number for number in itertools.count() if number not in numbers)
    if first_missing != len(numbers) or not numbers:
        group = pattern.split("(")[0].replace("\\", "")
        raise CheckpointError(
            f"The weights {group}* are not complete: {group}{first_missing} is missing, {len(numbers)} others are "
            "there. Save the whole state dict, or fetch it again."
        )
    if len(numbers) > most:
        group = pattern.split("(")[0].replace("\\", "")
        raise CheckpointError(
            f"The weights {group}* are numbered up to {len(numbers) - 1}; expected at most {most}. No model of this "
            "family is that deep: check where the file comes from."
        )
    return len(numbers)
