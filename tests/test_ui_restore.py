"""Settings from elsewhere as values of the controls."""

from dataclasses import replace

import pytest
import torch
from layout_files import write_shards
from tiny import tiny_states, write_trainer_file

from var import VARPipeline
from var.device import LARGE_PARAMETERS
from var.engine.catalog import Catalog
from var.engine.description import Description
from var.engine.local import LocalEngine
from var.engine.models import Loading
from var.outputs.recipe import make_recipes
from var.sampling.options import SamplingOptions
from var.ui.settings.bars import for_controls
from var.ui.settings.fill import dtype_for
from var.ui.settings.restore import Wanted, fitted, from_recipe, varied

DESCRIPTION = Description("", ("Ant", "Bee", "Cat"), 64, 16, "CPU, float32", None, (1, 2, 3, 4))
SMALL = 1000  # parameters


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "a.pth", optimizer=False)
    write_trainer_file(folder / "b.pth", optimizer=False, epoch=4)
    return folder


@pytest.fixture(scope="module")
def recipe(folder):
    pipe = VARPipeline.from_checkpoint(folder / "a.pth", device="cpu")
    return make_recipes(pipe, SamplingOptions([2], [5], 3.0, (10, 20, 30, 40), 0.9, cfg_start=2))[0]


def test_a_recipe_fills_the_controls(folder, recipe):
    values = from_recipe(recipe, Catalog(folder), {}, "a.pth").values
    assert (values["classes"], values["num_images"], values["seed"]) == ([2], 1, 5)
    assert (values["cfg_scale"], values["top_p"], values["cfg_start"]) == (3.0, 0.9, 2)
    assert (values["by_scale"], values["top_k"]) == ({"top_k": [10, 20, 30, 40]}, 10)


def test_the_checkpoint_that_is_chosen_is_kept(folder, recipe):
    wanted = from_recipe(recipe, Catalog(folder), {}, "a.pth")
    assert (wanted.checkpoint, wanted.note) == ("a.pth", "")


@pytest.mark.parametrize("place", [".", "parts"])
def test_a_checkpoint_in_several_files_is_found(tmp_path, place):
    (tmp_path / place).mkdir(exist_ok=True)
    var_state, vae_state = tiny_states()
    write_shards(tmp_path / place, var_state)
    (tmp_path / place / "README.md").write_text("not of the weights")
    (tmp_path / "other").mkdir()
    torch.save(vae_state, tmp_path / "other" / "vae.pth")
    catalog = Catalog(tmp_path)
    name = next(name for name in catalog.names({}) if "vae" not in name)
    pipe = VARPipeline.from_checkpoint(catalog.resolve(name, {}), vae=tmp_path / "other" / "vae.pth", device="cpu")
    recipe = make_recipes(pipe, SamplingOptions([2], [5]))[0]
    assert from_recipe(recipe, catalog, {}, name).checkpoint == name


def test_another_checkpoint_of_the_list_is_chosen(folder, recipe):
    wanted = from_recipe(recipe, Catalog(folder), {}, "b.pth")
    assert wanted.checkpoint == "a.pth" and recipe.checkpoint_hash in wanted.note


def test_a_checkpoint_that_is_not_there_is_named(folder, recipe):
    wanted = from_recipe(
        replace(recipe, checkpoint="c.pth", checkpoint_hash="0123456789"), Catalog(folder), {}, "b.pth"
    )
    assert wanted.checkpoint is None and "c.pth (0123456789)" in wanted.note


def test_a_file_of_the_same_name_with_other_content_is_another_checkpoint(folder, recipe):
    wanted = from_recipe(replace(recipe, checkpoint_hash="0123456789"), Catalog(folder), {}, "a.pth")
    assert wanted.checkpoint is None and "another version of a.pth" in wanted.note


def test_values_beyond_the_controls_are_brought_back_into_their_ranges():
    wanted = fitted(Wanted({"cfg_scale": 30.0, "top_k": 900}), DESCRIPTION, "cpu")
    assert wanted.values == {"cfg_scale": 10, "top_k": 64}
    assert "Guidance 30 became 10" in wanted.note and "Top-k 900 became 64" in wanted.note


