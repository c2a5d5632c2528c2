"""Checkpoint files as each project that saves VAR builds them, from tiny models; every kind is an entry of `FILES`."""

import json
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny import tiny_states, tiny_vae_config, tiny_var_config
from torch import Tensor, nn

from var import read_checkpoint
from var.checkpoints.export import export_safetensors
from var.model.transformer import VAR
from var.model.vqvae import VQVAE

State = dict[str, Tensor]
RAW_SEED, EMA_SEED = 0, 5
BUFFERS = ("lvl_1L", "attn_bias_for_masking", "zero_k_bias", "ema_vocab_hit_SV")


@dataclass(frozen=True)
class LayoutFile:
    """A kind of file and what has to be found in it.

    Args:
        write: writes it into a folder and returns what to open.
        layout: short name of the layout.
        origin: where the weights are.
        models: which of "var" and "vae" it holds.
        weights: "ema" or "raw" where both are there; the weights' values tell which were taken.
        vae_seed: whose VQVAE has to be taken.
        ignored: labels of what is left alone.
        training: what is known of the training.
    """

    write: Callable[[Path], Path]
    layout: str
    origin: str
    models: tuple[str, ...] = ("var",)
    weights: str | None = None
    vae_seed: int = RAW_SEED
    ignored: tuple[str, ...] = ()
    training: dict = field(default_factory=dict)

    def expected(self, model: str) -> State | None:
        """The state dict that has to be found, of "var" or "vae"."""
        if model not in self.models:
            return None
        return vae_state(self.vae_seed) if model == "vae" else var_state(self.seed)

    @property
    def seed(self) -> int:
        """Of the weights that have to be taken."""
        return EMA_SEED if self.weights == "ema" else RAW_SEED


def var_state(seed: int = RAW_SEED) -> State:
    """A transformer's state dict."""
    return tiny_states(seed)[0]


def vae_state(seed: int = RAW_SEED) -> State:
    """A VQVAE's state dict."""
    return tiny_states(seed)[1]


def parameters_alone(state: State) -> State:
    """What an EMA over `named_parameters()` keeps: everything but buffers."""
    return {key: value for key, value in state.items() if not key.endswith(BUFFERS)}


def optimizer_state(state: State) -> dict:
    """What AdamW's state_dict() returns for these parameters."""
    steps = {
        i: {"step": torch.tensor(7.0), "exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.zeros_like(value)}
        for i, value in enumerate(parameters_alone(state).values())
    }
    return {"state": steps, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.95), "params": list(steps)}]}


def discriminator_state() -> State:
    """Some weights of a discriminator."""
    return {"heads.0.0.weight": torch.zeros(8, 8), "heads.0.0.bias": torch.zeros(8)}


class TwoModels(nn.Module):
    """A module of somebody's own that holds a transformer and perhaps its VQVAE, under names of their choice."""

    def __init__(self, var_name: str, vae_name: str | None = None, seed: int = RAW_SEED) -> None:
        super().__init__()
        setattr(self, var_name, VAR(tiny_var_config()))
        getattr(self, var_name).load_state_dict(var_state(seed))
        if vae_name is not None:
            setattr(self, vae_name, VQVAE(tiny_vae_config()))
            getattr(self, vae_name).load_state_dict(vae_state(seed))


def _torch(payload: Callable[[], object], name: str = "a.pth", legacy: bool = False) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.save(payload(), folder / name, _use_new_zipfile_serialization=not legacy)
        return folder / name

    return write


def _safetensors(state: Callable[[], State], name: str = "a.safetensors") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        save_file(state(), folder / name, metadata={"format": "pt"})
        return folder / name

    return write


def _trainer(**parts) -> dict:
    """The file of a trainer with these parts in its state."""
    config = {"patch_nums": (1, 2, 3, 4), "resos": (4, 8, 12, 16), "label_smooth": 0.0, "prog_it": 0}
    args = OrderedDict(depth=2, pn="1_2_3_4", bs=16, ep=7)
    return {"epoch": 7, "iter": 11, "trainer": {"config": config, **parts}, "args": args}


