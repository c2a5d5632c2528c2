"""What was done to a VAR, or to its VQVAE, whose weights do not fit: told by names and shapes, with the next step."""

import re
from collections.abc import Mapping

from ..formats.tensors import StoredTensor
from ..text import one_line
from .foreign_models import CHOOSE_VQVAE
from .state_dicts import VAR, VQVAE

# All parts that names of the VQVAE's weights are made of, beside numbers.
VQVAE_PARTS = frozenset(
    """
    encoder decoder conv_in conv_out norm_out mid down up block block_1 block_2 attn attn_1 norm qkv proj_out norm1
    norm2 conv1 conv2 nin_shortcut downsample upsample conv quantize embedding ema_vocab_hit_SV quant_resi qresi
    qresi_ls quant_conv post_quant_conv weight bias
    """.split()
)
BLOCK = re.compile(r"blocks\.(\d{1,6})\.")
CHANNELS = {1: "gray images", 2: "images of two channels", 4: "images with transparency (RGBA)"}
MIN_FOREIGN = 4  # names that make it another autoencoder, and not a VQVAE with something beside it
MAX_NAMED = 4
MAX_CHARACTERS = 60


def describe_change(kind: str, state: Mapping[str, StoredTensor], names_alone: bool = False) -> str | None:
    """Say what was changed in a model that does not fit the sizes it tells, or that does not tell them.

    Args:
        kind: `VAR` or `VQVAE`.
        state: its weights, with official names as far as they have such.
        names_alone: whether to go by names, and not by shapes.

    Returns:
        What it is, and the next step, in two sentences; None where nothing is known.
    """
    by_name = {VAR: _pruned_var, VQVAE: _another_autoencoder}[kind](state)
    if by_name is not None or names_alone:
        return by_name
    return {VAR: _narrowed_var, VQVAE: _changed_vqvae}[kind](state)


def _pruned_var(state: Mapping[str, StoredTensor]) -> str | None:
    blocks = {int(match[1]) for key in state if (match := BLOCK.match(key))}
    gone = [number for number in range(max(blocks, default=-1) + 1) if number not in blocks][: MAX_NAMED + 1]
    if blocks and gone:
        names = ", ".join(map(str, gone[:MAX_NAMED])) + (", ..." if len(gone) > MAX_NAMED else "")
        return (
            f"Of blocks 0 to {max(blocks)} these are missing: {names}. This is a pruned VAR, or a part of one. Where "
            "it was pruned on purpose, number its blocks 0, 1, 2, ... and save it again; otherwise get the whole file."
        )
    return None


def _narrowed_var(state: Mapping[str, StoredTensor]) -> str | None:
    widths = {tuple(value.shape) for key, value in state.items() if re.fullmatch(r"blocks\.\d+\.ffn\.fc1\.weight", key)}
    heads = {tuple(value.shape) for key, value in state.items() if key.endswith("attn.proj.weight")}
    if len(widths) > 1 or len(heads) > 1:
        return (
            "Its blocks have different widths: this is a VAR pruned within its layers, which needs the program that "
            "pruned it. Choose the VAR that it was made from."
        )
    return None


def _another_autoencoder(state: Mapping[str, StoredTensor]) -> str | None:
    foreign = [key for key in state if not all(part in VQVAE_PARTS or part.isdecimal() for part in key.split("."))]
    if len(foreign) >= MIN_FOREIGN:
        names = ", ".join(one_line(key, MAX_CHARACTERS) for key in foreign[:MAX_NAMED])
        return (
            f"This is another autoencoder: {len(foreign)} of its {len(state)} weights have names that VAR's VQVAE does "
            f"not know ({names}{', ...' if len(foreign) > MAX_NAMED else ''}). {CHOOSE_VQVAE}"
        )
    return None


def _changed_vqvae(state: Mapping[str, StoredTensor]) -> str | None:
    first = state.get("encoder.conv_in.weight")
    if first is not None and len(first.shape) == 4 and first.shape[1] != 3:
        images = CHANNELS.get(first.shape[1], f"images of {first.shape[1]} channels")
        return f"This is a VQVAE for {images}, and this app makes images of three channels (RGB). {CHOOSE_VQVAE}"
    attention = [part for part in ("encoder.mid.attn_1.", "decoder.mid.attn_1.") if not _has(state, part)]
    attention += [part for part in ("encoder.down.*.attn.", "decoder.up.*.attn.") if not _has(state, part)]
    if attention:
        where = "attention" if len(attention) == 4 else f"a part of its attention ({', '.join(attention)})"
        return f"This is a VQVAE without {where}, a setting that this app does not have. {CHOOSE_VQVAE}"
    return None


def _has(state: Mapping[str, StoredTensor], start: str) -> bool:
    """Whether there is a weight whose name begins so; `*` stands for a number."""
    pattern = re.compile(re.escape(start).replace(r"\*", r"\d+"))
    return any(pattern.match(key) for key in state)
