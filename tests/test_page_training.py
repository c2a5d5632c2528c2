"""The training of a checkpoint on the page, while it goes on."""

import json
import re

import pytest
from browser import serve
from PIL import Image
from tiny import write_trainer_file

from var.ui.checkpoint import training


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "fruits96.pth", optimizer=False)
    run = folder / "runs"
    (run / "samples").mkdir(parents=True)
    write_trainer_file(run / "ar-ckpt-last.pth", optimizer=False)
    (run / "options.json").write_text('{"epochs": 10}')
    tell(run, 0, loss=6.0)
    sheet(run, 1)
    return run


@pytest.fixture(scope="module")
def address(run, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LOOK_SECONDS", 0.3)
        with serve(run.parent, tmp_path_factory.mktemp("gradio")) as address:
            yield address


def tell(run, epoch, **values):
    with (run / "log.jsonl").open("a") as file:
        file.write(json.dumps({"stage": "transformer", "step": 10 * epoch + 10, "epoch": epoch, **values}) + "\n")


def sheet(run, epoch):
    Image.effect_noise((80, 40), epoch).convert("RGB").save(run / "samples" / f"transformer-{epoch:04d}.png")


def test_a_training_is_followed_without_a_reload(visit, run):
    visitor = visit()
    assert not visitor.page.locator("#training").is_visible()
    visitor.choose_checkpoint("runs/ar-ckpt-last.pth")
    visitor.wait_for("training", "In training: epoch 1 of 10")
    picture = visitor.page.get_by_role("img", name="Samples after epoch 1, large")
    assert visitor.picture(picture.evaluate("image => image.src")).size == (80, 40)
    tell(run, 1, loss=5.25)
    tell(run, 1, val_loss=5.5)
    sheet(run, 2)
    visitor.wait_for("training", "epoch 2 of 10")
    visitor.page.get_by_role("img", name="Samples after epoch 2, large").wait_for()
    visitor.wait_for("training", "training 5.250")
    visitor.wait_for("training", "held out 5.500")
    curves = visitor.page.locator("#training").get_by_role("img", name=re.compile("Token loss of the transformer"))
    assert curves.locator("polyline").count() == 2
    visitor.choose_checkpoint("fruits96.pth")
    visitor.page.locator("#training").wait_for(state="hidden")
