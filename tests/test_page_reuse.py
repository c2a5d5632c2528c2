"""What can be done with images that are made, in a real browser: settings, scales, zip, history, links."""

import base64
import io
import json
import re
import zipfile
from pathlib import Path

import httpx
import pytest
from browser import serve, step_by_step
from PIL import Image
from playwright.sync_api import expect
from tiny import write_trainer_file

from var.outputs.recipe import from_png

NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]
DROP = """(target, [text, name]) => {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, {type: "image/png"}));
  const send = (kind) => target.dispatchEvent(new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true}));
  send("dragover");
  const words = document.body.dataset.drop;
  send("drop");
  return words;
}"""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "other.pth", class_names=NAMES, optimizer=False, epoch=9)
    write_trainer_file(folder / "fruits96.pth", class_names=NAMES, optimizer=False)
    return folder


@pytest.fixture(scope="module")
def address(checkpoints, tmp_path_factory):
    with serve(checkpoints, tmp_path_factory.mktemp("gradio")) as address:
        yield address


def make(visitor, *names, seed=0, num_images=1):
    visitor.choose_classes(*names)
    visitor.set("num-images", num_images)
    visitor.set("seed", seed)
    visitor.generate()


def number(visitor, part):
    return visitor.page.locator(f"#{part} input[type=number]").input_value()


def wait_for_number(visitor, part, value):
    visitor.page.wait_for_function(
        f"document.querySelector('#{part} input[type=number]').value === '{value}'",
    )


def pick(visitor, index, text):
    visitor.page.locator("#images .thumbnail-lg").nth(index).click()
    visitor.wait_for("picked-text", text)


def saved_png(visitor, folder):
    visitor.images()  # the address is good
    path = Path(folder) / "image.png"
    path.write_bytes(visitor.page.request.get(visitor.image_addresses()[-1]).body())
    return path


def test_an_image_gives_its_settings_back(visit):
    visitor = visit()
    make(visitor, "Bee", "Eel", seed=40)
    pick(visitor, 1, "Eel, seed 41")
    visitor.set("seed", 3)
    visitor.set("guidance", 9)
    visitor.page.get_by_role("button", name="Reuse settings").click()
    wait_for_number(visitor, "seed", 41)
    wait_for_number(visitor, "guidance", 4)
    assert "Eel · 4" in visitor.text("classes") and "Bee" not in visitor.text("classes")


def test_an_image_is_varied_with_a_new_seed(visit):
    visitor = visit()
    make(visitor, "Bee", "Eel", seed=40)
    pick(visitor, 0, "Bee, seed 40")
    visitor.page.get_by_role("button", name="New seed").click()
    visitor.page.wait_for_function("document.querySelector('#seed input').value !== '40'")
    visitor.page.locator("#classes .token", has_text="Eel").wait_for(state="detached")
    assert "Bee · 1" in visitor.text("classes")


def test_an_image_shows_its_settings_and_its_scales(visit):
    visitor = visit()
    make(visitor, "Cat", seed=2)
    assert not visitor.page.locator("#recipe").is_visible()
    pick(visitor, 0, "Cat, seed 2")
    shown = " ".join(visitor.text("recipe").removesuffix("Copy").split())
    assert shown == " ".join(visitor.images()[0].text["parameters"].split())
    assert "Cat" in shown and "Model: fruits96" in shown
    visitor.page.locator("#recipe").get_by_role("button", name="Copy").click()
    visitor.wait_for("recipe", "Copied")
    visitor.page.get_by_role("button", name="Scales").click()
    visitor.page.locator("#film-animation img").wait_for()
    source = visitor.page.locator("#film-animation img").get_attribute("src")
    film = Image.open(io.BytesIO(visitor.page.request.get(source).body()))
    assert (film.format, film.n_frames) == ("WEBP", 4) and source.endswith("/cat-seed-2-scales.webp")
    assert visitor.page.locator("#film-strip img").get_attribute("src").endswith("/cat-seed-2-scales.png")
    visitor.page.locator("#scales").click()
    visitor.page.locator("#film").wait_for(state="hidden")


def test_a_run_shows_all_its_images_whichever_was_large_before(visit):
    visitor = visit()
    make(visitor, "Bee", seed=4, num_images=2)
    pick(visitor, 1, "Bee, seed 5")
    with step_by_step() as steps:
        visitor.page.locator("#seed input").fill("20")
        visitor.page.locator("#seed input").press("Tab")
        visitor.page.locator("#generate").click()
        visitor.wait_for("picked-text", "Click an image")
        steps.next()
        visitor.page.locator('#images img[src*="seed-21-scale-1"]').first.wait_for()
        assert all(visitor.page.locator(f"#{part}").is_disabled() for part in ("reuse", "scales", "bundle"))
    visitor.wait_for_finished()
    assert visitor.page.locator("#images .gallery-item").evaluate_all(
        "items => items.every(item => item.checkVisibility())"
    )
    pick(visitor, 1, "Bee, seed 21")
    visitor.page.locator("#reuse").click()
    wait_for_number(visitor, "seed", 21)
    visitor.page.locator("#images").get_by_role("button", name="Close").click()
    visitor.wait_for("picked-text", "Click an image")
    assert visitor.page.locator("#reuse").is_disabled()


