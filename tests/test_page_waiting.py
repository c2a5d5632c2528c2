"""What people do while their run waits or goes on, in a real browser: none of it gets into the run, nothing blocks."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event, Semaphore

import httpx
import pytest
from browser import PATIENCE, Visitor, answers_held_back, hold_the_stream, serve, step_by_step
from PIL import Image
from tiny import tiny_var_config, write_trainer_file

from var import VARPipeline
from var.engine.models import Models
from var.outputs.recipe import from_png
from var.ui import listeners
from var.ui.checkpoint import panel as checkpoint_panel
from var.ui.checkpoint.view import CheckpointView

NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    small = tiny_var_config(vocab_size=64, num_classes=3)
    write_trainer_file(folder / "small.pth", var_config=small, optimizer=False, seed=3)
    write_trainer_file(folder / "fruits96.pth", class_names=NAMES, optimizer=False)
    return folder


@pytest.fixture(scope="module")
def address(checkpoints, tmp_path_factory):
    with serve(checkpoints, tmp_path_factory.mktemp("gradio")) as address:
        yield address


@pytest.fixture(scope="module")
def somebody(browser, address):
    """Somebody else, who has the page open all the time."""
    with closing(browser.new_context()) as context:
        yield Visitor(context.new_page(), address)


@pytest.fixture
def other_run(somebody):
    """Somebody else's run, which waits at its first scale."""
    is_ready(somebody)  # the run of the test before is over
    somebody.generate()  # so that the runs that others left behind are over
    with step_by_step() as steps:
        start(somebody, steps)
        yield steps


def start(visitor, steps):
    """Let a visitor's run make its first scale."""
    visitor.page.locator("#generate").click()
    steps.next()
    visitor.wait_for("status", "Scale")


def wait_in_line(visitor, prefix=""):
    visitor.page.locator(f"#{prefix}generate").click()
    visitor.wait_for(f"{prefix}status", "1 run before yours")


def is_ready(visitor, prefix=""):
    visitor.page.locator(f"#{prefix}generate:not([disabled])").wait_for()


def test_stop_leaves_the_line_at_once(visit, other_run):
    second, third = visit(), visit()
    wait_in_line(second)
    third.page.locator("#generate").click()
    third.wait_for("status", "2 runs before yours")
    second.page.locator("#stop").click()
    second.wait_for("status", "Stopped")
    is_ready(second)
    third.wait_for("status", "1 run before yours")


def test_who_waits_comes_next_when_the_run_before_is_stopped(visit):
    first, second = visit(), visit()
    first.generate()
    with step_by_step() as steps:
        start(first, steps)
        wait_in_line(second)
        first.page.locator("#stop").click()
        first.page.locator("#stop[disabled]").wait_for()
        steps.go_on()
        first.wait_for("status", "Stopped")
        second.wait_for("status", "8 images in")


def test_generates_again_after_a_stop_in_the_line(visit, other_run):
    visitor = visit()
    visitor.choose_classes("Bee")
    wait_in_line(visitor)
    visitor.page.locator("#stop").click()
    visitor.wait_for("status", "Stopped")
    visitor.choose_classes("Cat")
    wait_in_line(visitor)
    other_run.go_on()
    visitor.wait_for("status", "2 images in")
    assert [caption.split(",")[0] for caption in visitor.captions()] == ["Cat", "Cat"]
    is_ready(visitor)


def test_what_is_changed_in_the_line_does_not_get_into_the_run(visit, other_run):
    visitor = visit()
    visitor.choose_classes("Eel")
    visitor.set("top-k", 40)
    visitor.set("seed", 5)
    wait_in_line(visitor)
    visitor.set("top-k", 3)
    visitor.choose_checkpoint("small.pth")
    visitor.wait_for("classes", "class 0 · 0")
    other_run.go_on()
    visitor.wait_for("status", "2 images in")
    visitor.wait_for_finished()
    recipe = from_png(visitor.images()[0])
    assert (recipe.class_name, recipe.options.top_k, recipe.seed, recipe.checkpoint) == ("Eel", 40, 5, "fruits96.pth")
    is_ready(visitor)
    visitor.page.locator("#classes input").click()
    assert "class 1 · 1" in visitor.page.locator("#classes").get_by_role("option").nth(1).inner_text()
    visitor.page.keyboard.press("Escape")
    visitor.generate()
    assert visitor.captions()[0].startswith("class 0")


