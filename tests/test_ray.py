"""The engine ray: `python app.py --engine ray` starts two workers here; this process is a second front of theirs."""

import asyncio
import os
import pickle
import re
import signal
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex

import pytest
from app_process import ADDRESS, running_app
from gradio_client import Client
from PIL import Image
from tiny import write_trainer_file

from var import VARPipeline
from var.engine.choose import Cluster, create_engine
from var.engine.events import Done, Failed, Ready, Scale, WorkerLost
from var.engine.models import TooLargeError
from var.engine.runs import Order
from var.errors import CheckpointError
from var.hub.download import Access

NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]
ADDRESS_OF_A = "hf://owner/repo/a.pth"
MANY_LOOKS = 2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "a.pth", class_names=NAMES, optimizer=False)
    write_trainer_file(folder / "b.pth", class_names=NAMES, optimizer=False, seed=5)
    return folder


@pytest.fixture(scope="module")
def told(folder, tmp_path_factory):
    """What the app prints, until it serves."""
    if find_spec("ray") is None:
        pytest.skip("needs Ray: pip install 'ray[serve]==2.60.0'")
    environment = {"GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("gradio")), "OMP_NUM_THREADS": "97"}
    arguments = ("--engine", "ray", "--workers", 2, "--checkpoints", folder, "--device", "cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")  # which both fronts have to know; Ray reads it when it is imported
        patch.setenv("RAY_AUTH_TOKEN", token_hex(32))
        with running_app(*arguments, environment=os.environ | environment) as (printed, process):
            yield printed
    assert process.returncode == 0  # Ray, too, has something to say on how it ends


@pytest.fixture(scope="module")
def engine(folder, told):
    engine = create_engine("ray", folder, "cpu", cluster=Cluster(re.search(r"Ray: (\S+)", told)[1]))
    yield engine
    engine.close()


def order(path, class_labels=(1,), num_images=1, seed=0):
    return Order(path, path.name, class_labels, num_images, seed, {"top_k": 0})


def finished(events):
    return [image for event in events if isinstance(event, Scale) for image in event.finished]


def is_as_made_here(path, image, recipe):
    expected = VARPipeline.from_checkpoint(path, device="cpu")(**recipe.arguments)
    return image.tobytes() == expected.images[0].tobytes()


def loads(engine):
    """The process of each worker, and how many runs it has."""
    return {process: num_runs for process, num_runs, _ in engine._handle.broadcast("load").results()}


def end_the_worker_with_a_run(engine):
    os.kill(next(process for process, num_runs in loads(engine).items() if num_runs), signal.SIGKILL)


def is_idle_soon(engine):
    return any(not any(loads(engine).values()) for _ in range(MANY_LOOKS))


def test_the_page_is_served_by_one_command_and_its_images_are_a_workers(told, folder):
    client = Client(ADDRESS.search(told)[0], verbose=False)
    (path,), info = client.predict(class_labels=[2], num_images=1, seed=7, checkpoint="b.pth", api_name="/generate")
    expected = VARPipeline.from_checkpoint(folder / "b.pth", device="cpu")([2], seed=[7])
    assert info["seeds"] == [7] and Image.open(path).tobytes() == expected.images[0].tobytes()


def test_what_is_said_of_a_checkpoint_comes_from_a_worker(engine, folder):
    assert engine.describe(folder / "a.pth").class_names == tuple(NAMES)
    assert engine.placement().device == "cpu"
    shares = [num_threads for *_, num_threads in engine._handle.broadcast("load").results()]
    assert len(shares) == 2 and 97 not in shares  # as the front's environment says of all cores
    (folder / "broken.pth").write_text("no model")
    with pytest.raises(CheckpointError, match="broken.pth"):
        engine.describe(folder / "broken.pth")
    *_, failed = engine.submit(order(folder / "broken.pth"))
    assert "The file holds text" in failed.sentence


def test_runs_of_two_checkpoints_at_once_each_make_their_own(engine, folder):
    """More than the workers take at a time, so that each of them has runs of both."""
    orders = [order(folder / f"{'ab'[seed % 2]}.pth", [seed % 5], seed=seed) for seed in range(12)]
    jobs = [engine.submit(one) for one in orders]
    for one, job in zip(orders, jobs, strict=True):
        (made,) = finished(job)
        assert is_as_made_here(one.path, made.image, made.recipe)


def test_two_runs_at_once_are_at_two_workers(engine, folder):
    """Ray hears a little later which worker has what: so it may take some tries."""
    for _ in range(20):
        jobs = [engine.submit(order(folder / "a.pth", [1], 64, seed)) for seed in range(2)]
        for job in jobs:
            assert any(isinstance(event, Scale) for event in iter(job))
        spread = [*loads(engine).values()]
        for job in jobs:
            engine.stop(job)
            assert list(job)[-1].stopped
        if spread == [1, 1]:
            return
    raise AssertionError("all runs of a model were sent to one worker")


def test_runs_that_are_stopped_end_and_the_others_go_on(engine, folder):
    jobs = [engine.submit(order(folder / "a.pth", [1], 16, seed)) for seed in range(12)]
    for job in jobs[::2]:
        engine.stop(job)
    told = [list(job) for job in jobs]
    assert all(isinstance(events[-1], Done) for events in told)
    assert all(events[-1].stopped for events in told[::2])
    assert all(len(finished(events)) == 16 for events in told[1::2])
    assert engine.num_jobs == 0 and is_idle_soon(engine)


def test_who_asks_for_much_waits_for_himself(engine, folder):
    much = [
        engine.submit(order(folder / "a.pth", [1], 64, seed), "much") for seed in range(9)
    ]  # more than workers take
    (made,) = finished(engine.submit(order(folder / "a.pth", [2]), "other"))
    assert made.recipe.class_label == 2 and not much[-1].is_over
    for job in much:
        engine.stop(job)
    assert all(list(job)[-1].stopped for job in much[2:]) and is_idle_soon(engine)


def test_a_stream_that_is_cancelled_stops_the_worker(engine, folder):
    job = engine.submit(order(folder / "a.pth", [1], 64))
    events = iter(job)
    while not isinstance(next(events), Scale):
        pass
    job.stream.cancel()
    assert list(events)[-1].stopped and is_idle_soon(engine)


def test_a_checkpoint_is_prepared_and_given_back(engine, folder):
    job = engine.prepare(folder / "b.pth")
    assert Ready() in iter(job)
    assert engine.resident(folder / "b.pth").num_bytes > 0
    engine.stop(job)
    assert list(engine.unload()) == [Done()] and engine.resident(folder / "b.pth") is None


def test_a_run_whose_worker_is_lost_goes_on_with_the_other_one(engine, folder):
    events = []
    for event in engine.submit(order(folder / "a.pth", [1], 64, seed=3)):
        if isinstance(event, Scale) and not events:
            end_the_worker_with_a_run(engine)
        if isinstance(event, Scale | WorkerLost | Done | Failed):
            events.append(event)
    assert WorkerLost() in events and isinstance(events[-1], Done)
    made = finished(events)
    assert [image.recipe.seed for image in made] == [*range(3, 67)]
    assert all(is_as_made_here(folder / "a.pth", made[index].image, made[index].recipe) for index in (0, 20, 40, 63))
    assert [event.num_finished for event in events if isinstance(event, Scale)][-1] == 64


def test_a_worker_has_its_own_file_of_an_address_and_no_other_of_the_fronts(folder, monkeypatch):
    pytest.importorskip("ray", reason="needs Ray: pip install 'ray[serve]==2.60.0'")
    from var.engine.ray_worker import Worker, WorkerSettings

    worker = Worker(WorkerSettings(folder, "cpu", 1, None, Access()))
    monkeypatch.setattr(
        "var.engine.ray_worker.download_checkpoint", lambda address, access: {ADDRESS_OF_A: folder / "a.pth"}[address]
    )
    there = Path("/elsewhere/a.pth")
    assert asyncio.run(worker.ask("describe", there, {there: ADDRESS_OF_A}, None)).class_names == tuple(NAMES)
    assert "A worker does not see this file" in str(asyncio.run(worker.ask("describe", there, {}, None)))


def test_errors_come_from_a_worker_as_they_are():
    error = pickle.loads(pickle.dumps(TooLargeError("It needs 5 GB.", "bfloat16")))
    assert str(error) == "It needs 5 GB." and error.offer == "bfloat16"


def test_an_address_where_nothing_answers_is_told_at_once(folder):
    pytest.importorskip("ray", reason="needs Ray: pip install 'ray[serve]==2.60.0'")
    with pytest.raises(ConnectionError, match="--address 127.0.0.1:1: nothing answers there"):
        create_engine("ray", folder, "cpu", cluster=Cluster("127.0.0.1:1"))
