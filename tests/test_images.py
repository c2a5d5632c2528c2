"""Images and masks between tensors and PIL."""

import numpy
import pytest
import torch
from PIL import Image

from var.pictures.pixels import (
    check_images,
    contact_sheet,
    from_pil,
    paste_kept,
    read_image,
    read_mask,
    to_pil,
)


def split_image(width, height):
    """Left half black, right half white."""
    image = Image.new("RGB", (width, height), "black")
    image.paste("white", (width // 2, 0, width, height))
    return image


def test_tensor_to_pil_rounds():
    image = to_pil(torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1))[0]
    assert image.mode == "RGB" and image.getpixel((0, 0)) == (0, 128, 255)


def test_tensor_to_pil_leaves_its_input_alone():
    images = torch.full((1, 3, 2, 2), 0.3)
    to_pil(images)
    assert images.unique().tolist() == [pytest.approx(0.3)]


def test_pil_and_back():
    images = torch.randint(0, 256, (1, 3, 8, 8)) / 255
    torch.testing.assert_close((from_pil(to_pil(images)[0], 8) + 1) / 2, images)


def test_middle_square_of_a_wide_image():
    tensor = from_pil(split_image(32, 8), 8)
    assert tensor.shape == (1, 3, 8, 8)
    assert tensor[0, 0, 0].tolist() == [-1] * 4 + [1] * 4


def test_transparent_is_white():
    assert from_pil(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), 4).min() == 1


def test_image_is_turned_as_its_exif_says():
    image = split_image(8, 8)
    image.getexif()[0x0112] = 6  # to be turned by 90 degrees clockwise
    tensor = from_pil(image, 8)
    assert tensor[0, 0, 0, 0] == -1 and tensor[0, 0, 7, 0] == 1


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("a.png", "PIL image or a tensor"),
        (torch.zeros(1, 3, 8, 9), "of shape"),
        (torch.zeros(3, 8, 8), "of shape"),
        (torch.zeros(2, 3, 8, 8), "one image"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "float tensor"),
        (torch.full((1, 3, 8, 8), 255.0), "found values from 255"),
        (torch.full((1, 3, 8, 8), torch.nan), "found values"),
    ],
)
def test_what_is_no_image_is_told(image, words):
    with pytest.raises(ValueError, match=words):
        read_image(image, 8)


def test_batch_of_images_is_allowed():
    check_images(torch.zeros(2, 3, 8, 8), 8)


@pytest.mark.parametrize("kind", [bool, torch.uint8, torch.float32])
def test_mask_of_any_kind_of_number(kind):
    mask = torch.eye(4).to(torch.bool if kind is bool else kind)
    assert torch.equal(read_mask(mask, torch.zeros(1, 3, 64, 64), 4), torch.eye(4))


def test_place_is_kept_when_most_of_it_is():
    mask = torch.zeros(8, 8)
    mask[:, :3] = 1  # three of eight columns: all of the first place, half of the second
    assert read_mask(mask, torch.zeros(1, 3, 64, 64), 4)[0].tolist() == [1, 0, 0, 0]


def test_mask_is_cropped_as_its_image():
    keep = read_mask(split_image(32, 8), split_image(320, 80), 4)
    assert keep[0].tolist() == [0, 0, 1, 1]


def test_mask_of_a_tall_image():
    mask = torch.zeros(40, 10)
    mask[:20] = 1
    assert read_mask(mask, Image.new("RGB", (10, 40)), 2)[:, 0].tolist() == [1, 0]


@pytest.mark.parametrize("mask", [torch.zeros(1, 4, 4), torch.zeros(0, 4), [[0]]])
def test_what_is_no_mask_is_told(mask):
    with pytest.raises(ValueError, match="keep_mask must be"):
        read_mask(mask, torch.zeros(1, 3, 8, 8), 4)


def test_sheet_has_a_place_for_each_image():
    sheet = contact_sheet([Image.new("RGB", (10, 10), colour) for colour in ("red", "green", "blue")], columns=2, gap=2)
    assert sheet.size == (26, 26)
    assert sheet.getpixel((3, 3)) == (255, 0, 0)
    assert sheet.getpixel((3, 15)) == (0, 0, 255)
    assert sheet.getpixel((15, 15)) == (255, 255, 255)


@pytest.mark.parametrize("feather", [1, 4])
def test_kept_pixels_are_the_originals_from_a_feather_on(feather):
    original, made = torch.rand(1, 3, 16, 16) * 2 - 1, torch.rand(2, 3, 16, 16)
    keep = torch.ones(16, 16)
    keep[:, 10:] = 0
    pasted = paste_kept(made, original, keep, feather)
    wanted = ((original + 1) * 0.5).expand(2, -1, -1, -1)
    whole = 10 - feather // 2 * 2
    assert torch.equal(pasted[..., :whole], wanted[..., :whole])
    assert torch.equal(pasted[..., 10:], made[..., 10:])
    between = (pasted - made)[..., whole:10] / (wanted - made)[..., whole:10]  # share of the original
    shares = torch.arange(10 - whole, 0, -1) / (feather // 2 * 2 + 1)
    torch.testing.assert_close(between, shares.expand_as(between), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["bool", "uint8", "float32"])
def test_masks_may_be_arrays(kind):
    mask = numpy.zeros((4, 4), kind)
    mask[:2] = 1
    assert read_mask(mask, torch.zeros(1, 3, 8, 8), 2).tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize("mask", [numpy.ones((4, 4, 3)), numpy.array([["a"]]), "mask.png"])
def test_other_masks_are_refused_with_what_is_wanted(mask):
    with pytest.raises(ValueError, match=r"must be a PIL image, or a tensor or array \(h, w\), nonzero where to keep"):
        read_mask(mask, torch.zeros(1, 3, 8, 8), 2)
