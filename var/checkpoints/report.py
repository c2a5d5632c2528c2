"""All that is known of a checkpoint file as plain values, which a command prints and the API answers."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..formats.open import scan_pickle
from ..formats.tensors import StoredTensor
from ..model.config import VARConfig, VQVAEConfig
from ..model.operations import count_operations
from .box import default_folder
from .checkpoint import Checkpoint, count_parameters
from .class_names import read_classes
from .folder import find_vqvae
from .key_differences import KeyDifferences
from .load import check, count_stored_nonfinite, describe_nonfinite, find_model_differences
from .plain_values import to_plain
from .remote import Peek


def find_problem(checkpoint: Checkpoint, with_weights: bool = True) -> CheckpointError | None:
    """Say why a checkpoint that was read makes no images: its weights do not fit, or are NaN; None where it does.

    Args:
        checkpoint: as it was read.
        with_weights: whether the weights are at hand to look at.
    """
    try:
        check(checkpoint)
        if with_weights and (nonfinite := describe_nonfinite(count_stored_nonfinite(checkpoint))):
            raise CheckpointError(f"{checkpoint.path}: {nonfinite}")
    except CheckpointError as error:
        return error
    return None


def describe(
    checkpoint: Checkpoint,
    problem: CheckpointError | None = None,
    trusted: bool = True,
    peek: Peek | None = None,
) -> dict[str, Any]:
    """All that is known of a checkpoint, as plain values.

    Args:
        checkpoint: as it was read.
        problem: why it cannot be used, where it cannot.
        trusted: whether the file is this machine's own; for a stranger's no folder that it names is looked at.
        peek: of a checkpoint on the Hub, of which the header alone is at hand.
    """
    vqvae_file, vae_config = None, checkpoint.vae_config
    if checkpoint.var_config is not None and vae_config is None:
        found = find_vqvae(checkpoint, [default_folder()])
        if found is not None:
            vqvae_file, vae_config = str(found.path), found.vae_config
    operations = None
    if checkpoint.var_config is not None and vae_config is not None:
        operations = count_operations(checkpoint.var_config, vae_config)
    differences = find_model_differences(checkpoint)
    classes = (
        read_classes(checkpoint, trusted and peek is None, peek is None) if checkpoint.var_config is not None else None
    )
    return {
        "file": str(peek.address if peek else checkpoint.path),
        "hub": None if peek is None else {"download_bytes": peek.download_bytes, "scan": peek.scan},
        "files": [str(path) for path in checkpoint.paths] if peek is None else [str(peek.address)],
        "bytes": checkpoint.num_bytes,
        "kind": checkpoint.kind,
        "layout": checkpoint.layout,
        "origin": checkpoint.origin,
        "weights": checkpoint.weights,
        "ignored": dict(checkpoint.ignored),
        "stand_ins": list(checkpoint.stand_ins),
        "pickle": _pickle(checkpoint),
        "summary": checkpoint.summary(),
        "warnings": list(checkpoint.warnings),
        "usable": problem is None,
        "problem": str(problem) if problem is not None else None,
        "heads_assumed": checkpoint.heads_assumed,
        "image_size": checkpoint.image_size,
        "operations": operations,
        "num_classes": checkpoint.var_config.num_classes if checkpoint.var_config is not None else None,
        "class_names": None if classes is None or not classes.source else list(classes.names),
        "class_names_from": None if classes is None else classes.source or None,
        "trained_classes": None if classes is None or classes.trained is None else list(classes.trained),
        "var": _describe_model(checkpoint.var_config, checkpoint.var_weights, differences.get("VAR")),
        "vqvae": _describe_model(checkpoint.vae_config, checkpoint.vae_weights, differences.get("VQVAE")),
        "vqvae_file": vqvae_file,
        "training": to_plain(checkpoint.training),
    }


def describe_unreadable(file: str, problem: Exception) -> dict[str, Any]:
    """What can be said of a file that is not read, as plain values.

    Args:
        file: as it was asked for: a path, or an address on the Hub.
        problem: why it is not read.
    """
    report: dict[str, Any] = {"file": file, "usable": False, "problem": " ".join(str(problem).split())}
    if Path(file).is_file():
        report["bytes"] = Path(file).stat().st_size
        report["pickle"] = _describe_pickle(Path(file))
    return report


def _pickle(checkpoint: Checkpoint) -> dict[str, list[str]]:
    """The same of a file that was read; without the calls where only its header is here."""
    if checkpoint.stand_ins and checkpoint.paths[0].is_file():
        return _describe_pickle(checkpoint.paths[0])
    return {"globals": list(checkpoint.stand_ins), "calls": []}


def _describe_pickle(path: Path) -> dict[str, list[str]]:
    """What a file's pickle asks for beside plain data, and what it would have called; none of it was looked up."""
    try:
        scanned = scan_pickle(path)
    except (CheckpointError, OSError):
        scanned = None
    if scanned is None:
        return {"globals": [], "calls": []}
    return {"globals": list(scanned.stand_ins), "calls": list(scanned.calls)}


def _describe_model(
    config: VARConfig | VQVAEConfig | None,
    state: Mapping[str, StoredTensor] | None,
    differences: KeyDifferences | None,
) -> dict[str, Any] | None:
    if config is None or state is None or differences is None:
        return None
    dtypes = sorted({str(t.dtype).removeprefix("torch.") for t in state.values() if t.is_floating_point()})
    return {
        "config": asdict(config),
        "parameters": count_parameters(state),
        "bytes": sum(tensor.nbytes for tensor in state.values()),
        "dtypes": dtypes,
        "missing": list(differences.missing),
        "unexpected": list(differences.unexpected),
        "misshaped": {key: {"found": pair[0], "expected": pair[1]} for key, pair in differences.misshaped.items()},
        "mistyped": dict(differences.mistyped),
    }
