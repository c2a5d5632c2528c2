"""Finding and reading images to train on."""

import numpy as np
import pytest
import torch
from pictures import IMAGE_SIZE, picture, write_class_folders, write_packed
from PIL import Image

from var.errors import DataError
from var.training.data import augment, center_crop, load_data, to_model_range


def quiet(items, *_args, **_kwargs):
    return items


def load(path, size=IMAGE_SIZE, stored=None, val_fraction=0.1):
    return load_data(path, size, stored or size, val_fraction, workers=2, progress=quiet)


def test_class_folders_become_sorted_classes(tmp_path):
    data = load(write_class_folders(tmp_path, classes=("pear", "apple")))
    assert data.class_names == ["apple", "pear"]
    assert torch.bincount(data.train.labels).tolist() == [18, 18]
    assert torch.bincount(data.val.labels).tolist() == [2, 2]


def test_pixels_are_those_of_the_file(tmp_path):
    data = load(write_class_folders(tmp_path))
    expected = torch.from_numpy(picture(3, 0)).permute(2, 0, 1)
    assert torch.equal(data.train.images.batch(torch.tensor([3]))[0], expected)


def test_train_and_val_folders_are_kept_apart(tmp_path):
    write_class_folders(tmp_path / "train", count=10)
    write_class_folders(tmp_path / "val", classes=("apple", "banana", "stranger"), count=3)
    data = load(tmp_path)
    assert (len(data.train), len(data.val)) == (20, 6)
    assert any("stranger" in notice for notice in data.notices)


def test_packed_images_with_names_and_split(tmp_path):
    split = np.tile(np.arange(20) >= 15, 2).astype(np.uint8)
    data = load(write_packed(tmp_path / "data.npz", class_names=np.array(["apple", "pear"]), split=split))
    assert data.class_names == ["apple", "pear"]
    assert (len(data.train), len(data.val)) == (30, 10)


def test_packed_images_of_another_size_are_resized(tmp_path):
    data = load(write_packed(tmp_path / "data.npz", size=24))
    assert data.train.images.batch(torch.tensor([0])).shape == (1, 3, IMAGE_SIZE, IMAGE_SIZE)
    assert any("resized" in notice for notice in data.notices)


def test_broken_files_are_skipped_and_counted(tmp_path):
    write_class_folders(tmp_path)
    (tmp_path / "apple" / "broken.png").write_bytes(b"not an image")
    whole = (tmp_path / "apple" / "000.png").read_bytes()
    (tmp_path / "apple" / "cut.png").write_bytes(whole[: len(whole) // 2])
    data = load(tmp_path)
    assert len(data.train) + len(data.val) == 40
    assert any(notice.startswith("2 files cannot be read") for notice in data.notices)


def test_tiny_images_are_counted(tmp_path):
    write_class_folders(tmp_path)
    Image.fromarray(picture(0, 0, size=4)).save(tmp_path / "apple" / "tiny.png")
    data = load(tmp_path)
    assert any(notice.startswith("1 images are smaller than 16 px") for notice in data.notices)


def test_one_class_is_a_notice(tmp_path):
    data = load(write_class_folders(tmp_path, classes=("apple",)))
    assert any("One class only" in notice for notice in data.notices)


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_images_is_one_sentence(tmp_path, count):
    write_class_folders(tmp_path, count=count)
    with pytest.raises(DataError, match="no images|at least 8"):
        load(tmp_path)


def test_images_outside_of_class_folders_are_named(tmp_path):
    Image.fromarray(picture(0, 0)).save(tmp_path / "loose.png")
    with pytest.raises(DataError, match="1 images that stand in no class folder"):
        load(tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not there"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_damaged_npz_is_one_sentence(tmp_path, content):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"data\.npz"):
        load(path)


def test_npz_with_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.array([{"a": 1}], dtype=object), labels=np.zeros(1, dtype=np.int64))
    with pytest.raises(DataError):
        load(tmp_path / "data.npz")


def test_a_split_in_words_is_refused(tmp_path):
    path = write_packed(tmp_path / "data.npz", split=np.array(["train"] * 40))
    with pytest.raises(DataError, match="split <U5"):
        load(path)


def test_a_class_may_be_called_train(tmp_path):
    data = load(write_class_folders(tmp_path, classes=("car", "train")))
    assert data.class_names == ["car", "train"]


def test_held_out_folders_alone_are_no_classes(tmp_path):
    write_class_folders(tmp_path / "val")
    with pytest.raises(DataError, match="no train/"):
        load(tmp_path)


def test_transparent_parts_become_white(tmp_path):
    write_class_folders(tmp_path)
    Image.new("RGBA", (16, 16), (0, 0, 0, 0)).save(tmp_path / "apple" / "000.png")
    assert load(tmp_path).train.images.batch(torch.tensor([0])).min() == 255


def test_sixteen_bits_keep_their_range(tmp_path):
    write_class_folders(tmp_path)
    grey = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "apple" / "000.png")
    pixels = load(tmp_path).train.images.batch(torch.tensor([0]))[0, 0].flatten()
    assert pixels.tolist() == list(range(256))


def test_npz_of_other_arrays_says_what_it_has(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros(3), labels=np.zeros(3, dtype=np.int64))
    with pytest.raises(DataError, match=r"\['labels'\]; expected `images`"):
        load(tmp_path / "data.npz")


def test_files_too_many_for_memory_are_read_when_asked_for(tmp_path, monkeypatch):
    write_class_folders(tmp_path)
    (tmp_path / "apple" / "broken.png").write_bytes(b"not an image")
    in_memory = load(tmp_path)
    monkeypatch.setattr("var.training.data.MOST_BYTES_IN_MEMORY", 0)
    from_files = load(tmp_path)
    indices = torch.tensor([0, 5, 20])
    assert torch.equal(from_files.train.images.batch(indices), in_memory.train.images.batch(indices))
    assert torch.equal(from_files.train.labels, in_memory.train.labels)


def test_augment_crops_and_mirrors():
    pixels = torch.arange(2 * 3 * 8 * 8, dtype=torch.int32).to(torch.uint8).view(2, 3, 8, 8)
    generator = torch.Generator().manual_seed(0)
    shapes = {augment(pixels, 6, True, generator).shape for _ in range(3)}
    assert shapes == {(2, 3, 6, 6)}
    mirrored = {torch.equal(augment(pixels, 8, True, generator)[0], pixels[0].flip(2)) for _ in range(20)}
    assert mirrored == {True, False}


def test_center_crop_takes_the_middle():
    assert center_crop(torch.arange(4).expand(1, 3, 4, 4), 2)[0, 0].tolist() == [[1, 2], [1, 2]]


def test_model_range():
    assert to_model_range(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]
