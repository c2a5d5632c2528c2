"""Tensors that are still in their file: kind, shape and place are known, the numbers are read when they are wanted.

Numbers are read, not mapped: a file that is cut short while it is read gives an error instead of ending the process,
and pages of the file do not count as memory of the process.
"""

import gc
import mmap
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..text import one_line

MAX_DIMENSIONS = 16
PART_BYTES = 1 << 20  # read at a time to another precision or device; much larger buffers leave holes in memory
MAP_NORESERVE = 0x4000  # Linux; Python names it from 3.13 on
LOCAL_HEADER_BYTES = 30  # before each member of a zip archive, and before its name
CUT_SHORT = (
    "The archive has no readable end: the file is cut short, damaged or still being written. "
    "Copy or download it again, or wait until it is complete."
)
CHANGED = (
    "The file changed while it was read: it is still being written, or was replaced. "
    "Try again when it is complete; a trainer needs some seconds for it."
)


class TensorFile:
    """A file opened for reading numbers at given places; it stays open as long as something refers to it.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()
        self._stamp = self._now()
        self.size = self._stamp[0]
        self._map: mmap.mmap | None = None

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from a place on, fewer at the file's end; safe to call from several threads."""
        parts = []
        with self._lock:  # reading moves the file's position
            self._file.seek(offset)
            while count > 0 and (part := self._file.read(min(count, 1 << 30))):
                parts.append(part)
                count -= len(part)
        return b"".join(parts)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill a buffer with the bytes from a place on; safe to call from several threads.

        Raises:
            CheckpointError: the file is no longer what it was when it was opened.
        """
        done = 0
        while done < len(buffer):
            count = self._read_at(buffer[done : done + (1 << 30)], offset + done)
            if count == 0:
                raise CheckpointError(CHANGED)
            done += count
        if self._now() != self._stamp:
            raise CheckpointError(CHANGED)

    def mapped(self) -> mmap.mmap:
        """Return the file's bytes, memory-mapped; what is written there stays in memory."""
        if self._map is None:
            if hasattr(mmap, "MAP_PRIVATE"):
                # Without the flag the system sets memory aside for changes to every page, and refuses large files.
                flags = mmap.MAP_PRIVATE | (MAP_NORESERVE if os.uname().sysname == "Linux" else 0)
                access = mmap.PROT_READ | mmap.PROT_WRITE
                self._map = mmap.mmap(self._file.fileno(), self.size, flags=flags, prot=access)
            else:
                self._map = mmap.mmap(self._file.fileno(), self.size, access=mmap.ACCESS_COPY)
        return self._map

    def _read_at(self, buffer: memoryview, offset: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [buffer], offset)
        with self._lock:  # where reading from a place moves the file's position
            self._file.seek(offset)
            return self._file.readinto(buffer)

    def _now(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


@dataclass(frozen=True)
class Member:
    """A file in a zip archive, which is not compressed.

    Args:
        header: place of what stands before its bytes.
        end: a place behind them: where the next one begins, or the archive's list.
        nbytes: its length.
        crc: CRC-32 of its bytes, as the archive has it.
    """

    header: int
    end: int
    nbytes: int
    crc: int

    def locate(self, file: TensorFile) -> int:
        """Return the place of its first byte.

        Raises:
            CheckpointError: the archive is damaged.
        """
        start = file.read(self.header, LOCAL_HEADER_BYTES) if 0 <= self.header < file.size else b""
        if len(start) < LOCAL_HEADER_BYTES or not start.startswith(b"PK\x03\x04"):
            raise CheckpointError(CUT_SHORT)
        name_length, extra_length = struct.unpack_from("<HH", start, 26)
        offset = self.header + LOCAL_HEADER_BYTES + int(name_length) + int(extra_length)
        if offset + self.nbytes > file.size:
            raise CheckpointError(CUT_SHORT)
        return offset


@dataclass(eq=False)
class Storage:
    """The run of bytes that one or more tensors are views of.

    Args:
        file: where it is.
        dtype: kind of its numbers.
        nbytes: its length in bytes.
        place: of its first byte in the file; -1 where that is told later: by legacy files after the tensors, by an
            archive where the bytes are.
        member: of a zip archive.
    """

    file: TensorFile
    dtype: torch.dtype
    nbytes: int
    place: int = -1
    member: Member | None = None

    @property
    def offset(self) -> int:
        """Place of its first byte in the file; raises CheckpointError where an archive turns out to be damaged."""
        if self.place < 0 and self.member is not None:
            self.place = self.member.locate(self.file)
        return self.place


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor that is still in its file.

    Args:
        storage: the bytes it is a view of.
        dtype: kind of its numbers.
        shape: its shape.
        stride: steps between neighbours along each axis, in elements.
        start: place of its first element in the storage, in elements.

    Raises:
        CheckpointError: it reaches beyond its storage.
    """

    storage: Storage = field(repr=False)
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    start: int = 0

    def __post_init__(self) -> None:
        numbers = (*self.shape, *self.stride, self.start)
        if len(self.shape) != len(self.stride) or any(type(n) is not int or not 0 <= n < 2**63 for n in numbers):
            raise CheckpointError("A tensor's shape or place is no list of whole numbers: the file is damaged.")
        if len(self.shape) > 16 or (
            self.numel() and (self.start + self._reach()) * self.itemsize > self.storage.nbytes
        ):
            raise CheckpointError(
                f"A tensor of shape {one_line(self.shape, 80)} reaches beyond the {self.storage.nbytes} bytes stored "
                "for it: the file is damaged. Fetch or save it again."
            )

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all its numbers, as many as it has in memory."""
        return self.numel() * self.itemsize

    @property
    def is_contiguous(self) -> bool:
        """Whether its numbers lie one after the other, in order."""
        expected = 1
        for size, step in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size != 1 and step != expected:
                return False
            expected *= size
        return True

    def numel(self) -> int:
        """Return how many numbers it has."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    def is_floating_point(self) -> bool:
        """Return whether its numbers are floating-point."""
        return self.dtype.is_floating_point

    def read(self, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Tensor:
        """Read the numbers into memory of their own.

        Args:
            device: where to.
            dtype: precision; None keeps the file's.

        Raises:
            CheckpointError: the file is no longer what it was when it was opened.
        """
        dtype, numel = dtype or self.dtype, self.numel()
        if numel == 0:
            return torch.empty(self.shape, device=device, dtype=dtype)
        if not self.is_contiguous:
            run = torch.empty(self._reach(), dtype=self.dtype)
            self._fill(run, 0)
            return run.as_strided(self.shape, self.stride).contiguous().to(device, dtype)
        whole = torch.empty(self.shape, device=device, dtype=dtype)
        if dtype == self.dtype and whole.device.type == "cpu":
            self._fill(whole.view(-1), 0)
            return whole
        # a part at a time, so that no second copy takes memory
        buffer = torch.empty(min(numel, PART_BYTES // self.itemsize), dtype=self.dtype)
        for first in range(0, numel, len(buffer)):
            part = buffer[: numel - first]
            self._fill(part, first)
            whole.view(-1)[first : first + len(part)] = part
        return whole

    def _fill(self, run: Tensor, first: int) -> None:
        """Read the storage's numbers into memory, from one on, counted from the tensor's first element."""
        place = self.storage.offset + (self.start + first) * self.itemsize
        self.storage.file.read_into(place, run.view(torch.uint8).numpy().data)

    def mapped(self) -> Tensor:
        """Return a memory-mapped view, valid as long as nobody writes to the file in place.

        Copy it before changing it. Where the numbers do not lie as their kind needs it, they are read instead.
        """
        place = self.storage.offset + self.start * self.itemsize
        if self.numel() == 0 or place % self.itemsize:
            return self.read()
        run = torch.frombuffer(self.storage.file.mapped(), dtype=self.dtype, count=self._reach(), offset=place)
        return run.as_strided(self.shape, self.stride)

    def _reach(self) -> int:
        """Elements of the storage from its first element to its last."""
        return 1 + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))


def contiguous_stride(shape: Sequence[int]) -> tuple[int, ...]:
    """Steps of a tensor whose numbers lie one after the other."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause Python's search for cycles of objects within a block that makes many at once; it goes on afterwards.

    The search starts after so and so many new objects and walks all that there are. Beside torch that takes longer than
    reading a checkpoint's list of weights.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
