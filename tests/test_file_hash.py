"""The short name of a checkpoint's content."""

import pytest

from var.checkpoints.hash import BLOCK, HASH_DIGITS, WHOLE_UP_TO, short_hash


def write(path, content):
    path.write_bytes(content)
    return path


def test_equal_content_equal_hash(tmp_path):
    assert short_hash(write(tmp_path / "a", b"weights")) == short_hash(write(tmp_path / "b", b"weights"))


def test_hash_is_short_and_hexadecimal(tmp_path):
    digits = short_hash(write(tmp_path / "a", b""))
    assert len(digits) == HASH_DIGITS and int(digits, 16) >= 0


@pytest.mark.parametrize("size", [BLOCK, WHOLE_UP_TO, 3 * WHOLE_UP_TO])
@pytest.mark.parametrize("place", [0, -1])
def test_either_end_counts(tmp_path, size, place):
    content = bytearray(size)
    before = short_hash(write(tmp_path / "a", content))
    content[place] = 1
    assert short_hash(write(tmp_path / "b", content)) != before


def test_size_counts(tmp_path):
    a, b = bytes(2 * WHOLE_UP_TO), bytes(2 * WHOLE_UP_TO + 1)
    assert short_hash(write(tmp_path / "a", a)) != short_hash(write(tmp_path / "b", b))


def test_huge_file_is_read_in_parts(tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: it takes no space, and would take hours to read
    assert short_hash(path)


def test_file_written_anew_has_a_new_hash(tmp_path):
    before = short_hash(write(tmp_path / "a", b"epoch 1"))
    assert short_hash(write(tmp_path / "a", b"epoch 10")) != before


def test_folder_is_its_files(tmp_path):
    parts = [write(tmp_path / name, name.encode()) for name in ("b", "a")]
    write(tmp_path / ".hidden", b"not of the weights")
    assert short_hash(tmp_path) == short_hash(*parts) == short_hash(*reversed(parts))


def test_no_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        short_hash(tmp_path / "gone")
