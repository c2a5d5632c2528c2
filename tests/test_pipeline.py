"""The pipeline: loading, sampling, streaming, stopping, films, editing, coding."""

import gc
import inspect
import sys
import threading
import weakref
from dataclasses import fields

import numpy
import pytest
import torch
from PIL import Image
from stopping import StopAtLook
from tiny import tiny_states, tiny_vae_config, write_trainer_file

from var import device
from var.checkpoints.checkpoint import read_checkpoint
from var.errors import CheckpointError
from var.pipeline import VARPipeline
from var.sampling import sampler as sampling
from var.sampling.options import SamplingOptions

CALL = dict(class_labels=[0, 3, None], seed=[1, 2, 3], output_type="pt")


@pytest.fixture(scope="module")
def trainer_file(tmp_path_factory):
    names = ["ant", "bee", "cat", "dog", "emu"]
    return write_trainer_file(tmp_path_factory.mktemp("checkpoints") / "a.pth", class_names=names)


@pytest.fixture(autouse=True)
def fresh_memory(request):
    """What found too little memory in one test is not remembered in the next."""
    yield
    if "pipe" in request.fixturenames:
        request.getfixturevalue("pipe")._recordings.most_images = sys.maxsize


@pytest.fixture(scope="module")
def pipe(trainer_file):
    return VARPipeline.from_checkpoint(trainer_file, device="cpu")


