"""From a checkpoint's weights to a model on its device: strictly, tensor by tensor, without a second whole copy.

The model is laid out without memory first. Each weight then goes from the file straight to the precision and device
where it stays. The model owns its memory, so a file that is overwritten later cannot change it.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import CheckpointError
from ..formats.tensors import StoredTensor, paused_collection
from ..model.config import VARConfig, VQVAEConfig
from ..model.transformer import VAR, stored_dtype
from ..model.vqvae import VQVAE, is_in_decoder
from .changed_models import describe_change
from .checkpoint import Checkpoint, naming, saying_attack
from .fit import check_pair
from .key_differences import KeyDifferences, find_differences

WITHOUT_END = "attn_bias_for_masking"  # -inf on purpose: no place sees later scales
MAX_CHECKED_BYTES = 64 << 20  # read of a file that is only looked at
READERS = 4  # threads: half of the time goes to the system, which hands out memory a page at a time


AnyModel = TypeVar("AnyModel", bound=nn.Module)


class _WithoutInitialization(TorchFunctionMode):
    """Layers made in this context are not initialized: without memory there is nothing to fill.

    It also saves the first load most of a second, since torch would import its compiler for it.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else named["tensor"]
        return func(*args, **named)


def empty_var(config: VARConfig) -> VAR:
    """A transformer whose parameters have names and shapes, but neither memory nor values."""
    with torch.device("meta"), _WithoutInitialization():
        return VAR(config)


def empty_vqvae(config: VQVAEConfig) -> VQVAE:
    """A VQVAE whose parameters have names and shapes, but neither memory nor values."""
    with torch.device("meta"), _WithoutInitialization():
        return VQVAE(config)


def build_var(checkpoint: Checkpoint, device: torch.device | str, dtype: torch.dtype) -> VAR:
    """Build the transformer of a checkpoint.

    Args:
        checkpoint: holds a transformer.
        device: where the model goes.
        dtype: precision that it computes in; the scale indices stay integers, and what is small stays float32.

    Returns:
        The model in evaluation mode, without gradients.

    Raises:
        CheckpointError: there is no transformer, or its weights do not fit the sizes they tell.
    """
    config, weights = checkpoint.transformer
    with naming(checkpoint.path), saying_attack(checkpoint.attack), paused_collection():
        precision = partial(stored_dtype, dtype=dtype)
        return _load(empty_var(config), weights, "VAR", device, precision)


def build_vqvae(
    checkpoint: Checkpoint, device: torch.device | str, decoder_dtype: torch.dtype = torch.float32
) -> VQVAE:
    """Build the VQVAE of a checkpoint, in evaluation mode, without gradients.

    Args:
        checkpoint: holds a VQVAE.
        device: where the model goes.
        decoder_dtype: precision of its decoder; the encoder and the quantizer, which tokens come from, are float32.

    Raises:
        CheckpointError: there is no VQVAE, or its weights do not fit the sizes they tell.
    """
    config, weights = checkpoint.vqvae
    with naming(checkpoint.path), saying_attack(checkpoint.attack), paused_collection():
        return _load(
            empty_vqvae(config),
            weights,
            "VQVAE",
            device,
            lambda key: decoder_dtype if is_in_decoder(key) else torch.float32,
            channels_last=is_in_decoder,
        )


def check(checkpoint: Checkpoint) -> None:
    """Find out whether the models of a checkpoint can be built and fit each other, without reading their weights.

    Raises:
        CheckpointError: they cannot.
    """
    with naming(checkpoint.path), saying_attack(checkpoint.attack):
        states = {"VAR": checkpoint.var_weights or {}, "VQVAE": checkpoint.vae_weights or {}}
        for name, differences in find_model_differences(checkpoint).items():
            _check_fit(differences, name, states[name])
    check_pair(checkpoint, checkpoint)


def find_model_differences(checkpoint: Checkpoint) -> dict[str, KeyDifferences]:
    """How the weights of each model of a checkpoint differ from what it needs, by its name: "VAR", "VQVAE"."""
    found = {}
    if checkpoint.var_config is not None:
        var_config, weights = checkpoint.transformer
        found["VAR"] = find_differences(empty_var(var_config).state_dict(), weights)
    if checkpoint.vae_config is not None:
        vae_config, weights = checkpoint.vqvae
        found["VQVAE"] = find_differences(empty_vqvae(vae_config).state_dict(), weights)
    return found