def test_an_image_that_comes_in_the_line_does_not_get_into_the_edit(visit, other_run, checkpoints, tmp_path):
    visitor = visit()
    page = visitor.page
    page.get_by_role("tab", name="Edit").click()
    for name, color in (("first", "white"), ("second", "black")):
        Image.new("RGB", (16, 16), color).save(tmp_path / f"{name}.png")
    page.locator("#edit-upload input[type=file]").set_input_files(tmp_path / "first.png")
    page.locator(".painter.loaded").wait_for()
    page.locator("#painter").get_by_role("button", name="Left", exact=True).click()
    visitor.set("num-images", 1)
    visitor.choose_classes("Ant")
    wait_in_line(visitor, "edit-")
    page.locator("#edit-upload input[type=file]").set_input_files(tmp_path / "second.png")
    page.wait_for_function("!document.querySelector('#edit-upload button[aria-label*=Remove]')")
    other_run.go_on()
    visitor.wait_for("edit-status", "1 image in")
    image = page.locator("#edit-images img[src$='.png']").first
    image.wait_for()
    made = visitor.picture(image.get_attribute("src")).convert("RGB")
    keep = Image.new("L", (2, 1))
    keep.putpixel((1, 0), 255)
    pipe = VARPipeline.from_checkpoint(checkpoints / "fruits96.pth", device="cpu")
    expected = pipe.edit(Image.open(tmp_path / "first.png"), keep, [0], seed=[0], paste=True).images[0]
    assert made.tobytes() == expected.tobytes()


def test_a_comparison_stopped_in_the_line_keeps_the_one_before(visit):
    visitor = visit()
    page = visitor.page
    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare-run").click()
    visitor.wait_for("compare-status", "16 images in")
    page.locator("#compare-run:not([disabled])").wait_for()
    with step_by_step() as steps:
        start(visit(), steps)
        page.locator("#compare-run").click()
        visitor.wait_for("compare-status", "1 run before yours")
        page.locator("#compare-stop").click()
        visitor.wait_for("compare-status", "Stopped")
        page.locator("#compare-run:not([disabled])").wait_for()
    assert page.locator("#compare-grid [data-image]").count() == 16 and page.locator("#compare-pair").is_visible()


def test_a_run_of_the_history_looked_at_meanwhile_gives_way(visit):
    visitor = visit()
    visitor.choose_classes("Bee")
    visitor.set("num-images", 1)
    visitor.generate()
    visitor.choose_classes("Cat")
    with step_by_step() as steps:
        start(visitor, steps)
        visitor.page.get_by_role("tab", name="History").click()
        visitor.page.locator("#history .thumbnail-lg").first.click()
        visitor.wait_for("status", "Shown again")
        steps.next()
        visitor.page.locator("#images img[src*='cat-seed-0-scale-']").first.wait_for()
        visitor.page.locator("#images .thumbnail-lg").first.click()
        assert visitor.page.locator("#download").is_disabled()
    visitor.wait_for("picked-text", "Cat, seed 0")


@pytest.mark.parametrize("listed_again", [False, True])
def test_a_chosen_file_that_disappears_blocks_nothing(visit, checkpoints, listed_again):
    path = write_trainer_file(checkpoints / "fleeting.pth", optimizer=False)
    visitor = visit()
    visitor.choose_checkpoint("fleeting.pth")
    visitor.wait_for("classes", "class 0 · 0")
    path.unlink()
    if listed_again:
        visitor.page.locator("#checkpoint input").click()
        visitor.page.locator("#checkpoint").get_by_role("option", name="fleeting.pth").wait_for(state="detached")
        visitor.page.keyboard.press("Escape")
    visitor.page.locator("#generate").click()
    visitor.wait_for("problem", "There is no checkpoint fleeting.pth")
    is_ready(visitor)
    visitor.choose_checkpoint("fruits96.pth")
    visitor.wait_for("classes", "Ant · 0")
    visitor.generate()
    assert len(visitor.captions()) == 8


def test_the_status_of_a_wait_stays_when_another_checkpoint_is_chosen(visit, other_run):
    visitor = visit()
    wait_in_line(visitor)
    visitor.choose_checkpoint("small.pth")
    visitor.wait_for("classes", "class 0 · 0")
    assert "1 run before yours" in visitor.text("status")


def test_a_checkpoint_is_looked_into_while_somebody_computes(visit, other_run, checkpoints):
    path = write_trainer_file(checkpoints / "unknown.pth", optimizer=False, epoch=77)
    visitor = visit()
    visitor.choose_checkpoint("unknown.pth")
    visitor.wait_for("found", "epoch 77")
    visitor.choose_checkpoint("fruits96.pth")
    visitor.wait_for("found", "epoch 3")
    other_run.go_on()
    visitor.generate()
    path.unlink()
    assert from_png(visitor.images()[0]).checkpoint == "fruits96.pth" and "epoch 3" in visitor.text("found")


def test_calls_of_sessions_that_nobody_has_leave_the_line(visit, address, other_run, monkeypatch):
    monkeypatch.setattr(listeners, "LOOK_SECONDS", 0.1)
    in_line, events = Semaphore(0), listeners.Listeners.events
    monkeypatch.setattr(listeners.Listeners, "events", lambda *of_job: in_line.release() or events(*of_job))
    visitor, values = visit(), [[1], "", 1, 0, 4, 900, 0.95, False, 1, "ramp", 0, 0, None, 0]
    for _ in range(3):
        assert visitor.page.request.post(f"{address}gradio_api/call/generate", data={"data": values}).ok
        assert in_line.acquire(timeout=PATIENCE / 1000)
    visitor.page.locator("#generate").click()
    visitor.wait_for("status", "4 runs before yours")
    monkeypatch.setattr(listeners, "MAX_SILENCE", 0)
    visitor.wait_for("status", "1 run before yours")


