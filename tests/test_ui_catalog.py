"""The names of checkpoints, and the files behind them."""

import os

import pytest

from var.ui.catalog import Catalog


@pytest.fixture
def folder(tmp_path):
    for age, name in enumerate(["new.pth", "old.safetensors", "fruits64.pth"]):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    return tmp_path


def test_lists_the_folder_newest_first(folder):
    assert Catalog(folder).names() == ["new.pth", "old.safetensors", "fruits64.pth"]


def test_lists_uploads_before_the_folder_last_first(folder):
    uploads = {"a.pth (uploaded)": "/tmp/a.pth", "b.pth (uploaded)": "/tmp/b.pth"}
    assert Catalog(folder).names(uploads)[:3] == ["b.pth (uploaded)", "a.pth (uploaded)", "new.pth"]


def test_the_model_in_the_box_is_the_default(folder):
    assert Catalog(folder).default() == "fruits64.pth"


def test_the_newest_is_the_default_without_the_model_in_the_box(folder):
    (folder / "fruits64.pth").unlink()
    assert Catalog(folder).default() == "new.pth"


def test_an_empty_folder_has_no_default(tmp_path):
    assert Catalog(tmp_path / "missing").default() is None


def test_no_name_stands_for_the_default(folder):
    assert Catalog(folder).resolve("") == folder / "fruits64.pth"


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
