"""Python's search for cycles of objects, paused while many objects are made at once.

The search starts after so and so many new objects and walks all that there are. Beside torch that takes longer than
reading a checkpoint's list of weights.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause the search within a block; it goes on afterwards if it was on before."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
