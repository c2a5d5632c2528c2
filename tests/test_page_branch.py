"""Branching from a scale of an image, in a real browser: the slider, what new images keep, the tree, the recipe."""

import re

import pytest
from browser import serve
from playwright.sync_api import expect
from tiny import write_trainer_file

from var import VARPipeline
from var.outputs.recipe import from_png

NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_trainer_file(tmp_path_factory.mktemp("checkpoints") / "a.pth", class_names=NAMES, optimizer=False)


@pytest.fixture(scope="module")
def address(checkpoint, tmp_path_factory):
    with serve(checkpoint.parent, tmp_path_factory.mktemp("gradio")) as address:
        yield address


def make(visitor, name, seed):
    visitor.choose_classes(name)
    visitor.set("num-images", 1)
    visitor.set("seed", seed)
    visitor.generate()


def show_scales(visitor, index=0):
    visitor.page.locator("#images .thumbnail-lg").nth(index).click()
    visitor.page.locator("#scales:enabled").click()
    visitor.page.locator("#scrubber .loaded").wait_for()


def branch_from(visitor, scale):
    """Branch after a scale, and wait for the images."""
    visitor.page.locator("#scrubber input").fill(str(scale))
    visitor.page.locator("#status .state").evaluate("state => { state.dataset.before = 'yes'; }")
    visitor.page.locator("#scrubber button").click()
    visitor.page.locator("#status .state:not([data-before])", has_text="4 images in").wait_for()
    visitor.wait_for_finished()
    visitor.page.locator("#generate:enabled").wait_for()


def recipes(visitor):
    return [from_png(image) for image in visitor.images()]


def large(visitor):
    return visitor.page.locator("#images .preview .media-button img")


def test_the_slider_shows_the_large_image_after_each_scale(visit):
    visitor = visit()
    make(visitor, "Bee", 5)
    show_scales(visitor)
    assert large(visitor).get_attribute("src").endswith("/bee-seed-5-scale-2.png")
    slider, branch = visitor.page.locator("#scrubber input"), visitor.page.locator("#scrubber button")
    slider.press("End")
    assert large(visitor).get_attribute("src").endswith("/bee-seed-5.png") and branch.is_disabled()
    assert "nothing is left to draw" in visitor.text("scrubber")
    slider.press("ArrowLeft")
    assert large(visitor).get_attribute("src").endswith("/bee-seed-5-scale-3.png") and branch.is_enabled()
    assert slider.get_attribute("aria-valuetext") == "3 of 4 · 3×3 tokens"


def test_branches_keep_what_is_seen_until_all_is_to_be_drawn(visit, checkpoint):
    visitor = visit()
    make(visitor, "Bee", 5)
    (parent,) = recipes(visitor)
    show_scales(visitor)
    branch_from(visitor, 3)
    pipe = VARPipeline.from_checkpoint(checkpoint, device="cpu")
    tokens = tuple(pipe(**parent.arguments).tokens[0, :14].tolist())
    made = recipes(visitor)
    assert {(recipe.class_name, recipe.branch.joined, recipe.branch.parent) for recipe in made} == {
        ("Bee", tokens, parent.id)
    }
    assert [recipe.seed - made[0].seed for recipe in made] == [0, 1, 2, 3] and made[0].seed != parent.seed
    assert "scales 1 to 3 of 4 of Bee, seed 5" in visitor.text("kept")
    visitor.choose_classes("Dog")  # another class for the rest
    visitor.generate()
    assert {(recipe.class_name, recipe.branch.joined) for recipe in recipes(visitor)} == {("Dog", tokens)}
    visitor.page.locator("#copy-link").click()
    visitor.wait_for("problem", "Link copied, without the kept scales")
    visitor.page.locator("#drop-kept").click()
    visitor.page.locator("#kept-row").wait_for(state="hidden")
    visitor.generate()
    assert [recipe.branch for recipe in recipes(visitor)] == [None] * 4


def test_a_branch_is_made_again_from_its_file(visit, tmp_path):
    visitor = visit()
    make(visitor, "Bee", 5)
    show_scales(visitor)
    branch_from(visitor, 1)
    image = visitor.page.request.get(visitor.image_addresses()[2]).body()
    (tmp_path / "branch.png").write_bytes(image)
    again = visit()
    again.page.locator("#restore input[type=file]").set_input_files(tmp_path / "branch.png")
    again.wait_for("kept", "scale 1 of 4 of Bee, seed 5")
    again.generate()
    assert again.page.request.get(again.image_addresses()[0]).body() == image


def test_the_history_has_a_tree_of_branches_also_after_a_reload(visit):
    visitor = visit()
    make(visitor, "Bee", 5)
    show_scales(visitor)
    branch_from(visitor, 2)
    show_scales(visitor, 1)
    branch_from(visitor, 3)
    seeds = [recipe.seed for recipe in recipes(visitor)]
    visitor.page.wait_for_function("seed => sessionStorage.getItem('var-visit')?.includes(seed)", arg=str(seeds[0]))
    visitor.page.reload()
    visitor.page.get_by_role("tab", name="History").click()
    visitor.page.locator("#tree .tree").wait_for()
    assert re.findall(r"Bee, seed 5|after scale \d of 4", visitor.text("tree")) == [
        "Bee, seed 5",
        "after scale 2 of 4",
        "after scale 3 of 4",
    ]
    visitor.page.locator(f"#tree [aria-label='Bee, seed {seeds[2]}']").click()
    visitor.wait_for("picked-text", f"Bee, seed {seeds[2]}")
    assert large(visitor).get_attribute("src").endswith(f"/bee-seed-{seeds[2]}.png")


def test_a_smooth_image_says_why_nothing_branches_from_it(visit):
    visitor = visit("?smooth=1")
    visitor.wait_for("settings-note", "Settings restored")
    make(visitor, "Bee", 5)
    show_scales(visitor)
    expect(visitor.page.locator("#scrubber button")).to_be_disabled()
    visitor.wait_for("scrubber", "More smooth mixed the tokens of this image")
