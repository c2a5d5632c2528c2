"""The checkpoints folder, what its files are, and the search for a VQVAE that fits."""

import json
import os
import pickle
import threading

import pytest
import torch
from safetensors.torch import save_file
from tiny import tiny_states, tiny_vae_config, tiny_var_config, write_trainer_file

from var.checkpoints import folder as library
from var.checkpoints.checkpoint import read_checkpoint
from var.checkpoints.fit import pair_problem
from var.checkpoints.folder import describe_entry, find_vqvae, fingerprint, list_checkpoints, resolve
from var.errors import CheckpointError
from var.formats.shards import shard_names


def labels(folder, **arguments):
    return [entry.label for entry in list_checkpoints(folder, **arguments)]


def write_sharded(folder):
    """A transformer in two files with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    state = tiny_states()[0]
    places = {key: f"model-{1 + number % 2:05}-of-00002.safetensors" for number, key in enumerate(state)}
    for name in set(places.values()):
        save_file({key: state[key] for key in state if places[key] == name}, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


@pytest.fixture
def reads(monkeypatch):
    """The files that were read, in order."""
    paths = []

    def read(path, weights=None):
        paths.append(path)
        return read_checkpoint(path, weights)

    monkeypatch.setattr(library, "read_checkpoint", read)
    return paths


def write_vqvae(path, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
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
    assert labels(tmp_path) == ["new.pth", "middle.safetensors", "old.ckpt", "oldest.PT"]


def test_list_leaves_out_what_is_no_checkpoint(tmp_path):
    for name in ("README.md", ".hidden.pth", "a.pth.tmp", "a.npz"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "dangling.pth").symlink_to(tmp_path / "nothing.pth")
    assert list_checkpoints(tmp_path) == []


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("name", ["model.pth.tar", "model.pkl", "model", "model.180"])
def test_names_that_say_nothing_are_looked_into(tmp_path, name, kind):
    state = tiny_states()[0]
    if kind == "safetensors":
        save_file(state, tmp_path / name)
    else:
        torch.save(state, tmp_path / name, _use_new_zipfile_serialization=kind == "zip")
    for number, content in enumerate((b"", b"hello", b"PK\x03\x04" + bytes(600), pickle.dumps({"a": 1}, 2))):
        (tmp_path / f"other{number}.pkl").write_bytes(content)
        (tmp_path / f"other{number}").write_bytes(content)
    assert labels(tmp_path) == [name]
    assert read_checkpoint(tmp_path).var_config == tiny_var_config()


def test_what_a_training_keeps_to_go_on_is_not_offered(tmp_path):
    run, own = tmp_path / "run", tmp_path / "own"
    parts = ["tokens.pth", "tokens-0001.pth", "tokenizer.pth", "tokenizer-last.pth"]
    models = ["model.pth", "ar-ckpt-last.pth", "ar-ckpt-best.pth"]
    for folder, names in {run: [*parts, *models, "options.json", "data.json"], own: parts}.items():
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(b"x")
    assert {label for label in labels(tmp_path) if label.startswith("run/")} == {f"run/{name}" for name in models}
    assert {label for label in labels(tmp_path) if label.startswith("own/")} == {f"own/{name}" for name in parts}


def test_list_of_no_folder_is_empty(tmp_path):
    assert list_checkpoints(tmp_path / "none") == []


def test_list_goes_into_folders_and_labels_by_the_way_there(tmp_path):
    for name in ("local_output/ar-ckpt-last.pth", "a/b/c/d/deep.pth"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    assert sorted(labels(tmp_path)) == ["a/b/c/d/deep.pth", "local_output/ar-ckpt-last.pth"]


def test_list_ends_at_its_depth(tmp_path):
    for name in ("top.pth", "a/one.pth", "a/b/c/d/e/too_deep.pth"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert sorted(labels(tmp_path)) == ["a/one.pth", "top.pth"]
    assert labels(tmp_path, max_depth=0) == ["top.pth"]


def test_list_ends_after_its_number_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "MAX_SCANNED", 10)
    (tmp_path / "data").mkdir()
    for i in range(20):
        (tmp_path / "data" / f"{i}.pth").write_bytes(b"x")
    (tmp_path / "own.pth").write_bytes(b"x")
    found = labels(tmp_path)
    assert "own.pth" in found
    assert len(found) == 9  # and the folder itself


def test_hidden_folders_are_left_out(tmp_path):
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.pth").write_bytes(b"x")
    assert labels(tmp_path) == []


def test_links_in_a_circle_are_followed_once(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a.pth").write_bytes(b"x")
    (tmp_path / "runs" / "back").symlink_to(tmp_path)
    assert labels(tmp_path) == ["runs/a.pth"]


def test_links_to_themselves_and_names_that_are_no_utf8_keep_nothing_from_being_listed(tmp_path):
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "here").symlink_to(".")
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "a.pth").touch()
    assert labels(tmp_path) == [r"caf\udce9/a.pth"]


def test_linked_folder_is_listed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.pth").write_bytes(b"x")
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "link").symlink_to(tmp_path / "elsewhere")
    assert labels(tmp_path / "shelf") == ["link/a.pth"]


def test_model_in_several_files_is_one_entry(tmp_path):
    write_vqvae(write_sharded(tmp_path / "big" / "model") / "vae.safetensors")
    assert sorted(labels(tmp_path)) == ["big/model", "big/model/vae.safetensors"]
    entry = next(entry for entry in list_checkpoints(tmp_path) if entry.label == "big/model")
    assert read_checkpoint(entry.path).var_config == tiny_var_config()


def test_model_in_several_files_in_the_folder_itself(tmp_path):
    write_sharded(tmp_path)
    assert labels(tmp_path) == ["model.safetensors.index.json"]


@pytest.mark.parametrize("count", [30_000, 400_000])
def test_index_of_absurdly_many_files_leaves_nothing_in_memory(tmp_path, count):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {f"{i:x}": f"{i:x}" for i in range(count)}}))
    assert shard_names(index) == frozenset()
    found = describe_entry(index)
    assert found.kind == "other"
    assert len(found.detail) < 200
    assert labels(tmp_path) == ["model.safetensors.index.json"]


def test_trained_model_is_described_by_depth_and_epoch(tmp_path):
    found = describe_entry(write_trainer_file(tmp_path / "a.pth", epoch=180))
    assert (found.kind, found.detail) == ("var", "depth 2, epoch 180")
    assert found.vae_config == tiny_vae_config()


def test_vqvae_is_described_as_one(tmp_path):
    found = describe_entry(write_vqvae(tmp_path / "vae.pth"))
    assert (found.kind, found.detail) == ("vqvae", "VQVAE alone")


def test_other_file_is_described_by_what_it_is(tmp_path):
    (tmp_path / "empty.pth").write_bytes(b"")
    found = describe_entry(tmp_path / "empty.pth")
    assert (found.kind, found.detail) == ("other", "not a checkpoint: the file is empty (0 bytes)")


def test_description_of_a_model_in_several_files(tmp_path):
    folder = write_sharded(tmp_path / "model")
    assert describe_entry(folder).detail == describe_entry(folder / "model.safetensors.index.json").detail == "depth 2"


def test_unchanged_file_is_described_without_reading_it_again(tmp_path, reads):
    path = write_trainer_file(tmp_path / "a.pth")
    assert describe_entry(path) is describe_entry(path)
    assert reads == [path]


def test_changed_file_is_described_anew(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth", epoch=1)
    assert describe_entry(path).detail == "depth 2, epoch 1"
    write_trainer_file(path, epoch=2)
    os.utime(path, (1e9, 1e9))
    assert describe_entry(path).detail == "depth 2, epoch 2"


def test_absent_file_is_not_described(tmp_path):
    with pytest.raises(FileNotFoundError):
        describe_entry(tmp_path / "none.pth")


def test_descriptions_are_bounded(tmp_path, monkeypatch, reads):
    monkeypatch.setattr(library, "MAX_CACHED", 1)
    for name in ("a.pth", "b.pth", "a.pth"):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1e9, 1e9))
        describe_entry(tmp_path / name)
    assert [path.name for path in reads] == ["a.pth", "b.pth", "a.pth"]


def test_many_threads_may_ask(tmp_path):
    paths = [write_vqvae(tmp_path / f"{i}.pth") for i in range(3)]
    found = []
    threads = [threading.Thread(target=lambda: found.extend(map(describe_entry, paths))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [description.kind for description in found] == ["vqvae"] * 12


def test_fingerprint_tells_a_changed_file(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(b"x")
    before = fingerprint(path)
    assert fingerprint(path) == before
    os.utime(path, (1e9, 1e9))
    assert fingerprint(path) != before


@pytest.mark.parametrize("name", ["", "model.safetensors.index.json"], ids=["folder", "index"])
def test_fingerprint_covers_all_files_of_a_model(tmp_path, name):
    folder = write_sharded(tmp_path / "model")
    before = fingerprint(folder / name)
    os.utime(folder / "model-00002-of-00002.safetensors", (1e9, 1e9))
    assert fingerprint(folder / name) != before


def test_fingerprint_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        fingerprint(tmp_path / "none.pth")


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


def test_vqvae_deep_in_a_given_folder_is_found(var_alone, tmp_path):
    path = write_vqvae(tmp_path / "shelf" / "tokenizers" / "vae.pth")
    assert find_vqvae(var_alone, [tmp_path / "shelf"]).path == path


def test_folders_beside_the_file_are_not_searched(var_alone, tmp_path):
    write_vqvae(tmp_path / "own" / "other" / "vae.pth")
    assert find_vqvae(var_alone) is None


def test_vqvae_beside_a_linked_file_is_found(var_alone, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "var.pth").symlink_to(var_alone.path)
    linked = read_checkpoint(tmp_path / "links" / "var.pth")
    path = write_vqvae(tmp_path / "own" / "vae.pth")
    assert find_vqvae(linked).path == path
    path = write_vqvae(tmp_path / "links" / "vae.pth")  # beside the link comes first
    assert find_vqvae(linked).path == path


def test_vqvae_inside_the_folder_of_a_model_in_several_files_is_found(tmp_path):
    folder = write_sharded(tmp_path / "model")
    path = write_vqvae(folder / "vae.pth")
    assert find_vqvae(read_checkpoint(folder / "model.safetensors.index.json")).path == path


def test_only_a_vqvae_of_the_given_name(var_alone, tmp_path):
    write_vqvae(tmp_path / "own" / "other_vae.pth")
    assert find_vqvae(var_alone, name="vae.pth") is None
    path = write_vqvae(tmp_path / "own" / "vae.pth")
    assert find_vqvae(var_alone, name="vae.pth").path == path


def test_search_reads_a_folder_once(var_alone, tmp_path, reads):
    for i in range(3):
        write_vqvae(tmp_path / "own" / f"{i}.pth", vocab_size=32)
    find_vqvae(var_alone)
    assert len(reads) == 3
    find_vqvae(var_alone)
    assert len(reads) == 3


def test_usage_rows_do_not_matter():
    assert pair_problem(tiny_var_config(), tiny_vae_config(num_usage_rows=10)) is None


def test_problem_names_both_numbers():
    problem = pair_problem(tiny_var_config(), tiny_vae_config(vocab_size=32, z_channels=4))
    assert "vocabulary 64 and 32" in problem
    assert "latent channels 8 and 4" in problem


def test_local_path_is_itself(tmp_path):
    assert resolve(str(tmp_path / "a.pth")) == tmp_path / "a.pth"


@pytest.mark.parametrize("address", ["hf://", "hf://owner", "hf:///repo/file", "https://huggingface.co/owner"])
def test_incomplete_address_is_refused(address):
    with pytest.raises(CheckpointError, match="Expected owner/repo/path"):
        resolve(address)
