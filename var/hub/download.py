"""Checkpoints on the Hugging Face Hub, downloaded into the Hub's cache.

Everything goes through huggingface_hub, which is imported only where it is needed: that takes a second.
"""

import functools
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from ..formats.atomic import sha256
from ..formats.open import SUFFIXES
from ..formats.shards import INDEX_SUFFIX, SHARD_INDEX, read_index
from ..text import format_bytes
from .addresses import HubAddress, is_segment, parse_address
from .errors import explaining, few
from .known_models import find_known, is_known_vqvae
from .locks import locked
from .partial import Choose, PartialFile, cached_partial, partial_file, partial_root, remember_revision
from .ranges import NoRangesError

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors")  # how the files of a model in several files end
SHA256 = re.compile(r"[0-9a-f]{64}")  # the ETag of a large file is its hash
KEPT_FREE = 2_000_000_000  # bytes of the disk that downloads leave which strangers ask for, of any number of models

Progress = Callable[[int, int], None]  # bytes done, bytes in total


@dataclass(frozen=True)
class Access:
    """What a download may do.

    Args:
        anonymous: do without this machine's access token, and hand out only what the Hub hands out to anybody: also of
            what the cache has. For downloads that strangers ask for.
        max_bytes: largest download; None for no limit.
        listed_only: hand out the published models that are listed here, and nothing else.
    """

    anonymous: bool = False
    max_bytes: int | None = None
    listed_only: bool = False

    @property
    def token(self) -> bool | None:
        """For huggingface_hub: None takes this machine's token where there is one, False none."""
        return False if self.anonymous else None


OWN_ACCESS = Access()


def download(
    source: str | HubAddress,
    progress: Progress | None = None,
    access: Access = OWN_ACCESS,
    choose: Choose | None = None,
) -> Path:
    """Local path of a file on the Hub: from the cache, at once and without network, or downloaded into it.

    A broken download is continued by the next one. For that the file is fetched over plain HTTP: huggingface_hub's own
    way throws an incomplete file away.

    Args:
        source: an address; for a folder or a whole repository its one checkpoint. For the index of a model in several
            files all of them come, and the index is returned.
        progress: called with the bytes done and the bytes in total, from the calling thread; what it raises ends the
            download. None shows a bar in a terminal.
        access: with whose rights, and how much at most.
        choose: says what of a file is wanted, where not all of it is; None for whole files.

    Raises:
        CheckpointError: what is in the way, and what to do about it.
    """
    asked = source if isinstance(source, HubAddress) else parse_address(source)
    with explaining_download(asked, access):
        address = name_file(asked, access)
        path = address.path or ""
        file = _fetch(address, [path], progress, access, choose)[0]
        if path.endswith(INDEX_SUFFIX):
            folder = _parent(path)
            commit = file.parents[path.count("/")].name  # the parts belong to the version of the index
            parts = [f"{folder}/{name}" if folder else name for name in _shard_names(file)]
            _fetch(replace(address, revision=commit), parts, progress, access)
        return file


def is_downloaded(address: HubAddress, access: Access) -> bool:
    """Whether a file is in the cache, for those who may have it without asking the Hub."""
    path = address.path or ""
    return _may_take_cached(address, path, access) and _cached(address, path) is not None


def explaining_download(asked: HubAddress, access: Access) -> AbstractContextManager[None]:
    """Raise a CheckpointError for whatever huggingface_hub and the disk raise; see `explaining`."""
    return explaining(asked, lambda: _checkpoints(_list_files(asked, access)), access.anonymous)


def cached_address(path: Path) -> HubAddress | None:
    """Where on the Hub a file of the cache is from; None for every other file."""
    parts = path.parts
    if "snapshots" not in parts:
        return None
    from huggingface_hub import constants

    for root in (Path(constants.HF_HUB_CACHE), partial_root()):
        with suppress(ValueError):  # it lies elsewhere
            repo, snapshots, commit, *inside = path.absolute().relative_to(root.absolute()).parts
            kind, *names = repo.split("--")
            if kind == "models" and len(names) == 2 and snapshots == "snapshots" and inside:
                return HubAddress("/".join(names), "/".join(inside), commit)
    return None


def name_file(asked: HubAddress, access: Access) -> HubAddress:
    """Return the address of the file that was meant, which may be the one checkpoint of a repository.

    Raises:
        CheckpointError: it cannot be told, or this file is not to be had here.
    """
    path = asked.path
    if access.listed_only and (asked.revision is not None or not _is_listed(asked.repo, path)):
        raise CheckpointError(f"{asked}: this server downloads the models of its list only. Choose one of them.")
    if path is None or not path.lower().endswith((*SUFFIXES, INDEX_SUFFIX)):
        path = _choose_file(asked, access)
    return replace(asked, path=path)