def known_image(pipe):
    return torch.rand(1, 3, pipe.image_size, pipe.image_size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_what_a_pipeline_tells(pipe, trainer_file):
    assert pipe.class_names == ["ant", "bee", "cat", "dog", "emu"]
    assert pipe.image_size == 16
    assert (pipe.device, pipe.dtype) == (torch.device("cpu"), torch.float32)
    assert pipe.checkpoint.path == trainer_file


def test_classes_without_names_have_numbers(tmp_path):
    pipe = VARPipeline.from_checkpoint(write_trainer_file(tmp_path / "a.pth"), device="cpu")
    assert pipe.class_names == [f"class {i}" for i in range(5)]


def test_checkpoint_that_was_read_already(pipe, trainer_file):
    again = VARPipeline.from_checkpoint(read_checkpoint(trainer_file), device="cpu")
    assert torch.equal(again(**CALL).tokens, pipe(**CALL).tokens)


def test_vqvae_from_another_file(pipe, trainer_file, tmp_path):
    alone = write_trainer_file(tmp_path / "alone.pth", with_vae=False)
    paired = VARPipeline.from_checkpoint(alone, vae=trainer_file, device="cpu")
    assert torch.equal(paired(**CALL).images, pipe(**CALL).images)


def test_a_vqvae_alone_makes_no_images(trainer_file, tmp_path):
    torch.save(tiny_states()[1], tmp_path / "vae.pth")
    with pytest.raises(CheckpointError, match="the file holds a VQVAE alone"):
        VARPipeline.from_checkpoint(tmp_path / "vae.pth", vae=trainer_file)


def test_no_vqvae_is_told(tmp_path):
    alone = write_trainer_file(tmp_path / "alone.pth", with_vae=False)
    with pytest.raises(CheckpointError, match=r"alone\.pth.*VQVAE"):
        VARPipeline.from_checkpoint(alone, device="cpu")


def test_vqvae_alone_is_told(trainer_file, tmp_path):
    path = tmp_path / "vae.pth"
    torch.save(read_checkpoint(trainer_file).vae_state, path)
    with pytest.raises(CheckpointError, match=r"vae\.pth.*VQVAE alone"):
        VARPipeline.from_checkpoint(path, device="cpu")


def test_vqvae_that_does_not_fit_is_told(trainer_file, tmp_path):
    path = tmp_path / "other.pth"
    other = read_checkpoint(write_trainer_file(path, vae_config=tiny_vae_config(vocab_size=32)))
    torch.save(other.vae_state, tmp_path / "vae.pth")
    with pytest.raises(CheckpointError, match=r"a\.pth and .*vae\.pth.*vocabulary 64 and 32"):
        VARPipeline.from_checkpoint(trainer_file, vae=tmp_path / "vae.pth", device="cpu")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        VARPipeline.from_checkpoint(tmp_path / "none.pth")


def test_unknown_device(trainer_file):
    with pytest.raises(ValueError, match="device must be"):
        VARPipeline.from_checkpoint(trainer_file, device="abacus")


@pytest.mark.parametrize(("faster", "decoder"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_decoder_takes_the_precision_where_it_is_faster(trainer_file, monkeypatch, faster, decoder):
    monkeypatch.setattr(device, "is_faster_on_cpu", lambda dtype: faster)
    pipe = VARPipeline.from_checkpoint(trainer_file, device="cpu", dtype=torch.bfloat16)
    assert pipe.dtype == torch.bfloat16
    assert pipe.vqvae.decoder.conv_in.weight.dtype == decoder
    assert pipe.vqvae.encoder.conv_in.weight.dtype == torch.float32
    images = pipe(**CALL).images
    assert images.dtype == torch.float32 and images.is_contiguous() and images.isfinite().all()


def test_precision_of_a_large_transformer(trainer_file, monkeypatch):
    monkeypatch.setattr(device, "is_faster_on_cpu", lambda dtype: True)
    monkeypatch.setattr(device, "LARGE_PARAMETERS", 10**5)
    assert VARPipeline.from_checkpoint(trainer_file, device="cpu").dtype == torch.bfloat16
    assert VARPipeline.from_checkpoint(trainer_file, device="cpu", dtype="float32").dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_draw_nearly_the_same_tokens(pipe, trainer_file, dtype):
    """An edit that keeps all draws its tokens beside the known ones: teacher forcing."""
    half = VARPipeline.from_checkpoint(trainer_file, device="cpu", dtype=dtype)
    known = (known_image(pipe), torch.ones(4, 4), [0, 1, 2, 3] * 8, list(range(32)))
    equal = half.edit(*known).tokens == pipe.edit(*known).tokens
    assert equal.float().mean() > 0.97


def test_pil_images(pipe):
    result = pipe([0, 1])
    assert [(type(image), image.size, image.mode) for image in result.images] == [(Image.Image, (16, 16), "RGB")] * 2


def test_tensor_images(pipe):
    images = pipe(**CALL).images
    assert images.shape == (3, 3, 16, 16) and images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1


def test_tokens(pipe):
    tokens = pipe(**CALL).tokens
    assert tokens.shape == (3, 30) and tokens.dtype == torch.int64


def test_results_are_ordinary_tensors(pipe):
    result = pipe(**CALL)
    made = [result.images, result.tokens, pipe.encode(known_image(pipe)), pipe.decode(result.tokens)]
    assert not any(tensor.is_inference() for tensor in made)


def test_images_are_those_of_the_tokens(pipe):
    result = pipe(**CALL)
    torch.testing.assert_close(pipe.decode(result.tokens), result.images, rtol=0, atol=1e-5)


def test_image_alone_has_the_same_pixels(pipe):
    alone = pipe([3], seed=[2], output_type="pt")
    assert torch.equal(alone.images[0], pipe(**CALL).images[1])


def test_a_step_for_each_scale(pipe):
    steps = list(pipe.stream(**CALL))
    assert [(step.scale_index, step.num_scales, step.patch_num) for step in steps] == [
        (0, 4, 1),
        (1, 4, 2),
        (2, 4, 3),
        (3, 4, 4),
    ]


def test_only_the_last_step_has_the_result(pipe):
    results = [step.result for step in pipe.stream(**CALL)]
    assert results[:-1] == [None] * 3
    assert torch.equal(results[-1].tokens, pipe(**CALL).tokens)


def test_every_step_has_a_preview_also_later(pipe):
    steps = list(pipe.stream(**CALL))
    previews = [step.preview() for step in steps]
    assert [len(images) for images in previews] == [3] * 4
    assert previews[0][0].tobytes() != previews[-1][0].tobytes()


def test_preview_of_the_last_step_is_the_result(pipe):
    *_, step = pipe.stream([0, 1])
    assert [image.tobytes() for image in step.preview()] == [image.tobytes() for image in step.result.images]


def test_preview_with_little_memory_shows_the_finished_images_too(pipe, monkeypatch):
    whole = sampling.generate_part

    def small(*args):
        if len(args[-1]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        yield from whole(*args)

    expected = pipe(**CALL)
    monkeypatch.setattr(sampling, "generate_part", small)
    steps = list(pipe.stream(**CALL))
    assert [len(step.preview()) for step in steps] == [2] * 4 + [3] * 4
    assert torch.equal(steps[-1].result.images, expected.images)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"class_labels": [5]}, "0 to 4"), ({"top_p": 2}, "top_p"), ({"output_type": "png"}, "output_type")],
)
def test_bad_argument_is_told_before_the_first_step(pipe, changes, words):
    with pytest.raises(ValueError, match=words):
        pipe.stream(**{**CALL, **changes})


