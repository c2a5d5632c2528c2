"""Starting from a checkpoint: the sizes that its file fixes, and its transformer's weights with rows for other classes.

Letters: D width.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.checkpoint import Checkpoint, read_checkpoint
from ..checkpoints.class_names import read_classes
from ..checkpoints.load import build_var
from ..errors import CheckpointError
from ..model.config import VARConfig
from ..model.transformer import VAR
from ..text import clean_name

CLASS_ROWS = "class_emb.weight"  # (classes + 1, D); the last row is "no class"


def fixed_options(tokenizer: Path | None, init: Path | None) -> dict[str, Any]:
    """The options that given files fix, by name.

    Args:
        tokenizer: a checkpoint whose VQVAE is used; its scales, too, where it has a transformer.
        init: a checkpoint whose transformer is started from, and whose VQVAE is used where `tokenizer` is None.

    Raises:
        CheckpointError: a file that cannot be used.
        FileNotFoundError: there is no such file.
    """
    found: dict[str, Any] = {}
    path = tokenizer or init
    if path is not None:
        checkpoint = read_checkpoint(path)
        if (sizes := checkpoint.vae_config) is not None:
            found.update(vocab_size=sizes.vocab_size, z_channels=sizes.z_channels)
            found.update(vae_ch=sizes.ch, vae_ch_mult=tuple(sizes.ch_mult))
        if checkpoint.var_config is not None:
            found.update(patch_nums=tuple(checkpoint.var_config.patch_nums))
    if init is not None and (config := read_checkpoint(init).var_config) is not None:
        found.update(patch_nums=tuple(config.patch_nums), depth=config.depth, embed_dim=config.embed_dim)
        found.update(num_heads=config.num_heads, shared_adaln=config.shared_adaln)
    return found


def check_start(checkpoint: Checkpoint, path: Path, config: VARConfig) -> None:
    """Raise CheckpointError unless a checkpoint has a transformer of these sizes; its classes may be others."""
    if checkpoint.var_config is None:
        raise CheckpointError(f"{path} has no transformer to start from; give a VQVAE alone as --tokenizer.")
    wanted, has = asdict(config), asdict(replace(checkpoint.var_config, num_classes=config.num_classes))
    differing = [f"{name} {has[name]}, not {wanted[name]}" for name in wanted if has[name] != wanted[name]]
    if differing:
        raise CheckpointError(
            f"{path} has a transformer of other sizes: {'; '.join(differing)}. Leave these options out, to start from "
            "it; what is no option cannot be changed."
        )


def start_from(model: VAR, checkpoint: Checkpoint, path: Path, class_names: Sequence[str]) -> str:
    """Give a transformer a checkpoint's weights.

    The row of a class comes from the checkpoint's class of the same name; a class that it does not have keeps the row
    that it was initialized with. Where the file names no classes and has as many, the rows are taken in their order.

    Args:
        model: initialized, on the CPU, of the sizes that `check_start` wants; changed in place.
        checkpoint: to start from.
        path: what the sentence calls it.
        class_names: of the model.

    Returns:
        A sentence on what was taken.
    """
    state = build_var(checkpoint, "cpu", torch.float32).state_dict()
    rows, own = state[CLASS_ROWS], model.state_dict()[CLASS_ROWS].clone()
    own[-1] = rows[-1]
    classes = read_classes(checkpoint)
    names = classes.names
    if not classes.source:  # no names: as many classes are taken for the same ones
        names = tuple(map(clean_name, class_names)) if len(names) == len(class_names) else ()
    places = {name: place for place, name in enumerate(names)}
    made = []
    for label, name in enumerate(class_names):
        place = places.get(clean_name(name))
        if place is None:
            made.append(name)
        else:
            own[label] = rows[place]
    model.load_state_dict({**state, CLASS_ROWS: own})
    known = len(class_names) - len(made)
    text = f"Starting from {path}: {known} of {len(class_names)} classes are known to it"
    if made:
        more = f" and {len(made) - 5} more" if len(made) > 5 else ""
        text += f"; new: {', '.join(made[:5])}{more}"
    return text + "."
