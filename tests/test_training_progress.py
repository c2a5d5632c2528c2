"""How far a training is, read from its folder."""

import json
import os

import pytest
from PIL import Image

from var.training.progress import MAX_POINTS, QUIET_SECONDS, read_progress

NOW = 1_000_000.0  # seconds since 1970


def write_run(folder, lines, sheets=(), epochs=10, silence=5.0):
    """A training's folder: what was logged, and samples as (stage, epoch, seconds before now)."""
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(folder / "log.jsonl", (NOW - silence, NOW - silence))
    (folder / "options.json").write_text(json.dumps({"epochs": epochs, "tokenizer_epochs": 4}))
    for stage, epoch, before in sheets:
        path = folder / "samples" / f"{stage}-{epoch:04d}.png"
        Image.new("RGB", (4, 4)).save(path)
        os.utime(path, (NOW - before, NOW - before))
    return folder


def line(step, epoch, stage="transformer", **values):
    return {"stage": stage, "step": step, "epoch": epoch, **values}


LINES = [
    line(10, 0, "tokenizer", psnr=20.0),
    line(10, 0, loss=6.0, accuracy=0.1),
    line(20, 1, loss=5.0),
    line(20, 1, val_loss=5.5),
]
SHEETS = [("tokenizer", 4, 900), ("transformer", 1, 160), ("transformer", 2, 60)]


def test_a_training_in_progress(tmp_path):
    progress = read_progress(write_run(tmp_path, LINES, SHEETS), NOW)
    assert (progress.stage, progress.step, progress.epoch, progress.epochs) == ("transformer", 20, 2, 10)
    assert progress.curves == {"training": [(10, 6.0), (20, 5.0)], "held out": [(20, 5.5)]}
    assert progress.goes_on and not progress.is_over
    assert (progress.sheet.epoch, progress.sheet.path.name) == (2, "transformer-0002.png")
    assert progress.seconds_left == pytest.approx(8 * 100 - 60)  # 100 seconds an epoch


@pytest.mark.parametrize(
    ("lines", "silence", "state"),
    [
        (LINES, QUIET_SECONDS + 1, (False, False)),
        ([*LINES, line(100, 9, val_loss=4.0)], 5, (True, False)),  # its last samples are to come
        ([line(100, 9, "tokenizer", psnr=25.0)], 5, (True, False)),
    ],
)
def test_whether_it_goes_on(tmp_path, lines, silence, state):
    progress = read_progress(write_run(tmp_path, lines, SHEETS, silence=silence), NOW)
    assert (progress.goes_on, progress.is_over) == state
    assert progress.goes_on or progress.seconds_left is None


def test_one_that_is_over(tmp_path):
    lines = [*LINES, line(100, 9, val_loss=4.0)]
    progress = read_progress(write_run(tmp_path, lines, [*SHEETS, ("transformer", 10, 5)]), NOW)
    assert (progress.goes_on, progress.is_over, progress.seconds_left) == (False, True, None)


def test_what_others_wrote_there_is_passed_over(tmp_path):
    folder = write_run(tmp_path, LINES[:2], epochs="many")
    with (folder / "log.jsonl").open("a") as file:
        file.write('[1]\nnonsense\n{"stage": "x", "step": 3}\n{"stage": "transformer", "step": "4"}\n')
        file.write('{"stage": "transformer", "step": 30, "epoch": null, "loss": NaN}\n{"stage": "transformer", "st')
    (folder / "samples" / "transformer-2.txt").write_text("")
    progress = read_progress(folder, NOW)
    assert (progress.step, progress.epoch, progress.epochs, progress.sheet) == (30, 1, None, None)
    assert progress.curves["training"] == [(10, 6.0)]


@pytest.mark.parametrize("text", [None, "", "no training\n"])
def test_any_other_folder_has_none(tmp_path, text):
    if text is not None:
        (tmp_path / "log.jsonl").write_text(text)
    assert read_progress(tmp_path) is None


def test_a_long_training_has_no_more_points_than_are_seen(tmp_path):
    lines = [line(step, 0, loss=1.0) for step in range(1, 3 * MAX_POINTS)]
    curve = read_progress(write_run(tmp_path, lines), NOW).curves["training"]
    assert len(curve) <= MAX_POINTS and curve[-1][0] == lines[-1]["step"]
