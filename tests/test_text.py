"""Text for people: numbers, and messages without the places of files."""

import os

import pytest

from var.text import encodable, format_operations, hide_folders, hide_paths


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[Errno 13] Permission denied: '/data/x/a.pth'", "[Errno 13] Permission denied: 'a.pth'"),
        ("the disk of /home/me/.cache/hub has 3 GB", "the disk of hub has 3 GB"),
        ("in /data/models.", "in models."),
        (r"C:\Users\me\a.pth: damaged", "a.pth: damaged"),
        ("hf://owner/repo/a.pth, https://a.example/b/c, a/b, 1/2, /edit", None),
    ],
)
def test_of_a_path_its_last_part_is_shown(text, shown):
    assert hide_paths(text) == (shown or text)


@pytest.mark.parametrize("name", ["plain", 'has "quotes"', "a b, c: d", "Prüfung", os.fsdecode(b"caf\xe9")])
def test_a_file_is_called_by_its_name_and_folders_by_theirs(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    message = f"{folder}/a.pth and {encodable(str(folder))}/sub/vae.pth in {folder}."
    shown = hide_folders(message, tmp_path / "link" / "a.pth", "mine")
    assert shown == f"mine and {name}/sub/vae.pth in {name}."


@pytest.mark.parametrize(
    ("number", "words"),
    [(3, "0.0 million"), (12_345_678, "12 million"), (999_600_000_000, "1,000 billion"), (1.04e12, "1.0 trillion")],
)
def test_operations_are_said_in_words(number, words):
    assert format_operations(number) == words
