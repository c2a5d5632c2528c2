"""A stand-in for the package `spaces` on a Space with ZeroGPU, for a process that the tests start.

It does with a decorated generator what that package does: what goes in and what comes out is pickled, and it runs in a
thread of a forked process, which serves again as long as nothing went wrong, and which keeps no connection of the
server open: a browser would wait on one that the server has closed. To close it ends it at its next yield.

The folder SPACES_FOLDER: `runs` gets a line for each run, with the seconds asked for and whether it was closed; as long
as `hold` is there, a run waits at its next yield; as long as `quota` is there, the visitor's minutes are used up.
"""

import json
import multiprocessing
import os
import pickle
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path

assert "torch" not in sys.modules, "spaces must be imported before torch, which it changes"

FORK = multiprocessing.get_context("fork")
FOLDER = Path(os.environ["SPACES_FOLDER"])
END = "end"


class Worker:
    """A forked process for one run after the other."""

    def __init__(self, task):
        self.orders, self.results, self.stop = FORK.SimpleQueue(), FORK.SimpleQueue(), FORK.Event()
        FORK.Process(target=self._serve, args=(task,), daemon=True).start()

    def _serve(self, task):
        close_sockets()
        while True:
            arguments = pickle.loads(self.orders.get())
            self.stop.clear()
            with ThreadPoolExecutor() as executor:
                executor.submit(self._iterate, task, arguments).result()

    def _iterate(self, task, arguments):
        results = task(*arguments)
        for result in results:
            while (FOLDER / "hold").exists() and not self.stop.is_set():
                time.sleep(0.01)
            if self.stop.is_set():
                results.close()
                break
            self.results.put(pickle.dumps(result))
        self.results.put(END)


def close_sockets():
    """Close the connections of the process that was forked."""
    for number in range(3, 1024):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.close(number)
        except OSError:  # nothing is open there
            continue


def GPU(*, duration):  # noqa: N802 - it is called so
    """Decorate a generator; `duration` returns the seconds that it may take, of its arguments."""

    def decorate(task):
        idle = []

        @wraps(task)
        def call(*arguments):
            import gradio

            visitor = gradio.context.LocalContext.request.get(None)
            assert visitor is not None, "nobody's minutes are known"
            if (FOLDER / "quota").exists():
                raise gradio.Error("You have exceeded your <b>GPU quota</b>. Try again in 3:00:00.")
            seconds = duration(*arguments)
            worker = idle.pop() if idle else Worker(task)
            worker.orders.put(pickle.dumps(arguments))
            closed = False
            while (data := worker.results.get()) != END:
                if closed:
                    continue
                result = pickle.loads(data)
                try:
                    yield result
                except GeneratorExit:
                    closed = True
                    worker.stop.set()
            idle.append(worker)
            with open(FOLDER / "runs", "a") as file:
                print(json.dumps({"seconds": seconds, "closed": closed}), file=file)

        return call

    return decorate


def gradio_auto_wrap(function):
    """Return a handler as it is; Gradio asks for this."""
    return function
