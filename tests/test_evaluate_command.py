"""`python -m var evaluate`, and the measures behind it."""

import json

import numpy as np
import pytest
import torch
from pictures import write_class_folders, write_packed
from PIL import Image
from tiny import tiny_vae_config, tiny_var_config, write_trainer_file

from var.__main__ import main
from var.evaluation.classifier import Classifier, train_classifier
from var.evaluation.distances import frechet_distance, nearest_distances, perceptual_distances, small_rows
from var.evaluation.figures import class_figures
from var.evaluation.measure import evenly_of_each_class, halve
from var.training.perceptual import PhotographFeatures


@pytest.fixture
def run(capsys):
    """Runs the command in this process: exit code, standard output, standard error."""

    def evaluate(*arguments):
        code = main(["evaluate", *map(str, arguments), "--device", "cpu"])
        return code, *capsys.readouterr()

    return evaluate


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pth"
    return write_trainer_file(path, var_config=tiny_var_config(num_classes=2), vae_config=tiny_vae_config())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_class_folders(tmp_path_factory.mktemp("data") / "pictures")


def test_measures_and_writes_the_sheet(run, checkpoint, data, tmp_path):
    sheet = tmp_path / "sheet.png"
    more = ("--cfg-scale", 0, 1.5, 2, 3, "--top-k", 0, "--preset", "faithful")  # one guidance for each scale
    code, out, err = run(
        checkpoint, data, "--per-class", 2, "--classifier-epochs", 1, "--json", "--sheet", sheet, *more
    )
    assert code == 0, err
    figures = json.loads(out)
    assert figures["num_samples"] == 4
    assert 0 < figures["psnr"] < 30
    assert figures["accuracy_ratio"] == pytest.approx(figures["sample_accuracy"] / figures["real_accuracy"])
    assert [of["name"] for of in figures["classes"]] == ["apple", "banana"]
    assert figures["worst_accuracy"] == min(of["sample_accuracy"] for of in figures["classes"])
    assert 0 < figures["perceptual"]["classifier"]["reconstructed"] < 2
    assert figures["frechet_samples"] is None  # of 4 images it would say nothing
    assert figures["sample_distance"] > 0
    assert figures["settings"]["sampling"]["cfg_scale"] == [0, 1.5, 2, 3]
    assert (figures["settings"]["sampling"]["top_k"], figures["settings"]["sampling"]["top_p"]) == (0, 0.96)
    with Image.open(sheet) as picture:
        assert picture.width > 2 * 192 < picture.height  # small images are shown larger, beside their class


def test_prints_a_table_of_packed_images(run, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("var.evaluation.measure.weights_path", lambda: tmp_path)  # as if the package were there
    monkeypatch.setattr("var.evaluation.measure.load_features", PhotographFeatures)
    split = np.tile(np.arange(50) >= 25, 2).astype(np.uint8)
    packed = write_packed(tmp_path / "data.npz", count=50, split=split, size=24)
    code, out, err = run(checkpoint, packed, "--per-class", 30, "--classifier-epochs", 1)
    assert code == 0, err
    assert "held-out images, 50 each" in out  # of 60 samples, 50 training and 50 held-out images
    assert "24×24 images are resized to 16×16." in err
    assert "distance in classifier" in out and "distance in EfficientNet-lite0" in out
    assert "of 2 classes: every sample is recognized" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--per-class", 0), "--per-class and --classifier-epochs must be at least 1"),
        (("--cfg-scale", 1, 2, 3), "cfg_scale"),
        (("--seed", 2**63 - 2), "seed"),
        (("--sheet", __file__), "is there already; give another name, or --overwrite"),
    ],
)
def test_bad_options_are_one_line(run, checkpoint, data, arguments, words):
    code, out, err = run(checkpoint, data, *arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in err


def test_data_with_more_classes_than_the_model_is_one_line(run, checkpoint, tmp_path):
    data = write_class_folders(tmp_path / "data", classes=("a", "b", "c"), count=6)
    code, out, err = run(checkpoint, data)
    assert code == 2
    assert "has 3 classes" in err
    assert "Traceback" not in err


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
    with torch.inference_mode():
        named = model(images).argmax(1)
    assert (named == labels).float().mean() > 0.95


def test_the_classifier_leaves_random_numbers_as_they_were():
    before = torch.get_rng_state()
    images, labels = torch.zeros(4, 3, 16, 16), torch.zeros(4, dtype=torch.int64)
    options = {"epochs": 1, "seed": 0, "device": torch.device("cpu"), "progress": lambda items, _label: items}
    train_classifier(lambda indices: images[indices], labels, 1, **options)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_copy_has_no_distance_even_when_mirrored():
    images = torch.rand(3, 3, 64, 64)
    rows = small_rows(images).split(2)
    assert nearest_distances(small_rows(images), rows).max() < 1e-3
    assert nearest_distances(small_rows(images.flip(3)), rows).max() < 1e-3


def test_distance_is_in_the_images_range():
    white, black = torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    assert nearest_distances(small_rows(black), [small_rows(white)]).item() == pytest.approx(1)


def test_frechet_distance_is_that_of_normal_distributions():
    one = torch.randn(2000, 3, dtype=torch.float64)
    one = (one - one.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(one.T))).T  # mean 0, covariance 1
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, one + 2) == pytest.approx(3 * 2**2)
    assert frechet_distance(one, 3 * one) == pytest.approx(3 * (3 - 1) ** 2)


def test_fewer_images_than_features_have_a_frechet_distance():
    one, other = torch.randn(50, 256), torch.randn(50, 256) + 1
    assert frechet_distance(one, other) > frechet_distance(one, one.flip(0)) == pytest.approx(0, abs=1e-6)


def test_what_is_softened_more_is_perceived_as_farther():
    classifier, images = Classifier(2).eval(), torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        maps, near, far = (classifier.maps(view) for view in (images, (images + halve(images)) / 2, halve(images)))
    assert perceptual_distances(maps, maps).max() == 0
    assert (perceptual_distances(maps, far) > perceptual_distances(maps, near)).all()


def test_images_of_each_class_are_chosen_evenly():
    labels = torch.tensor([1, 0, 1, 1, 1, 1, 0])
    assert evenly_of_each_class(labels, torch.tensor([1, 3])).tolist() == [1, 0, 3, 5]
    assert evenly_of_each_class(labels, torch.tensor([0, 0])).tolist() == []


def test_a_class_says_what_its_samples_are_taken_for():
    real = (torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
    samples = (torch.tensor([0, 0, 0, 1, 2]), torch.tensor([2, 0, 2, 1, 2]))
    apple, pear, plum = class_figures(["apple", "pear", "plum"], real, samples)
    assert (apple.real_accuracy, apple.sample_accuracy, apple.taken_for) == (0.5, pytest.approx(1 / 3), "plum")
    assert (pear.real_accuracy, pear.sample_accuracy, pear.taken_for) == (1, 1, None)
    assert plum.real_accuracy is None  # no held-out image of it
