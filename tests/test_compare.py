"""A comparison over settings, classes, seeds and checkpoints."""

import threading
from dataclasses import replace

import pytest
from PIL import Image, ImageChops
from tiny import write_trainer_file

from var.comparing.axes import Axis, Names
from var.comparing.comparison import (
    IMAGES_AT_ONCE,
    BatchStep,
    Cell,
    CellResult,
    ModelChoice,
    batches_of,
    estimate,
    grid_picture,
    make_batch,
    plan,
    shared,
    shared_settings,
)
from var.engine.comparisons import ask
from var.pipeline import VARPipeline
from var.sampling.options import SamplingOptions

BASE = Cell(ModelChoice("a.pth"), SamplingOptions((3,), (7,)))
CLASS_NAMES = ["ant", "bee", "cat", "dog", "emu"]
CHECKPOINTS = Axis("checkpoint", ("a.pth", "b.pth"))
SEEDS = Axis("seed", (0, 1, 2))
GUIDANCE = Axis("cfg_scale", (0.0, 4.0))


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    paths = [write_trainer_file(folder / f"{name}.pth", seed=i, class_names=CLASS_NAMES) for i, name in enumerate("ab")]
    return {path.name: VARPipeline.from_checkpoint(path, device="cpu") for path in paths}


def events(cells, pipelines, stop=None):
    """What happens when the images are made, one batch after the other."""
    for batch in batches_of(cells):
        yield from make_batch(pipelines[batch[0].model.checkpoint], batch, stop or threading.Event())


def made(cells, pipelines, stop=None):
    return [event for event in events(cells, pipelines, stop) if isinstance(event, CellResult)]


def test_every_combination_has_a_cell():
    cells = plan(BASE, SEEDS, GUIDANCE, CHECKPOINTS)
    assert {cell.place for cell in cells} == {(x, y, z) for x in range(3) for y in range(2) for z in range(2)}


def test_heads_that_were_given_are_those_of_their_own_file():
    base = replace(BASE, model=replace(BASE.model, num_heads=2))
    heads = {cell.model.checkpoint: cell.model.num_heads for cell in plan(base, SEEDS, CHECKPOINTS)}
    assert heads == {"a.pth": 2, "b.pth": None}


def test_cell_has_the_values_of_its_place():
    (cell,) = (cell for cell in plan(BASE, SEEDS, GUIDANCE, CHECKPOINTS) if cell.place == (2, 1, 1))
    assert (cell.options.seed, cell.options.cfg_scale, cell.model.checkpoint) == ((2,), 4.0, "b.pth")
    assert cell.options.class_labels == (3,)


@pytest.mark.parametrize(
    ("kind", "value", "of"),
    [
        ("checkpoint", "b.pth", "model"),
        ("weights", "raw", "model"),
        ("dtype", "bfloat16", "model"),
        ("cfg_curve", "constant", "options"),
        ("cfg_start", 2, "options"),
        ("cfg_end", 3, "options"),
        ("top_k", 5, "options"),
        ("top_p", 0.5, "options"),
        ("temperature", 2.0, "options"),
        ("more_smooth", True, "options"),
    ],
)
def test_each_kind_changes_its_value(kind, value, of):
    (cell,) = plan(BASE, Axis(kind, (value,)))
    assert getattr(getattr(cell, of), kind) == value


def test_no_axis_is_one_image():
    assert plan(BASE) == [BASE]


def test_the_images_of_a_model_stand_together():
    models = [batch[0].model.checkpoint for batch in batches_of(plan(BASE, CHECKPOINTS, SEEDS, GUIDANCE))]
    assert models == ["a.pth"] * 2 + ["b.pth"] * 2


def test_images_that_can_be_made_together_stand_together():
    cells = plan(BASE, GUIDANCE, SEEDS)
    assert [cell.options.cfg_scale for cell in cells] == [0.0] * 3 + [4.0] * 3
    assert shared(cells[0]) == shared(cells[2]) != shared(cells[3])


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ((SEEDS, SEEDS), "two axes are Seed"),
        ((Axis("seed", tuple(range(60))), Axis("top_k", tuple(range(60)))), "60 × 60 × 1 are 3600 images; at most"),
    ],
)
def test_what_is_no_plan_is_told(axes, words):
    with pytest.raises(ValueError, match=words):
        plan(BASE, *axes)


def test_estimate_counts_images_and_loads():
    cells = plan(BASE, SEEDS, CHECKPOINTS)
    assert estimate(cells, seconds_per_image=2, load_seconds=10) == 6 * 2 + 2 * 10


def test_estimate_counts_no_load_of_what_is_there():
    cells = plan(BASE, SEEDS, CHECKPOINTS)
    assert estimate(cells, 2, 10, loaded=ModelChoice("a.pth")) == 6 * 2 + 10


def test_each_image_is_as_if_made_alone(pipelines):
    for result in made(plan(BASE, SEEDS, Axis("class", (1, None))), pipelines):
        options = result.cell.options
        alone = pipelines["a.pth"](options.class_labels, options.seed).images[0]
        assert result.image == alone


def test_each_image_keeps_its_recipe(pipelines):
    for result in made(plan(BASE, GUIDANCE, CHECKPOINTS), pipelines):
        recipe = result.recipe
        assert recipe.options == result.cell.options and recipe.checkpoint == result.cell.model.checkpoint
        assert pipelines[recipe.checkpoint](**recipe.arguments).images[0] == result.image


