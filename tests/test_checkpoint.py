"""Reading checkpoint files: what is found, and what is not read."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny import tiny_states, tiny_vae_config, tiny_var_config, write_trainer_file

from var import CheckpointError, read_checkpoint
from var.text import format_count


def same(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def bytes_read() -> int:
    """What this process has read from files so far, from the system's cache or not."""
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["rchar"])


def test_trainer_file_gives_both_state_dicts(tmp_path):
    var_state, vae_state = tiny_states()
    checkpoint = read_checkpoint(write_trainer_file(tmp_path / "ar-ckpt-last.pth"))
    assert checkpoint.layout == "trainer"
    assert same(checkpoint.var_state, var_state)
    assert same(checkpoint.vae_state, vae_state)


def test_trainer_file_gives_sizes(tmp_path):
    checkpoint = read_checkpoint(write_trainer_file(tmp_path / "a.pth"))
    assert checkpoint.var_config == tiny_var_config()
    assert checkpoint.vae_config == tiny_vae_config()
    assert checkpoint.image_size == 16


def test_path_may_be_text(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth")
    assert read_checkpoint(str(path)).path == path


def test_trainer_file_gives_training(tmp_path):
    training = read_checkpoint(write_trainer_file(tmp_path / "a.pth", args={"depth": 2, "tlr": 0.1})).training
    assert training["epoch"] == 3
    assert training["iter"] == 11
    assert training["args"] == {"depth": 2, "tlr": 0.1}
    assert training["config"]["patch_nums"] == (1, 2, 3, 4)


def test_trainer_file_without_vqvae(tmp_path):
    checkpoint = read_checkpoint(write_trainer_file(tmp_path / "a.pth", with_vae=False))
    assert checkpoint.vae_state is None
    assert checkpoint.vae_config is None
    assert checkpoint.image_size is None


@pytest.mark.parametrize("scaler", [False, True])
@pytest.mark.parametrize("optimizer", [False, True])
def test_trainer_file_with_any_optimizer_state(tmp_path, scaler, optimizer):
    path = write_trainer_file(tmp_path / "a.pth", scaler=scaler, optimizer=optimizer)
    assert read_checkpoint(path).var_config == tiny_var_config()


def test_args_of_old_trainers_are_kept_as_text(tmp_path):
    text = "{\n  'depth': __import__('os').abort()\n}"
    assert read_checkpoint(write_trainer_file(tmp_path / "a.pth", args=text)).training["args"] == {"text": text}


def test_class_names_from_the_args(tmp_path):
    names = ["Apfel", "poire", "さくらんぼ", "d", "e"]
    assert read_checkpoint(write_trainer_file(tmp_path / "a.pth", class_names=names)).class_names == names


@pytest.mark.parametrize("names", [["one", "two"], "abcde", [1, 2, 3, 4, 5], {}])
def test_class_names_that_do_not_fit_are_ignored(tmp_path, names):
    path = write_trainer_file(tmp_path / "a.pth", args={"class_names": names})
    assert read_checkpoint(path).class_names is None


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.module."])
def test_wrapper_prefixes_of_a_trainer_file(tmp_path, prefix):
    checkpoint = read_checkpoint(write_trainer_file(tmp_path / "a.pth", prefix=prefix))
    var_state, vae_state = tiny_states()
    assert same(checkpoint.var_state, var_state)
    assert same(checkpoint.vae_state, vae_state)


def test_plain_state_dict_of_var(tmp_path):
    var_state, _ = tiny_states()
    torch.save(var_state, tmp_path / "var.pth")
    checkpoint = read_checkpoint(tmp_path / "var.pth")
    assert checkpoint.layout == "state dict"
    assert same(checkpoint.var_state, var_state)
    assert checkpoint.training == {}


def test_plain_state_dict_of_the_vqvae(tmp_path):
    _, vae_state = tiny_states()
    torch.save(vae_state, tmp_path / "vae.pth")
    checkpoint = read_checkpoint(tmp_path / "vae.pth")
    assert checkpoint.var_state is None
    assert checkpoint.vae_config == tiny_vae_config()


@pytest.mark.parametrize("which", [0, 1])
def test_plain_safetensors(tmp_path, which):
    state = tiny_states()[which]
    save_file({f"module.{key}": value for key, value in state.items()}, tmp_path / "a.safetensors")
    checkpoint = read_checkpoint(tmp_path / "a.safetensors")
    assert checkpoint.layout == "safetensors"
    assert same((checkpoint.var_state, checkpoint.vae_state)[which], state)


def test_suffix_does_not_matter(tmp_path):
    save_file(tiny_states()[0], tmp_path / "a.bin")
    assert read_checkpoint(tmp_path / "a.bin").layout == "safetensors"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(tmp_path, dtype):
    state = {key: t.to(dtype) if t.is_floating_point() else t for key, t in tiny_states()[0].items()}
    torch.save(state, tmp_path / "a.pth")
    checkpoint = read_checkpoint(tmp_path / "a.pth")
    assert checkpoint.var_config == tiny_var_config()
    assert checkpoint.var_state["head.weight"].dtype == dtype


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux what it read of the file")
def test_optimizer_is_not_read(tmp_path):
    path = tmp_path / "a.pth"
    write_trainer_file(path, optimizer=False)
    payload = torch.load(path, weights_only=True)
    payload["trainer"]["var_opt"]["optimizer"]["state"] = {0: {"exp_avg": torch.ones(8 * 2**20)}}  # 32 MiB
    torch.save(payload, path)
    before = bytes_read()
    checkpoint = read_checkpoint(path)
    assert checkpoint.num_parameters > 0
    assert 0 < bytes_read() - before < 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux what it read of the file")
def test_safetensors_weights_are_not_read(tmp_path):
    path = tmp_path / "a.safetensors"
    big = tiny_var_config(num_classes=40_000)  # 25 MB of class embedding
    save_file(tiny_states(var_config=big)[0], path)
    before = bytes_read()
    checkpoint = read_checkpoint(path)
    assert checkpoint.var_config == big
    assert 0 < bytes_read() - before < 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="writes a file with a hole as large as Linux allows")