TRAINED = {"epoch": 7, "iter": 11, "args": {"depth": 2, "pn": "1_2_3_4", "bs": 16, "ep": 7}}


def _reference() -> dict:
    opt = {"optimizer": optimizer_state(var_state()), "scaler": {"scale": 65536.0, "_growth_tracker": 11}}
    return _trainer(var_wo_ddp=var_state(), vae_local=vae_state(), var_opt=opt)


def _cca() -> dict:
    return {"epoch": 7, "iter": 0, "trainer": var_state(), "args": OrderedDict(depth=2)}


def _distilled() -> dict:
    """With distilled decoding's own weights left out, which no VAR has."""
    return _trainer(var_wo_ddp=var_state(), ema_parameters=parameters_alone(var_state(EMA_SEED)))


def _vae_trainer() -> dict:
    return _trainer(
        vae_wo_ddp=vae_state(),
        vae_ema=vae_state(EMA_SEED),
        disc_wo_ddp=discriminator_state(),
        vae_opt={"optimizer": optimizer_state(vae_state())},
        disc_opt={"optimizer": optimizer_state(discriminator_state())},
    )


def _var_with_vae_trainer_parts() -> dict:
    return {"var_wo_ddp": var_state(), "vae_wo_ddp": vae_state(), "vae_ema": vae_state(EMA_SEED)}


def _shadow() -> dict:
    return _trainer(
        var_wo_ddp=var_state(),
        vae_local=vae_state(),
        ema={"decay": 0.9999, "shadow": parameters_alone(var_state(EMA_SEED))},
    )


def _lightning(state: Callable[[], State]) -> Callable[[], dict]:
    def payload() -> dict:
        return {
            "epoch": 4,
            "global_step": 1234,
            "pytorch-lightning_version": "2.4.0",
            "state_dict": OrderedDict(state()),
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 5}}}},
            "callbacks": {},
            "optimizer_states": [optimizer_state(var_state())],
            "lr_schedulers": [],
            "hparams_name": "kwargs",
            "hyper_parameters": {"depth": 2, "learning_rate": 1e-4},
        }

    return payload


LIGHTNING = {"epoch": 4, "global_step": 1234, "args": {"depth": 2, "learning_rate": 1e-4}}


def _taming() -> State:
    """A VQVAE trained as taming-transformers does: it and the loss are parts of one module."""
    return {**vae_state(), **{f"loss.discriminator.{key}": value for key, value in discriminator_state().items()}}


def _timm() -> dict:
    return {
        "epoch": 9,
        "arch": "var_d16",
        "state_dict": var_state(),
        "optimizer": optimizer_state(var_state()),
        "version": 2,
        "args": Namespace(depth=2, data="pictures"),
        "state_dict_ema": var_state(EMA_SEED),
        "metric": 3.5,
    }


def _averaged() -> State:
    """What torch.optim.swa_utils.AveragedModel saves: `module.`, and a count."""
    return torch.optim.swa_utils.AveragedModel(TwoModels("var").var).state_dict()


def _ema_pytorch() -> State:
    """What lucidrains' EMA module saves: both sets of weights, and its counters."""
    return {
        "initted": torch.tensor(True),
        "step": torch.tensor(40),
        **{f"online_model.{key}": value for key, value in var_state().items()},
        **{f"ema_model.{key}": value for key, value in var_state(EMA_SEED).items()},
    }


def _lightning_averaging() -> dict:
    """With Lightning's WeightAveraging, which puts the averages in the place of the weights."""
    return {
        **_lightning(lambda: TwoModels("model", seed=EMA_SEED).state_dict())(),
        "current_model_state": OrderedDict(TwoModels("model").state_dict()),
        "averaging_state": {"n_averaged": torch.tensor(9)},
    }


def _ema_of_a_module() -> State:
    """A Lightning module that has ema-pytorch's EMA as a part, and its model beside it."""
    return {
        **{f"model.{key}": value for key, value in var_state().items()},
        **{f"ema.{key}": value for key, value in _ema_pytorch().items()},
    }


