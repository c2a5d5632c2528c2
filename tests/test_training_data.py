"""Finding and reading images to train on."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import IMAGE_SIZE, picture, write_class_folders, write_packed
from PIL import Image

from var.errors import DataError
from var.training.data import BorderedImages, ImageFiles, PackedImages, augment, center_crop, to_model_range
from var.training.image_folder import some
from var.training.loading import load_data


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
    assert "2 files are no images that can be read, and left out: apple 2 of 22 (broken.png, cut.png)." in data.notices


@pytest.mark.parametrize("name", ["a.ppm", "a.tga", "a.jp2", "a.ico", "a.avif", "a.unknown", "a"])
def test_any_format_that_pillow_reads_is_an_image(tmp_path, name):
    write_class_folders(tmp_path)
    format = Image.registered_extensions().get(Path(name).suffix, "PPM")
    Image.fromarray(picture(0, 0)).save(tmp_path / "apple" / name, format=format)
    data = load(tmp_path, val_fraction=0)
    assert torch.bincount(data.train.labels).tolist() == [21, 20]
    assert data.notices == []


def test_too_little_memory_is_no_broken_file(tmp_path, monkeypatch):
    def fail(*_args, **_options):
        raise MemoryError

    write_class_folders(tmp_path)
    monkeypatch.setattr("var.training.image_folder.to_pixels", fail)
    with pytest.raises(MemoryError):
        load(tmp_path)
    monkeypatch.setattr("numpy.load", fail)
    with pytest.raises(MemoryError):
        load(write_packed(tmp_path / "data.npz"))


def test_what_is_left_out_is_counted_by_folder(tmp_path):
    write_class_folders(tmp_path)
    for name in ("apple/list.csv", "apple/about.eps", "banana/a.heic", "plum/a.cr2", "plum/b.cr2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "apple" / ".DS_Store").write_bytes(b"hidden")
    (tmp_path / "apple" / ".cache").mkdir()
    (tmp_path / "apple" / ".cache" / "000.png").write_bytes((tmp_path / "apple" / "000.png").read_bytes())
    (tmp_path / "quince").mkdir()
    Image.fromarray(picture(0, 0)).save(tmp_path / "loose.png")
    data = load(tmp_path)
    assert data.class_names == ["apple", "banana"]
    assert len(data.train) + len(data.val) == 40
    assert data.notices == [
        f"1 images in {tmp_path} stand in no class folder and are left out.",
        "5 files are no images that can be read, and left out: apple 2 of 22 (about.eps, list.csv); "
        "banana 1 of 21 (a.heic); plum 2 of 2 (a.cr2, b.cr2).",
        "Folders without an image that can be read are no classes: plum, quince.",
    ]


def test_a_class_of_files_that_are_no_images_is_one_sentence(tmp_path):
    (tmp_path / "apple").mkdir()
    (tmp_path / "apple" / "a.heic").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 files, none of which can be read as an image, the first is .*a.heic"):
        load(tmp_path)


@pytest.mark.parametrize(("train", "val"), [("Train", "Val"), ("training", "VALIDATION"), ("train", "test")])
def test_splits_have_many_names(tmp_path, train, val):
    write_class_folders(tmp_path / train, count=10)
    write_class_folders(tmp_path / val, count=3)
    data = load(tmp_path)
    assert data.class_names == ["apple", "banana"]
    assert (len(data.train), len(data.val)) == (20, 6)
    assert data.notices == []


def test_held_out_images_in_no_class_folder_are_told(tmp_path):
    write_class_folders(tmp_path / "train", count=10)
    write_class_folders(tmp_path / "test", count=3)
    (tmp_path / "extra").mkdir()
    (tmp_path / "val").mkdir()
    for i in range(3):  # as ImageNet's own
        Image.fromarray(picture(i, 0)).save(tmp_path / "val" / f"ILSVRC2012_val_{i:08}.png")
    data = load(tmp_path)
    assert (len(data.train), len(data.val)) == (20, 6)
    assert any("val/ is not used: its 3 files are in no class folder." in notice for notice in data.notices)
    assert "Not used, beside train/ and test/: extra/." in data.notices


def test_without_usable_held_out_images_a_part_is_held_out(tmp_path):
    write_class_folders(tmp_path / "train", count=10)
    write_class_folders(tmp_path / "val", classes=("n01", "n02"), count=3)
    data = load(tmp_path, val_fraction=0.2)
    assert (len(data.train), len(data.val)) == (16, 4)
    assert data.notices == [
        "val/ is not used: its 6 files are in no class folder of train/. "
        "20% of each class of train/ is held out instead."
    ]


def test_splits_without_class_folders_are_no_classes(tmp_path):
    write_class_folders(tmp_path, classes=("Train", "Val"))
    with pytest.raises(DataError, match="no train/ with a folder for each class inside"):
        load(tmp_path)


def test_a_class_without_images_is_told(tmp_path):
    names = np.array(["apple", "pear", "plum"])
    split = np.repeat([0, 1, 0, 0], [15, 5, 15, 5]).astype(np.uint8)
    data = load(write_packed(tmp_path / "data.npz", class_names=names, split=split))
    assert data.notices == [
        "1 classes have no image to train on: plum.",
        "2 classes have no image held out: pear, plum.",
    ]


def write_grey(folder, name, scale, kind, **options):
    """Write one image of 256 levels, times a scale, into a class folder."""
    numbers = np.arange(256).reshape(16, 16) * scale
    Image.fromarray(numbers.astype(kind)).save(folder / name, **options)


@pytest.mark.parametrize("in_memory", [True, False])
def test_one_white_holds_for_all_images_of_more_than_eight_bits(tmp_path, monkeypatch, in_memory):
    if not in_memory:
        monkeypatch.setattr("var.training.image_folder.MAX_BYTES_IN_MEMORY", 0)
    write_class_folders(tmp_path)
    write_grey(tmp_path / "apple", "000.png", 16, "uint16")  # 12 bits
    write_grey(tmp_path / "apple", "001.png", 4, "uint16")  # dark, beside it
    write_grey(tmp_path / "apple", "002.tif", 1 / 255, "float32")
    write_grey(tmp_path / "apple", "003.tif", 257, "int32")
    data = load(tmp_path, val_fraction=0)
    found = data.train.images.batch(torch.tensor([0, 1, 3, 5]))[:, 0].flatten(1)
    assert found[0].tolist() == found[2].tolist() == found[3].tolist() == list(range(256))
    assert found[1].tolist() == [i // 4 for i in range(256)]
    assert "2 16-bit images reach 4080: 4095 is taken for white." in data.notices


def test_numbers_of_no_known_scale_are_one_sentence(tmp_path):
    write_class_folders(tmp_path)
    write_grey(tmp_path / "apple", "scan.tif", 1000, "int32")
    with pytest.raises(DataError, match="scan.tif has 32-bit numbers from 0 to 255000; expected 0 to 65535"):
        load(tmp_path)


def test_twelve_bits_in_sixteen_of_a_colour_are_refused(tmp_path):
    write_class_folders(tmp_path)
    write_sixteen_bit_colours(tmp_path / "apple" / "a.png", np.full((16, 16, 3), 4000))
    with pytest.raises(DataError, match="a.png has 16 bits a colour but uses only the lower ones"):
        load(tmp_path)
    write_sixteen_bit_colours(tmp_path / "apple" / "b.png", np.full((16, 16, 3), 65535))
    assert len(load(tmp_path, val_fraction=0).train) == 42


def write_sixteen_bit_colours(path, numbers):
    """Write a PNG of 16 bits a colour, which Pillow reads but does not write."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = numbers.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def test_a_file_that_broke_gives_way_to_a_neighbour_of_its_class(tmp_path):
    write_class_folders(tmp_path, count=2)
    paths = sorted(tmp_path.glob("*/*.png"))
    files = ImageFiles(paths, [0, 0, 1, 1], IMAGE_SIZE, workers=1, whites={})
    images = files.batch(torch.arange(4))
    paths[0].write_bytes(b"broken")
    paths[2].unlink()
    assert torch.equal(files.batch(torch.arange(4)), images[[1, 1, 3, 3]])
    paths[1].unlink()
    with pytest.raises(DataError, match="000.png and the files beside it can no longer be read"):
        files.batch(torch.tensor([0]))


def test_a_long_list_says_how_many_more():
    assert some("abc", most=3) == "a, b, c"
    assert some("abcd", most=2, separator="; ") == "a; b and 2 more"


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
    monkeypatch.setattr("var.training.image_folder.MAX_BYTES_IN_MEMORY", 0)
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


def test_a_border_mirrors_the_image_and_its_middle_is_the_image():
    pixels = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(2, 3, 4, 4)
    found = BorderedImages(PackedImages(pixels), 2).batch(torch.tensor([1]))
    assert found[0, 0, 2].tolist() == [2, 1, 0, 1, 2, 3, 2, 1]
    assert torch.equal(center_crop(found, 4), pixels[:1])


def test_center_crop_takes_the_middle():
    assert center_crop(torch.arange(4).expand(1, 3, 4, 4), 2)[0, 0].tolist() == [[1, 2], [1, 2]]


def test_model_range():
    assert to_model_range(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]
