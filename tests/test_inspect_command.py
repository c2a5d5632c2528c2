"""`python -m var inspect` and what all commands share."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from datetime import date
from pathlib import Path

import pytest
import torch
from tiny import tiny_states, tiny_vae_config, write_trainer_file

from var.__main__ import available_commands, main


class Harmful:
    """Pickles as a call of `os.system` that would leave a file behind."""

    def __init__(self, witness: Path):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch {self.witness}",)


@pytest.fixture(autouse=True)
def empty_checkpoints_folder(tmp_path, monkeypatch):
    """The project's own folder holds a real model, whose VQVAE these tests must not find."""
    monkeypatch.setattr("var.checkpoints.report.default_folder", lambda: tmp_path / "shelf")


def test_text_shows_what_is_in_the_file(tmp_path, capsys):
    path = write_trainer_file(tmp_path / "a.pth", class_names=["apple", "b", "c", "d", "e"])
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    expected = ("trainer checkpoint", "depth 2", "patch_nums 1 2 3 4", "apple", "epoch 3", "operations", "usable   yes")
    for part in expected:
        assert part in shown


def test_json_is_one_object(tmp_path, capsys):
    path = write_trainer_file(tmp_path / "a.pth")
    assert main(["inspect", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["layout"] == "trainer"
    assert report["usable"] is True
    assert report["image_size"] == 16
    assert report["var"]["config"]["patch_nums"] == [1, 2, 3, 4]
    assert report["vqvae"]["config"]["ch"] == 32
    assert report["training"]["epoch"] == 3
    assert report["bytes"] == path.stat().st_size


def test_vqvae_that_fits_is_named(tmp_path, capsys):
    path = write_trainer_file(tmp_path / "a.pth", with_vae=False)
    torch.save(tiny_states()[1], tmp_path / "vae.pth")
    main(["inspect", str(path)])
    shown = capsys.readouterr().out
    assert "vae.pth fits" in shown and "operations" in shown


def test_missing_vqvae_is_said(tmp_path, capsys):
    main(["inspect", str(write_trainer_file(tmp_path / "a.pth", with_vae=False))])
    assert "images need one" in capsys.readouterr().out


def test_vqvae_alone(tmp_path, capsys):
    torch.save(tiny_states()[1], tmp_path / "vae.pth")
    assert main(["inspect", str(tmp_path / "vae.pth")]) == 0
    assert "VQVAE alone" in capsys.readouterr().out


def test_args_of_any_kind_are_shown(tmp_path, capsys):
    path = write_trainer_file(tmp_path / "a.pth", args={"size": torch.Size([1, 2]), "dtype": torch.float32, 3: None})
    assert main(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["training"]["args"]["dtype"] == "torch.float32"


def test_unusable_weights_are_shown_and_refused(tmp_path, capsys):
    path = write_trainer_file(tmp_path / "a.pth", vae_config=tiny_vae_config(vocab_size=32))
    assert main(["inspect", str(path), "--json"]) == 2
    output = capsys.readouterr()
    assert json.loads(output.out)["usable"] is False
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("where", ["head.bias", "blocks.1.ffn.fc1.weight"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float8_e4m3fn])
def test_weights_that_are_no_numbers_are_not_usable(tmp_path, capsys, where, dtype):
    state = tiny_states()[0]
    state[where] = torch.full_like(state[where], float("nan")).to(dtype)
    torch.save(state, tmp_path / "a.pth")
    assert main(["inspect", str(tmp_path / "a.pth")]) == 2
    output = capsys.readouterr()
    assert "usable   no" in output.out
    assert f"NaN or infinite ({where})" in output.err


def test_of_a_large_file_the_smallest_weights_are_looked_at(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("var.checkpoints.load.MAX_CHECKED_BYTES", 16_000)
    state = tiny_states()[0]
    state["head.weight"][:] = float("nan")
    torch.save(state, tmp_path / "a.pth")
    assert main(["inspect", str(tmp_path / "a.pth")]) == 0
    state["head.bias"][:] = float("nan")
    torch.save(state, tmp_path / "a.pth")
    assert main(["inspect", str(tmp_path / "a.pth")]) == 2


@pytest.mark.parametrize("kind", ["args", "missing", "unexpected", "misshaped", "mistyped"])
def test_json_lists_every_difference(tmp_path, capsys, kind):
    state = tiny_states()[0]
    if kind == "missing":
        state = {key: value for key, value in state.items() if ".attn.proj." not in key}
    elif kind == "unexpected":
        state |= {f"blocks.{i}.extra.weight": torch.zeros(1) for i in range(2)}
    elif kind == "misshaped":
        state["head.bias"] = torch.zeros(3)
    elif kind == "mistyped":
        state["head.bias"] = torch.zeros(64, dtype=torch.int32)
    torch.save(state, tmp_path / "a.pth")
    main(["inspect", str(tmp_path / "a.pth"), "--json"])
    found = json.loads(capsys.readouterr().out)["var"]
    expected = {
        "missing": [f"blocks.{i}.attn.proj.{name}" for i in range(2) for name in ("weight", "bias")],
        "unexpected": ["blocks.0.extra.weight", "blocks.1.extra.weight"],
        "misshaped": {"head.bias": {"found": [3], "expected": [64]}},
        "mistyped": {"head.bias": "int32"},
    }
    for name, value in expected.items():
        assert found[name] == (value if name == kind else type(value)())


def test_json_says_where_the_weights_were_and_what_was_left(tmp_path, capsys):
    path = write_trainer_file(tmp_path / "a.pth")
    main(["inspect", str(path), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["kind"] == "torch"
    assert report["files"] == [str(path)]
    assert {"origin", "weights", "ignored", "stand_ins", "pickle"} <= report.keys()


def test_objects_that_were_not_made_are_named(tmp_path, capsys):
    payload = {"trainer": {"var_wo_ddp": tiny_states()[0]}, "args": Namespace(depth=2), "when": date(2024, 4, 3)}
    torch.save(payload, tmp_path / "a.pth")
    assert main(["inspect", str(tmp_path / "a.pth"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["stand_ins"] == report["pickle"]["globals"] == ["datetime.date"]
    assert any(call.startswith("datetime.date(") for call in report["pickle"]["calls"])
    main(["inspect", str(tmp_path / "a.pth")])
    assert "objects  datetime.date: none was looked up, made or run" in capsys.readouterr().out


@pytest.mark.parametrize(("place", "code"), [("args", 0), ("weights", 2)])
def test_harmful_pickle_is_reported_and_never_run(tmp_path, capsys, place, code):
    state, harmful = tiny_states()[0], Harmful(tmp_path / "witness")
    payload = (
        {"trainer": {"var_wo_ddp": state}, "args": harmful} if place == "args" else {**state, "head.bias": harmful}
    )
    torch.save(payload, tmp_path / "a.pth")
    assert main(["inspect", str(tmp_path / "a.pth")]) == code
    output = capsys.readouterr()
    assert "would have called posix.system('touch" in output.out
    assert "may be an attack" in output.out + output.err
    assert main(["inspect", str(tmp_path / "a.pth"), "--json"]) == code
    output = capsys.readouterr()
    report = json.loads(output.out)
    assert "posix.system" in report["pickle"]["globals"]
    assert report["pickle"]["calls"][0].startswith("posix.system('touch")
    assert "posix.system" in " ".join([*report.get("warnings", []), output.err])
    assert not (tmp_path / "witness").exists()


ODD_NAME = "\x1b[2J\u202egepj.\x07\u2066"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_what_a_file_says_is_harmless_in_a_terminal(tmp_path, capsys, options):
    (tmp_path / ODD_NAME).mkdir()
    path = tmp_path / ODD_NAME / f"{ODD_NAME}.pth"
    args = {ODD_NAME: ODD_NAME, "class_names": [f"{ODD_NAME}{i}" for i in range(5)], "data_path": ODD_NAME}
    torch.save({"trainer": {ODD_NAME: {"model": tiny_states()[0]}}, "args": args, "when": date(2024, 4, 3)}, path)
    assert main(["inspect", str(path), *options]) == 0
    (tmp_path / ODD_NAME / "text.pth").write_text("hello")
    assert main(["inspect", str(tmp_path / ODD_NAME / "text.pth"), *options]) == 2
    assert main(["inspect", str(tmp_path / ODD_NAME / "none.pth"), *options]) == 2
    if not options:
        assert main(["export", str(path), str(tmp_path / ODD_NAME / f"{ODD_NAME}.safetensors")]) == 0
    output = capsys.readouterr()
    assert (output.out + output.err).replace("\n", "").isprintable()


@pytest.mark.parametrize("name", ["none.pth", "text.pth", ".", "hf://owner"])
def test_json_of_a_file_that_is_not_read(tmp_path, capsys, name):
    (tmp_path / "text.pth").write_text("hello")
    file = name if name.startswith("hf:") else str(tmp_path / name)
    assert main(["inspect", file, "--json"]) == 2
    output = capsys.readouterr()
    report = json.loads(output.out)
    assert report["file"] == file
    assert report["usable"] is False
    assert report["problem"] in output.err
    assert output.err.count("\n") == 1


def test_arguments_that_hold_themselves_end(tmp_path, capsys):
    args = {"depth": 2}
    args["again"] = [args] * 100
    assert main(["inspect", str(write_trainer_file(tmp_path / "a.pth", args=args)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["training"]["args"]["depth"] == 2


@pytest.mark.parametrize("name", ["none.pth", "text.pth", "."])
def test_bad_input_is_one_line(tmp_path, capsys, name):
    (tmp_path / "text.pth").write_text("hello")
    assert main(["inspect", str(tmp_path / name)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1


def test_as_a_process(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "var", "inspect", str(tmp_path / "none.pth")], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_of_every_command_is_listed(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in available_commands())


@pytest.mark.parametrize("name", available_commands())
def test_help_of_a_command(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert f"python -m var {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["paint"], ["inspect"]])
def test_wrong_arguments_end_with_2(arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_interrupt_is_quiet(tmp_path, monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("var.cli.inspect.run", interrupted)
    assert main(["inspect", "a.pth"]) == 130
    assert capsys.readouterr().err == ""


def test_command_without_its_module_is_not_offered(monkeypatch):
    assert "bench load" in available_commands()
    monkeypatch.setattr("var.__main__.is_checkout", lambda: False)  # an installed package
    assert "inspect" in available_commands() and "bench load" not in available_commands()
