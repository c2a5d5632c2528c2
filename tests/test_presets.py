"""The presets: their settings, and that they fit the sampler."""

from dataclasses import replace

import pytest

from var.engine.description import Description
from var.sampling.options import DECLARATIONS, SamplingOptions
from var.sampling.presets import PRESETS, own_settings
from var.ui.settings.sampling import find_preset, limits, matching_preset, presets_of, sampling_of, sampling_values

DESCRIPTION = Description("", ("Ant", "Bee"), 64, 16, "CPU, float32", None)

BY_KEY = {preset.key: preset.settings() for preset in PRESETS}


@pytest.mark.parametrize("key", BY_KEY)
def test_settings_are_a_value_for_every_option(key):
    options = SamplingOptions([0], **BY_KEY[key])
    options.check(num_classes=1, num_scales=10)
    assert BY_KEY[key].keys() == SamplingOptions.__dataclass_fields__.keys() - {"class_labels", "seed"}


def test_first_preset_has_the_defaults():
    assert SamplingOptions([0], **PRESETS[0].settings()) == SamplingOptions([0])


def test_settings_as_documented():
    found = {key: [value[n] for n in ("cfg_scale", "top_k", "top_p", "more_smooth")] for key, value in BY_KEY.items()}
    assert found == {
        "quality": [4.0, 900, 0.95, False],
        "faithful": [1.5, 900, 0.96, False],
        "smooth": [4.0, 900, 0.95, True],
        "no-guidance": [0.0, 900, 0.95, False],
    }


def test_no_two_presets_are_the_same():
    assert len({tuple(settings.items()) for settings in BY_KEY.values()}) == len(PRESETS)


def test_top_k_is_bounded_by_the_vocabulary():
    assert PRESETS[0].settings(vocab_size=64)["top_k"] == 64
    assert PRESETS[0].settings(vocab_size=4096)["top_k"] == 900


def test_settings_of_a_preset_light_it():
    values = sampling_values(find_preset("faithful", DESCRIPTION), DESCRIPTION)
    assert matching_preset(values, DESCRIPTION) == "faithful"
    assert matching_preset(values | {"cfg_scale": 1.6}, DESCRIPTION) is None


def test_the_sliders_offer_what_is_allowed_and_the_default():
    for name, (least, most) in limits(DESCRIPTION).items():
        said = DECLARATIONS[name]
        assert said.allows(least, 10) and said.allows(most, 10)
        assert least <= min(said.default, most) <= most


def test_the_settings_of_a_checkpoint_of_its_own_come_first():
    assert presets_of(DESCRIPTION) == PRESETS
    first, *others = presets_of(replace(DESCRIPTION, defaults={"cfg_scale": 1.4, "top_k": 0, "top_p": 0.0}))
    settings = first.settings()
    assert (settings["cfg_scale"], settings["top_k"], settings["top_p"]) == (1.4, 0, 0.0)
    assert tuple(others) == PRESETS


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"cfg_scale": 3.0, "top_k": 50}, {"cfg_scale": 3.0, "top_k": 50}),
        ({"cfg_scale": 3.0, "more": 1}, {"cfg_scale": 3.0}),
        ({"cfg_scale": 1.5, "cfg_curve": "constant"}, {"cfg_scale": 1.5, "cfg_curve": "constant"}),
        ({"cfg_scale": 1.5, "cfg_curve": "steep"}, {}),
        ({"cfg_scale": "3"}, {}),
        ({"cfg_scale": -1.0, "top_k": 50}, {}),
        ({"top_k": 2.5}, {}),
        ({"temperature": [1, 1, 1, 1, 1, 0.5, 0.4]}, {"temperature": (1, 1, 1, 1, 1, 0.5, 0.4)}),
        ({"temperature": [1, 0.4]}, {}),
        ({"top_k": [9, 9, 9, 9, 9, 9, "9"]}, {}),
        ("strong", {}),
    ],
)
def test_a_file_may_ask_for_settings_of_its_own(asked, found):
    assert own_settings({"args": {"sampling": asked}}, num_scales=7) == found


def test_settings_for_each_scale_are_a_preset_like_others():
    asked = {"cfg_scale": (3.0, 2.0, 1.0, 0.0), "temperature": (1, 1, 0.5, 0.4), "top_k": (64, 9, 9, 2)}
    described = replace(DESCRIPTION, defaults=asked | {"top_k": (900, 9, 9, 2)}, patch_nums=(1, 2, 3, 4))
    values = sampling_values(presets_of(described)[0], described)
    assert matching_preset(values, described) == "own"
    sampling = sampling_of(values)
    assert {name: tuple(sampling[name]) for name in asked} == asked and "cfg_curve" not in sampling
    others = sampling_values(find_preset("quality", described), described)
    assert matching_preset(others, described) == "quality"
    assert matching_preset(values | {"top_p": 0.5}, described) is None


@pytest.mark.parametrize("training", [{}, {"args": {"text": "x"}}, {"args": {}}])
def test_a_file_that_asks_for_nothing_has_no_settings(training):
    assert own_settings(training, num_scales=7) == {}
