"""What a checkpoint needs, what is free, and what is said where they do not fit."""

import pytest
import torch
from tiny import tiny_var_config, write_trainer_file

from var import read_checkpoint
from var.checkpoints.load import build_var, build_vqvae
from var.checkpoints.memory import MemoryNeed, advise, available, container_bytes, held, memory_problem, need

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return read_checkpoint(write_trainer_file(tmp_path_factory.mktemp("memory") / "a.pth"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_are_counted_exactly(checkpoint, dtype):
    models = build_var(checkpoint, CPU, dtype), build_vqvae(checkpoint, CPU)
    assert need(checkpoint, dtype=dtype).weights == held(*models)


def test_every_image_takes_its_keys_and_values(checkpoint):
    config = checkpoint.var_config
    keys_and_values = 2 * config.depth * 2 * config.num_tokens * config.embed_dim * 4
    more = need(checkpoint, batch_size=8).working - need(checkpoint, batch_size=1).working
    assert more >= 7 * keys_and_values


def test_larger_models_need_more(checkpoint, tmp_path):
    path = write_trainer_file(tmp_path / "b.pth", var_config=tiny_var_config(depth=3, embed_dim=128))
    larger = need(read_checkpoint(path))
    assert larger.working > need(checkpoint).working
    assert larger.total == larger.weights + larger.working


def test_on_a_gpu_images_are_made_together(checkpoint):
    small, large = (need(checkpoint, device="cuda", batch_size=size).working for size in (1, 8))
    assert large == 8 * small


def test_the_vqvae_of_another_file_counts(tmp_path, checkpoint):
    alone = read_checkpoint(write_trainer_file(tmp_path / "alone.pth", with_vae=False))
    assert need(alone, checkpoint) == need(checkpoint)
    assert need(alone).total < need(checkpoint).total


def test_the_cpu_tells_what_is_free():
    assert available("cpu") > 0


def test_a_device_that_does_not_tell():
    assert available("meta") is None


def write_group(folder, **values):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def write_membership(root, text):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(text)


def test_limit_of_a_container(tmp_path):
    write_membership(tmp_path, "0::/\n")
    stat = "anon 500\nactive_file 30\ninactive_file 70"
    write_group(tmp_path / "sys/fs/cgroup", memory__max=1000, memory__current=700, memory__stat=stat)
    assert container_bytes(tmp_path) == [400]


def test_limit_of_a_group_above(tmp_path):
    write_membership(tmp_path, "0::/user/job\n")
    top = tmp_path / "sys/fs/cgroup"
    write_group(top / "user", memory__max=1000, memory__current=900, memory__stat="active_file 0")
    write_group(top / "user/job", memory__max="max", memory__current=900, memory__stat="active_file 0")
    assert container_bytes(tmp_path) == [100]


def test_limit_of_the_first_version_of_groups(tmp_path):
    write_membership(tmp_path, "5:devices:/\n4:memory:/docker/abc\n0::/\n")
    group = {"memory__usage_in_bytes": 800, "memory__stat": "total_active_file 10\ntotal_inactive_file 90"}
    # the path is the host's; inside of the container its group is at the top
    write_group(tmp_path / "sys/fs/cgroup/memory", memory__limit_in_bytes=2000, **group)
    assert container_bytes(tmp_path) == [1300]


def test_no_limit_of_the_first_version(tmp_path):
    write_membership(tmp_path, "4:memory:/job\n")
    write_group(tmp_path / "sys/fs/cgroup/memory/job", memory__limit_in_bytes=9223372036854771712)
    assert container_bytes(tmp_path) == []


def test_machines_without_groups(tmp_path):
    assert container_bytes(tmp_path) == []


GB = 10**9
NEEDS = {"float32": MemoryNeed(8 * GB, 9 * GB // 10), "bfloat16": MemoryNeed(4 * GB, 6 * GB // 10)}


@pytest.mark.parametrize("free", [None, 8_900_000_000])
def test_nothing_is_said_of_what_fits(free):
    assert advise(NEEDS, free) is None


def test_a_lower_precision_that_fits_is_offered():
    message = advise(NEEDS, 6_100_000_000)
    assert "8.9 GB" in message and "6.1 GB" in message
    assert message.endswith("In bfloat16 it needs 4.6 GB: choose that precision.")


def test_a_lower_precision_that_does_not_fit_is_not_offered():
    message = advise(NEEDS, 2 * GB)
    assert "still needs 4.6 GB" in message and "choose that precision" not in message


def test_without_a_lower_precision_other_ways_are_named():
    message = advise({"bfloat16": NEEDS["bfloat16"]}, GB)
    assert "float32" not in message and "smaller checkpoint" in message


def test_memory_of_the_model_that_goes_first_is_free(checkpoint, monkeypatch):
    total = need(checkpoint).total
    monkeypatch.setattr("var.checkpoints.memory.available", lambda device: total // 2)
    assert memory_problem(checkpoint, None, CPU, torch.float32) is not None
    assert memory_problem(checkpoint, None, CPU, torch.float32, freed=total) is None