def test_interleaved_streams_give_what_each_gives_alone(pipe):
    other = dict(class_labels=[2, 2], seed=9, cfg_scale=1.0, output_type="pt")
    first, second = list(zip(pipe.stream(**CALL), pipe.stream(**other), strict=True))[-1]
    assert torch.equal(first.result.tokens, pipe(**CALL).tokens)
    assert torch.equal(second.result.tokens, pipe(**other).tokens)


EVERY_CONTROL = {
    "class_labels": [1, 2, 3, 4, 0],
    "seed": [1, 2, 3, 4, 0],
    "cfg_scale": 1.0,
    "cfg_curve": "constant",
    "cfg_start": 3,
    "cfg_end": 3,
    "top_k": 2,
    "top_p": 0.3,
    "temperature": 0.5,
    "more_smooth": True,
}


@pytest.mark.parametrize(("name", "value"), EVERY_CONTROL.items())
def test_every_control_alone_changes_the_image(pipe, name, value):
    base = dict(class_labels=range(5), seed=range(5), output_type="pt")
    assert not torch.equal(pipe(**{**base, name: value}).images, pipe(**base).images)


@pytest.mark.parametrize(
    ("name", "value"),
    [("cfg_scale", [4.0, 0.0, 0.0, 8.0]), ("top_k", [40, 40, 40, 1]), ("temperature", [1.0, 1.0, 1.0, 0.1])],
)
def test_control_by_scale_alone_changes_the_image(pipe, name, value):
    base = dict(class_labels=range(5), seed=range(5), output_type="pt")
    plain = pipe(**base, **{name: value[0]})
    assert not torch.equal(pipe(**base, **{name: value}).images, plain.images)


@pytest.mark.parametrize("name", ["cfg_scale", "cfg_curve", "top_k", "temperature"])
def test_edit_takes_the_settings_too(pipe, name):
    base = dict(image=known_image(pipe), keep_mask=torch.zeros(4, 4), class_labels=range(5), seed=range(5))
    assert not torch.equal(pipe.edit(**base, **{name: EVERY_CONTROL[name]}).tokens, pipe.edit(**base).tokens)


@pytest.mark.parametrize("keep_scales", [0, 2, 3])
def test_more_kept_scales_keep_more_of_the_image(pipe, keep_scales):
    image = known_image(pipe)
    known = pipe.encode(image)
    result = pipe.edit(image, torch.zeros(4, 4), [2], keep_scales=keep_scales)
    scales = known.split([side**2 for side in pipe.var.config.patch_nums], dim=1)
    kept = max(keep_scales, 1)  # the tone stays anyway
    *_, expected = pipe.vqvae.quantize.partial_sums(scales[:kept], pipe.var.config.patch_nums)
    torch.testing.assert_close(result.latents[:, kept - 1], expected)
    assert not torch.equal(result.latents[:, kept], result.latents[:, kept - 1])


@pytest.mark.parametrize("keep_scales", [-1, 4, 1.5])
def test_kept_scales_out_of_range_are_named(pipe, keep_scales):
    with pytest.raises(ValueError, match="keep_scales must be a whole number from 0 to 3"):
        pipe.stream_edit(known_image(pipe), torch.zeros(4, 4), [2], keep_scales=keep_scales)


