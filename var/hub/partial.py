"""Checkpoints of which the weights come alone: a trainer's file has as much again, and more, of its optimizer's state.

They lie beside the Hub's own cache, which holds whole files, as local files of the full size with nothing in place of
the rest. They are laid out as the Hub's cache is: by repository and commit.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from ..formats.atomic import write_atomically
from ..formats.tensors import Member, TensorFile
from .addresses import HubAddress
from .locks import locked
from .ranges import NoRangesError, RangedFile, Span, joined, total, without

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

MIN_BYTES = 8 << 20  # of a file; a smaller one comes sooner than its header is looked at
MAX_SHARE = 0.9  # of a file; where more is wanted, it comes whole, and its hash is checked
GAP = 1 << 16  # bytes too few for a request of their own
PART = 1 << 20  # checked at a time


@dataclass(frozen=True)
class Wanted:
    """What is to come of a file.

    Args:
        spans: the bytes.
        members: the members of an archive that come whole, so that their CRC-32 can be checked.
    """

    spans: Sequence[Span]
    members: Sequence[Member] = ()


Choose = Callable[[RangedFile], Wanted | None]  # None for a file that should come whole


@dataclass(frozen=True)
class PartialFile:
    """A file that comes in parts.

    Args:
        file: as far as it is here.
        wanted: what is to come; its spans are joined.
        target: the local file once that is complete.
    """

    file: RangedFile
    wanted: Wanted
    target: Path

    @property
    def num_bytes(self) -> int:
        """All that is wanted."""
        return total(self.wanted.spans)

    @property
    def num_missing(self) -> int:
        """What of it is not here yet."""
        return sum(total(without(span, self.file.present)) for span in self.wanted.spans)

    def fetch(self, report: Callable[[int], None]) -> bool:
        """Let it come, and check it; returns whether it is complete and sound.

        Args:
            report: called with the number of bytes that are here.

        Raises:
            NoRangesError: the server does not send parts of files.
            OSError, Exception of huggingface_hub: what is in the way; what came stays.
        """
        done = self.num_bytes - self.num_missing
        report(done)

        def add(number: int) -> None:
            nonlocal done
            done += number
            report(done)

        try:
            self.file.bring(self.wanted.spans, add)
        except NoRangesError:
            _discard(self.file)
            raise
        self.file.close()
        path = self.file.path
        _note(path).unlink(missing_ok=True)
        if not all(_is_sound(self.file.path, member) for member in self.wanted.members):
            path.unlink()
            return False
        path.replace(self.target)
        return True


@contextmanager
def partial_file(
    address: HubAddress, metadata: "HfFileMetadata", token: bool | None, choose: Choose, waiting: Callable[[], None]
) -> Iterator[PartialFile | None]:
    """Find out what of a file is to come; None where it should come whole. No other process fetches it meanwhile.

    Args:
        address: of the file.
        metadata: of the file.
        token: as for huggingface_hub.
        choose: reads the header, and says what is wanted.
        waiting: called every second as long as another process fetches it.
    """
    if (metadata.size or 0) < MIN_BYTES or metadata.commit_hash is None:
        yield None
        return
    target = _target(address, metadata.commit_hash)
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f"{target.name}.incomplete")
    with locked(target.with_name(f"{target.name}.lock"), waiting):
        file = RangedFile(path, address, metadata, token, _note(path))
        try:
            wanted = choose(file)
        except NoRangesError:
            wanted = None
        except CheckpointError:
            _discard(file)
            raise
        if wanted is not None:
            wanted = Wanted(joined(wanted.spans, GAP), wanted.members)
        if wanted is None or total(wanted.spans) > MAX_SHARE * file.size:
            _discard(file)
            yield None
            return
        yield PartialFile(file, wanted, target)


def remember_revision(address: HubAddress, commit: str) -> None:
    """Note which commit a branch or a tag is, so that its files are found without network."""
    note = _folder(address) / "refs" / (address.revision or "main")
    note.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(note, lambda file: file.write(commit.encode()))


def cached_partial(address: HubAddress) -> Path | None:
    """Return the local file of what came of a file before; None where it did not."""
    revision = address.revision or "main"
    try:
        commit = (_folder(address) / "refs" / revision).read_text()
    except OSError:
        commit = revision
    found = _target(address, commit)
    return found if found.is_file() else None


def partial_root() -> Path:
    """Return the folder of all files that came in parts."""
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE) / "var" / "weights"


def _folder(address: HubAddress) -> Path:
    return partial_root() / f"models--{address.repo.replace('/', '--')}"


def _target(address: HubAddress, commit: str) -> Path:
    return _folder(address) / "snapshots" / commit / (address.path or "")


def _discard(file: RangedFile) -> None:
    """Leave nothing of a file that does not come in parts."""
    file.close()
    file.path.unlink(missing_ok=True)
    _note(file.path).unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _is_sound(path: Path, member: Member) -> bool:
    """Whether the bytes of an archive's member are those that were put in."""
    file = TensorFile(path)
    place, crc = member.locate(file), 0
    for done in range(0, member.nbytes, PART):
        crc = zlib.crc32(file.read(place + done, min(PART, member.nbytes - done)), crc)
    return crc == member.crc
