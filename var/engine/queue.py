"""Who computes when: the jobs that wait for the one thread that computes, in order, and how each is stopped.

Jobs take turns: one that has made a batch lets those that wait go first. Nobody who asks for something waits in a
thread of his own; he hears of it by events.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Hashable
from itertools import zip_longest
from time import perf_counter
from typing import TYPE_CHECKING

from .events import Done, Event, Failed, Scale, Waiting
from .jobs import Job

if TYPE_CHECKING:
    from .runs import Run

MAX_WAITING = 200  # jobs of all people together
MIN_TURN = 10.0  # seconds of a job after which one that needs another model loaded may come before its next batch
TELL_SECONDS = 5.0  # after which it is asked again how long a job takes, and those who wait are told

# Yields events, and None where others may have their turn: there it holds nothing of a model.
Steps = Generator[Event | None, None, None]

log = logging.getLogger(__name__)


GAVE_WAY = "So many runs wait that this one, of several of yours, gave way to somebody else's. Try again later."


class QueueFullError(ValueError):
    """Raised where so many jobs wait already that another one is refused."""


def queue_full(num_waiting: int) -> QueueFullError:
    """Return the error of a run for which there is no room behind so many."""
    return QueueFullError(f"{num_waiting} runs wait already. Try again later.")


class LocalJob(Job):
    """A job that is computed in this process.

    Args:
        make: begins it; called in the thread that computes, with the signal that tells it to stop.
        explain: the event for an error that people can bring about; returns None for any other error.
        model: tells which model it uses; jobs of one model follow one another without a load between them.
        merges: as of `Job`.
        is_run: whether it counts among those that come before others; what takes no time does not.
        run: the run behind it, where its images may grow together with those of other jobs.
        visitor: whose it is; "" for nobody's in particular.
        seconds: tells how long all of it takes; None where that is not known.
        turns: in how many batches it is computed, from 1.

    Attributes:
        round: its place in line: of each visitor there is one job in a round.
    """

    def __init__(
        self,
        make: Callable[[threading.Event], Steps],
        explain: Callable[[Exception], Failed | None] = lambda error: None,
        model: Hashable = None,
        *,
        merges: bool = True,
        is_run: bool = True,
        run: "Run | None" = None,
        visitor: str = "",
        seconds: Callable[[], float | None] = lambda: None,
        turns: int = 1,
    ) -> None:
        super().__init__(merges=merges)
        self.model, self.is_run, self.run = model, is_run, run
        self.visitor, self.round = visitor, 0
        self._make, self._explain = make, explain
        self._steps: Steps | None = None
        self._start = 0.0
        self._place: Waiting | None = None
        self._seconds, self._turns = seconds, turns
        self._total: float | None = None  # seconds of all of it, from its first turn on
        self._asked: tuple[float, float | None] | None = None  # when it was asked how long it takes, and the answer
        self._spent = 0.0  # seconds of the batches that are over
        self._batch_start: float | None = None  # of the one in progress

    def advance(self, told: Callable[[], None] = lambda: None) -> bool:
        """Compute until others may have their turn; returns whether there is more to do.

        Args:
            told: called after each event.
        """
        self.begin()
        if self._total is None:
            self._total = self._usual()
        start = self._batch_start = perf_counter()
        if self._steps is None:
            self._steps = self._make(self.signal)
        try:
            for event in self._steps:
                if event is None:
                    return True
                if isinstance(event, Scale) and event.remaining is not None:
                    self._total = self._spent + perf_counter() - start + event.remaining
                self.tell(event)
                told()
            self.tell(Done(perf_counter() - self._start, self.signal.is_set()))
        except Exception as error:
            failed = self._explain(error)
            if failed is None:
                log.exception("A job failed")
            self.tell(failed or Failed())
        finally:
            self._spent += perf_counter() - start
            self._batch_start = None
        return False

    def turn_seconds(self, least: float) -> float | None:
        """Return how long its turn, this one or the next, still takes, about; None where that is not known.

        Args:
            least: seconds before which it goes on with another batch, if it has one.
        """
        total = self._total if self._total is not None else self._usual()
        if total is None:
            return None
        start = self._batch_start  # read once: the thread that computes changes it
        elapsed = perf_counter() - start if start is not None else 0.0
        return max(0.0, min(total - self._spent - elapsed, max(total / self._turns - elapsed, least)))

    def _usual(self) -> float | None:
        """Return how long all of it takes, by what is known now or was some seconds ago."""
        now, asked = perf_counter(), self._asked
        if asked is None or now - asked[0] >= TELL_SECONDS:  # it reads files, and with a long line often
            asked = self._asked = now, self._seconds()
        return asked[1]

    def begin(self) -> None:
        """Be computed from now on, in its own turn or beside another job."""
        self._start = self._start or perf_counter()

    def tell_place(self, before: int, seconds: float | None = None) -> None:
        """Tell how many jobs come first, and how long they take, unless that was told last.

        Once it has begun, its images may grow beside those of others, and the time alone is no news.
        """
        place = Waiting(before, None if seconds is None or not before else float(round(seconds)))
        last, self._place = self._place, place
        if last is None or place != last and (before != last.before or not self._start):
            self.tell(place)

    def end(self, why: str = "") -> None:
        """Be over without computing, for a reason where there is one; only between two turns."""
        if self._steps is not None:
            self._steps.close()
        if why:
            self.tell(Failed(why))
        self.tell_stopped()

    def tell_stopped(self) -> None:
        """Tell that it is over; what it computes is heard of no more."""
        self.tell(Done(perf_counter() - self._start if self._start else 0.0, True))


class Queue:
    """The thread that computes, and the jobs that take turns in it. The thread begins with the first job.

    Of each visitor one job is in a round, the next one of the same visitor in the round after it: whoever asks for much
    waits for himself.

    Args:
        max_waiting: how many jobs of all people together may wait, from 1.
    """

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._waiting: deque[LocalJob] = deque()
        self._spare: deque[LocalJob] = deque()
        self._current: LocalJob | None = None
        self._current_is_spare = False
        self._round = 0  # that of the job that had its turn last
        self._turn_start = 0.0
        self._told_at = 0.0  # when those who wait were told how long, last
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a job computes or waits, apart from what is done in spare time."""
        return bool(self._waiting) or self._current is not None and not self._current_is_spare

    @property
    def num_jobs(self) -> int:
        """How many runs wait or compute."""
        with self._changed:
            return self._computes_a_run() + sum(job.is_run for job in self._waiting)

    def submit(self, job: LocalJob) -> LocalJob:
        """Let a job wait in its round; what is done in spare time gives way.

        Raises:
            QueueFullError: too many wait, and no visitor has more of them than this one would.
        """
        with self._changed:
            if len(self._waiting) >= self._max_waiting:
                self._make_room(job.visitor)
            self._put_in_line(job)
            self._give_way()
            self._tell_places()
            self._begin()
        return job

    def submit_in_spare_time(self, job: LocalJob) -> LocalJob:
        """Let a job begin if nothing else is computed, and only as long as that is so; the newest such job counts."""
        with self._changed:
            for old in self._spare:
                old.end()
            self._spare.clear()
            if self.is_busy:
                job.end()
            else:
                self._give_way()
                self._spare.append(job)
                self._begin()
        return job

    def submit_if_idle(self, job: LocalJob) -> bool:
        """Let a job begin in spare time if nothing at all is done, not even in spare time; returns whether it does."""
        with self._changed:
            if self._waiting or self._spare or self._current is not None:
                return False
            self._spare.append(job)
            self._begin()
        return True

    def stop(self, job: Job) -> None:
        """Stop a job: at once where it waits, else within a block of the transformer. One that is over stays so."""
        job.signal.set()
        with self._changed:
            for line in (self._waiting, self._spare):
                for own in [own for own in line if own is job]:
                    line.remove(own)
                    own.end()
            self._tell_places()

    def guests(self, job: LocalJob) -> "list[LocalJob]":
        """Return the jobs that wait and whose images may grow together with those of this one."""
        shared = job.run.shares_with if job.run else None
        if shared is None:
            return []
        with self._changed:
            return [other for other in self._waiting if other.run and other.run.shares_with == shared]

    def _end_complete(self) -> None:
        """Let jobs be over that were all done beside others."""
        with self._changed:
            complete = [job for job in self._waiting if job.run and job.run.is_complete]
            for job in complete:
                self._waiting.remove(job)
        for job in complete:
            job.advance()

    def _put_in_line(self, job: LocalJob) -> None:
        """Put a job behind those of its round, which is the one after that of its visitor's last job."""
        own = [other.round for other in (*self._waiting, self._current) if other and other.visitor == job.visitor]
        job.round = max([self._round, *own]) + 1
        place = sum(other.round <= job.round for other in self._waiting)
        self._waiting.insert(place, job)

    def _make_room(self, visitor: str) -> None:
        """Let the last job of whoever has most of them give way, unless that is this visitor; raises QueueFullError."""
        counts = Counter(job.visitor for job in self._waiting)
        most, count = counts.most_common(1)[0]
        if count <= counts[visitor] + 1:
            raise queue_full(len(self._waiting))
        last = next(job for job in reversed(self._waiting) if job.visitor == most)
        self._waiting.remove(last)
        last.end(GAVE_WAY)

    def _give_way(self) -> None:
        if self._current is not None and self._current_is_spare:
            self._current.signal.set()

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="model", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._spare)
                self._current_is_spare = not self._waiting
                job = self._current = (self._waiting or self._spare).popleft()
                self._round = max(self._round, job.round)
                self._turn_start = perf_counter()
                self._tell_places()
            job.tell_place(0)
            while job.advance(self._tell_times):
                self._end_complete()
                with self._changed:
                    if job.signal.is_set() or self._current_is_spare:
                        continue  # it ends by itself
                    if self._must_turn(job, perf_counter() - self._turn_start):
                        self._put_in_line(job)
                        break
            with self._changed:
                self._current = None
                self._tell_places()

    def _must_turn(self, job: LocalJob, seconds: float) -> bool:
        """Whether it is the next job's turn, after so many seconds of this one."""
        return bool(self._waiting) and (self._waiting[0].model == job.model or seconds >= MIN_TURN)

    def _computes_a_run(self) -> bool:
        return self._current is not None and self._current.is_run and not self._current_is_spare

    def _tell_places(self) -> None:
        """Tell those who wait how many come first, and how long these take."""
        for job, place in self._places():
            job.tell_place(*place)

    def _tell_times(self) -> None:
        """Tell those who wait how long, if that was some seconds ago."""
        if perf_counter() - self._told_at >= TELL_SECONDS:
            with self._changed:
                self._tell_places()

    def _places(self) -> list[tuple[LocalJob, tuple[int, float | None]]]:
        """Return the jobs that wait, how many come before each, and the seconds until its turn where they are known."""
        self._told_at = perf_counter()
        line = [self._current] if self._current is not None and self._computes_a_run() else []
        num_computing = len(line)
        line += self._waiting
        places: list[tuple[LocalJob, tuple[int, float | None]]] = []
        before, seconds = 0, 0.0
        known = True
        for job, after in zip_longest(line, line[1:]):
            places.append((job, (before, seconds if known else None)))
            if job.is_run:
                turn = job.turn_seconds(self._least_turn(job, after))
                before, seconds, known = before + 1, seconds + (turn or 0.0), known and turn is not None
        return places[num_computing:]

    def _least_turn(self, job: LocalJob, after: LocalJob | None) -> float:
        """Return for how many seconds more a job has its turn, at least, before the one after it; see `_must_turn`."""
        if after is None or after.model == job.model:
            return 0.0
        return MIN_TURN - (perf_counter() - self._turn_start if job is self._current else 0.0)
