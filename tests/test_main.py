"""The command line as a whole: what ends it, and what it says then. `inspect` stands for every command."""

import errno
import io
import os
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from tiny import write_trainer_file

import var
from var.__main__ import available_commands, describe_error, main
from var.ui.options import read_options

ROOT = Path(__file__).parents[1]


@pytest.fixture
def ending(monkeypatch, capsys):
    """Ends a command with an error; returns the exit code and what it wrote on standard error."""

    def end(error):
        def run(args):
            raise error

        monkeypatch.setattr("var.cli.inspect.run", run)
        return main(["inspect", "a.pth"]), capsys.readouterr().err

    return end


def wrapped(error):
    """An error as torch.save raises it upon another one."""
    outer = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")
    outer.__context__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 17179869184 bytes."),
        RuntimeError("unable to mmap 4096 bytes from file <a.pth>: Cannot allocate memory (12)"),
        RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        wrapped(MemoryError()),
    ],
)
def test_too_little_memory_is_one_line(ending, error):
    code, text = ending(error)
    assert (code, text) == (
        2,
        "python -m var inspect: there is too little memory; free some, or take a smaller model\n",
    )


def test_what_takes_less_memory_is_named():
    args = Namespace(batch_size=8, dtype=None, device=None)
    assert describe_error(MemoryError(), args).endswith(
        "or take a smaller --batch-size, --dtype bfloat16, another --device, a smaller model"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("wrap", [wrapped, lambda error: error])
def test_no_space_is_one_line(ending, number, wrap):
    code, text = ending(wrap(OSError(number, os.strerror(number), "/data/model.pth")))
    assert (code, text) == (
        2,
        "python -m var inspect: no space is left on the disk for /data/model.pth; free some, or write elsewhere\n",
    )


def test_no_space_without_a_file_names_the_folder():
    args = Namespace(out=Path("runs/mine"))
    assert "on the disk for runs/mine;" in describe_error(wrapped(OSError(errno.ENOSPC, "No space")), args)


class FullDisk(io.BytesIO):
    """A file on a disk that becomes full after the first write."""

    def write(self, data):
        if self.tell():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_what_torch_raises_on_a_full_disk_is_understood():
    with pytest.raises(RuntimeError) as caught:
        torch.save({"a": torch.zeros(99_999)}, FullDisk())
    assert describe_error(caught.value, Namespace()).startswith("no space is left on the disk;")


def test_a_fault_of_the_program_keeps_its_traceback(ending):
    with pytest.raises(RuntimeError, match="a fault"):
        ending(RuntimeError("a fault"))


def test_output_that_nobody_reads_ends_it_quietly(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth", optimizer=False)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "var", "inspect", path, "--json"], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("program", [main, lambda arguments: read_options(arguments, {})], ids=["var", "app.py"])
def test_version(capsys, program):
    with pytest.raises(SystemExit) as caught:
        program(["--version"])
    assert (caught.value.code, capsys.readouterr().out) == (0, f"var {var.__version__}\n")


@pytest.mark.parametrize("name", [name for name in available_commands() if not name.startswith("bench")])
def test_a_missing_argument_is_two_lines_that_name_it(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main([name])
    usage, problem = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    missing = re.search("arguments are required: (.*)|one of the arguments (.*) is required", problem)
    for argument in re.split("[, ]+", missing[1] or missing[2]):
        assert any(way in usage for way in argument.split("/"))


def test_an_unknown_option_is_two_lines_with_the_usage_of_the_command(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "load", "--device", "cpu"])
    usage, problem = capsys.readouterr().err.splitlines()
    assert usage == "usage: python -m var bench load [options]" and problem.endswith("arguments: --device cpu")


@pytest.mark.parametrize(
    "command", [["app.py"], ["-m", "var", "inspect", "a.pth"], ["-m", "var", "train", "a", "--out", "b"]]
)
def test_an_environment_without_the_packages_is_one_line(command):
    done = subprocess.run([sys.executable, "-S", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (1, 2) and len(done.stderr.splitlines()) == 1
    assert re.search(r"the package \w+ is not installed .* -m pip install -r requirements.txt", done.stderr)


def test_a_module_of_this_package_that_is_missing_is_a_fault_of_the_program(ending):
    with pytest.raises(ModuleNotFoundError):
        ending(ModuleNotFoundError("No module named 'var.no'", name="var.no"))
