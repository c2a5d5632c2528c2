"""Files on the Hub of which only some bytes come, each to its place in a local file of the same size.

What did not come reads as zeros there and takes no room on the disk.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, cast

from ..errors import CheckpointError
from ..formats.atomic import write_atomically
from ..formats.tensors import TensorFile
from .addresses import HubAddress

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

BLOCK = 1 << 18  # a header costs few requests so
MAX_HEADER_BYTES = 40 << 20  # that reading may bring, to find out what a file is and what of it is wanted
Span = tuple[int, int]  # the first byte, and the one after the last


class NoRangesError(Exception):
    """Raised where a server sends more than the bytes that it was asked for."""


def joined(spans: Iterable[Span], gap: int = 0) -> list[Span]:
    """Return spans in order, those that touch or overlap as one; so are those with up to `gap` bytes between them."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1] + gap:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def without(span: Span, present: Sequence[Span]) -> Iterator[Span]:
    """Yield the parts of a span that are in none of the spans, which are joined."""
    start, end = span
    for first, last in present:
        if last <= start or first >= end:
            continue
        if start < first:
            yield start, first
        start = last
    if start < end:
        yield start, end


def total(spans: Iterable[Span]) -> int:
    """Return the bytes of spans that do not overlap."""
    return sum(end - start for start, end in spans)


class RangedFile(TensorFile):
    """A file on the Hub; what is read of its headers comes first.

    Args:
        path: the local file. What it has of an earlier try stays there, where `note` tells what that is.
        address: of the file.
        metadata: of the file, as the Hub tells it.
        token: as for huggingface_hub.
        note: takes what the local file has, so that another try goes on; None for a file that does not stay.

    Raises:
        OSError: the local file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        address: HubAddress,
        metadata: "HfFileMetadata",
        token: bool | None,
        note: Path | None = None,
    ) -> None:
        self.address, self._metadata, self._token = address, metadata, token
        self._note, self._read_bytes = note, 0
        size = metadata.size or 0
        self.present: list[Span] = _read_note(note, path, metadata) if note is not None else []
        with path.open("r+b" if self.present else "wb") as file:
            file.truncate(size)
        self._written = path.open("r+b", buffering=0)
        super().__init__(path)

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from a place on, which come unless they are there.

        Raises:
            NoRangesError: the server does not send parts of files.
            CheckpointError: it is more than a header has.
        """
        self._need(offset, count)
        return super().read(offset, count)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill a buffer in the same way: sizes that a model has as numbers are read so."""
        self._need(offset, len(buffer))
        super().read_into(offset, buffer)

    def mapped(self) -> NoReturn:
        """Refuse: a weight is not to be taken from a file that may have zeros in its place."""
        raise CheckpointError("The weights are not on this machine. Download the file.")

    def bring(self, spans: Sequence[Span], report: Callable[[int], None] | None = None) -> None:
        """Let parts of the file come, those that are not there.

        Args:
            spans: joined.
            report: called with the number of bytes that came.

        Raises:
            NoRangesError: the server does not send parts of files.
            OSError: the disk is full.
            Exception: of huggingface_hub, what is in the way.
        """
        for span in spans:
            for missing in list(without(span, self.present)):
                self._fetch(missing, report)

    def close(self) -> None:
        """Close the local file; what came is on the disk."""
        self._written.flush()
        self._written.close()

    def _need(self, offset: int, count: int) -> None:
        end = min(self.size, offset + count)
        if offset >= end:
            return
        blocks = offset // BLOCK * BLOCK, min(self.size, -(-end // BLOCK) * BLOCK)
        missing = list(without(blocks, self.present))
        self._read_bytes += total(missing)
        if self._read_bytes > MAX_HEADER_BYTES:  # what is asked for by `bring` has no limit
            raise CheckpointError("Its header is far larger than a checkpoint's. Download it to find out more.")
        for span in missing:
            self._fetch(span, None)

    def _fetch(self, span: Span, report: Callable[[int], None] | None) -> None:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        address, (start, end) = self.address, span
        http_get(
            hf_hub_url(address.repo, address.path or "", revision=self._metadata.commit_hash),
            cast(BinaryIO, _Window(self, span, report)),
            headers=build_hf_headers(token=self._token) | {"Range": f"bytes={start}-{end - 1}"},
            expected_size=end - start,
            tqdm_class=_Silent,
        )

    def write(self, start: int, content: bytes) -> None:
        """Put bytes where they belong, and note it."""
        self._written.seek(start)
        rest = memoryview(content)
        while len(rest):
            rest = rest[self._written.write(rest) :]
        self.present = joined([*self.present, (start, start + len(content))])
        if self._note is not None:
            text = json.dumps({"etag": self._metadata.etag, "spans": self.present})
            write_atomically(self._note, lambda file: file.write(text.encode()))

    def _now(self) -> tuple[int, int]:
        return os.fstat(self._file.fileno()).st_size, 0  # it is this object that changes it


class _Window:
    """The place of some bytes in a local file; huggingface_hub writes them one after the other."""

    def __init__(self, file: RangedFile, span: Span, report: Callable[[int], None] | None) -> None:
        self._file, self._next, self._end, self._report = file, *span, report

    def write(self, content: bytes) -> int:
        if self._next + len(content) > self._end:
            raise NoRangesError
        self._file.write(self._next, content)
        self._next += len(content)
        if self._report is not None:
            self._report(len(content))
        return len(content)

    def tell(self) -> NoReturn:
        """It is asked where a server that began with a part goes on with the whole."""
        raise NoRangesError


class _Silent:
    """Stands in for the bar that huggingface_hub would show for each part."""

    def __init__(self, **_: object) -> None:
        pass

    def __enter__(self) -> "_Silent":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, number: int) -> None:
        pass


def _read_note(note: Path, path: Path, metadata: "HfFileMetadata") -> list[Span]:
    """What a local file has of an earlier try; nothing where that was of another version."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(note.read_text())
        spans = joined((int(start), int(end)) for start, end in told["spans"])
        if told["etag"] == metadata.etag and path.stat().st_size == metadata.size:
            return [(start, end) for start, end in spans if 0 <= start < end <= path.stat().st_size]
    return []
