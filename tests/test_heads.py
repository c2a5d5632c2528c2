"""The number of attention heads of transformers whose weights do not tell it."""

import json

import pytest
import torch
from tiny import tiny_states, tiny_var_config, write_trainer_file

from var import VARPipeline, read_checkpoint
from var.__main__ import main
from var.checkpoints.export import export_safetensors
from var.engine.catalog import Catalog
from var.engine.models import Loading, Models
from var.outputs.recipe import make_recipes
from var.sampling.options import SamplingOptions
from var.ui.settings.restore import from_recipe

CONFIG = tiny_var_config(attn_l2_norm=False)  # two heads, 32 wide


def write(path, args: dict | None = None):
    """A trainer's file of a transformer without l2 norm, whose two heads are 32 wide."""
    return write_trainer_file(path, var_config=CONFIG, args={} if args is None else args)


@pytest.mark.parametrize("args", [{"num_heads": 2}, {"n_head": 2}, {"heads": 2}])
def test_the_trainers_arguments_are_asked_first(tmp_path, args):
    checkpoint = read_checkpoint(write(tmp_path / "a.pth", args))
    assert (checkpoint.var_config.num_heads, checkpoint.heads_assumed, checkpoint.warnings) == (2, False, ())


@pytest.mark.parametrize("args", [None, {"num_heads": 7}, {"num_heads": True}, {"num_heads": "2"}, {"depth": 2}])
def test_an_assumption_is_told(tmp_path, args, capsys):
    path = write(tmp_path / "a.pth", args)
    checkpoint = read_checkpoint(path)
    assert (checkpoint.var_config.num_heads, checkpoint.heads_assumed) == (1, True)
    (warning,) = checkpoint.warnings
    assert "1 are assumed" in warning
    assert "--num-heads" in warning
    assert main(["inspect", str(path)]) == 0
    assert "1 heads (assumed)" in capsys.readouterr().out


def test_the_references_recipe_is_no_assumption(tmp_path):
    config = tiny_var_config(attn_l2_norm=False, depth=2, embed_dim=128, num_heads=2)
    checkpoint = read_checkpoint(write_trainer_file(tmp_path / "a.pth", var_config=config, args={"depth": 2}))
    assert (checkpoint.var_config, checkpoint.heads_assumed) == (config, False)


def test_sizes_beside_the_file_tell_it(tmp_path):
    torch.save(tiny_states(var_config=CONFIG)[0], tmp_path / "a.pth")
    (tmp_path / "config.json").write_text(json.dumps({"depth": 2, "num_heads": 2}))
    assert read_checkpoint(tmp_path / "a.pth").var_config == CONFIG
    (tmp_path / "config.json").write_text("[" * 60_000)
    assert read_checkpoint(tmp_path / "a.pth").heads_assumed


def test_our_export_keeps_it(tmp_path):
    checkpoint = read_checkpoint(write(tmp_path / "a.pth"), num_heads=2)
    export_safetensors(checkpoint, tmp_path / "a.safetensors")
    exported = read_checkpoint(tmp_path / "a.safetensors")
    assert (exported.var_config, exported.heads_assumed) == (CONFIG, False)


def test_a_recipe_carries_what_was_given(tmp_path):
    path, models = write(tmp_path / "a.pth"), Models(tmp_path, "cpu")
    given, assumed = (models.load(path, Loading(num_heads=number)) for number in (2, None))
    assert (given.var.config.num_heads, assumed.var.config.num_heads) == (2, 1)
    recipes = [make_recipes(pipe, SamplingOptions([1], 5))[0] for pipe in (given, assumed)]
    assert [recipe.num_heads for recipe in recipes] == [2, None]
    assert [from_recipe(recipe, Catalog(tmp_path), {}, "a.pth").num_heads for recipe in recipes] == [2, None]


def test_it_may_be_given(tmp_path, capsys):
    path = write(tmp_path / "a.pth")
    for source in (path, read_checkpoint(path)):
        pipe = VARPipeline.from_checkpoint(source, device="cpu", num_heads=2)
        assert pipe.var.config == CONFIG
        assert not pipe.checkpoint.heads_assumed
    sample = ["sample", str(path), "--classes", "1", "--seed", "0", "--out", str(tmp_path / "out")]
    assert main([*sample, "--num-heads", "2"]) == 0
    assert "assumed" not in capsys.readouterr().err
    assert main([*sample, "--overwrite"]) == 0
    assert "1 are assumed" in capsys.readouterr().err
