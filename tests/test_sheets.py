"""Images on one labelled picture."""

import pytest
from PIL import Image

from var.pictures import sheets
from var.pictures.sheets import DARK, LEAST_CELL, LIGHT, Grid, Headers, film_strip, grid_sheet, labelled_sheet


def square(colour, side=LEAST_CELL):
    return Image.new("RGB", (side, side), colour)


def count(picture, colour):
    """Pixels of exactly this colour."""
    colours = dict((value, number) for number, value in picture.getcolors(maxcolors=1 << 24))
    return colours.get(Image.new("RGB", (1, 1), colour).getpixel((0, 0)), 0)


def left_and_top(picture, colour):
    """First column and first row that hold this colour."""
    wanted = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
    places = [(x, y) for x in range(picture.width) for y in range(picture.height) if picture.getpixel((x, y)) == wanted]
    return min(x for x, _ in places), min(y for _, y in places)


def test_sheet_shows_every_image_whole():
    sheet = labelled_sheet([square("red"), square("green"), square("blue")], ["a", "b", "c"], columns=2)
    assert [count(sheet, colour) for colour in ("red", "green", "blue")] == [LEAST_CELL**2] * 3


def test_sheet_goes_row_by_row():
    sheet = labelled_sheet([square("red"), square("green"), square("blue")], ["a", "b", "c"], columns=2)
    (red_x, red_y), (green_x, green_y), (blue_x, blue_y) = (left_and_top(sheet, c) for c in ("red", "green", "blue"))
    assert red_y == green_y < blue_y and red_x == blue_x < green_x


def test_caption_is_below_its_image():
    sheet = labelled_sheet([square("red")], ["apple"], columns=1)
    left, top = left_and_top(sheet, "red")
    below = sheet.crop((left, top + LEAST_CELL, sheet.width, sheet.height))
    assert below.getcolors(maxcolors=1 << 16) != [(below.width * below.height, below.getpixel((0, 0)))]
    assert count(sheet.crop((0, 0, sheet.width, top)), LIGHT.background) == sheet.width * top


def test_long_caption_does_not_widen_the_sheet():
    sizes = {labelled_sheet([square("red")], [caption], columns=1).size for caption in ("a", "a" * 500)}
    assert len(sizes) == 1


def test_small_images_are_enlarged_by_a_whole_factor():
    sheet = labelled_sheet([square("red", 80)], ["a"], columns=1)
    assert count(sheet, "red") == 240**2


def test_images_are_left_alone():
    image = square("red", 80)
    labelled_sheet([image], ["a"], columns=1)
    assert image.size == (80, 80)


def test_strip_has_one_row_up_to_five_scales():
    strips = [film_strip([square("red")] * number, range(1, number + 1)) for number in (5, 6)]
    assert strips[0].width > 5 * LEAST_CELL and strips[0].height < 2 * LEAST_CELL
    assert strips[1].width < 4 * LEAST_CELL and strips[1].height > 2 * LEAST_CELL


def test_grid_has_rows_and_columns():
    cells = [[square("red"), square("green")], [square("blue"), square("black")]]
    picture = grid_sheet([Grid(cells)], Headers("Seed", ["0", "1"]), Headers("Class", ["ant", "bee"]))
    red, green, blue = (left_and_top(picture, colour) for colour in ("red", "green", "blue"))
    assert red[1] == green[1] < blue[1] and red[0] == blue[0] < green[0]


def test_labels_stand_left_and_above():
    picture = grid_sheet([Grid([[square("red")]])], Headers("Seed", ["0"]), Headers("Class", ["ant"]))
    left, top = left_and_top(picture, "red")
    bare_left, bare_top = left_and_top(grid_sheet([Grid([[square("red")]])], Headers(), Headers()), "red")
    assert left > bare_left and top > bare_top


def test_grids_stand_below_one_another():
    picture = grid_sheet([Grid([[square("red")]], "one"), Grid([[square("green")]], "two")], Headers(), Headers())
    assert left_and_top(picture, "green")[1] > left_and_top(picture, "red")[1] + LEAST_CELL


def test_place_without_an_image_is_empty():
    picture = grid_sheet([Grid([[square("red"), None]])], Headers(), Headers())
    assert count(picture, LIGHT.empty) == LEAST_CELL**2


def test_place_may_say_why_it_is_empty():
    picture = grid_sheet([Grid([[square("red"), "no such class"]])], Headers(), Headers())
    assert 0 < count(picture, LIGHT.empty) < LEAST_CELL**2


def test_grid_of_nothing_can_be_drawn():
    assert grid_sheet([Grid([[None, None]])], Headers("Seed", ["0", "1"]), Headers()).width > 2 * LEAST_CELL


def test_images_of_other_sizes_are_brought_to_one():
    picture = grid_sheet([Grid([[square("red", 64), square("green", 256)]])], Headers(), Headers())
    assert count(picture, "red") == count(picture, "green") == 256**2


def test_many_large_images_make_no_endless_picture(monkeypatch):
    monkeypatch.setattr(sheets, "MOST_PIXELS", 200_000)
    picture = grid_sheet([Grid([[square("red", 512)] * 4] * 4)], Headers(), Headers())
    assert picture.width * picture.height < 400_000


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_note_is_drawn_in_the_palette(palette):
    noted, bare = (grid_sheet([Grid([[square("red")]])], Headers(), Headers(), n, palette) for n in ("a note", ""))
    assert noted.height > bare.height and noted.getpixel((0, 0)) == bare.getpixel((0, 0))


def test_equal_input_equal_picture():
    pictures = [grid_sheet([Grid([[square("red")]], "one")], Headers("Seed", ["0"]), Headers()) for _ in range(2)]
    assert pictures[0] == pictures[1]
