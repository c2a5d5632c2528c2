"""How far a training is, read from what it leaves in its folder: for whoever looks at its checkpoint meanwhile."""

import json
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

LOG, OPTIONS, SAMPLES = "log.jsonl", "options.json", "samples"
SHEET = re.compile(r"(tokenizer|transformer)-(\d+)\.png")
MEASURES = {"tokenizer": ("psnr", "PSNR, dB"), "transformer": ("loss", "token loss")}  # what the curves show
EPOCHS = {"tokenizer": "tokenizer_epochs", "transformer": "epochs"}  # options
MAX_LOG_BYTES = 16_000_000  # the last ones count
MAX_POINTS = 300  # of a curve
QUIET_SECONDS = 600  # without a line after which a training counts as stopped; steps and validation take no longer


@dataclass(frozen=True)
class Sheet:
    """Samples that a training made.

    Args:
        path: a PNG.
        epoch: after which they were made, from 1.
        made: seconds since 1970.
    """

    path: Path
    epoch: int
    made: float


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Args:
        stage: "tokenizer" or "transformer".
        measure: what the curves show, in words.
        curves: of "training" and "held out": step and value of each point.
        step: the last one told of.
        epoch: of that step, from 1.
        epochs: of the stage; None where that is not known.
        is_over: whether the last epoch is done.
        goes_on: whether something is being trained, as far as can be seen.
        seconds_left: of the stage, about; None where nobody knows, or where it does not go on.
        sheet: the newest samples of the stage; None where there are none.
    """

    stage: str
    measure: str
    curves: Mapping[str, Sequence[tuple[int, float]]]
    step: int
    epoch: int
    epochs: int | None
    is_over: bool
    goes_on: bool
    seconds_left: float | None
    sheet: Sheet | None


def read_progress(folder: Path, now: float | None = None) -> Progress | None:
    """Return how far the training is whose folder this is; None where it is no folder of one.

    Args:
        folder: with `log.jsonl`.
        now: seconds since 1970; None for what the clock says.
    """
    now = time.time() if now is None else now
    try:
        status = (folder / LOG).stat()
        lines = _read_log(folder / LOG, status.st_mtime_ns, status.st_size)
    except OSError:
        return None
    if not lines:
        return None
    stage, step, epoch = lines[-1]["stage"], lines[-1]["step"], lines[-1].get("epoch")
    lines = [line for line in lines if line["stage"] == stage]
    name, measure = MEASURES[stage]
    curves = {
        label: _thinned((line["step"], line[key]) for line in lines if _is_number(line.get(key)))
        for label, key in (("training", name), ("held out", f"val_{name}"))
    }
    epochs, sheets = _num_epochs(folder, stage), _sheets(folder, stage)
    epoch = epoch + 1 if isinstance(epoch, int) else 1
    sheet = sheets[-1] if sheets else None
    is_over = stage == "transformer" and sheet is not None and sheet.epoch == epochs == epoch
    goes_on = not is_over and now - status.st_mtime < QUIET_SECONDS
    left = _seconds_left(sheets, epochs, now) if goes_on else None
    return Progress(stage, measure, curves, step, epoch, epochs, is_over, goes_on, left, sheet)


@lru_cache(maxsize=8)
def _read_log(path: Path, modified: int, size: int) -> list[dict[str, Any]]:
    """The lines that tell of a step, of a file of this state; one that is being written is passed over."""
    with path.open("rb") as file:
        file.seek(max(0, size - MAX_LOG_BYTES))
        text = file.read(MAX_LOG_BYTES).decode(errors="replace")
    found = []
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):
            told = json.loads(line)
            if isinstance(told, dict) and told.get("stage") in MEASURES and type(told.get("step")) is int:
                found.append(told)
    return found


def _num_epochs(folder: Path, stage: str) -> int | None:
    try:
        epochs = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))[EPOCHS[stage]]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return epochs if type(epochs) is int else None


def _sheets(folder: Path, stage: str) -> list[Sheet]:
    """The samples of a stage, the newest last."""
    sheets = []
    with suppress(OSError):
        for path in (folder / SAMPLES).iterdir():
            match = SHEET.fullmatch(path.name)
            if match and match[1] == stage:
                sheets.append(Sheet(path, int(match[2]), path.stat().st_mtime))
    return sorted(sheets, key=lambda sheet: sheet.epoch)


def _seconds_left(sheets: Sequence[Sheet], epochs: int | None, now: float) -> float | None:
    """What the time between the last two sheets says of the epochs that are to come."""
    if epochs is None or len(sheets) < 2:
        return None
    before, last = sheets[-2:]
    an_epoch = (last.made - before.made) / (last.epoch - before.epoch)
    return max(0.0, last.made + an_epoch * (epochs - last.epoch) - now) if an_epoch > 0 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _thinned(points: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """Points as they are, or so many of them evenly, the last among them."""
    found = list(points)
    step = -(-len(found) // MAX_POINTS) if found else 1
    return found[::-1][::step][::-1]
