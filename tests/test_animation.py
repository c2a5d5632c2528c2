"""The scales of an image as a film."""

from io import BytesIO

import pytest
from PIL import Image

from var.pictures.animation import KINDS, LEAST_SIDE, MOST_SIDE, film_size, save_animation

COLOURS = ("red", "green", "blue")


def film(kind, side=64, colours=COLOURS):
    file = BytesIO()
    save_animation(file, [Image.new("RGB", (side, side), colour) for colour in colours], kind)
    return Image.open(BytesIO(file.getvalue()))


@pytest.mark.parametrize("kind", KINDS)
def test_film_has_each_scale_in_order(kind):
    opened = film(kind)
    assert opened.format == kind.upper() and opened.n_frames == 3
    for index, colour in enumerate(COLOURS):
        opened.seek(index)
        pixel, wanted = opened.convert("RGB").getpixel((5, 5)), Image.new("RGB", (1, 1), colour).getpixel((0, 0))
        assert max(abs(a - b) for a, b in zip(pixel, wanted, strict=True)) < 8  # WebP is not exact


@pytest.mark.parametrize("kind", KINDS)
def test_film_rests_on_the_last_scale(kind):
    opened, durations = film(kind), []
    for index in range(3):
        opened.seek(index)
        opened.load()
        durations.append(opened.info["duration"])
    assert durations == [400, 400, 2400]


@pytest.mark.parametrize("kind", KINDS)
def test_film_is_endless(kind):
    assert film(kind).info["loop"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_one_scale_is_a_film_too(kind):
    assert film(kind, colours=("red",)).size == (256, 256)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((64, 64), (256, 256)), ((100, 50), (300, 150)), ((256, 256), (256, 256)), ((1024, 512), (512, 256))],
)
def test_size_of_a_film(size, expected):
    assert film_size(size) == expected
    assert LEAST_SIDE <= max(film_size(size)) <= MOST_SIDE


def test_equal_input_equal_bytes():
    files = [BytesIO(), BytesIO()]
    for file in files:
        save_animation(file, [Image.new("RGB", (64, 64), colour) for colour in COLOURS])
    assert files[0].getvalue() == files[1].getvalue()


@pytest.mark.parametrize(("frames", "kind", "words"), [([], "gif", "at least one frame"), ([None], "mp4", "is one of")])
def test_what_makes_no_film_is_told(frames, kind, words):
    with pytest.raises(ValueError, match=words):
        save_animation(BytesIO(), frames, kind)
