"""Whole training runs of a model that trains in seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from pictures import TINY_OPTIONS, tiny_arguments, write_class_folders, write_packed
from PIL import Image

from var import VARPipeline, read_checkpoint
from var.errors import TrainingError
from var.training.options import make_options
from var.training.run import train

ROOT = Path(__file__).parents[1]


def options(**changes):
    return make_options("tiny", **{**TINY_OPTIONS, **changes})


def load(path):
    return torch.load(path, weights_only=True)


def measured(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def assert_same_state(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_class_folders(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    train(data, folder, options(flip=True, ema=0.9, random_crop=1.25))
    return folder


def test_the_finished_model_samples(finished):
    pipe = VARPipeline.from_checkpoint(finished / "model.pth", device="cpu")
    assert pipe.class_names == ["apple", "banana"]
    assert pipe([0, 1, None]).images[0].size == (16, 16)


def test_checkpoints_have_the_trainer_layout(finished):
    content = load(finished / "ar-ckpt-best.pth")
    assert set(content) == {"epoch", "iter", "trainer", "args"}
    assert {"config", "var_wo_ddp", "vae_local", "var_opt"} <= set(content["trainer"])
    assert content["trainer"]["config"]["patch_nums"] == (1, 2)
    assert content["args"]["pn"] == "1_2"
    assert read_checkpoint(finished / "ar-ckpt-last.pth").training["epoch"] == 3


def test_the_finished_model_is_half_precision_without_optimizer(finished):
    trainer = load(finished / "model.pth")["trainer"]
    assert "var_opt" not in trainer
    assert {t.dtype for t in trainer["var_wo_ddp"].values()} == {torch.float16, torch.int64}


def test_the_averaged_weights_are_the_ones_kept(finished):
    last, best = load(finished / "ar-ckpt-last.pth")["trainer"], load(finished / "ar-ckpt-best.pth")["trainer"]
    assert not torch.equal(last["var_wo_ddp"]["head.weight"], last["var_ema"]["head.weight"])
    assert not torch.equal(best["var_wo_ddp"]["head.weight"], last["var_wo_ddp"]["head.weight"])


def test_the_run_reports(finished):
    stages = {line["stage"] for line in measured(finished)}
    assert stages == {"tokenizer", "transformer"}
    assert any("val_psnr" in line for line in measured(finished))
    assert any("val_loss" in line for line in measured(finished))
    assert Image.open(finished / "curves.png").width > 500
    assert sorted(path.name for path in (finished / "samples").iterdir()) == [
        "tokenizer-0002.png",
        "transformer-0003.png",
    ]


def test_both_stages_learn(data, tmp_path):
    train(data, tmp_path / "run", options(tokenizer_epochs=12, epochs=12, tokenizer_lr=3e-3, lr=3e-3))
    for stage in ("tokenizer", "transformer"):
        losses = [line["loss"] for line in measured(tmp_path / "run") if line["stage"] == stage and "loss" in line]
        assert losses[-1] < 0.8 * losses[0]


def test_a_finished_run_does_nothing_more(data, finished):
    before = load(finished / "ar-ckpt-last.pth")["trainer"]["var_wo_ddp"]
    lines = measured(finished)
    train(data, finished, options(flip=True, ema=0.9, random_crop=1.25))
    assert_same_state(load(finished / "ar-ckpt-last.pth")["trainer"]["var_wo_ddp"], before)
    assert measured(finished) == lines


def test_other_options_in_the_same_folder_are_refused(data, finished):
    with pytest.raises(TrainingError, match="--flip True.*Give the same"):
        train(data, finished, options(ema=0.9, random_crop=1.25))


def start(data, folder, *more):
    command = [sys.executable, "-m", "var", "train", str(data), "--out", str(folder), *tiny_arguments(), *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)


def wait_for_line(folder, stage, step):
    """Wait until a step of a stage is in the log."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (folder / "log.jsonl").exists():
            text = (folder / "log.jsonl").read_text()
            lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
            if any(line["stage"] == stage and line["step"] >= step for line in lines):
                return
        time.sleep(0.02)
    raise AssertionError(f"step {step} of the {stage} never came")


@pytest.mark.parametrize(("stage", "step"), [("tokenizer", 20), ("transformer", 20)])
def test_a_killed_run_goes_on_to_the_same_numbers(data, tmp_path, stage, step):
    more = ("--save-minutes", "0", "--tokenizer-epochs", "8", "--epochs", "8", "--ema", "0.9", "--flip")
    unbroken, broken = start(data, tmp_path / "unbroken", *more), start(data, tmp_path / "broken", *more)
    wait_for_line(tmp_path / "broken", stage, step)
    os.kill(broken.pid, signal.SIGKILL)
    broken.communicate()
    assert not (tmp_path / "broken" / "curves.png").exists()  # the kill came before the end
    again = start(data, tmp_path / "broken", *more)
    _, told = again.communicate(timeout=300)
    assert again.returncode == 0, told
    assert f"Going on with the {stage} at step" in told
    unbroken.communicate(timeout=300)
    for name in ("tokenizer.pth", "ar-ckpt-last.pth", "ar-ckpt-best.pth"):
        a, b = load(tmp_path / "unbroken" / name), load(tmp_path / "broken" / name)
        if "trainer" in a:
            a, b = a["trainer"]["var_wo_ddp"], b["trainer"]["var_wo_ddp"]
        assert_same_state(a, b)
    assert measured(tmp_path / "broken") == measured(tmp_path / "unbroken")


def test_accumulated_parts_make_the_same_step(data, finished, tmp_path):
    for parts in (1, 2):
        changed = options(accumulate=parts, label_drop=0.0, epochs=1)
        train(data, tmp_path / str(parts), changed, tokenizer=finished / "model.pth")
    a, b = (load(tmp_path / n / "ar-ckpt-last.pth")["trainer"]["var_wo_ddp"]["head.weight"] for n in ("1", "2"))
    assert torch.allclose(a, b, atol=1e-4)


def test_a_given_tokenizer_is_not_trained_again(data, finished, tmp_path):
    train(data, tmp_path / "run", options(epochs=1), tokenizer=finished / "model.pth")
    assert {line["stage"] for line in measured(tmp_path / "run")} == {"transformer"}
    given, kept = (read_checkpoint(path / "model.pth").vae_state for path in (finished, tmp_path / "run"))
    assert_same_state(given, kept)


def test_a_loss_that_is_not_finite_ends_with_a_sentence(data, tmp_path):
    with pytest.raises(TrainingError, match="no longer finite.*lower learning rate"):
        train(data, tmp_path / "run", options(tokenizer_lr=1e30, clip=0.0))


def test_two_processes_train_one_model(tmp_path):
    data = write_packed(tmp_path / "data.npz", count=20)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "var"]
    command += ["train", str(data), "--out", str(tmp_path / "run"), *tiny_arguments()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    steps = [line["step"] for line in measured(tmp_path / "run") if "lr" in line and line["stage"] == "transformer"]
    assert steps == sorted(set(steps))  # one process alone writes
    assert VARPipeline.from_checkpoint(tmp_path / "run" / "model.pth", device="cpu")([1]).tokens.shape == (1, 5)
