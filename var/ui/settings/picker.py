"""The classes: those that are chosen, and a field that finds more by name, part of a name, number or list."""

from collections.abc import Sequence

import gradio as gr

from ..static import read_script

TEMPLATE = """<label for="class-field">Classes</label>
<p class="info" id="class-info">Type a name, a part of it, a number, or several with commas.</p>
<div class="chips">
  <input id="class-field" type="text" role="combobox" autocomplete="off" spellcheck="false" placeholder="Add a class"
    aria-expanded="false" aria-controls="class-list" aria-autocomplete="list" aria-describedby="class-info">
  <button type="button" class="clear" aria-label="Clear"></button>
</div>
<ul id="class-list" role="listbox" aria-label="Classes" aria-multiselectable="true" tabindex="-1" hidden></ul>
<p class="note" role="status"></p>"""


def create_picker(choices: Sequence[tuple[str, int]], chosen: Sequence[int]) -> gr.HTML:
    """Lay out the picker. Gradio's own list takes a chosen class away when it is typed again, and no list of several.

    Args:
        choices: name and label of each class, in the order of the list; `gr.update(choices=…)` brings others.
        chosen: labels; the component's value.
    """
    return gr.HTML(
        list(chosen),
        choices=list(choices),
        html_template=TEMPLATE,
        js_on_load=read_script("classes"),
        apply_default_css=False,
        elem_id="classes",
    )
