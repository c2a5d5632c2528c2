"""`python -m var sample`: files, names, seeds, messages."""

import subprocess
import sys

import pytest
from PIL import Image
from tiny import write_trainer_file

from var import VARPipeline
from var.__main__ import main
from var.cli.sample import file_stem
from var.outputs.recipe import from_png

NAMES = ["ant", "Golden Retriever", "cat", "dog", "none"]


@pytest.fixture
def trainer_file(tmp_path):
    return write_trainer_file(tmp_path / "a.pth", class_names=NAMES)


def sample(file, out, *arguments):
    return main(["sample", str(file), "--device", "cpu", "--out", str(out), *arguments])


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_for_each_image_and_a_sheet(trainer_file, tmp_path):
    out = tmp_path / "new" / "out"
    assert sample(trainer_file, out, "--classes", "0", "golden retriever", "--count", "2", "--seed", "5") == 0
    assert files(out) == [
        "000_ant_seed5.png",
        "000_ant_seed6.png",
        "001_golden-retriever_seed7.png",
        "001_golden-retriever_seed8.png",
        "sheet_seed5.png",
    ]
    assert Image.open(out / "000_ant_seed5.png").size == (16, 16)


def test_each_class_can_have_its_own_count(trainer_file, tmp_path):
    assert sample(trainer_file, tmp_path / "out", "--classes", "0", "3", "--count", "1", "2") == 0
    assert files(tmp_path / "out") == ["000_ant_seed0.png", "003_dog_seed1.png", "003_dog_seed2.png", "sheet_seed0.png"]


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        (["--classes", "all"], [0, 1, 2, 3, 4]),
        (["--classes", "1-3", "0", "--count", "1", "2"], [1, 2, 3, 0, 0]),
    ],
)
def test_all_classes_and_ranges(trainer_file, tmp_path, arguments, labels):
    assert sample(trainer_file, tmp_path / "out", *arguments) == 0
    recipes = [from_png(path) for path in (tmp_path / "out").glob("*_seed?.png") if "sheet" not in path.name]
    assert [recipe.class_label for recipe in sorted(recipes, key=lambda recipe: recipe.seed)] == labels


def test_other_images_get_a_number_and_the_same_ones_stay(trainer_file, tmp_path, capsys):
    out = tmp_path / "out"
    for arguments in ([], ["--top-k", "5"], ["--top-k", "1"], ["--top-k", "5"]):
        assert sample(trainer_file, out, "--classes", "dog", *arguments) == 0
    images = [f"003_dog_seed0{number}.png" for number in ("", "-2", "-3")]
    assert files(out) == sorted(images + [f"sheet_seed0{number}.png" for number in ("", "-2", "-3")])
    assert [from_png(out / name).options.top_k for name in images] == [900, 5, 1]
    assert capsys.readouterr().out.splitlines()[-2:] == [str(out / images[1]), str(out / "sheet_seed0-2.png")]


def test_images_are_replaced_where_that_is_asked_for(trainer_file, tmp_path):
    out = tmp_path / "out"
    for arguments in ([], ["--top-k", "9", "--overwrite"]):
        assert sample(trainer_file, out, "--classes", "dog", *arguments) == 0
    assert files(out) == ["003_dog_seed0.png", "sheet_seed0.png"]
    assert from_png(out / "003_dog_seed0.png").options.top_k == 9


def test_branches_of_an_image_keep_its_first_scales(trainer_file, tmp_path):
    out = tmp_path / "out"
    assert sample(trainer_file, out, "--classes", "dog", "--seed", "5") == 0
    parent = out / "003_dog_seed5.png"
    branch = ["--branch", str(parent), "--keep-scales", "3"]
    assert sample(trainer_file, out, "--classes", "ant", "dog", "--seed", "6", *branch) == 0
    pipe = VARPipeline.from_checkpoint(trainer_file, device="cpu")
    tokens = pipe(**from_png(parent).arguments).tokens
    for name, label, seed in (("000_ant_seed6.png", 0, 6), ("003_dog_seed7.png", 3, 7)):
        expected = pipe([label], [seed], first_tokens=tokens[:, :14]).images[0]
        assert Image.open(out / name).tobytes() == expected.tobytes()
        assert from_png(out / name).branch.parent_name == "dog, seed 5"


@pytest.mark.parametrize(
    ("made_with", "arguments", "words"),
    [
        ([], ["--keep-scales", "4"], "keep_scales must be a whole number from 0 to 3, not 4"),
        ([], ["--keep-scales", "0"], "keeps at least one scale"),
        ([], [], "--branch IMAGE and --keep-scales N go together"),
        (["--more-smooth"], ["--keep-scales", "2"], "More smooth mixed the tokens"),
        (["--dtype", "bfloat16"], ["--keep-scales", "2"], "precision bfloat16 made the image, here it is float32"),
    ],
)
def test_an_image_that_cannot_be_branched_from_is_one_line(trainer_file, tmp_path, capsys, made_with, arguments, words):
    assert sample(trainer_file, tmp_path, "--classes", "dog", *made_with) == 0
    parent = str(tmp_path / "003_dog_seed0.png")
    assert sample(trainer_file, tmp_path, "--classes", "ant", "--branch", parent, *arguments) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_file_that_is_no_image_made_here_is_named(trainer_file, tmp_path, capsys):
    (tmp_path / "empty.png").touch()
    branch = ["--branch", str(tmp_path / "empty.png"), "--keep-scales", "2"]
    assert sample(trainer_file, tmp_path, "--classes", "ant", *branch) == 2
    assert "empty.png: This is not a PNG file" in capsys.readouterr().err.splitlines()[-1]


