"""A number of images for each class, in a real browser, on a tiny random model."""

import re

import pytest
from browser import answers_held_back, serve
from tiny import write_trainer_file

NAMES = ["Ant", "Bee", "<b>Cat</b>", "Dog", "Eel"]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "fruits96.pth", class_names=NAMES, optimizer=False)
    with serve(folder, tmp_path_factory.mktemp("gradio")) as address:
        yield address


@pytest.fixture
def visitor(visit):
    """Someone who chose three classes and wants another number for some."""
    visitor = visit()
    visitor.choose_classes("Ant", "Bee", "<b>Cat</b>")
    visitor.page.locator("#by-class input").check()
    visitor.page.locator("#counts li").nth(2).wait_for()
    return visitor


def number_of(visitor, name):
    return visitor.page.get_by_label(f"Images of {name}", exact=True)


def test_each_class_has_its_own_number_of_images(visitor):
    number_of(visitor, "Ant").fill("3")
    number_of(visitor, "Ant").press("Tab")
    visitor.page.get_by_role("button", name="One less of Bee").click()
    assert visitor.text("counts").endswith("6 images in all")
    visitor.generate()
    names = [caption.split(",")[0] for caption in visitor.captions()]
    assert names == ["Ant"] * 3 + ["Bee"] + ["<b>Cat</b>"] * 2


def test_the_slider_sets_all_numbers_and_too_many_are_told_at_once(visitor):
    visitor.set("num-images", 4)
    visitor.wait_for("counts", "12 images in all")
    visitor.set("num-images", 16)
    visitor.wait_for("counts", "48 images in all")
    visitor.page.locator("#classes input").fill("Dog")
    visitor.page.locator("#classes").get_by_role("option", name="Dog").click()
    visitor.wait_for("counts", "64 images in all")
    visitor.page.locator("#classes input").fill("Eel")
    visitor.page.locator("#classes").get_by_role("option", name="Eel").click()
    visitor.wait_for("counts", "80 images in all; at most 64 are made at a time")
    visitor.page.locator("#classes").get_by_role("button", name="Clear").click()
    visitor.wait_for("counts", "0 images in all")
    visitor.page.locator("#generate", has_text=re.compile(r"^\s*Generate\s*$")).wait_for()


def test_a_number_that_is_typed_while_the_list_comes_anew_stays(visitor):
    with answers_held_back(visitor.page, "most_a_class") as wait_for_answer:
        visitor.page.locator("#classes input").fill("Dog")
        visitor.page.locator("#classes").get_by_role("option", name="Dog").click()
        wait_for_answer()
        visitor.page.get_by_role("button", name="One more of Bee").click()
    visitor.wait_for("counts", "9 images in all")
    assert number_of(visitor, "Bee").input_value() == "3"


def test_the_numbers_stay_when_a_class_comes_and_the_button_says_how_many(visitor):
    visitor.wait_for("generate", "Generate 6 images")
    number_of(visitor, "Bee").fill("5")
    number_of(visitor, "Bee").press("Tab")
    visitor.wait_for("generate", "Generate 9 images")
    visitor.page.locator("#classes input").fill("Dog")
    visitor.page.locator("#classes").get_by_role("option", name="Dog").click()
    number_of(visitor, "Dog").wait_for()
    assert [number_of(visitor, name).input_value() for name in ("Ant", "Bee", "Dog")] == ["2", "5", "2"]
    visitor.page.get_by_label("Set the number for each class").uncheck()
    visitor.set("num-images", 1)
    visitor.wait_for("generate", "Generate 4 images")


def test_more_images_than_are_made_at_a_time_cannot_be_asked_for(visit):
    visitor = visit()
    visitor.page.locator("#all-classes").click()
    visitor.wait_for("classes", "Eel · 4")
    visitor.set("num-images", 16)
    visitor.page.locator("#generate[disabled]", has_text="80 images; at most 64 at a time").wait_for()
    visitor.set("num-images", 1)
    visitor.page.locator("#generate:not([disabled])", has_text="Generate 5 images").wait_for()
    visitor.generate()


def test_a_link_carries_the_numbers(visit):
    visitor = visit("?classes=3,none&images=1,4")
    number_of(visitor, "no class").wait_for()
    assert [number_of(visitor, name).input_value() for name in ("Dog", "no class")] == ["1", "4"]
    visitor.page.locator("#copy-link").click()
    visitor.page.wait_for_url("**&images=1,4&**")
