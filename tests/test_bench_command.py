"""`python -m var bench` as a process."""

import json
import subprocess
import sys
from pathlib import Path

from tiny import write_trainer_file

ROOT = Path(__file__).parents[1]


def run(*arguments):
    command = [sys.executable, "-m", "var", "bench", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_figures_of_a_file(tmp_path):
    done = run(
        write_trainer_file(tmp_path / "tiny.pth"), "--runs", 1, "--batch-sizes", 1, 2, "--device", "cpu", "--json"
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert [batch["images"] for batch in figures["batches"]] == [1, 2]
    assert all(batch["seconds"] > 0 and batch["decode_seconds"] > 0 for batch in figures["batches"])
    assert figures["load_seconds"] > 0
    assert figures["peak_memory_bytes"] > 1e6


def test_figures_as_text(tmp_path):
    done = run(write_trainer_file(tmp_path / "tiny.pth"), "--runs", 1, "--batch-sizes", 1, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "s an image" in done.stdout


def test_no_runs_is_one_line(tmp_path):
    done = run(write_trainer_file(tmp_path / "tiny.pth"), "--runs", 0)
    assert done.returncode == 2
    assert "must be at least 1" in done.stderr