def test_batches_have_a_limit(pipelines, monkeypatch):
    sizes, stream = [], VARPipeline.stream
    monkeypatch.setattr(
        VARPipeline, "stream", lambda self, **options: sizes.append(len(options["seed"])) or stream(self, **options)
    )
    made(plan(BASE, Axis("seed", tuple(range(IMAGES_AT_ONCE + 1)))), pipelines)
    assert sizes == [IMAGES_AT_ONCE, 1]


def test_stop_keeps_what_is_done(pipelines):
    stop, results = threading.Event(), []
    for event in events(plan(BASE, GUIDANCE, SEEDS), pipelines, stop):
        if isinstance(event, CellResult):
            results.append(event)
        if len(results) == 3:
            stop.set()
    assert [result.cell.options.cfg_scale for result in results] == [0.0] * 3


def test_stop_within_a_batch_drops_it(pipelines):
    stop, told = threading.Event(), []
    for event in events(plan(BASE, SEEDS), pipelines, stop):
        told.append(event)
        stop.set()
    assert [type(event) for event in told] == [BatchStep]


def test_images_of_a_stopped_batch_that_are_done_stay(pipelines, monkeypatch):
    stop, vqvae = threading.Event(), pipelines["a.pth"].vqvae
    decode = vqvae.decode_latent

    def decode_and_stop(*arguments):
        stop.set()
        return decode(*arguments)

    monkeypatch.setattr(vqvae, "decode_latent", decode_and_stop)  # which decodes one image at a time on the CPU
    results = made(plan(BASE, SEEDS), pipelines, stop)
    assert [result.cell.place[0] for result in results] == [0] and results[0].image


def test_stopped_before_it_began_makes_nothing(pipelines):
    stop = threading.Event()
    stop.set()
    assert made(plan(BASE, SEEDS), pipelines, stop) == []


def test_class_that_is_not_there_spoils_its_cell_alone(pipelines):
    results = {r.cell.place[0]: r for r in made(plan(BASE, Axis("class", (4, 5, 0))), pipelines)}
    assert results[0].image and results[2].image
    assert "class label must be 0 to 4" in results[1].error


def coloured(cell, colour):
    return CellResult(cell, Image.new("RGB", (192, 192), colour))


def has(picture, colour):
    return Image.new("RGB", (1, 1), colour).getpixel((0, 0)) in {value for _, value in picture.getcolors(1 << 24)}


def test_picture_shows_what_is_done():
    cells = plan(BASE, SEEDS, GUIDANCE, CHECKPOINTS)
    picture = grid_picture([coloured(cells[0], "red"), coloured(cells[11], "blue")], SEEDS, GUIDANCE, CHECKPOINTS)
    assert has(picture, "red") and has(picture, "blue")


def test_picture_has_one_size_finished_or_not():
    cells = plan(BASE, SEEDS, GUIDANCE)
    some = grid_picture([coloured(cells[0], "red")], SEEDS, GUIDANCE)
    assert some.size == grid_picture([coloured(cell, "red") for cell in cells], SEEDS, GUIDANCE).size


def test_reason_is_drawn_once_without_folders():
    cells = plan(BASE, SEEDS)
    long, short = (
        grid_picture([CellResult(cell, error=text) for cell in cells], SEEDS)
        for text in ("/srv/models/a.pth: gone", "a.pth: gone")
    )
    assert long == short
    one = grid_picture([CellResult(cells[0], error="a.pth: gone")], SEEDS)
    assert ImageChops.difference(one, short).getbbox() is None


def test_note_has_what_does_not_vary():
    note = shared_settings(BASE, CLASS_NAMES, SEEDS, GUIDANCE, None)
    assert note.startswith("a.pth · dog · ") and "Top-k 900" in note
    assert "Seed" not in note and "Guidance 4" not in note


@pytest.mark.parametrize(
    ("others", "label", "noted"),
    [
        (["ant", "bee", "cat", "dog", "emu"], "cat (2)", "dog"),  # two epochs of one training
        (["ant", "bee", "car", "den", "emu"], "class 2", "class 3"),
        (["ant", "bee"], "cat (2)", "dog"),  # its images of class 2 fail; there is no other name
    ],
)
def test_classes_of_several_checkpoints_have_a_name_where_all_call_them_so(others, label, noted):
    names = Names(CLASS_NAMES, CHECKPOINTS.values)
    classes_of = {"a.pth": CLASS_NAMES, "b.pth": others}.__getitem__
    asked = ask([("checkpoint", "a.pth, b.pth"), ("class", "2")], BASE, names, classes_of)
    assert asked.axes[1].labels == (label,)
    varied = [("checkpoint", "a.pth, b.pth"), ("seed", "0")]
    assert ask(varied, BASE, names, classes_of).note.startswith(f"{noted} · ")


def test_note_has_what_is_seldom_changed_where_it_was():
    base = BASE.with_value("cfg_curve", "constant").with_value("temperature", (1.0, 1.0, 0.5, 0.5))
    note = shared_settings(base, CLASS_NAMES)
    assert "Guidance curve constant" in note and "Temperature 1 1 0.5 0.5" in note and "More smooth" not in note
