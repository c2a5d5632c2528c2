"""Files of other projects: each is named by what its weights are, and VAR's own are not taken for one."""

from collections.abc import Mapping

import pytest
import torch
from foreign_files import PROJECTS, optimizer_state, resnet, weights, write_project_file
from tiny import stored, tiny_states, tiny_vae_config, tiny_var_config

from var.checkpoints.checkpoint import read_checkpoint
from var.checkpoints.foreign import describe_foreign, variant_of_var, variant_of_vqvae
from var.checkpoints.foreign_models import KINDS
from var.errors import CheckpointError
from var.formats.open import open_file
from var.formats.pickle_objects import StandIn
from var.formats.tensors import StoredTensor


def described(state: Mapping[str, torch.Tensor]) -> str:
    """The sentence for a flat state dict."""
    found = stored(state)
    return describe_foreign(found, {"": found})


def state_dicts(value: object, place: str = "") -> dict[str, dict]:
    """All state dicts in a file's content, by their place."""
    if not isinstance(value, Mapping):
        return {}
    state = {key: item for key, item in value.items() if isinstance(item, StoredTensor)}
    if state:
        return {place: {key.replace("module.", ""): item for key, item in state.items()}}
    return {name: state for key, item in value.items() for name, state in state_dicts(item, f"{place}.{key}").items()}


@pytest.mark.parametrize("name", PROJECTS)
def test_content_of_another_project_is_named(tmp_path, name):
    payload = open_file(write_project_file(tmp_path, name)).payload
    message = describe_foreign(payload, state_dicts(payload))
    assert PROJECTS[name][0] in message
    assert "\n" not in message
    assert len(message) < 450


@pytest.mark.parametrize("name", PROJECTS)
def test_file_of_another_project_is_refused_by_its_name(tmp_path, name):
    path = write_project_file(tmp_path, name)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert PROJECTS[name][0] in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("changes", [{}, {"shared_adaln": True}, {"attn_l2_norm": False, "num_heads": 1}], ids=str)
def test_plain_var_is_no_variant(changes):
    assert variant_of_var(stored(tiny_states(var_config=tiny_var_config(**changes))[0])) is None


@pytest.mark.parametrize("sharing", [(1, 1), (0, 4), (4, 4)])
def test_vqvae_of_var_is_no_variant(sharing):
    config = tiny_vae_config(phi_sharing=sharing[0], num_phi=sharing[1])
    assert variant_of_vqvae(stored(tiny_states(vae_config=config)[1])) is None


@pytest.mark.parametrize("key", ["lvl_1L", "lvl_embed.weight", "class_emb.weight", "head.weight", "pos_1LC"])
def test_var_without_one_weight_is_no_variant(key):
    state = tiny_states()[0]
    del state[key]
    assert variant_of_var(stored(state)) is None


def test_prefixes_do_not_matter():
    state = {f"some.wrapper.{key}": value for key, value in resnet().items()}
    assert "ResNet" in described(state)


def test_marks_match_whole_parts_alone():
    assert "another model" in described(weights("my_lora_Adapter.weight 3\nxlayer1.0.conv1.weight 3\nbn1x.weight 3"))


def test_model_beside_an_optimizer_is_not_called_an_optimizer():
    payload = {"model": {"conv.weight": torch.zeros(3)}, "optimizer": optimizer_state()}
    states = {"model": stored(payload["model"])}
    assert "1 weight of another model (conv.weight)." in describe_foreign(payload, states)


def test_unknown_weights_are_listed():
    message = described(weights("a.weight 1\nb.weight 1\nc.weight 1\nd.weight 1\ne.weight 1"))
    assert "5 weights of another model (a.weight, b.weight, c.weight, d.weight, ...)" in message
    assert "Expected a VAR" in message


def test_single_tensor_is_named():
    assert "one tensor of shape (2, 3)" in describe_foreign(stored({"a": torch.zeros(2, 3)})["a"], {})


def test_object_in_place_of_a_model_is_named():
    assert "whole object of models.var.VAR" in describe_foreign({"model": StandIn("models.var.VAR")}, {})


def test_names_in_a_message_are_short_and_on_one_line():
    message = describe_foreign({"x\ny" * 1000: 1}, {})
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize("key", [7, 10**5000, (10**5000,), None, b"x"], ids=["int", "large", "tuple", "none", "bytes"])
def test_keys_of_any_kind_are_no_obstacle(key):
    assert "Expected a VAR" in describe_foreign({key: {key: 1}}, {})


def test_endless_containers_are_not_followed():
    payload = {}
    payload.update({str(number): payload for number in range(100)})
    assert "Expected a VAR" in describe_foreign(payload, {})


def test_each_kind_says_what_to_do():
    assert all(kind.name and kind.next_step.endswith(".") for kind in KINDS)
    assert len({kind.name for kind in KINDS}) == len(KINDS)
