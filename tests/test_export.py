"""Exported files: complete, exact, readable by others and by us."""

import json
import shutil
from dataclasses import asdict, replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import stored, tiny_states, tiny_vae_config, tiny_var_config, write_trainer_file

from var.checkpoints.checkpoint import Checkpoint, read_checkpoint
from var.checkpoints.export import export_official, export_safetensors
from var.checkpoints.load import build_var, build_vqvae
from var.errors import CheckpointError
from var.model.transformer import VAR
from var.model.vqvae import VQVAE
from var.pipeline import VARPipeline

NAMES = ["apple", "Birne", "さくらんぼ", "d'e", 'f"g']


@pytest.fixture
def checkpoint(tmp_path) -> Checkpoint:
    return read_checkpoint(write_trainer_file(tmp_path / "trained.pth", class_names=NAMES))


def same(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(
        left[key].dtype == right[key].dtype and torch.equal(left[key], right[key]) for key in left
    )


def test_safetensors_reads_back_exactly(checkpoint, tmp_path):
    export_safetensors(checkpoint, tmp_path / "out.safetensors")
    again = read_checkpoint(tmp_path / "out.safetensors")
    assert again.layout == "export"
    assert same(again.var_state, checkpoint.var_state)
    assert same(again.vae_state, checkpoint.vae_state)


def test_safetensors_keeps_sizes_names_and_progress(checkpoint, tmp_path):
    export_safetensors(checkpoint, tmp_path / "out.safetensors")
    again = read_checkpoint(tmp_path / "out.safetensors")
    assert (again.var_config, again.vae_config) == (checkpoint.var_config, checkpoint.vae_config)
    assert again.class_names == NAMES
    assert again.training == {"epoch": 3, "iter": 11}


def test_safetensors_keeps_what_the_checkpoint_asks_to_be_sampled_with(checkpoint, tmp_path):
    training = {"epoch": 3, "args": {"sampling": {"cfg_scale": 2.0, "top_k": 5}, "lr": 1e-3}}
    export_safetensors(replace(checkpoint, training=training), tmp_path / "out.safetensors")
    pipe = VARPipeline.from_checkpoint(tmp_path / "out.safetensors", device="cpu")
    assert pipe.own_settings == {"cfg_scale": 2.0, "top_k": 5}


def test_header_tells_the_config_to_others(checkpoint, tmp_path):
    export_safetensors(checkpoint, tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["var_config"]) == json.loads(json.dumps(asdict(checkpoint.var_config)))
    assert json.loads(metadata["vae_config"]) == json.loads(json.dumps(asdict(checkpoint.vae_config)))
    assert json.loads(metadata["class_names"]) == NAMES
    assert {key: text for key, text in metadata.items() if key.startswith("modelspec.")} == {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "var-d2",
        "modelspec.implementation": "https://github.com/FoundationVision/VAR",
        "modelspec.title": "VAR, depth 2, 5 classes, epoch 3",
        "modelspec.resolution": "16x16",
    }


def test_the_safetensors_library_reads_it(checkpoint, tmp_path):
    export_safetensors(checkpoint, tmp_path / "out.safetensors")
    tensors = load_file(tmp_path / "out.safetensors")
    assert torch.equal(tensors["var.head.weight"], checkpoint.var_state["head.weight"])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_precision_of_the_file(checkpoint, tmp_path, dtype):
    export_safetensors(checkpoint, tmp_path / "out.safetensors", dtype=dtype)
    again = read_checkpoint(tmp_path / "out.safetensors")
    rounded = {key: t.to(dtype) if t.is_floating_point() else t for key, t in checkpoint.var_state.items()}
    assert same(again.var_state, rounded)
    assert again.vae_state["quantize.embedding.weight"].dtype == dtype


def test_weights_of_mixed_precision_stay_as_they_are(checkpoint, tmp_path):
    mixed = dict(checkpoint.var_state)
    mixed["head.bias"] = mixed["head.bias"].half()[:63].repeat(2)[:64]
    export_safetensors(replace(checkpoint, var_weights=stored(mixed)), tmp_path / "out.safetensors")
    assert same(read_checkpoint(tmp_path / "out.safetensors").var_state, mixed)


def test_export_of_an_export_is_the_same_file(checkpoint, tmp_path):
    export_safetensors(checkpoint, tmp_path / "first.safetensors")
    export_safetensors(read_checkpoint(tmp_path / "first.safetensors"), tmp_path / "second.safetensors")
    assert (tmp_path / "first.safetensors").read_bytes() == (tmp_path / "second.safetensors").read_bytes()


def test_file_can_be_replaced_by_its_own_export(checkpoint, tmp_path):
    path = tmp_path / "out.safetensors"
    export_safetensors(checkpoint, path)
    export_safetensors(read_checkpoint(path), path, dtype=torch.bfloat16)
    assert read_checkpoint(path).var_state["head.weight"].dtype == torch.bfloat16


def test_vqvae_from_another_file(tmp_path):
    alone = read_checkpoint(write_trainer_file(tmp_path / "var.pth", with_vae=False))
    torch.save(tiny_states(seed=5)[1], tmp_path / "vae.pth")
    exported = export_safetensors(alone, tmp_path / "out.safetensors", vae=read_checkpoint(tmp_path / "vae.pth"))
    assert exported.has_vqvae
    assert same(read_checkpoint(tmp_path / "out.safetensors").vae_state, tiny_states(seed=5)[1])


def test_transformer_alone(tmp_path):
    alone = read_checkpoint(write_trainer_file(tmp_path / "var.pth", with_vae=False))
    assert not export_safetensors(alone, tmp_path / "out.safetensors").has_vqvae
    assert read_checkpoint(tmp_path / "out.safetensors").vae_state is None


def test_vqvae_alone(tmp_path):
    torch.save(tiny_states()[1], tmp_path / "vae.pth")
    export_safetensors(read_checkpoint(tmp_path / "vae.pth"), tmp_path / "out.safetensors")
    assert same(read_checkpoint(tmp_path / "out.safetensors").vae_state, tiny_states()[1])


def test_vqvae_that_does_not_fit_is_refused(checkpoint, tmp_path):
    torch.save(tiny_states(vae_config=tiny_vae_config(vocab_size=32))[1], tmp_path / "vae.pth")
    with pytest.raises(CheckpointError, match="vae.pth: .*vocabulary 64 and 32"):
        export_safetensors(checkpoint, tmp_path / "out.safetensors", vae=read_checkpoint(tmp_path / "vae.pth"))


def test_file_without_vqvae_given_as_vqvae_is_refused(checkpoint, tmp_path):
    alone = read_checkpoint(write_trainer_file(tmp_path / "var.pth", with_vae=False))
    with pytest.raises(CheckpointError, match="var.pth: the file holds no VQVAE"):
        export_safetensors(checkpoint, tmp_path / "out.safetensors", vae=alone)


def test_incomplete_weights_are_not_exported(checkpoint, tmp_path):
    state = {key: value for key, value in checkpoint.var_state.items() if key != "head.bias"}
    with pytest.raises(CheckpointError, match="head.bias"):
        export_safetensors(replace(checkpoint, var_weights=stored(state)), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_official_files_load_strictly(checkpoint, tmp_path):
    exported = export_official(checkpoint, tmp_path / "fruit.pth")
    assert exported.paths == (tmp_path / "fruit.pth", tmp_path / "vae_fruit.pth")
    var_state, vae_state = (torch.load(path, weights_only=True) for path in exported.paths)
    VAR(checkpoint.var_config).load_state_dict(var_state, strict=True)
    VQVAE(checkpoint.vae_config).load_state_dict(vae_state, strict=True)


def test_official_files_give_the_same_models(checkpoint, tmp_path):
    export_official(checkpoint, tmp_path / "fruit.pth")
    again = read_checkpoint(tmp_path / "fruit.pth")
    vae = read_checkpoint(tmp_path / "vae_fruit.pth")
    old, new = build_var(checkpoint, "cpu", torch.float32), build_var(again, "cpu", torch.float32)
    assert same(new.state_dict(), old.state_dict())
    assert same(build_vqvae(vae, "cpu").state_dict(), build_vqvae(checkpoint, "cpu").state_dict())


def test_official_file_holds_the_weights_alone(checkpoint, tmp_path):
    exported = export_official(checkpoint, tmp_path / "fruit.pth")
    weights = sum(tensor.numel() * 4 for tensor in checkpoint.var_state.values())
    assert weights < exported.num_bytes[0] < weights + 50_000  # not the whole trainer file behind every tensor


def test_official_vqvae_has_the_statistics_that_the_reference_asks_for(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth", vae_config=tiny_vae_config(num_usage_rows=0))
    export_official(read_checkpoint(path), tmp_path / "fruit.pth")
    state = torch.load(tmp_path / "vae_fruit.pth", weights_only=True)
    assert state["quantize.ema_vocab_hit_SV"].shape == (tiny_var_config().num_scales, 64)


def test_official_file_in_half_precision(checkpoint, tmp_path):
    export_official(checkpoint, tmp_path / "fruit.pth", dtype=torch.float16)
    state = torch.load(tmp_path / "fruit.pth", weights_only=True)
    assert state["head.weight"].dtype == torch.float16
    assert state["lvl_1L"].dtype == torch.int64


@pytest.mark.parametrize("writer", [export_safetensors, export_official])
def test_nothing_is_left_of_a_failed_write(checkpoint, tmp_path, monkeypatch, writer):
    out = tmp_path / "new" / "out.pth"
    out.parent.mkdir()
    out.write_bytes(b"the old one")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("var.formats.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        writer(checkpoint, out)
    assert [path.name for path in out.parent.iterdir()] == ["out.pth"]
    assert out.read_bytes() == b"the old one"


def test_reported_sizes_are_the_files(checkpoint, tmp_path):
    exported = export_official(checkpoint, tmp_path / "fruit.pth")
    assert exported.num_bytes == tuple(path.stat().st_size for path in exported.paths)


def test_copied_export_is_whole(checkpoint, tmp_path):
    export_safetensors(checkpoint, tmp_path / "out.safetensors")
    shutil.copy(tmp_path / "out.safetensors", tmp_path / "moved.safetensors")
    (tmp_path / "trained.pth").unlink()
    assert read_checkpoint(tmp_path / "moved.safetensors").image_size == 16


def test_every_layout_gives_the_same_tokens(checkpoint, tmp_path):
    export_safetensors(checkpoint, tmp_path / "one.safetensors")
    export_official(checkpoint, tmp_path / "pair.pth")
    sources = [(checkpoint.path, None), (tmp_path / "one.safetensors", None)]
    sources += [(tmp_path / "pair.pth", tmp_path / "vae_pair.pth")]
    tokens = []
    for source, vae in sources:
        pipe = VARPipeline.from_checkpoint(source, vae=vae, device="cpu", dtype=torch.float32)
        tokens.append(pipe([0, 3], seed=1, output_type="pt").tokens)
    assert torch.equal(tokens[0], tokens[1])
    assert torch.equal(tokens[0], tokens[2])
