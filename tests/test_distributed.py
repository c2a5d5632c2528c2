"""Files of models that were trained on several processes: read where all numbers are in them, else explained."""

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from layout_files import var_state, write_shards
from safetensors.torch import save_file
from tiny import tiny_states
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

from var.checkpoints.checkpoint import read_checkpoint
from var.checkpoints.folder import describe_entry
from var.errors import CheckpointError


@pytest.fixture
def processes(request):
    """As in process 0 of so many; no other is there, and nothing is sent."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=request.param)
    yield init_device_mesh("cpu", (request.param,))
    dist.destroy_process_group()


def spread(state: dict, mesh, placement) -> dict:
    """The state dict of a model that FSDP2 spread over the processes: parameters are, buffers are not."""
    return {
        key: DTensor.from_local(value, mesh, [placement], run_check=False) if value.is_floating_point() else value
        for key, value in state.items()
    }


@pytest.mark.parametrize(("processes", "placement"), [(1, Shard(0)), (2, Replicate())], indirect=["processes"])
@pytest.mark.parametrize("legacy", [False, True])
def test_weights_that_are_whole_in_one_process_are_read(tmp_path, processes, placement, legacy):
    path = tmp_path / "a.pth"
    torch.save({"model": spread(var_state(), processes, placement)}, path, _use_new_zipfile_serialization=not legacy)
    found = read_checkpoint(path).var_state
    assert all(torch.equal(found[key], value) for key, value in var_state().items())


@pytest.mark.parametrize("processes", [2], indirect=True)
def test_parts_of_weights_are_refused_with_what_gathers_them(tmp_path, processes):
    torch.save(spread(tiny_states()[0], processes, Shard(0)), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="one part of a weight.*get_model_state_dict"):
        read_checkpoint(tmp_path / "a.pth")


def test_folder_of_torch_distributed_checkpoint_is_explained_and_opens_when_joined(tmp_path):
    folder = tmp_path / "step_100"
    dcp.save({"model": tiny_states()[0], "step": 100}, checkpoint_id=folder, no_dist=True)
    for path in (folder, next(folder.glob("*.distcp")), folder / ".metadata"):
        with pytest.raises(CheckpointError, match="dcp_to_torch_save"):
            read_checkpoint(path)
    dcp_to_torch_save(folder, tmp_path / "joined.pth")
    found = read_checkpoint(tmp_path / "joined.pth")
    assert found.training["global_step"] == 100
    assert all(torch.equal(found.var_state[key], value) for key, value in tiny_states()[0].items())


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_one_file_of_several_is_called_that(tmp_path, suffix):
    first = min(path for path in write_shards(tmp_path, var_state(), suffix).iterdir() if path.suffix != ".json")
    with pytest.raises(CheckpointError, match=r"file 1 of 3 of one model.*\*\.index\.json"):
        read_checkpoint(first)
    assert describe_entry(first).detail == "not a checkpoint: this is file 1 of 3 of one model"
    whole = first.with_name(f"model-00001-of-00001.{suffix}")
    save_file(var_state(), whole) if suffix == "safetensors" else torch.save(var_state(), whole)
    assert read_checkpoint(whole).var_config is not None


def test_weights_that_are_empty_are_in_other_files(tmp_path):
    torch.save({"module": {key: torch.empty(0) for key in var_state()}, "ds_version": "0.14"}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="is empty.*zero_to_fp32.py"):
        read_checkpoint(tmp_path / "a.pt")


def test_folder_of_deepspeed_is_explained(tmp_path):
    (tmp_path / "zero_to_fp32.py").write_text("")
    (tmp_path / "latest").write_text("global_step40")
    with pytest.raises(CheckpointError, match="zero_to_fp32.py . OUT"):
        read_checkpoint(tmp_path)
