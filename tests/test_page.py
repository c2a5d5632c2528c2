"""The page, in a real browser, on tiny random models."""

import re

import numpy
import pytest
from browser import serve, step_by_step
from playwright.sync_api import expect
from tiny import tiny_var_config, write_trainer_file

from var.outputs.recipe import from_png

NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]
MANY_SCALES = tuple(range(1, 13))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    long = tiny_var_config(patch_nums=MANY_SCALES, vocab_size=64)
    write_trainer_file(folder / "long.pth", class_names=NAMES, var_config=long, optimizer=False)
    write_trainer_file(folder / "fruits96.pth", class_names=NAMES, optimizer=False)
    return folder


@pytest.fixture(scope="module")
def address(checkpoints, tmp_path_factory):
    with serve(checkpoints, tmp_path_factory.mktemp("gradio")) as address:
        yield address


def largest_difference(first, second):
    return numpy.abs(numpy.asarray(first, dtype=int) - numpy.asarray(second, dtype=int)).max()


def test_generate_makes_images_of_the_chosen_classes(visit, address):
    visitor = visit()
    visitor.choose_classes("Bee", "4")
    assert "Eel · 4" in visitor.text("classes")
    visitor.set("num-images", 2)
    visitor.set("seed", 40)
    visitor.generate()
    assert visitor.captions() == ["Bee, seed 40", "Bee, seed 41", "Eel, seed 42", "Eel, seed 43"]
    assert visitor.text("status").startswith("4 images in ") and "seeds 40 to 43" in visitor.text("status")
    images = visitor.images()
    assert {(image.format, image.size) for image in images} == {("PNG", (16, 16))}
    assert visitor.image_addresses()[-1].endswith("/eel-seed-43.png")
    recipe = from_png(images[-1])
    assert (recipe.class_name, recipe.seed, recipe.checkpoint) == ("Eel", 43, "fruits96.pth")
    assert {url for url in visitor.requests if not url.startswith((address, "data:", "blob:"))} == set()


def test_images_appear_scale_by_scale(visit):
    visitor = visit()
    visitor.choose_checkpoint("long.pth")
    visitor.wait_for("found", "48×48")
    with step_by_step() as steps:
        visitor.page.locator("#generate").click()
        seen = [""]
        for scale in MANY_SCALES[:-1]:
            steps.next()
            visitor.wait_for("status", f"Scale {scale} of 12")
            seen.append(visitor.another_first_image(seen[-1]))
    assert len(set(seen)) == len(MANY_SCALES)


def choose_many(visitor):
    """Ask for more images, of more scales, than are made at a time."""
    visitor.choose_checkpoint("long.pth")
    visitor.wait_for("found", "48×48")
    visitor.set("num-images", 12)


def stop(visitor, steps):
    """Press Stop while a run waits, and let it go on to its end."""
    visitor.page.locator("#stop").click()
    visitor.page.locator("#stop[disabled]").wait_for()
    steps.go_on()
    visitor.wait_for("status", "Stopped")


def test_stop_keeps_the_images_that_are_finished(visit):
    visitor = visit()
    choose_many(visitor)
    visitor.set("seed", 0)
    with step_by_step() as steps:
        visitor.page.locator("#generate").click()
        for _ in range(len(MANY_SCALES) + 1):
            steps.next()
        visitor.wait_for("status", "images 9 to 16 of 48")
        stop(visitor, steps)
    count = int(re.search(r"(\d+) of 48 images are done", visitor.text("status"))[1])
    visitor.wait_for_finished()
    assert count % 8 == 0 and 0 < count < 48
    assert visitor.image_addresses()[-1].endswith(f"-seed-{count - 1}.png") and len(visitor.captions()) == count


def test_generates_after_a_stop(visit):
    visitor = visit()
    choose_many(visitor)
    with step_by_step() as steps:
        visitor.page.locator("#generate").click()
        steps.next()
        visitor.wait_for("status", "Scale")
        stop(visitor, steps)
    visitor.choose_checkpoint("fruits96.pth")
    visitor.wait_for("found", "16×16")
    visitor.set("num-images", 1)
    visitor.generate()
    assert len(visitor.captions()) == 4


def test_the_same_seed_makes_the_same_images(visit):
    visitor = visit()
    visitor.set("num-images", 1)
    visitor.generate()
    before = visitor.images()
    visitor.page.wait_for_function("() => sessionStorage.getItem('var-visit')?.includes('.png')")
    visitor.page.reload()
    visitor.page.locator("#new-seed input:not(:checked)").wait_for()
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


def test_each_run_has_a_new_seed_unless_it_is_fixed(visit):
    visitor = visit(new_seeds=True)
    visitor.choose_classes("Ant")
    captions = []
    for _ in range(2):
        visitor.generate()
        captions.append(visitor.captions()[0])
    assert captions[0] != captions[1]
    assert captions[1] == f"Ant, seed {visitor.page.locator('#seed input').input_value()}"
    visitor.set("seed", 5)
    visitor.page.locator("#new-seed input:not(:checked)").wait_for()
    visitor.generate()
    assert visitor.captions()[0] == "Ant, seed 5"