def _load(
    model: AnyModel,
    state: Mapping[str, StoredTensor],
    name: str,
    device: torch.device | str,
    precision: Callable[[str], torch.dtype],
    channels_last: Callable[[str], bool] = lambda key: False,
) -> AnyModel:
    """Give an empty model its weights.

    Args:
        precision: of the entry of a key, where it is no integer.
        channels_last: whether the entry of a key is a convolution that is faster with its channels last.
    """
    expected = model.state_dict()
    _check_fit(find_differences(expected, state), name, state)

    def read(key: str) -> Tensor:
        slot = expected[key]
        own = state[key].read(device, precision(key) if slot.is_floating_point() else slot.dtype)
        if own.ndim == 4 and channels_last(key):
            own = own.contiguous(memory_format=torch.channels_last)
        return own

    largest_first = sorted(expected, key=lambda key: -state[key].nbytes)  # so that all readers end together
    with ThreadPoolExecutor(READERS) as pool:
        own = dict(zip(largest_first, pool.map(read, largest_first), strict=True))
    model.load_state_dict(own, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def _check_fit(differences: KeyDifferences, name: str, state: Mapping[str, StoredTensor]) -> None:
    """Refuse weights of other names, shapes or kinds of numbers; all differences make one message."""
    if differences:
        step = describe_change(name, state) or differences.next_step()
        expected = len(differences.missing) + len(differences.present)
        raise CheckpointError(
            f"The weights do not fit a {name} of the sizes they tell: {differences.describe()}. Expected the "
            f"{expected} entries of the reference implementation. {step}"
        )


def count_nonfinite(model: nn.Module) -> dict[str, int]:
    """Count NaN and infinity in a model.

    Args:
        model: on any device, in any precision.

    Returns:
        How many there are, by name of the weight; weights without any are left out.
    """
    tensors = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and not name.endswith(WITHOUT_END)
    }
    if not tensors:
        return {}
    # A sum is finite only if all it adds up are, and takes no memory; one that overflowed is looked at again.
    sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in tensors.values()])
    suspects = [name for name, finite in zip(tensors, sums.isfinite().tolist(), strict=True) if not finite]
    counts = {name: tensors[name].numel() - int(tensors[name].isfinite().sum()) for name in suspects}
    return {name: count for name, count in counts.items() if count}


def count_stored_nonfinite(checkpoint: Checkpoint) -> dict[str, int]:
    """Count NaN and infinity in the weights of a checkpoint as they stand in its file, the smallest weights first.

    A training that diverged leaves them in all weights, so that no more than `MAX_CHECKED_BYTES` are read.

    Returns:
        How many there are, by name of the weight; weights without any are left out.

    Raises:
        CheckpointError: the file changed meanwhile.
    """
    weights = [*(checkpoint.var_weights or {}).items(), *(checkpoint.vae_weights or {}).items()]
    counts, left = {}, MAX_CHECKED_BYTES
    for name, tensor in sorted(weights, key=lambda item: item[1].nbytes):
        if not tensor.is_floating_point() or name.endswith(WITHOUT_END):
            continue
        left -= tensor.nbytes
        if left < 0:
            break
        count = tensor.numel() - int(tensor.read(dtype=torch.float32).isfinite().sum())
        if count:
            counts[name] = count
    return counts


def describe_nonfinite(counts: Mapping[str, int]) -> str | None:
    """Say what a user sees of such weights, in a sentence; None where there are none.

    Args:
        counts: of `count_nonfinite`.
    """
    if not counts:
        return None
    name = next(iter(counts))
    where = name if len(counts) == 1 else f"{name} and {len(counts) - 1} more"
    verb = "is" if sum(counts.values()) == 1 else "are"
    return (
        f"{sum(counts.values()):,} of the weights' numbers {verb} NaN or infinite ({where}): the training diverged, "
        "or the file is damaged. Images will be black or noise; use an earlier checkpoint."
    )
