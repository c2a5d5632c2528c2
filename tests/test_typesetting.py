"""Text on pictures."""

import pytest

from var.pictures.typesetting import ELLIPSIS, Typesetter, drawable


@pytest.mark.parametrize("text", ["Guidance 4.5", "1×1", "Žluťoučký", "банан"])
def test_letters_of_many_languages_can_be_drawn(text):
    type_ = Typesetter(20, [text])
    assert drawable(text, type_.wide) == text


def test_plain_text_is_in_the_typeface_bundled_with_pillow():
    assert not Typesetter(20, ["Apple\nseed 1 · top-k 900"]).wide


def test_letters_that_no_typeface_has_are_marked():
    assert drawable("犬 a\tb") == "? a b"


def test_accents_go_before_letters_do():
    assert drawable("café", wide=False) == "cafe"


def test_text_that_fits_stays():
    assert Typesetter(20, []).shorten("banana", 200) == "banana"


def test_long_text_keeps_both_ends():
    type_ = Typesetter(20, [])
    text = type_.shorten("a-long-name-of-a-run-ep0010", 120)
    assert text.startswith("a-") and text.endswith("10") and ELLIPSIS in text
    assert type_.width(text) <= 120


def test_lines_break_between_words():
    assert Typesetter(20, []).wrap("Apple Granny Smith", 120, most_lines=3) == ["Apple Granny", "Smith"]


def test_every_line_fits():
    type_ = Typesetter(20, [])
    lines = type_.wrap("American Staffordshire terrier, pit bull terrier and others", 110, most_lines=3)
    assert len(lines) == 3 and all(type_.width(line) <= 110 for line in lines)


def test_no_text_is_one_empty_line():
    assert Typesetter(20, []).wrap("", 100, most_lines=3) == [""]
