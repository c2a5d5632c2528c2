"""The rules of the sampling options."""

import math

import numpy
import pytest
import torch

from var.options import SamplingOptions

NUM_CLASSES = 5


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
        ({"top_k": -1}, "top_k must be"),
        ({"top_k": 2.5}, "top_k must be"),
        ({"top_p": -0.1}, "top_p must be"),
        ({"top_p": 1.1}, "top_p must be"),
        ({"temperature": 0}, "temperature must be"),
        ({"temperature": math.inf}, "temperature must be"),
        ({"more_smooth": 1}, "more_smooth must be"),
    ],
)
def test_broken_rule_is_named(changes, words):
    options = SamplingOptions(**{"class_labels": [0, None], **changes})
    with pytest.raises(ValueError, match=words):
        options.check(NUM_CLASSES)


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


def test_options_keep_their_own_copy():
    labels = [1, 2]
    options = SamplingOptions(labels)
    labels[0] = 3
    assert options.class_labels == (1, 2)
