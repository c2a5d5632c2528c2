"""The one model in memory."""

import gc
import threading
import weakref

import pytest
import torch
from tiny import tiny_states, write_trainer_file

from var.checkpoints.memory import need
from var.engine.models import Loading, ModelHolder, TooLargeError
from var.engine.previews import Previewer
from var.errors import CheckpointError


@pytest.fixture
def holder(tmp_path):
    return ModelHolder(tmp_path, "cpu")


@pytest.fixture
def path(tmp_path):
    return write_trainer_file(tmp_path / "a.pth", class_names=["Ant", "Bee", "Cat", "Dog", "Eel"], optimizer=False)


def test_describes_what_the_page_shows(holder, path):
    description = holder.describe(path)
    assert description.class_names == ("Ant", "Bee", "Cat", "Dog", "Eel")
    assert (description.vocab_size, description.image_size) == (64, 16)
    assert (description.placement, description.vae_file) == ("CPU, float32", None)


def test_keeps_a_model_between_uses(holder, path):
    with holder.use(path) as first:
        pass
    with holder.use(path) as second:
        assert second is first


def test_loads_a_file_again_that_was_replaced(holder, path):
    with holder.use(path) as first:
        pass
    write_trainer_file(path, seed=5, epoch=12, optimizer=False)
    with holder.use(path) as second:
        assert second is not first
    assert "epoch 12" in holder.describe(path).summary


def test_frees_the_old_model_for_another(holder, path, tmp_path):
    other = write_trainer_file(tmp_path / "b.pth", seed=5, optimizer=False)
    with holder.use(path) as pipeline:
        old = weakref.ref(pipeline.var)
    del pipeline
    with holder.use(other):
        gc.collect()
        assert old() is None


def test_describing_a_known_file_does_not_load_it(holder, path, tmp_path):
    holder.describe(path)
    other = write_trainer_file(tmp_path / "b.pth", seed=5, optimizer=False)
    with holder.use(other) as pipeline:
        pass
    holder.describe(path)
    with holder.use(other) as again:
        assert again is pipeline


def test_serves_the_old_model_after_a_file_that_cannot_be_used(holder, path, tmp_path):
    holder.describe(path)
    (tmp_path / "broken.pth").write_text("no model")
    with pytest.raises(CheckpointError), holder.use(tmp_path / "broken.pth"):
        pass
    with holder.use(path) as pipeline:
        assert pipeline.image_size == 16


def test_can_be_used_after_an_error_while_generating(holder, path):
    with pytest.raises(RuntimeError), holder.use(path):
        raise RuntimeError
    with holder.use(path) as pipeline:
        assert pipeline.image_size == 16