def test_the_dice_rolls_a_seed_and_fixes_it(visit):
    visitor = visit(new_seeds=True)
    field = visitor.page.locator("#seed input")
    before = field.input_value()
    visitor.page.get_by_role("button", name="Random seed").click()
    visitor.page.locator("#new-seed input:not(:checked)").wait_for()
    visitor.page.wait_for_function("before => document.querySelector('#seed input').value !== before", arg=before)
    seed = field.input_value()
    visitor.choose_classes("Ant")
    visitor.generate()
    assert visitor.captions()[0] == f"Ant, seed {seed}"


def test_another_checkpoint_brings_its_own_vocabulary(visit, checkpoints):
    path = checkpoints / "small.pth"
    write_trainer_file(path, class_names=NAMES, optimizer=False, epoch=77)
    visitor = visit()
    visitor.choose_checkpoint("small.pth")
    visitor.wait_for("found", "epoch 77")
    assert visitor.page.locator("#top-k input[type=range]").get_attribute("max") == "64"
    path.unlink()


def test_no_class_chosen_gets_a_message_and_rolls_no_seed(visit):
    visitor = visit(new_seeds=True)
    visitor.choose_classes()
    visitor.page.locator("#generate").click()
    visitor.wait_for("problem", "Choose at least one")
    visitor.page.locator("#generate:not([disabled])").wait_for()
    assert visitor.page.locator("#seed input").input_value() == "0"


def test_an_empty_seed_is_any_seed(visit):
    visitor = visit()
    visitor.set("num-images", 1)
    field = visitor.page.locator("#seed input")
    for seed in ("", "-1"):
        field.fill(seed)
        field.press("Tab")
        visitor.generate()
        assert re.fullmatch(r"\d+", field.input_value())


def test_a_seed_that_is_none_gets_a_message(visit):
    visitor = visit()
    for seed, message in (
        ("-7", "a seed must be a whole number from 0"),
        ("1.5", "The seed must be a whole number, not 1.5"),
        ("99999999999999999999", "The seed must be at most 9007199254740991 here"),
    ):
        visitor.page.locator("#seed input").fill(seed)
        visitor.page.locator("#generate").click()
        visitor.wait_for("problem", message)
        visitor.page.locator("#generate:not([disabled])").wait_for()


def test_classes_by_keyboard_by_button_and_none(visit):
    visitor = visit()
    visitor.choose_classes()
    visitor.page.locator("#classes input").press_sequentially("ee")
    visitor.page.keyboard.press("Enter")
    tokens = visitor.page.locator("#classes .token")
    expect(tokens).to_have_text(["Eel · 4"])  # what begins so comes before what has it within, such as Bee
    visitor.set("num-images", 1)
    visitor.page.get_by_role("button", name="All", exact=True).click()
    expect(tokens).to_have_count(len(NAMES))
    visitor.generate()
    assert visitor.captions() == [f"{name}, seed {label}" for label, name in enumerate(NAMES)]
    visitor.page.get_by_role("button", name="No class").click()
    expect(tokens).to_have_text(["no class"])
    visitor.set("seed", 0)
    visitor.generate()
    assert visitor.captions() == ["no class, seed 0"]
    assert from_png(visitor.images()[0]).class_label is None


def test_random_classes_are_as_many_as_asked_for_and_those_used_lately_come_first(visit):
    visitor = visit()
    for count in (3, 1, 9):
        visitor.page.get_by_label("How many random classes").fill(str(count))
        visitor.page.get_by_role("button", name="Random", exact=True).click()
        visitor.page.wait_for_function(
            f"document.querySelectorAll('#classes .token').length === {min(count, len(NAMES))}"
        )
    visitor.choose_classes("Dog")
    visitor.set("num-images", 1)
    visitor.generate()
    visitor.page.wait_for_function("() => sessionStorage.getItem('var-visit')?.includes('dog-seed')")
    visitor.choose_classes()
    visitor.page.locator("#classes input").click()
    expect(visitor.page.locator("#classes").get_by_role("option").first).to_contain_text("Dog · 3")


def test_a_preset_fills_the_controls_until_one_is_changed(visit):
    visitor = visit()
    visitor.page.locator("#presets label", has_text="Faithful to the paper").click()
    visitor.page.wait_for_function("document.querySelector('#guidance input[type=number]').value === '1.5'")
    assert visitor.page.locator("#top-p input[type=number]").input_value() == "0.96"
    assert visitor.page.locator("#presets input:checked").count() == 1
    visitor.set("guidance", 3)
    visitor.page.wait_for_function("document.querySelectorAll('#presets input:checked').length === 0")
    visitor.page.locator("#guidance input[type=number]").focus()
    visitor.page.keyboard.press("Tab")
    focused = visitor.page.locator("input[type=range]:focus")
    assert focused.evaluate("slider => getComputedStyle(slider).outline").endswith("solid 2px")


