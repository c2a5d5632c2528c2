"""The options of sampling on the command line."""

import argparse

import pytest

from var.cli.sampling_arguments import add_sampling_arguments, sampling_settings
from var.sampling.options import SamplingOptions, help_of, option_names


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], SamplingOptions([0])),
        (["--preset", "faithful"], SamplingOptions([0], cfg_scale=1.5, top_p=0.96)),
        (["--preset", "faithful", "--top-p", "0.5"], SamplingOptions([0], cfg_scale=1.5, top_p=0.5)),
        (["--preset", "smooth", "--no-more-smooth"], SamplingOptions([0])),
        (["--preset", "no-guidance", "--cfg-scale", "2"], SamplingOptions([0], cfg_scale=2.0)),
        (["--cfg-curve", "constant", "--cfg-start", "1"], SamplingOptions([0], cfg_curve="constant", cfg_start=1)),
        (["--cfg-end", "3", "--more-smooth"], SamplingOptions([0], cfg_end=3, more_smooth=True)),
        (["--top-k", "7", "--temperature", "2"], SamplingOptions([0], top_k=7, temperature=2.0)),
        (["--top-k", "7", "6", "--temperature", "1", ".5"], SamplingOptions([0], top_k=[7, 6], temperature=[1.0, 0.5])),
    ],
)
def test_settings_come_from_the_preset_and_the_options_beside_it(arguments, settings):
    parser = argparse.ArgumentParser()
    add_sampling_arguments(parser)
    assert SamplingOptions([0], **sampling_settings(parser.parse_args(arguments), {})) == settings


def test_every_option_and_its_default_are_in_the_help():
    parser = argparse.ArgumentParser()
    add_sampling_arguments(parser)
    text = " ".join(parser.format_help().split())
    for name in option_names():
        assert f"--{name.replace('_', '-')}" in text and help_of(name) in text
    assert all(f"(default {shown})" in text for shown in (4.0, 900, 0.95, "no", 1.0, "ramp", 0))


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], SamplingOptions([0], cfg_scale=3.0, top_k=5, cfg_curve="constant")),
        (["--top-k", "7"], SamplingOptions([0], cfg_scale=3.0, top_k=7, cfg_curve="constant")),
        (["--cfg-scale", "1", "2"], SamplingOptions([0], cfg_scale=[1.0, 2.0], top_k=5)),
        (["--preset", "quality"], SamplingOptions([0])),
    ],
)
def test_what_the_checkpoint_asks_for_holds_unless_a_preset_is_given(arguments, settings):
    parser = argparse.ArgumentParser()
    add_sampling_arguments(parser)
    own = {"cfg_scale": 3.0, "top_k": 5, "cfg_curve": "constant"}
    assert SamplingOptions([0], **sampling_settings(parser.parse_args(arguments), own)) == settings
