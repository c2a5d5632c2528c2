"""The list of classes of a model with ImageNet's 1000, in a real browser."""

from contextlib import closing

import pytest
from browser import Visitor, serve
from tiny import tiny_var_config, write_trainer_file


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "official.pth", var_config=tiny_var_config(num_classes=1000), optimizer=False)
    with serve(folder, tmp_path_factory.mktemp("gradio")) as address:
        yield address


@pytest.fixture(scope="module")
def visitor(browser, address):
    """One for all tests, which leave the classes as they were."""
    with closing(browser.new_context()) as context:
        yield Visitor(context.new_page(), address)


@pytest.fixture(autouse=True)
def same_classes(visitor):
    yield
    field = visitor.page.locator("#classes input")
    visitor.choose_classes()
    field.fill("0, 250, 500, 750")
    field.press("Enter")
    wait_until_chosen(visitor, 4)


def options(visitor):
    """What the list of classes offers."""
    return visitor.page.locator("#classes").get_by_role("option")


def offered(visitor, word):
    """What the list offers when a word is typed; all of it has that word."""
    visitor.page.locator("#classes input").fill(word)
    options(visitor).filter(has_not_text=word).first.wait_for(state="detached")
    return [text.removeprefix("✓").strip() for text in options(visitor).all_inner_texts()]


def chosen(visitor):
    """The classes that are chosen."""
    return visitor.page.locator("#classes .token").all_inner_texts()


def wait_until_chosen(visitor, count):
    visitor.page.wait_for_function("count => document.querySelectorAll('#classes .token').length === count", arg=count)


def test_all_classes_are_offered_by_name_and_number(visitor):
    visitor.page.locator("#classes input").click()
    assert options(visitor).nth(1).inner_text().strip() == "goldfish · 1"
    while not options(visitor).filter(has_text="no class").count():  # the list grows as one goes down
        options(visitor).last.scroll_into_view_if_needed()
    assert options(visitor).count() == 1001 and "toilet tissue · 999" in options(visitor).nth(999).inner_text()


def test_a_part_of_a_name_finds_all_that_have_it(visitor):
    found = offered(visitor, "terrier")
    assert len(found) > 15 and "Border terrier · 182" in found


def test_equal_names_are_told_apart_by_number(visitor):
    assert offered(visitor, "crane") == ["crane · 134", "crane · 517"]


def test_classes_are_chosen_with_the_keyboard_alone(visitor):
    keyboard = visitor.page.keyboard
    visitor.page.locator("#classes").get_by_role("button", name="Clear").click()
    visitor.page.locator("#classes input").focus()
    for count, word in enumerate(("goldfish", "517", "tench"), start=1):
        keyboard.type(word)
        options(visitor).filter(has_not_text=word).first.wait_for(state="detached")
        keyboard.press("Enter")
        wait_until_chosen(visitor, count)
    keyboard.press("Backspace")
    wait_until_chosen(visitor, 2)
    keyboard.press("Control+Enter")
    visitor.wait_for("status", "4 images in")
    visitor.wait_for_finished()
    assert chosen(visitor) == ["goldfish · 1", "crane · 517"]
    assert visitor.captions()[::2] == ["goldfish, seed 0", "crane (517), seed 2"]


@pytest.mark.parametrize(
    ("typed", "added", "note", "left"),
    [
        ("tench", [], "tench · 0 is chosen already.", ""),
        ("999, 1-3, Border Terrier", [999, 1, 2, 3, 182], "", ""),
        ("goldfish, lemmon, crane", [1], "No class is called lemmon. In the names of several", "lemmon, crane"),
        ("lemmon", [], "No class is called lemmon.", "lemmon"),
    ],
)
def test_what_is_typed_and_entered_is_added_or_answered(visitor, typed, added, note, left):
    field = visitor.page.locator("#classes input")
    field.fill(typed)
    field.press("Enter")
    visitor.page.wait_for_function("left => document.querySelector('#classes input').value === left", arg=left)
    assert [int(text.split(" · ")[1]) for text in chosen(visitor)] == [0, 250, 500, 750, *added]
    assert visitor.page.locator("#classes .note").inner_text().startswith(note)


def test_random_classes_are_drawn_from_all(visitor):
    before = chosen(visitor)
    visitor.page.locator("#random-classes").click()
    visitor.page.wait_for_function(
        """before => [...document.querySelectorAll("#classes .token")].map(t => t.innerText).join() !== before""",
        arg=",".join(before),
    )
    assert len(chosen(visitor)) == len(before) == 4


def test_all_of_a_thousand_classes_are_those_that_can_be_made(visitor):
    visitor.page.get_by_role("button", name="All", exact=True).click()
    visitor.wait_for("class-note", "The first 64 of 1000: at most 64 images are made at a time. 1 image of each")
    wait_until_chosen(visitor, 64)
    visitor.wait_for("generate", "Generate 64 images")
    visitor.page.get_by_role("button", name="No class").click()
    wait_until_chosen(visitor, 1)
    assert not visitor.text("class-note").strip()
