"""`python -m var inspect`: what is in a file, and whether it can be used."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict

from torch import Tensor

from ..build import check
from ..checkpoint import Checkpoint, count_parameters, format_count, read_checkpoint
from ..errors import CheckpointError
from ..library import default_folder, find_vqvae, resolve

SHOWN_NAMES = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="the checkpoint: any supported layout; nothing in it is run")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Run the command; raises CheckpointError for a file that cannot be used, after showing what was found in it."""
    checkpoint = read_checkpoint(resolve(args.file))
    problem = None
    try:
        check(checkpoint)
    except CheckpointError as error:
        problem = error
    report = describe(checkpoint, problem)
    print(json.dumps(report, ensure_ascii=False, indent=2, default=str) if args.json else _as_text(report))
    if problem is not None:
        raise problem


def describe(checkpoint: Checkpoint, problem: CheckpointError | None = None) -> dict:
    """All that is known of a checkpoint, as plain values.

    Args:
        checkpoint: as it was read.
        problem: why it cannot be used, where it cannot.
    """
    vqvae_file = None
    if checkpoint.var_config is not None and checkpoint.vae_config is None:
        found = find_vqvae(checkpoint, [default_folder()])
        vqvae_file = str(found.path) if found is not None else None
    return {
        "file": str(checkpoint.path),
        "bytes": checkpoint.path.stat().st_size,
        "layout": checkpoint.layout,
        "summary": checkpoint.summary(),
        "usable": problem is None,
        "problem": str(problem) if problem is not None else None,
        "image_size": checkpoint.image_size,
        "num_classes": checkpoint.var_config.num_classes if checkpoint.var_config is not None else None,
        "class_names": checkpoint.class_names,
        "var": _describe_model(checkpoint.var_config, checkpoint.var_state),
        "vqvae": _describe_model(checkpoint.vae_config, checkpoint.vae_state),
        "vqvae_file": vqvae_file,
        "training": checkpoint.training,
    }


def _describe_model(config: object, state: Mapping[str, Tensor] | None) -> dict | None:
    if state is None:
        return None
    dtypes = sorted({str(t.dtype).removeprefix("torch.") for t in state.values() if t.is_floating_point()})
    return {
        "config": asdict(config),
        "parameters": count_parameters(state),
        "bytes": sum(tensor.numel() * tensor.itemsize for tensor in state.values()),
        "dtypes": dtypes,
    }


def _as_text(report: dict) -> str:
    lines = [("file", f"{report['file']} ({report['bytes'] / 1e6:.1f} MB)"), ("found", report["summary"])]
    var, vqvae = report["var"], report["vqvae"]
    if var is not None:
        config = var["config"]
        patch_nums = " ".join(map(str, config["patch_nums"]))
        shared = ", shared AdaLN" if config["shared_adaln"] else ""
        lines += [
            ("VAR", _weights_line(var)),
            ("", f"depth {config['depth']}, width {config['embed_dim']}, {config['num_heads']} heads{shared}"),
            ("", f"patch_nums {patch_nums}; vocabulary {config['vocab_size']} × {config['z_channels']}"),
        ]
    if vqvae is not None:
        config = vqvae["config"]
        factor = 2 ** (len(config["ch_mult"]) - 1)
        multipliers = " ".join(map(str, config["ch_mult"]))
        lines += [
            ("VQVAE", _weights_line(vqvae)),
            ("", f"{factor} pixels a place, channels {config['ch']} × ({multipliers}), {config['num_phi']} φ"),
            ("", f"vocabulary {config['vocab_size']} × {config['z_channels']}"),
        ]
    elif report["vqvae_file"] is not None:
        lines.append(("VQVAE", f"not in the file; {report['vqvae_file']} fits"))
    else:
        lines.append(("VQVAE", "not in the file, and none that fits was found nearby; images need one (--vae FILE)"))
    if report["num_classes"] is not None:
        names = report["class_names"]
        shown = "no names in the file"
        if names is not None:
            shown = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
        lines.append(("classes", f"{report['num_classes']} ({shown})"))
    training = report["training"]
    if "epoch" in training or "iter" in training:
        lines.append(("trained", ", ".join(f"{key} {training[key]}" for key in ("epoch", "iter") if key in training)))
    lines.append(("usable", "yes" if report["usable"] else "no"))
    return "\n".join(f"{name:<9}{value}" for name, value in lines)


def _weights_line(model: dict) -> str:
    return f"{format_count(model['parameters'])} parameters, {' and '.join(model['dtypes'])}"
