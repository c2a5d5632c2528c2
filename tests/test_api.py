"""The page's API, as a script calls it with gradio_client."""

import os
import re
from pathlib import Path

import pytest
from browser import serve
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from tiny import write_trainer_file

from var import VARPipeline
from var.engine.events import Scale
from var.engine.runs import Run
from var.outputs.recipe import from_png
from var.sampling.options import BY_SCALE, SamplingOptions, option_names
from var.sampling.presets import OWN_SETTINGS
from var.ui import server_folder

ROOT = Path(__file__).parents[1]
OWN = {"cfg_scale": 1.5, "cfg_curve": "constant", "top_k": 3}  # what a checkpoint asks to be sampled with
NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]
MOST_SECONDS = 120  # until a job counts as stuck


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place") / os.fsdecode(b'"caf\xe9", caf\xc3\xa9')  # a name that nobody expects
    folder.mkdir()
    write_trainer_file(folder / "fruits96.pth", class_names=NAMES, optimizer=False)
    write_trainer_file(folder / "other.pth", seed=9, optimizer=False)
    write_trainer_file(folder / "own.pth", args={"sampling": OWN}, optimizer=False)
    return folder


@pytest.fixture(scope="module")
def client(checkpoints, tmp_path_factory):
    with serve(checkpoints, tmp_path_factory.mktemp("gradio")) as address:
        yield Client(address, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


def test_generate_returns_png_files(client):
    files, _ = client.predict(class_labels=[1, 4], num_images=2, api_name="/generate")
    assert [(Image.open(file).format, Image.open(file).size) for file in files] == [("PNG", (16, 16))] * 4


def test_a_checkpoint_of_any_name_may_be_uploaded(client):
    upload = next(part for part in client.config["components"] if part["props"].get("elem_id") == "upload")
    assert upload["props"].get("file_types") is None


def test_generate_tells_the_seed_of_each_image(client):
    _, info = client.predict(class_labels=[1, 4], num_images=2, seed=30, api_name="/generate")
    assert info == {
        "checkpoint": "fruits96.pth",
        "class_labels": [1, 1, 4, 4],
        "class_names": ["Bee", "Bee", "Eel", "Eel"],
        "seeds": [30, 31, 32, 33],
    }


def test_generate_takes_a_number_for_each_class(client):
    _, info = client.predict(class_labels=[1, 4], num_images=[1, 2], api_name="/generate")
    assert info["class_labels"] == [1, 4, 4]


def test_generate_makes_what_the_pipeline_makes(client, checkpoints):
    settings = {"cfg_scale": 2.0, "top_k": 20, "top_p": 0.9, "more_smooth": True}
    files, _ = client.predict(
        checkpoint="other.pth", class_labels=[3], num_images=1, seed=8, **settings, api_name="/generate"
    )
    expected = VARPipeline.from_checkpoint(checkpoints / "other.pth", device="cpu")([3], seed=[8], **settings)
    assert Image.open(files[0]).tobytes() == expected.images[0].tobytes()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {**OWN, "top_p": 0.95}),
        ({"cfg_scale": 3.0, "top_k": 0}, {**OWN, "cfg_scale": 3.0, "top_k": 0}),
        ({"cfg_scale": [0.0, 1.0, 2.0, 3.0]}, {**OWN, "cfg_scale": (0.0, 1.0, 2.0, 3.0), "cfg_curve": "ramp"}),
    ],
)
def test_what_a_call_leaves_out_is_as_the_checkpoint_asks_for(client, given, expected):
    files, _ = client.predict(class_labels=[1], checkpoint="own.pth", **given, api_name="/generate")
    options = from_png(files[0]).options
    assert {name: getattr(options, name) for name in expected} == expected


