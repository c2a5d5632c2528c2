"""The bars of what holds at each scale."""

import pytest

from var.ui.settings.bars import bars_value, followed, held_values, own_values

LIMITS = {"cfg_scale": (0, 10, 0.1), "temperature": (0.05, 2, 0.05), "top_k": (0, 64, 1)}
CONTROLS = {"cfg_scale": 3.0, "cfg_curve": "ramp", "cfg_start": 0, "cfg_end": 0, "temperature": 0.5, "top_k": 9}


def bars(own=None):
    return bars_value((1, 2, 3, 4), LIMITS, CONTROLS, own)


def shown(value):
    return {name: row["values"] for name, row in value["rows"].items()}


def test_the_bars_tell_what_the_controls_say():
    assert shown(bars()) == {"cfg_scale": [0, 1, 2, 3], "temperature": [0.5] * 4, "top_k": [9] * 4}
    assert own_values(bars()) == {}


def test_a_drawn_row_tells_of_itself():
    value = bars({"top_k": [4, 3, 2, 1]})
    assert own_values(value) == {"top_k": [4, 3, 2, 1]} and shown(value)["temperature"] == [0.5] * 4


@pytest.mark.parametrize(
    ("changes", "guidance"),
    [({"cfg_curve": "constant"}, [3, 3, 3, 3]), ({"cfg_start": 2}, [0, 0, 2, 3]), ({"cfg_end": 2}, [0, 1, 0, 0])],
)
def test_guidance_follows_its_curve(changes, guidance):
    assert held_values("cfg_scale", CONTROLS | changes, 4) == guidance


def test_an_empty_control_shows_the_default():
    assert held_values("temperature", CONTROLS | {"temperature": None}, 4) == [1.0] * 4
    assert held_values("cfg_scale", CONTROLS | {"cfg_curve": None}, 4) == [0, 1, 2, 3]


def test_a_control_that_is_touched_takes_its_row_back():
    before = bars({"top_k": [4, 3, 2, 1], "cfg_scale": [0, 0, 0, 9]})
    after = followed(before, "cfg_start", CONTROLS | {"cfg_start": 3})
    assert own_values(after) == {"top_k": [4, 3, 2, 1]} and shown(after)["cfg_scale"] == [0, 0, 0, 3]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "rows",
        {},
        {"rows": 3},
        {"rows": {"top_k": 3}},
        {"rows": {"seed": {"own": True, "values": [1]}}},
        {"rows": {"top_k": {"own": True, "values": "1234"}}},
        {"rows": {"top_k": {"own": True, "values": [1, None, 3, 4]}}},
        {"rows": {"top_k": {"own": True, "values": [1, float("nan"), 3, 4]}}},
    ],
)
def test_what_no_bars_send_is_nothing(value):
    assert own_values(value) == {}
