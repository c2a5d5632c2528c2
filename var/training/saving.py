"""Files of a run, and the layout of its checkpoints."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import TrainingError
from ..formats.atomic import write_atomically
from ..model.config import VARConfig
from .options import TrainingOptions


def save(path: Path, content: Mapping[str, Any]) -> None:
    """`torch.save`, atomically."""
    write_atomically(path, lambda file: torch.save(content, file))


def load(path: Path) -> dict[str, Any] | None:
    """A file of this run, on the CPU; None where there is none yet.

    Raises:
        TrainingError: the file cannot be read.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(f"{path} cannot be read ({error}); remove its folder, or give another --out.") from error


def plain_arguments(options: TrainingOptions, preset: str, class_names: list[str], data: str) -> OrderedDict[str, Any]:
    """The run's arguments as plain values, as trainer files carry them under `args`."""
    values = OrderedDict(asdict(options))
    values.update(
        preset=preset,
        data_path=data,
        pn="_".join(str(patch_num) for patch_num in options.patch_nums),
        class_names=list(class_names),
    )
    return OrderedDict((key, list(value) if isinstance(value, tuple) else value) for key, value in values.items())


def trainer_layout(
    *,
    epoch: int,
    iteration: int,
    var_config: VARConfig,
    var_state: Mapping[str, Tensor],
    vae_state: Mapping[str, Tensor],
    args: OrderedDict[str, Any],
    optimizer: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """A checkpoint as trainers of this model family save it; see the README.

    Args:
        epoch: epochs done.
        iteration: steps done in the next epoch.
        var_config: sizes of the transformer.
        var_state: its weights.
        vae_state: the tokenizer's weights.
        args: plain values.
        optimizer: its state; left out when None.
    """
    trainer: dict[str, Any] = {
        "config": {
            "patch_nums": tuple(var_config.patch_nums),
            "depth": var_config.depth,
            "num_classes": var_config.num_classes,
        },
        "var_wo_ddp": dict(var_state),
        "vae_local": dict(vae_state),
    }
    if optimizer is not None:
        trainer["var_opt"] = {"optimizer": optimizer}
    return {"epoch": epoch, "iter": iteration, "trainer": trainer, "args": args}
