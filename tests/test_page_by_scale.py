"""The bars of what holds at each scale, in a real browser."""

import pytest
from browser import serve
from tiny import write_trainer_file

from var.outputs.recipe import from_png

ROWS = ("cfg_scale", "temperature", "top_k")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    own = {"cfg_scale": 2.0, "temperature": [1.0, 1.0, 0.8, 0.2]}
    write_trainer_file(folder / "own.pth", optimizer=False, args={"sampling": own})
    write_trainer_file(folder / "tiny.pth", optimizer=False)  # the newest is what the page opens with
    with serve(folder, tmp_path_factory.mktemp("gradio")) as address:
        yield address


@pytest.fixture
def visitor(visit):
    visitor = visit()
    unfold(visitor)
    return visitor


def unfold(visitor):
    visitor.page.get_by_role("button", name="Advanced").click()
    visitor.page.locator("#by-scale").scroll_into_view_if_needed()


def row(visitor, name):
    return visitor.page.locator(f'#by-scale [data-name="{name}"]')


def values(visitor, name):
    """What the bars of a row say, as screen readers hear it."""
    bars = row(visitor, name).get_by_role("slider")
    return bars.evaluate_all("bars => bars.map(bar => bar.getAttribute('aria-valuetext'))")


def wait_for_values(visitor, name, *expected):
    visitor.page.wait_for_function(
        """([name, expected]) => expected === [...document.querySelectorAll(`#by-scale [data-name="${name}"] .bars i`)]
            .map(bar => bar.getAttribute("aria-valuetext")).join(" ")""",
        arg=[name, " ".join(expected)],
    )


def draw(visitor, name, *heights):
    """Draw a line over the bars of a row, at these shares of the height, one a bar."""
    box = row(visitor, name).locator(".bars").bounding_box()
    mouse = visitor.page.mouse
    for index, height in enumerate(heights):
        mouse.move(box["x"] + box["width"] * (index + 0.5) / len(heights), box["y"] + box["height"] * (1 - height))
        if not index:
            mouse.down()
    mouse.up()


def options_made(visitor):
    """Make an image; its options."""
    visitor.choose_classes("class 3")
    visitor.set("num-images", 1)
    visitor.generate()
    return from_png(visitor.images()[0]).options


def test_the_bars_tell_what_the_controls_say(visitor):
    assert values(visitor, "cfg_scale") == ["0", "1.33", "2.67", "4"]
    visitor.page.locator("#cfg-curve label", has_text="Constant").click()
    wait_for_values(visitor, "cfg_scale", "4", "4", "4", "4")
    visitor.set("temperature", 0.8)
    wait_for_values(visitor, "temperature", "0.8", "0.8", "0.8", "0.8")


def test_what_is_drawn_reaches_the_image(visitor):
    draw(visitor, "cfg_scale", 0.5, 0.1, 0.1, 0.9)
    draw(visitor, "temperature", 1.0, 0.5, 0.5, 0.2)
    draw(visitor, "top_k", 1.0, 0.5, 0.5, 0.2)
    shown = [[float(value.replace("all", "0")) for value in values(visitor, name)] for name in ROWS]
    assert shown[0] == pytest.approx([5, 1, 1, 9], abs=0.2) and shown[1] == pytest.approx([2, 1, 1, 0.4], abs=0.1)
    assert shown[2][0] == 0 and 6 <= shown[2][1] <= 10 and 1 <= shown[2][3] <= 3
    options = options_made(visitor)
    assert [list(getattr(options, name)) for name in ROWS] == shown


def test_drawn_guidance_has_no_preset_and_no_curve(visitor):
    draw(visitor, "cfg_scale", 0.5, 0.1, 0.1, 0.9)
    for radios in ("presets", "cfg-curve"):
        visitor.page.wait_for_function(f"!document.querySelector('#{radios} input:checked')")
    visitor.set("guidance", 3)
    wait_for_values(visitor, "cfg_scale", "0", "1", "2", "3")
    visitor.page.locator("#cfg-curve label.selected", has_text="Rising").wait_for()


def test_a_row_goes_back_to_the_controls(visitor):
    draw(visitor, "top_k", 0.9, 0.5, 0.5, 0.2)
    row(visitor, "top_k").get_by_role("button").click()
    wait_for_values(visitor, "top_k", *["64"] * 4)
    assert not row(visitor, "top_k").get_by_role("button").is_visible()


def test_a_bar_is_set_with_the_keyboard(visitor):
    row(visitor, "temperature").get_by_role("slider").first.focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowRight", "Home"):
        visitor.page.keyboard.press(key)
    assert values(visitor, "temperature") == ["1.05", "0.9", "0.05", "1"]


def test_a_preset_takes_all_rows_back(visitor):
    for name in ROWS:
        draw(visitor, name, 0.9, 0.5, 0.5, 0.2)
    visitor.page.locator("#presets label", has_text="No guidance").click()
    wait_for_values(visitor, "cfg_scale", "0", "0", "0", "0")
    wait_for_values(visitor, "top_k", *["64"] * 4)
    assert values(visitor, "temperature") == ["1"] * 4


def test_an_image_brings_what_was_drawn(visitor):
    draw(visitor, "top_k", 0.9, 0.5, 0.5, 0.2)
    before = values(visitor, "top_k")
    options_made(visitor)
    visitor.page.locator("#presets label", has_text="Quality").click()
    wait_for_values(visitor, "top_k", *["64"] * 4)
    visitor.page.locator("#images .thumbnail-lg").click()
    visitor.page.locator("#reuse").click()
    wait_for_values(visitor, "top_k", *before)


def test_a_checkpoint_asks_for_values_of_its_own_which_a_link_with_others_leaves(visit):
    visitor = visit("?checkpoint=own.pth&seed=3&images=1")
    visitor.wait_for_finished()
    unfold(visitor)
    own = ["1", "1", "0.8", "0.2"]
    wait_for_values(visitor, "temperature", *own)
    visitor.page.locator("#presets label.selected", has_text="This checkpoint").wait_for()
    assert visitor.page.locator("#temperature input[type=number]").input_value() == "1"
    assert options_made(visitor).temperature == (1.0, 1.0, 0.8, 0.2)
    visitor.page.locator("#presets label", has_text="Quality").click()
    wait_for_values(visitor, "temperature", *["1"] * 4)
    visitor.page.locator("#presets label", has_text="This checkpoint").click()
    wait_for_values(visitor, "temperature", *own)
