"""Building models from checkpoints: strict, in the right precision, with memory of their own."""

from dataclasses import replace

import pytest
import torch
from tiny import stored, tiny_states, tiny_vae_config, tiny_var_config, write_trainer_file

from var.checkpoints.checkpoint import Checkpoint, read_checkpoint
from var.checkpoints.load import build_var, build_vqvae, check, empty_var
from var.errors import CheckpointError
from var.model.transformer import LARGE_WEIGHTS


@pytest.fixture
def checkpoint(tmp_path) -> Checkpoint:
    return read_checkpoint(write_trainer_file(tmp_path / "tiny.pth"))


def with_var(checkpoint: Checkpoint, changes: dict, without: str | None = None) -> Checkpoint:
    state = {key: value for key, value in checkpoint.var_state.items() if without is None or without not in key}
    return replace(checkpoint, var_weights=stored(state | changes))


def test_var_has_the_weights_of_the_file(checkpoint):
    model = build_var(checkpoint, "cpu", torch.float32)
    state = model.state_dict()
    assert state.keys() == checkpoint.var_state.keys()
    assert all(torch.equal(state[key], value) for key, value in checkpoint.var_state.items())


def test_vqvae_has_the_weights_of_the_file(checkpoint):
    state = build_vqvae(checkpoint, "cpu").state_dict()
    assert state.keys() == checkpoint.vae_state.keys()
    assert all(torch.equal(state[key], value) for key, value in checkpoint.vae_state.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_var_in_half_precision(checkpoint, dtype):
    state = build_var(checkpoint, "cpu", dtype).state_dict()
    assert state.pop("lvl_1L").dtype == torch.int64
    large = {key for key in state if key.endswith(LARGE_WEIGHTS)}
    assert {state[key].dtype for key in large} == {dtype}
    assert {state[key].dtype for key in state.keys() - large} == {torch.float32}


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_stored_precision_does_not_decide(checkpoint, precision):
    half = {key: t.to(precision) if t.is_floating_point() else t for key, t in checkpoint.var_state.items()}
    model = build_var(replace(checkpoint, var_weights=stored(half)), "cpu", torch.float32)
    assert model.head.weight.dtype == torch.float32


def test_scale_indices_become_integers_again(checkpoint):
    changed = with_var(checkpoint, {"lvl_1L": checkpoint.var_state["lvl_1L"].half()})
    assert build_var(changed, "cpu", torch.float32).lvl_1L.dtype == torch.int64


def test_vqvae_is_float32(checkpoint):
    half = {key: tensor.half() for key, tensor in checkpoint.vae_state.items()}
    state = build_vqvae(replace(checkpoint, vae_weights=stored(half)), "cpu").state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


def test_only_the_decoder_of_a_vqvae_takes_another_precision(checkpoint):
    state = build_vqvae(checkpoint, "cpu", torch.bfloat16).state_dict()
    parts = {key.split(".")[0] for key, tensor in state.items() if tensor.dtype == torch.bfloat16}
    assert parts == {"decoder", "post_quant_conv"}
    assert state["decoder.conv_in.weight"].is_contiguous(memory_format=torch.channels_last)


def test_models_are_ready_to_use(checkpoint):
    for model in (build_var(checkpoint, "cpu", torch.float32), build_vqvae(checkpoint, "cpu")):
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())


def test_overwritten_file_leaves_the_model_alone(checkpoint):
    model = build_var(checkpoint, "cpu", torch.float32)
    before = model.head.weight.clone()
    with checkpoint.path.open("r+b") as file:
        file.write(b"\0" * checkpoint.path.stat().st_size)
    assert torch.equal(model.head.weight, before)


def test_file_cut_off_later_leaves_the_model_alone(checkpoint):
    model = build_var(checkpoint, "cpu", torch.float32)
    before = model.head.weight.clone()
    checkpoint.path.write_bytes(b"")
    assert torch.equal(model.head.weight, before)


