"""The files that visitors upload: where they lie, how much of them is kept, whose they are, and when they go.

Each upload has a folder of its own, named by chance. Who can name it has uploaded it, so that a path that nobody could
guess is all that tells a visitor's files from those of others, and no two visitors share one, as they would where a
folder is named by what is in the file.
"""

import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..text import format_bytes

GB = 1_000_000_000
MAX_SECONDS = 24 * 60 * 60  # that an upload is kept
LEAST_BYTES = 100_000  # that an upload counts for: folders of empty files fill a disk, too
FREE_BYTES = GB  # of the disk that uploads leave
FREE_CHECKED = 64_000_000  # bytes between two looks at the disk
LARGEST_PICTURE = 64_000_000  # bytes of an upload where checkpoints are not taken


class UploadRefusedError(ValueError):
    """Raised when an upload is not taken; the message says why, and what to do."""


@dataclass(frozen=True)
class UploadLimits:
    """How much is taken, in bytes.

    Args:
        each: of one upload.
        visitor: of all that is kept of one visitor.
        total: of all that is kept.
        checkpoints: whether uploaded checkpoints are used; pictures are in any case.
    """

    each: int = 16 * GB
    visitor: int = 24 * GB
    total: int = 32 * GB
    checkpoints: bool = True


@dataclass
class _Upload:
    """An upload that is kept, or on its way."""

    visitor: str
    began: float
    num_bytes: int = 0  # that came
    counted: int = 0  # that it takes of the room


@dataclass
class Receiving:
    """An upload on its way.

    Args:
        folder: where its files are to be put.
    """

    folder: Path
    _uploads: "Uploads"
    _upload: _Upload
    _checked: int = field(default=0)

    def add(self, num_bytes: int) -> None:
        """Count bytes that are about to be written; raises UploadRefusedError where they are too many."""
        self._uploads._make_room(self._upload, num_bytes)
        self._checked += num_bytes
        if self._checked > FREE_CHECKED:
            self._checked = 0
            self._uploads.check_disk(0)


class Uploads:
    """The uploads of a server; any thread may ask.

    Args:
        folder: where they lie; made when the first comes.
        limits: how much is taken.
    """

    def __init__(self, folder: Path, limits: UploadLimits | None = None) -> None:
        self.folder = folder.absolute()
        self.limits = limits or UploadLimits()
        self._lock = threading.Lock()
        self._kept: dict[str, _Upload] = {}
        self._of_visitor: Counter[str] = Counter()  # bytes that count

    @contextmanager
    def receive(self, visitor: str, expected: int = 0) -> Iterator[Receiving]:
        """Hand out a folder for an upload; whatever is raised in the block, what came so far is deleted.

        Args:
            visitor: whose it is: a network address.
            expected: bytes that are announced; 0 where that is not known.

        Raises:
            UploadRefusedError: it is too large, or there is no room for it.
        """
        self.remove_old()
        token, upload = secrets.token_hex(16), _Upload(visitor, time.time())
        with self._lock:
            self._check_room(upload, max(expected, LEAST_BYTES))
            self._kept[token] = upload
            self._count(upload, LEAST_BYTES)
        folder = self.folder / token
        try:
            folder.mkdir(parents=True)
            self.check_disk(expected)
            yield Receiving(folder, self, upload)
        except BaseException:
            self._remove(token)
            raise

    def check_disk(self, expected: int) -> None:
        """Raise UploadRefusedError where the disk has no room for so many bytes more."""
        if shutil.disk_usage(self.folder).free - expected < FREE_BYTES:
            raise UploadRefusedError("The server's disk has no room for this upload. Try again later.")

    @property
    def num_bytes(self) -> int:
        """What all uploads take."""
        with self._lock:
            return self._of_visitor.total()

    def holds(self, path: str | Path) -> bool:
        """Whether a file was uploaded and is still there."""
        return self._token(path) is not None and Path(path).is_file()

    def checkpoint(self, path: str | Path) -> Path:
        """Return the path of an uploaded checkpoint.

        Raises:
            ValueError: checkpoints are not taken, or the file is not an upload.
            FileNotFoundError: the upload is gone.
        """
        if not self.limits.checkpoints:
            raise ValueError("This server takes no uploaded checkpoints. Choose one of its list.")
        if self._token(path) is None:
            raise FileNotFoundError("This file is not among the uploads, or no longer. Upload it again.")
        return Path(path)

    def remove(self, path: str | Path) -> None:
        """Delete an upload that is no longer needed; any other file stays."""
        token = self._token(path)
        if token is not None:
            self._remove(token)

    def remove_old(self) -> None:
        """Delete what was kept for `MAX_SECONDS`."""
        now = time.time()
        with self._lock:
            old = [token for token, upload in self._kept.items() if now - upload.began > MAX_SECONDS]
        for token in old:
            self._remove(token)

    def remove_all(self) -> None:
        """Delete all uploads."""
        with self._lock:
            self._kept.clear()
            self._of_visitor.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _token(self, path: str | Path) -> str | None:
        """Name of the folder of an upload that a path lies in; None where it lies in none."""
        try:
            inside = Path(path).resolve().relative_to(self.folder.resolve())
        except (ValueError, OSError, RuntimeError):  # elsewhere; no path at all; a link to itself
            return None
        return inside.parts[0] if len(inside.parts) > 1 and inside.parts[0] in self._kept else None

    def _remove(self, token: str) -> None:
        shutil.rmtree(self.folder / token, ignore_errors=True)
        with self._lock:
            upload = self._kept.pop(token, None)
            if upload is not None:
                self._count(upload, -upload.counted)

    def _make_room(self, upload: _Upload, num_bytes: int) -> None:
        """Let an upload grow; raises UploadRefusedError where it may not."""
        with self._lock:
            self._check_room(upload, num_bytes)
            upload.num_bytes += num_bytes
            self._count(upload, max(0, upload.num_bytes - upload.counted))

    def _count(self, upload: _Upload, num_bytes: int) -> None:
        upload.counted += num_bytes
        self._of_visitor[upload.visitor] += num_bytes
        if not self._of_visitor[upload.visitor]:
            del self._of_visitor[upload.visitor]

    def _check_room(self, upload: _Upload, num_bytes: int) -> None:
        """Raise UploadRefusedError where an upload may not grow by so many bytes."""
        limits = self.limits
        each = min(limits.each, limits.visitor, limits.total)
        each = each if limits.checkpoints else min(each, LARGEST_PICTURE)
        if upload.num_bytes + num_bytes > each:
            raise UploadRefusedError(
                f"The file is too large: this server takes uploads of up to {format_bytes(each)}."
                + (" Put it into the checkpoints folder of the server instead." if limits.checkpoints else "")
            )
        own = self._of_visitor[upload.visitor]
        if own + num_bytes > limits.visitor:
            raise UploadRefusedError(
                f"This server keeps {format_bytes(limits.visitor)} of a visitor's uploads, and yours take "
                f"{format_bytes(own)}. They are deleted a day after they came."
            )
        if self._of_visitor.total() + num_bytes > limits.total:
            raise UploadRefusedError(
                f"The uploads of all visitors fill the {format_bytes(limits.total)} that this server keeps for them. "
                "Try again later."
            )
