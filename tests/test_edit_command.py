"""`python -m var edit`: the part that is made anew, files, messages."""

import subprocess
import sys

import pytest
from PIL import Image
from tiny import write_trainer_file

from var import VARPipeline
from var.__main__ import main
from var.outputs.recipe import from_png

NAMES = ["ant", "bee", "cat", "dog", "eel"]


@pytest.fixture
def folder(tmp_path):
    """A checkpoint, a picture, and a mask whose right half is black."""
    write_trainer_file(tmp_path / "a.pth", class_names=NAMES)
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "picture.png")
    mask = Image.new("L", (32, 32), 255)
    mask.paste(0, (16, 0, 32, 32))
    mask.save(tmp_path / "mask.png")
    Image.new("L", (8, 8), 255).save(tmp_path / "all.png")
    (tmp_path / "text.png").write_text("no picture")
    return tmp_path


def edit(folder, *arguments, image="picture.png", mask="mask.png"):
    command = ["edit", folder / "a.pth", folder / image, "--mask", folder / mask, "--device", "cpu"]
    return main([str(part) for part in (*command, "--out", folder / "out", *arguments)])


def test_makes_what_the_pipeline_makes(folder):
    assert edit(folder, "--class", "cat", "--seed", "7", "--top-k", "9") == 0
    pipe = VARPipeline.from_checkpoint(folder / "a.pth", device="cpu")
    picture, mask = Image.open(folder / "picture.png"), Image.open(folder / "mask.png")
    expected = pipe.edit(picture, mask, [2], seed=[7], top_k=9, paste=True).images[0]
    made = folder / "out" / "002_cat_seed7.png"
    assert Image.open(made).tobytes() == expected.tobytes() and from_png(made).edited


def test_what_is_kept_may_stay_as_the_model_has_it(folder):
    assert edit(folder, "--class", "cat", "--no-paste") == 0
    pipe = VARPipeline.from_checkpoint(folder / "a.pth", device="cpu")
    arguments = (Image.open(folder / "picture.png"), Image.open(folder / "mask.png"), [2], [0])
    plain, pasted = (pipe.edit(*arguments, paste=paste).images[0].tobytes() for paste in (False, True))
    assert Image.open(folder / "out" / "002_cat_seed0.png").tobytes() == plain != pasted


def test_the_mask_can_be_turned_round(folder):
    assert edit(folder, "--class", "1", "--invert-mask") == 0
    pipe = VARPipeline.from_checkpoint(folder / "a.pth", device="cpu")
    mask = Image.open(folder / "mask.png").point(lambda value: 255 - value)
    expected = pipe.edit(Image.open(folder / "picture.png"), mask, [1], seed=[0], paste=True).images[0]
    assert Image.open(folder / "out" / "001_bee_seed0.png").tobytes() == expected.tobytes()


def test_the_whole_image_is_varied_from_a_scale_on(folder):
    command = ["edit", folder / "a.pth", folder / "picture.png", "--keep-scales", "2", "--class", "1"]
    assert main([str(part) for part in (*command, "--device", "cpu", "--out", folder / "out")]) == 0
    pipe = VARPipeline.from_checkpoint(folder / "a.pth", device="cpu")
    mask = Image.new("L", (1, 1))
    expected = pipe.edit(Image.open(folder / "picture.png"), mask, [1], seed=[0], keep_scales=2).images[0]
    assert Image.open(folder / "out" / "001_bee_seed0.png").tobytes() == expected.tobytes()


def test_neither_a_mask_nor_kept_scales_is_one_line(folder, capsys):
    command = ["edit", folder / "a.pth", folder / "picture.png", "--class", "1", "--out", folder / "out"]
    assert main([str(part) for part in command]) == 2
    assert "give --mask MASK, or --keep-scales N" in capsys.readouterr().err


def test_several_classes_and_counts(folder):
    assert edit(folder, "--classes", "ant", "none", "--count", "2", "1", "--batch-size", "2") == 0
    names = sorted(path.name for path in (folder / "out").iterdir())
    assert names == ["000_ant_seed0.png", "000_ant_seed1.png", "none_seed2.png", "sheet_seed0.png"]


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({"image": "text.png"}, [], "text.png is no picture that can be read here"),
        ({"image": "gone.png"}, [], "gone.png"),
        ({"mask": "a.pth"}, [], "a.pth is no picture"),
        ({"mask": "all.png"}, [], "all.png keeps all of the image"),
        ({}, ["--top-p", "3"], "top_p must be"),
        ({}, ["--keep-scales", "4"], "keep_scales must be a whole number from 0 to 3"),
        ({}, ["--class", "cow"], "no class is named 'cow'"),
    ],
)
def test_bad_input_is_one_line(folder, capsys, changes, arguments, words):
    assert edit(folder, *(["--class", "0"] if "--class" not in arguments else []), *arguments, **changes) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert words in error and "Traceback" not in error


def test_as_a_process(folder):
    command = [sys.executable, "-m", "var", "edit", folder / "a.pth", folder / "picture.png", "--class", "2"]
    command += ["--mask", folder / "mask.png", "--out", folder / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, sorted(path.name for path in (folder / "out").iterdir())) == (
        0,
        ["002_cat_seed0.png", "sheet_seed0.png"],
    )
