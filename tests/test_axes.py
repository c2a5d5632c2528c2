"""What people type for an axis of a comparison."""

import pytest

from var.comparing.axes import KINDS, MAX_VALUES, Axis, Names, parse_axis

NAMES = Names(["ant", "bee", "crane", "dog, wild", "crane", "honey pot"], ["run-ep10.pth", "run-ep20.pth", "other.pth"])


def values(kind, text):
    return list(parse_axis(kind, text, NAMES).values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", [3]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("4-0", [4, 3, 2, 1, 0]),
        ("0-10:5", [0, 5, 10]),
        ("0-10 (+5)", [0, 5, 10]),
        ("10 - 0 (-5)", [10, 5, 0]),
        ("0..2", [0, 1, 2]),
        ("0-8 [3]", [0, 4, 8]),
        ("1, 2;3\n4,", [1, 2, 3, 4]),
        ("7, 0-1, 7", [7, 0, 1]),
    ],
)
def test_whole_numbers(text, expected):
    assert values("seed", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1, 2.5, 4", [1, 2.5, 4]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("0-0.5:0.1", [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ("0-1 [3]", [0, 0.5, 1]),
        ("1-0.5:0.25", [1, 0.75, 0.5]),
    ],
)
def test_real_numbers(text, expected):
    assert values("cfg_scale", text) == expected


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("seed", "", "Seed: no value given; type some, such as 0-4"),
        ("seed", "1.5", "only whole numbers"),
        ("seed", "-1", "neither a number nor a range"),
        ("seed", "x", "neither a number nor a range"),
        ("seed", "0-99999999999", "has 100000000000 values; at most"),
        ("seed", "9999999999999999999", "out of range"),
        ("seed", "0-4:0", "the step"),
        ("seed", "0-4 [1]", "must ask for 2 to"),
        ("seed", "0-60, 100-160", "1 to 64 values, not 122"),
        ("seed", "1" * 20_000, "too long"),
        ("cfg_scale", "0.5-1", "needs a step"),
        ("cfg_scale", "nan", "neither"),
        ("top_p", "1.5", "Top-p: 1.5 is out of range; it must be 0 to 1"),
        ("temperature", "0", "out of range"),
        ("more_smooth", "maybe", "'maybe' is none of on, yes"),
        ("cfg_curve", "sine", "none of ramp, constant"),
        ("class", "zebra", "Class: no class is named 'zebra'"),
        ("class", "6", "class 6 is out of range; the classes are 0 to 5"),
        ("class", "4-6", "class 6 is out of range"),
        ("class", "crane", r"2 classes: crane \(2\), crane \(4\)"),
        ("class", "n", r"names of 4 classes"),
        ("checkpoint", "run", "several checkpoints: run-ep10.pth, run-ep20.pth"),
        ("checkpoint", "../secret", "no checkpoint at hand: run-ep10.pth"),
        ("colour", "red", "an axis must be one of"),
    ],
)
def test_what_is_no_value_is_told(kind, text, words):
    with pytest.raises(ValueError, match=words):
        parse_axis(kind, text, NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ant, 1", [0, 1]),
        ("dog, wild", [3]),
        ('ant, "dog, wild"', [0, 3]),
        ("honey", [5]),
        ("2-4", [2, 3, 4]),
        ("none, bee", [None, 1]),
        ("all", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_classes(text, expected):
    assert values("class", text) == expected


def test_classes_of_one_name_are_told_apart():
    assert parse_axis("class", "2, 4, bee, none", NAMES).labels == ("crane (2)", "crane (4)", "bee", "no class")


def test_checkpoints_by_a_part_of_their_name():
    assert values("checkpoint", "ep20, other.pth") == ["run-ep20.pth", "other.pth"]


def test_checkpoints_are_labelled_without_their_common_suffix():
    assert parse_axis("checkpoint", "ep10, ep20", NAMES).labels == ("run-ep10", "run-ep20")


def test_suffixes_that_differ_stay():
    names = Names(checkpoints=["a.pth", "a.safetensors"])
    assert parse_axis("checkpoint", "a.pth, a.safetensors", names).labels == ("a.pth", "a.safetensors")


def test_words_in_any_case():
    assert values("more_smooth", "On, off") == [True, False]
    assert values("dtype", "fp32, BFloat16") == ["float32", "bfloat16"]
    assert values("cfg_curve", "Constant, ramp") == ["constant", "ramp"]
    assert values("weights", "ema, raw") == ["ema", "raw"]


def test_labels_are_as_people_write():
    assert Axis("cfg_scale", (1.0, 2.5)).labels == ("1", "2.5")
    assert Axis("more_smooth", (True, False)).labels == ("on", "off")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("checkpoint", "class")])
def test_each_hint_is_a_value(kind):
    assert values(kind, KINDS[kind].hint)


def test_axis_has_values():
    with pytest.raises(ValueError, match=f"1 to {MAX_VALUES} values"):
        Axis("seed", ())


class Unread(list):
    """Names of very many classes, of which only a line as a whole may be looked for."""

    def index(self, *_):
        pytest.fail("a name was looked for")

    __len__ = __getitem__ = count = index


@pytest.mark.parametrize("word", ["0", "bee"])
def test_too_many_values_are_refused_before_names_are_looked_for(word):
    with pytest.raises(ValueError, match="^Class: 700 values; at most 64 are allowed$"):
        parse_axis("class", ",".join([word] * 700), Names(Unread(["bee"])))
