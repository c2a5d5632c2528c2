"""The golden models: tiny VAR and VQVAE pairs whose weights come from a formula, and what the reference made of them.

`golden/NAME.json` holds the sizes and the sampling calls, `golden/NAME.safetensors` the outputs of the reference
implementation (FoundationVision/VAR, commit 78b9539) on the CPU in float32.
"""

import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from var.model.config import VARConfig, VQVAEConfig
from var.model.transformer import VAR
from var.model.vqvae import VQVAE

FOLDER = Path(__file__).parent / "golden"
NAMES = ("a", "b", "c")
BUFFERS = ("lvl_1L", "attn_bias_for_masking", "zero_k_bias", "ema_vocab_hit_SV")


@dataclass(frozen=True)
class Golden:
    """A golden pair: both models, the shapes of their state dicts, the calls and the tensors they gave."""

    model: VAR
    vqvae: VQVAE
    shapes: dict[str, dict[str, list[int]]]
    calls: list[dict]
    tensors: dict[str, Tensor]


def golden_tensor(key: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """The weight of one key, by the formula; the rules are tried in order."""
    generator = torch.Generator().manual_seed((zlib.crc32(key.encode()) ^ seed) & 0x7FFFFFFF)
    r = torch.randn(shape, generator=generator)
    if key.endswith("scale_mul_1H11"):
        return 0.1 * r + math.log(4)
    if "norm" in key and key.endswith(".weight"):
        return 1 + 0.1 * r
    if len(shape) <= 1:
        return 0.05 * r
    if key.endswith("quantize.embedding.weight"):
        return r
    if key == "head.weight":
        return 3 * r / math.sqrt(shape[1])
    if len(shape) == 4:
        return r / math.sqrt(shape[1] * shape[2] * shape[3])
    if len(shape) == 2 and "emb" not in key:
        return r / math.sqrt(shape[1])
    return 0.5 * r


def golden_state(module: nn.Module, shapes: dict[str, list[int]], seed: int) -> dict[str, Tensor]:
    """A state dict with exactly the golden keys and shapes; buffers keep the value the module gave them."""
    own = module.state_dict()
    return {
        key: own[key] if key.endswith(BUFFERS) else golden_tensor(key, tuple(shape), seed)
        for key, shape in shapes.items()
    }


def golden_configs(golden: dict) -> tuple[VARConfig, VQVAEConfig]:
    """Our configurations of a golden file."""
    sizes, patch_nums = golden["config"], tuple(golden["config"]["patch_nums"])
    sharing = sizes["share_quant_resi"]
    var_config = VARConfig(
        depth=sizes["depth"],
        embed_dim=sizes["embed_dim"],
        num_heads=sizes["num_heads"],
        mlp_ratio=sizes["mlp_ratio"],
        num_classes=sizes["num_classes"],
        patch_nums=patch_nums,
        vocab_size=sizes["vocab_size"],
        z_channels=sizes["z_channels"],
        shared_adaln=sizes["shared_aln"],
        attn_l2_norm=sizes["attn_l2_norm"],
    )
    vae_config = VQVAEConfig(
        vocab_size=sizes["vocab_size"],
        z_channels=sizes["z_channels"],
        ch=sizes["ch"],
        phi_sharing=sharing,
        num_phi=sharing or len(patch_nums),
        num_usage_rows=len(patch_nums),
    )
    return var_config, vae_config


def load_golden(name: str) -> Golden:
    """Read one golden pair and build its models, loading strictly."""
    golden = json.loads((FOLDER / f"{name}.json").read_text())
    var_config, vae_config = golden_configs(golden)
    model, vqvae = VAR(var_config), VQVAE(vae_config)
    seed = golden["weight_seed"]
    model.load_state_dict(golden_state(model, golden["var_shapes"], seed + 1), strict=True)
    vqvae.load_state_dict(golden_state(vqvae, golden["vae_shapes"], seed), strict=True)
    shapes = {"var": golden["var_shapes"], "vae": golden["vae_shapes"]}
    tensors = load_file(FOLDER / f"{name}.safetensors")
    return Golden(
        model.eval().requires_grad_(False), vqvae.eval().requires_grad_(False), shapes, golden["calls"], tensors
    )
