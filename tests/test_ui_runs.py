"""A generation as the page asks for it."""

import threading

import pytest
from tiny import write_trainer_file

from var.ui.models import ModelHolder
from var.ui.runs import Order, StopSignals, carry_out


@pytest.fixture
def holder(tmp_path):
    return ModelHolder(tmp_path, "cpu")


@pytest.fixture
def path(tmp_path):
    return write_trainer_file(tmp_path / "a.pth", class_names=["Ant", "Bee", "Cat", "Dog", "Eel"], optimizer=False)


def order(path, **changes):
    values = {"class_labels": [1, 3], "num_images": 2, "seed": 10, "cfg_scale": 4.0, "top_k": 0, "top_p": 0.95}
    return Order(path=path, **(values | {"more_smooth": False} | changes))


def test_each_image_has_a_class_and_a_seed(path):
    assert order(path).image_labels == [1, 1, 3, 3]
    assert order(path).image_seeds == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_labels": []}, "at least one"),
        ({"num_images": 0}, "whole number from 1"),
        ({"num_images": 33}, "66 images; at most 64"),
        ({"seed": None}, "seed must be a whole number"),
    ],
)
def test_says_what_cannot_be_made(path, changes, message):
    with pytest.raises(ValueError, match=message):
        order(path, **changes).check()


def test_a_frame_comes_with_each_scale(holder, path):
    frames = list(carry_out(holder, order(path), threading.Event()))
    assert [frame.scale_index for frame in frames] == [0, 1, 2, 3]
    assert [frame.last for frame in frames] == [False, False, False, True]
    assert [len(frame.images) for frame in frames] == [4] * 4


def test_frames_name_the_class_of_each_image(holder, path):
    frame = next(carry_out(holder, order(path), threading.Event()))
    assert frame.class_names == ["Bee", "Bee", "Dog", "Dog"]


def test_no_scale_is_begun_after_a_stop(holder, path):
    stop = threading.Event()
    frames = []
    for frame in carry_out(holder, order(path), stop):
        frames.append(frame)
        stop.set()
    assert [frame.scale_index for frame in frames] == [0]


def test_a_run_stopped_while_it_waits_makes_nothing(holder, path):
    stop = threading.Event()
    stop.set()
    assert list(carry_out(holder, order(path), stop)) == []


def test_the_model_is_free_after_a_run_that_was_left(holder, path):
    frames = carry_out(holder, order(path), threading.Event())
    next(frames)
    frames.close()
    assert len(list(carry_out(holder, order(path), threading.Event()))) == 4


def test_a_stop_reaches_its_own_session_alone():
    signals = StopSignals()
    signals.renew("a")
    signals.renew("b")
    signals.stop("a")
    assert signals.of("a").is_set() and not signals.of("b").is_set()


def test_a_new_run_forgets_an_earlier_stop():
    signals = StopSignals()
    signals.stop("a")
    signals.renew("a")
    assert not signals.of("a").is_set()
