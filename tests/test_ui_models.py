"""The models in memory."""

import gc
import weakref

import pytest
import torch
from tiny import tiny_states, write_trainer_file

from var import VARPipeline
from var.checkpoints.memory import need
from var.engine.models import Models, TooLargeError
from var.errors import CheckpointError


@pytest.fixture
def models(tmp_path):
    return Models(tmp_path, "cpu")


@pytest.fixture
def path(tmp_path):
    return write_trainer_file(tmp_path / "a.pth", class_names=["Ant", "Bee", "Cat", "Dog", "Eel"], optimizer=False)


def test_describes_what_the_page_shows(models, path):
    description = models.describe(path)
    assert description.class_names == ("Ant", "Bee", "Cat", "Dog", "Eel")
    assert (description.vocab_size, description.image_size) == (64, 16)
    assert (description.placement, description.vae_file) == ("CPU, float32", None)


def test_nothing_is_timed_to_describe_what_fits(models, path, monkeypatch):
    monkeypatch.setattr("var.device.is_faster_on_cpu", lambda dtype: pytest.fail("it takes a tenth of a second"))
    assert models.describe(path).placement == "CPU, float32"


def test_the_precision_is_the_pipelines(models, path, monkeypatch):
    monkeypatch.setattr("var.device.is_faster_on_cpu", lambda dtype: True)
    monkeypatch.setattr("var.device.LARGE_PARAMETERS", 1000)
    assert models.load(path).dtype == VARPipeline.from_checkpoint(path, device="cpu").dtype == torch.bfloat16
    assert models.describe(path).placement == "CPU, bfloat16"


def test_keeps_a_model_between_uses(models, path):
    assert models.load(path) is models.load(path)


def test_loads_a_file_again_that_was_replaced(models, path):
    first = models.load(path)
    write_trainer_file(path, seed=5, epoch=12, optimizer=False)
    assert not models.is_current(path)
    assert models.load(path) is not first and models.is_current(path)
    assert "epoch 12" in models.describe(path).summary


def test_frees_the_old_model_for_another(models, path, tmp_path):
    other = write_trainer_file(tmp_path / "b.pth", seed=5, optimizer=False)
    old = weakref.ref(models.load(path).var)
    models.load(other)
    gc.collect()
    assert old() is None


def test_describing_a_known_file_does_not_load_it(models, path, tmp_path):
    models.describe(path)
    other = write_trainer_file(tmp_path / "b.pth", seed=5, optimizer=False)
    pipeline = models.load(other)
    models.describe(path)
    assert models.load(other) is pipeline


def test_serves_the_old_model_after_a_file_that_cannot_be_used(models, path, tmp_path):
    models.describe(path)
    (tmp_path / "broken.pth").write_text("no model")
    with pytest.raises(CheckpointError):
        models.load(tmp_path / "broken.pth")
    assert models.load(path).image_size == 16


def test_takes_a_vqvae_that_fits_and_says_which(models, path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    bare = write_trainer_file(tmp_path / "elsewhere" / "bare.pth", with_vae=False, optimizer=False)
    assert models.describe(bare).vae_file == "a.pth"


def test_says_what_to_do_where_no_vqvae_fits(models, tmp_path):
    bare = write_trainer_file(tmp_path / "bare.pth", with_vae=False, optimizer=False)
    with pytest.raises(CheckpointError, match="bare.pth: .* without a VQVAE.*Put the VQVAE"):
        models.describe(bare)


def test_a_vqvae_alone_is_no_model_to_generate_with(models, tmp_path):
    torch.save(tiny_states()[1], tmp_path / "vae.pth")
    with pytest.raises(CheckpointError, match="vae.pth: the file holds a VQVAE alone"):
        models.describe(tmp_path / "vae.pth")


def test_keeps_as_many_models_as_it_is_told(path, tmp_path):
    models = Models(tmp_path, "cpu", keep=2)
    others = [write_trainer_file(tmp_path / f"{seed}.pth", seed=seed, optimizer=False) for seed in (5, 6)]
    for file in (path, others[0], path, others[1]):
        models.load(file)
    assert [models.resident(file) is not None for file in (path, *others)] == [True, False, True]


def test_unloading_frees_every_model(models, path):
    old = weakref.ref(models.load(path).var)
    models.unload()
    gc.collect()
    assert old() is None and models.resident(path) is None


def test_describing_loads_nothing(models, path):
    models.describe(path)
    assert models.resident(path) is None


def test_what_does_not_fit_is_refused_with_a_precision_that_does(models, path, monkeypatch):
    pair = models.open(path)
    free = need(pair.checkpoint, dtype=torch.bfloat16).total
    monkeypatch.setattr("var.engine.models.available", lambda device: free)
    with pytest.raises(TooLargeError, match="a.pth: The model needs .* bfloat16") as refused:
        models.describe(path)
    assert refused.value.offer == "bfloat16"


def test_the_models_in_memory_count_as_free(models, path, tmp_path, monkeypatch):
    other = write_trainer_file(tmp_path / "b.pth", seed=5, optimizer=False)
    models.load(path)
    needed = need(models.open(other).checkpoint).total
    monkeypatch.setattr("var.engine.models.available", lambda device: needed - models.resident(path).num_bytes)
    assert models.describe(other).needed_bytes == needed


def test_weights_that_are_no_numbers_are_told(models, tmp_path):
    var_state, vae_state = tiny_states()
    var_state["head.bias"][3] = torch.nan
    torch.save({"var_wo_ddp": var_state, "vae_local": vae_state}, tmp_path / "nan.pth")
    models.load(tmp_path / "nan.pth")
    assert "NaN" in models.resident(tmp_path / "nan.pth").warning


def test_a_strangers_file_makes_nobody_look_at_a_data_folder(models, tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    for name in ("a", "b", "c", "d", "e"):
        (data / name).mkdir()
        (data / name / "1.png").write_bytes(b"")
    path = tmp_path_factory.mktemp("uploads") / "x.pth"
    write_trainer_file(path, args={"data_path": str(data)}, optimizer=False)
    assert models.describe(path).class_names[0] == "class 0"
