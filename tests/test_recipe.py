"""The recipe of an image, and how it travels inside the PNG."""

import json
from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image, PngImagePlugin
from tiny import write_trainer_file

from var.checkpoints.hash import short_hash
from var.outputs.branch import Branch, first_scales
from var.outputs.recipe import (
    CHUNK,
    MOST_LETTERS,
    READABLE_CHUNK,
    Recipe,
    arguments_of,
    describe_differences,
    from_png,
    make_recipes,
    png_bytes,
    readable,
    save_png,
)
from var.pipeline import VARPipeline
from var.sampling.options import SamplingOptions

RECIPE = Recipe(
    options=SamplingOptions([3], [7], cfg_scale=2.5, top_k=0, top_p=0.5, more_smooth=True, temperature=0.75),
    class_name="dog, wild",
    checkpoint="a.pth",
    checkpoint_hash="0123456789",
    image_size=16,
    num_scales=4,
    device="cpu",
    dtype="float32",
)


BRANCH = Branch(((5,), (63, 0, 7, 7)), RECIPE.id, "dog, wild, seed 7")


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    names = ["ant", "bee", "cat", "dog", "emu"]
    path = write_trainer_file(tmp_path_factory.mktemp("checkpoints") / "a.pth", class_names=names)
    return VARPipeline.from_checkpoint(path, device="cpu")


def picture():
    return Image.new("RGB", (4, 4), "teal")


def png_with(tmp_path, **texts):
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_itxt(name, text)
    picture().save(tmp_path / "a.png", pnginfo=info)
    return tmp_path / "a.png"


def changed(**changes):
    return json.dumps(RECIPE.as_dict() | changes)


def branched(**changes):
    return changed(branch=BRANCH.as_dict() | changes)


def test_recipe_comes_back_from_the_file(tmp_path):
    save_png(tmp_path / "a.png", picture(), RECIPE)
    assert from_png(tmp_path / "a.png") == RECIPE


def test_recipe_comes_back_from_an_opened_image():
    assert from_png(Image.open(BytesIO(png_bytes(picture(), RECIPE)))) == RECIPE


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, options=SamplingOptions([None], [2**63 - 1]), class_name=""),
        replace(RECIPE, class_name="Žluťoučký 犬 🍓"),
        replace(RECIPE, options=SamplingOptions([3], [7], top_k=[0, 9, 9, 90], temperature=[1, 1, 0.5, 2])),
        replace(RECIPE, options=SamplingOptions([3], [7], cfg_curve="constant", cfg_start=1, cfg_end=3)),
        replace(RECIPE, weights="ema", num_heads=2, vae="vae.pth", vae_hash="abcdef0123", edited=True),
        replace(RECIPE, branch=BRANCH),
    ],
)
def test_every_value_comes_back(recipe):
    assert from_png(Image.open(BytesIO(png_bytes(picture(), recipe)))) == recipe


def test_equal_input_equal_bytes():
    assert png_bytes(picture(), RECIPE) == png_bytes(picture(), RECIPE)


def test_recipe_makes_the_image_again(pipe):
    options = SamplingOptions([1, 4, None], [5, 6, 7], cfg_scale=3, more_smooth=True, cfg_curve="constant", cfg_start=1)
    images = pipe(**arguments_of(options), output_type="pt").images
    recipe = Recipe.from_dict(json.loads(json.dumps(make_recipes(pipe, options)[1].as_dict())))
    again = pipe(**recipe.arguments, output_type="pt").images
    assert torch.equal(again[0], images[1])


def test_a_branch_is_made_again_from_its_recipe_alone(pipe):
    parent = pipe([1], [5], output_type="pt")
    branch = Branch(first_scales(parent.tokens[0].tolist(), pipe.var.config.patch_nums, 2), RECIPE.id, "bee, seed 5")
    options = SamplingOptions([4], [6])
    image = pipe(**arguments_of(options), first_tokens=parent.tokens[:, :5], output_type="pt").images
    (recipe,) = make_recipes(pipe, options, branch=branch)
    found = from_png(Image.open(BytesIO(png_bytes(picture(), recipe))))
    assert found == recipe and found.id == recipe.id != RECIPE.id
    assert torch.equal(pipe(**found.arguments, output_type="pt").images, image)