def test_file_is_not_changed_by_a_model(checkpoint):
    model = build_var(checkpoint, "cpu", torch.float32)
    before = checkpoint.path.read_bytes()
    with torch.no_grad():
        model.head.weight.zero_()
    assert checkpoint.path.read_bytes() == before


def test_weights_that_are_views_become_plain(checkpoint):
    width = checkpoint.var_config.embed_dim
    changed = with_var(checkpoint, {"blocks.0.attn.q_bias": torch.zeros(1).expand(width)})
    assert build_var(changed, "cpu", torch.float32).blocks[0].attn.q_bias.is_contiguous()


def test_empty_model_takes_no_memory():
    config = tiny_var_config(depth=30, embed_dim=1920, num_heads=30)
    model = empty_var(config)
    assert all(parameter.is_meta for name, parameter in model.named_parameters() if name.endswith("weight"))


@pytest.mark.parametrize("build", [build_var, lambda c, *_: check(c)], ids=["build", "check"])
def test_missing_keys_are_summarized(checkpoint, build):
    with pytest.raises(CheckpointError) as caught:
        build(with_var(checkpoint, {}, without=".attn."), "cpu", torch.float32)
    assert "tiny.pth" in str(caught.value)
    assert "14 keys are missing (blocks.*.attn ×2 (14 keys))" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_unexpected_key_is_named(checkpoint):
    with pytest.raises(CheckpointError, match=r"1 key is unexpected \(blocks\.\*\.moe\.gate\)"):
        build_var(with_var(checkpoint, {"blocks.0.moe.gate": torch.zeros(2)}), "cpu", torch.float32)


def test_wrong_shape_is_named_with_both_shapes(checkpoint):
    with pytest.raises(CheckpointError, match=r"head\.bias is \(3,\), expected \(64,\)"):
        build_var(with_var(checkpoint, {"head.bias": torch.zeros(3)}), "cpu", torch.float32)


def test_integer_weights_are_named(checkpoint):
    changed = with_var(checkpoint, {"head.bias": torch.zeros(64, dtype=torch.int8)})
    with pytest.raises(CheckpointError, match="head.bias is int8"):
        build_var(changed, "cpu", torch.float32)


def test_all_differences_make_one_message(checkpoint):
    changed = with_var(checkpoint, {"foo": torch.zeros(1), "head.bias": torch.zeros(3)}, without="head_nm")
    with pytest.raises(CheckpointError, match="2 keys are missing.*1 key is unexpected.*1 key is of another shape"):
        build_var(changed, "cpu", torch.float32)


def vqvae_state(channels: int = 3, without: str = " ", **renamed: str) -> dict:
    """A VQVAE with images of so many channels, without some of its weights, and with parts renamed."""
    state = {key: value for key, value in tiny_states()[1].items() if without not in key}
    state["encoder.conv_in.weight"] = torch.zeros(32, channels, 3, 3)
    state["decoder.conv_out.weight"], state["decoder.conv_out.bias"] = (
        torch.zeros(channels, 32, 3, 3),
        torch.zeros(channels),
    )
    for old, new in renamed.items():
        state = {key.replace(f".{old}.", f".{new}."): value for key, value in state.items()}
    return state


