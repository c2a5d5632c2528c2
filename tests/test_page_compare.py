"""The Compare tab in a real browser, and the endpoint `/compare`, on tiny random models."""

import io
import json
import re
from contextlib import closing
from zipfile import ZipFile

import pytest
from browser import Visitor, serve
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from tiny import tiny_var_config, write_trainer_file

from var.outputs.recipe import from_png

NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]
MANY_SCALES = tuple(range(1, 13))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "broken.pth").write_bytes(b"PK\x03\x04 and nothing more")
    long = tiny_var_config(patch_nums=MANY_SCALES, vocab_size=64)
    write_trainer_file(folder / "long.pth", class_names=NAMES, var_config=long, optimizer=False)
    write_trainer_file(folder / "ep-10.pth", class_names=NAMES, optimizer=False, seed=1)
    write_trainer_file(folder / "ep-20.pth", class_names=NAMES, optimizer=False, seed=2)
    write_trainer_file(folder / "fruits96.pth", class_names=NAMES, optimizer=False)
    with serve(folder, tmp_path_factory.mktemp("gradio")) as address:
        yield address


@pytest.fixture(scope="module")
def compare(browser, address):
    """Opens the Compare tab."""
    with closing(browser.new_context(viewport={"width": 1280, "height": 900})) as context:
        yield lambda query="": Comparer(context.new_page(), address + query)


@pytest.fixture(scope="module")
def visitor(compare):
    """One for all tests; each says what varies along all directions."""
    return compare()


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False)


class Comparer(Visitor):
    """Someone with the Compare tab open."""

    def __init__(self, page, address):
        super().__init__(page, address)
        page.get_by_role("tab", name="Compare").click()
        page.locator("#compare-plan .plan").wait_for()

    def vary(self, direction, kind, values=None):
        """Choose what varies along a direction; without values those that the page fills in stay."""
        choice = self.page.locator(f"#compare-{direction}-kind")
        field = self.page.locator(f"#compare-{direction}-values textarea")
        if choice.locator("input").input_value() != kind:
            if field.is_enabled():
                field.fill("")
            choice.locator("input").click()
            choice.get_by_role("option", name=kind, exact=True).click()
            filled = "field => field.disabled" if kind == "none" else "field => field.value !== ''"
            self.page.wait_for_function(filled, arg=field.element_handle())
        if values is not None:
            field.fill(values)

    def vary_all(self, columns, rows=("none",), grids=("none",)):
        """Choose what varies along all directions."""
        self.vary("grids", "none")  # no kind stands twice meanwhile
        self.vary("rows", "none")
        self.vary("columns", *columns)
        self.vary("rows", *rows)
        self.vary("grids", *grids)

    def compare(self):
        """Press Compare and wait for the end."""
        self.page.locator("#compare-status .state").evaluate("state => { state.dataset.before = 'yes'; }")
        self.page.locator("#compare-run").click()
        ended = re.compile(r"images? in |Stopped|No images made")
        self.page.locator("#compare-status .state:not([data-before])", has_text=ended).wait_for()
        self.page.locator("#compare-run:not([disabled])").wait_for()

    def images(self):
        """The labels of the images in the grid."""
        buttons = self.page.locator("#compare-grid [data-image]")
        return buttons.evaluate_all("buttons => buttons.map(button => button.getAttribute('aria-label'))")

    def download(self, part):
        """What a button downloads."""
        with self.page.expect_download() as download:
            self.page.locator(f"#{part}").click()
        return download.value.path().read_bytes()


GUIDANCE = ("Guidance", "0, 4")


def test_says_how_many_images_before_the_run(visitor):
    visitor.vary_all(("Seed", "0-4"), ("Class", "Ant, Bee"))
    visitor.wait_for("compare-plan", "10 images")


def test_runs_of_other_tabs_tell_how_long_it_takes(visitor):
    visitor.page.get_by_role("tab", name="Images").click()
    visitor.generate()
    visitor.page.get_by_role("tab", name="Compare").click()
    visitor.wait_for("compare-plan", "about ")


def test_says_what_all_images_share(visitor):
    visitor.vary_all(("Seed", "0, 1"))
    visitor.wait_for("compare-plan", "fruits96.pth · Ant · Guidance 4")


def test_says_what_is_wrong_with_a_value_before_the_run(visitor):
    visitor.vary_all(("Guidance", "0, often"))
    visitor.wait_for("compare-plan", "Guidance: 'often'")


