"""The names of checkpoints, and the files behind them."""

import os

import pytest
import torch
from tiny import tiny_states, write_trainer_file

from var.engine.catalog import Catalog


@pytest.fixture
def folder(tmp_path):
    for age, name in enumerate(["new.pth", "old.safetensors", "fruits96.pth"]):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    return tmp_path


def test_lists_the_folder_newest_first(folder):
    assert Catalog(folder).names() == ["new.pth", "old.safetensors", "fruits96.pth"]


def test_lists_uploads_before_the_folder_last_first(folder):
    uploads = {"a.pth (uploaded)": "/tmp/a.pth", "b.pth (uploaded)": "/tmp/b.pth"}
    assert Catalog(folder).names(uploads)[:3] == ["b.pth (uploaded)", "a.pth (uploaded)", "new.pth"]


def test_the_model_in_the_box_is_the_default(folder):
    assert Catalog(folder).default() == "fruits96.pth"


def test_the_newest_is_the_default_without_the_model_in_the_box(folder):
    (folder / "fruits96.pth").unlink()
    assert Catalog(folder).default() == "new.pth"


def test_an_empty_folder_has_no_default(tmp_path):
    assert Catalog(tmp_path / "missing").default() is None


def test_no_name_stands_for_the_default(folder):
    assert Catalog(folder).resolve("") == folder / "fruits96.pth"


def test_an_upload_is_found_by_its_name(folder, tmp_path):
    path = tmp_path / "upload" / "a.pth"
    assert Catalog(folder).resolve("a.pth (uploaded)", {"a.pth (uploaded)": str(path)}) == path


@pytest.mark.parametrize("name", ["missing.pth", "../secret.pth", "/etc/passwd"])
def test_no_other_file_can_be_named(folder, name):
    (folder.parent / "secret.pth").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="Choose one from the list"):
        Catalog(folder).resolve(name)


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="Upload one"):
        Catalog(tmp_path).resolve(None)


def test_what_files_are_is_told_once_it_is_known(tmp_path):
    write_trainer_file(tmp_path / "a.pth", epoch=9, optimizer=False)
    catalog = Catalog(tmp_path)
    assert catalog.choices() == [("a.pth", "a.pth")]
    assert list(catalog.look()) == ["a.pth"]
    assert catalog.choices() == [("a.pth · depth 2, epoch 9", "a.pth")]


def test_a_vqvae_alone_comes_last(tmp_path):
    write_trainer_file(tmp_path / "a.pth", optimizer=False)
    torch.save(tiny_states()[1], tmp_path / "vae.pth")
    os.utime(tmp_path / "a.pth", (1000, 1000))
    catalog = Catalog(tmp_path)
    list(catalog.look())
    assert [name for _, name in catalog.choices()] == ["a.pth", "vae.pth"]


def test_the_default_is_a_transformer(tmp_path):
    write_trainer_file(tmp_path / "a.pth", optimizer=False)
    os.utime(tmp_path / "a.pth", (1000, 1000))
    torch.save(tiny_states()[1], tmp_path / "vae.pth")
    assert Catalog(tmp_path).default() == "a.pth"


def test_files_of_subfolders_have_their_path_as_name(tmp_path):
    (tmp_path / "local_output").mkdir()
    path = write_trainer_file(tmp_path / "local_output" / "ar-ckpt-last.pth", optimizer=False)
    assert Catalog(tmp_path).resolve("local_output/ar-ckpt-last.pth") == path
