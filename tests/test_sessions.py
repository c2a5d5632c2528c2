"""What stays of sessions that come once, as anybody can invent them."""

import gc
import tracemalloc

import gradio as gr

from var.engine import tasks
from var.engine.tasks import BySession, StopSignals
from var.ui.sessions import LeanSessions

NUM_PARTS = 300


def test_a_session_keeps_its_values_and_no_copy_of_the_page():
    with gr.Blocks() as page:
        text, kept = gr.Textbox("a" * 1000), gr.State([0])
        for _ in range(NUM_PARTS):
            gr.Textbox("x", label="a part", info="of a page")
    page.state_session_capacity = 1000
    sessions = LeanSessions(page)
    sessions["one"][kept._id] = [1]
    assert sessions["one"][kept._id] == [1] and sessions["other"][kept._id] == [0]
    sessions["one"]._update_value_in_config(text._id, "b")
    tracemalloc.start()
    for number in range(20):
        sessions[f"invented {number}"][kept._id]
    gc.collect()
    each = tracemalloc.get_traced_memory()[0] / 20
    tracemalloc.stop()
    assert each < 200 * NUM_PARTS  # bytes; with the copy it is ten times as much


def test_the_session_that_was_not_seen_for_longest_goes_first(monkeypatch):
    monkeypatch.setattr(tasks, "MAX_SESSIONS", 2)
    kept = BySession()
    for session in ("a", "b", "a", "c"):
        kept[session] = session
    assert list(kept) == ["a", "c"]
    signals = StopSignals()
    for session in ("a", "b", "c"):
        signals.of(session)
    assert list(signals._signals) == ["b", "c"]
