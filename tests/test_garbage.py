"""Pausing the search for cycles."""

import gc

from var.formats.tensors import paused_collection


def test_it_is_off_inside_and_on_again_after():
    with paused_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_stays_off_where_it_was_off():
    gc.disable()
    try:
        with paused_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_is_on_again_after_an_error():
    try:
        with paused_collection():
            raise KeyError
    except KeyError:
        assert gc.isenabled()
