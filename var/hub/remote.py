"""Looking into a file on the Hub before it is downloaded: its header, and what the Hub's own scan of it says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote

from .addresses import HubAddress
from .download import (
    OWN_ACCESS,
    Access,
    explaining_download,
    file_metadata,
    has_hash,
    hub_timeout,
    is_downloaded,
    name_file,
)
from .ranges import RangedFile

if TYPE_CHECKING:
    from huggingface_hub.hf_api import BlobSecurityInfo

MAX_NAMED = 3  # imports that the Hub found


@dataclass(frozen=True)
class Remote:
    """A file on the Hub.

    Args:
        address: its own.
        file: its header comes as it is read; valid within the block that made it.
        num_bytes: its size.
    """

    address: HubAddress
    file: RangedFile
    num_bytes: int


@contextmanager
def looking_into(asked: HubAddress, access: Access = OWN_ACCESS) -> Iterator[Remote | None]:
    """Open a file on the Hub; None where it is here already, or a small one, such as an index, which comes whole.

    Args:
        asked: an address; for a folder or a whole repository its one checkpoint.
        access: with whose rights.

    Raises:
        CheckpointError: the Hub does not hand it out.
        NoRangesError: its server does not send parts of files.
    """
    with explaining_download(asked, access):
        address = name_file(asked, access)
        metadata = None if is_downloaded(address, access) else file_metadata(address, access)
        if metadata is None or not has_hash(metadata):
            yield None
            return
        with TemporaryDirectory(prefix="var-peek-", ignore_cleanup_errors=True) as folder:
            path = Path(folder, Path(address.path or "file").name)
            file = RangedFile(path, address, metadata, access.token)
            try:
                yield Remote(address, file, file.size)
            finally:
                file.close()


def describe_scan(address: HubAddress, access: Access = OWN_ACCESS) -> str:
    """Say what the Hub's own scan of a file found, in a sentence."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.hf_api import RepoFile
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    # what `HfApi.get_paths_info(expand=True)` asks, which would wait for ever
    revision = quote(address.revision or constants.DEFAULT_REVISION, safe="")
    try:
        answer = get_session().post(
            f"{constants.ENDPOINT}/api/models/{address.repo}/paths-info/{revision}",
            data={"paths": [address.path], "expand": True},
            headers=build_hf_headers(token=access.token),
            timeout=hub_timeout(),
        )
        hf_raise_for_status(answer)
        security = RepoFile(**answer.json()[0]).security
    except (HTTPError, OSError, ValueError, LookupError, TypeError):
        return "The Hub does not tell what its scan of the file found."
    if security is None or security.status in ("unscanned", "queued", "pending"):
        return "The Hub has not scanned the file yet."
    if security.status == "safe":
        return "The Hub's own scan found nothing."
    return f"The Hub's own scan calls the file {security.status}{_reasons(security)}."


def _reasons(security: "BlobSecurityInfo") -> str:
    imports = [item for item in (security.pickle_import_scan or {}).get("pickleImports", []) if isinstance(item, dict)]
    names = [f"{item.get('module')}.{item.get('name')}" for item in imports if item.get("safety") != "innocuous"]
    virus = (security.av_scan or {}).get("virusNames")
    shown = [*map(str, virus or ()), *names]
    return f" ({', '.join(shown[:MAX_NAMED])}{', …' if len(shown) > MAX_NAMED else ''})" if shown else ""