def test_file_larger_than_memory_opens(tmp_path):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    optimizer = torch.from_file(str(tmp_path / "hole"), shared=True, size=memory // 2)  # float32: twice the memory
    path = tmp_path / "a.pth"
    with torch.serialization.skip_data():  # leaves all weights as zeros, and the file nearly empty on the disk
        torch.save({"trainer": {"var_wo_ddp": tiny_states()[0], "var_opt": {"exp_avg": optimizer}}}, path)
    with pytest.raises(CheckpointError, match="lvl_1L"):  # whose zeros are no scales; it was found and read
        read_checkpoint(path)
    path.unlink()  # some programs that look after temporary files do not understand holes
    (tmp_path / "hole").unlink()


def test_missing_file_is_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        read_checkpoint(tmp_path / "none.pth")


def test_checkpoint_error_is_a_value_error():
    assert issubclass(CheckpointError, ValueError)


def test_summary_of_a_trainer_file(tmp_path):
    summary = read_checkpoint(write_trainer_file(tmp_path / "a.pth", epoch=180)).summary()
    expected = "trainer checkpoint, depth 2, 165 K parameters, 5 classes, 16×16, epoch 180, VQVAE included"
    assert summary == f"{expected}; 1.3 MB of optimizer ignored"


def test_summary_without_vqvae(tmp_path):
    torch.save(tiny_states()[0], tmp_path / "a.pth")
    expected = "state dict, depth 2, 165 K parameters, 5 classes, 4×4 tokens, no VQVAE in the file"
    assert read_checkpoint(tmp_path / "a.pth").summary() == expected


def test_summary_of_a_vqvae(tmp_path):
    torch.save(tiny_states()[1], tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").summary() == ("state dict, VQVAE alone, 1.0 M parameters, vocabulary 64")


def test_training_values_are_plain(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth", args={"depth": 2, 3: "three", "pn": (1, 2)})
    assert json.loads(json.dumps(read_checkpoint(path).training["args"])) == {"depth": 2, "3": "three", "pn": [1, 2]}


@pytest.mark.parametrize(
    ("number", "text"),
    [(999, "999"), (164_932, "165 K"), (1_045_531, "1.0 M"), (310_283_520, "310 M"), (2_009_000_000, "2.0 B")],
)
def test_counts_are_short(number, text):
    assert format_count(number) == text
