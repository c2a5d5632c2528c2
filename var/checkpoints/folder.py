"""The checkpoints at hand: those in a folder and what each of them is, and a VQVAE that fits a transformer."""

import itertools
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError
from ..formats.open import SUFFIXES, may_be_checkpoint
from ..formats.shards import INDEX_SUFFIX, SHARD_INDEX, shard_names
from ..hub.addresses import is_hub_address
from ..hub.download import Progress
from ..model.config import VARConfig, VQVAEConfig
from ..text import encodable, hide_folders
from .checkpoint import Checkpoint, read_checkpoint
from .fit import pair_problem
from .remote import download_checkpoint

RUN_FILES = {"options.json", "data.json"}  # of a training of ours, which keeps there what it has made so far:
RUN_PARTS = re.compile(r"(tokens|tokenizer).*\.pth")
MAX_DEPTH = 4  # levels of folders inside the folder
MAX_SCANNED = 20_000  # files and folders looked at, so that a data set below the folder does not take minutes
MAX_LOOKED_INTO = 2_000  # files of which the name does not say what they are
MAX_CACHED = 2_000  # descriptions kept

Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class CheckpointEntry:
    """A file that may be a checkpoint.

    Args:
        path: the file; of a model in several files, their index.
        label: its path relative to the folder that was listed; of a model in several files, the path of their folder.
        modified: time of its last change, in seconds since 1970.
    """

    path: Path
    label: str
    modified: float


@dataclass(frozen=True)
class EntryDescription:
    """What a file is.

    Args:
        kind: "var" for a transformer, with or without a VQVAE; "vqvae" for a VQVAE alone; "other" for what is neither.
        detail: for people: "depth 16, epoch 180", "VQVAE alone", "not a checkpoint: ...".
        var_config: sizes of the transformer; None where there is none.
        vae_config: sizes of the VQVAE; None where there is none.
    """

    kind: str
    detail: str
    var_config: VARConfig | None = None
    vae_config: VQVAEConfig | None = None


def list_checkpoints(folder: str | Path, max_depth: int = MAX_DEPTH) -> list[CheckpointEntry]:
    """Files of a folder and of those inside it that may be checkpoints, newest first; none where there is no folder.

    A model in several files is one entry. Hidden folders are left out, what a training of ours needs to go on, and what
    lies deeper than `max_depth` levels or beyond the first `MAX_SCANNED` files.
    """
    folder = Path(folder)
    entries, looked_into = [], 0
    for inside, files in _walk(folder, max_depth):
        indexes = [path for path in files if path.name.endswith(SHARD_INDEX)]
        shards = {name for index in indexes for name in shard_names(index)}
        is_run = {path.name for path in files} >= RUN_FILES
        for path in files:
            is_index = path.name.endswith(SHARD_INDEX)
            if not is_index and (path.name in shards or is_run and RUN_PARTS.fullmatch(path.name)):
                continue
            if not is_index and path.suffix.lower() not in SUFFIXES:
                looked_into += 1
                if looked_into > MAX_LOOKED_INTO or not may_be_checkpoint(path):
                    continue
            named = inside if is_index and len(indexes) == 1 and inside != folder else path
            try:
                modified = max(time for _, _, time in fingerprint(path)) / 1e9
            except OSError:
                continue  # a trainer replaced it in this moment
            entries.append(CheckpointEntry(path, encodable(named.relative_to(folder).as_posix()), modified))
    return sorted(entries, key=lambda entry: (-entry.modified, entry.label))


def fingerprint(path: str | Path) -> Fingerprint:
    """What tells a file from a newer one at the same place: name, size in bytes and time of change in ns of each part.

    Args:
        path: a file, the index of several files, or a folder with one of these.

    Raises:
        FileNotFoundError: it is gone.
    """
    path = Path(path)
    parts = [path]
    if path.is_dir():
        parts = [part for part in path.iterdir() if part.name.endswith(INDEX_SUFFIX) or may_be_checkpoint(part)]
    elif path.name.endswith(INDEX_SUFFIX):
        parts = [path, *(path.parent / name for name in shard_names(path))]
    found = []
    for part in parts:
        if part != path and not part.exists():
            continue  # not downloaded yet; once it comes, the fingerprint changes
        status = part.stat()
        found.append((str(part), status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))