def _choose_file(address: HubAddress, access: Access) -> str:
    """The one checkpoint of a repository or of a folder in it."""
    files = _list_files(address, access)
    if address.path in files:
        return address.path
    found = _checkpoints(files, address.path)
    if len(found) > 1:
        found = [path for path in found if not _is_vqvae_name(path)] or found
    if len(found) == 1:
        return found[0]
    where = f"{address.repo}/{address.path}" if address.path else address.repo
    if not found:
        raise CheckpointError(f"{address}: {where} has no checkpoint ({', '.join(SUFFIXES)}). Check its page.")
    example = replace(address, path=found[0])
    raise CheckpointError(
        f"{address}: {where} has {len(found)} checkpoints: {few(found)}. Name one of them, such as {example}."
    )


def _list_files(address: HubAddress, access: Access) -> list[str]:
    """The files of a repository; those in the cache where the Hub cannot be asked."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        info = HfApi(token=access.token).model_info(address.repo, revision=address.revision, timeout=hub_timeout())
        names = [sibling.rfilename for sibling in info.siblings or []]
        return sorted(name for name in names if all(map(is_segment, name.split("/"))))
    except (HTTPError, OfflineModeIsEnabled) as error:
        if access.anonymous or getattr(error, "response", None) is not None:
            raise  # the Hub did answer, or the cache may hold what is not for everybody
        try:
            folder = Path(snapshot_download(address.repo, revision=address.revision, local_files_only=True))
        except LocalEntryNotFoundError:
            raise error from None
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _checkpoints(files: Sequence[str], folder: str | None = None) -> list[str]:
    """Those of the files that may be checkpoints; of a model in several files, only the index."""
    inside = [path for path in files if folder is None or path.startswith(f"{folder}/")]
    indexed = {_parent(path) for path in inside if path.endswith(SHARD_INDEX)}
    return [
        path
        for path in inside
        if path.endswith(SHARD_INDEX)
        or path.lower().endswith(SUFFIXES)
        and not (_parent(path) in indexed and SHARD.search(path))
    ]


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _is_vqvae_name(path: str) -> bool:
    return path.rpartition("/")[2].lower().startswith(("vae", "vqvae"))


def _shard_names(index: Path) -> list[str]:
    """The files that an index names; all of them lie beside it."""
    try:
        names = sorted(set(read_index(index).values()))
    except CheckpointError as error:
        raise CheckpointError(f"{index}: {error} Check its page on the Hub.") from error
    if not all(map(is_segment, names)):
        raise CheckpointError(f"{index}: the index names files that cannot lie beside it. Check its page on the Hub.")
    return names


def _fetch(
    address: HubAddress,
    paths: Sequence[str],
    progress: Progress | None,
    access: Access,
    choose: Choose | None = None,
) -> list[Path]:
    """Bring files of one repository into the cache, those that are not there yet."""
    from huggingface_hub import hf_hub_download

    cached = [_cached(address, path) if _may_take_cached(address, path, access) else None for path in paths]
    found = {path: file for path, file in zip(paths, cached, strict=True) if file is not None}
    wanted = {path: file_metadata(replace(address, path=path), access) for path in paths if path not in found}
    for path, metadata in list(wanted.items()):  # for those who had to ask the Hub first
        there = cached_partial(replace(address, path=path, revision=metadata.commit_hash))
        if there is not None:
            found[path] = there
            del wanted[path]
    with ExitStack() as stack:
        parts: dict[str, PartialFile] = {}
        for path, metadata in wanted.items():
            if choose is not None and has_hash(metadata) and not _size(_blob_paths(address, metadata.etag or "")[1]):
                one = replace(address, path=path)
                waiting = functools.partial(progress, 0, metadata.size or 0) if progress is not None else lambda: None
                partial = stack.enter_context(partial_file(one, metadata, access.token, choose, waiting))
                if partial is not None:
                    parts[path] = partial
        sizes = {path: parts[path].num_bytes if path in parts else wanted[path].size or 0 for path in wanted}
        _check_space(address, sizes, wanted, parts, access.max_bytes)
        total = sum(sizes.values())
        done = 0
        for path, metadata in wanted.items():
            report = functools.partial(_report_sum, progress, done, total) if progress is not None else None
            file = _fetch_parts(address, parts[path], metadata.commit_hash or "", report) if path in parts else None
            if file is None:
                if has_hash(metadata):
                    _fetch_blob(address, path, metadata, report, access)
                # The content is there by now, and this puts it under its name; small files, which have no hash, come
                # whole.
                file = Path(
                    hf_hub_download(
                        address.repo, path, revision=address.revision, etag_timeout=hub_timeout(), token=access.token
                    )
                )
            found[path] = file
            done += sizes[path]
            if progress is not None:
                progress(done, total)
    return [found[path] for path in paths]


def file_metadata(address: HubAddress, access: Access) -> "HfFileMetadata":
    """Ask the Hub for the size, hash and commit of a file."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, is_offline_mode
    from huggingface_hub.errors import OfflineModeIsEnabled

    if is_offline_mode():
        raise OfflineModeIsEnabled(f"{address} is not in the cache")
    url = hf_hub_url(address.repo, address.path or "", revision=address.revision)
    return get_hf_file_metadata(url, timeout=hub_timeout(), token=access.token)


def has_hash(metadata: "HfFileMetadata") -> bool:
    """Whether a file is a large one, of which the Hub tells the SHA-256."""
    return bool(metadata.size is not None and metadata.commit_hash and SHA256.fullmatch(metadata.etag or ""))


