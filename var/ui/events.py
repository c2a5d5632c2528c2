"""How events are connected: what Gradio is told about each."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

# No endpoint of its own, and no spinner of Gradio's: the page shows its own progress. Where one could stand,
# Gradio tells every output how far each event is, a third of a browser's work in a run; so it can stand nowhere.
QUIET: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}
# Waits for nothing, answers once; all that can be so is so, see `hear_of`.
# Gradio lets fall what happens again while the answer is on its way: where that matters, it is EACH or LATEST, too.
AT_ONCE: dict[str, Any] = QUIET | {"queue": False}
# Answers several times, beside whatever else runs: the engine has a line of its own.
BESIDE: dict[str, Any] = QUIET | {"concurrency_limit": None}
# Each of many in a row counts, also while the answer to the one before is on its way.
EACH: dict[str, Any] = {"trigger_mode": "multiple"}
# As BESIDE, also while the one before goes on: it gives way by itself.
AGAIN: dict[str, Any] = BESIDE | EACH
# Once more after many changes in a row, with the last values; Gradio heeds it where a function of ours is called.
LATEST: dict[str, Any] = {"trigger_mode": "always_last"}

# Gradio tells of a change while other components have their old values still, such as those of the checkpoint before.
SETTLE = "() => new Promise(resolve => setTimeout(() => resolve([]), 100))"
# So long that a slow network has brought what is late, and short for somebody who waits.
LATER = "() => new Promise(resolve => setTimeout(() => resolve([]), 1500))"


def hear_of(triggers: Sequence[Callable[..., Any]]) -> None:
    """Make sure that the page hears of what these events begin and put into the queue; comes before what they queue.

    Gradio has one stream a session for all that is queued. The server closes it when nothing is; what was queued in the
    moment before a browser hears of that has no stream, and would stay unheard until something else is queued. So
    something is, a little later, which does nothing. Gradio carries out what hangs on one event one after the other,
    each when the one before is over; what follows a step that takes no time waits for none of them.
    """
    begun = gr.on(triggers, None, None, None, js="() => []", **AT_ONCE)
    later = begun.then(None, None, None, js=LATER, **AT_ONCE | EACH)
    later.then(lambda: None, None, None, **AGAIN)