def test_every_control_reaches_the_images(visit):
    visitor = visit()
    visitor.choose_classes("Eel")
    for part, value in {
        "num-images": 1,
        "seed": 9,
        "guidance": 2.5,
        "top-k": 30,
        "top-p": 0.7,
        "temperature": 1.5,
    }.items():
        visitor.set(part, value)
    visitor.page.get_by_label("More smooth").check()
    visitor.page.get_by_role("button", name="Advanced").click()
    visitor.page.locator("#cfg-curve label", has_text="Constant").click()
    visitor.set("cfg-start", 1)
    visitor.set("cfg-end", 3)
    visitor.generate()
    options = from_png(visitor.images()[0]).options
    assert (options.cfg_scale, options.cfg_curve, options.cfg_start, options.cfg_end) == (2.5, "constant", 1, 3)
    assert (options.top_k, options.temperature) == (30, 1.5)
    assert (options.top_p, options.more_smooth, options.seed) == (0.7, True, (9,))


def test_a_number_beyond_its_range_is_brought_there_when_it_is_left(visit):
    visitor = visit()
    for part, typed, kept in (("guidance", "40", "10"), ("guidance", "", "10"), ("top-p", "7", "1")):
        visitor.set(part, typed)
        assert visitor.page.locator(f"#{part} input[type=number]").input_value() == kept
    visitor.choose_classes("Ant")
    visitor.set("num-images", 99)
    visitor.generate()
    options = from_png(visitor.images()[0]).options
    assert (options.cfg_scale, options.top_p, len(visitor.captions())) == (10, 1, 16)


def test_control_enter_generates(visit):
    visitor = visit()
    visitor.wait_for("found", "in memory")
    visitor.choose_classes("Cat")
    visitor.set("num-images", 1)
    visitor.page.locator("#seed input").fill("33")
    visitor.page.locator("#seed input").press("Control+Enter")
    visitor.wait_for("images", "seed 33")
    assert visitor.captions() == ["Cat, seed 33"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_to_the_images_and_never_sideways(visit, scheme):
    visitor = visit(width=390, height=844, scheme=scheme)
    color = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", color)[:3])) < 60) == (scheme == "dark")
    visitor.set("num-images", 1)
    visitor.generate()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == 390
    assert 0 < visitor.page.locator("#images").bounding_box()["y"] < 844


def test_generate_and_stop_stay_in_sight_and_captions_are_a_line_each(visit):
    visitor = visit(width=1200, height=320)
    page = visitor.page
    above = page.locator("#status").bounding_box()["y"]
    visitor.generate()
    page.evaluate("document.querySelector('#images .gallery-item:last-child').scrollIntoView({block: 'end'})")
    assert page.evaluate("scrollY") > above
    for part in ("#generate", "#stop", "#status"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 320
    assert page.locator("#images .grid-wrap .caption-label").first.bounding_box()["height"] <= 24


def test_the_images_do_not_move_the_page(visit):
    visitor = visit()
    before = visitor.page.locator("#wall").bounding_box()
    visitor.generate()
    images = visitor.page.locator("#images").bounding_box()
    assert (images["x"], images["y"]) == (before["x"], before["y"])
    assert visitor.page.evaluate("scrollY") == 0


def test_axe_finds_nothing_serious(visit):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python").Axe()
    visitor = visit()
    page = visitor.page
    page.add_style_tag(content="* { transition: none !important; }")  # colours are what they become at once

    def serious(part=None):
        """What is wrong in a part of the page; in the rest nothing has changed since the look before."""
        found = []
        for rules in ({"resultTypes": ["violations"]}, {"runOnly": ["color-contrast"]}):
            found += axe.run(page, context=part, options=rules).response["violations"]
            page.evaluate("document.body.classList.toggle('dark')")
        return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]

    for part in ("details", "hub", "export", "advanced"):
        page.locator(f"#{part} > button").click()
    page.get_by_label("Set the number for each class").check()
    assert serious() == []
    visitor.generate()
    page.locator("#generate:enabled").wait_for()
    assert serious("#tabs") == []
    page.locator("#images .thumbnail-lg").first.click()
    page.locator("#scales").click()
    page.locator("#film img").nth(1).wait_for()
    assert serious("#tabs") == []
    page.locator("#edit").click()
    page.locator(".painter.loaded").wait_for()
    assert serious("#tabs") == []
    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare-run").click()
    visitor.wait_for("compare-status", " images in ")
    page.locator("#compare-run:enabled").wait_for()
    page.mouse.move(0, 0)
    assert serious("#tabs") == []
    page.get_by_role("tab", name="History").click()
    assert serious("#tabs") == []
