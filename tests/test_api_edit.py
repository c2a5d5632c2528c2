"""The endpoint `/edit`, as a script calls it with gradio_client."""

import numpy
import pytest
from browser import serve
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from tiny import write_trainer_file

from var import VARPipeline
from var.outputs.recipe import from_png


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_trainer_file(folder / "fruits96.pth", optimizer=False)
    Image.linear_gradient("L").convert("RGB").save(folder / "picture.png")
    mask = Image.new("L", (32, 32), 255)
    mask.paste(0, (0, 16, 32, 32))
    mask.save(folder / "mask.png")
    Image.new("L", (32, 32), 255).save(folder / "all.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    Image.new("1", (9000, 9000)).save(folder / "huge.png")
    return folder


@pytest.fixture(scope="module")
def client(folder, tmp_path_factory):
    with serve(folder, tmp_path_factory.mktemp("gradio")) as address:
        yield Client(address, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


def arguments(folder, image="picture.png", mask="mask.png", **others):
    return {"image": handle_file(folder / image), "mask": handle_file(folder / mask), "class_labels": [2]} | others


def test_edit_makes_what_the_pipeline_makes(client, folder):
    files, info = client.predict(**arguments(folder), seed=5, top_k=9, api_name="/edit")
    pipe = VARPipeline.from_checkpoint(folder / "fruits96.pth", device="cpu")
    image, mask = Image.open(folder / "picture.png"), Image.open(folder / "mask.png")
    expected = pipe.edit(image, mask, [2], seed=[5], top_k=9, paste=True).images[0]
    assert numpy.array_equal(numpy.asarray(Image.open(files[0])), numpy.asarray(expected))
    assert info["seeds"] == [5] and from_png(files[0]).edited


def test_the_whole_image_is_varied_from_a_scale_on(client, folder):
    files, _ = client.predict(**arguments(folder) | {"mask": None}, keep_scales=3, api_name="/edit")
    pipe = VARPipeline.from_checkpoint(folder / "fruits96.pth", device="cpu")
    image, mask = Image.open(folder / "picture.png"), Image.new("L", (1, 1))
    expected = pipe.edit(image, mask, [2], seed=[0], keep_scales=3).images[0]
    assert numpy.array_equal(numpy.asarray(Image.open(files[0])), numpy.asarray(expected))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": "all.png"}, "So little is painted"),
        ({"image": "broken.png"}, "image is no picture|image is a damaged picture"),
        ({"image": "huge.png"}, "image has 9000×9000 pixels. At most 25 million"),
        ({"mask": "fruits96.pth"}, "mask is no picture"),
        ({"class_labels": [9]}, "0 to 4"),
        ({"keep_scales": 9}, "keep_scales must be a whole number from 0 to 3"),
    ],
)
def test_edit_refuses_in_one_line(client, folder, changes, message):
    with pytest.raises(AppError, match=message) as caught:
        client.predict(**arguments(folder, **changes), api_name="/edit")
    assert "\n" not in str(caught.value)


def test_edit_wants_files(client, folder):
    with pytest.raises(AppError, match="image must be a file"):
        client.predict(image={}, mask=handle_file(folder / "mask.png"), class_labels=[2], api_name="/edit")
