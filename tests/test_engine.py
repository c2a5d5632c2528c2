"""The engine, without any page: orders in, events out."""

import asyncio
import pickle
import shutil
import threading
from array import array
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from tiny import write_trainer_file

from var import VARPipeline
from var.comparing.axes import Axis
from var.comparing.comparison import BatchStep, Cell, CellResult, ModelChoice, plan
from var.engine.carrying import TOO_LITTLE_MEMORY, failed
from var.engine.choose import create_engine
from var.engine.comparisons import Comparison, ComparisonOrder
from var.engine.events import Done, Failed, FilmFrame, LoadingModel, Ready, Scale, Waiting
from var.engine.exports import KEPT_FREE, ExportOrder, export
from var.engine.films import FilmOrder
from var.engine.local import LocalEngine
from var.engine.models import Loading, TooLargeError
from var.engine.previews import Previewer
from var.engine.queue import LocalJob, Queue
from var.engine.rest import Rest
from var.engine.runs import Edit, Order
from var.outputs.branch import Branch, first_scales
from var.sampling.options import SamplingOptions

NAMES = ["Ant", "Bee", "Cat", "Dog", "Eel"]
PATIENCE = 60  # seconds until a test gives up


@pytest.fixture
def engine(tmp_path):
    return LocalEngine(tmp_path, "cpu")


@pytest.fixture
def path(tmp_path):
    return write_trainer_file(tmp_path / "a.pth", class_names=NAMES, optimizer=False)


def order(path, class_labels=(1, 3), num_images=2, seed=10, loading=None, edit=None, branch=(), **sampling):
    sampling = {"top_k": 0} | sampling
    return Order(path, path.name, class_labels, num_images, seed, sampling, loading, edit, True, *branch)


def branch_of(parent, keep_scales):
    tokens = first_scales(parent.tokens, (1, 2, 3, 4), keep_scales)
    return Branch(tokens, parent.recipe.id, "parent"), parent.recipe.checkpoint_hash


def scales(events):
    return [event for event in events if isinstance(event, Scale)]


def finished(events):
    return [image for event in scales(events) for image in event.finished]


def image(engine, order):
    return finished(engine.submit(order))[0].image.tobytes()


class Gate:
    """Holds the thread that computes at a place until a test lets it go on."""

    def __init__(self):
        self.reached, self.open = threading.Event(), threading.Event()

    def wait(self):
        self.reached.set()
        assert self.open.wait(PATIENCE), "no test opened this gate"

    def job(self, seconds=None):
        """A job that holds the thread, and does nothing else; `seconds` as it says of itself."""

        def steps(stop):
            self.wait()
            yield from ()

        return LocalJob(steps, seconds=lambda: seconds)


@pytest.fixture
def busy(engine):
    """Somebody else's job computes, until the gate is opened."""
    gate = Gate()
    engine._queue.submit(gate.job())
    assert gate.reached.wait(PATIENCE)
    yield gate
    gate.open.set()


@pytest.fixture
def at_each_scale(monkeypatch):
    """Called after each scale of a run, in the thread that computes; a test sets what it does."""
    hook = [lambda step: None]
    offer = Previewer.offer

    def offer_and_call(previewer, step):
        hook[0](step)
        return offer(previewer, step)

    monkeypatch.setattr(Previewer, "offer", offer_and_call)
    return hook


def comparison(path, seeds=(1, 2), checkpoints=None):
    base = Cell(ModelChoice(path.name), SamplingOptions((0,), (0,)))
    axes = (Axis("seed", tuple(seeds)), checkpoints and Axis("checkpoint", tuple(checkpoints)), None)
    files = {name: path.parent / name for name in checkpoints or [path.name] if (path.parent / name).exists()}
    return ComparisonOrder(Comparison(base, axes, plan(base, *axes), "note"), files)


# One run


def test_a_run_tells_its_scales_and_its_images(engine, path):
    events = list(engine.submit(order(path)))
    assert [type(event) for event in events[:2]] == [Waiting, LoadingModel]
    assert [event.scale_index for event in scales(events)][-1] == 3
    assert [image.recipe.seed for image in finished(events)] == [10, 11, 12, 13]
    assert [image.recipe.class_name for image in finished(events)] == ["Bee", "Bee", "Dog", "Dog"]
    assert isinstance(events[-1], Done) and not events[-1].stopped and scales(events)[-1].last


