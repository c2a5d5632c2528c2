"""Make the pictures that show what the model in the box can do: `python scripts/make_pictures.py`.

Beside the checkpoint comes the sheet of its classes, one sample of each, which the page opens with; into
`var/ui/static/` the film of one image after each of its scales, which the page shows where there is no checkpoint, and
the picture that a link to the page shows elsewhere. All are made again from the same seeds.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[1]))

from var import CheckpointError, VARPipeline
from var.checkpoints.box import default_folder
from var.outputs.class_sheet import write_class_sheet
from var.pictures.typesetting import LINE_HEIGHT, Typesetter
from var.sampling.presets import PRESETS
from var.ui.link_preview import HEIGHT, PICTURE, TITLE, WIDTH
from var.ui.static import FOLDER

IMAGES_AT_ONCE = 16
FILM_SIDE, FILM_GAP, FILM_QUALITY = 304, 16, 90
PREVIEW_COLUMNS, PREVIEW_HEAD, PREVIEW_GAP, PREVIEW_QUALITY = 10, 150, 16, 85
LEAST_SIDE = 48  # of the first scales in the film


def samples(pipe: VARPipeline, seed: int) -> list[Image.Image]:
    """Make an image of each class, all of one seed, as the page makes them at first."""
    settings = PRESETS[0].settings(pipe.var.config.vocab_size) | pipe.own_settings
    images: list[Image.Image] = []
    labels = range(pipe.var.config.num_classes)
    for first in range(0, len(labels), IMAGES_AT_ONCE):
        some = list(labels[first : first + IMAGES_AT_ONCE])
        images += pipe(some, seed=[seed] * len(some), **settings).images
    return images


def film(pipe: VARPipeline, label: int, seed: int) -> Image.Image:
    """Return an image after each of its scales, side by side, each as large as its token map is in proportion."""
    settings = PRESETS[0].settings(pipe.var.config.vocab_size) | pipe.own_settings
    steps = [images[0] for images in pipe.stream_film(pipe([label], seed=[seed], **settings))]
    patch_nums = pipe.var.config.patch_nums
    sides = [max(LEAST_SIDE, round(FILM_SIDE * number / patch_nums[-1])) for number in patch_nums]
    strip = Image.new("RGBA", (sum(sides) + FILM_GAP * (len(sides) - 1), FILM_SIDE))
    left = 0
    for image, side in zip(steps, sides, strict=True):
        strip.paste(image.resize((side, side), Image.Resampling.LANCZOS), (left, FILM_SIDE - side))
        left += side + FILM_GAP
    return strip


def link_preview(images: Sequence[Image.Image]) -> Image.Image:
    """Return the picture of a link: rows of samples, as many as there is room for, below what the page is."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    cell = WIDTH // PREVIEW_COLUMNS
    side = cell - PREVIEW_GAP
    for index, image in enumerate(images[: (HEIGHT - PREVIEW_HEAD) // cell * PREVIEW_COLUMNS]):
        row, column = divmod(index, PREVIEW_COLUMNS)
        place = (column * cell + PREVIEW_GAP // 2, PREVIEW_HEAD + row * cell)
        picture.paste(image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS), place)
    draw = ImageDraw.Draw(picture)
    top = (PREVIEW_HEAD - 64 * LINE_HEIGHT) / 2
    Typesetter(64, [TITLE]).draw(draw, WIDTH / 2, top, TITLE, "#1c1b19", "m")
    return picture


def main() -> int:
    """Make them; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, nargs="?", help="the model in the box when left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--film-class", type=int, default=0, help="class of the film (default: 0)")
    parser.add_argument("--film-seed", type=int, default=102)
    asked = parser.parse_args()
    in_the_box = asked.checkpoint is None
    checkpoint = asked.checkpoint or next(iter(sorted(default_folder().glob("*.pth"))), None)
    if checkpoint is None:
        parser.error(f"no .pth file in {default_folder()}")
    try:
        pipe = VARPipeline.from_checkpoint(checkpoint)
    except (CheckpointError, OSError) as error:
        parser.error(str(error))
    images = samples(pipe, asked.seed)
    made = [write_class_sheet(checkpoint, pipe.checkpoint_hash, images).path]
    if in_the_box:
        made += [FOLDER / "growing.webp", FOLDER / PICTURE]
        film(pipe, asked.film_class, asked.film_seed).save(made[1], quality=FILM_QUALITY, method=6)
        link_preview(images).save(made[2], quality=PREVIEW_QUALITY, optimize=True)
    for path in made:
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