def test_classes_that_the_checkpoint_lacks_are_named():
    wanted = fitted(Wanted({"classes": [1, 8]}), DESCRIPTION, "cpu")
    assert wanted.values == {"classes": [1]} and "no class 8; its classes are 0 to 2" in wanted.note


def test_another_device_is_told_where_the_seed_comes_along(folder, recipe):
    wanted = from_recipe(replace(recipe, device="cuda"), Catalog(folder), {}, "a.pth")
    assert fitted(wanted, DESCRIPTION, "cpu").note == "It was made on CUDA; on CPU a seed draws other numbers."
    assert not fitted(wanted, DESCRIPTION, "cuda").note
    assert not fitted(varied(wanted), DESCRIPTION, "cpu").note


def test_values_by_scale_come_back_whole(folder, recipe):
    options = replace(recipe.options, cfg_scale=(0.0, 5.0, 1.0, 2.0), temperature=(1.0, 1.0, 1.0, 0.5), cfg_start=0)
    wanted = fitted(from_recipe(replace(recipe, options=options), Catalog(folder), {}, "a.pth"), DESCRIPTION, "cpu")
    own = {"cfg_scale": [0.0, 5.0, 1.0, 2.0], "top_k": [10, 20, 30, 40], "temperature": [1.0, 1.0, 1.0, 0.5]}
    assert (wanted.values["by_scale"], wanted.values["cfg_curve"], wanted.note) == (own, None, "")


def test_values_by_scale_of_another_number_of_scales_are_told():
    wanted = fitted(Wanted(for_controls({"cfg_scale": [1.0, 2.0]})), DESCRIPTION, "cpu")
    assert wanted.note == "Guidance: 2 scales were given, this checkpoint has 4; the last holds."
    assert (wanted.values["by_scale"], wanted.values["cfg_scale"], wanted.values["cfg_curve"]) == ({}, 2.0, "ramp")


def test_values_by_scale_are_brought_back_into_their_ranges():
    wanted = fitted(Wanted(for_controls({"top_k": [900, 20, 10, 800]})), DESCRIPTION, "cpu")
    assert wanted.note == "Top-k: values beyond 0 to 64 became these."
    assert (wanted.values["by_scale"], wanted.values["top_k"]) == ({"top_k": [64, 20, 10, 64]}, 64)


@pytest.mark.parametrize(
    ("device", "dtype", "before", "num_parameters", "after"),
    [
        ("cpu", "bfloat16", None, SMALL, "bfloat16"),
        ("cpu", "bfloat16", None, LARGE_PARAMETERS, None),
        ("cpu", "float32", "bfloat16", SMALL, None),
        ("cpu", "float32", "bfloat16", LARGE_PARAMETERS, "float32"),
        ("cpu", "float32", None, SMALL, None),
        ("cpu", "float32", "float32", SMALL, "float32"),
        ("cuda", "bfloat16", None, SMALL, None),  # no precision makes its numbers on another device
    ],
)
def test_the_precision_is_that_of_the_image(folder, monkeypatch, device, dtype, before, num_parameters, after):
    monkeypatch.setattr("var.device.is_faster_on_cpu", lambda dtype: True)  # for a large one, Auto is bfloat16
    wanted = Wanted({}, device=device, dtype=dtype)
    assert dtype_for(wanted, LocalEngine(folder, "cpu"), Loading(dtype=before), num_parameters) == after


def test_a_seed_beyond_what_browsers_know_is_said_and_not_changed():
    wanted = fitted(Wanted({"seed": 2**53, "classes": [1]}), DESCRIPTION, "cpu")
    assert "seed" not in wanted.values and wanted.values["classes"] == [1]
    assert wanted.note.startswith(f"Its seed, {2**53}, is larger than")
    assert fitted(Wanted({"seed": 2**53 - 1}), DESCRIPTION, "cpu").values["seed"] == 2**53 - 1
