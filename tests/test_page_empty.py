"""The page of a server without a checkpoint, in a real browser."""

import pytest
from browser import serve
from tiny import write_trainer_file


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def address(checkpoints, tmp_path_factory):
    with serve(checkpoints, tmp_path_factory.mktemp("gradio")) as address:
        yield address


@pytest.fixture
def visitor(visit):
    return visit()


def test_says_what_to_do_and_shows_nothing_to_look_into(visitor):
    assert "No checkpoint yet. Upload one, or put" in visitor.text("found")
    assert "Choose a checkpoint first" in visitor.text("status")
    assert not any(visitor.page.locator(f"#{part}").is_visible() for part in ("details", "export"))
    visitor.page.locator("#generate").click()
    visitor.wait_for("problem", "No checkpoint yet. Upload one, or put")
    visitor.page.locator("#generate:not([disabled])").wait_for()


def test_an_uploaded_checkpoint_makes_all_ready(visitor, tmp_path):
    page = visitor.page
    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare-run").click()
    visitor.wait_for("compare-problem", "No checkpoint yet")
    visitor.upload(write_trainer_file(tmp_path / "mine.pth", optimizer=False))
    visitor.wait_for("compare-plan", "16 images")
    assert "Ready" in visitor.text("compare-status") and not visitor.text("compare-problem").strip()
    assert page.locator("#details").is_visible() and page.locator("#export").is_visible()
    page.get_by_role("tab", name="Images").click()
    visitor.generate()
    assert len(visitor.captions()) == 8


def test_of_very_many_files_the_list_shows_some_and_typing_finds_the_others(visitor, checkpoints):
    page = visitor.page
    for number in range(103):
        (checkpoints / f"run{number:03}.pth").touch()
    field = page.locator("#checkpoint input")
    field.click()
    page.locator("#checkpoint", has_text="103 are there, the list shows 100").wait_for()
    assert page.locator("#checkpoint [role=option]").count() == 100
    for name in ("run000", "run102"):
        field.click()
        page.locator("#checkpoint:not([aria-busy])").wait_for()
        page.keyboard.type(name)
        page.locator("#checkpoint [role=option]:only-child", has_text=f"{name}.pth").click()
        visitor.wait_for("checkpoint-problem", f"{name}.pth: ")
