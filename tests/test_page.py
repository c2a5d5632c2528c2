"""The page, in a real browser, on tiny random models."""

import re

import numpy
import pytest
from browser import Visitor, chromium, serve
from tiny import tiny_var_config, write_trainer_file

NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]
MANY_SCALES = tuple(range(1, 13))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    long = tiny_var_config(patch_nums=MANY_SCALES, vocab_size=64)
    write_trainer_file(folder / "long.pth", class_names=NAMES, var_config=long, optimizer=False)
    write_trainer_file(folder / "fruits64.pth", class_names=NAMES, optimizer=False)
    return folder


@pytest.fixture(scope="module")
def address(checkpoints, tmp_path_factory):
    with serve(checkpoints, tmp_path_factory.mktemp("gradio")) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser, address):
    contexts = []

    def open_page(width=1280, height=900, scheme="light"):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme))
        return Visitor(contexts[-1].new_page(), address)

    yield open_page
    for context in contexts:
        context.close()


def largest_difference(first, second):
    return numpy.abs(numpy.asarray(first, dtype=int) - numpy.asarray(second, dtype=int)).max()


def test_opens_with_the_model_in_the_box(visit):
    visitor = visit()
    assert visitor.page.locator("#checkpoint input").input_value() == "fruits64.pth"
    assert "trainer checkpoint, depth 2" in visitor.text("found") and "epoch 3" in visitor.text("found")


def test_says_device_and_precision(visit):
    assert "CPU, float32" in visit().text("found")


def test_generate_makes_images_of_the_chosen_classes(visit):
    visitor = visit()
    visitor.choose_classes("Bee", "Eel")
    visitor.set("num-images", 2)
    visitor.set("seed", 40)
    visitor.generate()
    assert visitor.captions() == ["Bee, seed 40", "Bee, seed 41", "Eel, seed 42", "Eel, seed 43"]
    assert visitor.text("status").startswith("4 images in ") and "seeds 40 to 43" in visitor.text("status")


def test_classes_are_found_by_number(visit):
    visitor = visit()
    visitor.choose_classes("3")
    assert "Dog · 3" in visitor.text("classes")


def test_images_are_png_files(visit):
    visitor = visit()
    visitor.generate()
    assert {(image.format, image.size) for image in visitor.images()} == {("PNG", (16, 16))}


def test_a_png_is_named_and_says_how_it_was_made(visit):
    visitor = visit()
    visitor.choose_classes("Cat")
    visitor.set("num-images", 1)
    visitor.set("seed", 7)
    visitor.generate()
    assert visitor.image_addresses()[0].endswith("/cat-seed-7.png")
    assert visitor.images()[0].text["Title"] == "Cat, seed 7"


def test_images_appear_scale_by_scale(visit):
    visitor = visit()
    visitor.choose_checkpoint("long.pth")
    visitor.wait_for("found", "48×48")
    visitor.watch_status()
    visitor.generate()
    pattern = re.compile(r"Scale (\d+) of 12")
    growing = [(int(match[1]), image) for text, image in visitor.states() if (match := pattern.match(text))]
    scales = [scale for scale, _ in growing]
    assert scales == sorted(scales) and len(set(scales)) > 3
    assert len({image for _, image in growing if image}) > 3


def test_stop_ends_the_run_and_keeps_what_is_shown(visit):
    visitor = visit()
    visitor.choose_checkpoint("long.pth")
    visitor.wait_for("found", "48×48")
    visitor.set("num-images", 12)
    visitor.page.locator("#generate").click()
    visitor.wait_for("status", "Scale")
    visitor.page.locator("#stop").click()
    visitor.wait_for("status", "Stopped")
    scale = int(re.search(r"after scale (\d+) of 12", visitor.text("status"))[1])
    assert scale < 12 and len(visitor.captions()) == 48


def test_generates_after_a_stop(visit):
    visitor = visit()
    visitor.choose_checkpoint("long.pth")
    visitor.wait_for("found", "48×48")
    visitor.set("num-images", 12)
    visitor.page.locator("#generate").click()
    visitor.wait_for("status", "Scale")
    visitor.page.locator("#stop").click()
    visitor.wait_for("status", "Stopped")
    visitor.choose_checkpoint("fruits64.pth")
    visitor.wait_for("found", "16×16")
    visitor.set("num-images", 1)
    visitor.generate()
    assert len(visitor.captions()) == 4


def test_the_same_seed_makes_the_same_images(visit):
    visitor = visit()
    visitor.set("num-images", 1)
    visitor.generate()
    before = visitor.images()
    visitor.page.reload()
    visitor.set("num-images", 1)
    visitor.generate()
    assert [image.tobytes() for image in visitor.images()] == [image.tobytes() for image in before]


def test_an_image_can_be_made_again_alone(visit):
    visitor = visit()
    visitor.choose_classes("Ant", "Bee", "Cat")
    visitor.set("num-images", 1)
    visitor.set("seed", 5)
    visitor.generate()
    among_others = visitor.images()[1]
    visitor.choose_classes("Bee")
    visitor.set("seed", 6)
    visitor.generate()
    assert visitor.captions() == ["Bee, seed 6"]
    assert largest_difference(visitor.images()[0], among_others) <= 1