def test_what_others_show_of_a_branch_says_that_it_is_one(tmp_path):
    text = readable(replace(RECIPE, branch=BRANCH))
    assert 'Kept scales: 2, Branch of: "dog, wild, seed 7"' in text
    assert from_png(png_with(tmp_path, **{READABLE_CHUNK: text})).edited  # it needs more than these settings


def test_recipes_of_a_batch(pipe):
    recipes = make_recipes(pipe, SamplingOptions([1, None], [5, 6]))
    assert [(r.class_label, r.class_name, r.seed) for r in recipes] == [(1, "bee", 5), (None, "", 6)]


def test_recipe_knows_its_model(pipe):
    (recipe,) = make_recipes(pipe, SamplingOptions([1], 5))
    assert (recipe.checkpoint, recipe.checkpoint_hash) == ("a.pth", short_hash(pipe.checkpoint.path))
    assert (recipe.vae, recipe.vae_hash) == (None, None)
    assert (recipe.image_size, recipe.num_scales, recipe.device, recipe.dtype) == (16, 4, "cpu", "float32")


def test_recipe_knows_a_separate_vqvae(pipe, tmp_path):
    alone = write_trainer_file(tmp_path / "alone.pth", with_vae=False)
    paired = VARPipeline.from_checkpoint(alone, vae=pipe.checkpoint, device="cpu")
    (recipe,) = make_recipes(paired, SamplingOptions([1], 5))
    assert (recipe.vae, recipe.vae_hash) == ("a.pth", short_hash(pipe.checkpoint.path))


