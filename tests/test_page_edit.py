"""The tab Edit in a real browser: an image comes, a part is painted, and that part alone is made anew."""

import pytest
from browser import serve
from PIL import Image
from tiny import write_trainer_file

from var import VARPipeline
from var.outputs.recipe import from_png

NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    return write_trainer_file(folder / "fruits96.pth", class_names=NAMES, optimizer=False)


@pytest.fixture(scope="module")
def address(checkpoint, tmp_path_factory):
    with serve(checkpoint.parent, tmp_path_factory.mktemp("gradio")) as address:
        yield address


@pytest.fixture
def visitor(visit):
    """Someone with the tab open."""
    visitor = visit()
    visitor.page.get_by_role("tab", name="Edit").click()
    return visitor


def upload(visitor, path):
    visitor.page.locator("#edit-upload input[type=file]").set_input_files(path)


def upload_picture(visitor, folder):
    Image.linear_gradient("L").convert("RGB").save(folder / "picture.png")
    upload(visitor, folder / "picture.png")
    visitor.page.locator(".painter.loaded").wait_for()


def paint(visitor, name):
    visitor.page.locator("#painter").get_by_role("button", name=name, exact=True).click()


def make(visitor, ending=" images in "):
    visitor.page.locator("#edit-generate").click()
    visitor.wait_for("edit-status", ending)


def painted_share(visitor):
    """Share of the mask that the server would get, 0 to 1."""
    return visitor.page.evaluate(
        """() => {
            const canvas = document.querySelector(".painter canvas");
            const points = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return points.filter((value, index) => index % 4 === 3 && value > 127).length / (points.length / 4);
        }"""
    )


def test_an_image_made_here_is_sent_with_its_settings(visit):
    visitor = visit()
    visitor.choose_classes("Cat")
    visitor.generate()
    visitor.page.locator("#images .thumbnail-lg").first.click()
    visitor.page.locator("#edit").click()
    visitor.page.locator(".painter.loaded").wait_for()
    visitor.wait_for("classes", "Cat")
    paint(visitor, "Left")
    make(visitor)
    captions = visitor.page.locator("#edit-images .caption-label").all_inner_texts()
    assert [caption.split("\n")[0] for caption in captions] == ["Cat", "Cat"]


def test_the_painted_part_alone_is_made_anew(visitor, checkpoint, tmp_path):
    upload_picture(visitor, tmp_path)
    paint(visitor, "Bottom")
    visitor.choose_classes("Ant")
    make(visitor)
    visitor.page.wait_for_function(
        "[...document.querySelectorAll('#edit-images .thumbnail-lg img')].every(image => image.src.endsWith('.png'))"
    )
    addresses = [image.get_attribute("src") for image in visitor.page.locator("#edit-images .thumbnail-lg img").all()]
    keep = Image.new("L", (2, 2), 255)
    keep.paste(0, (0, 1, 2, 2))
    pipe = VARPipeline.from_checkpoint(checkpoint, device="cpu")
    expected = pipe.edit(Image.open(tmp_path / "picture.png"), keep, [0, 0], seed=[0, 1], paste=True).images
    assert [visitor.picture(address).tobytes() for address in addresses] == [image.tobytes() for image in expected]


def test_kept_scales_vary_the_whole_image(visitor, checkpoint, tmp_path):
    upload_picture(visitor, tmp_path)
    visitor.set("keep-scales", 2)
    visitor.choose_classes("Ant")
    visitor.set("num-images", 1)
    make(visitor, " image in ")
    image = visitor.page.locator("#edit-images img[src$='.png']").first
    image.wait_for()
    pipe = VARPipeline.from_checkpoint(checkpoint, device="cpu")
    picture = Image.open(tmp_path / "picture.png")
    expected = pipe.edit(picture, Image.new("L", (1, 1)), [0], seed=[0], keep_scales=2, paste=True).images[0]
    assert visitor.picture(image.get_attribute("src")).tobytes() == expected.tobytes()


def test_the_picture_is_painted_with_brush_eraser_and_buttons(visitor, tmp_path):
    upload_picture(visitor, tmp_path)
    box = visitor.page.locator(".painter canvas").bounding_box()
    middle = box["y"] + box["height"] / 2
    visitor.page.mouse.move(box["x"] + 0.2 * box["width"], middle)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + 0.8 * box["width"], middle, steps=10)
    visitor.page.mouse.up()
    assert 0.08 < painted_share(visitor) < 0.12  # 0.6 wide and 0.14 high, with round ends
    paint(visitor, "Undo")
    assert painted_share(visitor) == 0
    paint(visitor, "Middle")
    assert painted_share(visitor) == 0.25
    paint(visitor, "Invert")
    assert painted_share(visitor) == 0.75
    paint(visitor, "Undo")
    paint(visitor, "Undo")
    paint(visitor, "Left")
    assert painted_share(visitor) == 0.5
    paint(visitor, "Erase")
    visitor.page.mouse.move(box["x"] + 0.25 * box["width"], box["y"])
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + box["height"] - 1, steps=10)
    visitor.page.mouse.up()
    assert 0.33 < painted_share(visitor) < 0.39  # a half, less 0.14


def test_another_image_leaves_nothing_of_the_one_before(visitor, tmp_path):
    upload_picture(visitor, tmp_path)
    paint(visitor, "Left")
    paint(visitor, "Erase")
    make(visitor)
    visitor.page.locator("#edit-images img[src$='.png']").first.wait_for()
    Image.new("RGB", (64, 64), "navy").save(tmp_path / "other.png")
    upload(visitor, tmp_path / "other.png")
    visitor.page.locator("#edit-images .gallery-item").first.wait_for(state="detached")
    assert painted_share(visitor) == 0
    assert visitor.page.locator('[data-action="erase"]').get_attribute("aria-pressed") == "false"
    assert visitor.page.locator("#edit-bundle").is_disabled()


def test_an_edited_image_says_so_and_is_in_the_history(visit, tmp_path):
    visitor = visit(width=1440, height=900)
    visitor.page.get_by_role("tab", name="Edit").click()
    upload_picture(visitor, tmp_path)
    paint(visitor, "Left")
    make(visitor)
    source, images = (visitor.page.locator(part).bounding_box() for part in ("#edit-source", "#edit-images"))
    assert images["x"] >= source["x"] + source["width"] and images["y"] < 500
    visitor.page.locator("#edit-images .thumbnail-lg").first.click()
    with visitor.page.expect_download() as download:
        visitor.page.locator("#edit-download").click()
    download.value.save_as(tmp_path / "edited.png")
    assert from_png(tmp_path / "edited.png").edited
    visitor.page.locator("#restore input[type=file]").set_input_files(tmp_path / "edited.png")
    visitor.wait_for("settings-note", "edited from another image")
    visitor.page.get_by_role("tab", name="History").click()
    visitor.page.locator("#history .thumbnail-lg").first.click()
    visitor.wait_for("status", "Shown again")


def test_no_image_no_picture_and_nothing_painted_get_a_message(visitor, tmp_path):
    visitor.page.locator("#edit-generate").click()
    visitor.wait_for("edit-problem", "no image to edit")
    (tmp_path / "picture.png").write_bytes(b"not a picture")
    upload(visitor, tmp_path / "picture.png")
    visitor.wait_for("edit-problem", "picture.png is no picture")
    upload_picture(visitor, tmp_path)
    visitor.page.locator("#edit-generate").click()
    visitor.wait_for("edit-problem", "Nothing is painted")
