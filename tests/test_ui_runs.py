"""What a tab says of a run, whatever engine carries it out."""

import asyncio
from types import SimpleNamespace

from var.engine.events import Done, LoadingModel, Waiting, WorkerLost
from var.engine.jobs import Job
from var.ui.html import loading_line, waiting_line
from var.ui.listeners import Listeners
from var.ui.reception import Reception
from var.ui.runs import DELAYED, SessionRun, TabRuns


class Tab(TabRuns):
    def begin(self, data):
        return {}

    async def make(self, data, run):
        yield {}


class Engine:
    """One whose job tells what a test says."""

    def __init__(self, *events):
        self.events = events

    def submit(self, order, visitor):
        job = Job()
        for event in self.events:
            job.tell(event)
        return job


def told(*events):
    """The lines of status that a run's events bring about."""
    engine, click = Engine(*events), SimpleNamespace(session_hash="a", client=None)
    tab = Tab(engine, Reception(engine, Listeners()), "status", "problem", "start", "stop")

    async def follow():
        return [updates async for updates in tab.follow(SessionRun(click), None)]

    return [updates["status"] for updates in asyncio.run(follow()) if isinstance(updates, dict)]


def test_who_waits_reads_how_many_come_first_and_how_long_that_takes_where_it_is_known():
    lines = told(Waiting(2, 40.0), LoadingModel(), Waiting(1, 300.0), LoadingModel(), Waiting(1), Done())
    assert "2 runs before yours · your turn in about 40 s" in lines[0]
    assert "1 run before yours · your turn in about 5 min" in lines[2]
    assert "1 run before yours<" in lines[4]


def test_a_run_whose_worker_was_lost_says_that_it_is_delayed_until_it_goes_on():
    lines = told(Waiting(2), LoadingModel(3.0), WorkerLost(), Waiting(0), LoadingModel(3.0), Done())
    assert lines == [waiting_line(2), loading_line(3.0), DELAYED, DELAYED, DELAYED]
