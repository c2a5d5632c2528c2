"""Uploads: where they lie, how much is kept, whose they are, and when they go."""

import os
import shutil

import pytest

from var.engine import uploads as uploads_module
from var.engine.uploads import LEAST_BYTES, UploadLimits, UploadRefusedError, Uploads

MB = 1_000_000
LIMITS = UploadLimits(each=10 * MB, visitor=15 * MB, total=20 * MB)


@pytest.fixture
def uploads(tmp_path):
    return Uploads(tmp_path / "uploads", LIMITS)


def upload(uploads, num_bytes=MB, visitor="1.2.3.4", name="a.pth"):
    with uploads.receive(visitor) as receiving:
        receiving.add(num_bytes)
        (receiving.folder / name).touch()
    return receiving.folder / name


def test_each_upload_has_a_folder_that_cannot_be_guessed(uploads):
    one, other = upload(uploads), upload(uploads)
    assert one.parent != other.parent and len(one.parent.name) == 32
    assert uploads.holds(one) and uploads.checkpoint(one) == one


def test_what_breaks_off_is_deleted_and_takes_no_room(uploads):
    for _ in range(5):
        with pytest.raises(ConnectionError), uploads.receive("1.2.3.4") as receiving:
            receiving.add(9 * MB)
            (receiving.folder / "part").touch()
            raise ConnectionError
    assert list(uploads.folder.iterdir()) == []
    upload(uploads, 9 * MB)


@pytest.mark.parametrize(
    ("kept", "visitor", "num_bytes", "message"),
    [
        ([], "me", 11 * MB, "takes uploads of up to 10 MB"),
        ([("me", 9 * MB)], "me", 7 * MB, "keeps 15 MB of a visitor's uploads, and yours take 9.0 MB"),
        ([("me", 9 * MB), ("you", 9 * MB)], "they", 3 * MB, "fill the 20 MB"),
    ],
)
def test_what_is_too_much_is_refused_before_it_comes_and_while_it_comes(uploads, kept, visitor, num_bytes, message):
    for whose, size in kept:
        upload(uploads, size, whose)
    with pytest.raises(UploadRefusedError, match=message), uploads.receive(visitor, expected=num_bytes):
        pytest.fail("it was to be refused before")
    with pytest.raises(UploadRefusedError, match=message.split(",")[0]), uploads.receive(visitor) as receiving:
        for _ in range(num_bytes // MB):
            receiving.add(MB)
    assert len(list(uploads.folder.iterdir())) == len(kept)


def test_empty_files_take_room_too(uploads):
    with pytest.raises(UploadRefusedError):
        for _ in range(LIMITS.visitor // LEAST_BYTES + 1):
            upload(uploads, 0)


def test_a_full_disk_is_told_and_keeps_nothing(uploads, monkeypatch):
    usage = shutil.disk_usage(os.sep)._replace(free=uploads_module.FREE_BYTES + MB)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UploadRefusedError, match="disk has no room"), uploads.receive("me", expected=2 * MB):
        pytest.fail("it was to be refused before")
    assert list(uploads.folder.iterdir()) == []


def test_old_uploads_go_and_give_their_room_back(uploads, monkeypatch):
    path = upload(uploads, 9 * MB)
    uploads.remove_old()
    assert uploads.holds(path)
    monkeypatch.setattr(uploads_module, "MAX_SECONDS", -1)
    uploads.remove_old()
    assert not path.exists() and list(uploads.folder.iterdir()) == []
    upload(uploads, 9 * MB)


def test_only_uploads_are_removed(uploads, tmp_path):
    path, other = upload(uploads), tmp_path / "image.png"
    other.touch()
    (path.parent / "link.png").symlink_to(other)
    for strange in (
        other,
        path.parent / "link.png",
        uploads.folder,
        path.parent,
        "\0",
        f"{path.parent}/../../image.png",
    ):
        uploads.remove(strange)
    assert other.exists() and path.exists()
    uploads.remove(path)
    assert not path.parent.exists()


def test_no_other_file_is_a_checkpoint_that_was_uploaded(uploads, tmp_path):
    (tmp_path / "image.pth").touch()
    for path in (tmp_path / "image.pth", uploads.folder / "x" / "a.pth", "https://example.com/a.pth"):
        with pytest.raises(FileNotFoundError, match="not among the uploads"):
            uploads.checkpoint(path)


def test_without_uploaded_checkpoints_pictures_come_all_the_same(tmp_path):
    uploads = Uploads(tmp_path, UploadLimits(checkpoints=False))
    path = upload(uploads)
    with pytest.raises(ValueError, match="takes no uploaded checkpoints"):
        uploads.checkpoint(path)
    with pytest.raises(UploadRefusedError, match="up to 64 MB"), uploads.receive("me", expected=65 * MB):
        pytest.fail("it was to be refused before")