def test_hash_is_of_the_file_that_was_loaded(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth")
    pipe, before = VARPipeline.from_checkpoint(path, device="cpu"), short_hash(path)
    path.write_bytes(b"a newer epoch")
    assert make_recipes(pipe, SamplingOptions([1], 5))[0].checkpoint_hash == before


def test_images_of_one_generator_have_no_recipe_each(pipe):
    with pytest.raises(ValueError, match="list of seeds"):
        make_recipes(pipe, SamplingOptions([1, 2], 5))


def test_other_tools_find_prompt_and_settings():
    prompt, settings = readable(RECIPE).split("\n")
    assert prompt == "dog, wild"
    assert settings.startswith("Steps: 4, Sampler: VAR, Seed: 7, CFG scale: 2.5, ")
    assert "Size: 16x16, Model hash: 0123456789, Model: a, " in settings


def test_other_tools_find_them_where_they_look():
    assert Image.open(BytesIO(png_bytes(picture(), RECIPE))).info[READABLE_CHUNK] == readable(RECIPE)


@pytest.mark.parametrize(
    ("edited", "kind"), [(False, "trainedAlgorithmicMedia"), (True, "compositeWithTrainedAlgorithmicMedia")]
)
def test_machines_read_that_the_image_is_generated(edited, kind):
    image = Image.open(BytesIO(png_bytes(picture(), replace(RECIPE, edited=edited))))
    packet = ElementTree.fromstring(image.info["xmp"])
    [told] = packet.iter("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert told.text == f"http://cv.iptc.org/newscodes/digitalsourcetype/{kind}"


def test_values_that_would_break_the_list_are_quoted():
    assert 'Model: "a, b: c"' in readable(replace(RECIPE, checkpoint="a, b: c.pth"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"class_name": 'a: b, "c"', "checkpoint": "x, y.pth", "vae": "vae.pth", "vae_hash": "1234567890"},
        {"class_name": "犬", "edited": True, "weights": "raw", "checkpoint_hash": ""},
        {"class_name": "", "options": SamplingOptions((None,), (2**63 - 1,), cfg_scale=1 / 3, more_smooth=True)},
        {"options": SamplingOptions((3,), (7,), (0.1, 1e-7, 2.0, 3.5), (1, 2, 3, 0), temperature=(0.5, 1.0, 1.0, 2.0))},
        {"options": SamplingOptions((3,), (7,), cfg_curve="constant", cfg_start=1, cfg_end=3)},
    ],
)
def test_an_image_that_kept_only_what_others_show_is_restored(tmp_path, changes):
    recipe = replace(RECIPE, **changes)
    found = from_png(png_with(tmp_path, **{READABLE_CHUNK: readable(recipe)}))
    without_suffix = {"checkpoint": recipe.checkpoint[:-4], "vae": recipe.vae and recipe.vae[:-4]}
    assert found == replace(recipe, **without_suffix)


def test_values_that_an_older_program_lacked_are_the_defaults(tmp_path):
    values = RECIPE.as_dict()
    del values["temperature"], values["vae"], values["edited"]
    assert from_png(png_with(tmp_path, **{CHUNK: json.dumps(values)})).options.temperature == 1


def test_values_of_no_use_are_passed_over(tmp_path):
    assert from_png(png_with(tmp_path, **{CHUNK: changed(mood="sunny")})) == RECIPE


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({}, "There are no settings in this image"),
        ({"Author": "me"}, "There are no settings in this image"),
        ({"parameters": "a cat\nSteps: 20"}, "of another program"),
        ({"parameters": "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 3, Size: 512x512"}, "another program"),
        ({"parameters": "dog\nSteps: 4, Sampler: VAR, Seed: -7, Size: 16x16"}, "damaged or not of this program"),
        ({"parameters": "dog\nSteps: 4, Sampler: VAR, Seed: " + "7" * 9000}, "damaged or not of this program"),
        ({"parameters": "a" * (MOST_LETTERS + 1)}, "of another program"),
        ({"workflow": "{}"}, "of another program"),
        ({CHUNK: ""}, "damaged: they are no JSON"),
        ({CHUNK: "{"}, "damaged: they are no JSON"),
        ({CHUNK: "[]"}, "no list of settings"),
        ({CHUNK: "{}"}, "not of this program"),
        ({CHUNK: "[" * 10_000}, "damaged"),
        ({CHUNK: "1" * 10_000}, "damaged"),
        ({CHUNK: " " * (MOST_LETTERS + 1)}, "too long"),
        ({CHUNK: changed(var_recipe=2)}, "newer version of this program"),
        ({CHUNK: changed(var_recipe="1")}, "var_recipe is not 1"),
        ({CHUNK: changed(seed=-1)}, "a seed must be"),
        ({CHUNK: changed(seed=2**63)}, "a seed must be"),
        ({CHUNK: changed(seed=[1])}, "a seed must be"),
        ({CHUNK: changed(seed=None)}, "a seed must be"),
        ({CHUNK: changed(class_label="3")}, "a class label must be"),
        ({CHUNK: changed(class_label=2**70)}, "a class label must be"),
        ({CHUNK: changed(cfg_scale=float("nan"))}, "NaN is no value"),
        ({CHUNK: changed(cfg_scale=10**400)}, "damaged"),
        ({CHUNK: changed(cfg_scale=1e30)}, "cfg_scale must be a finite number"),
        ({CHUNK: "[" * 5000}, "no JSON"),
        ({CHUNK: changed(cfg_scale="4")}, "cfg_scale must be"),
        ({CHUNK: changed(cfg_scale={})}, "cfg_scale"),
        ({CHUNK: changed(temperature=[1.0] * 200)}, "temperature"),
        ({CHUNK: changed(temperature=[1.0] * 5)}, "temperature must be one number, or 4"),
        ({CHUNK: changed(cfg_curve=["ramp"])}, "cfg_curve must be"),
        ({CHUNK: changed(cfg_start=4)}, "cfg_start must be"),
        ({CHUNK: changed(more_smooth=1)}, "more_smooth must be"),
        ({CHUNK: changed(top_k=10**30)}, "top_k must be a whole number"),
        ({CHUNK: changed(top_k=1).replace('"top_k": 1,', '"top_k": 1' + "0" * 5000 + ",")}, "is too large"),
        ({CHUNK: changed(class_name="a\nb")}, "class_name must be a line of text"),
        ({CHUNK: changed(class_name="a" * 301)}, "class_name must be a line of text"),
        ({CHUNK: changed(class_name="\ud800")}, "class_name must be a line of text"),
        ({CHUNK: changed(checkpoint=None)}, "checkpoint must be a line of text"),
        ({CHUNK: changed(checkpoint_hash="x" * 10)}, "checkpoint_hash must be 10 hex"),
        ({CHUNK: changed(vae_hash=7)}, "vae_hash must be 10 hex"),
        ({CHUNK: changed(image_size=0)}, "image_size must be"),
        ({CHUNK: changed(num_scales=True)}, "num_scales must be"),
        ({CHUNK: changed(dtype=["float32"])}, "another kind"),
        ({CHUNK: changed(dtype="int8")}, "dtype must be"),
        ({CHUNK: changed(weights="other")}, "weights must be"),
        ({CHUNK: changed(num_heads=0)}, "num_heads must be"),
        ({CHUNK: changed(edited="no")}, "edited must be"),
        ({CHUNK: changed(branch=7)}, "another kind"),
        ({CHUNK: changed(branch={"first_tokens": [[1]]})}, "a value is missing"),
        ({CHUNK: branched(first_tokens=[1])}, "another kind"),
        ({CHUNK: branched(first_tokens=[])}, "first_tokens must be of 1 to 3 scales"),
        ({CHUNK: branched(first_tokens=[[1]] * 4)}, "first_tokens must be of 1 to 3 scales"),
        ({CHUNK: branched(first_tokens=[[1], [1, 2, 3]])}, "as a square has"),
        ({CHUNK: branched(first_tokens=["a"])}, "whole numbers from 0"),
        ({CHUNK: branched(first_tokens=[[-1]])}, "whole numbers from 0"),
        ({CHUNK: branched(parent="7")}, "parent must be 12 hex"),
        ({CHUNK: branched(parent_name="a\nb")}, "parent_name must be a line of text"),
    ],
)
def test_what_is_no_recipe_is_told(tmp_path, texts, words):
    with pytest.raises(ValueError, match=words):
        from_png(png_with(tmp_path, **texts))


