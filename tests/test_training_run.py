"""Whole training runs of a model that trains in seconds."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pictures import TINY_OPTIONS, tiny_arguments, write_class_folders
from PIL import Image

from var import VARPipeline, read_checkpoint
from var.checkpoints.box import BOXED_MODEL
from var.errors import CheckpointError, TrainingError
from var.training.options import make_options
from var.training.run import train
from var.training.transformer import make_tokens

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


def test_the_averaged_weights_are_the_ones_kept(data, finished, tmp_path):
    train(data, tmp_path / "run", options(epochs=1, ema=0.9), tokenizer=finished / "model.pth")
    last, best = (load(tmp_path / "run" / f"ar-ckpt-{name}.pth")["trainer"] for name in ("last", "best"))
    assert not torch.equal(last["var_wo_ddp"]["head.weight"], last["var_ema"]["head.weight"])
    assert_same_state(best["var_wo_ddp"], last["var_ema"])
    assert "var_ema" not in best


def test_without_held_out_images_the_newest_is_kept(data, finished, tmp_path):
    train(data, tmp_path / "run", options(val_fraction=0.0, epochs=2), tokenizer=finished / "model.pth")
    assert read_checkpoint(tmp_path / "run" / "model.pth").training["epoch"] == 2


def test_other_images_in_the_same_folder_are_refused(finished, tmp_path):
    more = write_class_folders(tmp_path / "more", count=24)
    with pytest.raises(TrainingError, match="other images"):
        train(more, finished, options(flip=True, ema=0.9, random_crop=1.25))


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


def wait_for_epoch(process, stage, epoch):
    """Wait until a process says that an epoch of a stage is done; returns what it said until then."""
    told = ""
    for line in process.stderr:
        told += line
        if f"{stage}, epoch {epoch} of" in line:
            return told
    raise AssertionError(f"epoch {epoch} of the {stage} never came")


def test_a_run_killed_in_each_stage_goes_on_to_the_same_numbers(data, tmp_path):
    more = ["--save-minutes", "0", "--tokenizer-epochs", "3", "--epochs", "3", "--ema", "0.9", "--flip", "--shift", "1"]
    more += ["--adversarial", "0.3", "--adversarial-start", "0.2", "--tokenizer-ema", "0.9", "--context-noise", "0.5"]
    unbroken, broken = start(data, tmp_path / "unbroken", *more), start(data, tmp_path / "broken", *more)
    told = ""
    for stage in ("tokenizer", "transformer"):
        told += wait_for_epoch(broken, stage, 2)
        os.kill(broken.pid, signal.SIGKILL)
        broken.communicate()
        assert not (tmp_path / "broken" / "curves.png").exists()  # the kill came before the end
        broken = start(data, tmp_path / "broken", *more)
    told += broken.communicate(timeout=300)[1]
    assert broken.returncode == 0, told
    for stage in ("tokenizer", "transformer"):
        assert f"Going on with the {stage} at step" in told
    unbroken.communicate(timeout=300)
    for name in ("tokenizer.pth", "ar-ckpt-last.pth", "ar-ckpt-best.pth"):
        a, b = load(tmp_path / "unbroken" / name), load(tmp_path / "broken" / name)
        if "trainer" in a:
            a, b = a["trainer"]["var_wo_ddp"], b["trainer"]["var_wo_ddp"]
        assert_same_state(a, b)
    assert measured(tmp_path / "broken") == measured(tmp_path / "unbroken")


@pytest.fixture
def at_each_grid(monkeypatch):
    """Calls a function with the path of each sample grid of a run, in its place."""

    def call(function):
        monkeypatch.setattr("var.training.run.save_grid", lambda path, *_args, **_options: function(path))

    return call


def test_an_interrupted_run_is_saved_and_goes_on_to_the_same_numbers(data, finished, tmp_path, at_each_grid, capsys):
    asked = options(flip=True, ema=0.9, random_crop=1.25, sample_every=1, save_minutes=1000.0)
    at_each_grid(lambda path: signal.raise_signal(signal.SIGINT) if path.stem == "transformer-0001" else None)
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "run", asked)
    assert "The transformer is saved at step 8 of 12 (epoch 3 of 3)." in capsys.readouterr().err
    train(data, tmp_path / "run", asked)
    assert "Going on with the transformer at step 8 of 12" in capsys.readouterr().err
    assert measured(tmp_path / "run") == measured(finished)
    a, b = (load(folder / "model.pth")["trainer"]["var_wo_ddp"] for folder in (tmp_path / "run", finished))
    assert_same_state(a, b)


def test_tokens_that_were_made_are_not_made_again(data, finished, tmp_path, monkeypatch):
    asked = options(flip=True, random_crop=1.25, epochs=1)
    train(data, tmp_path / "unbroken", asked, tokenizer=finished / "model.pth")
    monkeypatch.setattr("var.training.run.TOKEN_BATCHES", 2)
    made = []

    def make_two_parts(*args, first, **options):
        made.append(first)
        if made == [0, 2]:
            raise KeyboardInterrupt
        return make_tokens(*args, first=first, **options)

    monkeypatch.setattr("var.training.run.make_tokens", make_two_parts)
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "run", asked, tokenizer=finished / "model.pth")
    train(data, tmp_path / "run", asked, tokenizer=finished / "model.pth")
    assert made == [0, 2, 2, 4, 0]  # 36 training images in batches of 8, then the held-out ones
    a, b = (load(tmp_path / name / "tokens.pth") for name in ("run", "unbroken"))
    for split in ("train", "val"):
        assert torch.equal(a[split]["tokens"], b[split]["tokens"])
        assert torch.equal(a[split]["labels"], b[split]["labels"])
    assert not list((tmp_path / "run").glob("*.part"))


def test_a_second_interruption_ends_at_once(data, tmp_path, at_each_grid, capsys):
    at_each_grid(lambda _path: [signal.raise_signal(signal.SIGINT) for _ in range(2)])
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "run", options(sample_every=1, save_minutes=1000.0))
    assert "The tokenizer has nothing saved yet" in capsys.readouterr().err
    assert not (tmp_path / "run" / "tokenizer-last.pth").exists()


@pytest.mark.parametrize("epoch", ["0001", "0002"])  # in the middle; after the last step
def test_termination_saves_too(data, tmp_path, at_each_grid, epoch):
    at_each_grid(lambda path: signal.raise_signal(signal.SIGTERM) if path.stem.endswith(epoch) else None)
    with pytest.raises(SystemExit) as ended:
        train(data, tmp_path / "run", options(sample_every=1, save_minutes=1000.0))
    assert ended.value.code == 128 + signal.SIGTERM
    assert (tmp_path / "run" / "tokenizer-last.pth").exists()
    assert not (tmp_path / "run" / "tokens.pth").exists()


def test_what_a_kill_left_half_written_is_removed(data, finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    left = [folder / ".model.pth.0123abcd.tmp", folder / "samples" / ".transformer-0003.png.0123abcd.tmp"]
    for path in (*left, folder / ".mine.tmp"):
        path.write_bytes(b"half")
    train(data, folder, options(flip=True, ema=0.9, random_crop=1.25))
    assert [path.name for path in folder.rglob(".*")] == [".mine.tmp"]


def test_a_finished_run_goes_on_with_more_epochs(data, finished, tmp_path, capsys):
    folder, earlier = tmp_path / "run", {"flip": True, "ema": 0.9, "random_crop": 1.25}
    shutil.copytree(finished, folder)
    train(data, folder, options(**earlier, epochs=5))
    assert "Going on with the transformer at step 12 of 20 (epoch 4 of 5)" in capsys.readouterr().err
    assert measured(folder)[: len(measured(finished))] == measured(finished)
    assert read_checkpoint(folder / "ar-ckpt-last.pth").training["epoch"] == 5
    for fewer_or_tokenizer in ({"epochs": 3}, {"epochs": 5, "tokenizer_epochs": 9}):
        with pytest.raises(TrainingError, match="--epochs 5|--tokenizer-epochs 2"):
            train(data, folder, options(**earlier, **fewer_or_tokenizer))


def test_starting_from_a_checkpoint_keeps_the_rows_of_known_classes(finished, tmp_path, capsys):
    data = write_class_folders(tmp_path / "data", classes=("banana", "cherry", "date"), count=6)
    train(data, tmp_path / "run", options(epochs=1, lr=0.0), init=finished / "model.pth")
    assert "1 of 3 classes are known to it; new: cherry, date." in capsys.readouterr().err
    before, after = (read_checkpoint(path / "model.pth").var_state for path in (finished, tmp_path / "run"))
    rows, kept = before.pop("class_emb.weight"), after.pop("class_emb.weight")
    assert_same_state(before, after)
    assert torch.equal(kept[[0, -1]], rows[[1, -1]])  # banana, and no class
    assert not torch.isin(kept[1:3], rows).any()


def test_starting_from_another_size_is_refused(data, finished, tmp_path):
    with pytest.raises(CheckpointError, match="other sizes: depth 2, not 4"):
        train(data, tmp_path / "run", options(depth=4), init=finished / "model.pth")


def test_few_images_are_told_of_a_better_tokenizer(data, finished, tmp_path, at_each_grid, capsys):
    at_each_grid(lambda _path: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "own", options())
    assert f"--tokenizer {Path('checkpoints') / BOXED_MODEL}" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "given", options(), tokenizer=finished / "model.pth")
    assert "--tokenizer" not in capsys.readouterr().err


def test_samples_have_class_names(finished):
    with Image.open(finished / "samples" / "transformer-0003.png") as named:
        assert named.height > 4 * 192 + 4 * 20  # rows of images with a line of text below each


def test_accumulated_parts_make_the_same_step(data, finished, tmp_path):
    for parts in (1, 2):
        changed = options(accumulate=parts, label_drop=0.0, epochs=1)
        train(data, tmp_path / str(parts), changed, tokenizer=finished / "model.pth")
    assert_same_steps(tmp_path / "1", tmp_path / "2")


def assert_same_steps(one, other):
    """Loss and norm of the gradient are the same at every logged step of the transformer, but for rounding."""
    lines = [[line for line in measured(folder) if line["stage"] == "transformer"] for folder in (one, other)]
    logged = [[line for line in of_folder if "grad_norm" in line] for of_folder in lines]
    assert logged[0]
    for a, b in zip(*logged, strict=True):
        assert (a["loss"], a["grad_norm"]) == pytest.approx((b["loss"], b["grad_norm"]), rel=1e-3)


def test_a_given_tokenizer_is_not_trained_again(data, finished, tmp_path):
    train(data, tmp_path / "run", options(epochs=1), tokenizer=finished / "model.pth")
    assert {line["stage"] for line in measured(tmp_path / "run")} == {"transformer"}
    given, kept = (read_checkpoint(path / "model.pth").vae_state for path in (finished, tmp_path / "run"))
    assert_same_state(given, kept)


def test_a_tokenizer_is_trained_on_from_another(data, finished, tmp_path):
    changed = options(tokenizer_epochs=1, tokenizer_lr=1e-9, adversarial=0.1, epochs=1)
    train(data, tmp_path / "run", changed, init_tokenizer=finished / "model.pth")
    given, kept = (read_checkpoint(path / "model.pth").vae_state for path in (finished, tmp_path / "run"))
    for name in given:
        if name != "quantize.ema_vocab_hit_SV":
            assert torch.allclose(given[name], kept[name], atol=1e-2), name
    other = options(vocab_size=32)
    with pytest.raises(CheckpointError, match="of other sizes.*--init-tokenizer needs"):
        train(data, tmp_path / "other", other, init_tokenizer=finished / "model.pth")


def test_a_loss_that_is_not_finite_ends_with_a_sentence(data, tmp_path):
    with pytest.raises(TrainingError, match="no longer finite.*lower learning rate"):
        train(data, tmp_path / "run", options(tokenizer_lr=1e30, clip=0.0))


def train_in_two_processes(data, folder, *more):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "var"]
    command += ["train", str(data), "--out", str(folder), *tiny_arguments(), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_two_processes_train_both_stages_and_take_the_steps_of_one(data, tmp_path):
    two = tmp_path / "two"
    train_in_two_processes(data, two, "--label-drop", "0", "--epochs", "2")
    steps = [line["step"] for line in measured(two) if "lr" in line and line["stage"] == "transformer"]
    assert steps == sorted(set(steps))  # one process alone writes
    assert VARPipeline.from_checkpoint(two / "model.pth", device="cpu")([1]).tokens.shape == (1, 5)
    train(data, tmp_path / "one", options(label_drop=0.0, epochs=2), tokenizer=two / "model.pth")
    assert_same_steps(tmp_path / "one", two)