def test_generate_takes_an_uploaded_file(client, tmp_path):
    path = write_trainer_file(tmp_path / "mine.pth", class_names=["Oak", "Elm", "Ash", "Fir", "Yew"])
    _, info = client.predict(checkpoint=handle_file(path), class_labels=[2], api_name="/generate")
    assert info["class_names"] == ["Ash"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_labels": []}, "at least one"),
        ({"class_labels": [5]}, "0 to 4"),
        ({"class_labels": ["Bee"]}, "list of class indices"),
        ({"class_labels": [0], "num_images": 65}, "at most 64"),
        ({"class_labels": [0], "num_images": 0}, "a whole number from 1"),
        ({"class_labels": [0], "num_images": "two"}, "a whole number from 1"),
        ({"class_labels": [0], "num_images": [1, 2]}, "Classes: 1, numbers of images: 2"),
        ({"class_labels": [0], "seed": "five"}, "a whole number"),
        ({"class_labels": [0], "top_p": 2}, "top_p"),
        ({"class_labels": [0], "top_p": "x"}, "not 'x'"),
        ({"class_labels": [0], "cfg_scale": 10**400}, "cfg_scale must be a finite number"),
        ({"class_labels": [0], "cfg_scale": [1.0, 2.0]}, "one for each scale, not 2"),
        ({"class_labels": [0], "top_k": 10**30}, "top_k must be a whole number"),
        ({"class_labels": [0], "seed": -1}, "seed"),
        ({"class_labels": [0], "checkpoint": "missing.pth"}, "no checkpoint missing.pth"),
        ({"class_labels": [0], "checkpoint": "../fruits96.pth"}, "no checkpoint ../fruits96.pth"),
        ({"class_labels": [0], "checkpoint": {"path": "/etc/passwd"}}, "name of a file"),
    ],
)
def test_generate_refuses_in_one_line(client, arguments, message):
    with pytest.raises(AppError) as refused:
        client.predict(**arguments, api_name="/generate")
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_inspect_describes_a_file(client):
    found = client.predict(checkpoint="fruits96.pth", api_name="/inspect")
    assert (found["file"], found["layout"], found["usable"]) == ("fruits96.pth", "trainer", True)
    assert found["class_names"] == NAMES


@pytest.mark.parametrize(
    ("endpoint", "arguments"),
    [
        ("/inspect", {"checkpoint": "fruits96.pth"}),
        ("/inspect", {"checkpoint": "missing.pth"}),
        ("/inspect", {"checkpoint": "broken.pth"}),
        ("/export", {"checkpoint": "broken.pth"}),
        ("/generate", {"checkpoint": "broken.pth", "class_labels": [0]}),
        ("/compare", {"x_kind": "checkpoint", "x_values": "fruits96.pth, broken.pth"}),
    ],
)
def test_the_places_of_files_are_told_to_nobody(client, checkpoints, endpoint, arguments):
    (checkpoints / "broken.pth").write_text("no weights")
    try:
        told = str(client.predict(**arguments, api_name=endpoint))
    except AppError as error:
        told = str(error)
    assert checkpoints.parent.name not in told and "Errno" not in told


def test_the_handlers_of_the_page_are_no_endpoints(client):
    endpoints = client.view_api(return_format="dict")
    assert set(endpoints["named_endpoints"]) == {"/generate", "/edit", "/inspect", "/export", "/compare"}
    assert endpoints["unnamed_endpoints"] == {}


def test_the_endpoints_are_documented(client):
    described = client.view_api(return_format="dict")["named_endpoints"]["/generate"]
    assert "Generate images" in described["description"]
    assert [parameter["parameter_name"] for parameter in described["parameters"]] == [
        "class_labels",
        "checkpoint",
        "num_images",
        "seed",
        "cfg_scale",
        "top_k",
        "top_p",
        "more_smooth",
        "temperature",
        "cfg_curve",
        "cfg_start",
        "cfg_end",
        "branch_from",
        "keep_scales",
    ]


@pytest.mark.parametrize("endpoint", ["/generate", "/edit", "/compare", "/inspect", "/export"])
def test_every_parameter_and_value_of_an_endpoint_is_documented(client, endpoint):
    described = client.view_api(return_format="dict")["named_endpoints"][endpoint]
    for part in described["parameters"] + described["returns"]:
        assert part["python_type"]["description"] and part["label"] == part.get("parameter_name", part["label"])
        if (name := part.get("parameter_name")) in option_names():
            expected = None if name in OWN_SETTINGS else getattr(SamplingOptions, name)
            assert part["parameter_default"] == expected
            assert ("as the checkpoint asks for" in part["python_type"]["description"]) == (name in OWN_SETTINGS)
            assert ("one for each scale" in part["python_type"]["description"]) == (
                name in BY_SCALE and endpoint != "/compare"
            )
    checkpoint = next(part for part in described["parameters"] if part["parameter_name"] == "checkpoint")
    assert checkpoint["parameter_default"] == "" and "an uploaded file" in checkpoint["python_type"]["description"]


