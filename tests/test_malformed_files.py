"""Files that are no checkpoints: one clear sentence each, and nothing in them runs."""

import argparse
import datetime
import functools
import os
import pickle
import struct
import sys
import zipfile
from pathlib import Path

import numpy
import pytest
import torch
from tiny import tiny_states, write_trainer_file

from var.checkpoints.checkpoint import read_checkpoint
from var.errors import CheckpointError


class Harmful:
    """Pickles as a call of `os.system`."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


def refusal(path: Path) -> str:
    """The message with which a file is refused, after checks that hold for every refusal."""
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"hello, I am a text file\n" * 9, "holds text"),
        ("épicéa\n".encode(), "not weights"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\n  <html><head></head></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 310283520\n", "git lfs pull"),
        (b"\0" * 4096, "cut short"),
        (bytes(range(128, 256)) * 8, "not weights"),
        (b"PK\x03\x04" + b"\0" * 200, "cut short"),
        (b"PK\x05\x06" + b"\0" * 18, "zip archive without weights"),
        (struct.pack("<Q", 500) + b"{", "cut short"),
        (struct.pack("<Q", 2) + b"{}", "dict of nothing"),
        (struct.pack("<Q", 10) + b'{"a": 3}  ', "damaged"),
    ],
)
def test_foreign_content(tmp_path, content, said):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert said in refusal(path)


def test_folder(tmp_path):
    assert "folder" in refusal(tmp_path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_trainer_file_cut_short(tmp_path, part):
    path = write_trainer_file(tmp_path / "a.pth")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert "cut short" in refusal(path)


@pytest.mark.parametrize("part", [0.0001, 0.5, 0.999])
def test_safetensors_cut_short(tmp_path, part):
    from safetensors.torch import save

    content = save(tiny_states()[0])
    path = tmp_path / "a.safetensors"
    path.write_bytes(content[: int(part * len(content))])
    refusal(path)


def test_zip_that_is_no_checkpoint(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("holiday/beach.jpg", b"x")
    assert "holiday/beach.jpg" in refusal(path)


def test_torchscript_archive(tmp_path):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"x")
        archive.writestr("a/constants.pkl", b"x")
    assert "TorchScript" in refusal(path)


def test_archive_with_a_damaged_pickle(tmp_path):
    whole = write_trainer_file(tmp_path / "whole.pth")
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content[:100] if name.endswith("data.pkl") else content)
    assert "damaged" in refusal(path)


def test_archive_without_the_data_of_a_weight(tmp_path):
    whole = write_trainer_file(tmp_path / "whole.pth")
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if "/data/" not in name:
                target.writestr(name, source.read(name))
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("where", ["top", "weights"])
def test_code_in_the_place_of_weights_is_refused_and_never_runs(tmp_path, where):
    witness = tmp_path / "it ran"
    harmful = Harmful(f"touch '{witness}'")
    state = tiny_states()[0]
    payload = {
        "top": harmful,
        "weights": {**state, "head.bias": harmful},
    }[where]
    torch.save(payload, tmp_path / "a.pth")
    message = refusal(tmp_path / "a.pth")
    assert "system" in message
    assert not witness.exists()


def test_code_beside_the_weights_is_told_of_and_never_runs(tmp_path):
    witness = tmp_path / "it ran"
    payload = {"trainer": {"var_wo_ddp": tiny_states()[0]}, "args": Harmful(f"touch '{witness}'")}
    torch.save(payload, tmp_path / "a.pth")
    checkpoint = read_checkpoint(tmp_path / "a.pth")
    (warning,) = checkpoint.warnings
    assert f"would have called {os.system.__module__}.system" in warning
    assert "may be an attack. Nothing of it was run" in warning
    assert all(torch.equal(checkpoint.var_state[key], value) for key, value in tiny_states()[0].items())
    assert not witness.exists()


def test_code_in_a_bare_pickle_never_runs(tmp_path):
    witness = tmp_path / "it ran"
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Harmful(f"touch '{witness}'")))
    message = refusal(tmp_path / "a.pth")
    assert f"would have called {os.system.__module__}.system" in message
    assert not witness.exists()


def test_legacy_torch_file_loads_as_the_same_weights(tmp_path):
    state = tiny_states()[0]
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    checkpoint = read_checkpoint(tmp_path / "a.pth")
    assert checkpoint.kind == "legacy torch"
    assert all(torch.equal(checkpoint.var_state[key], value) for key, value in state.items())


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_legacy_torch_file_cut_short(tmp_path, part):
    path = tmp_path / "a.pth"
    torch.save(tiny_states()[0], path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    refusal(path)


class OwnArguments:
    """As trainers have classes of their own; other programs lack them."""

    def __init__(self):
        self.depth = 2


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (OwnArguments(), "test_malformed_files.OwnArguments"),
        (numpy.float64(0.5), "numpy"),
        (numpy.arange(3), "numpy"),
        (datetime.timedelta(seconds=3), "datetime.timedelta"),
        (functools.partial(int, "3"), "functools.partial"),
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    ],
    ids=["own class", "numpy scalar", "numpy array", "time", "partial", "module"],
)
def test_harmless_objects_beside_the_weights_are_replaced_and_named(tmp_path, value, name):
    torch.save({"trainer": {"var_wo_ddp": tiny_states()[0]}, "args": {"x": value}}, tmp_path / "a.pth")
    checkpoint = read_checkpoint(tmp_path / "a.pth")
    assert checkpoint.layout == "trainer"
    assert any(name in stand_in for stand_in in checkpoint.stand_ins)


def test_arguments_as_a_namespace_keep_their_values(tmp_path):
    args = argparse.Namespace(depth=2, data=Path("images"), size=torch.Size([3, 4]))
    torch.save({"trainer": {"var_wo_ddp": tiny_states()[0]}, "args": args}, tmp_path / "a.pth")
    checkpoint = read_checkpoint(tmp_path / "a.pth")
    assert checkpoint.training["args"] == {"depth": 2, "data": "images", "size": (3, 4)}
    assert checkpoint.stand_ins == ()


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        None,
        7,
        "text",
        {"epoch": 3, "loss": 0.5},
        {"trainer": {}},
        {"trainer": {"var_wo_ddp": None, "vae_local": None}},
        {"trainer": {"var_wo_ddp": {"a": 1}}},
        {"trainer": {"var_wo_ddp": {1: torch.zeros(1)}}},
        {1: torch.zeros(1)},
        torch.zeros(3),
    ],
    ids=str,
)
def test_payload_without_any_state_dict(tmp_path, payload):
    torch.save(payload, tmp_path / "a.pth")
    assert "Expected a VAR trainer's checkpoint" in refusal(tmp_path / "a.pth")


def test_state_dict_of_another_model(tmp_path):
    state = {"conv1.weight": torch.zeros(8, 3, 7, 7), "bn1.running_mean": torch.zeros(8), "fc.bias": torch.zeros(10)}
    torch.save(state, tmp_path / "resnet.pth")
    assert "3 weights of another model (conv1.weight" in refusal(tmp_path / "resnet.pth")


@pytest.mark.parametrize("key", ["lvl_1L", "word_embed.weight", "blocks.0.ffn.fc1.weight", "head.weight"])
def test_var_without_a_weight_that_tells_its_size(tmp_path, key):
    state = tiny_states()[0]
    del state[key]
    torch.save(state, tmp_path / "a.pth")
    assert key in refusal(tmp_path / "a.pth")


def test_weights_inside_the_trainer_of_another_model(tmp_path):
    torch.save({"trainer": {"var_wo_ddp": {"fc.weight": torch.zeros(3)}}}, tmp_path / "a.pth")
    assert "1 weight of another model (fc.weight)" in refusal(tmp_path / "a.pth")


def test_not_a_number_is_read(tmp_path):
    state = tiny_states()[0]
    state["head.bias"][0] = float("nan")
    torch.save(state, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").var_state["head.bias"].isnan().any()


@pytest.mark.skipif(sys.platform == "win32", reason="file modes differ")
def test_read_only_file_is_read(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth")
    path.chmod(0o444)
    assert read_checkpoint(path).layout == "trainer"
