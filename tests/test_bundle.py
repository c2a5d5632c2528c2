"""Images as one zip file."""

import json
import re
from dataclasses import replace
from io import BytesIO
from zipfile import ZipFile

import pytest
from PIL import Image

from var.outputs.recipe import Recipe, from_png
from var.outputs.zip import LIST_NAME, SHEET_NAME, image_name, write_bundle
from var.sampling.options import SamplingOptions

RECIPE = Recipe(SamplingOptions([3], [7]), "dog, wild", "a.pth", "0123456789", 16, 4, "cpu", "float32")
NO_CLASS = replace(RECIPE, options=SamplingOptions([None], [8]), class_name="")


def images():
    yield Image.new("RGB", (16, 16), "red"), RECIPE
    yield Image.new("RGB", (16, 16), "blue"), NO_CLASS


@pytest.fixture(scope="module")
def content():
    file = BytesIO()
    assert write_bundle(file, images()) == 2
    return file.getvalue()


@pytest.fixture
def archive(content):
    with ZipFile(BytesIO(content)) as archive:
        yield archive


def test_files_of_a_bundle(archive):
    names = ["0000_class3_dog-wild_seed7.png", "0001_none_seed8.png", SHEET_NAME, LIST_NAME]
    assert archive.namelist() == names and archive.testzip() is None


def test_labels_name_files_and_stand_in_the_list():
    file = BytesIO()
    write_bundle(file, images(), ["Guidance 1.5 · Seed 7", "犬"])
    with ZipFile(file) as archive:
        assert archive.namelist()[:2] == ["0000_guidance-1.5-seed-7.png", "0001_犬.png"]
        listed = json.loads(archive.read(LIST_NAME))["images"]
    assert [image["label"] for image in listed] == ["Guidance 1.5 · Seed 7", "犬"]
    assert [Recipe.from_dict(image) for image in listed] == [RECIPE, NO_CLASS]


def test_each_image_knows_its_recipe(archive):
    image = Image.open(archive.open("0001_none_seed8.png"))
    assert from_png(image) == NO_CLASS
    assert image.getpixel((0, 0)) == (0, 0, 255)


def test_list_has_every_recipe(archive):
    listed = json.loads(archive.read(LIST_NAME))["images"]
    assert [image["file"] for image in listed] == archive.namelist()[:2]
    assert [Recipe.from_dict(image) for image in listed] == [RECIPE, NO_CLASS]


def test_sheet_is_an_image(archive):
    assert Image.open(archive.open(SHEET_NAME)).width > 2 * 192


def test_equal_input_equal_bytes(content):
    file = BytesIO()
    write_bundle(file, images())
    assert file.getvalue() == content


def test_file_need_not_be_seekable(content):
    class Pipe(BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError("no seek")

        tell = seek

    pipe = Pipe()
    write_bundle(pipe, images())
    assert ZipFile(BytesIO(pipe.getvalue())).testzip() is None


def test_images_are_left_alone():
    image = Image.new("RGB", (1000, 1000), "red")
    write_bundle(BytesIO(), [(image, RECIPE)])
    assert image.size == (1000, 1000)


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\a", "a" * 500, "..", "犬", "con:\x00", "St. Bernard"])
def test_names_are_safe(name):
    assert re.fullmatch(r"[a-z0-9犬_-]{1,82}\.png", image_name(0, replace(RECIPE, class_name=name)))


@pytest.mark.parametrize("label", ["../../etc/passwd", "a" * 500, "..", "犬", "Guidance 1.5 · Checkpoint a/../b.pth"])
def test_names_of_labels_are_safe(label):
    assert re.fullmatch(r"0003(_[a-z0-9犬][a-z0-9.-]{0,99})?\.png", image_name(3, RECIPE, label))


def test_no_images_is_told():
    with pytest.raises(ValueError, match="no images"):
        write_bundle(BytesIO(), [])