def test_images_are_what_the_pipeline_makes(engine, path):
    made = finished(engine.submit(order(path)))
    for image in made:
        expected = VARPipeline.from_checkpoint(path, device="cpu")(**image.recipe.arguments)
        assert image.image.tobytes() == expected.images[0].tobytes()
        assert image.tokens.tolist() == expected.tokens[0].tolist()


def test_each_kind_of_order_and_event_can_be_pickled(engine, path):
    picture = Image.new("RGB", (16, 16))
    image = finished(engine.submit(order(path, num_images=1)))[0]
    orders = [
        order(path, edit=Edit(picture, Image.new("L", (1, 1)), 1)),
        order(path, branch=branch_of(image, 2)),
        FilmOrder(path, "a.pth", image.image, image.recipe, image.tokens),
        comparison(path),
    ]
    told = {Failed: Failed("why", "bfloat16"), Ready: Ready()}
    for one in orders:
        told |= {type(event): event for event in engine.submit(pickle.loads(pickle.dumps(one)))}
    told |= {type(event): event for event in engine.prepare(path)}
    assert {Waiting, Ready, Scale, FilmFrame, BatchStep, CellResult, Done, Failed} <= told.keys()
    for event in (*told.values(), LoadingModel(1.0), image):
        again = pickle.loads(pickle.dumps(event))
        assert type(again) is type(event)
    assert pickle.loads(pickle.dumps(image)).image.tobytes() == image.image.tobytes()


@pytest.mark.parametrize("keep_scales", [1, 3])
def test_branches_keep_the_first_scales_of_their_image(engine, path, keep_scales):
    parent = finished(engine.submit(order(path, [1], 1)))[0]
    branches = finished(engine.submit(order(path, seed=50, branch=branch_of(parent, keep_scales))))
    kept = [1, 5, 14][keep_scales - 1]
    assert len(branches) == 4 and len({tuple(branch.tokens) for branch in branches}) == 4
    for branch in branches:
        assert branch.tokens[:kept] == parent.tokens[:kept]
        assert branch.recipe.branch.parent == parent.recipe.id
        again = VARPipeline.from_checkpoint(path, device="cpu")(**branch.recipe.arguments)
        assert again.tokens[0].tolist() == branch.tokens.tolist()
    frames = engine.submit(FilmOrder(path, "a.pth", branches[0].image, branches[0].recipe))  # as after a reload
    assert [e.tokens for e in frames if isinstance(e, FilmFrame)] == [branches[0].tokens] * 4


def test_branches_of_another_models_image_are_refused(engine, path):
    parent = finished(engine.submit(order(path, [1], 1)))[0]
    write_trainer_file(path, seed=5, optimizer=False)
    *_, failed = engine.submit(order(path, branch=branch_of(parent, 2)))
    assert failed.sentence.startswith("a.pth did not make the scales to be kept, or changed since")


def test_no_event_holds_a_tensor_or_a_file(engine, path):
    dumped = [pickle.dumps(event) for event in engine.submit(order(path))]
    assert not any(b"torch" in data for data in dumped)


def test_the_time_left_is_told_from_the_first_scale_on_once_images_were_made(engine, path, at_each_scale):
    told = []
    at_each_scale[0] = lambda step: None
    for _ in range(2):
        told.append(scales(engine.submit(order(path, num_images=6))))
    assert told[1][0].remaining is not None


@pytest.mark.parametrize(
    "change",
    [
        {"cfg_scale": 8.0},
        {"top_k": 2},
        {"top_p": 0.2},
        {"more_smooth": True},
        {"temperature": 0.5},
        {"cfg_curve": "constant"},
        {"cfg_start": 3},
        {"cfg_end": 2},
        {"cfg_scale": (1.0, 1.0, 1.0, 9.0)},
        {"top_k": (0, 0, 0, 2)},
        {"temperature": (2.0, 2.0, 2.0, 0.2)},
    ],
)
def test_each_setting_alone_changes_the_image(engine, path, change):
    # Such a small model is so sure of itself that its tokens are drawn from a flatter distribution.
    usual = {"class_labels": [1], "num_images": 1, "top_p": 0.95, "cfg_scale": 1.0, "temperature": 2.0}
    assert image(engine, order(path, **(usual | change))) != image(engine, order(path, **usual))


