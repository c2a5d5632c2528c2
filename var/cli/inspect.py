"""`python -m var inspect`: what is in a file, and whether it can be used."""

import argparse
import json
from typing import Any

from ..checkpoints.checkpoint import read_checkpoint
from ..checkpoints.folder import resolve
from ..checkpoints.remote import peek
from ..checkpoints.report import describe, describe_unreadable, find_problem
from ..hub.addresses import is_hub_address
from ..text import JOINERS, format_bytes, format_count, format_operations, printable
from .model_arguments import DownloadBar, add_reading_arguments

SHOWN_NAMES = 8
SHOWN_OBJECTS = 5
SHOWN_CALLS = 3
WEIGHTS = {"ema": "EMA weights; the raw ones are there, too", "raw": "raw weights; EMA ones are there, too"}
USAGE = "FILE [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="the checkpoint: any supported layout; nothing in it is run")
    add_reading_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, with the full lists")


def run(args: argparse.Namespace) -> None:
    """Run the command; raises CheckpointError for a file that cannot be used, after showing what was found in it."""
    try:
        is_remote = is_hub_address(args.file)
        found = peek(args.file, weights=args.weights, num_heads=args.num_heads) if is_remote else None
        if found is not None:
            checkpoint = found.checkpoint
        else:
            checkpoint = read_checkpoint(resolve(args.file, DownloadBar()), args.weights, args.num_heads)
    except (ValueError, OSError) as error:
        _print(describe_unreadable(args.file, error), args.json)
        raise
    problem = find_problem(checkpoint, with_weights=found is None)
    _print(describe(checkpoint, problem, peek=found), args.json)
    if problem is not None:
        raise problem


def _print(report: dict, as_json: bool) -> None:
    if as_json:
        print(_json(report))
    elif "summary" in report:
        _print_lines(_checkpoint_lines(report))
    elif report.get("pickle", {}).get("globals"):
        _print_lines([_file_line(report), *_pickle_lines(report), ("usable", "no")])


def _json(report: dict) -> str:
    """Letters as they are, so that people can read them; what no terminal should get is escaped, as JSON can."""
    text = json.dumps(report, ensure_ascii=False, indent=2)
    return "".join(
        letter if letter.isprintable() or letter in f"\n{JOINERS}" else json.dumps(letter)[1:-1] for letter in text
    )


def _print_lines(lines: list[tuple[str, str]]) -> None:
    print("\n".join(f"{name:<9}{printable(value)}" for name, value in lines))


def _checkpoint_lines(report: dict) -> list[tuple[str, str]]:
    lines = [_file_line(report), ("found", report["summary"])]
    if report["hub"] is not None:
        lines += [("scan", report["hub"]["scan"]), ("download", format_bytes(report["hub"]["download_bytes"]))]
    if report["origin"]:
        lines.append(("place", report["origin"]))
    if report["weights"] is not None:
        lines.append(("", WEIGHTS[report["weights"]]))
    lines += [*_pickle_lines(report), *model_lines(report)]
    lines += [("warning", warning) for warning in report["warnings"]]
    usable = "yes" if report["usable"] else "no"
    if report["usable"] and report["hub"] is not None:
        usable += ", by its header; the weights were not read"
    return [*lines, ("usable", usable)]


def _file_line(report: dict) -> tuple[str, str]:
    several = f" in {len(report['files'])} files" if len(report.get("files", ())) > 1 else ""
    return "file", f"{report['file']} ({format_bytes(report['bytes'])}{several})"


def _pickle_lines(report: dict) -> list[tuple[str, str]]:
    """What a pickle asks for beside plain data, and what it would have called."""
    found = report["pickle"]
    lines = []
    if found["globals"]:
        lines.append(("objects", f"{_few(found['globals'], SHOWN_OBJECTS)}: none was looked up, made or run"))
    lines += [("", f"would have called {call}") for call in found["calls"][:SHOWN_CALLS]]
    if len(found["calls"]) > SHOWN_CALLS:
        lines.append(("", "and more (--json)"))
    return lines


def model_lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is said of both models, the classes and the training: the name of each line, and what it says.

    Args:
        report: by `describe`. A line without a name goes on with the one before.
    """
    lines = []
    var, vqvae = report["var"], report["vqvae"]
    if var is not None:
        config = var["config"]
        patch_nums = " ".join(map(str, config["patch_nums"]))
        assumed = " (assumed)" if report["heads_assumed"] else ""
        shared = ", shared AdaLN" if config["shared_adaln"] else ""
        lines += [
            ("VAR", _weights_line(var)),
            ("", f"depth {config['depth']}, width {config['embed_dim']}, {config['num_heads']} heads{assumed}{shared}"),
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
        shown = (
            "without names" if names is None else f"names from {report['class_names_from']}: {_few(names, SHOWN_NAMES)}"
        )
        lines.append(("classes", f"{report['num_classes']}, {shown}"))
        trained = report["trained_classes"]
        if trained is not None:
            lines.append(("", f"{len(trained)} of them look trained: {_few(list(map(str, trained)), SHOWN_NAMES)}"))
    if report["operations"] is not None:
        lines.append(("image", f"about {format_operations(report['operations'])} operations, with guidance"))
    training = report["training"]
    if "epoch" in training or "iter" in training:
        lines.append(("trained", ", ".join(f"{key} {training[key]}" for key in ("epoch", "iter") if key in training)))
    return lines


def _few(names: list[str], count: int) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _weights_line(model: dict) -> str:
    return f"{format_count(model['parameters'])} parameters, {' and '.join(model['dtypes'])}"
