"""The wall of classes in a real browser, and the sheet of pictures that it shows."""

import httpx
import pytest
from browser import serve
from PIL import Image
from tiny import tiny_var_config, write_trainer_file

from var import VARPipeline
from var.checkpoints.box import default_folder
from var.checkpoints.hash import short_hash
from var.engine.class_pictures import ClassPictures
from var.outputs.class_sheet import read_class_sheet, sheet_path, write_class_sheet
from var.outputs.recipe import from_png

COLORS = ["red", "green", "blue", "black", "white"]


def write_sheet(checkpoint, colors):
    images = [Image.new("RGB", (16, 16), color) for color in colors]
    return write_class_sheet(checkpoint, short_hash(checkpoint), images)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "many.pth", var_config=tiny_var_config(num_classes=1000), optimizer=False)
    write_trainer_file(folder / "plain.pth", var_config=tiny_var_config(num_classes=7), optimizer=False)
    path = write_trainer_file(folder / "fruits96.pth", class_names=[c.title() for c in COLORS], optimizer=False)
    write_sheet(path, COLORS)
    return path


@pytest.fixture(scope="module")
def address(checkpoint, tmp_path_factory):
    with serve(checkpoint.parent, tmp_path_factory.mktemp("gradio")) as address:
        yield address


def tiles(visitor):
    return visitor.page.locator("#wall .tile")


def tile(visitor, name):
    return visitor.page.locator("#wall").get_by_role("button", name=name, exact=True)


def chosen(visitor):
    return [text.split(" · ")[0] for text in visitor.page.locator("#classes .token").all_inner_texts()]


def test_a_click_makes_that_class_at_once(visit):
    visitor = visit()
    assert tiles(visitor).all_inner_texts() == [color.title() for color in COLORS]
    picture = tile(visitor, "Blue").locator("i")
    assert picture.evaluate("tile => getComputedStyle(tile).backgroundSize") == "800% 100%"
    address = picture.evaluate("tile => getComputedStyle(tile).backgroundImage.slice(5, -2)")
    assert visitor.picture(address).size == (128, 16)
    tile(visitor, "Blue").click()
    visitor.wait_for("status", "2 images in")
    visitor.wait_for_finished()
    assert [from_png(image).class_name for image in visitor.images()] == ["Blue", "Blue"]
    assert chosen(visitor) == ["Blue"]


def test_the_page_has_an_icon_of_its_own(visit, address):
    icon = visit().page.request.get(f"{address.rstrip('/')}/favicon.ico")
    assert icon.headers["content-type"].startswith("image/svg") and b"<rect" in icon.body()


def test_several_are_collected(visit):
    visitor = visit()
    tile(visitor, "White").click(modifiers=["Shift"])
    visitor.page.locator("#wall").get_by_role("checkbox", name="Collect Red").click()
    assert chosen(visitor) == ["Green", "Blue", "Black", "White"]  # the first four were chosen, Red among them
    visitor.page.locator("#classes").get_by_role("button", name="Clear").click()
    assert visitor.page.locator("#wall [aria-checked=true]").count() == 0


def test_the_keyboard_goes_from_tile_to_tile(visit):
    visitor = visit()
    visitor.choose_classes("Black")
    tile(visitor, "Red").focus()
    for key in ("ArrowRight", "Space", "ArrowRight", "Space", "End", "Home"):
        visitor.page.keyboard.press(key)
    assert chosen(visitor) == ["Black", "Green", "Blue"]
    visitor.page.keyboard.press("Enter")
    visitor.wait_for("status", "2 images in")
    assert chosen(visitor) == ["Red"]


def test_a_thousand_classes_come_as_one_looks_for_them(visit):
    visitor = visit()
    visitor.choose_checkpoint("many.pth")
    visitor.wait_for("wall", "1000 classes")
    assert tiles(visitor).count() < 300
    visitor.page.get_by_label("Find a class on the wall").fill("terrier")
    tile(visitor, "Border terrier").wait_for()
    assert 15 < tiles(visitor).count() < 40


def test_pictures_of_other_checkpoints_come_while_one_looks(visit):
    visitor = visit()
    visitor.choose_checkpoint("many.pth")
    made = 'i[style*="data:image/webp"]'
    visitor.page.locator(f'#wall li[data-label="0"] {made}').wait_for()
    visitor.page.get_by_label("Find a class on the wall").fill("terrier")
    tile(visitor, "Border terrier").locator(made).wait_for()
    visitor.page.get_by_label("Find a class on the wall").fill("")
    assert visitor.page.locator(f"#wall {made}").count() > 1  # those that came stay
    assert visitor.page.locator(f'#wall li[data-label="95"] {made}').count() == 0  # nobody has seen it
    visitor.page.locator('#wall li[data-label="0"] .tile').click()
    visitor.wait_for("status", "2 images in")


def test_a_checkpoint_whose_pictures_do_not_come_shows_names(visit, monkeypatch):
    monkeypatch.setattr(ClassPictures, "has_given_up", lambda pictures, model_hash: True)
    visitor = visit()
    visitor.choose_checkpoint("plain.pth")
    visitor.wait_for("wall", "7 classes")
    visitor.page.locator("#wall .tile:not(:has(i))").first.wait_for()


@pytest.mark.parametrize("asked", [b"", b"[]", b'{"wall": "a", "labels": [0]}', b'{"wall": "a", "labels": [null]}'])
def test_pictures_of_nothing_are_not_there(address, asked):
    assert httpx.post(f"{address}class-pictures", content=asked).status_code == 404


def test_a_sheet_is_of_one_checkpoint(tmp_path, checkpoint):
    path = tmp_path / "a.pth"
    path.write_bytes(checkpoint.read_bytes())
    sheet = write_sheet(path, COLORS[:3])
    assert read_class_sheet(path, short_hash(path)) == sheet and sheet.count == 3
    assert read_class_sheet(path, "0123456789") is None
    sheet_path(path).write_bytes(sheet_path(path).read_bytes()[:60])
    assert read_class_sheet(path, short_hash(path)) is None
    sheet_path(path).unlink()
    assert read_class_sheet(path, short_hash(path)) is None


def test_the_model_in_the_box_has_its_pictures():
    [path] = default_folder().glob("*.pth")
    pipe = VARPipeline.from_checkpoint(path, device="cpu")
    sheet = read_class_sheet(path, pipe.checkpoint_hash)
    assert sheet is not None, "run python scripts/make_pictures.py"
    assert sheet.count == pipe.var.config.num_classes
