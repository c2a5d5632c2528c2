"""What Gradio keeps of a session, without what this page never asks for."""

from typing import Any

import gradio as gr
from gradio.state_holder import SessionState, StateHolder


class LeanSession(SessionState):
    """A session's state, without the copy of the whole page's configuration that only deep links read; they are closed.

    Args:
        blocks: the page.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__(blocks)
        self.config_values = {}

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key: int) -> None:
        """Keep nothing."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Keep nothing."""


class LeanSessions(StateHolder):
    """The state of the sessions, the one not seen for longest goes first.

    Args:
        blocks: the page.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Gradio gives it no types
        self.set_blocks(blocks)

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = LeanSession(self.blocks)
        return super().__getitem__(session_id)
