"""Finding state dicts in what a file holds, and stripping wrappers' prefixes."""

import pytest
import torch
from tiny import tiny_states

from var.errors import CheckpointError
from var.files import FileContent
from var.layouts import LAYOUTS, find_state_dicts, is_vae, is_var, strip_prefixes


@pytest.mark.parametrize(
    "key",
    ["a.weight", "module.a.weight", "_orig_mod.a.weight", "module.module.a.weight", "a._orig_mod.weight"],
)
def test_prefixes_go_wherever_they_are(key):
    assert list(strip_prefixes({key: torch.zeros(1)})) == ["a.weight"]


def test_parts_that_only_look_like_prefixes_stay():
    assert list(strip_prefixes({"modules.a.submodule.weight": torch.zeros(1)})) == ["modules.a.submodule.weight"]


def test_keys_that_become_the_same_are_refused():
    with pytest.raises(CheckpointError, match="a.weight is there twice"):
        strip_prefixes({"a.weight": torch.zeros(1), "module.a.weight": torch.zeros(1)})


def test_models_are_told_apart():
    var_state, vae_state = tiny_states()
    assert is_var(var_state)
    assert not is_vae(var_state)
    assert is_vae(vae_state)
    assert not is_var(vae_state)


def test_a_damaged_var_is_still_a_var():
    var_state, _ = tiny_states()
    del var_state["word_embed.weight"], var_state["head.weight"]
    assert find_state_dicts(FileContent("torch", var_state)).layout == "state dict"


def test_trainer_file_with_the_vqvae_alone():
    _, vae_state = tiny_states()
    found = find_state_dicts(FileContent("torch", {"trainer": {"vae_local": vae_state}}))
    assert found.var_state is None
    assert found.vae_state.keys() == vae_state.keys()


def test_first_layout_that_knows_the_content_wins():
    var_state, _ = tiny_states()
    content = FileContent("torch", {"epoch": 1, "trainer": {"var_wo_ddp": var_state}})
    assert [layout.__name__ for layout in LAYOUTS if layout(content)] == ["trainer_checkpoint"]


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({}, "a dict of nothing"),
        ({"epoch": 3, "optimizer": {}}, "a dict of epoch, optimizer"),
        ([1, 2], "one list"),
        (torch.zeros(3), "one Tensor"),
        ({"trainer": {"var_wo_ddp": {}}}, "a dict of trainer"),
        ({"trainer": None}, "a dict of trainer"),
        ({"conv1.weight": torch.zeros(1), "layer1.0.bn1.weight": torch.zeros(1)}, "the 2 weights of another model"),
    ],
)
def test_content_without_var_is_described(payload, found):
    with pytest.raises(CheckpointError, match=found):
        find_state_dicts(FileContent("torch", payload))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(2, 2, device="meta"),
    ],
    ids=["sparse", "meta"],
)
def test_tensors_that_are_not_plain_are_refused(tensor):
    var_state, _ = tiny_states()
    var_state["head.weight"] = tensor
    with pytest.raises(CheckpointError, match="head.weight is .*not an ordinary tensor"):
        find_state_dicts(FileContent("torch", var_state))