def test_who_unloads_during_a_run_holds_up_nobody(visit, address, other_run):
    config = httpx.get(f"{address}config").json()
    button = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "unload")
    unload = next(event["id"] for event in config["dependencies"] if [button, "click"] in event["targets"])

    def press(number):
        call = {"fn_index": unload, "data": [], "session_hash": f"visitor{number}"}
        return client.post(f"{address}gradio_api/run/predict", json=call).status_code

    with httpx.Client(timeout=PATIENCE / 1000) as client, ThreadPoolExecutor(45) as pool:  # more than there are threads
        pressed = [pool.submit(press, number) for number in range(45)]
        visitor = visit()
        wait_in_line(visitor)
        assert not any(one.done() for one in pressed)
        other_run.go_on()
        visitor.wait_for("status", "images in")
        assert {one.result() for one in pressed} == {200}


def test_a_run_is_heard_of_that_begins_while_a_slow_network_closes_the_stream(browser, address):
    with closing(browser.new_context()) as context:
        hold_the_stream(context, "close_stream")
        visitor = Visitor(context.new_page(), address)
        visitor.page.wait_for_function("() => window.release")  # the server has closed the stream of opening the page
        with visitor.page.expect_response(lambda response: response.url.endswith("/queue/join?")):
            visitor.page.locator("#generate").click()
        visitor.page.evaluate("window.release()")
        visitor.wait_for("status", "images in")


def test_an_image_that_is_clicked_as_its_run_ends_stays_clicked(visit):
    visitor = visit()
    with answers_held_back(visitor.page, "images, seeds") as wait_for_answer:  # as the history has it
        visitor.page.locator("#generate").click()
        visitor.wait_for("status", "images in")
        visitor.page.locator("#images .thumbnail-lg").nth(1).click()
        visitor.page.locator("#download:not([disabled])").wait_for()
        wait_for_answer()
    is_ready(visitor)
    assert visitor.page.locator("#download").is_enabled()
    assert "seed 1" in visitor.text("picked-text")


def test_an_upload_is_not_given_up_for_what_the_page_shows_meanwhile(visit, tmp_path, monkeypatch):
    told, may_go_on = Event(), Event()
    choose, picked_another = checkpoint_panel.choose, CheckpointView.picked_another

    def choose_slowly(catalog, engine, name, *others):
        if name == "second.pth (uploaded)":
            assert may_go_on.wait(PATIENCE / 1000)
        return choose(catalog, engine, name, *others)

    def tell(view, session, name):
        told.set()
        return picked_another(view, session, name)

    monkeypatch.setattr(checkpoint_panel, "choose", choose_slowly)
    monkeypatch.setattr(CheckpointView, "picked_another", tell)
    visitor, held = visit(), []

    def is_of_the_first(request):
        return '"data":["first.pth (uploaded)"' in (request.post_data or "")

    def hold(route):
        held.append(route) if is_of_the_first(route.request) else route.continue_()

    visitor.page.route("**/queue/join?*", hold)
    with visitor.page.expect_request(is_of_the_first):  # the page's word that it shows the first one now
        visitor.upload(write_trainer_file(tmp_path / "first.pth", optimizer=False))
    visitor.page.locator("#found", has_not_text="Reading").wait_for()
    visitor.upload(write_trainer_file(tmp_path / "second.pth", optimizer=False))
    visitor.wait_for("found", "Reading second.pth")
    held[0].continue_()
    assert told.wait(PATIENCE / 1000)
    may_go_on.set()
    visitor.page.wait_for_function(
        """() => document.querySelector("#checkpoint input").value.startsWith("second.pth (uploaded)")"""
    )


def test_what_is_wrong_stays_told_when_the_upload_before_it_is_over(visit, tmp_path, monkeypatch):
    may_load, loaded, load = Event(), Event(), Models._load

    def load_late(models, path, loading):
        if path.name != "silent.pth":
            return load(models, path, loading)
        assert may_load.wait(PATIENCE / 1000)
        pipeline = load(models, path, loading)
        loaded.set()
        return pipeline

    monkeypatch.setattr(Models, "_load", load_late)
    visitor = visit()
    silent = tiny_var_config(attn_l2_norm=False)  # the file does not tell the number of heads
    visitor.upload(write_trainer_file(tmp_path / "silent.pth", var_config=silent, optimizer=False))
    visitor.wait_for("found", "1 are assumed")
    visitor.unfold("details")
    heads = visitor.page.locator("#heads input")
    heads.fill("3")
    heads.press("Enter")
    visitor.wait_for("checkpoint-problem", "cannot be shared by 3 attention heads")
    may_load.set()
    assert loaded.wait(PATIENCE / 1000)
    visitor.page.wait_for_timeout(500)  # by then the page has heard that the upload is over
    assert "3 attention heads" in visitor.text("checkpoint-problem")
