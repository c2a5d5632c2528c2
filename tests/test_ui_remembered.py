"""What a browser's tab remembers of a visit, and what of it is believed."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from var.engine.catalog import Catalog
from var.engine.models import Loading
from var.engine.uploads import UploadLimits, Uploads
from var.outputs.recipe import Recipe, save_png
from var.sampling.options import SamplingOptions
from var.ui.history.kept_runs import KeptRun, Source
from var.ui.history.remembered import MOST_LETTERS, from_text, to_text

RECIPE = Recipe(SamplingOptions((1,), (5,)), "Bee", "a.pth", "0123456789", 16, 4, "cpu", "float32")


@pytest.fixture
def cache(tmp_path):
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def catalog(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "a.pth").touch()
    return Catalog(tmp_path / "checkpoints", Uploads(tmp_path / "cache" / "uploads"))


def upload(catalog, name):
    with catalog.uploads.receive("visitor") as receiving:
        (receiving.folder / name).touch()
    return receiving.folder / name


def write_run(folder, catalog, checkpoint="a.pth"):
    files = [folder / "bee.png", folder / "thumbnail.jpg"]
    save_png(files[0], Image.new("RGB", (16, 16)), RECIPE)
    Image.new("RGB", (16, 16)).save(files[1])
    source = Source(checkpoint, catalog.folder / checkpoint, Loading("raw", "bfloat16", num_heads=2))
    return KeptRun((source,), (str(files[0]),), (RECIPE,), (None,), str(files[1]))


def test_a_run_comes_back(catalog, cache):
    run = write_run(cache, catalog)
    (found,), uploads = from_text(to_text([run], {}), catalog, cache)
    assert (found.sources, found.files, found.thumbnail) == (run.sources, run.files, run.thumbnail)
    assert (found.recipes, found.title, found.labels, uploads) == ((RECIPE,), "", (), {})


def test_a_comparison_of_checkpoints_comes_back(catalog, cache):
    (catalog.folder / "b.pth").touch()
    one, other = (Source(name, catalog.folder / name, Loading()) for name in ("a.pth", "b.pth"))
    run = write_run(cache, catalog)
    run = replace(run, files=run.files * 3, sources=(one, other, one), title="Checkpoint", labels=("a", "b", "a again"))
    (found,), _ = from_text(to_text([run], {}), catalog, cache)
    assert (found.sources, found.title, found.labels) == (run.sources, run.title, run.labels)
    assert found.shown == list(zip(run.files, run.labels, strict=True))


def test_an_upload_comes_back(catalog, cache):
    path = upload(catalog, "mine.pth")
    uploads = {"mine.pth (uploaded)": str(path), "gone.pth": str(path.parent / "gone.pth")}
    run = write_run(cache, catalog, "mine.pth (uploaded)")
    (found,), kept = from_text(to_text([run], uploads), catalog, cache)
    assert kept == {"mine.pth (uploaded)": str(path)} and found.sources[0].path == path


def test_no_upload_comes_back_where_none_are_taken(catalog, cache):
    catalog.uploads.limits = UploadLimits(checkpoints=False)
    assert from_text(to_text([], {"mine.pth": str(upload(catalog, "mine.pth"))}), catalog, cache) == ([], {})


def test_images_stay_when_their_checkpoint_is_gone(catalog, cache):
    (found,), _ = from_text(to_text([write_run(cache, catalog, "gone.pth")], {}), catalog, cache)
    assert found.sources[0].path is None and found.sources[0].checkpoint == "gone.pth"


def test_a_run_whose_images_are_gone_is_left_out(catalog, cache):
    run = write_run(cache, catalog)
    (cache / "bee.png").unlink()
    assert from_text(to_text([run], {}), catalog, cache) == ([], {})


def test_files_of_other_folders_are_not_looked_at(catalog, cache, tmp_path):
    run = write_run(tmp_path, catalog)
    inside = upload(catalog, "mine.pth").parent
    (cache / "made.pth").touch()
    (inside / "link.pth").symlink_to(catalog.folder / "a.pth")
    secret = {"mine.pth": str(catalog.folder / "a.pth"), "up.pth": f"{inside}/../../../checkpoints/a.pth"}
    secret |= {"made.pth": str(cache / "made.pth"), "link.pth": str(inside / "link.pth")}
    assert from_text(to_text([run], secret), catalog, cache) == ([], {})


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
        json.dumps({"runs": [], "uploads": {"a": 3, "b": "\0"}}),
        json.dumps({"runs": [], "uploads": []}),
    ],
)
def test_what_no_tab_tells_is_nothing(text, catalog, cache):
    assert from_text(text, catalog, cache) == ([], {})


@pytest.mark.parametrize(
    "changes",
    [
        {"images": 3},
        {"images": []},
        {"images": ["bee.png"]},
        {"images": [[1, 0]]},
        {"images": [["CACHE/" + "a" * 300, 0]]},
        {"sources": []},
        {"sources": 3},
        {"sources": [["a.pth"]]},
        {"sources": [[3, None, None]]},
        {"sources": [[["a.pth"], None, None]]},
        {"thumbnail": None},
        {"title": None},
        {"labels": None},
        {"labels": [3]},
        {"labels": ["one", "too many"]},
    ],
)
def test_a_run_that_is_none_is_left_out(catalog, cache, changes):
    told = json.loads(to_text([write_run(cache, catalog)], {}))
    told["runs"].insert(0, told["runs"][0] | changes)
    (found,), _ = from_text(json.dumps(told).replace("CACHE", str(cache)), catalog, cache)
    assert found.files == (str(cache / "bee.png"),)


def test_uploads_come_back_beside_runs_of_another_version(catalog, cache):
    uploads = {"mine.pth (uploaded)": str(upload(catalog, "mine.pth"))}
    text = json.dumps({"runs": [{"files": [], "checkpoint": "a.pth"}], "uploads": uploads})
    assert from_text(text, catalog, cache) == ([], uploads)


def test_labels_from_a_browser_are_one_line_of_letters(catalog, cache):
    run = replace(write_run(cache, catalog), title="A\n" * 300, labels=("\ud800\n" * 300 + " · Seed 1",))
    (found,), _ = from_text(to_text([run], {}), catalog, cache)
    assert "\n" not in found.title + found.labels[0]
    (found.title + found.labels[0]).encode()


def test_the_oldest_of_very_many_runs_are_not_told(catalog, cache):
    run = write_run(cache, catalog)
    many = replace(run, files=run.files * 256, sources=run.sources * 256, labels=("a long label " * 20,) * 256)
    text = to_text([many] * 50, {})
    assert len(text) <= MOST_LETTERS and 5 < len(json.loads(text)["runs"]) < 50
