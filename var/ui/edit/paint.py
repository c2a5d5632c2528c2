"""An image on which one paints, with a brush or by halves, the part that is to be made anew."""

import base64
import binascii
from io import BytesIO
from typing import Any

import gradio as gr
from PIL import Image, ImageOps

from ..static import read_script

MOST_SIDE = 768  # of the picture that the browser shows
QUALITY = 90  # of 100; of JPEG
PAINTED = 128  # from this opacity of 255 on
MOST_LETTERS = 200_000  # of the mask; one of 128×128 has a few thousand
PNG_ADDRESS = "data:image/png;base64,"
PARTS = {"left": "Left", "right": "Right", "top": "Top", "bottom": "Bottom", "middle": "Middle"}
ACTIONS = {"erase": "Erase", "invert": "Invert", "undo": "Undo", "clear": "Clear"}


def template() -> str:
    """Return the painter's HTML."""
    parts = "".join(f'<button type="button" data-part="{key}">{name}</button>' for key, name in PARTS.items())
    actions = "".join(f'<button type="button" data-action="{key}">{name}</button>' for key, name in ACTIONS.items())
    return f"""<div class="painter">
  <div class="stage">
    <img alt="The image to edit"><canvas></canvas><i class="ring" aria-hidden="true"></i>
    <p>Upload an image, or press Edit below one that was made here</p>
  </div>
  <div class="tools" role="group" aria-label="The part to generate again">
    <label>Brush <input type="range" min="3" max="40" value="14"></label>
    <span>{parts}</span>
    <span>{actions}</span>
  </div>
</div>"""


def create_painter() -> gr.HTML:
    """Lay out the painter, without an image."""
    return gr.HTML(
        painter_value(None),
        html_template=template(),
        js_on_load=read_script("painter"),
        apply_default_css=False,
        elem_id="painter",
    )


def painter_value(image: Image.Image | None) -> dict[str, str]:
    """Return the painter's value for another image, nothing painted; None for no image."""
    if image is None:
        return {"image": "", "mask": ""}
    shown, buffer = ImageOps.contain(image, (MOST_SIDE, MOST_SIDE)) if max(image.size) > MOST_SIDE else image, BytesIO()
    kind = "JPEG" if max(image.size) > MOST_SIDE // 2 else "PNG"
    shown.save(buffer, kind, quality=QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"image": f"data:image/{kind.lower()};base64,{data}", "mask": ""}


def kept_part(value: Any) -> Image.Image | None:
    """Return what is kept of the image: "L", 255 where nothing is painted, else 0; None where nothing is at all.

    Args:
        value: the painter's, which comes from a browser and may be anything.

    Raises:
        ValueError: it is none of the painter's.
    """
    address = value.get("mask") if isinstance(value, dict) else None
    painted = read_mask(address) if isinstance(address, str) and address else None
    if painted is None or painted.getextrema()[1] < PAINTED:
        return None
    return painted.point(lambda opacity: 0 if opacity >= PAINTED else 255)


def read_mask(address: str) -> Image.Image:
    """Return the opacity of a PNG in an address of data; raises ValueError for anything else."""
    try:
        if not address.startswith(PNG_ADDRESS) or len(address) > MOST_LETTERS:
            raise ValueError
        data = base64.b64decode(address.removeprefix(PNG_ADDRESS), validate=True)
        with Image.open(BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > MOST_SIDE:
                raise ValueError
            return image.convert("RGBA").getchannel("A")
    except (ValueError, OSError, SyntaxError, binascii.Error) as error:
        raise ValueError("The painted part cannot be read. Load the page again.") from error
