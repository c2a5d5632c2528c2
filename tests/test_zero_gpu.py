"""The page on a Space with ZeroGPU, for which a stand-in forks, pickles and runs in a thread as `spaces` does."""

import json
import os
from pathlib import Path

import pytest
from app_process import serving_app
from tiny import write_trainer_file

from var import VARPipeline
from var.engine.choose import create_engine
from var.engine.zero_gpu import MAX_SECONDS, SECONDS_TO_START, seconds_for
from var.outputs.recipe import from_png

STAND_INS = Path(__file__).parent / "stand_ins"
NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "other.pth", class_names=NAMES, optimizer=False, seed=3)
    write_trainer_file(folder / "fruits96.pth", class_names=NAMES, optimizer=False)
    return folder


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """The folder by which the stand-in is led."""
    return tmp_path_factory.mktemp("space")


@pytest.fixture(scope="module")
def address(checkpoints, space, tmp_path_factory):
    environment = {
        "PYTHONPATH": str(STAND_INS),
        "SPACES_ZERO_GPU": "true",
        "SPACES_FOLDER": str(space),
        "GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("gradio")),
        "VAR_CHECKPOINTS": str(checkpoints),
        "VAR_DEVICE": "cpu",
        "VAR_MAX_OPERATIONS": "0.0007",  # nine images
        "OMP_NUM_THREADS": "2",
    }
    with serving_app(environment=os.environ | environment) as address:
        yield address


def runs(space):
    """What the stand-in has written down of each run that is over."""
    return [json.loads(line) for line in (space / "runs").read_text().splitlines()]


def as_made_here(visitor, path):
    """Whether the images are those that the pipeline of a file makes of their recipes."""
    pipeline = VARPipeline.from_checkpoint(path, device="cpu")
    images = visitor.images()
    assert images
    return all(pipeline(**from_png(image).arguments).images[0].tobytes() == image.tobytes() for image in images)


def test_runs_of_two_checkpoints_are_made_in_a_fork_and_what_they_cost_is_said(visit, space, checkpoints):
    visitor = visit()
    visitor.choose_classes("Bee", "Cat")
    visitor.generate()
    assert as_made_here(visitor, checkpoints / "fruits96.pth")
    visitor.choose_checkpoint("other.pth")
    visitor.wait_for("found", "other.pth")
    visitor.generate()
    assert as_made_here(visitor, checkpoints / "other.pth")
    assert [run["closed"] for run in runs(space)] == [False, False]
    assert all(SECONDS_TO_START <= run["seconds"] <= MAX_SECONDS for run in runs(space))
    assert "A run asks for GPU seconds of those that you have a day: 10 for an image, 10 for 64." in visitor.text(
        "found"
    )


def test_stop_ends_the_fork_and_the_next_run_is_made(visit, space, checkpoints):
    visitor, before = visit(), len(runs(space)) if (space / "runs").exists() else 0
    (space / "hold").touch()
    visitor.page.locator("#generate").click()
    visitor.wait_for("status", "Starting")
    visitor.page.locator("#stop").click()
    visitor.wait_for("status", "Stopped")
    (space / "hold").unlink()
    visitor.generate()
    assert as_made_here(visitor, checkpoints / "fruits96.pth")
    assert sorted(run["closed"] for run in runs(space)[before:]) == [False, True]


def test_an_error_in_the_fork_is_a_sentence_on_the_page(visit):
    visitor = visit()
    visitor.set("num-images", 5)
    visitor.choose_classes("Ant", "Bee")
    visitor.page.locator("#generate").click()
    visitor.wait_for("problem", "10 images of this take about")


def test_minutes_that_are_used_up_are_told_as_zero_gpu_tells_them(visit, space):
    visitor = visit()
    (space / "quota").touch()
    visitor.page.locator("#generate").click()
    visitor.wait_for("problem", "You have exceeded your GPU quota. Try again in 3:00:00.")
    (space / "quota").unlink()


def test_seconds_grow_with_what_is_loaded_and_computed_up_to_a_bound():
    assert seconds_for(0, 0) < seconds_for(2 * 10**9, 0) < seconds_for(2 * 10**9, 10**14) < MAX_SECONDS
    assert seconds_for(10**12, 10**18) == MAX_SECONDS


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("zerogpu", "needs the package spaces, which a Space with ZeroGPU has"),
        ("toaster", "engine is toaster; expected one of local, zerogpu, ray"),
    ],
)
def test_an_engine_that_is_not_there_says_so(tmp_path, kind, message):
    with pytest.raises(ValueError, match=message):
        create_engine(kind, tmp_path)
