"""Make README's pictures of the page, from the page itself: `python scripts/make_screenshots.py`.

It serves the page with the model in the box and takes, with a headless Chromium, into `docs/`: `page.webp`, what one
sees first; `growing.webp`, a film: a class is clicked, and its image is looked at scale by scale; `compare.webp`, a
comparison in the dark. What the tests need must be installed (tests/requirements.txt, Chromium). It is worth repeating
when the page or the model changes; the seed is fixed, so that the images stay.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from app_process import serving_app
from browser import chromium

FOLDER = Path(__file__).resolve().parents[1] / "docs"
WINDOW = {"width": 1440, "height": 900}
WIDTH = 1200  # of what is written
QUALITY, FILM_QUALITY = 80, 60
SEED = 12
SHOWN_CLASS = "Lychee"
COMPARED = "Lychee, Strawberry, Walnut, Pepper Red"
PATIENCE = 300_000  # milliseconds


def picture(page) -> Image.Image:
    """Return what the window shows, in the size in which it is written."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return image.resize((WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.LANCZOS)


def take_page(page) -> list[Path]:
    """Take what one sees first."""
    path = FOLDER / "page.webp"
    picture(page).save(path, quality=QUALITY, method=6)
    return [path]


def take_growing(page) -> list[Path]:
    """Take a film: the wall, a class of it clicked, the image large, and after each of its scales."""
    frames, milliseconds = [picture(page)], [1200]

    def take(duration: int) -> None:
        frames.append(picture(page))
        milliseconds.append(duration)

    page.locator("#wall .tile", has_text=SHOWN_CLASS).hover()
    take(700)
    page.locator("#wall .tile", has_text=SHOWN_CLASS).click()
    page.locator("#status", has_text="images in").wait_for()
    page.mouse.move(0, 0)
    page.wait_for_timeout(1500)
    take(1200)
    page.locator("#images .thumbnail-lg").first.click()
    page.locator("#scales").click()
    page.locator("#scrubber .loaded").wait_for()
    slider = page.locator("#scrubber input")
    slider.scroll_into_view_if_needed()
    for scale in range(1, int(slider.get_attribute("max")) + 1):
        slider.fill(str(scale))
        page.wait_for_timeout(400)
        take(650)
    milliseconds[-1] = 2500
    path = FOLDER / "growing.webp"
    first, *others = frames
    animation = {"save_all": True, "append_images": others, "duration": milliseconds, "loop": 0}
    first.save(path, quality=FILM_QUALITY, method=6, minimize_size=True, **animation)
    return [path]


def take_comparison(page) -> list[Path]:
    """Take a finished comparison."""
    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare-columns-values").locator("input, textarea").fill("0, 0.75, 1.5, 4, 8")
    page.locator("#compare-rows-kind input").click()
    page.get_by_role("option", name="Class", exact=True).click()
    page.locator("#compare-rows-values").locator("input, textarea").fill(COMPARED)
    page.wait_for_timeout(1000)
    page.locator("#compare-run").click()
    page.locator("#compare-status", has_text="images in").wait_for()
    page.locator("#compare-run:enabled").wait_for()
    page.locator("#compare-grid").scroll_into_view_if_needed()
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)
    path = FOLDER / "compare.webp"
    picture(page).save(path, quality=QUALITY, method=6)
    return [path]


def main() -> int:
    """Make them; returns the exit code."""
    FOLDER.mkdir(exist_ok=True)
    takes: list[tuple[Callable, str]] = [(take_page, "light"), (take_growing, "light"), (take_comparison, "dark")]
    with TemporaryDirectory() as cache, chromium() as browser, serving_app("--cache", cache) as address:
        for take, scheme in takes:
            page = browser.new_context(viewport=WINDOW, color_scheme=scheme).new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(f"{address}/?seed={SEED}&images=8" + ("&__theme=dark" if scheme == "dark" else ""))
            page.locator("#settings-note", has_text="Settings restored").wait_for()
            page.wait_for_timeout(2000)  # until all pictures of the wall are there
            for path in take(page):
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
            page.context.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
