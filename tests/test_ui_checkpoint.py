"""The checkpoint's panel as it is laid out when the server starts."""

import gradio as gr
import pytest
from layout_files import FILES
from tiny import tiny_var_config, write_trainer_file

from var.engine.catalog import Catalog
from var.engine.local import LocalEngine
from var.ui.checkpoint.panel import create_checkpoint_panel, first_choice


def write_usual(folder):
    write_trainer_file(folder / "a.pth", optimizer=False)


def write_without_heads(folder):
    write_trainer_file(folder / "a.pth", optimizer=False, var_config=tiny_var_config(attn_l2_norm=False))


@pytest.mark.parametrize(
    ("write", "weights", "heads"),
    [
        (write_usual, False, False),
        (FILES["trainer with var_ema"].write, True, False),
        (write_without_heads, False, True),
        (lambda folder: None, False, False),
    ],
)
def test_the_first_checkpoint_has_the_fields_that_its_file_asks_for(tmp_path, write, weights, heads):
    write(tmp_path)
    catalog, engine = Catalog(tmp_path), LocalEngine(tmp_path, "cpu")
    with gr.Blocks():
        panel = create_checkpoint_panel(catalog, engine, first_choice(catalog, engine), uploads=True)
    assert (panel.weights.visible, panel.heads.visible) == (weights, heads)
    assert panel.heads.placeholder == ("1 (assumed)" if heads else None)
