"""The checkpoints folder, the search for a VQVAE that fits, and addresses on the Hub."""

import os

import huggingface_hub
import pytest
import torch
from tiny import tiny_states, tiny_vae_config, tiny_var_config, write_trainer_file

from var.checkpoint import read_checkpoint
from var.errors import CheckpointError
from var.library import find_vqvae, list_checkpoints, pair_problem, resolve


def write_vqvae(path, **changes):
    path.parent.mkdir(exist_ok=True)
    torch.save(tiny_states(vae_config=tiny_vae_config(**changes))[1], path)
    return path


@pytest.fixture
def var_alone(tmp_path):
    (tmp_path / "own").mkdir()
    return read_checkpoint(write_trainer_file(tmp_path / "own" / "var.pth", with_vae=False))


def test_list_is_newest_first(tmp_path):
    for age, name in enumerate(["new.pth", "middle.safetensors", "old.ckpt", "oldest.PT"]):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    labels = [entry.label for entry in list_checkpoints(tmp_path)]
    assert labels == ["new.pth", "middle.safetensors", "old.ckpt", "oldest.PT"]


def test_list_leaves_out_what_is_no_checkpoint(tmp_path):
    for name in ("README.md", ".hidden.pth", "a.pth.tmp", "a.npz"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "dangling.pth").symlink_to(tmp_path / "nothing.pth")
    assert list_checkpoints(tmp_path) == []


def test_list_of_no_folder_is_empty(tmp_path):
    assert list_checkpoints(tmp_path / "none") == []


def test_vqvae_beside_the_file_is_found(var_alone, tmp_path):
    path = write_vqvae(tmp_path / "own" / "tokenizer.pth")
    assert find_vqvae(var_alone).path == path


def test_vqvae_in_a_given_folder_is_found(var_alone, tmp_path):
    path = write_vqvae(tmp_path / "shelf" / "vae.pth")
    assert find_vqvae(var_alone, [tmp_path / "none", tmp_path / "shelf"]).path == path


def test_own_folder_comes_first(var_alone, tmp_path):
    own = write_vqvae(tmp_path / "own" / "vae.pth")
    write_vqvae(tmp_path / "shelf" / "vae.pth")
    assert find_vqvae(var_alone, [tmp_path / "shelf"]).path == own


def test_vqvae_carried_by_another_trainer_file_is_found(var_alone, tmp_path):
    path = write_trainer_file(tmp_path / "own" / "other.pth")
    assert find_vqvae(var_alone).path == path


def test_vqvae_alone_comes_before_a_carried_one(var_alone, tmp_path):
    alone = write_vqvae(tmp_path / "own" / "tokenizer.pth")
    write_trainer_file(tmp_path / "own" / "vae_and_more.pth")
    assert find_vqvae(var_alone).path == alone


@pytest.mark.parametrize("changes", [{"vocab_size": 32}, {"z_channels": 4}, {"phi_sharing": 0, "num_phi": 5}], ids=str)
def test_vqvae_that_does_not_fit_is_not_taken(var_alone, tmp_path, changes):
    write_vqvae(tmp_path / "own" / "vae.pth", **changes)
    assert find_vqvae(var_alone) is None


def test_broken_neighbours_do_not_matter(var_alone, tmp_path):
    (tmp_path / "own" / "broken.pth").write_bytes(b"PK\x03\x04 cut short")
    path = write_vqvae(tmp_path / "own" / "vae.pth")
    assert find_vqvae(var_alone).path == path


def test_usage_rows_do_not_matter():
    assert pair_problem(tiny_var_config(), tiny_vae_config(num_usage_rows=10)) is None


def test_problem_names_both_numbers():
    problem = pair_problem(tiny_var_config(), tiny_vae_config(vocab_size=32, z_channels=4))
    assert "vocabulary 64 and 32" in problem
    assert "latent channels 8 and 4" in problem


def test_local_path_is_itself(tmp_path):
    assert resolve(str(tmp_path / "a.pth")) == tmp_path / "a.pth"


@pytest.mark.parametrize("address", ["hf://", "hf://owner", "hf://owner/repo", "hf://owner/repo/", "hf:///repo/file"])
def test_incomplete_address_is_refused(address):
    with pytest.raises(CheckpointError, match="hf://owner/repo/path"):
        resolve(address)


def test_address_is_split_into_repository_and_file(monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda **named: asked.update(named) or str(tmp_path))
    resolve("hf://owner/repo/folder/var_d16.pth")
    assert asked == {"repo_id": "owner/repo", "filename": "folder/var_d16.pth"}


def test_unreachable_hub_is_one_sentence(monkeypatch):
    def unreachable(**_):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection\nand no cache")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(CheckpointError, match="hf://owner/repo/a.pth: the Hub cannot be reached"):
        resolve("hf://owner/repo/a.pth")
