"""Settings of a training run."""

import pytest

from var.errors import TrainingError
from var.training.options import PRESETS, make_options


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid(preset):
    assert make_options(preset).image_size == {"tiny": 64, "small": 96, "d36": 512}.get(preset, 256)


def test_official_preset_has_the_reference_sizes():
    options = make_options("d16")
    config = options.var_config(1000, options.vae_config())
    assert (config.depth, config.embed_dim, config.num_heads, config.vocab_size) == (16, 1024, 16, 4096)
    assert options.vae_config().ch_mult == (1, 1, 2, 2, 4)


def test_unknown_preset_lists_those_there():
    with pytest.raises(TrainingError, match="tiny, small, d16"):
        make_options("huge")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "--epochs is 0; it must be at least 1"),
        ({"label_drop": 1.0}, "--label-drop is 1.0; it must be below 1"),
        ({"lr": float("nan")}, "--lr is nan"),
        ({"patch_nums": (1, 3, 2)}, "must rise"),
        ({"patch_nums": ()}, "must rise"),
        ({"embed_dim": 30, "num_heads": 4}, "not a multiple of --num-heads"),
        ({"vae_ch": 48}, "multiple of 32"),
        ({"batch_size": 10, "accumulate": 4}, "not a multiple of --accumulate"),
        ({"precision": "float8"}, "--precision is float8"),
    ],
)
def test_a_value_out_of_range_states_its_rule(changes, words):
    with pytest.raises(ValueError, match=words):
        make_options("tiny", **changes)
