"""Tiny random models and the checkpoint files that hold them, for tests."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from golden_weights import golden_tensor
from torch import Tensor, nn

from var.formats.open import open_file
from var.formats.tensors import StoredTensor
from var.model.config import VARConfig, VQVAEConfig
from var.model.transformer import VAR
from var.model.vqvae import VQVAE

CONSTANT_BUFFERS = ("lvl_1L", "attn_bias_for_masking", "zero_k_bias", "ema_vocab_hit_SV")


def tiny_var_config(**changes) -> VARConfig:
    """A transformer of about 100 thousand parameters."""
    config = VARConfig(
        depth=2, embed_dim=64, num_heads=2, num_classes=5, patch_nums=(1, 2, 3, 4), vocab_size=64, z_channels=8
    )
    return replace(config, **changes)


def tiny_vae_config(**changes) -> VQVAEConfig:
    """A VQVAE of three levels: 16 pixels a side for 4 × 4 tokens."""
    config = VQVAEConfig(
        vocab_size=64, z_channels=8, ch=32, ch_mult=(1, 1, 2), phi_sharing=4, num_phi=4, num_usage_rows=4
    )
    return replace(config, **changes)


def formula_weight(key: str, own: Tensor, seed: int) -> Tensor:
    """The value of one entry, from its name, shape and a seed alone; constant buffers keep their own value."""
    if key.endswith(CONSTANT_BUFFERS):
        return own.clone()
    return golden_tensor(key, tuple(own.shape), seed)


def formula_state(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """A state dict for a model, made by `formula_weight`."""
    return {key: formula_weight(key, own, seed) for key, own in model.state_dict().items()}


def tiny_states(
    seed: int = 0, var_config: VARConfig | None = None, vae_config: VQVAEConfig | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State dicts of a transformer and of a VQVAE that fit each other; the caller may change them."""
    var_state = _cached_state(VAR, var_config or tiny_var_config(), seed + 1)
    vae_state = _cached_state(VQVAE, vae_config or tiny_vae_config(), seed)
    return _copied(var_state), _copied(vae_state)


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in state.items()}


@lru_cache(maxsize=4)  # most tests use the same two
def _cached_state(model_class: type[nn.Module], config: VARConfig | VQVAEConfig, seed: int) -> dict[str, Tensor]:
    return formula_state(model_class(config), seed)


def write_trainer_file(
    path: Path,
    *,
    with_vae: bool = True,
    args: dict | str | None = None,
    epoch: int = 3,
    class_names: list[str] | None = None,
    optimizer: bool = True,
    scaler: bool = False,
    prefix: str = "",
    seed: int = 0,
    var_config: VARConfig | None = None,
    vae_config: VQVAEConfig | None = None,
) -> Path:
    """Write a checkpoint as trainers of this family do.

    Args:
        path: the file to write.
        with_vae: with the VQVAE under `vae_local`.
        args: the trainer's arguments; a str as older trainers saved them.
        epoch: the epoch it claims.
        class_names: put under the args, as our own trainer does.
        optimizer: with an optimizer's state, twice the size of the weights.
        scaler: with the state of a gradient scaler.
        prefix: put before every key, as wrappers do.
        seed: of the weights.
        var_config: other sizes of the transformer.
        vae_config: other sizes of the VQVAE.
    """
    var_config = var_config or tiny_var_config()
    var_state, vae_state = tiny_states(seed, var_config, vae_config)
    trainer = {"config": {"patch_nums": var_config.patch_nums, "label_smooth": 0.0, "prog_it": 0}}
    trainer["var_wo_ddp"] = {prefix + key: value for key, value in var_state.items()}
    if with_vae:
        trainer["vae_local"] = {prefix + key: value for key, value in vae_state.items()}
    trainer["var_opt"] = {"optimizer": {"state": {}, "param_groups": [{"lr": 1e-4, "params": [0]}]}}
    if optimizer:
        trainer["var_opt"]["optimizer"]["state"] = {
            i: {"step": torch.tensor(7.0), "exp_avg": torch.zeros_like(v), "exp_avg_sq": torch.zeros_like(v)}
            for i, v in enumerate(var_state.values())
        }
    if scaler:
        trainer["var_opt"]["scaler"] = {"scale": 65536.0, "growth_factor": 2.0, "_growth_tracker": 11}
    if args is None:
        args = OrderedDict(depth=var_config.depth, pn="_".join(map(str, var_config.patch_nums)), bs=16, ep=epoch)
    if class_names is not None:
        args["class_names"] = list(class_names)
    torch.save({"epoch": epoch, "iter": 11, "trainer": trainer, "args": args}, path)
    return Path(path)


def stored(state: Mapping[str, Tensor]) -> dict[str, StoredTensor]:
    """The tensors as they stand in a file that torch.save wrote; it is gone when they are."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.pth"
        torch.save(dict(state), path)
        return open_file(path).payload
