"""Several processes training one model, as `torchrun` starts them; alone, everything here is a no-op."""

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """This process among those of the run."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks to the terminal."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """Average the gradients of a module over the processes."""
        return DistributedDataParallel(module, find_unused_parameters=True) if self.count > 1 else module

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over the processes, on the device where they talk to each other."""
        if self.count > 1:
            values = values.cuda() if dist.get_backend() == "nccl" else values
            dist.all_reduce(values)
        return values

    def from_main(self, values: Tensor) -> Tensor:
        """Give every process the main one's values, in place."""
        if self.count > 1:
            dist.broadcast(values, src=0)
        return values

    def wait(self) -> None:
        """Wait for the other processes."""
        if self.count > 1:
            dist.barrier()


def join_processes(device_type: str) -> Processes:
    """Join the other processes where `torchrun` started this one (it sets RANK and WORLD_SIZE)."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return Processes()
    # the main process makes the tokens and writes the files while the others wait
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=timedelta(days=2))
    processes = Processes(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", 0)))
    if device_type == "cuda":
        torch.cuda.set_device(processes.local_rank)
    return processes


def leave_processes() -> None:
    """End what `join_processes` began."""
    if dist.is_initialized():
        dist.destroy_process_group()