@pytest.mark.parametrize(("changes", "as_given"), [({}, True), ({"more_smooth": True}, True), ({}, False)])
def test_images_can_start_from_the_tokens_of_their_first_scales(pipe, changes, as_given):
    original = pipe(**CALL)
    tokens = original.tokens[:, :5] if as_given else original.tokens[:1, :5].tolist()[0]
    branches = pipe(**{**CALL, "class_labels": [4, 4, 4], "seed": [7, 8, 9]}, **changes, first_tokens=tokens)
    expected = original if as_given else pipe(**{**CALL, "class_labels": [0] * 3, "seed": [1] * 3})
    assert torch.equal(branches.tokens[:, :5], expected.tokens[:, :5])
    assert torch.equal(branches.latents[:, :2], expected.latents[:, :2])
    assert not torch.equal(branches.tokens[:, 5:], expected.tokens[:, 5:])


@pytest.mark.parametrize("seed", [[1, 2, 3], 4])
def test_a_branch_with_the_originals_seed_and_class_is_the_original(pipe, seed):
    original = pipe(**{**CALL, "seed": seed})
    again = pipe(**{**CALL, "seed": seed}, first_tokens=original.tokens[:, :14])
    assert torch.equal(again.tokens, original.tokens) and torch.equal(again.images, original.images)


@pytest.mark.parametrize(
    ("first_tokens", "words"),
    [
        ([1, 2], "with this checkpoint 1, 5, 14; found 2"),
        (range(30), "leave at least one to be drawn"),
        ([], "found 0"),
        ([64], "0 to 63; found 64 to 64"),
        ([-1], "0 to 63; found -1"),
        ([0.5], "whole numbers"),
        ([True], "whole numbers"),
        ("abc", "whole numbers, the beginning of `Result.tokens`, not 'abc'"),
        (torch.zeros(2, 1, dtype=torch.int64), r"\(K,\), \(1, K\) or \(3, K\).*not \(2, 1\)"),
    ],
)
def test_first_tokens_of_no_use_are_told_at_once(pipe, first_tokens, words):
    with pytest.raises(ValueError, match=words):
        pipe.stream(**CALL, first_tokens=first_tokens)


def test_stopped_before_it_starts(pipe):
    stop = threading.Event()
    stop.set()
    assert list(pipe.stream(**CALL, stop=stop)) == []


def test_stopped_stream_ends_without_a_result(pipe):
    stop, steps = threading.Event(), []
    for step in pipe.stream(**CALL, stop=stop):
        steps.append(step)
        if step.scale_index == 1:
            stop.set()
    assert [step.result for step in steps] == [None, None]
    assert steps[-1].finished() == []


def test_stopped_edit_ends(pipe):
    stop = StopAtLook(7)
    steps = list(pipe.stream_edit(known_image(pipe), torch.eye(4), [0], seed=[3], stop=stop))
    assert [step.scale_index for step in steps] == [0, 1, 2]


def test_stop_between_images_keeps_those_that_are_decoded(pipe):
    looks_at_blocks = 3 * 4 * 2  # images, each computed apart; scales; blocks
    *_, step = pipe.stream(**CALL | {"output_type": "pil"}, stop=StopAtLook(looks_at_blocks + 3))
    expected = pipe(**CALL | {"output_type": "pil"}).images[:2]
    assert step.result is None
    assert [image.tobytes() for image in step.finished()] == [image.tobytes() for image in expected]