def _deepspeed() -> dict:
    return {
        "module": var_state(),
        "optimizer": None,
        "lr_scheduler": {"last_batch_iteration": 40},
        "global_steps": 40,
        "dp_world_size": 8,
        "ds_version": "0.14.0",
    }


def _prefixed(prefix: str) -> Callable[[], State]:
    return lambda: {prefix + key: value for key, value in var_state().items()}


def _fsdp() -> State:
    """Parts within names, as FSDP wraps every block, with activation checkpointing."""
    wrapped = "_fsdp_wrapped_module."
    return {
        wrapped + key.replace(".attn.", f".{wrapped}_checkpoint_wrapped_module.attn."): value
        for key, value in var_state().items()
    }


def _compiled() -> State:
    """As torch.compile names them, around what DataParallel names."""
    parallel = nn.DataParallel(TwoModels("var").var)
    return {f"_orig_mod.{key}": value for key, value in parallel.state_dict().items()}


def _export(folder: Path) -> Path:
    source = folder / "source.pth"
    torch.save(_reference(), source)
    export_safetensors(read_checkpoint(source), folder / "export" / "a.safetensors")
    return folder / "export" / "a.safetensors"


def write_shards(folder: Path, state: State, suffix: str = "safetensors", count: int = 3) -> Path:
    """Write a state dict in several files with an index, as huggingface_hub's savers do; returns the folder."""
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    names = [f"{stem}-{i + 1:05d}-of-{count:05d}.{suffix}" for i in range(count)]
    places = {key: names[i % count] for i, key in enumerate(state)}
    for name in names:
        part = {key: state[key] for key in places if places[key] == name}
        if suffix == "safetensors":
            save_file(part, folder / name, metadata={"format": "pt"})
        else:
            torch.save(part, folder / name)
    size = sum(value.numel() * value.element_size() for value in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))
    return folder


def _folder_of_varhf(folder: Path) -> Path:
    """What `VARHF.save_pretrained` leaves: weights, config and a card."""
    save_file(var_state(), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"depth": 2, "vae_kwargs": {"vocab_size": 64}}))
    (folder / "README.md").write_text("---\ntags: [pytorch_model_hub_mixin]\n---\n")
    return folder