def test_the_dice_changes_the_seed(visit):
    visitor = visit()
    seed = visitor.page.locator("#seed input")
    before = seed.input_value()
    visitor.page.get_by_role("button", name="Random seed").click()
    visitor.page.wait_for_function("before => document.querySelector('#seed input').value !== before", arg=before)
    assert seed.input_value().isdigit()


def test_another_checkpoint_brings_its_own_vocabulary(visit, checkpoints):
    path = checkpoints / "small.pth"
    write_trainer_file(path, class_names=NAMES, optimizer=False, epoch=77)
    visitor = visit()
    visitor.choose_checkpoint("small.pth")
    visitor.wait_for("found", "epoch 77")
    assert visitor.page.locator("#top-k input[type=range]").get_attribute("max") == "64"
    path.unlink()


def test_the_list_shows_a_new_file_first_without_a_restart(visit, checkpoints):
    visitor = visit()
    path = write_trainer_file(checkpoints / "newest.pth", optimizer=False)
    assert visitor.checkpoints("newest.pth")[0] == "newest.pth"
    path.unlink()


def test_an_uploaded_trainer_file_can_be_sampled(visit, tmp_path):
    visitor = visit()
    visitor.upload(write_trainer_file(tmp_path / "mine.pth", class_names=["Oak", "Elm", "Ash", "Fir", "Yew"], seed=4))
    visitor.wait_for("classes", "Oak · 0")
    visitor.set("num-images", 1)
    visitor.generate()
    assert visitor.page.locator("#checkpoint input").input_value() == "mine.pth (uploaded)"
    assert visitor.captions()[0] == "Oak, seed 0"


def test_an_upload_belongs_to_its_session(visit, tmp_path):
    visitor = visit()
    visitor.upload(write_trainer_file(tmp_path / "private.pth", optimizer=False))
    visitor.wait_for("classes", "class 0 · 0")
    assert "private.pth (uploaded)" in visitor.checkpoints("private.pth")
    assert "private.pth (uploaded)" not in visit().checkpoints("long.pth")


def test_a_vqvae_is_found_for_an_upload_without_one(visit, tmp_path):
    visitor = visit()
    visitor.upload(write_trainer_file(tmp_path / "bare.pth", with_vae=False, optimizer=False))
    visitor.wait_for("found", "VQVAE from ")
    assert re.search(r"VQVAE from (fruits64|long)\.pth", visitor.text("found"))


def test_a_file_that_is_no_checkpoint_gets_one_message(visit, tmp_path):
    visitor = visit()
    (tmp_path / "notes.pth").write_bytes(b"PK\x03\x04 and nothing more")
    visitor.upload(tmp_path / "notes.pth")
    alert = visitor.page.get_by_role("alert")
    alert.wait_for()
    assert alert.count() == 1
    assert "notes.pth" in alert.inner_text() and "Traceback" not in alert.inner_text()


def test_the_loaded_model_stays_after_a_bad_upload(visit, tmp_path):
    visitor = visit()
    (tmp_path / "notes.pth").write_text("not a model")
    visitor.upload(tmp_path / "notes.pth")
    visitor.page.get_by_role("alert").wait_for()
    visitor.set("num-images", 1)
    visitor.generate()
    assert visitor.page.locator("#checkpoint input").input_value() == "fruits64.pth"
    assert len(visitor.captions()) == 4


def test_no_class_chosen_gets_a_message(visit):
    visitor = visit()
    visitor.choose_classes()
    visitor.page.locator("#generate").click()
    visitor.wait_for("problem", "Choose at least one")


def test_a_checkpoint_that_is_gone_gets_a_message(visit, checkpoints):
    path = write_trainer_file(checkpoints / "fleeting.pth", optimizer=False)
    visitor = visit()
    visitor.choose_checkpoint("fleeting.pth")
    visitor.wait_for("classes", "class 0 · 0")
    path.unlink()
    visitor.page.locator("#generate").click()
    visitor.wait_for("problem", "There is no checkpoint fleeting.pth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit, scheme):
    visitor = visit(390, 844, scheme)
    visitor.set("num-images", 1)
    visitor.generate()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_phone_scrolls_to_the_images(visit):
    visitor = visit(390, 844)
    visitor.set("num-images", 1)
    visitor.generate()
    top = visitor.page.locator("#images").bounding_box()["y"]
    assert 0 < top < 844


def test_dark_where_the_system_is_dark(visit):
    color = visit(scheme="dark").page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", color)[:3])) < 60


def test_the_images_do_not_move_the_page(visit):
    visitor = visit()
    before = visitor.page.locator("#images").bounding_box()
    visitor.generate()
    assert visitor.page.locator("#images").bounding_box() == before


def test_nothing_is_asked_of_another_host(visit, address):
    visitor = visit()
    visitor.generate()
    assert {url for url in visitor.requests if not url.startswith((address, "data:", "blob:"))} == set()


def test_every_control_has_a_name(visit):
    nameless = visit().page.evaluate(
        """() => [...document.querySelectorAll("#columns input, #columns button")]
            .filter(control => control.offsetParent && control.type !== "file")
            .filter(control => !(control.ariaLabel || control.innerText || control.textContent.trim()
                || control.labels?.length || control.getAttribute("aria-labelledby")))
            .map(control => control.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