def test_stop_keeps_the_images_of_parts_that_are_done(pipe, monkeypatch):
    whole = sampling.generate_part

    def small(*args):
        if len(args[-1]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        yield from whole(*args)

    expected = pipe(**CALL | {"output_type": "pil"}).images
    monkeypatch.setattr(sampling, "generate_part", small)
    stop, steps = threading.Event(), []
    for step in pipe.stream(**CALL, stop=stop):
        steps.append(step)
        if len(steps) == 6:  # the second image's second scale
            stop.set()
    assert [image.tobytes() for image in steps[-1].finished()] == [expected[0].tobytes()]


def test_stopped_stream_frees_its_memory(pipe, monkeypatch):
    caches, whole = [], sampling.KeyValueCache

    def watched(*args):
        cache = whole(*args)
        caches.append(weakref.ref(cache))
        return cache

    monkeypatch.setattr(sampling, "KeyValueCache", watched)
    steps = pipe.stream(**CALL, stop=StopAtLook(9))
    kept = list(steps)
    gc.collect()
    assert kept and [cache() for cache in caches] == [None] * 3


def levels(film):
    """A film's 8-bit values, int16 (scales, images, H, W, 3)."""
    return numpy.array([[numpy.asarray(image) for image in images] for images in film], dtype=numpy.int16)


def test_film_is_what_the_previews_showed(pipe):
    steps = list(pipe.stream([0, 3], seed=[1, 2]))
    difference = levels(pipe.film(steps[-1].result)) - levels([step.preview() for step in steps])
    assert abs(difference).max() <= 1  # sums round differently with the layout in memory


@pytest.mark.parametrize("changes", [{"more_smooth": True}, {"output_type": "pt"}])
def test_film_ends_with_the_images_themselves(pipe, changes):
    result = pipe([0, 3], seed=[1, 2], **changes)
    expected = pipe([0, 3], seed=[1, 2], **changes | {"output_type": "pil"}).images
    assert [image.tobytes() for image in pipe.film(result)[-1]] == [image.tobytes() for image in expected]


def test_film_of_an_edit_ends_with_its_image(pipe):
    *_, step = pipe.stream_edit(known_image(pipe), torch.eye(4), [0], seed=3)
    last_but_one, last = [images[0].tobytes() for images in pipe.film(step.result)[-2:]]
    assert last == step.result.images[0].tobytes() != last_but_one


def test_film_of_some_images(pipe):
    result = pipe([0, 3, 2], seed=[1, 2, 3])
    whole, some = pipe.film(result), pipe.film(result, [2, 0])
    for images, chosen in zip(whole, some, strict=True):
        assert [image.tobytes() for image in chosen] == [images[2].tobytes(), images[0].tobytes()]


def test_film_with_little_memory_has_every_scale_of_every_image(pipe, monkeypatch):
    whole = sampling.generate_part

    def small(*args):
        for scale in whole(*args):
            if len(args[-1]) > 2 and scale.scale_index == 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            yield scale

    expected = pipe.film(pipe(**CALL))
    monkeypatch.setattr(sampling, "generate_part", small)
    found = pipe.film(pipe(**CALL))
    assert abs(levels(found) - levels(expected)).max() <= 1


def test_stopped_film_has_the_first_scales(pipe):
    result = pipe([0, 3], seed=[1, 2])
    assert [len(images) for images in pipe.film(result, stop=StopAtLook(4))] == [2]


def test_abandoned_stream_does_no_harm(pipe):
    expected = pipe(**CALL).tokens
    abandoned = pipe.stream(**CALL)
    next(abandoned)
    abandoned.close()
    assert torch.equal(pipe(**CALL).tokens, expected)


def test_weights_are_not_changed(pipe):
    before = {key: tensor.clone() for key, tensor in pipe.var.state_dict().items()}
    pipe(**CALL)
    assert all(torch.equal(tensor, before[key]) for key, tensor in pipe.var.state_dict().items())


def test_encode_then_decode_is_the_reconstruction(pipe):
    image = known_image(pipe)
    expected = pipe.vqvae.decode(pipe.vqvae.encode(image, pipe.var.config.patch_nums), pipe.var.config.patch_nums)
    torch.testing.assert_close(pipe.decode(pipe.encode(image)) * 2 - 1, expected, rtol=0, atol=1e-5)


def test_encode_takes_pil_images_of_any_size(pipe):
    images = [Image.new("RGB", (40, 30), "teal"), Image.new("L", (16, 16))]
    tokens = pipe.encode(images)
    assert tokens.shape == (2, 30) and torch.equal(pipe.encode(images[0]), tokens[:1])


@pytest.mark.parametrize(
    "images", [[], ["a.png"], numpy.zeros((16, 16, 3)), torch.zeros(1, 3, 16, 16, dtype=torch.uint8)]
)
def test_encode_of_something_else_says_what_is_wanted(pipe, images):
    with pytest.raises(ValueError, match=r"must be PIL images, or a float tensor \(B, 3, 16, 16\) in \[-1, 1\], not"):
        pipe.encode(images)


def test_classes_by_name(pipe):
    assert torch.equal(pipe(["Dog", 0, None], seed=3).tokens, pipe([3, 0, None], seed=3).tokens)
    image, mask = known_image(pipe), torch.zeros(4, 4)
    assert torch.equal(pipe.edit(image, mask, ["dog"]).tokens, pipe.edit(image, mask, [3]).tokens)


@pytest.mark.parametrize(
    ("class_labels", "words"),
    [(["dogg"], "did you mean dog?"), ("dog", "must be a list"), (["3"], "no class is named '3'")],
)
def test_names_that_are_of_no_class(pipe, class_labels, words):
    with pytest.raises(ValueError, match=words.replace("?", r"\?")):
        pipe(class_labels)


@pytest.mark.parametrize("name", ["__call__", "stream", "edit", "stream_edit"])
def test_signatures_say_every_option_and_its_default(name):
    parameters = inspect.signature(getattr(VARPipeline, name)).parameters
    for field in fields(SamplingOptions):
        default = inspect.Parameter.empty if field.name == "class_labels" else field.default
        assert parameters[field.name].default == default


def test_encode_of_a_wrong_size(pipe):
    with pytest.raises(ValueError, match=r"\(B, 3, 16, 16\)"):
        pipe.encode(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (torch.zeros(1, 30), "int64"),
        (torch.zeros(1, 29, dtype=torch.int64), "shape"),
        (torch.zeros(30, dtype=torch.int64), "shape"),
        (torch.full((1, 30), 64), "0 to 63; found 64"),
        (torch.full((1, 30), -1), "0 to 63; found -1"),
    ],
)
def test_decode_of_no_tokens(pipe, tokens, words):
    with pytest.raises(ValueError, match=words):
        pipe.decode(tokens)