def test_each_class_can_have_its_own_number(engine, path):
    made = finished(engine.submit(order(path, num_images=[1, 3])))
    assert [(one.recipe.class_label, one.recipe.seed) for one in made] == [(1, 10), (3, 11), (3, 12), (3, 13)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_labels": []}, "at least one"),
        ({"num_images": 0}, "whole number from 1"),
        ({"num_images": 33}, "66 images; at most 64"),
        ({"num_images": [1, 64]}, "65 images; at most 64"),
        ({"num_images": [1, 0]}, "whole number from 1"),
        ({"num_images": [1, 2, 3]}, "Classes: 2, numbers of images: 3"),
        ({"seed": None}, "The seed is empty"),
        ({"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_says_at_once_what_cannot_be_made(engine, path, changes, message):
    with pytest.raises(ValueError, match=message):
        engine.submit(order(path, **changes))


# The line


def test_eight_jobs_at_once_each_make_their_own(engine, path, tmp_path):
    other = write_trainer_file(tmp_path / "b.pth", seed=5, optimizer=False)
    orders = [order(path if index % 2 else other, [index % 5], 1, index) for index in range(7)]
    orders.insert(3, order(path, [9], 1, 0))  # of a class that is not there
    told = [list(job) for job in [engine.submit(one) for one in orders]]
    assert isinstance(told[3][-1], Failed) and "0 to 4" in told[3][-1].sentence
    for one, events in zip(orders, told, strict=True):
        if one.class_labels != [9]:
            pipeline = VARPipeline.from_checkpoint(one.path, device="cpu")
            expected = pipeline(one.class_labels, seed=[one.seed], top_k=0).images[0]
            assert [image.image.tobytes() for image in finished(events)] == [expected.tobytes()]


def test_many_images_of_one_do_not_make_others_wait_for_all_of_them(engine, path, busy):
    ends = []
    jobs = [engine.submit(order(path, [1], 24)), engine.submit(order(path, [2], 1))]
    threads = [threading.Thread(target=lambda job=job: (list(job), ends.append(job))) for job in jobs]
    for thread in threads:
        thread.start()
    busy.open.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert ends == [jobs[1], jobs[0]]


def test_a_job_is_told_how_many_come_first(engine, path, busy):
    jobs = [engine.submit(order(path, [1], 1)) for _ in range(3)]
    assert [next(iter(job)) for job in jobs] == [Waiting(1), Waiting(2), Waiting(3)]
    engine.stop(jobs[0])
    assert next(iter(jobs[2])) == Waiting(2)
    busy.open.set()
    assert isinstance(list(jobs[2])[-1], Done)


def test_a_full_line_takes_no_more(tmp_path, path):
    engine, gate = create_engine("local", tmp_path, "cpu", max_waiting=2), Gate()
    engine._queue.submit(gate.job())
    assert gate.reached.wait(PATIENCE)
    jobs = [engine.submit(order(path)) for _ in range(2)]
    with pytest.raises(ValueError, match="wait already"):
        engine.submit(order(path))
    for job in jobs:
        engine.stop(job)
    gate.open.set()


def waiting_line(queue, *visitors):
    """Jobs of visitors that wait in a queue that is held up, and a gate that lets them go on."""
    gate = Gate()
    queue.submit(gate.job())
    assert gate.reached.wait(PATIENCE)
    return gate, [queue.submit(LocalJob(lambda stop: iter(()), visitor=visitor)) for visitor in visitors]


def last_place(job):
    return [event.before for event in list(job._told) if isinstance(event, Waiting)][-1]


@pytest.mark.parametrize(
    ("visitors", "places"),
    [
        ("aaaa", [1, 2, 3, 4]),
        ("aaaab", [1, 3, 4, 5, 2]),
        ("aabbc", [1, 4, 2, 5, 3]),
    ],
)
def test_whoever_asks_for_much_waits_for_himself(visitors, places):
    queue = Queue()
    gate, jobs = waiting_line(queue, *visitors)
    assert [last_place(job) for job in jobs] == places
    gate.open.set()
    for job in jobs:
        assert not list(job)[-1].stopped


def test_nobody_fills_the_line_for_others():
    queue = Queue(max_waiting=5)
    gate, jobs = waiting_line(queue, *"aaaaa")
    other = queue.submit(LocalJob(lambda stop: iter(()), visitor="b"))
    assert last_place(other) == 2 and jobs[-1].is_over and list(jobs[-1])[-1].sentence.startswith("So many runs wait")
    with pytest.raises(ValueError, match="wait already"):
        queue.submit(LocalJob(lambda stop: iter(()), visitor="a"))
    for job in [*jobs, other]:
        queue.stop(job)
    gate.open.set()


@pytest.fixture
def clock(monkeypatch):
    """The seconds that the line reads; a test lets them pass."""
    seconds = [100.0]
    monkeypatch.setattr("var.engine.queue.perf_counter", lambda: seconds[0])
    return seconds


def last_told(job):
    return [(event.before, event.seconds) for event in list(job._told) if isinstance(event, Waiting)][-1]


def wanted(seconds, turns=1, model=None):
    """A job that takes as long as is said of it, if anything ever computes it."""
    return LocalJob(lambda stop: iter(()), model=model, seconds=lambda: seconds, turns=turns)


def test_a_job_is_told_how_long_until_its_turn(clock):
    queue, gates = Queue(), [Gate() for _ in range(3)]

    def steps(stop):
        for gate, event in zip(
            gates, [Ready(), Scale((), 0, (), (), 0, 1, (1,), remaining=25.0), Ready()], strict=True
        ):
            gate.wait()
            yield event

    def pass_gate(index, now):
        assert gates[index].reached.wait(PATIENCE)
        clock[0] = now
        gates[index].open.set()
        if index + 1 < len(gates):
            assert gates[index + 1].reached.wait(PATIENCE)

    queue.submit(LocalJob(steps, seconds=lambda: 30.0))
    assert gates[0].reached.wait(PATIENCE)
    jobs = [queue.submit(wanted(seconds)) for seconds in (8.0, None, 5.0)]
    assert [last_told(job) for job in jobs] == [(1, 30.0), (2, 38.0), (3, None)]
    pass_gate(0, 110.0)
    assert [last_told(job) for job in jobs] == [(1, 20.0), (2, 28.0), (3, None)]
    pass_gate(1, 120.0)  # slower than it was thought
    assert [last_told(job) for job in jobs] == [(1, 25.0), (2, 33.0), (3, None)]
    queue.stop(jobs[1])
    assert last_told(jobs[2]) == (2, 33.0)
    pass_gate(2, 121.0)
    assert [list(job)[-1].stopped for job in jobs] == [False, True, False]


@pytest.mark.parametrize(
    ("seconds", "turns", "after", "turn"),
    [
        (12.0, 4, "same", 3.0),
        (12.0, 4, "other", 10.0),  # with another model to load a turn is longer
        (6.0, 4, "other", 6.0),
        (80.0, 4, "other", 20.0),
    ],
)
def test_of_a_long_run_others_wait_for_a_turn_alone(clock, seconds, turns, after, turn):
    queue, gate = Queue(), Gate()
    queue.submit(gate.job(seconds=0.0))
    assert gate.reached.wait(PATIENCE)
    jobs = [queue.submit(job) for job in (wanted(seconds, turns, "same"), wanted(1.0, 1, after))]
    assert last_told(jobs[1]) == (2, turn)
    gate.open.set()


def test_a_job_whose_images_grow_beside_others_hears_of_its_place_and_not_of_time_alone(clock):
    job = wanted(8.0)
    job.tell_place(1, 30.0)
    job.begin()
    job.tell_place(1, 20.0)
    assert last_told(job) == (1, 30.0)
    job.tell_place(2, 20.0)
    assert last_told(job) == (2, 20.0)


def test_a_run_that_waits_is_timed_by_what_was_measured(engine, path, clock):
    engine._pace.note_load(path, None, 16.0)
    engine._pace.note_images(path, None, 5.0)
    gate = Gate()
    engine._queue.submit(gate.job(seconds=100.0))
    assert gate.reached.wait(PATIENCE)
    jobs = [engine.submit(order(path, [1], 64)) for _ in range(3)]  # eight at a time
    assert [last_told(job) for job in jobs] == [(1, 100.0), (2, 142.0), (3, 184.0)]
    for job in jobs:
        engine.stop(job)
    gate.open.set()


def test_no_thread_begins_before_the_first_job(tmp_path, path):
    before = threading.active_count()
    engine = LocalEngine(tmp_path, "cpu")
    assert threading.active_count() == before
    assert engine.resident(path) is None and engine.num_jobs == 0


def test_all_that_computes_runs_in_one_thread(engine, path, at_each_scale):
    threads = set()
    at_each_scale[0] = lambda step: threads.add(threading.get_ident())
    for job in [engine.submit(order(path)) for _ in range(3)]:
        list(job)
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_nobody_needs_a_thread_to_wait(engine, path, busy):
    async def hear():
        jobs = [engine.submit(order(path, [1], 1, seed)) for seed in range(8)]
        before = threading.active_count()

        async def last(job):
            return [event async for event in job.events()][-1]

        waiting = [asyncio.ensure_future(last(job)) for job in jobs]
        await asyncio.sleep(0)
        assert threading.active_count() == before
        busy.open.set()
        return await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)

    assert all(isinstance(event, Done) for event in asyncio.run(hear()))


def test_forty_who_unload_wait_for_one_job(engine, path, busy):
    jobs = {id(engine.unload()) for _ in range(40)}
    assert len(jobs) == 1 and engine.num_jobs == 1


def test_who_hears_late_misses_no_image(engine, path):
    job = engine.submit(order(path, [1], 12))
    list(engine.submit(order(path, [2], 1)))
    events = list(job)
    assert len(scales(events)) < 8 and len(finished(events)) == 12


def test_a_scale_that_was_missed_leaves_its_previews(engine, path):
    pictures = [Image.new("RGB", (1, 1), (shade, 0, 0)) for shade in range(3)]
    first = Scale((), 0, (), tuple(pictures[:2]), 0, 2, (1, 2), None)
    second = Scale((), 0, (), (pictures[2],), 1, 2, (1, 2), 3.0)
    assert second.after(first).previews == (pictures[2], pictures[1])
    assert second.after(first).remaining == 3.0


# Stop


def test_stopped_before_its_turn_it_is_over_at_once(engine, path, busy):
    job = engine.submit(order(path))
    engine.stop(job)
    *_, last = job
    assert last == Done(0.0, True) and not busy.open.is_set()


def test_stopped_at_a_scale_it_computes_no_more(engine, path, at_each_scale):
    at_each_scale[0] = lambda step: engine.stop(job)
    job = engine.submit(order(path))
    events = list(job)
    assert [event.scale_index for event in scales(events)] == [0] and not finished(events) and events[-1].stopped


def test_stopped_after_a_batch_its_images_stay(engine, path, at_each_scale):
    at_each_scale[0] = lambda step: engine.stop(job) if step.result else None
    job = engine.submit(order(path, num_images=6))
    events = list(job)
    assert len(finished(events)) == 8 and events[-1].stopped and not scales(events)[-1].last


def test_stopped_between_two_batches_it_is_over_at_once(engine, path, busy):
    gate = Gate()
    job = engine.submit(order(path, [1], 16))
    engine._queue.submit(gate.job()).model = None
    engine._queue._waiting[-1].model = job.model
    busy.open.set()
    assert gate.reached.wait(PATIENCE)
    engine.stop(job)
    events = list(job)
    assert len(finished(events)) == 8 and events[-1].stopped and not gate.open.is_set()
    gate.open.set()


def test_a_stop_reaches_its_own_job_alone(engine, path, busy):
    first, second = engine.submit(order(path, [1], 1)), engine.submit(order(path, [2], 1))
    engine.stop(first)
    busy.open.set()
    assert list(first)[-1].stopped and len(finished(second)) == 1


# Files and models


def test_a_file_that_changes_between_two_runs_is_read_again(engine, path):
    before = finished(engine.submit(order(path, [1], 1)))[0]
    write_trainer_file(path, seed=5, optimizer=False)
    after = finished(engine.submit(order(path, [1], 1)))[0]
    assert before.recipe.checkpoint_hash != after.recipe.checkpoint_hash


def test_a_file_that_changes_between_two_batches_ends_the_run_with_what_is_done(engine, path, at_each_scale):
    def change(step):
        if step.result is not None:
            write_trainer_file(path, seed=5, optimizer=False)

    at_each_scale[0] = change
    events = list(engine.submit(order(path, [1], 16)))
    assert len(finished(events)) == 8 and "a.pth changed while the run went on" in events[-1].sentence


def test_an_unusable_file_is_told_by_its_name_and_the_next_job_goes_on(engine, path, tmp_path):
    (tmp_path / "broken.pth").write_text("no model")
    broken = Order(tmp_path / "broken.pth", "mine.pth (uploaded)", [1], 1, 0)
    bad, good = engine.submit(broken), engine.submit(order(path))
    failed = list(bad)[-1]
    assert "mine.pth (uploaded)" in failed.sentence and str(tmp_path) not in failed.sentence
    assert len(finished(good)) == 4


def test_a_fault_of_the_server_is_told_without_its_text(engine, path, at_each_scale, caplog):
    def fail(step):
        raise KeyError("secret")

    at_each_scale[0] = fail
    assert list(engine.submit(order(path)))[-1] == Failed("")
    assert "secret" in caplog.text
    at_each_scale[0] = lambda step: None
    assert len(finished(engine.submit(order(path)))) == 4


def test_says_what_to_do_when_memory_is_full(engine, path, at_each_scale):
    def fail(step):
        raise torch.OutOfMemoryError("CUDA out of memory")

    at_each_scale[0] = fail
    assert "fewer images" in list(engine.submit(order(path)))[-1].sentence


def test_describing_waits_for_no_computation(engine, path, tmp_path, busy):
    other = write_trainer_file(tmp_path / "b.pth", seed=5, optimizer=False, epoch=7)
    assert "epoch 7" in engine.describe(other).summary
    assert engine.resident(other) is None and engine.open(other).checkpoint.path == other


# In spare time


@pytest.fixture
def practising(engine, path, monkeypatch):
    """The engine practises, and does not stop by itself."""
    begun = threading.Event()

    def practise(previewer, stop):
        begun.set()
        assert stop.wait(PATIENCE)
        yield

    monkeypatch.setattr(Previewer, "practise", practise)
    job = engine.prepare(path)
    assert begun.wait(PATIENCE)
    yield job


def test_practice_gives_way_to_a_run(engine, path, practising):
    assert engine.resident(path) is not None and engine.num_jobs == 0
    assert len(finished(engine.submit(order(path)))) == 4
    assert list(practising)[-1].stopped


def test_practice_gives_way_to_another_checkpoint(engine, tmp_path, practising):
    other = write_trainer_file(tmp_path / "other.pth", optimizer=False, epoch=5)
    job = engine.prepare(other)
    assert Ready() in iter(job)
    engine.stop(job)


def test_nothing_is_prepared_while_somebody_computes(engine, path, busy):
    assert list(engine.prepare(path)) == [Done(0.0, True)] and engine.resident(path) is None


# Films


@pytest.mark.parametrize("edited", [False, True])
def test_a_film_is_made_of_tokens(engine, path, edited):
    picture = Image.effect_noise((16, 16), 80).convert("RGB")
    keep = Image.new("L", (2, 1))
    keep.putpixel((0, 0), 255)
    wanted = order(path, [1], 1, edit=Edit(picture, keep) if edited else None)
    made = finished(engine.submit(wanted))[0]
    frames = [e for e in engine.submit(FilmOrder(path, "a.pth", made.image, made.recipe, made.tokens))]
    frames = [event.image for event in frames if isinstance(event, FilmFrame)]
    pipeline = VARPipeline.from_checkpoint(path, device="cpu")
    arguments = made.recipe.arguments
    result = pipeline.edit(picture, keep, **arguments) if edited else pipeline(**arguments)
    for (expected,), frame in zip(pipeline.film(result)[:-1], frames[:-1], strict=True):
        difference = numpy.asarray(expected, int) - numpy.asarray(frame, int)
        assert abs(difference).max() <= 1
    assert frames[-1].tobytes() == made.image.tobytes()


def test_a_smooth_image_is_made_again_for_its_film(engine, path):
    made = finished(engine.submit(order(path, [1], 1, more_smooth=True)))[0]
    assert made.tokens is None
    events = list(engine.submit(FilmOrder(path, "a.pth", made.image, made.recipe)))
    assert len([event for event in events if isinstance(event, FilmFrame)]) == 4
    assert events[-2].image.tobytes() == made.image.tobytes()


def test_a_film_of_a_file_that_changed_is_refused(engine, path):
    made = finished(engine.submit(order(path, [1], 1)))[0]
    write_trainer_file(path, seed=5, optimizer=False)
    *_, failed = engine.submit(FilmOrder(path, "a.pth", made.image, made.recipe, made.tokens))
    assert "a.pth changed since the image was made" in failed.sentence


def test_tokens_are_small(engine, path):
    made = finished(engine.submit(order(path, [1], 1)))[0]
    assert isinstance(made.tokens, array) and len(pickle.dumps(made.tokens)) < 500


# Comparisons


def results(job):
    return [event for event in job if isinstance(event, CellResult)]


def test_a_checkpoint_that_cannot_be_used_spoils_its_own_images_alone(engine, path):
    (path.parent / "broken.pth").write_text("no model")
    made = results(engine.submit(comparison(path, checkpoints=("a.pth", "broken.pth", "gone.pth"))))
    assert [bool(result.image) for result in made] == [True] * 2 + [False] * 4
    assert "broken.pth" in made[2].error and str(path.parent) not in made[2].error
    assert made[4].error == "There is no checkpoint gone.pth. Choose one from the list."


def test_full_memory_spoils_the_images_of_its_model_alone(engine, path, monkeypatch):
    write_trainer_file(path.parent / "b.pth", seed=5, optimizer=False)
    stream = VARPipeline.stream

    def short_of_memory(pipeline, *arguments, **options):
        if pipeline.checkpoint.path.name == "a.pth":
            raise torch.OutOfMemoryError("the memory is too small for even one image")
        return stream(pipeline, *arguments, **options)

    monkeypatch.setattr(VARPipeline, "stream", short_of_memory)
    made = results(engine.submit(comparison(path, checkpoints=("a.pth", "b.pth"))))
    assert [bool(result.image) for result in made] == [False] * 2 + [True] * 2
    assert "too small" in made[0].error


def test_a_comparison_is_timed_once_images_were_made(engine, path):
    wanted = comparison(path)
    assert engine.seconds_of(wanted) is None
    list(engine.submit(wanted))
    assert engine.seconds_of(wanted) > 0


def test_another_precision_is_another_model(engine, path):
    list(engine.submit(order(path, loading=Loading(dtype="bfloat16"))))
    assert engine.resident(path) is None and engine.resident(path, Loading(dtype="bfloat16")) is not None


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_too_little_memory_is_a_sentence(error):
    assert failed(error) == Failed(TOO_LITTLE_MEMORY)


def test_a_model_that_is_too_large_says_what_it_needs():
    assert failed(TooLargeError("It needs 5 GB.", "bfloat16")) == Failed("It needs 5 GB.", "bfloat16")


def test_an_export_is_named_after_its_checkpoint_in_every_script():
    order = ExportOrder("犬/ep 3 (b).pth", Path("a.pth"), dtype="float16")
    assert order.file_name == "犬-ep-3-b-float16.safetensors"
    assert len(ExportOrder("犬" * 200, Path("a.pth")).file_name.encode()) < 100
    assert ExportOrder("हिन्दी/Ep 1.pth", Path("a.pth")).file_name == "हिन्दी-Ep-1.safetensors"


def test_a_run_of_too_many_operations_is_refused(engine, path, tmp_path):
    an_image = engine.describe(path).operations
    limited = LocalEngine(tmp_path, "cpu", max_operations=2.5 * an_image)
    (refused,) = [event for event in limited.submit(order(path, num_images=2)) if isinstance(event, Failed)]
    assert refused.sentence.startswith("4 images of this take about 297 million operations, and this server carries")
    assert len(finished(limited.submit(order(path, num_images=1)))) == 2
    events = list(limited.submit(comparison(path, seeds=(1, 2, 3))))
    assert "3 images of this take" in events[-1].sentence and not any(isinstance(event, CellResult) for event in events)


def test_a_checkpoint_whose_image_takes_too_many_is_refused_where_it_is_chosen(path, tmp_path):
    with pytest.raises(ValueError, match="a.pth: An image takes about .* million operations, and this server carries"):
        LocalEngine(tmp_path, "cpu", max_operations=1e6).describe(path)


def test_an_export_leaves_some_of_the_disk(engine, path, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=KEPT_FREE + 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match="the server's disk has 10 bytes free"):
        export(ExportOrder("a.pth", path), engine.open(path), tmp_path)


# What is left where a worker was lost


def lose_after(engine, wanted, count):
    """Let a worker be lost after so many events; returns what it told that was new, and what another one tells then."""
    rest = Rest(wanted)
    rest.begin()
    events = [event for event in engine.submit(wanted) if isinstance(event, Scale | CellResult | FilmFrame)]
    before = [event for event in events[:count] if rest.is_new(event)]
    rest.begin()
    after = [event for event in engine.submit(rest.order) if rest.is_new(event)]
    assert rest.is_done
    return before, after


def test_a_run_goes_on_with_the_images_that_are_left(engine, path):
    wanted = replace(order(path, [1], 12), previews=False)
    before, after = lose_after(engine, wanted, 4)
    made = finished(before) + finished(after)
    assert [image.recipe.seed for image in made] == [*range(10, 22)]
    assert len(finished(before)) == 8 and len(scales(after)[0].recipes) == 12
    assert [one.image.tobytes() for one in made] == [one.image.tobytes() for one in finished(engine.submit(wanted))]


def test_a_run_does_not_go_on_with_another_model(engine, path):
    made = finished(engine.submit(order(path, [1], 2)))
    write_trainer_file(path, seed=5, optimizer=False)
    rest = replace(order(path, [1], 2), num_made=1, checkpoint_hash=made[0].recipe.checkpoint_hash)
    *_, failed = engine.submit(rest)
    assert "a.pth changed while the run went on" in failed.sentence


def test_a_comparison_goes_on_with_the_cells_that_are_left(engine, path):
    before, after = lose_after(engine, comparison(path, seeds=(1, 2, 3)), 2)
    made = [event.cell.place[0] for event in (*before, *after) if isinstance(event, CellResult)]
    assert sorted(made) == [0, 1, 2]


def test_a_film_goes_on_with_the_frames_that_are_left(engine, path):
    made = finished(engine.submit(order(path, [1], 1)))[0]
    before, after = lose_after(engine, FilmOrder(path, "a.pth", made.image, made.recipe, made.tokens), 3)
    assert len(before) == 3 and len([event for event in after if isinstance(event, FilmFrame)]) == 1


# Batches of several people


@pytest.fixture
def shared(monkeypatch):
    """Batches of up to six images, as where they gain something; returns how many images there were in each."""
    sizes, stream = [], VARPipeline.stream

    def counted(pipeline, class_labels, *arguments, **options):
        sizes.append(len(class_labels))
        return stream(pipeline, class_labels, *arguments, **options)

    monkeypatch.setattr("var.engine.runs.gains_from_batches", lambda models: True)
    monkeypatch.setattr("var.engine.runs.BATCH", 6)
    monkeypatch.setattr(VARPipeline, "stream", counted)
    return sizes


def test_runs_of_one_model_grow_together_and_each_hears_of_its_own(engine, path, tmp_path, busy, shared):
    other = write_trainer_file(tmp_path / "b.pth", seed=5, optimizer=False)
    orders = [order(path, [1], 4, 1), order(other, [2], 1, 2), order(path, [3], 1, 3), order(path, [4], 3, 4)]
    orders += [order(path, [0], 1, 5, cfg_scale=2.0), order(path, [9], 1, 6)]
    jobs = [engine.submit(one) for one in orders]
    busy.open.set()
    told = [list(job) for job in jobs]
    assert shared == [6, 1, 2, 1]  # 4 + 1 + 1, the other model, what was left of the fourth, other settings
    assert isinstance(told[5][-1], Failed) and "0 to 4" in told[5][-1].sentence
    for one, events in zip(orders[:5], told, strict=False):
        pipeline = VARPipeline.from_checkpoint(one.path, device="cpu")
        made = finished(events)
        assert len(made) == one.num_images and scales(events)[-1].last and not events[-1].stopped
        for image in made:
            expected = pipeline(**image.recipe.arguments)
            assert image.image.tobytes() == expected.images[0].tobytes()
            assert image.tokens.tolist() == expected.tokens[0].tolist()


def test_who_is_stopped_takes_nothing_from_those_beside(engine, path, busy, shared, at_each_scale):
    jobs = [engine.submit(order(path, [label], 2, label)) for label in range(3)]
    at_each_scale[0] = lambda step: [engine.stop(job) for job in jobs[:2]]
    busy.open.set()
    told = [list(job) for job in jobs]
    assert [events[-1].stopped for events in told] == [True, True, False]
    assert [len(finished(events)) for events in told] == [0, 0, 2] and shared == [6, 2]


def test_a_guest_that_is_stopped_leaves_the_batch_as_it_is(engine, path, busy, shared, at_each_scale):
    jobs = [engine.submit(order(path, [label], 2, label)) for label in range(3)]
    at_each_scale[0] = lambda step: engine.stop(jobs[1])
    busy.open.set()
    told = [list(job) for job in jobs]
    assert [len(finished(events)) for events in told] == [2, 0, 2] and shared == [6] and engine.num_jobs == 0
