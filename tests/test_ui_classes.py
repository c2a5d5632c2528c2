"""The list of classes."""

from var.engine.description import Description
from var.ui.settings import classes


def description(num_classes, trained=None):
    names = tuple(f"name {label}" for label in range(num_classes))
    return Description("", names, 64, 16, "CPU, float32", None, trained_classes=trained)


def values(choices):
    return [value for _, value in choices]


def test_classes_stand_in_their_order_with_no_class_last():
    assert values(classes.choices(description(3))) == [0, 1, 2, classes.NO_CLASS]


def test_names_carry_their_number():
    assert classes.choices(description(3))[1] == ("name 1 · 1", 1)


def test_equal_names_carry_their_number_once():
    names = Description("", ("crane (0)", "crane (1)", "kite"), 64, 16, "CPU, float32", None)
    assert [name for name, _ in classes.choices(names)[:3]] == ["crane · 0", "crane · 1", "kite · 2"]


def test_trained_classes_come_first():
    assert values(classes.choices(description(4, trained=(1, 3)))) == [1, 3, 0, 2, classes.NO_CLASS]


def test_classes_used_lately_come_before_all():
    assert values(classes.choices(description(4, trained=(1, 3)), recent=[2, 3])) == [2, 3, 1, 0, classes.NO_CLASS]


def test_the_last_used_is_the_first_of_those_used_lately():
    recent = classes.with_recent(classes.with_recent([], [4, None]), [7])
    assert recent == [7, 4]


def test_the_first_choice_is_spread_over_trained_classes():
    assert classes.first_choice(description(1000, trained=(5, 6, 7, 8, 9, 10, 11, 12))) == [5, 7, 9, 11]


def test_random_classes_are_trained_ones():
    assert classes.random_choice(description(1000, trained=(5, 6)), 4) == [5, 6]


def test_classes_that_a_checkpoint_lacks_are_left_out():
    assert classes.known_classes(description(3), [1, None, 7, 1]) == [1, classes.NO_CLASS]


def test_no_class_is_none_in_an_order():
    assert classes.to_labels([1, classes.NO_CLASS]) == [1, None]
