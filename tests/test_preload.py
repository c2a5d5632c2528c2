"""The checkpoint that a server is started for."""

import threading
import time

import pytest
from tiny import write_trainer_file

from var.engine.catalog import Catalog
from var.engine.local import LocalEngine
from var.engine.preload import Preload
from var.errors import CheckpointError


@pytest.fixture
def folder(tmp_path):
    write_trainer_file(tmp_path / "fruits96.pth", optimizer=False)
    write_trainer_file(tmp_path / "other.pth", optimizer=False)
    return tmp_path


def over(preload, catalog):
    """Run to the end; returns what was said on the way."""
    preload.begin()
    assert preload.wait(60)
    return catalog.coming


def test_pages_open_with_a_file_of_the_folder_once_it_is_loaded(folder):
    catalog, engine = Catalog(folder), LocalEngine(folder, "cpu")
    assert catalog.default() == "fruits96.pth"
    assert over(Preload("other.pth", catalog, engine, None), catalog) == ""
    assert catalog.default() == "other.pth" and engine.resident(folder / "other.pth") is not None
    assert catalog.names().count("other.pth") == 1


def test_what_is_fetched_is_said_and_then_offered_to_everybody(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("cache") / "model.pth"
    (folder / "other.pth").rename(elsewhere)
    catalog, may_go_on = Catalog(folder), threading.Event()

    def fetch(source, report):
        report(1_000_000, 4_000_000)
        assert may_go_on.wait(60)
        return "owner/repo/model.pth", elsewhere

    preload = Preload("hf://owner/repo/model.pth", catalog, LocalEngine(folder, "cpu"), fetch)
    assert "hf://owner/repo/model.pth is being fetched" in catalog.coming
    preload.begin()
    while "1.0 MB of 4.0 MB" not in catalog.coming:
        time.sleep(0.01)
    assert not preload.is_over and catalog.default() == "fruits96.pth"
    may_go_on.set()
    assert preload.wait(60) and catalog.coming == ""
    assert catalog.default() == "owner/repo/model.pth" and catalog.resolve("owner/repo/model.pth") == elsewhere


@pytest.mark.parametrize("error", [CheckpointError("/secret/x.pth: gone"), RuntimeError("a fault")])
def test_what_cannot_be_had_is_said_and_the_page_stays_as_it_was(folder, error):
    def fetch(source, report):
        raise error

    catalog = Catalog(folder)
    said = over(Preload("hf://owner/repo/a.pth", catalog, LocalEngine(folder, "cpu"), fetch), catalog)
    assert said == "hf://owner/repo/a.pth cannot be loaded." and catalog.default() == "fruits96.pth"
