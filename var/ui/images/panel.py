"""A run as the tabs Images and Edit show it: its buttons, how far it is, the images, and what can be done with one."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr
from PIL import Image

from ...outputs.enlarged import FACTORS, METHOD
from ...outputs.recipe import Recipe, caption, name_of, readable, save_png
from ...outputs.zip import MAX_NAME_BYTES
from ...text import file_name_part
from ..history.kept_runs import KeptRun
from ..html import counted, status_line
from ..settings.kept import KeptRow
from ..static import read_script
from .scrubber import Film, create_scrubber, scrubber_value

PREVIEW_QUALITY = 85  # of 100; of JPEG
EMPTY_NAME = "empty.png"
PICK_HINT = "Click an image to see it large; arrow keys go on to the next."


@dataclass(frozen=True)
class ImagesPanel:
    """The panel's components.

    Args:
        prefix: of the ids of its elements: "" in the tab Images.
        shown: session state, the run whose images are shown; None where there is none.
        made: session state, the last two runs that made something, the newest first: another may be over before a slow
            network has asked for the one before to be taken into the history.
        picked: session state, which of them is looked at in large; None where none is.
        picked_text, reuse, vary, edit, scales, download: about that image.
        larger: buttons that download it enlarged, there where an image is looked at.
        bundle: makes a zip of all; saved: not shown, a file to download: the zip, or an enlarged image.
        recipe: how that image was made, in words.
        filmed: session state, the `Film` of the image whose scales are shown; None where none are.
        scrubber: shows the large image after each scale, and branches from there.
        strip: the scales of the image; animation: the same as a short film. They are shown once they are there.
        is_dark, is_narrow: not shown, how the page looks.
        of_link: not shown, whether the next run is what the page's address asks for.
    """

    prefix: str
    generate: gr.Button
    stop: gr.Button
    status: gr.HTML
    problem: gr.HTML
    gallery: gr.Gallery
    picked_text: gr.HTML
    reuse: gr.Button
    vary: gr.Button
    edit: gr.Button
    scales: gr.Button
    download: gr.DownloadButton
    larger: gr.HTML
    bundle: gr.Button
    saved: gr.File
    recipe: gr.HTML
    scrubber: gr.HTML
    strip: gr.Image
    animation: gr.Image
    shown: gr.State
    made: gr.State
    picked: gr.State
    filmed: gr.State
    is_dark: gr.Checkbox
    is_narrow: gr.Checkbox
    of_link: gr.Checkbox

    @property
    def of_picked(self) -> list[gr.blocks.Block]:
        """What `picked_updates` changes."""
        buttons = [self.reuse, self.vary, self.edit, self.scales, self.download, self.larger]
        return [self.picked, self.picked_text, *buttons, self.recipe, *self.of_film]

    @property
    def of_film(self) -> list[gr.blocks.Block]:
        """What `film_updates` changes."""
        return [self.filmed, self.scrubber, self.strip, self.animation]


def generate_label(num_images: int) -> str:
    """Return what the button says that makes so many images."""
    return f"Generate {counted(num_images)}" if num_images else "Generate"


def create_images_panel(
    status: str,
    num_images: int,
    prefix: str = "",
    wall: gr.HTML | None = None,
    copy_link: gr.Button | None = None,
    kept: KeptRow | None = None,
) -> ImagesPanel:
    """Lay out the panel.

    Args:
        status: what its line says at first.
        num_images: that the settings ask for at first.
        prefix: of the ids; the style sheets address both panels by the classes `of-…`.
        wall: of the classes, which stands in the images' place until there are some, then beside them.
        copy_link: the button that copies a link to these settings.
        kept: the line that says what new images keep.
    """

    def name(part: str) -> dict[str, Any]:
        return {"elem_id": f"{prefix}{part}", "elem_classes": f"of-{part}"}

    def small(label: str, part: str, kind: type[gr.Button] | type[gr.DownloadButton] = gr.Button) -> gr.Button:
        return kind(label, size="sm", interactive=False, **name(part))

    with gr.Row(**name("actions")):
        generate = gr.Button(generate_label(num_images), variant="primary", **name("generate"))
        stop = gr.Button("Stop", interactive=False, **name("stop"))
    if kept is not None:
        with gr.Row(elem_id="kept-row"):
            kept.text.render()
            kept.drop.render()
    with gr.Row(**name("status-row")):
        status_html = gr.HTML(status_line(status), **name("status"))
        if copy_link is not None:
            copy_link.render()
    problem = gr.HTML("", **name("problem"))
    with gr.Row(**name("stage")):
        with gr.Column(**name("made")):
            gallery = gr.Gallery(
                label="Images",
                show_label=False,
                format="png",
                columns=4,
                object_fit="contain",
                buttons=["fullscreen"],
                interactive=False,
                **name("images"),
            )
            scrubber = create_scrubber(prefix)
            with gr.Row(**name("picked")):
                picked_text = gr.HTML(picked_html(PICK_HINT), **name("picked-text"))
                reuse = small("Reuse settings", "reuse")
                vary = small("New seed", "vary")
                edit = small("Edit", "edit")
                scales = small("Scales", "scales")
                download = small("Download", "download", gr.DownloadButton)
                larger = gr.HTML("", js_on_load=read_script("buttons"), **name("larger"))
                bundle = small("All as zip", "bundle")
            recipe = gr.HTML("", **name("recipe"))
            with gr.Column(**name("film")), gr.Row(**name("film-row")):
                strip = film_image("The image after each scale", name("film-strip"))
                animation = film_image("The same as a short film", name("film-animation"))
        if wall is not None:
            wall.render()
    return ImagesPanel(
        prefix,
        generate,
        stop,
        status_html,
        problem,
        gallery,
        picked_text,
        reuse,
        vary,
        edit,
        scales,
        download,
        larger,
        bundle,
        gr.File(visible=False),
        recipe,
        scrubber,
        strip,
        animation,
        gr.State(None),
        gr.State(()),
        gr.State(None),
        gr.State(None),
        gr.Checkbox(visible=False),
        gr.Checkbox(visible=False),
        gr.Checkbox(visible=False),
    )


def film_image(label: str, name: dict[str, Any]) -> gr.Image:
    """Lay out one of the two pictures of an image's scales."""
    return gr.Image(
        label=label,
        show_label=False,
        type="filepath",
        interactive=False,
        buttons=["download", "fullscreen"],
        **name,
    )