def _fetch_parts(
    address: HubAddress, partial: PartialFile, commit: str, report: Callable[[int], None] | None
) -> Path | None:
    """Let the wanted parts of a file come; None where only the whole file will do."""
    from huggingface_hub.utils import tqdm

    try:
        if report is not None:
            is_sound = partial.fetch(report)
        else:
            with tqdm(total=partial.num_bytes, unit="B", unit_scale=True, desc=partial.target.name) as bar:

                def show(done: int) -> None:
                    bar.update(done - bar.n)

                is_sound = partial.fetch(show)
    except NoRangesError:
        return None
    if is_sound:
        remember_revision(address, commit)
    return partial.target if is_sound else None


def _report_sum(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _may_take_cached(address: HubAddress, path: str, access: Access) -> bool:
    """Whether a file of the cache may be handed out without asking the Hub: strangers only get what is published."""
    return not access.anonymous or _is_listed(address.repo, path)


def _is_listed(repo: str, path: str | None) -> bool:
    return find_known(repo, path) is not None or is_known_vqvae(repo, path)


def _cached(address: HubAddress, path: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(address.repo, path, revision=address.revision)
    if isinstance(found, str):
        return Path(found)
    return cached_partial(replace(address, path=path))  # not there, or known to have been absent


def _fetch_blob(
    address: HubAddress,
    path: str,
    metadata: "HfFileMetadata",
    report: Callable[[int], None] | None,
    access: Access,
) -> None:
    """Download the content of a large file to where huggingface_hub keeps it, after what came of it before."""
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    assert metadata.etag is not None and metadata.size is not None, "`_fetch` looks first"
    blob, partial = _blob_paths(address, metadata.etag)
    lock = Path(constants.HF_HUB_CACHE, ".locks", blob.parent.parent.name, f"{metadata.etag}.lock")  # huggingface_hub's
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock, lambda: report and report(_size(partial))):
        if blob.exists():
            return
        resumed = _size(partial)
        if resumed > metadata.size:
            partial.unlink()
            resumed = 0
        with partial.open("ab") as file:
            http_get(
                hf_hub_url(address.repo, path, revision=metadata.commit_hash),
                file,
                resume_size=resumed,
                headers=build_hf_headers(token=access.token),
                expected_size=metadata.size,
                displayed_filename=path,
                tqdm_class=functools.partial(_Reporter, report) if report is not None else None,  # type: ignore[arg-type] # it makes one
            )
        # Its size is checked as it comes. What lay on the disk for a time may also have been damaged by a crash.
        if resumed and sha256(partial) != metadata.etag:
            partial.unlink()
            raise CheckpointError(f"{address}: the continued download is damaged, and was removed. Start it again.")
        partial.replace(blob)


class _Reporter:
    """Stands in for the bar that huggingface_hub would make, and hands the number of bytes on."""

    def __init__(self, report: Callable[[int], None], initial: int = 0, **_) -> None:
        self._report = report
        self._done = initial
        report(initial)

    def __enter__(self) -> "_Reporter":
        return self

    def __exit__(self, *_) -> None:
        pass

    def update(self, number: int) -> None:
        self._done += number
        self._report(self._done)


def _blob_paths(address: HubAddress, etag: str) -> tuple[Path, Path]:
    """Where huggingface_hub keeps a file's content, and where it grows until it is complete."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=address.repo, repo_type="model"), "blobs")
    return folder / etag, folder / f"{etag}.incomplete"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def hub_timeout() -> float:
    """Return how long an answer of the Hub may take."""
    from huggingface_hub import constants

    return constants.HF_HUB_ETAG_TIMEOUT  # seconds; the reader's own choice where the environment has one


def _check_space(
    address: HubAddress,
    sizes: Mapping[str, int],
    wanted: Mapping[str, "HfFileMetadata"],
    parts: Mapping[str, PartialFile],
    max_bytes: int | None,
) -> None:
    """Refuse a download that is not allowed or that the disk has no room for, before any of it is fetched."""
    from huggingface_hub import constants

    needed = whole = 0
    for path, metadata in wanted.items():
        blob, partial = _blob_paths(address, metadata.etag or "unknown")
        if not blob.exists():
            whole += sizes[path]
            needed += parts[path].num_missing if path in parts else max(0, sizes[path] - _size(partial))
    if max_bytes is not None and whole > max_bytes:
        raise CheckpointError(
            f"{address}: the download has {format_bytes(whole)}, and at most {format_bytes(max_bytes)} are allowed "
            "here. Choose a smaller model."
        )
    cache = Path(constants.HF_HUB_CACHE).absolute()
    folder = next(folder for folder in (cache, *cache.parents) if folder.exists())
    kept = KEPT_FREE if max_bytes is not None else 0
    free = max(0, shutil.disk_usage(folder).free - kept)
    if needed > free:
        raise CheckpointError(
            f"{address}: the download needs {format_bytes(needed)}, and the disk of {cache} has {format_bytes(free)} "
            "free. Free some, or set HF_HOME to a folder on another disk."
        )
