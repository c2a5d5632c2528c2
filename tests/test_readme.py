"""README: what it shows to type works."""

import re
import shlex
from pathlib import Path

import pytest
from app_process import serving_app
from tiny import tiny_var_config, write_trainer_file

from var.__main__ import create_parser

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:7860"


def test_python_blocks_run_in_order_in_a_fresh_folder(tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    (tmp_path / "local_output").mkdir()
    write_trainer_file(tmp_path / "local_output" / "ar-ckpt-best.pth", var_config=tiny_var_config(num_classes=10))
    monkeypatch.chdir(tmp_path)
    names = {}
    with serving_app("--device", "cpu") as address:
        for block in blocks:
            exec(compile(block.replace(ADDRESS, address), "README.md", "exec"), names)
    assert names["images"] and names["grid"]


@pytest.mark.parametrize("line", re.findall(r"^    (python -m var .*)$", TEXT, re.MULTILINE))
def test_commands_are_understood(line):
    command, *_ = re.split(r"\s{3,}", line)
    arguments = shlex.split(command.translate(str.maketrans("", "", "[]")))[3:]
    if arguments[:2] == ["bench", "load"]:
        arguments[:2] = ["bench load"]
    parser, module = create_parser(arguments)
    parser.parse_args(arguments)
    assert module is not None