def test_edit_that_keeps_everything_is_the_reconstruction(pipe):
    image = known_image(pipe)
    result = pipe.edit(image, torch.ones(4, 4), [0, 1], seed=[4, 5], output_type="pt")
    expected = pipe.decode(pipe.encode(image)).expand(2, -1, -1, -1)
    torch.testing.assert_close(result.images, expected, rtol=0, atol=1e-5)


def test_pasted_edit_has_the_originals_pixels(pipe):
    image, mask = pipe(CALL["class_labels"], seed=5).images[0], numpy.ones((16, 16), bool)
    mask[:, 12:] = False
    plain = pipe.edit(image, mask, [2], seed=[6])
    pasted = pipe.edit(image, mask, [2], seed=[6], paste=True)
    assert torch.equal(pasted.tokens, plain.tokens)
    kept, anew = numpy.s_[:, :8], numpy.s_[:, 12:]  # a token is 4 pixels wide
    array = numpy.asarray
    assert (array(pasted.images[0])[kept] == array(image)[kept]).all()
    assert (array(plain.images[0])[kept] != array(image)[kept]).any()
    assert (array(pasted.images[0])[anew] == array(plain.images[0])[anew]).all()


def test_edit_leaves_the_image_and_the_mask_alone(pipe):
    image, mask = known_image(pipe), torch.eye(4)
    before = image.clone()
    pipe.edit(image, mask, [0])
    assert torch.equal(image, before) and torch.equal(mask, torch.eye(4))


def test_edit_of_pil_images_of_any_size(pipe):
    image, mask = Image.new("RGB", (40, 30), "teal"), Image.new("L", (40, 30), 255)
    mask.paste(0, (0, 0, 20, 30))
    assert pipe.edit(image, mask, [2], 7).images[0].size == (16, 16)


def test_edit_streams(pipe):
    *_, step = pipe.stream_edit(known_image(pipe), torch.eye(4), [0], seed=3)
    assert torch.equal(step.result.tokens, pipe.edit(known_image(pipe), torch.eye(4), [0], seed=3).tokens)


def test_edited_image_alone_is_that_of_the_batch(pipe):
    arguments = dict(image=known_image(pipe), keep_mask=torch.eye(4), output_type="pt")
    batch = pipe.edit(class_labels=[0, 1, 2], seed=[7, 8, 9], **arguments)
    alone = pipe.edit(class_labels=[1], seed=[8], **arguments)
    assert torch.equal(alone.tokens[0], batch.tokens[1])