def test_images_are_downloaded_under_their_names_enlarged_and_as_zip(visit, tmp_path):
    visitor = visit()
    make(visitor, "Ant", "Cat", seed=6)
    assert not visitor.page.locator(".larger").count()
    pick(visitor, 1, "Cat, seed 7")
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.suggested_filename == "cat-seed-7.png"
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Download 4 times as large, by Lanczos").click()
    assert download.value.suggested_filename == "cat-seed-7-x4.png"
    download.value.save_as(tmp_path / "large.png")
    large, image = Image.open(tmp_path / "large.png"), visitor.images()[1]
    assert large.info["Enlarged"] == "4 times by Lanczos, from 16x16"
    assert large.convert("RGB").tobytes() == image.convert("RGB").resize((64, 64), Image.Resampling.LANCZOS).tobytes()
    assert from_png(large) == from_png(image)
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="All as zip").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        listed = json.loads(archive.read("images.json"))["images"]
        assert "contact_sheet.png" in archive.namelist()
    assert [(image["class_name"], image["seed"]) for image in listed] == [("Ant", 6), ("Cat", 7)]


def test_a_png_restores_its_settings_wherever_it_is_dropped(visit, tmp_path):
    visitor = visit()
    visitor.set("guidance", 2)
    make(visitor, "Dog", seed=77)
    path = saved_png(visitor, tmp_path)
    again = visit()
    again.page.locator("#restore input[type=file]").set_input_files(path)
    again.wait_for("settings-note", "Settings restored.")
    assert (number(again, "seed"), number(again, "guidance"), number(again, "num-images")) == ("77", "2", "1")
    again.generate()
    assert again.images()[0].tobytes() == visitor.images()[0].tobytes()
    again.set("seed", 3)
    assert "restore its settings" in drop(again, path, "#images")
    wait_for_number(again, "seed", 77)
    Image.new("RGB", (8, 8)).save(tmp_path / "foreign.png")
    drop(again, tmp_path / "foreign.png", "#masthead")
    again.wait_for("problem", "There are no settings in this image.")
    again.wait_for("settings-note", "There are no settings in this image.")
    again.page.get_by_role("tab", name="Edit").click()
    assert "to edit it" in drop(again, tmp_path / "foreign.png", "#painter")
    again.wait_for("edit-status", "Paint the part to generate again")


def drop(visitor, path, part):
    """Drop a picture on a part of the page; returns what the page says meanwhile."""
    data = base64.b64encode(path.read_bytes()).decode()
    return visitor.page.locator(part).evaluate(DROP, [data, path.name])


def test_a_png_chooses_its_checkpoint(visit, tmp_path):
    visitor = visit()
    visitor.choose_checkpoint("other.pth")
    visitor.wait_for("found", "epoch 9")
    make(visitor, "Dog", seed=5)
    path = saved_png(visitor, tmp_path)
    again = visit()
    again.page.locator("#restore input[type=file]").set_input_files(path)
    again.wait_for("settings-note", "Chose other.pth")
    again.wait_for("found", "epoch 9")
    assert number(again, "seed") == "5"


def test_a_run_of_the_history_is_shown_again(visit):
    visitor = visit()
    make(visitor, "Ant", seed=1)
    make(visitor, "Bee", "Cat", seed=20)
    visitor.page.get_by_role("tab", name="History").click()
    captions = visitor.page.locator("#history .caption-label")
    expect(captions).to_have_text(["Bee, Cat 2 images, seeds 20 to 21", "Ant 1 image, seed 1"])
    visitor.page.locator("#history .thumbnail-lg").nth(1).click()
    visitor.wait_for("status", "Shown again")
    visitor.wait_for("images", "seed 1")
    pick(visitor, 0, "Ant, seed 1")
    visitor.page.get_by_role("tab", name="History").click()
    visitor.page.locator("#history .thumbnail-lg").first.click()
    visitor.page.locator("#images .gallery-item").nth(1).wait_for()
    visitor.wait_for("picked-text", "Click an image")
    other = visit()
    other.page.get_by_role("tab", name="History").click()
    assert other.page.locator("#history .thumbnail-lg").count() == 0  # it belongs to its session


