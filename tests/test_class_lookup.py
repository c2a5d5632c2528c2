"""Classes by index, name, range, or all."""

import pytest

from var.checkpoints.class_lookup import find_class, find_classes

NAMES = ["ant", "Golden Retriever", "Banana", "dog", "2-3"]


@pytest.mark.parametrize(
    ("word", "labels"),
    [
        ("2", [2]),
        ("DOG", [3]),
        ("none", [None]),
        ("None", [None]),
        ("all", [0, 1, 2, 3, 4]),
        ("1-3", [1, 2, 3]),
        ("3–1", [3, 2, 1]),
        ("0..1", [0, 1]),
        ("3, golden retriever,0-1,", [3, 1, 0, 1]),
        ("2-3", [4]),  # a name comes before a range
    ],
)
def test_what_a_word_names(word, labels):
    assert find_classes(word, NAMES) == labels


def test_classes_that_are_called_none_or_all_come_first():
    assert [find_classes(word, ["all", "None"]) for word in ("none", "all")] == [[1], [0]]


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("bananna", r"no class is named 'bananna'; did you mean Banana\?"),
        ("retriever", r"did you mean Golden Retriever\?"),
        ("zebra", "known are ant, Golden Retriever, Banana"),
        (",", "no class is named ','"),
        ("3,cow", "no class is named 'cow'"),
        ("5", "class 5 is out of range: the model has classes 0 to 4"),
        ("0-5", "class 5 is out of range"),
    ],
)
def test_a_word_that_names_none(word, words):
    with pytest.raises(ValueError, match=words):
        find_classes(word, NAMES)


def test_names_that_differ_in_their_case_only():
    assert find_class("Ant", ["ant", "Ant"]) == 1
    with pytest.raises(ValueError, match="classes 0, 1 are all named 'ANT'; give one by its index"):
        find_class("ANT", ["ant", "Ant"])
