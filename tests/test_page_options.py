"""What the person who starts the server decides, and what its folder and memory allow, as visitors meet it."""

import pytest
import torch
from browser import serve
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from tiny import write_trainer_file

from var.checkpoints.checkpoint import read_checkpoint
from var.checkpoints.memory import need
from var.engine.models import Models
from var.ui.options import PageOptions


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "other.pth", seed=9, optimizer=False)
    write_trainer_file(folder / "fruits96.pth", optimizer=False)
    return folder


@pytest.fixture(scope="module")
def address(checkpoints, tmp_path_factory):
    options = PageOptions(uploads=False, hub=False, exports=False, keep=2)
    with serve(checkpoints, tmp_path_factory.mktemp("gradio"), options) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False)


def test_what_is_forbidden_is_not_shown_and_images_are_made_all_the_same(visit):
    visitor = visit()
    assert visitor.page.locator("#details").is_visible()
    assert not any(visitor.page.locator(f"#{part}").is_visible() for part in ("upload", "hub", "export"))
    visitor.generate()
    assert len(visitor.captions()) == 8


def test_two_models_stay_in_memory(visit):
    visitor = visit()
    visitor.choose_checkpoint("other.pth")
    visitor.generate()
    for name in ("fruits96.pth", "other.pth"):
        visitor.choose_checkpoint(name)
        visitor.wait_for("found", "in memory")
        assert visitor.text("found").count("loads on the first run") == 0


@pytest.mark.parametrize(
    ("endpoint", "others"), [("/inspect", {}), ("/generate", {"class_labels": [0]}), ("/compare", {})]
)
def test_endpoints_take_no_uploaded_checkpoint(client, checkpoints, endpoint, others):
    with pytest.raises(AppError, match="takes no uploaded checkpoints"):
        client.predict(checkpoint=handle_file(checkpoints / "other.pth"), **others, api_name=endpoint)


def test_the_endpoint_exports_nothing(client):
    with pytest.raises(AppError, match="hands out no weights"):
        client.predict(checkpoint="other.pth", api_name="/export")


@pytest.fixture
def little_memory(checkpoints, monkeypatch):
    """As much free memory as the file large.pth needs in bfloat16."""
    path = write_trainer_file(checkpoints / "large.pth", seed=3, optimizer=False)
    needed = need(read_checkpoint(path), dtype=torch.bfloat16).total
    monkeypatch.setattr(Models, "_held", lambda models: 0)
    monkeypatch.setattr("var.engine.models.available", lambda device: needed)
    yield
    path.unlink()


@pytest.mark.usefixtures("little_memory")
def test_what_does_not_fit_is_loaded_in_the_precision_offered(visit):
    visitor = visit()
    visitor.choose_checkpoint("large.pth")
    visitor.wait_for("checkpoint-problem", "large.pth: The model needs")
    visitor.page.get_by_role("button", name="Load in bfloat16").click()
    visitor.wait_for("found", "CPU, bfloat16")
    assert visitor.page.locator("#checkpoint input").input_value().startswith("large.pth ")
    assert not visitor.page.locator("#offer").is_visible()
    visitor.page.wait_for_function("() => !document.querySelector('#checkpoint-problem').innerText.trim()")
    visitor.generate()
