"""Picture files of unknown origin."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
from PIL import Image

from var.pictures import files
from var.pictures.files import LEAST_SIDE, MAX_WAITING, open_image
from var.pictures.pixels import upright


def test_a_picture_is_read_from_a_file(tmp_path):
    Image.new("L", (5, 4), 7).save(tmp_path / "a.webp", lossless=True)
    assert open_image(tmp_path / "a.webp").mode == "RGB" and open_image(tmp_path / "a.webp").size == (5, 4)


GREY = numpy.arange(256).reshape(16, 16)


@pytest.mark.parametrize(
    ("numbers", "format"),
    [
        (GREY.astype("uint16") * 257, "PNG"),
        (GREY.astype("uint16") * 16 + 15, "PNG"),  # 12 bits
        (GREY.astype("uint16"), "PNG"),  # 8 bits
        (GREY.astype("uint16") * 257, "TIFF"),
        (GREY.astype("int32") * 257, "TIFF"),
        ((GREY / 255).astype("float32"), "TIFF"),
        (GREY.astype("float32"), "TIFF"),
    ],
)
def test_more_than_eight_bits_keep_their_range(tmp_path, numbers, format):
    Image.fromarray(numbers).save(tmp_path / "a", format=format)
    assert numpy.array_equal(numpy.asarray(open_image(tmp_path / "a"))[..., 0], GREY)


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1000.0, 3000.0), (0.0, 1e6), (float("nan"), 1.0)],
)
def test_numbers_of_no_known_scale_are_told(tmp_path, low, high):
    Image.fromarray(numpy.array([[low, high]], dtype="float32")).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="^a.tif has floating-point numbers from .*; expected 0 to 65535, or 0 to 1"):
        open_image(tmp_path / "a.tif")


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path, monkeypatch):
    Image.new("P", (8000, 8000)).save(tmp_path / "a.png", transparency=0)  # 8 KB
    monkeypatch.setattr(files, "shrink", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ValueError, match="a.png has 8000×8000 pixels. At most 25 million are read"):
        open_image(tmp_path / "a.png")


def test_a_file_that_is_no_picture_is_told(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")  # Pillow would start another program for it
    with pytest.raises(ValueError, match="photo is no picture that can be read here"):
        open_image(tmp_path / "a.png", "photo")


def test_a_picture_cut_short_is_told(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:1000])
    with pytest.raises(ValueError, match="a.png is a damaged picture"):
        open_image(tmp_path / "a.png")


def gradient(mode, width, height):
    image = Image.linear_gradient("L").resize((width, height))
    if mode == "I;16":
        return Image.fromarray(numpy.asarray(image).astype("uint16") * 257)
    return image.convert("RGB").convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "I;16"])
def test_a_large_picture_is_made_smaller_as_it_would_be_as_a_whole(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(files, "LEAST_SIDE", 40)
    monkeypatch.setattr(files, "STRIP", 7)
    image = gradient(mode, 125, 203)
    image.save(tmp_path / "a.png", **({"transparency": 3} if mode == "P" else {}))
    with Image.open(tmp_path / "a.png") as image:
        expected = upright(image).reduce(3)
    assert numpy.array_equal(numpy.asarray(open_image(tmp_path / "a.png")), numpy.asarray(expected))
    assert expected.size == (42, 68)


def test_a_large_photo_is_turned_as_its_exif_says(tmp_path):
    image, exif = Image.new("RGB", (8 * LEAST_SIDE, 2 * LEAST_SIDE), "black"), Image.Exif()
    image.paste("white", (4 * LEAST_SIDE, 0, 8 * LEAST_SIDE, 2 * LEAST_SIDE))
    exif[files.ORIENTATION] = 6  # to be turned by 90 degrees clockwise
    image.save(tmp_path / "a.jpg", exif=exif)
    opened = open_image(tmp_path / "a.jpg")
    assert opened.size == (LEAST_SIDE, 4 * LEAST_SIDE)
    assert opened.getpixel((0, 0))[0] < 9 and opened.getpixel((0, 4 * LEAST_SIDE - 1))[0] > 246


def test_a_photo_is_decoded_smaller(tmp_path, monkeypatch):
    Image.new("RGB", (4100, 4100)).save(tmp_path / "a.jpg")
    sizes = []
    monkeypatch.setattr(files, "shrink", lambda image, name: sizes.append(image.size))
    open_image(tmp_path / "a.jpg")
    assert sizes == [(1025, 1025)]


@pytest.mark.parametrize("format", files.FORMATS)
def test_every_format_is_read(tmp_path, format):
    Image.new("RGB", (9, 5), "white").save(tmp_path / "a", format=format)
    assert open_image(tmp_path / "a").getpixel((0, 0)) == (255, 255, 255)


def test_pictures_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    together = threading.Barrier(2)

    def meet(*_):
        try:
            together.wait(0.2)
        except threading.BrokenBarrierError:
            together.reset()
            return "alone"
        return "together"

    monkeypatch.setattr(files, "shrink", meet)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(open_image, [tmp_path / "a.png"] * 2)) == ["alone"] * 2


def test_who_would_wait_behind_too_many_is_told(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    for _ in range(MAX_WAITING + 1):
        files._waiting.acquire()
    try:
        with pytest.raises(ValueError, match="Many others have pictures read at this moment. Try again"):
            open_image(tmp_path / "a.png")
    finally:
        files._waiting.release(MAX_WAITING + 1)
    open_image(tmp_path / "a.png")