def test_value_that_is_missing_is_told(tmp_path):
    values = RECIPE.as_dict()
    del values["seed"]
    with pytest.raises(ValueError, match="a value is missing.*seed"):
        from_png(png_with(tmp_path, **{CHUNK: json.dumps(values)}))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_other_image_files_are_told(tmp_path, kind):
    picture().save(tmp_path / "a", format=kind)
    with pytest.raises(ValueError, match="not a PNG file"):
        from_png(tmp_path / "a")


@pytest.mark.parametrize("size", range(0, 60, 4))
def test_file_that_is_cut_short_is_told(tmp_path, size):
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(picture(), RECIPE)[:size])
    with pytest.raises(ValueError, match="not a PNG file|damaged|no settings"):
        from_png(path)


def test_text_that_unpacks_without_end_is_told(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text(CHUNK, "0" * 2_000_000, zip=True)
    picture().save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(ValueError, match="damaged"):
        from_png(tmp_path / "a.png")


def test_pixels_are_not_decoded(tmp_path):
    content = png_bytes(picture(), RECIPE)
    path = tmp_path / "a.png"
    path.write_bytes(content[: content.index(b"IDAT") + 6])
    assert from_png(path) == RECIPE


def test_no_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        from_png(tmp_path / "gone.png")


@pytest.mark.parametrize(
    ("checkpoint", "digits", "words"),
    [
        ("a.pth", "0123456789", ""),
        ("copy.pth", "0123456789", ""),
        ("a.pth", "9999999999", "another version of a.pth"),
        ("b.pth", "9999999999", "made with a.pth (0123456789), not with b.pth"),
    ],
)
def test_another_checkpoint_is_told(checkpoint, digits, words):
    difference = describe_differences(RECIPE, checkpoint, digits)
    assert words in difference and bool(words) == bool(difference)
