"""Pictures of classes that are made in spare time: when they are made, for whom, and what is kept of them."""

import io
import os
import threading

import pytest
import torch
from PIL import Image
from tiny import tiny_states, write_trainer_file

from var import VARPipeline
from var.engine import class_pictures
from var.engine.class_pictures import ClassPictures, Pictured
from var.engine.local import LocalEngine
from var.engine.queue import LocalJob
from var.engine.runs import Order

PATIENCE = 60  # seconds until a test gives up


@pytest.fixture
def path(tmp_path):
    return write_trainer_file(tmp_path / "checkpoints" / "a.pth", optimizer=False)


@pytest.fixture
def engine(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    caches = ClassPictures(tmp_path / "kept"), ClassPictures(tmp_path / "passing")
    return LocalEngine(tmp_path / "checkpoints", "cpu", pictures=caches[0], visitors_pictures=caches[1])


def load(engine, path):
    job = Order(path, path.name, [0], 1, 0)
    assert list(engine.submit(job))[-1].stopped is False


def let_all_be_done(engine):
    """Wait until what is done in spare time is over."""
    over = threading.Event()

    def steps(stop):
        over.set()
        yield from ()

    while not engine._queue.submit_if_idle(LocalJob(steps)):
        assert not over.wait(0.005)
    assert over.wait(PATIENCE)


def test_those_who_look_get_pictures_once_the_model_is_there(engine, path):
    assert engine.class_pictures(path, [2, 0]) == Pictured({}, more=True)
    let_all_be_done(engine)
    assert engine.resident(path) is None  # it was not loaded for this
    load(engine, path)
    assert engine.class_pictures(path, [2, 0, 99]).found == {}
    let_all_be_done(engine)
    told = engine.class_pictures(path, [2, 0])
    assert list(told.found) == [2, 0] and not told.more
    assert Image.open(io.BytesIO(told.found[2])).size == (16, 16)
    assert not engine.class_pictures(path, [99]).more


def test_pictures_are_made_as_the_checkpoint_asks_for(tmp_path, engine):
    own = {"cfg_scale": 1.5, "top_k": 3}
    path = write_trainer_file(tmp_path / "checkpoints" / "own.pth", args={"sampling": own}, optimizer=False)
    load(engine, path)
    engine.class_pictures(path, [1])
    let_all_be_done(engine)
    expected = VARPipeline.from_checkpoint(path, device="cpu")([1], seed=[0], **own).images[0]
    cache = ClassPictures(tmp_path / "expected")
    cache.write("x", 1, expected)
    assert engine.class_pictures(path, [1]).found == cache.read("x", [1])


def test_a_run_comes_first_at_once(engine, path, monkeypatch):
    load(engine, path)
    begun, stream = threading.Event(), VARPipeline.stream

    def held(pipeline, class_labels, **options):
        if class_labels == [3]:
            begun.set()
            assert options["stop"].wait(PATIENCE)
        return stream(pipeline, class_labels, **options)

    monkeypatch.setattr(VARPipeline, "stream", held)
    engine.class_pictures(path, [3, 4])
    assert begun.wait(PATIENCE)
    assert engine.num_jobs == 0
    load(engine, path)
    assert engine.class_pictures(path, [3, 4]).found == {}


def test_nothing_is_made_beside_a_run(engine, path):
    load(engine, path)
    free = threading.Event()

    def steps(stop):
        assert free.wait(PATIENCE)
        yield from ()

    job = engine._queue.submit(LocalJob(steps))
    assert engine.class_pictures(path, [0]).more
    free.set()
    list(job)
    let_all_be_done(engine)
    assert engine.class_pictures(path, [0]).found == {}


@pytest.mark.parametrize("seconds", [-1.0, None])
def test_slow_and_failing_models_are_given_up(engine, path, monkeypatch, seconds):
    load(engine, path)
    if seconds is None:
        monkeypatch.setattr(VARPipeline, "stream", lambda *_, **__: 1 / 0)
    else:
        monkeypatch.setattr(class_pictures, "MAX_SECONDS", seconds)
    assert engine.class_pictures(path, [0, 1]).more
    let_all_be_done(engine)
    told = engine.class_pictures(path, [0, 1])
    assert not told.more and list(told.found) == ([] if seconds is None else [0])


def test_visitors_files_leave_no_pictures_behind(engine, tmp_path):
    (tmp_path / "uploads").mkdir()
    theirs = write_trainer_file(tmp_path / "uploads" / "b.pth", optimizer=False)
    load(engine, theirs)
    engine.class_pictures(theirs, [0])
    let_all_be_done(engine)
    assert len(list((tmp_path / "passing").rglob("*.webp"))) == 1 and not (tmp_path / "kept").exists()
    assert engine.class_pictures(theirs, [0]).found


def test_another_vqvae_is_another_model(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth", with_vae=False, optimizer=False)
    hashes = set()
    for seed in (1, 2):
        torch.save(tiny_states(seed)[1], tmp_path / "vae.pth")
        hashes.add(LocalEngine(tmp_path, "cpu").describe(path).model_hash)
    assert len(hashes) == 2


def test_no_more_than_so_much_is_kept(tmp_path):
    image = Image.effect_noise((96, 96), 80).convert("RGB")
    ClassPictures(tmp_path).write("a", 0, image)
    cache = ClassPictures(tmp_path, max_bytes=4 * class_pictures.bytes_of(tmp_path / "a") + 100)
    for name in "bcd":
        cache.write(name, 0, image)
    for hour, name in enumerate("abcd"):
        os.utime(tmp_path / name, (3600 * hour, 3600 * hour))
    assert cache.read("b", [0])  # seen now
    cache.write("e", 0, image)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["b", "e"]
    assert cache.read("e", [0, 1]).keys() == {0}
