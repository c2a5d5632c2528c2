"""Gradio's choices and sliders, which hand on what a browser sends as it is.

Gradio's own refuse a value that is not among their choices or beyond their range before any handler sees it, and
nothing that follows the event runs then: a file that disappeared, or a run that waited while another checkpoint was
chosen, would leave a page that can do nothing. Handlers check every value anyway, and say what is wrong with it.
"""

from abc import ABCMeta
from typing import Any, TypeVar

import gradio as gr

Kind = TypeVar("Kind", bound=type[gr.components.Component])


def _preprocess(self: gr.components.Component, payload: Any) -> Any:
    """Return what the browser sent."""
    return payload


def _unchecked(kind: Kind) -> Kind:
    """Return a component without its check; a class statement would have Gradio write a file beside this one."""
    attributes = {"preprocess": _preprocess, "is_template": True, "__module__": __name__, "__doc__": kind.__doc__}
    return ABCMeta.__new__(type(kind), kind.__name__, (kind,), attributes)


Dropdown = _unchecked(gr.Dropdown)
Radio = _unchecked(gr.Radio)
Slider = _unchecked(gr.Slider)
