"""What a browser's tab remembers of a visit, and what of it is believed."""

import json

import pytest
from PIL import Image

from var.options import SamplingOptions
from var.recipe import Recipe, save_png
from var.ui.catalog import Catalog
from var.ui.history import KeptRun
from var.ui.models import Loading
from var.ui.visit import from_text, to_text

RECIPE = Recipe(SamplingOptions((1,), (5,)), "Bee", "a.pth", "0123456789", 16, 4, "cpu", "float32")


@pytest.fixture
def cache(tmp_path):
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def catalog(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "a.pth").touch()
    return Catalog(tmp_path / "checkpoints")


def write_run(folder, catalog, checkpoint="a.pth"):
    files = [folder / "bee.png", folder / "thumbnail.jpg"]
    save_png(files[0], Image.new("RGB", (16, 16)), RECIPE)
    Image.new("RGB", (16, 16)).save(files[1])
    path = catalog.folder / checkpoint
    return KeptRun(checkpoint, path, Loading("raw", "bfloat16"), (str(files[0]),), (RECIPE,), (None,), str(files[1]))


def test_a_run_comes_back(catalog, cache):
    run = write_run(cache, catalog)
    (found,), uploads = from_text(to_text([run], {}), catalog, cache)
    assert (found.checkpoint, found.path, found.files, found.thumbnail) == (
        "a.pth",
        run.path,
        run.files,
        run.thumbnail,
    )
    assert (found.recipes, found.loading, uploads) == ((RECIPE,), Loading("raw", "bfloat16"), {})


def test_an_upload_comes_back(catalog, cache):
    (cache / "mine.pth").touch()
    uploads = {"mine.pth (uploaded)": str(cache / "mine.pth"), "gone.pth": str(cache / "gone.pth")}
    run = write_run(cache, catalog, "mine.pth (uploaded)")
    (found,), kept = from_text(to_text([run], uploads), catalog, cache)
    assert kept == {"mine.pth (uploaded)": str(cache / "mine.pth")} and found.path == cache / "mine.pth"


def test_images_stay_when_their_checkpoint_is_gone(catalog, cache):
    (found,), _ = from_text(to_text([write_run(cache, catalog, "gone.pth")], {}), catalog, cache)
    assert found.path is None and found.checkpoint == "gone.pth"


def test_a_run_whose_images_are_gone_is_left_out(catalog, cache):
    run = write_run(cache, catalog)
    (cache / "bee.png").unlink()
    assert from_text(to_text([run], {}), catalog, cache) == ([], {})


def test_files_of_other_folders_are_not_looked_at(catalog, cache, tmp_path):
    run = write_run(tmp_path, catalog)
    secret = {"mine.pth": str(catalog.folder / "a.pth"), "up.pth": f"{cache}/../checkpoints/a.pth"}
    assert from_text(to_text([run], secret), catalog, cache) == ([], {})
    (cache / "link.pth").symlink_to(catalog.folder / "a.pth")
    assert from_text(to_text([], {"mine.pth": str(cache / "link.pth")}), catalog, cache) == ([], {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "3",
        "{",
        "{}",
        "[" * 100_000,
        json.dumps({"runs": 3, "uploads": {}}),
        json.dumps({"runs": [3], "uploads": {}}),
        json.dumps({"runs": [{"files": [1], "thumbnail": None}], "uploads": {}}),
        json.dumps({"runs": [], "uploads": {"a": 3, "b": "\0"}}),
        json.dumps({"runs": [], "uploads": []}),
    ],
)
def test_what_no_tab_tells_is_nothing(text, catalog, cache):
    assert from_text(text, catalog, cache) == ([], {})