class _Descriptions:
    """What files are, kept until they change; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Path, tuple[Fingerprint, EntryDescription]] = OrderedDict()

    def get(self, path: Path) -> EntryDescription:
        path = path.absolute()
        now = fingerprint(path)
        with self._lock:
            known = self._known.get(path)
        if known is not None and known[0] == now:
            return known[1]
        description = _describe(path)  # without the lock: it may take a moment, and twice does no harm
        with self._lock:
            self._known[path] = (now, description)
            self._known.move_to_end(path)
            while len(self._known) > MAX_CACHED:
                self._known.popitem(last=False)
        return description


_descriptions = _Descriptions()


def describe_entry(path: str | Path) -> EntryDescription:
    """What a file is, read from its header alone; a file that did not change is not read twice.

    Raises:
        FileNotFoundError: it is gone.
    """
    return _descriptions.get(Path(path))


def find_vqvae(
    checkpoint: Checkpoint, folders: Sequence[str | Path] = (), name: str | None = None
) -> Checkpoint | None:
    """A VQVAE that fits a transformer: beside its file first, then in the given folders and those inside them.

    In each folder files of a VQVAE alone come before those that carry one beside another transformer, then those
    with "vae" in their name, then newer ones.

    Args:
        checkpoint: holds the transformer.
        folders: where to look after the file's own folder.
        name: take only a file of this name.

    Returns:
        The checkpoint that holds the VQVAE, or None.
    """
    if checkpoint.var_config is None:
        return None
    own = {path.resolve() for path in (checkpoint.path, *checkpoint.paths)}
    # A link is followed, too: files of the Hub's cache and "latest" files of trainings are links.
    near = [path.parent for path in (checkpoint.path.absolute(), checkpoint.path.resolve())]
    if checkpoint.path.is_dir():
        near.insert(0, checkpoint.path)
    places = {Path(folder).resolve(): MAX_DEPTH for folder in folders}
    for folder in dict.fromkeys((*(folder.resolve() for folder in near), *places)):
        fitting = []
        for entry in list_checkpoints(folder, places.get(folder, 0)):
            if entry.path.resolve() in own or name not in (None, entry.path.name):
                continue
            try:
                found = describe_entry(entry.path)
            except OSError:
                continue  # it is gone, or not ours to read
            if found.vae_config is not None and not pair_problem(checkpoint.var_config, found.vae_config):
                fitting.append((found.var_config is not None, "vae" not in entry.path.name.lower(), entry.path))
        for *_, path in sorted(fitting, key=lambda candidate: candidate[:2]):
            try:
                return read_checkpoint(path)
            except (CheckpointError, OSError):
                continue  # it changed in this moment
    return None


def resolve(source: str | Path, progress: Progress | None = None) -> Path:
    """Local path of a checkpoint.

    Args:
        source: a path, or an address on the Hugging Face Hub (hf://owner/repo/path/in/repo, or from the browser), which
            is downloaded, its weights alone, unless it is in the cache.
        progress: as for `hub.download`.

    Raises:
        CheckpointError: the address is none, or the Hub does not hand out the file.
    """
    return download_checkpoint(str(source), progress) if is_hub_address(source) else Path(source)


def _walk(folder: Path, max_depth: int) -> Iterator[tuple[Path, list[Path]]]:
    """Folders and the files in each, the nearest first; a folder that links lead to again is visited once."""
    level, visited, scanned = [folder], set(), 0
    for _ in range(max_depth + 1):
        deeper = []
        for inside in level:
            try:
                status = inside.stat()
                if (status.st_dev, status.st_ino) in visited:
                    continue
                visited.add((status.st_dev, status.st_ino))
                with os.scandir(inside) as scan:
                    found = list(itertools.islice(scan, MAX_SCANNED - scanned))
            except OSError:
                continue  # not there, or not ours to read
            scanned += len(found)
            shown = sorted((item for item in found if not item.name.startswith(".")), key=lambda item: item.name)
            deeper += [inside / item.name for item in shown if _is(item.is_dir)]
            yield inside, [inside / item.name for item in shown if _is(item.is_file)]
        level = deeper


def _is(question: Callable[[], bool]) -> bool:
    """The answer to `is_dir` or `is_file`; no for a link to itself, of which the system says nothing."""
    try:
        return question()
    except OSError:
        return False


def _describe(path: Path) -> EntryDescription:
    try:
        checkpoint = read_checkpoint(path)
    except (CheckpointError, OSError) as error:
        reason = hide_folders(str(error), path).removeprefix(f"{path.name}: ").split(". ")[0].strip().rstrip(".")
        if reason[1:2].islower():  # a word, and no abbreviation
            reason = reason[0].lower() + reason[1:]
        return EntryDescription("other", f"not a checkpoint: {reason}")
    if checkpoint.var_config is None:
        return EntryDescription("vqvae", "VQVAE alone", None, checkpoint.vae_config)
    epoch = checkpoint.training.get("epoch")
    detail = f"depth {checkpoint.var_config.depth}" + (f", epoch {epoch}" if epoch is not None else "")
    return EntryDescription("var", detail, checkpoint.var_config, checkpoint.vae_config)