def test_seeds_that_end_too_early_for_a_range_are_one_line(trainer_file, tmp_path, capsys):
    assert sample(trainer_file, tmp_path / "out", "--classes", "0-2", "--seed", str(2**63 - 2)) == 2
    assert "a seed must be" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Golden Retriever", "001_golden-retriever"),
        ("Ünï / cøde?", "001_ünï-cøde"),
        ("../犬 𠮷", "001_犬-𠮷"),
        ("हिन्दी", "001_हिन्दी"),
        ("?", "001"),
        ("犬" * 80, "001_" + "犬" * 40),
    ],
)
def test_names_of_files_have_the_letters_of_all_scripts(name, stem):
    assert file_stem(1, ["a", name]) == stem


def test_an_image_knows_how_it_was_made(trainer_file, tmp_path):
    sample(trainer_file, tmp_path / "out", "--classes", "dog", "--seed", "4", "--top-k", "9")
    recipe = from_png(tmp_path / "out" / "003_dog_seed4.png")
    assert (recipe.class_name, recipe.seed, recipe.options.top_k, recipe.edited) == ("dog", 4, 9, False)


def test_paths_are_printed(trainer_file, tmp_path, capsys):
    sample(trainer_file, tmp_path / "out", "--classes", "3")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "CPU, float32",
        *(str(tmp_path / "out" / name) for name in ("003_dog_seed0.png", "sheet_seed0.png")),
    ]


def test_size_of_the_batches_changes_nothing(trainer_file, tmp_path):
    for size in ("1", "3"):
        sample(trainer_file, tmp_path / size, "--classes", "0", "2", "--count", "2", "--batch-size", size)
    for name in files(tmp_path / "1"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_vqvae_beside_the_file_is_taken_and_told(trainer_file, tmp_path, capsys):
    alone = write_trainer_file(tmp_path / "alone.pth", with_vae=False)
    assert sample(alone, tmp_path / "out", "--classes", "0") == 0
    assert f"VQVAE: {trainer_file}" in capsys.readouterr().err


def test_vqvae_by_option(trainer_file, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    alone = write_trainer_file(folder / "alone.pth", with_vae=False)
    assert sample(alone, tmp_path / "out", "--classes", "0", "--vae", str(trainer_file)) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--classes", "5"], "class 5 is out of range: the model has classes 0 to 4"),
        (["--classes", "retriever"], "did you mean Golden Retriever?"),
        (["--classes", "catt"], "did you mean cat?"),
        (["--classes", "zebra"], "known are ant, Golden Retriever"),
        (["--classes", "0", "--top-p", "2"], "top_p must be"),
        (["--classes", "0", "--top-k", "5", "6"], "top_k must be one number, or 4"),
        (["--classes", "0", "--cfg-start", "4"], "cfg_start must be"),
        (["--classes", "0", "--seed", "-1"], "a seed must be"),
        (["--classes", "0", "--count", "0"], "at least 1"),
        (["--classes", "0", "--count", "1", "2"], "--count has 2 numbers, --classes 1"),
        (["--classes", "0", "--dtype", "int8"], "dtype must be"),
        (["--classes", "0", "--device", "gpu"], "device must be"),
    ],
)
def test_bad_input_is_one_line(trainer_file, tmp_path, capsys, arguments, words):
    assert sample(trainer_file, tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert words in error and "Traceback" not in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["--preset", "no-guidance"],
        ["--cfg-scale", "1"],
        ["--cfg-curve", "constant"],
        ["--cfg-start", "3"],
        ["--cfg-end", "3"],
        ["--top-k", "40", "40", "40", "1"],
        ["--temperature", "1", "1", "1", "0.1"],
        ["--more-smooth"],
    ],
)
def test_every_option_changes_the_image(trainer_file, tmp_path, arguments):
    for folder, more in (("plain", []), ("changed", arguments)):
        assert sample(trainer_file, tmp_path / folder, "--classes", "0", "1", "2", "3", "4", *more) == 0
    plain, changed = (Image.open(tmp_path / folder / "sheet_seed0.png") for folder in ("plain", "changed"))
    assert plain.tobytes() != changed.tobytes()


def test_out_that_is_a_file_is_one_line(trainer_file, tmp_path, capsys):
    assert sample(trainer_file, trainer_file, "--classes", "0") == 2
    assert str(trainer_file) in capsys.readouterr().err


def test_as_a_process(trainer_file, tmp_path):
    command = [sys.executable, "-m", "var", "sample", trainer_file, "--classes", "2", "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, files(tmp_path / "out")) == (0, ["002_cat_seed0.png", "sheet_seed0.png"])
    assert "scale" in done.stderr