def test_takes_a_vqvae_that_fits_and_says_which(holder, path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    bare = write_trainer_file(tmp_path / "elsewhere" / "bare.pth", with_vae=False, optimizer=False)
    assert holder.describe(bare).vae_file == "a.pth"


def test_says_what_to_do_where_no_vqvae_fits(holder, tmp_path):
    bare = write_trainer_file(tmp_path / "bare.pth", with_vae=False, optimizer=False)
    with pytest.raises(CheckpointError, match="bare.pth: .* without a VQVAE.*Put the VQVAE"):
        holder.describe(bare)


def test_says_what_to_do_when_memory_is_full(holder, path):
    with pytest.raises(MemoryError, match="fewer images"), holder.use(path):
        raise RuntimeError("CUDA out of memory")


def test_a_vqvae_alone_is_no_model_to_generate_with(holder, tmp_path):
    torch.save(tiny_states()[1], tmp_path / "vae.pth")
    with pytest.raises(CheckpointError, match="vae.pth: the file holds a VQVAE alone"):
        holder.describe(tmp_path / "vae.pth")


def test_all_that_computes_runs_in_one_thread(holder, path):
    threads = set()
    for _ in range(3):
        caller = threading.Thread(target=lambda: threads.add(holder.compute(threading.get_ident)))
        caller.start()
        caller.join()
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_of_the_computing_thread_reaches_the_caller(holder):
    with pytest.raises(ValueError, match="wrong"):
        holder.compute(int, "wrong")


def test_keeps_as_many_models_as_it_is_told(path, tmp_path):
    holder = ModelHolder(tmp_path, "cpu", keep=2)
    others = [write_trainer_file(tmp_path / f"{seed}.pth", seed=seed, optimizer=False) for seed in (5, 6)]
    for file in (path, others[0], path, others[1]):
        holder.prepare(file)
    assert [holder.resident(file) is not None for file in (path, *others)] == [True, False, True]


def test_unloading_frees_every_model(holder, path):
    with holder.use(path) as pipeline:
        old = weakref.ref(pipeline.var)
    del pipeline
    holder.unload()
    gc.collect()
    assert old() is None and holder.resident(path) is None


def test_another_precision_is_another_model(holder, path):
    with holder.use(path, Loading(dtype="bfloat16")) as pipeline:
        assert pipeline.dtype == torch.bfloat16
    assert holder.resident(path) is None


def test_describing_loads_nothing(holder, path):
    holder.describe(path)
    assert holder.resident(path) is None


def test_what_does_not_fit_is_refused_with_a_precision_that_does(holder, path, monkeypatch):
    pair = holder.open(path)
    free = need(pair.checkpoint, dtype=torch.bfloat16).total
    monkeypatch.setattr("var.engine.models.available", lambda device: free)
    with pytest.raises(TooLargeError, match="a.pth: The model needs .* bfloat16") as refused:
        holder.describe(path)
    assert refused.value.offer == "bfloat16"


def test_the_models_in_memory_count_as_free(holder, path, tmp_path, monkeypatch):
    other = write_trainer_file(tmp_path / "b.pth", seed=5, optimizer=False)
    holder.prepare(path)
    needed = need(holder.open(other).checkpoint).total
    monkeypatch.setattr("var.engine.models.available", lambda device: needed - holder.resident(path).num_bytes)
    assert holder.describe(other).needed_bytes == needed


def test_weights_that_are_no_numbers_are_told(holder, tmp_path):
    var_state, vae_state = tiny_states()
    var_state["head.bias"][3] = torch.nan
    torch.save({"var_wo_ddp": var_state, "vae_local": vae_state}, tmp_path / "nan.pth")
    holder.prepare(tmp_path / "nan.pth")
    assert "NaN" in holder.resident(tmp_path / "nan.pth").warning


def test_a_strangers_file_makes_nobody_look_at_a_data_folder(holder, tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    for name in ("a", "b", "c", "d", "e"):
        (data / name).mkdir()
        (data / name / "1.png").write_bytes(b"")
    path = tmp_path_factory.mktemp("uploads") / "x.pth"
    write_trainer_file(path, args={"data_path": str(data)}, optimizer=False)
    assert holder.describe(path).class_names[0] == "class 0"


@pytest.fixture
def practising(holder, path, monkeypatch):
    """The holder practises, and does not stop by itself."""
    begun = threading.Event()

    def practise(previewer, stop):
        begun.set()
        while not stop.is_set():
            yield

    monkeypatch.setattr(Previewer, "practise", practise)
    holder.prepare(path)
    thread = threading.Thread(target=holder.practise, args=[path])
    thread.start()
    begun.wait()
    yield
    thread.join()


def test_practice_gives_way_to_who_wants_a_model(holder, path, practising):
    with holder.use(path) as pipeline:
        assert pipeline.image_size == 16


def test_a_checkpoint_is_prepared_though_another_one_practises(holder, tmp_path, practising):
    other = write_trainer_file(tmp_path / "other.pth", optimizer=False, epoch=5)
    holder.prepare(other)
    assert holder.resident(other) is not None


def test_who_prepares_waits_for_nobody_who_generates(holder, path, tmp_path):
    other = write_trainer_file(tmp_path / "other.pth", optimizer=False, epoch=5)
    with holder.use(path):
        assert holder.resident(path) is not None
        holder.prepare(other)
    assert holder.resident(other) is None
