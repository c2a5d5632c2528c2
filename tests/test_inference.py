"""Sizes read from the weights: the reference's own shapes, official models, and odd ones."""

import json
from pathlib import Path

import pytest
import torch
from tiny import tiny_states, tiny_vae_config, tiny_var_config

from var.checkpoints.checkpoint import count_parameters
from var.checkpoints.load import empty_var, empty_vqvae
from var.checkpoints.sizes import infer_vae_config, infer_var_config
from var.errors import CheckpointError
from var.model.config import VARConfig, VQVAEConfig
from var.text import format_count

GOLDEN = Path(__file__).parent / "golden"
PATCH_NUMS_256 = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
PATCH_NUMS_512 = (1, 2, 3, 4, 6, 9, 13, 18, 24, 32)


def scale_indices(patch_nums) -> torch.Tensor:
    levels = [index for index, patch_num in enumerate(patch_nums) for _ in range(patch_num**2)]
    return torch.tensor(levels).view(1, -1)


def empty_var_state(config: VARConfig) -> dict[str, torch.Tensor]:
    """Names and shapes of a transformer of any size, without memory; only the scale indices have values."""
    return {**empty_var(config).state_dict(), "lvl_1L": scale_indices(config.patch_nums)}


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_var_of_the_reference(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    config = golden["config"]
    state = {key: torch.empty(shape, device="meta") for key, shape in golden["var_shapes"].items()}
    state["lvl_1L"] = scale_indices(config["patch_nums"])
    found = infer_var_config(state)
    for key in ("depth", "embed_dim", "num_heads", "mlp_ratio", "num_classes", "vocab_size", "z_channels"):
        assert getattr(found, key) == config[key], key
    assert list(found.patch_nums) == config["patch_nums"]
    assert found.shared_adaln == config["shared_aln"]
    assert found.attn_l2_norm == config["attn_l2_norm"]


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_vqvae_of_the_reference(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    shapes = golden["vae_shapes"]
    found = infer_vae_config({key: torch.empty(shape, device="meta") for key, shape in shapes.items()})
    ours = empty_vqvae(found).state_dict()
    assert {key: list(value.shape) for key, value in ours.items()} == shapes


@pytest.mark.parametrize(
    ("depth", "parameters"), [(16, "310 M"), (20, "601 M"), (24, "1.0 B"), (30, "2.0 B"), (36, "3.5 B")]
)
def test_official_shapes_at_256(depth, parameters):
    config = VARConfig(depth=depth, embed_dim=64 * depth, num_heads=depth, patch_nums=PATCH_NUMS_256)
    state = empty_var_state(config)
    assert infer_var_config(state) == config
    assert format_count(count_parameters(state)) == parameters


def test_official_shape_at_512():
    config = VARConfig(depth=36, embed_dim=2304, num_heads=36, patch_nums=PATCH_NUMS_512, shared_adaln=True)
    state = empty_var_state(config)
    assert infer_var_config(state) == config
    assert format_count(count_parameters(state)) == "2.4 B"


def test_official_vqvae():
    state = empty_vqvae(VQVAEConfig()).state_dict()
    assert infer_vae_config(state) == VQVAEConfig()
    assert format_count(count_parameters(state)) == "109 M"


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": 1},
        {"depth": 12},
        {"embed_dim": 96, "num_heads": 3},
        {"embed_dim": 60, "num_heads": 5},
        {"num_classes": 1},
        {"mlp_ratio": 2.0},
        {"mlp_ratio": 2.71875},
        {"patch_nums": (1, 3, 7)},
        {"patch_nums": (2, 4)},
        {"patch_nums": (5,)},
        {"vocab_size": 17, "z_channels": 3},
        {"shared_adaln": True},
        {"attn_l2_norm": False, "embed_dim": 192, "num_heads": 3},
    ],
    ids=str,
)
def test_var_of_any_size(changes):
    config = tiny_var_config(**changes)
    assert infer_var_config(empty_var_state(config)) == config


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab_size": 10, "z_channels": 5},
        {"ch": 64},
        {"ch_mult": (1,)},
        {"ch_mult": (1, 2, 2, 4)},
        {"phi_sharing": 1, "num_phi": 1},
        {"phi_sharing": 3, "num_phi": 3},
        {"phi_sharing": 0, "num_phi": 7},
        {"num_usage_rows": 0},
        {"num_usage_rows": 12},
        {"num_res_blocks": 1},
        {"num_res_blocks": 3},
    ],
    ids=str,
)
def test_vqvae_of_any_size(changes):
    config = tiny_vae_config(**changes)
    assert infer_vae_config(empty_vqvae(config).state_dict()) == config


