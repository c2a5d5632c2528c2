"""Checkpoints on the Hub: looked into before they are downloaded, and downloaded without what is not needed."""

from dataclasses import dataclass
from pathlib import Path

from ..formats.open import ZIP_SIGNATURES, open_tensor_file
from ..formats.safetensors_format import is_safetensors
from ..formats.tensors import Storage, paused_collection
from ..hub.addresses import HubAddress, parse_address
from ..hub.download import OWN_ACCESS, Access, Progress, download
from ..hub.partial import MAX_SHARE, MIN_BYTES, Wanted
from ..hub.ranges import NoRangesError, RangedFile, joined, total
from ..hub.remote import describe_scan, looking_into
from .checkpoint import Checkpoint, naming, read_content
from .hash import sampled_spans
from .layouts import find_state_dicts


@dataclass(frozen=True)
class Peek:
    """What is known of a checkpoint on the Hub before it is downloaded.

    Args:
        address: of the file.
        num_bytes: its size.
        checkpoint: what its header says; its weights cannot be read.
        download_bytes: what a download brings.
        scan: what the Hub's own scan found, a sentence.
    """

    address: HubAddress
    num_bytes: int
    checkpoint: Checkpoint
    download_bytes: int
    scan: str


def peek(
    source: str | HubAddress, access: Access = OWN_ACCESS, weights: str | None = None, num_heads: int | None = None
) -> Peek | None:
    """Look into a checkpoint on the Hub by some requests for parts of it; nothing of it stays here.

    Args:
        source: an address; for a folder or a whole repository its one checkpoint.
        access: with whose rights.
        weights: "ema" or "raw", as for `read_checkpoint`.
        num_heads: as for `read_checkpoint`.

    Returns:
        None where only the whole file tells what it is: of a model in several files, of torch's old format, and where
        the server does not send parts of files.

    Raises:
        CheckpointError: the Hub does not hand out the file, or it is no checkpoint that can be used.
        ValueError: the weights asked for are not in the file.
    """
    asked = source if isinstance(source, HubAddress) else parse_address(source)
    try:
        with looking_into(asked, access) as remote:
            if remote is None or not _is_readable_in_parts(remote.file):
                return None
            with naming(remote.address), paused_collection():
                content = open_tensor_file(remote.file)
                checkpoint = read_content(Path(str(remote.address)), content, weights, num_heads)
            wanted = total(joined(_wanted(remote.file).spans))
    except NoRangesError:
        return None
    is_whole = remote.num_bytes < MIN_BYTES or wanted > MAX_SHARE * remote.num_bytes
    size = remote.num_bytes if is_whole else wanted
    return Peek(remote.address, remote.num_bytes, checkpoint, size, describe_scan(remote.address, access))


def download_checkpoint(
    source: str | HubAddress, progress: Progress | None = None, access: Access = OWN_ACCESS
) -> Path:
    """Local path of a checkpoint on the Hub, as `hub.download.download` gives it; an optimizer's state stays there.

    Raises:
        CheckpointError: the Hub does not hand out the file, or its header says that it is no checkpoint for VAR.
    """
    return download(source, progress, access, _choose)


def _choose(file: RangedFile) -> Wanted | None:
    """What of a file is to come: the weights, where its header tells which these are."""
    if not _is_readable_in_parts(file):
        return None
    with naming(file.address), paused_collection():
        return _wanted(file)


def _wanted(file: RangedFile) -> Wanted:
    """The weights in a file, EMA and raw, what was read to find them, and what its hash is made of."""
    content = open_tensor_file(file)
    found = find_state_dicts(content)
    both = [found] if found.weights is None else [find_state_dicts(content, weights) for weights in ("ema", "raw")]
    tensors = (
        tensor for one in both for weights in (one.var_weights, one.vae_weights) for tensor in (weights or {}).values()
    )
    storages = {id(tensor.storage): tensor.storage for tensor in tensors}.values()
    members = [storage.member for storage in storages if storage.member is not None]
    return Wanted([*file.present, *map(_span, storages), *sampled_spans(file.size)], members)


def _span(storage: Storage) -> tuple[int, int]:
    member = storage.member
    return (member.header, member.end) if member is not None else (storage.place, storage.place + storage.nbytes)


def _is_readable_in_parts(file: RangedFile) -> bool:
    start = file.read(0, 512)
    return start.startswith(ZIP_SIGNATURES) or is_safetensors(start)
