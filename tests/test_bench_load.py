"""`python -m var bench load`, and trainer files of the largest sizes."""

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from big_files import write_sparse_trainer_file
from tiny import tiny_vae_config, tiny_var_config

from benchmarks import load
from benchmarks.load import as_text, load_as_package, load_as_reference, official_config, write_trainer_file
from var import read_checkpoint
from var.__main__ import main
from var.checkpoints.load import build_var, check
from var.formats.tensors import TensorFile
from var.model.config import VQVAEConfig

ROOT = Path(__file__).parents[1]
MEMORY = 16 << 30  # of a common machine


@pytest.fixture
def small(monkeypatch):
    """A file of tiny models instead of the official ones."""
    monkeypatch.setattr(load, "official_config", lambda depth: tiny_var_config(depth=depth))
    monkeypatch.setattr(load, "VQVAEConfig", tiny_vae_config)


def run(capsys, *arguments):
    """The exit code of the command, and the lines on standard error."""
    code = main(["bench", "load", *map(str, arguments)])
    return code, capsys.readouterr().err.splitlines()


def in_process(task, path, depth=1):
    command = [sys.executable, "-m", "benchmarks.load", task, str(path), str(depth)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_both_ways_load_the_same_weights(tmp_path, small, monkeypatch):
    for kind in (torch.nn.Linear, torch.nn.Conv2d, torch.nn.GroupNorm):  # restored after the test
        monkeypatch.setattr(kind, "reset_parameters", kind.reset_parameters)
    path = tmp_path / "a.pth"
    write_trainer_file(path, 2)
    vqvae, model = load_as_reference(path, 2)
    pipeline = load_as_package(path, 2)
    for one, other in ((model, pipeline.var), (vqvae, pipeline.vqvae)):
        assert all(torch.equal(tensor, one.state_dict()[key]) for key, tensor in other.state_dict().items())


def test_the_file_holds_an_optimizer_of_twice_the_weights(tmp_path, small):
    path = tmp_path / "a.pth"
    write_trainer_file(path, 2)
    checkpoint = read_checkpoint(path)
    weights = sum(parameter.numel() for parameter in build_var(checkpoint, "cpu", torch.float32).parameters())
    assert checkpoint.ignored["optimizer"] >= 2 * 4 * weights


def test_ratios_are_of_medians(tmp_path, monkeypatch):
    loads = iter([(8.0, 60), (1.0, 12), (9.0, 60), (3.0, 13), (10.0, 60), (2.0, 14)])

    def answer(task, path, depth):
        seconds, added = next(loads)
        return {"seconds": seconds, "added_bytes": added, "peak_bytes": added + 5}

    monkeypatch.setattr(load, "_in_process", answer)
    (tmp_path / "a.pth").write_bytes(b"a")
    figures = load.measure(tmp_path / "a.pth", 16, "warm", 3)
    assert figures["ours"]["seconds"] == 2.0
    assert figures["ratios"] == {"times_faster": 4.5, "share_of_memory": 0.2167}


def test_a_row_of_the_table(monkeypatch):
    load_figures = {"seconds": 2.0, "added_bytes": 10**9, "peak_bytes": 2 * 10**9}
    monkeypatch.setattr(load, "_in_process", lambda task, path, depth: path.touch() or load_figures)
    monkeypatch.setattr(load, "copied_bytes_a_second", lambda: 1e9)
    (row,) = load.rows(torch.device("cpu"), 2, 1)
    assert (row["seconds"], row["reference_seconds"], row["ratio"]) == (2.0, 2.0, 1.0)
    assert 0 < row["share_of_limit"] < 1


def test_figures_as_text():
    load = {"seconds": 2.0, "added_bytes": 10**9, "peak_bytes": 2 * 10**9}
    cache = {"reference": load, "ours": load, "ratios": {"times_faster": 1.0, "share_of_memory": 1.0}}
    text = as_text({"depth": 16, "file_bytes": 4 * 10**9, "torch": "2", "threads": 2, "runs": 3, "warm": cache})
    assert "page cache warm" in text and "cold" not in text
    assert "1.0 times faster, 100.0% of the memory" in text


def test_a_process_tells_seconds_and_memory(tmp_path):
    path = write_sparse_trainer_file(tmp_path / "a.pth", tiny_var_config(), tiny_vae_config())
    figures = in_process("ours", path)
    assert figures["seconds"] > 0
    assert figures["peak_bytes"] > figures["added_bytes"] > 0


def test_a_file_that_was_kept_and_is_damaged_is_one_line(tmp_path, capsys):
    (tmp_path / "bench-load-d1.pth").write_bytes(b"no checkpoint")
    code, lines = run(capsys, "--depth", 1, "--keep", tmp_path, "--runs", 1)
    assert (code, len(lines)) == (2, 1)
    assert "bench-load-d1.pth failed" in lines[0]


@pytest.mark.parametrize("arguments", [("--runs", 0), ("--depth", 0)])
def test_bad_arguments_are_one_line(capsys, arguments):
    code, lines = run(capsys, *arguments)
    assert (code, len(lines)) == (2, 1)


def test_a_disk_without_room_is_told_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(load.shutil, "disk_usage", lambda folder: Namespace(free=0))
    with pytest.raises(ValueError, match="more room with --keep"):
        load._check_room(tmp_path, 2)


def test_memory_too_small_for_the_reference_is_told_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "available", lambda device: 10**8)
    with pytest.raises(ValueError, match="smaller --depth"):
        load._check_room(tmp_path, 2)


def test_a_large_file_is_looked_through_without_reading_its_weights(tmp_path, monkeypatch):
    path = write_sparse_trainer_file(tmp_path / "d12.pth", official_config(12), VQVAEConfig())
    assert path.stat().st_size > 2e9
    amounts = []
    read, read_into = TensorFile.read, TensorFile.read_into
    monkeypatch.setattr(TensorFile, "read", lambda self, *place: amounts.append(place[1]) or read(self, *place))
    monkeypatch.setattr(
        TensorFile, "read_into", lambda self, *place: amounts.append(len(place[1])) or read_into(self, *place)
    )
    checkpoint = read_checkpoint(path)
    check(checkpoint)
    assert checkpoint.var_config == official_config(12)
    assert sum(amounts) < 2e6


def test_torch_reads_a_sparse_file_alike(tmp_path):
    path = write_sparse_trainer_file(tmp_path / "a.pth", tiny_var_config(), tiny_vae_config())
    theirs = torch.load(path, map_location="cpu", weights_only=True)["trainer"]["var_wo_ddp"]
    ours = read_checkpoint(path).var_state
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in ours.items())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_trainer_file_of_depth_30_loads_in_16_gb(tmp_path, dtype):
    path = write_sparse_trainer_file(tmp_path / "d30.pth", official_config(30), VQVAEConfig())
    assert path.stat().st_size > 24e9
    code = (
        "import sys, torch; from var import VARPipeline; from benchmarks.load import memory_now;"
        "pipeline = VARPipeline.from_checkpoint(sys.argv[1], device='cpu', dtype=sys.argv[2]); print(memory_now()[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, path, dtype], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MEMORY