def pruned_var(gone: tuple[int, ...] = (), width: int = 256) -> dict:
    """A VAR of four blocks without some, the last of which has a feed-forward part of another width."""
    state = tiny_states(var_config=tiny_var_config(depth=4))[0]
    state["blocks.3.ffn.fc1.weight"], state["blocks.3.ffn.fc1.bias"] = torch.zeros(width, 64), torch.zeros(width)
    state["blocks.3.ffn.fc2.weight"] = torch.zeros(64, width)
    return {key: value for key, value in state.items() if not key.startswith(tuple(f"blocks.{i}." for i in gone))}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (vqvae_state(channels=1), "VQVAE for gray images"),
        (vqvae_state(channels=4), r"images with transparency \(RGBA\)"),
        (vqvae_state(without=".attn"), "VQVAE without attention"),
        (vqvae_state(without=".mid.attn"), r"without a part of its attention \(encoder\.mid\.attn_1\., decoder"),
        (vqvae_state(qkv="q"), "another autoencoder: 14 of its .* weights have names"),
        (vqvae_state(down="stages", up="stages"), "another autoencoder"),
        (vqvae_state(quant_resi="mixer"), "another autoencoder"),
        (pruned_var(gone=(0, 2)), "Of blocks 0 to 3 these are missing: 0, 2. This is a pruned VAR"),
        (pruned_var(width=128), "different widths: this is a VAR pruned within its layers"),
    ],
    ids=[
        "gray",
        "RGBA",
        "no attention",
        "less attention",
        "q",
        "other levels",
        "other phi",
        "fewer blocks",
        "narrower",
    ],
)
def test_changed_models_are_called_what_they_are(tmp_path, state, said):
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=said) as caught:
        check(read_checkpoint(tmp_path / "a.pth"))
    assert "etch" not in str(caught.value)  # fetching it again would bring the same
    assert len(str(caught.value)) < 800


def test_model_pruned_at_its_end_is_a_smaller_model(tmp_path):
    torch.save(pruned_var(gone=(2, 3)), tmp_path / "a.pth")
    checkpoint = read_checkpoint(tmp_path / "a.pth")
    check(checkpoint)
    assert checkpoint.var_config.depth == 2


def test_file_without_vqvae_says_which_one_is_wanted(checkpoint):
    alone = replace(checkpoint, vae_weights=None, vae_config=None)
    with pytest.raises(CheckpointError, match="no VQVAE.*vocabulary of 64 and 8 latent channels.*--vae"):
        build_vqvae(alone, "cpu")


def test_file_without_var_says_so(checkpoint):
    alone = replace(checkpoint, var_weights=None, var_config=None)
    with pytest.raises(CheckpointError, match="tiny.pth: the file holds a VQVAE alone"):
        build_var(alone, "cpu", torch.float32)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocab_size": 32}, "vocabulary 64 and 32"),
        ({"z_channels": 4}, "latent channels 8 and 4"),
        ({"phi_sharing": 0, "num_phi": 5}, "scales 4 and 5"),
    ],
)
def test_models_that_do_not_fit_each_other_are_named(tmp_path, changes, said):
    path = write_trainer_file(tmp_path / "a.pth", vae_config=tiny_vae_config(**changes))
    with pytest.raises(CheckpointError, match=f"do not fit each other: {said}.*trained with"):
        check(read_checkpoint(path))


def test_check_accepts_what_can_be_built(checkpoint):
    check(checkpoint)


@pytest.mark.parametrize("changes", [{"shared_adaln": True}, {"attn_l2_norm": False, "num_heads": 1}], ids=str)
def test_other_transformers_of_the_family(tmp_path, changes):
    config = tiny_var_config(**changes)
    path = write_trainer_file(tmp_path / "a.pth", var_config=config)
    assert build_var(read_checkpoint(path), "cpu", torch.float32).config == config


@pytest.mark.parametrize("sharing", [(1, 1), (0, 4), (2, 2)])
def test_other_vqvaes_of_the_family(tmp_path, sharing):
    config = tiny_vae_config(phi_sharing=sharing[0], num_phi=sharing[1])
    path = write_trainer_file(tmp_path / "a.pth", vae_config=config)
    assert build_vqvae(read_checkpoint(path), "cpu").config == config


def test_official_names_load_strictly_elsewhere(checkpoint):
    other = tiny_states(seed=9)[0]
    model = build_var(checkpoint, "cpu", torch.float32)
    model.load_state_dict(other, strict=True)
    assert torch.equal(model.head.weight, other["head.weight"])
