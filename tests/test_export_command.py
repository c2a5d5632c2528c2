"""`python -m var export`: what it writes, takes and says."""

import pytest
import torch
from tiny import tiny_states, tiny_vae_config, write_trainer_file

from var.__main__ import main
from var.checkpoints.checkpoint import read_checkpoint
from var.checkpoints.class_names import read_classes


@pytest.fixture(autouse=True)
def empty_checkpoints_folder(tmp_path, monkeypatch):
    """The project's own folder holds a real model, whose VQVAE these tests must not find."""
    monkeypatch.setattr("var.cli.export.default_folder", lambda: tmp_path / "shelf")


def test_safetensors_with_size(tmp_path, capsys):
    path, out = write_trainer_file(tmp_path / "a.pth"), tmp_path / "out.safetensors"
    assert main(["export", str(path), str(out)]) == 0
    assert f"wrote {out}: 4.9 MB" in capsys.readouterr().out
    assert read_checkpoint(out).image_size == 16


def test_precision(tmp_path):
    path, out = write_trainer_file(tmp_path / "a.pth"), tmp_path / "out.safetensors"
    assert main(["export", str(path), str(out), "--dtype", "bfloat16"]) == 0
    assert read_checkpoint(out).var_state["head.weight"].dtype == torch.bfloat16


def test_official_pair(tmp_path, capsys):
    path = write_trainer_file(tmp_path / "a.pth")
    assert main(["export", str(path), str(tmp_path / "out.pth")]) == 0
    assert "vae_out.pth" in capsys.readouterr().out
    assert read_checkpoint(tmp_path / "vae_out.pth").vae_config is not None


def test_given_vqvae(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth", with_vae=False)
    torch.save(tiny_states(seed=5)[1], tmp_path / "given.bin")
    out = tmp_path / "out.safetensors"
    assert main(["export", str(path), str(out), "--vae", str(tmp_path / "given.bin")]) == 0
    expected = tiny_states(seed=5)[1]["quantize.embedding.weight"]
    assert torch.equal(read_checkpoint(out).vae_state["quantize.embedding.weight"], expected)


@pytest.mark.parametrize("folder", [".", "shelf"])
def test_vqvae_nearby_is_taken_and_named(tmp_path, capsys, folder):
    path = write_trainer_file(tmp_path / "a.pth", with_vae=False)
    (tmp_path / folder).mkdir(exist_ok=True)
    torch.save(tiny_states()[1], tmp_path / folder / "vae.pth")
    assert main(["export", str(path), str(tmp_path / "out.safetensors")]) == 0
    assert f"took the VQVAE of {(tmp_path / folder / 'vae.pth').resolve()}" in capsys.readouterr().out
    assert read_checkpoint(tmp_path / "out.safetensors").vae_config == tiny_vae_config()


def test_without_any_vqvae_it_says_so(tmp_path, capsys):
    path = write_trainer_file(tmp_path / "a.pth", with_vae=False)
    assert main(["export", str(path), str(tmp_path / "out.safetensors")]) == 0
    assert "the VQVAE is not in it" in capsys.readouterr().out


@pytest.mark.parametrize("out", ["out.bin", "out", "none/out.safetensors"])
def test_bad_names_are_refused(tmp_path, capsys, out):
    path = write_trainer_file(tmp_path / "a.pth")
    assert main(["export", str(path), str(tmp_path / out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_missing_vqvae_file_is_refused(tmp_path, capsys):
    path = write_trainer_file(tmp_path / "a.pth", with_vae=False)
    assert main(["export", str(path), str(tmp_path / "out.safetensors"), "--vae", str(tmp_path / "no.pth")]) == 2
    assert "no.pth" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("name", ["out.safetensors", "out.pth"])
@pytest.mark.parametrize("beside", [False, True])
def test_class_names_come_along(tmp_path, name, beside):
    names = ["ant", "蜂", "cat, dog", "d", "e"]
    (tmp_path / "shelf").mkdir()
    path = write_trainer_file(tmp_path / "a.pth", class_names=None if beside else names)
    if beside:
        (tmp_path / "classes.txt").write_text("\n".join(names), encoding="utf-8")
    out = tmp_path / "shelf" / name
    assert main(["export", str(path), str(out)]) == 0
    classes = read_classes(read_checkpoint(out))
    assert list(classes.names) == names


@pytest.mark.parametrize(
    ("name", "there"), [("a.safetensors", "a.safetensors"), ("a.pth", "vae_a.pth"), ("a.pth", "a.json")]
)
def test_what_is_there_stays_unless_it_is_asked_for(tmp_path, capsys, name, there):
    path = write_trainer_file(tmp_path / "trained.pth", class_names=list("abcde"))
    (tmp_path / there).write_text("an old one")
    command = ["export", str(path), str(tmp_path / name)]
    assert main(command) == 2
    assert f"{tmp_path / there} is there already; give another name, or --overwrite" in capsys.readouterr().err
    assert (tmp_path / there).read_text() == "an old one"
    assert main([*command, "--overwrite"]) == 0
    assert (tmp_path / there).read_bytes() != b"an old one"
