"""Links that carry settings."""

from urllib.parse import parse_qsl

import pytest

from var.ui.settings.events import asks_for_images
from var.ui.settings.links import from_query, to_query

VALUES = {
    "classes": [3, None],
    "num_images": 2,
    "seed": 7,
    "cfg_scale": 1.5,
    "top_k": 900,
    "top_p": 0.96,
    "temperature": 1.25,
    "more_smooth": True,
    "cfg_curve": "constant",
    "cfg_start": 1,
    "cfg_end": 5,
    "by_scale": {},
}


def test_a_link_brings_all_settings_back():
    wanted = from_query(dict(parse_qsl(to_query("my file.pth", VALUES))))
    assert (wanted.values, wanted.checkpoint, wanted.note) == (
        VALUES | {"by_class": False, "new_seed": False},
        "my file.pth",
        "",
    )


def test_a_link_has_a_number_of_images_for_each_class():
    wanted = from_query(dict(parse_qsl(to_query(None, VALUES | {"num_images": [1, 4]}))))
    assert wanted.values["by_class"] and wanted.values["counts"] == {3: 1, None: 4}


def drawn(**rows):
    """The value of the bars where some rows are drawn."""
    return {"rows": {name: {"values": values, "own": True} for name, values in rows.items()}}


def test_a_link_carries_a_value_for_each_scale():
    bars = drawn(top_k=[900, 30], temperature=[1.0, 0.25])
    wanted = from_query(dict(parse_qsl(to_query(None, VALUES | {"by_scale": bars}))))
    assert wanted.values["by_scale"] == {"top_k": [900, 30], "temperature": [1.0, 0.25]}
    assert (wanted.values["top_k"], wanted.values["temperature"], wanted.values["cfg_scale"]) == (
        900,
        1.0,
        1.5,
    )  # of the first scale
    assert wanted.values["cfg_curve"] == "constant"


def test_drawn_guidance_has_no_curve_in_a_link():
    query = to_query(None, VALUES | {"by_scale": drawn(cfg_scale=[0.5, 8.0])})
    assert "cfg=0.5,8&" in query and "cfg_start" not in query and "curve" not in query
    assert from_query(dict(parse_qsl(query))).values["cfg_curve"] is None


def test_a_page_without_settings_in_its_address_stays_as_it_is():
    assert from_query({"__theme": "dark"}) is None


@pytest.mark.parametrize(
    "parameters",
    [{"seed": "-1"}, {"seed": "1e9"}, {"cfg": "nan"}, {"classes": ", "}, {"smooth": "perhaps"}, {"curve": "wild"}],
)
def test_what_cannot_be_read_is_left_out_and_named(parameters):
    wanted = from_query(parameters)
    assert not wanted.values and wanted.note == f"Not understood in the link, and left out: {next(iter(parameters))}."


def test_one_bad_value_does_not_spoil_the_others():
    assert from_query({"seed": "?", "cfg": "2"}).values["cfg_scale"] == 2


LINK = {"checkpoint": "a.pth", "classes": "3", "seed": "8"}


@pytest.mark.parametrize(
    ("link", "remembered", "expected"),
    [
        ({}, None, False),
        ({"checkpoint": "a.pth", "seed": "8"}, None, False),
        (LINK, None, True),
        (LINK, LINK | {"cfg": "2"}, False),  # the page was loaded again
        (LINK, LINK | {"seed": "9"}, True),
        (LINK, LINK | {"checkpoint": "b.pth"}, True),
        ({"classes": "3", "seed": "8"}, LINK, False),
    ],
)
def test_images_that_a_link_asks_for_are_made_once(link, remembered, expected):
    assert asks_for_images(from_query(link), remembered and from_query(remembered)) == expected
