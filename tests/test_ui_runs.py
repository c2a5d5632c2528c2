"""A generation as the page asks for it."""

import threading

import pytest
from tiny import write_trainer_file

from var.engine.models import ModelHolder
from var.engine.pace import Pace
from var.engine.runs import Order, carry_out


@pytest.fixture
def holder(tmp_path):
    return ModelHolder(tmp_path, "cpu")


@pytest.fixture
def path(tmp_path):
    return write_trainer_file(tmp_path / "a.pth", class_names=["Ant", "Bee", "Cat", "Dog", "Eel"], optimizer=False)


def order(path, class_labels=(1, 3), num_images=2, seed=10, **sampling):
    return Order(path, class_labels, num_images, seed, {"top_k": 0} | sampling)


def image(holder, order):
    *_, frame = carry_out(holder, order, threading.Event())
    return frame.finished[0].image.tobytes()


def test_each_image_has_a_class_and_a_seed(path):
    assert order(path).image_labels == [1, 1, 3, 3]
    assert order(path).image_seeds == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_labels": []}, "at least one"),
        ({"num_images": 0}, "whole number from 1"),
        ({"num_images": 33}, "66 images; at most 64"),
        ({"num_images": [1, 64]}, "65 images; at most 64"),
        ({"num_images": [1, 0]}, "whole number from 1"),
        ({"num_images": [1, 2, 3]}, "Classes: 2, numbers of images: 3"),
        ({"seed": None}, "The seed is empty"),
        ({"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_says_what_cannot_be_made(path, changes, message):
    with pytest.raises(ValueError, match=message):
        order(path, **changes).check()


def test_a_frame_comes_with_each_scale(holder, path):
    frames = list(carry_out(holder, order(path), threading.Event()))
    assert [frame.scale_index for frame in frames] == [0, 1, 2, 3]
    assert [len(frame.finished) for frame in frames] == [0, 0, 0, 4]


def test_images_are_made_in_batches(holder, path):
    frames = list(carry_out(holder, order(path, num_images=6), threading.Event()))
    assert [len(frame.finished) for frame in frames] == [0, 0, 0, 8, 8, 8, 8, 12]
    assert [finished.recipe.seed for finished in frames[-1].finished] == list(range(10, 22))


def test_a_recipe_tells_class_and_settings(holder, path):
    *_, frame = carry_out(holder, order(path, [None, 3], 1, cfg_scale=2.0), threading.Event())
    recipes = [finished.recipe for finished in frame.finished]
    assert [recipe.class_name for recipe in recipes] == ["", "Dog"]
    assert {recipe.options.cfg_scale for recipe in recipes} == {2.0}


@pytest.mark.parametrize(
    "change",
    [
        {"class_labels": [2]},
        {"class_labels": [None]},
        {"seed": 11},
        {"cfg_scale": 0.0},
        {"top_k": 2},
        {"top_p": 0.2},
        {"more_smooth": True},
        {"temperature": 0.5},
        {"cfg_curve": "constant"},
        {"cfg_start": 3},
        {"cfg_end": 2},
        {"cfg_scale": (1.0, 1.0, 1.0, 9.0)},
        {"top_k": (0, 0, 0, 2)},
        {"temperature": (2.0, 2.0, 2.0, 0.2)},
    ],
)
def test_each_setting_alone_changes_the_image(holder, path, change):
    # Such a small model is so sure of itself that its tokens are drawn from a flatter distribution.
    usual = {"class_labels": [1], "num_images": 1, "top_p": 0.95, "cfg_scale": 1.0, "temperature": 2.0}
    assert image(holder, order(path, **(usual | change))) != image(holder, order(path, **usual))


def test_nothing_more_is_computed_after_a_stop(holder, path):
    stop = threading.Event()
    frames = []
    for frame in carry_out(holder, order(path), stop):
        frames.append(frame)
        stop.set()
    assert [frame.scale_index for frame in frames] == [0] and not frames[0].finished


def test_finished_batches_stay_after_a_stop(holder, path):
    stop = threading.Event()
    for frame in carry_out(holder, order(path, num_images=6), stop):
        if frame.finished:
            stop.set()
    assert len(frame.finished) == 8 and not frame.last


def test_a_run_stopped_while_it_waits_makes_nothing(holder, path):
    stop = threading.Event()
    stop.set()
    assert list(carry_out(holder, order(path), stop)) == []


def test_the_model_is_free_after_a_run_that_was_left(holder, path):
    frames = carry_out(holder, order(path), threading.Event())
    next(frames)
    frames.close()
    assert len(list(carry_out(holder, order(path), threading.Event()))) == 4


def test_each_class_can_have_its_own_number(holder, path):
    *_, frame = carry_out(holder, order(path, num_images=[1, 3]), threading.Event())
    assert [(recipe.class_label, recipe.seed) for recipe in frame.recipes] == [(1, 10), (3, 11), (3, 12), (3, 13)]


def test_the_time_left_is_told_from_the_first_scale_on_once_images_were_made(holder, path):
    pace = Pace()
    first = list(carry_out(holder, order(path), threading.Event(), pace))
    again = list(carry_out(holder, order(path), threading.Event(), pace))
    assert first[0].remaining is None and again[0].remaining > 0


def test_a_frame_tells_how_many_images_grow_together(holder, path):
    frames = list(carry_out(holder, order(path, num_images=6), threading.Event()))
    assert [frame.num_growing for frame in frames] == [8] * 4 + [4] * 4
