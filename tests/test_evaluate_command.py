"""`python -m var evaluate`, and the measures behind it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pictures import write_class_folders
from PIL import Image
from tiny import tiny_vae_config, tiny_var_config, write_trainer_file

from var.evaluation.classifier import predict, train_classifier
from var.evaluation.measure import nearest_distances, small_rows

ROOT = Path(__file__).parents[1]


def run(*arguments):
    command = [sys.executable, "-m", "var", "evaluate", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pth"
    return write_trainer_file(path, var_config=tiny_var_config(num_classes=2), vae_config=tiny_vae_config())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_class_folders(tmp_path_factory.mktemp("data") / "pictures")


def test_prints_figures_and_writes_the_sheet(checkpoint, data, tmp_path):
    sheet = tmp_path / "sheet.png"
    done = run(checkpoint, data, "--per-class", 2, "--classifier-epochs", 1, "--json", "--sheet", sheet)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["num_samples"] == 4
    assert 0 < figures["psnr"] < 30
    assert 0 <= figures["sample_accuracy"] <= 1
    assert figures["sample_distance"] > 0
    assert Image.open(sheet).size == (2 * 18 + 2, 2 * 18 + 2)


def test_data_with_more_classes_than_the_model_is_one_line(checkpoint, tmp_path):
    data = write_class_folders(tmp_path / "data", classes=("a", "b", "c"), count=6)
    done = run(checkpoint, data)
    assert done.returncode == 2
    assert "has 3 classes" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_classifier_learns_what_tells_classes_apart():
    labels = torch.arange(2).repeat(64)
    noise = torch.randn(128, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = noise * 0.1 + labels.view(-1, 1, 1, 1) - 0.5
    model = train_classifier(
        lambda indices: images[indices],
        labels,
        2,
        epochs=4,
        seed=0,
        device=torch.device("cpu"),
        progress=lambda items, _label: items,
    )
    assert (predict(model, images) == labels).float().mean() > 0.95


def test_a_copy_has_no_distance_even_when_mirrored():
    images = torch.rand(3, 3, 64, 64)
    rows = small_rows(images)
    assert nearest_distances(images, rows).max() < 1e-3
    assert nearest_distances(images.flip(3), rows).max() < 1e-3


def test_distance_is_in_the_images_range():
    white, black = torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    assert nearest_distances(black, small_rows(white)).item() == pytest.approx(1)