def test_makes_every_combination(visitor):
    visitor.vary_all(("Guidance", "0, 4"), ("Class", "Bee, 4"), ("Top-k", "0, 5"))
    visitor.compare()
    labels = {f"Guidance {g} · Class {c} · Top-k {k}" for g in (0, 4) for c in ("Bee", "Eel") for k in (0, 5)}
    assert set(visitor.images()) == labels


def test_images_that_differ_in_settings_alone_have_files_of_their_own(visitor):
    visitor.vary_all(("Guidance", "0, 1, 100"))
    visitor.compare()
    images = visitor.page.locator("#compare-grid img")
    addresses = images.evaluate_all("images => images.map(image => image.src)")
    assert len({visitor.page.request.get(address).body() for address in addresses}) == 3


def test_checkpoints_are_filled_in_and_loaded_in_turn(visitor):
    visitor.vary_all(("Checkpoint",))
    filled = visitor.page.locator("#compare-columns-values textarea").input_value()
    assert set(filled.split(", ")) == {"ep-10.pth", "ep-20.pth", "long.pth", "fruits96.pth"}
    visitor.compare()
    assert set(visitor.images()) == {f"Checkpoint {name}" for name in ("ep-10", "ep-20", "long", "fruits96")}


def test_a_broken_checkpoint_spoils_only_its_own_images(visitor):
    visitor.vary_all(("Checkpoint", "ep-10.pth, broken.pth"), ("Seed", "0, 1"))
    visitor.compare()
    assert set(visitor.images()) == {"Checkpoint ep-10 · Seed 0", "Checkpoint ep-10 · Seed 1"}
    text = visitor.text("compare-failures")
    assert "2 images not made. broken.pth: " in text and "/" not in text


def test_the_time_is_told_after_a_first_run(visitor):
    visitor.vary_all(GUIDANCE)
    visitor.compare()
    visitor.wait_for("compare-plan", "about ")


def test_the_picture_is_a_png(visitor):
    visitor.vary_all(GUIDANCE)
    visitor.compare()
    picture = Image.open(io.BytesIO(visitor.download("compare-picture")))
    assert picture.format == "PNG" and picture.getpixel((1, 1)) == (250, 250, 248)


def test_the_picture_of_a_dark_page_is_dark(compare):
    visitor = compare("?__theme=dark")
    visitor.vary_all(GUIDANCE)
    visitor.compare()
    assert max(Image.open(io.BytesIO(visitor.download("compare-picture"))).getpixel((1, 1))) < 64


def test_the_zip_has_every_image_with_its_recipe(visitor):
    visitor.vary_all(GUIDANCE)
    visitor.compare()
    archive = ZipFile(io.BytesIO(visitor.download("compare-bundle")))
    listed = json.loads(archive.read("images.json"))["images"]
    assert "comparison.png" in archive.namelist() and [image["cfg_scale"] for image in listed] == [0, 4]
    assert from_png(Image.open(archive.open(listed[1]["file"]))).options.cfg_scale == 4
    assert [image["file"] for image in listed] == ["0000_guidance-0.png", "0001_guidance-4.png"]


def test_a_comparison_is_in_the_history(compare):
    visitor = compare()
    visitor.vary_all(("Checkpoint", "ep-10.pth, ep-20.pth"), ("Guidance", "0, 4"))
    visitor.compare()
    visitor.page.get_by_role("tab", name="History").click()
    runs = visitor.page.locator("#history .thumbnail-lg", has_text="Checkpoint × Guidance\n4 images compared")
    runs.click()
    visitor.wait_for("status", "Shown again")
    labels = [f"Checkpoint {name} · Guidance {scale}" for scale in (0, 4) for name in ("ep-10", "ep-20")]
    assert visitor.captions() == labels
    images = map(visitor.picture, visitor.image_addresses())
    assert [from_png(image).checkpoint for image in images] == ["ep-10.pth", "ep-20.pth"] * 2
    visitor.page.locator("#images .thumbnail-lg").nth(1).click()
    visitor.page.locator("#scales").click()
    visitor.page.locator("#film-strip img").wait_for()  # of the other checkpoint than the one in the settings
    visitor.page.reload()
    visitor.wait_for("status", "From before")
    assert visitor.captions() == labels
    visitor.page.close()


