"""The painted part of an image, as a browser sends it."""

import base64
from io import BytesIO

import numpy
import pytest
from PIL import Image

from var.ui.edit.paint import PNG_ADDRESS, kept_part, painter_value


def address(mask, kind="PNG"):
    buffer = BytesIO()
    mask.save(buffer, kind)
    return PNG_ADDRESS + base64.b64encode(buffer.getvalue()).decode("ascii")


def painted(box, opacity=255, side=128):
    image = Image.new("RGBA", (side, side))
    image.paste((0, 200, 100, opacity), box)
    return image


def test_what_is_painted_is_not_kept():
    keep = numpy.asarray(kept_part({"mask": address(painted((0, 0, 64, 128)))}))
    assert (keep[:, :64] == 0).all() and (keep[:, 64:] == 255).all()


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"mask": ""},
        {"mask": 7},
        {"mask": address(painted((0, 0, 0, 0)))},
        {"mask": address(painted((0, 0, 64, 64), opacity=90))},
    ],
    ids=["none", "nothing", "empty", "number", "clear", "faint"],
)
def test_nothing_painted_keeps_nothing_in_particular(value):
    assert kept_part(value) is None


@pytest.mark.parametrize(
    "mask",
    [
        "https://example.org/mask.png",
        PNG_ADDRESS + "?",
        PNG_ADDRESS + base64.b64encode(b"no picture").decode("ascii"),
        PNG_ADDRESS + "A" * 300_000,
        address(Image.new("RGB", (16, 16)), "JPEG"),
        address(painted((0, 0, 9, 9), side=2000)),
    ],
    ids=["address", "letters", "bytes", "long", "kind", "large"],
)
def test_what_no_painter_sends_is_refused(mask):
    with pytest.raises(ValueError, match="cannot be read"):
        kept_part({"mask": mask})


@pytest.mark.parametrize(("side", "kind"), [(64, "png"), (512, "jpeg"), (1024, "jpeg")])
def test_the_picture_travels_as_data(side, kind):
    value = painter_value(Image.new("RGB", (side, side), "red"))
    head, data = value["image"].split(",")
    assert head == f"data:image/{kind};base64" and value["mask"] == ""
    assert Image.open(BytesIO(base64.b64decode(data))).width == min(side, 768)