def picked_updates(panel: ImagesPanel, run: KeptRun | None, index: int | None) -> dict:
    """Return the updates for the image that is looked at.

    Args:
        panel: the tab's.
        run: whose images are shown; None where nothing can be done with them.
        index: of the image; it is taken down even where there is no run, for the next one may have it.
    """
    there = run is not None and index is not None
    index = min(index, len(run.files) - 1) if there else index
    interactive = gr.update(interactive=there)
    return {
        panel.picked: index,
        panel.picked_text: picked_html(caption(run.recipes[index]).replace("\n", ", ") if there else PICK_HINT),
        panel.reuse: interactive,
        panel.vary: interactive,
        panel.edit: interactive,
        panel.scales: interactive,
        panel.download: gr.update(value=run.files[index] if there else None, interactive=there),
        panel.larger: larger_html(run.recipes[index].image_size) if there else "",
        panel.recipe: recipe_html(run.recipes[index]) if there else "",
        **film_updates(panel, None),
    }


def film_updates(
    panel: ImagesPanel, film: Film | None, strip: str | None = None, animation: str | None = None
) -> dict[gr.blocks.Block, Any]:
    """Return the updates for the scales of the image that is looked at, or for none.

    Args:
        panel: the tab's.
        film: the image after each scale.
        strip, animation: the files of both pictures of it.
    """
    return {panel.filmed: film, panel.scrubber: scrubber_value(film), panel.strip: strip, panel.animation: animation}


def shown_updates(panel: ImagesPanel, run: KeptRun) -> dict:
    """Return the updates that show the images of a run, but for which of them is looked at."""
    return {panel.gallery: run.shown, panel.shown: run, panel.bundle: gr.update(interactive=True)}


def replaced_updates(panel: ImagesPanel) -> dict:
    """Return the updates for images that give way to previews: nothing can be done with either."""
    updates = picked_updates(panel, None, None)
    del updates[panel.picked]  # which one is looked at stays
    return updates | {panel.shown: None, panel.bundle: gr.update(interactive=False)}


def picked_html(text: str) -> str:
    """Return the line beside the buttons for one image."""
    return status_line(text).replace('class="state"', 'class="picked"')


def larger_html(side: int) -> str:
    """Return the buttons that download an image enlarged; `side` is its own, in pixels."""
    buttons = (
        f'<button type="button" data-factor="{factor}" title="{side * factor}×{side * factor} pixels" '
        f'aria-label="Download {factor} times as large, by {METHOD}">×{factor}</button>'
        for factor in FACTORS
    )
    return f'<p class="larger">{"".join(buttons)} <span>by {METHOD}</span></p>'


def recipe_html(recipe: Recipe) -> str:
    """Return how an image was made, in words that can be copied."""
    words = readable(recipe)
    return (
        f'<p class="recipe"><span>{escape(words)}</span> '
        f'<button type="button" data-copy="{escape(words)}">Copy</button></p>'
    )


def file_stem(recipe: Recipe) -> str:
    """Return what an image's files are called."""
    return f"{file_name_part(name_of(recipe), MAX_NAME_BYTES) or 'class'}-seed-{recipe.seed}"


class Folder:
    """A run's files, among those that Gradio serves, and deletes when they are old.

    Args:
        cache: Gradio's folder of files.
    """

    def __init__(self, cache: str | Path) -> None:
        Path(cache).mkdir(parents=True, exist_ok=True)
        self._path = Path(mkdtemp(dir=cache))

    def write_image(self, image: Image.Image, recipe: Recipe) -> str:
        """Write a finished image as a PNG file that says in its name and inside how it was made."""
        path = self._path / f"{file_stem(recipe)}.png"
        save_png(path, image, recipe)
        return str(path)

    def write_preview(self, image: Image.Image, recipe: Recipe, scale_index: int) -> str:
        """Write an image in progress; the name says that it is one."""
        path = self._path / f"{file_stem(recipe)}-scale-{scale_index + 1}.jpg"
        image.save(path, quality=PREVIEW_QUALITY)
        return str(path)

    def write_empty(self, side: int) -> str:
        """Write the place of an image that is not begun."""
        path = self._path / EMPTY_NAME
        if not path.exists():
            Image.new("LA", (side, side)).save(path)
        return str(path)

    def path(self, name: str) -> str:
        """Return where to write another file."""
        return str(self._path / name)
