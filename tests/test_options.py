"""The rules of the sampling options."""

import math

import numpy
import pytest
import torch

from var.sampling.options import DECLARATIONS, SamplingOptions

NUM_CLASSES, NUM_SCALES = 5, 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_labels": []}, "at least one class"),
        ({"class_labels": 3}, "class_labels must be a list"),
        ({"class_labels": [5]}, "0 to 4"),
        ({"class_labels": [-1]}, "0 to 4"),
        ({"class_labels": [1.0]}, "0 to 4"),
        ({"class_labels": [True]}, "0 to 4"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**63}, "seed must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"seed": [1, -2]}, "seed must be"),
        ({"seed": [1]}, "one for each of the 2"),
        ({"cfg_scale": -0.1}, "cfg_scale must be"),
        ({"cfg_scale": math.nan}, "cfg_scale must be"),
        ({"cfg_scale": math.inf}, "cfg_scale must be"),
        ({"cfg_scale": "4"}, "cfg_scale must be"),
        ({"cfg_scale": [1.0, 2.0]}, "cfg_scale must be one number, or 4, one for each scale, not 2"),
        ({"cfg_scale": [1.0, 2.0, -3.0, 4.0]}, "cfg_scale must be a finite number"),
        ({"cfg_scale": [1.0, 2.0, 3.0, 4.0], "cfg_curve": "constant"}, "would change nothing"),
        ({"cfg_scale": [1.0, 2.0, 3.0, 4.0], "cfg_start": 1}, "would change nothing"),
        ({"cfg_scale": [1.0, 2.0, 3.0, 4.0], "cfg_end": 3}, "would change nothing"),
        ({"top_k": -1}, "top_k must be"),
        ({"top_k": 2.5}, "top_k must be"),
        ({"top_p": -0.1}, "top_p must be"),
        ({"top_p": 1.1}, "top_p must be"),
        ({"temperature": 0}, "temperature must be"),
        ({"temperature": math.inf}, "temperature must be"),
        ({"more_smooth": 1}, "more_smooth must be"),
        ({"top_k": [5, 5, 5]}, "top_k must be one number, or 4, one for each scale, not 3"),
        ({"top_k": [5, 5, -1, 5]}, "top_k must be a whole number"),
        ({"top_k": []}, "one for each scale, not 0"),
        ({"temperature": [1.0, 1.0]}, "temperature must be one number, or 4, one for each scale, not 2"),
        ({"temperature": [1.0, 1.0, 0.0, 1.0]}, "temperature must be a finite number"),
        ({"cfg_curve": "sine"}, "cfg_curve must be 'ramp' or 'constant', not 'sine'"),
        ({"cfg_curve": None}, "cfg_curve must be"),
        ({"cfg_start": -1}, "cfg_start must be a whole number from 0 to 3, the last scale, not -1"),
        ({"cfg_start": 4}, "cfg_start must be"),
        ({"cfg_start": 1.0}, "cfg_start must be"),
        ({"cfg_end": 4}, "cfg_end must be a whole number from 0"),
        ({"cfg_start": 2, "cfg_end": 2}, "cfg_end must be 0 .off. or greater than cfg_start, 2, not 2"),
    ],
)
def test_broken_rule_is_named(changes, words):
    options = SamplingOptions(**{"class_labels": [0, None], **changes})
    with pytest.raises(ValueError, match=words):
        options.check(NUM_CLASSES, NUM_SCALES)


@pytest.mark.parametrize("name", DECLARATIONS)
def test_what_is_said_of_an_option_keeps_its_rule(name):
    said = DECLARATIONS[name]
    assert said.default == getattr(SamplingOptions, name) and said.allows(said.default)
    assert len(said.suggested) > 1
    for value in said.suggested:
        SamplingOptions([0], **{name: value}).check(NUM_CLASSES)


@pytest.mark.parametrize("labels", [[0, 4], (0, 4), torch.tensor([0, 4]), numpy.array([0, 4])])
def test_labels_of_any_kind_of_sequence(labels):
    options = SamplingOptions(labels, seed=torch.tensor([1, 2]))
    options.check(NUM_CLASSES)
    assert options.class_labels == (0, 4)


def test_top_k_larger_than_any_vocabulary_is_allowed():
    SamplingOptions([0], top_k=10**9).check(NUM_CLASSES)


def test_defaults_are_the_documented_ones():
    options = SamplingOptions([0])
    assert (options.seed, options.cfg_scale, options.top_k, options.top_p) == (0, 4.0, 900, 0.95)
    assert (options.more_smooth, options.temperature) == (False, 1.0)
    assert (options.cfg_curve, options.cfg_start, options.cfg_end) == ("ramp", 0, 0)


def test_options_keep_their_own_copy():
    labels = [1, 2]
    options = SamplingOptions(labels)
    labels[0] = 3
    assert options.class_labels == (1, 2)


def test_values_by_scale_need_a_known_number_of_scales():
    SamplingOptions([0], top_k=[1, 2, 3], temperature=(1.0,), cfg_start=40).check(NUM_CLASSES)


@pytest.mark.parametrize(
    ("changes", "guidance"),
    [
        ({}, [0, 1, 2, 3]),
        ({"cfg_curve": "constant"}, [3, 3, 3, 3]),
        ({"cfg_start": 2}, [0, 0, 2, 3]),
        ({"cfg_end": 3}, [0, 1, 2, 0]),
        ({"cfg_curve": "constant", "cfg_start": 1, "cfg_end": 3}, [0, 3, 3, 0]),
        ({"cfg_scale": 0.0}, [0, 0, 0, 0]),
        ({"cfg_scale": [2, 0, 5, 1]}, [2, 0, 5, 1]),
    ],
)
def test_guidance_at_each_scale(changes, guidance):
    options = SamplingOptions([0], **{"cfg_scale": 3.0, **changes})
    options.check(NUM_CLASSES, NUM_SCALES)
    assert [options.at_scale(s, NUM_SCALES).guidance for s in range(NUM_SCALES)] == pytest.approx(guidance)


@pytest.mark.parametrize(
    ("changes", "count"),
    [({}, 4), ({"cfg_end": 3}, 3), ({"cfg_start": 3}, 4), ({"cfg_end": 1}, 0), ({"cfg_scale": [0, 5, 0, 0]}, 2)],
)
def test_scales_that_need_the_unconditional_half(changes, count):
    assert SamplingOptions([0], **changes).guided_scales(NUM_SCALES) == count


def test_ramp_over_a_single_scale_is_no_guidance():
    assert SamplingOptions([0]).guided_scales(1) == 0
    assert SamplingOptions([0], cfg_curve="constant").guided_scales(1) == 1


def test_values_at_each_scale():
    options = SamplingOptions([0], top_k=torch.tensor([9, 8, 7, 6]), temperature=[1.0, 0.9, 0.8, 0.7])
    options.check(NUM_CLASSES, NUM_SCALES)
    found = [options.at_scale(s, NUM_SCALES) for s in range(NUM_SCALES)]
    assert [(here.top_k, here.temperature) for here in found] == [(9, 1.0), (8, 0.9), (7, 0.8), (6, 0.7)]