BOTH = ("var", "vae")
FILES = {
    # the trainer's file, and its forks'
    "reference trainer": LayoutFile(
        _torch(_reference, "ar-ckpt-last.pth"), "trainer", "trainer.var_wo_ddp", BOTH, None, 0, ("optimizer",), TRAINED
    ),
    "reference trainer, legacy format": LayoutFile(
        _torch(_reference, legacy=True), "trainer", "trainer.var_wo_ddp", BOTH, None, 0, ("optimizer",), TRAINED
    ),
    "reference trainer, old args": LayoutFile(
        _torch(lambda: {**_reference(), "args": "{'depth': 2}"}),
        *("trainer", "trainer.var_wo_ddp", BOTH, None, 0, ("optimizer",), {"args": {"text": "{'depth': 2}"}}),
    ),
    "trainer with Namespace": LayoutFile(
        _torch(lambda: {**_reference(), "args": Namespace(depth=2)}),
        *("trainer", "trainer.var_wo_ddp", BOTH, None, 0, ("optimizer",), {"args": {"depth": 2}}),
    ),
    "CCA": LayoutFile(_torch(_cca), "bare trainer", "trainer", training={"epoch": 7, "args": {"depth": 2}}),
    "EMA of parameters": LayoutFile(
        _torch(_distilled), "trainer", "trainer.ema_parameters", ("var",), "ema", 0, ("raw weights",), TRAINED
    ),
    "trainer with a shadow": LayoutFile(
        _torch(_shadow), "trainer", "trainer.ema.shadow", BOTH, "ema", 0, ("raw weights",), TRAINED
    ),
    "trainer with var_ema": LayoutFile(
        _torch(lambda: _trainer(var_wo_ddp=var_state(), var_ema=var_state(EMA_SEED), vae_local=vae_state())),
        *("trainer", "trainer.var_ema", BOTH, "ema", 0, ("raw weights",), TRAINED),
    ),
    "trainer with the EMA of its VQVAE": LayoutFile(
        _torch(lambda: _trainer(var_wo_ddp=var_state(), vae_local=vae_state(), vae_ema=vae_state(EMA_SEED))),
        *("trainer", "trainer.var_wo_ddp", BOTH, None, 0, ("EMA weights",), TRAINED),
    ),
    "trainer of the VQVAE": LayoutFile(
        _torch(_vae_trainer),
        *("trainer", "trainer.vae_ema", ("vae",), "ema", EMA_SEED, ("optimizer", "raw weights", "discriminator")),
    ),
    "trainer of the VQVAE, raw": LayoutFile(
        _torch(lambda: _trainer(vae_wo_ddp=vae_state())), "trainer", "trainer.vae_wo_ddp", ("vae",)
    ),
    "parts of a trainer": LayoutFile(
        _torch(lambda: {"var_wo_ddp": var_state(), "vae_local": vae_state()}), "trainer's parts", "var_wo_ddp", BOTH
    ),
    "parts of two trainers": LayoutFile(
        _torch(_var_with_vae_trainer_parts),
        *("trainer's parts", "var_wo_ddp", BOTH, None, EMA_SEED, ("raw weights",)),
    ),
    # Lightning
    "Lightning, model": LayoutFile(
        _torch(_lightning(lambda: TwoModels("model").state_dict()), "epoch=4-step=1234.ckpt"),
        *("Lightning", "state_dict.model", ("var",), None, 0, ("optimizer",), LIGHTNING),
    ),
    "Lightning, var and vae": LayoutFile(
        _torch(_lightning(lambda: TwoModels("var", "vae").state_dict()), "last.ckpt"),
        *("Lightning", "state_dict.var", BOTH, None, 0, ("optimizer",), LIGHTNING),
    ),
    "Lightning, compiled": LayoutFile(
        _torch(_lightning(_prefixed("model._orig_mod.")), "last.ckpt"),
        *("Lightning", "state_dict.model", ("var",), None, 0, ("optimizer",), LIGHTNING),
    ),
    "Lightning, VQVAE with its loss": LayoutFile(
        _torch(_lightning(_taming), "last.ckpt"),
        *("Lightning", "state_dict", ("vae",), None, 0, ("optimizer", "discriminator"), LIGHTNING),
    ),
    # other trainers
    "timm": LayoutFile(
        _torch(_timm),
        *("wrapped state dict", "state_dict_ema", ("var",), "ema", 0, ("optimizer", "raw weights")),
        {"epoch": 9, "args": {"depth": 2, "data": "pictures"}},
    ),
    "model and model_ema": LayoutFile(
        _torch(lambda: {"model": var_state(), "model_ema": var_state(EMA_SEED), "step": 3}),
        *("wrapped state dict", "model_ema", ("var",), "ema", 0, ("raw weights",), {"global_step": 3}),
    ),
    "averaged model": LayoutFile(_torch(_averaged), "state dict", ""),
    "ema_pytorch": LayoutFile(_torch(_ema_pytorch), "state dict", "ema_model", ("var",), "ema", 0, ("raw weights",)),
    "ema_pytorch beside the model": LayoutFile(
        _torch(lambda: {"model": var_state(), "opt": optimizer_state(var_state()), "ema": _ema_pytorch(), "step": 40}),
        *("wrapped state dict", "ema.ema_model", ("var",), "ema", 0, ("optimizer", "raw weights"), {"global_step": 40}),
    ),
    "an EMA that keeps both": LayoutFile(
        _torch(lambda: {"ema": {"model": var_state(), "shadow": var_state(EMA_SEED)}}),
        *("wrapped state dict", "ema.shadow", ("var",), "ema", 0, ("raw weights",)),
    ),
    "Lightning, ema_pytorch": LayoutFile(
        _torch(_lightning(_ema_of_a_module), "last.ckpt"),
        *("Lightning", "state_dict.ema.ema_model", ("var",), "ema", 0, ("optimizer", "raw weights"), LIGHTNING),
    ),
    "Lightning, averaged weights": LayoutFile(
        _torch(_lightning_averaging, "last.ckpt"),
        *("Lightning", "state_dict.model", ("var",), "ema", 0, ("optimizer", "raw weights"), LIGHTNING),
    ),
    "DeepSpeed": LayoutFile(
        _torch(_deepspeed, "mp_rank_00_model_states.pt"), "wrapped state dict", "module", training={"global_step": 40}
    ),
    **{
        f"under {key}": LayoutFile(_torch(lambda key=key: {key: var_state()}), "wrapped state dict", key)
        for key in ("model", "state_dict", "model_state_dict", "weights", "params", "module", "ema", "var")
    },
    "VQVAE under model": LayoutFile(_torch(lambda: {"model": vae_state()}), "wrapped state dict", "model", ("vae",)),
    "under an unknown key": LayoutFile(
        _torch(lambda: {"stuff": var_state(), "note": "best"}), "nested state dict", "stuff"
    ),
    "nested": LayoutFile(
        _torch(lambda: {"state": {"model": var_state(), "epoch": 6}, "format": 2}),
        *("nested state dict", "state.model"),
        training={"epoch": 6},
    ),
    "list of two": LayoutFile(_torch(lambda: [vae_state(), var_state()]), "nested state dict", "1", BOTH),
    # one flat dict
    "flat": LayoutFile(_torch(var_state, "var_d16.pth"), "state dict", ""),
    "flat VQVAE": LayoutFile(_torch(vae_state, "vae_ch160v4096z32.pth"), "state dict", "", ("vae",)),
    "flat, legacy format": LayoutFile(_torch(var_state, legacy=True), "state dict", ""),
    "flat, with other values": LayoutFile(
        _torch(lambda: {**var_state(), "epoch": 5, "config": {"depth": 2}, "args": Namespace(lr=1e-4)}),
        *("state dict", ""),
        training={"epoch": 5, "args": {"lr": 1e-4}, "config": {"depth": 2}},
    ),
    "ordered, with _metadata": LayoutFile(_torch(lambda: TwoModels("var").var.state_dict()), "state dict", ""),
    "var. and vae.": LayoutFile(_torch(lambda: TwoModels("var", "vae").state_dict()), "state dict", "var", BOTH),
    "var. and vae_local.": LayoutFile(
        _safetensors(lambda: TwoModels("var", "vae_local").state_dict()), "safetensors", "var", BOTH
    ),
    "VQVAE inside the transformer's dict": LayoutFile(
        _torch(lambda: {**var_state(), **{f"vae_proxy.0.{key}": value for key, value in vae_state().items()}}),
        *("state dict", "", BOTH),
    ),
    "both without prefixes": LayoutFile(_torch(lambda: {**var_state(), **vae_state()}), "state dict", "", BOTH),
    # wrappers' parts in names
    "DataParallel and compile": LayoutFile(_torch(_compiled), "state dict", ""),
    "FSDP": LayoutFile(_torch(_fsdp), "state dict", ""),
    **{
        f"prefix {prefix}": LayoutFile(_torch(_prefixed(prefix)), "state dict", "")
        for prefix in ("module.", "_orig_mod.", "module.module._orig_mod.", "_forward_module.module.")
    },
    # safetensors and folders
    "safetensors": LayoutFile(_safetensors(var_state), "safetensors", ""),
    "VARHF folder": LayoutFile(_folder_of_varhf, "safetensors", ""),
    "shards": LayoutFile(lambda folder: write_shards(folder, var_state()), "sharded", ""),
    "shards of torch files": LayoutFile(lambda folder: write_shards(folder, var_state(), "bin"), "sharded", ""),
    "shards of both models": LayoutFile(
        lambda folder: write_shards(folder, TwoModels("var", "vae").state_dict()), "sharded", "var", BOTH
    ),
    "export": LayoutFile(_export, "export", "var", BOTH, training={"epoch": 7, "iter": 11}),
}