def test_missing_size_is_named():
    var_state, _ = tiny_states()
    del var_state["class_emb.weight"]
    with pytest.raises(CheckpointError, match="class_emb.weight is missing"):
        infer_var_config(var_state)


def test_missing_block_is_named():
    var_state = empty_var_state(tiny_var_config(depth=3))
    state = {key: value for key, value in var_state.items() if not key.startswith("blocks.1.")}
    with pytest.raises(CheckpointError, match=r"blocks\.1 is missing"):
        infer_var_config(state)


def test_huge_block_number_costs_nothing():
    var_state, _ = tiny_states()
    var_state["blocks.999999.attn.q_bias"] = torch.zeros(64)
    with pytest.raises(CheckpointError, match=r"blocks\.2 is missing"):
        infer_var_config(var_state)


@pytest.mark.parametrize(
    ("key", "tensor"),
    [
        ("word_embed.weight", torch.zeros(64)),
        ("class_emb.weight", torch.zeros(0, 64)),
        ("class_emb.weight", torch.zeros(1, 64)),
        ("lvl_1L", torch.tensor([[0, 1, 1]])),
        ("lvl_1L", torch.tensor([[0, 2, 2, 2, 2]])),
        ("lvl_1L", torch.tensor([[1, 0, 0, 0, 0]])),
        ("lvl_1L", torch.tensor([0])),
        ("blocks.0.attn.scale_mul_1H11", torch.zeros(1, 7, 1, 1)),
    ],
)
def test_impossible_var_is_refused(key, tensor):
    var_state, _ = tiny_states()
    var_state[key] = tensor
    with pytest.raises(CheckpointError):
        infer_var_config(var_state)


def test_more_classes_than_anybody_trained_are_refused():
    var_state, _ = tiny_states()
    var_state["class_emb.weight"] = torch.empty(1_000_001, 64, device="meta")
    with pytest.raises(CheckpointError, match="rows for 1,000,000 classes; expected at most 50,000"):
        infer_var_config(var_state)


def test_heads_that_nothing_tells_are_refused():
    state = empty_var_state(tiny_var_config(attn_l2_norm=False, embed_dim=96, num_heads=1))
    with pytest.raises(CheckpointError, match="width of 96.*--num-heads"):
        infer_var_config(state)
    assert infer_var_config(state, num_heads=3).num_heads == 3


@pytest.mark.parametrize(("l2_norm", "number", "said"), [(True, 4, "have 2 .*heads, not 4"), (False, 7, "cannot be")])
def test_number_of_heads_that_cannot_be_is_refused(l2_norm, number, said):
    state = empty_var_state(tiny_var_config(attn_l2_norm=l2_norm))
    with pytest.raises(CheckpointError, match=said):
        infer_var_config(state, number)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("encoder.conv_in.weight", (33, 3, 3, 3)),
        ("encoder.down.2.block.0.conv1.weight", (48, 32, 3, 3)),
        ("quantize.embedding.weight", (64,)),
        ("quantize.embedding.weight", (0, 8)),
    ],
)
def test_impossible_vqvae_is_refused(key, shape):
    _, vae_state = tiny_states()
    vae_state[key] = torch.zeros(shape)
    with pytest.raises(CheckpointError):
        infer_vae_config(vae_state)


def test_vqvae_without_phi_is_refused():
    _, vae_state = tiny_states()
    state = {key: value for key, value in vae_state.items() if "quant_resi" not in key}
    with pytest.raises(CheckpointError, match=r"quantize\.quant_resi"):
        infer_vae_config(state)
