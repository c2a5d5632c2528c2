"""Who has the models."""

import threading

import pytest

from var.engine.access import Access


@pytest.fixture
def access():
    return Access()


def test_spare_time_is_over_while_somebody_has_the_models(access):
    with access.turn(), access.spare_time() as is_mine:
        assert not is_mine and access.is_taken


def test_who_uses_spare_time_does_not_count_as_having_the_models(access):
    with access.spare_time() as is_mine:
        assert is_mine and not access.is_taken and not access.is_set()


def test_who_uses_spare_time_is_told_when_somebody_waits(access):
    had = threading.Event()

    def have():
        with access.turn():
            had.set()

    with access.spare_time():
        waiting = threading.Thread(target=have)
        waiting.start()
        while not access.is_set():
            pass
        assert not had.is_set()
    waiting.join()
    assert had.is_set() and not access.is_set() and not access.is_taken


def test_the_models_are_given_back_after_an_error(access):
    for have in (access.turn, access.spare_time):
        with pytest.raises(ValueError), have():
            raise ValueError
    assert not access.is_taken and not access.is_set()
