"""How events are connected: what Gradio is told about each."""

MODEL_QUEUE = "model"  # of everything that uses the model; one at a time

# No endpoint of its own, and no spinner of Gradio's: the page shows its own progress.
QUIET = {"show_progress": "hidden", "api_visibility": "private"}
# Short, and waits for nothing.
AT_ONCE = QUIET | {"queue": False}
# Takes its time, beside whatever else runs; not in the queue of the model.
BESIDE = QUIET | {"concurrency_limit": None}
# As BESIDE, also while the one before goes on: it gives way by itself.
AGAIN = BESIDE | {"trigger_mode": "multiple"}
# Uses the model, or much of the processor, when its turn comes.
IN_TURN = QUIET | {"concurrency_id": MODEL_QUEUE, "concurrency_limit": 1}
# Once more after many changes in a row, with the last values.
LATEST = {"trigger_mode": "always_last"}

# Gradio tells of a change while other components have their old values still, such as those of the checkpoint before.
SETTLE = "() => new Promise(resolve => setTimeout(() => resolve([]), 100))"