def test_two_images_stand_side_by_side(visitor):
    visitor.vary_all(("Guidance", "0, 1, 4"))
    visitor.compare()
    grid = visitor.page.locator("#compare-grid")
    for label in ("Guidance 4", "Guidance 1", "Guidance 4"):
        grid.get_by_role("button", name=label).click()
        visitor.page.locator(f'#compare-grid [aria-label="{label}"][data-side="B"]').wait_for()
    address = grid.get_by_role("button", name="Guidance 4").locator("img").evaluate("image => image.src")
    name = address.rsplit("/", 1)[-1]
    visitor.page.locator(f'#compare-slider img[src$="{name}"]').first.wait_for()
    assert visitor.page.locator('#compare-grid [data-side="A"]').get_attribute("aria-label") == "Guidance 1"


def test_a_slow_browser_shows_two_images_side_by_side(compare):
    visitor = compare()
    visitor.page.context.new_cdp_session(visitor.page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    visitor.vary_all(("Seed", "5, 6"))
    visitor.compare()
    visitor.wait_for("compare-recipe", "Seed: 6")
    visitor.page.close()


def test_the_settings_of_an_image_come_back(visitor):
    visitor.vary_all(("Seed", "5, 6"))
    visitor.compare()
    visitor.wait_for("compare-recipe", "Seed: 6")
    visitor.page.locator("#compare-restore").click()
    visitor.page.wait_for_function("() => document.querySelector('#seed input').value === '6'")


def test_stop_keeps_what_is_done(visitor):
    visitor.vary_all(("Checkpoint", "long.pth"), ("Seed", "0-63"), ("Top-p", "0.9, 1"))
    visitor.page.locator("#compare-run").click()
    visitor.page.locator("#compare-grid .sheet:has(.waiting) [data-image]").first.wait_for()
    visitor.page.locator("#compare-stop").click()
    visitor.wait_for("compare-status", "Stopped")
    done = int(re.search(r"(\d+) of 128 images are done", visitor.text("compare-status"))[1])
    assert 0 < done < 128 and len(visitor.images()) == done
    visitor.page.locator("#compare-bundle").wait_for()


def test_the_scale_of_the_images_in_progress_is_told(visitor):
    visitor.vary_all(("Checkpoint", "long.pth"), ("Seed", "0-63"))
    visitor.page.locator("#compare-run").click()
    told = re.compile(r"\d+ of 64 images\s+(about \d+ s left · )?scale \d+ of 12")
    visitor.page.locator("#compare-status", has_text=told).wait_for()
    visitor.page.locator("#compare-stop").click()
    visitor.page.locator("#compare-run:not([disabled])").wait_for()


def test_the_endpoint_tells_how_far_it_is(client):
    job = client.submit(x_kind="seed", x_values="0-8", api_name="/compare")
    job.result()
    *running, (picture, _, info) = job.outputs()
    assert [(progress["scale"], progress["images_done"]) for _, _, progress in running] == [
        (scale, done) for done in (0, 8) for scale in (1, 2, 3, 4)
    ]
    assert picture and info["num_images"] == 9


def test_the_endpoint_makes_picture_zip_and_list(client):
    picture, bundle, info = client.predict(
        x_kind="checkpoint",
        x_values="ep-10.pth, broken.pth",
        y_kind="class",
        y_values="Bee, 3",
        seed=7,
        api_name="/compare",
    )
    assert Image.open(picture).format == "PNG"
    listed = json.loads(ZipFile(bundle).read("images.json"))["images"]
    assert [(image["class_name"], image["seed"]) for image in listed] == [("Bee", 7), ("Dog", 7)]
    assert info["num_images"] == 2
    assert [failed["image"] for failed in info["failed"]] == [
        "Checkpoint broken · Class Bee (1)",
        "Checkpoint broken · Class Dog (3)",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x_kind": ""}, "Nothing varies"),
        ({"x_kind": "colour"}, "must be one of checkpoint"),
        ({"x_values": "many"}, "'many'"),
        ({"y_kind": "cfg_scale", "y_values": "1"}, "wo axes are Guidance"),
        ({"y_kind": "seed", "y_values": "0-63", "z_kind": "top_k", "z_values": "0-9"}, "at most 256"),
        ({"class_label": 9}, "class label must be 0 to 4"),
        ({"checkpoint": "missing.pth"}, "no checkpoint missing.pth"),
        ({"x_kind": "checkpoint", "x_values": "broken.pth"}, "broken.pth: "),
    ],
)
def test_the_endpoint_refuses_in_one_line(client, arguments, message):
    with pytest.raises(AppError) as refused:
        client.predict(**arguments, api_name="/compare")
    assert message in str(refused.value).replace("&#x27;", "'") and "\n" not in str(refused.value)