def test_who_generates_again_at_once_on_a_slow_network_loses_no_run(visit, address):
    config = httpx.get(f"{address}config").json()
    ids = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    takes = {ids["generate"], ids["history"]}
    end = next(event["id"] for event in config["dependencies"] if takes <= set(event["outputs"]))
    held = []

    def hold_the_first(route):
        if not held and f'"fn_index":{end},' in route.request.post_data:
            held.append(route)
        else:
            route.continue_()

    visitor = visit()
    visitor.page.route("**/run/predict", hold_the_first)
    make(visitor, "Ant", seed=1)
    make(visitor, "Bee", seed=2)
    visitor.page.get_by_role("tab", name="History").click()
    captions, both = visitor.page.locator("#history .caption-label"), ["Bee 1 image, seed 2", "Ant 1 image, seed 1"]
    expect(captions).to_have_text(both)
    with visitor.page.expect_response("**/run/predict"):
        held[0].continue_()
    expect(captions).to_have_text(both)


def test_a_link_fills_the_controls(visit):
    visitor = visit("?checkpoint=other.pth&classes=3,none&images=1&seed=8&cfg=1.5", new_seeds=True)
    visitor.wait_for("settings-note", "Settings restored.")
    visitor.wait_for("found", "epoch 9")
    assert (number(visitor, "seed"), number(visitor, "guidance")) == ("8", "1.5")
    visitor.wait_for("status", "from the link, seeds 8 to 9")
    visitor.wait_for_finished()
    assert visitor.captions() == ["Dog, seed 8", "no class, seed 9"]
    visitor.generate()
    assert "link" not in visitor.text("status")


def test_a_link_with_unknown_values_gets_a_quiet_message(visit):
    visitor = visit("?checkpoint=gone.pth&classes=dog,99,unicorn,1&images=3,1,1,2&seed=x")
    visitor.wait_for("settings-note", "gone.pth is not in the list")
    note = visitor.text("settings-note")
    assert "no class 99, unicorn" in note and "left out: seed" in note
    assert visitor.text("problem").strip("i \n") == note  # on the right side, too, where it is in sight
    assert visitor.page.get_by_role("alert").count() == 0
    assert visitor.page.locator("#classes .token").all_inner_texts() == ["Dog · 3", "Bee · 1"]
    assert visitor.page.get_by_label("Images of Dog").input_value() == "3"
    assert visitor.page.get_by_label("Images of Bee").input_value() == "2"


def test_a_link_leaves_out_a_checkpoint_that_others_do_not_have(visit, tmp_path):
    visitor = visit()
    visitor.upload(write_trainer_file(tmp_path / "mine.pth", class_names=NAMES, optimizer=False, epoch=12))
    visitor.wait_for("found", "epoch 12")
    visitor.page.locator("#copy-link").click()
    visitor.wait_for("settings-note", "without the checkpoint: mine.pth (uploaded) is here for this visit alone")
    assert "mine" not in visitor.page.url and "classes=" in visitor.page.url


def test_a_copied_link_brings_the_settings_to_others(visit):
    visitor = visit()
    visitor.choose_classes("Eel")
    visitor.set("seed", 12)
    visitor.page.get_by_role("button", name="Copy link").click()
    visitor.page.wait_for_url(re.compile("seed=12"))
    other = visit("?" + visitor.page.url.split("?")[1])
    wait_for_number(other, "seed", 12)
    other.wait_for("classes", "Eel · 4")


def test_a_reload_keeps_images_history_and_uploads(visit, tmp_path):
    visitor = visit()
    visitor.upload(write_trainer_file(tmp_path / "mine.pth", class_names=NAMES, optimizer=False, epoch=12))
    visitor.wait_for("found", "epoch 12")
    make(visitor, "Bee", seed=4)
    make(visitor, "Cat", seed=5, num_images=2)
    visitor.page.wait_for_function("() => Object.values(sessionStorage).some(text => text.includes('cat-seed-6'))")
    visitor.page.reload()
    visitor.wait_for("status", "seeds 5 to 6")
    visitor.wait_for("found", "epoch 12")
    wait_for_number(visitor, "seed", 5)
    visitor.wait_for("classes", "Cat · 2")
    assert number(visitor, "num-images") == "2"
    assert not visitor.page.locator("#new-seed input").is_checked()
    assert visitor.captions() == ["Cat, seed 5", "Cat, seed 6"] and len(visitor.images()) == 2
    assert "mine.pth (uploaded)" in " ".join(visitor.checkpoints("mine.pth"))
    pick(visitor, 1, "Cat, seed 6")
    visitor.page.locator("#scales").click()
    visitor.page.locator("#film-strip img").wait_for()
    visitor.page.get_by_role("tab", name="History").click()
    visitor.page.locator("#history .thumbnail-lg").nth(1).click()
    visitor.wait_for("images", "seed 4")
    pick(visitor, 0, "Bee, seed 4")
    visitor.page.locator("#reuse").click()
    visitor.wait_for("found", "epoch 12")
    wait_for_number(visitor, "seed", 4)
