"""Which orders are taken, how long they may take, and what becomes of them when the server is stopped."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest

from var.engine.events import Done, Failed, LoadingModel, Scale, Waiting
from var.engine.jobs import Job
from var.ui.listeners import Listeners
from var.ui.metrics import Metrics
from var.ui.reception import Reception

VISITOR = SimpleNamespace(session_hash="a", client=None)


class StandIn:
    """An engine whose jobs tell what the test tells them to."""

    def __init__(self, seconds=None):
        self.jobs, self.seconds, self.num_jobs = [], seconds, 0

    def submit(self, order, visitor):
        self.jobs.append(Job())
        return self.jobs[-1]

    def stop(self, job):
        job.tell(Done(1.0, True))

    def seconds_of(self, order):
        return self.seconds


def told(taken, job):
    async def collect():
        return [event async for event in taken.events(job, "a")]

    return asyncio.run(collect())


def test_a_run_that_would_take_too_long_is_refused_with_the_estimate():
    with pytest.raises(ValueError, match="takes about 5 min, and this server computes up to 60 s for a run"):
        Reception(StandIn(300.0), Listeners(), max_seconds=60).submit(None, VISITOR)
    for seconds in (59.0, None):
        assert Reception(StandIn(seconds), Listeners(), max_seconds=60).submit(None, VISITOR)
    assert Reception(StandIn(300.0), Listeners()).submit(None, VISITOR)


def test_a_run_that_does_take_too_long_is_stopped_and_what_it_made_holds():
    taken = Reception(StandIn(), Listeners(), max_seconds=0.01)
    job = taken.submit(None, VISITOR)
    job.tell(LoadingModel())
    assert [type(event) for event in told(taken, job)] == [LoadingModel, Failed]


def test_the_time_in_line_does_not_count():
    taken = Reception(StandIn(), Listeners(), max_seconds=0.01)
    job = taken.submit(None, VISITOR)

    async def wait_in_line():
        events = []
        job.tell(Waiting(3))
        async for event in taken.events(job, "a"):
            events.append(event)
            if isinstance(event, Waiting):
                asyncio.get_running_loop().call_later(0.1, job.tell, Done(0.0))
        return events

    assert asyncio.run(wait_in_line()) == [Waiting(3), Done(0.0)]


def test_a_server_that_stops_takes_nothing_more_and_lets_runs_end():
    taken = Reception(StandIn(), Listeners())
    job = taken.submit(None, VISITOR)
    closing = threading.Thread(target=taken.close, args=(600,))
    closing.start()
    while not taken.is_closing:
        time.sleep(0.001)
    with pytest.raises(ValueError, match="is being stopped"):
        taken.submit(None, VISITOR)
    assert closing.is_alive() and not job.is_over
    job.tell(Done(2.0))
    closing.join(10)
    assert not closing.is_alive()


def test_runs_that_do_not_end_in_time_are_stopped():
    taken = Reception(StandIn(), Listeners())
    job = taken.submit(None, VISITOR)
    taken.close(0)
    assert [event for event in job] == [Done(1.0, True)]


@pytest.fixture
def metrics():
    pytest.importorskip("prometheus_client")
    return Metrics(StandIn(), SimpleNamespace(num_bytes=7))


def value(metrics, line):
    text = metrics.page()[0].decode()
    return next(float(found.split()[-1]) for found in text.splitlines() if found.startswith(f"{line} "))


def test_figures_tell_what_became_of_runs(metrics):
    finished = Scale((), 2, ("an image", "another"), (), 0, 2, (1,), None)
    clock = iter([0.0, 3.0, 4.0, 6.0, 10.0]).__next__  # ordered, begun, loading, loaded, done
    note = metrics.job(clock)
    for event in (Waiting(2), Waiting(0), LoadingModel(), finished, Done(7.0)):
        note(event)
    assert value(metrics, "var_wait_seconds_sum") == 3 and value(metrics, "var_run_seconds_sum") == 7
    assert value(metrics, "var_load_seconds_sum") == 2 and value(metrics, "var_load_seconds_count") == 1
    assert value(metrics, "var_images_total") == 2 and value(metrics, "var_uploads_bytes") == 7


def test_figures_tell_errors_by_their_kind(metrics):
    taken = Reception(StandIn(100.0), Listeners(), 10, metrics)
    with pytest.raises(ValueError):
        taken.submit(None, VISITOR)
    for event in (Failed("The file is gone."), Failed()):
        job = Job()
        job.tell(event)
        told(taken, job)
    for kind in ("refused", "failed", "fault"):
        assert value(metrics, f'var_errors_total{{kind="{kind}"}}') == 1
