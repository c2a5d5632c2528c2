"""What a pickle held, as values for JSON: complete where it is small, bounded where it is not."""

import json
import math

import torch
from tiny import stored

from var.checkpoints.plain_values import MAX_VALUES, to_plain
from var.formats.pickle_objects import Global, StandIn


def test_plain_values_stay():
    value = {"a": [1, 2.5, None, True, "text"], "b": {"c": []}}
    assert to_plain(value) == value


def test_other_containers_become_lists():
    assert to_plain({"a": (1, 2), "b": {3}}) == {"a": [1, 2], "b": [3]}


def test_objects_are_named():
    assert to_plain([Global("torch.float32"), StandIn("omegaconf.DictConfig")]) == [
        "torch.float32",
        "omegaconf.DictConfig",
    ]


def test_tensors_are_described():
    assert to_plain(stored({"a": torch.zeros(2, 3)})["a"]) == "float32 tensor of shape (2, 3)"


def test_keys_become_text():
    assert to_plain({1: "a", (1, 2): "b", None: "c"}) == {"1": "a", "[1, 2]": "b", "None": "c"}


def test_numbers_that_json_lacks_become_text():
    assert to_plain([math.nan, math.inf]) == ["nan", "inf"]


def test_list_in_itself_ends():
    value = []
    value.append(value)
    assert "..." in json.dumps(to_plain(value))


def test_list_repeated_at_every_level_is_bounded():
    value = ["leaf"]
    for _ in range(8):
        value = [value] * 1000
    assert json.dumps(to_plain(value)).count("leaf") <= MAX_VALUES


def test_long_text_repeated_is_bounded():
    assert len(json.dumps(to_plain(["x" * 100_000] * 10_000))) < 10_000_000
