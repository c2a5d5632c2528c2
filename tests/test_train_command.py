"""`python -m var train` as a process."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pictures import tiny_arguments, write_class_folders

from var import read_checkpoint
from var.__main__ import main

ROOT = Path(__file__).parents[1]


def run(*arguments):
    command = [sys.executable, "-m", "var", "train", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_trains_and_prints_where_the_model_is(tmp_path):
    data = write_class_folders(tmp_path / "data")
    done = run(data, "--out", tmp_path / "run", *tiny_arguments())
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(done.stdout.strip()).class_names == ["apple", "banana"]


def refused(*arguments):
    """Whether the command, in this process, ends as it does for bad input; any other error of its is raised."""
    try:
        return main(["train", *map(str, arguments)]) == 2
    except SystemExit as ended:  # argparse's
        return ended.code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--epochs", "0"), "--epochs is 0; it must be at least 1"),
        (("--preset", "d17"), "invalid choice"),
        (("--device", "abacus"), "abacus"),
        (("--tokenizer", "absent.pth"), "absent.pth"),
    ],
)
def test_bad_options_are_one_line(tmp_path, capsys, arguments, words):
    data = write_class_folders(tmp_path / "data", count=6)
    assert refused(data, "--out", tmp_path / "run", *tiny_arguments(), *arguments)
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch, capsys):
    class FullDisk:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            if self.file.tell():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(data)

        def flush(self):
            self.file.flush()

    save = torch.save
    monkeypatch.setattr("torch.save", lambda content, file: save(content, FullDisk(file)))
    data = write_class_folders(tmp_path / "data", count=6)
    assert main(["train", str(data), "--out", str(tmp_path / "run"), *tiny_arguments()]) == 2
    sentence = (
        f"python -m var train: no space is left on the disk for {tmp_path / 'run'}; free some, or write elsewhere"
    )
    assert capsys.readouterr().err.splitlines()[-1] == sentence
    assert not list((tmp_path / "run").glob(".*"))


def test_data_that_is_not_there_is_one_line(tmp_path, capsys):
    assert refused(tmp_path / "nowhere", "--out", tmp_path / "run")
    assert "is not there" in capsys.readouterr().err.splitlines()[-1]
