"""`python -m var bench` as a process."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import tiny_var_config, write_trainer_file

from benchmarks import start, training
from var.__main__ import main
from var.cli.bench import as_text, maintainers
from var.cli.bench_limits import Peaks
from var.training.options import TrainingOptions

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
    found = [(row["what"], row["precision"]) for row in figures["rows"]]
    assert found[:2] == [("1 image", "float32"), ("1 image", "bfloat16")]
    assert [what for what, _ in found[2:]] == ["2 images"]  # in the precision that was faster
    assert all(row["share_of_limit"] > 0 and row["seconds"] > 0 for row in figures["rows"])
    assert list(figures["precisions"]["float32"]["stages"]) == ["transformer", "draws", "decoding", "PNG"]
    assert figures["load_seconds"] > 0
    assert figures["rows"][-1]["peak_memory_bytes"] > 1e6
    assert "at these an image takes" in as_text(figures) and "reference" not in as_text(figures)


REFERENCE = """
from types import SimpleNamespace
import torch
from tiny import tiny_vae_config, tiny_var_config
from var import VARPipeline
from var.model.transformer import VAR
from var.model.vqvae import VQVAE

class Transformer(VAR):
    def autoregressive_infer_cfg(self, B, label_B, g_seed, cfg, top_k, top_p, more_smooth):
        pipeline = VARPipeline(self, self.vqvae[0])
        return pipeline(label_B.tolist(), g_seed, cfg, top_k, top_p, more_smooth, output_type="pt").images

def build_vae_var(device, depth, num_classes, patch_nums, shared_aln, V, Cvae, ch, share_quant_resi, attn_l2_norm):
    print("some words")
    if depth != 2:
        raise RuntimeError("Error(s) in loading state_dict")
    transformer = Transformer(tiny_var_config()).requires_grad_(False)
    transformer.vqvae = [VQVAE(tiny_vae_config()).requires_grad_(False)]
    return transformer.vqvae[0], transformer
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A folder that has the reference's entry point, with this package's tiny models behind it."""
    (tmp_path / "checkout" / "models").mkdir(parents=True)
    for name in ("__init__.py", "var.py"):
        (tmp_path / "checkout" / "models" / name).write_text(REFERENCE)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    return tmp_path / "checkout"


def test_the_reference_runs_by_turns(tmp_path, checkout):
    file = write_trainer_file(tmp_path / "tiny.pth")
    options = ("--runs", 1, "--batch-sizes", 2, "--device", "cpu", "--dtype", "float32", "--reference", checkout)
    done = run(file, *options)
    assert done.returncode == 0, done.stderr
    *_, heads, row = done.stdout.splitlines()
    assert re.split(" {2,}", heads.strip())[-4:] == ["reference", "ratio", "equal tokens", "memory"]
    assert re.search(r" \d+\.\d{3}  +\d+\.\d\d×  +100\.00%  +\d+\.\d\d GiB$", row)


def test_a_model_that_the_reference_cannot_build_is_one_line(tmp_path, checkout):
    file = write_trainer_file(tmp_path / "tiny.pth", var_config=tiny_var_config(depth=1))
    done = run(file, "--device", "cpu", "--reference", checkout)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "builds the official sizes alone" in done.stderr


def test_a_folder_without_the_reference_is_one_line(tmp_path, capsys):
    assert main(["bench", str(write_trainer_file(tmp_path / "tiny.pth")), "--reference", str(tmp_path)]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "expected a checkout of the reference" in sentence


def test_both_stages_of_training_are_compared_with_their_operations(monkeypatch):
    small = TrainingOptions(depth=1, patch_nums=(1, 2), vae_ch_mult=(1, 1), batch_size=2, tokenizer_batch_size=2)
    monkeypatch.setattr(training, "TrainingOptions", lambda: small)
    monkeypatch.setattr(training, "measure_peaks", lambda *_: Peaks(products=1e9, convolutions=1e9))
    rows = training.rows(torch.device("cpu"), 16, 1)
    assert [row["what"] for row in rows] == ["step of the tokenizer, 2 images", "step of the transformer, 2 images"]
    assert all(row["share_of_limit"] > 0 and row["images_per_second"] > 0 for row in rows)


def test_the_start_is_compared_with_the_import_of_gradio(monkeypatch):
    monkeypatch.setattr(start, "seconds_of_import", lambda name: {"gradio": 2.0}[name])
    monkeypatch.setattr(start, "seconds_until_the_page_answers", lambda: 3.0)
    (row,) = start.rows(torch.device("cpu"), 16, 2)
    assert (row["seconds"], row["share_of_limit"]) == (3.0, 0.6667) and "1.50×" in row["what"]


def test_outside_of_its_repository_the_package_cannot_compare(monkeypatch):
    monkeypatch.setitem(sys.modules, "benchmarks", None)
    monkeypatch.delitem(sys.modules, "benchmarks.reference", raising=False)
    with pytest.raises(ValueError, match="a checkout of it"):
        maintainers("reference")


def test_no_runs_is_one_line(tmp_path, capsys):
    assert main(["bench", str(write_trainer_file(tmp_path / "tiny.pth")), "--runs", "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err