def test_an_image_carries_its_settings(client):
    files, _ = client.predict(
        class_labels=[None], seed=3, temperature=[1.0, 0.9, 0.8, 0.7], cfg_curve="constant", api_name="/generate"
    )
    recipe = from_png(files[0])
    assert (recipe.class_label, recipe.seed, recipe.options.cfg_curve) == (None, 3, "constant")
    assert recipe.options.temperature == (1.0, 0.9, 0.8, 0.7)


def test_branches_keep_the_first_scales_of_a_png(client, checkpoints):
    (parent,), _ = client.predict(class_labels=[3], seed=5, api_name="/generate")
    branching = {"class_labels": [1], "branch_from": handle_file(parent), "api_name": "/generate"}
    (branch,), _ = client.predict(seed=6, keep_scales=3, **branching)
    pipe = VARPipeline.from_checkpoint(checkpoints / "fruits96.pth", device="cpu")
    first = pipe(**from_png(parent).arguments).tokens[0, :14]
    assert from_png(branch).branch.joined == tuple(first.tolist()) and from_png(branch).class_label == 1
    with pytest.raises(AppError, match="keep_scales must be 1 to 3"):
        client.predict(**branching)
    with pytest.raises(AppError, match="the image cannot be made again here: checkpoint .* made the image"):
        client.predict(checkpoint="other.pth", keep_scales=2, **branching)


def test_a_job_tells_how_far_it_is_scale_by_scale(client):
    job = client.submit(class_labels=[1], num_images=10, api_name="/generate")
    job.result()
    *running, (files, info) = job.outputs()
    assert [progress["scale"] for _, progress in running] == [1, 2, 3, 4] * 2
    assert [progress["images_done"] for _, progress in running] == [0, 0, 0, 8, 8, 8, 8, 10]
    assert all(images == [] and progress["num_images"] == 10 for images, progress in running)
    assert len(files) == len(info["seeds"]) == 10


def test_a_cancelled_job_gives_the_model_free(client, monkeypatch):
    steps = Run.steps

    def endless(run, stop, guests):
        first = next(event for event in steps(run, stop, guests) if isinstance(event, Scale))
        while not stop.wait(0.2):
            yield first

    with monkeypatch.context() as patch:
        patch.setattr(Run, "steps", endless)
        job = client.submit(class_labels=[1], api_name="/generate")
        next(iter(job))
    after = client.submit(class_labels=[1], api_name="/generate")
    job.cancel()
    files, _ = after.result(timeout=MOST_SECONDS)
    assert len(files) == 1 and job.done()


def test_an_unforeseen_fault_is_one_sentence(client, monkeypatch):
    def broken(run, stop, guests):
        raise KeyError("secret")
        yield

    monkeypatch.setattr(Run, "steps", broken)
    with pytest.raises(AppError, match="Something went wrong on the server. Try again."):
        client.predict(class_labels=[1], api_name="/generate")


def test_the_snippet_of_the_readme_runs(tmp_path):
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## API\n")[1]
    snippet = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    with serve(ROOT / "checkpoints", tmp_path) as address:
        names = {}
        exec(snippet.replace("http://127.0.0.1:7860/", address).replace("http://127.0.0.1:7860", address), names)
    assert len(names["images"]) == len(names["info"]["seeds"])


@pytest.mark.parametrize("call", [{"class_labels": [1], "api_name": "/generate"}, {"api_name": "/compare"}])
def test_a_full_disk_is_told_before_anything_is_made(client, monkeypatch, call):
    monkeypatch.setattr(server_folder, "FREE_BYTES", 1 << 62)
    with pytest.raises(AppError, match="disk is full"):
        client.predict(**call)
