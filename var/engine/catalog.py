"""The checkpoints that can be chosen: names shown on the page, what each of them is, and the files behind them."""

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..checkpoints.box import BOXED_MODEL
from ..checkpoints.folder import EntryDescription, Fingerprint, describe_entry, fingerprint, list_checkpoints
from ..text import clean_name, printable
from .uploads import Uploads

MAX_TRIED = 20  # newest files that are looked into for one to open with


class Catalog:
    """Maps the names that a page or an API call may use to files; no other file of the machine can be named.

    Args:
        folder: the checkpoints folder; it need not exist yet.
        uploads: the files that visitors upload; None where there are none.
    """

    def __init__(self, folder: Path, uploads: Uploads | None = None) -> None:
        self.folder = folder
        self.uploads = uploads or Uploads(folder / ".uploads")
        self._looking = threading.Lock()
        self.coming = ""  # a sentence on what will be offered soon
        self._offered: dict[str, Path] = {}
        self._known: dict[Path, tuple[Fingerprint, EntryDescription]] = {}

    def names(self, uploads: Mapping[str, str] | None = None) -> list[str]:
        """Return the names to choose from: this session's own files, then the folder's files, newest first."""
        return [*self._own_files(uploads), *self._folder_files()]

    def choices(self, uploads: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
        """Return what the list shows and the name of each, without reading a file.

        What files are is told as far as it is known by now; those that make no images come last.
        """
        useful: list[tuple[str, str]] = []
        others: list[tuple[str, str]] = []
        for name, path in (self._own_files(uploads) | self._folder_files()).items():
            found = self._known_description(path)
            shown = f"{clean_name(name)} · {found.detail}" if found else clean_name(name)
            (useful if found is None or found.kind == "var" else others).append((shown, name))
        return useful + others

    def look(self, uploads: Mapping[str, str] | None = None) -> Iterator[str]:
        """Find out what the files are that are not known yet, one a step."""
        for name, path in (self._own_files(uploads) | self._folder_files()).items():
            if self._known_description(path) is None:
                try:
                    self._describe(path)
                except OSError:
                    continue  # it is gone, or not ours to read
                yield name

    def look_meanwhile(self, uploads: Mapping[str, str] | None = None) -> None:
        """Find out what files are, in a thread of its own, unless one does that already."""

        def look() -> None:
            if not self._looking.acquire(blocking=False):
                return
            try:
                for _ in self.look(uploads):
                    pass
            finally:
                self._looking.release()

        threading.Thread(target=look, daemon=True).start()

    def look_for(self, seconds: float) -> None:
        """Find out what files are, the newest first, until the time is up."""
        end = time.monotonic() + seconds
        for _ in self.look():
            if time.monotonic() > end:
                break

    def offer(self, name: str, path: Path) -> None:
        """Let everybody choose a file, and open with it."""
        self._offered = {name: path}

    def default(self) -> str | None:
        """Return what to open with: what is offered, the model in the box, the newest transformer; None for no file."""
        if self._offered:
            return next(iter(self._offered))
        files = self._folder_files()
        if BOXED_MODEL in files:
            return BOXED_MODEL
        for name in list(files)[:MAX_TRIED]:
            try:
                if self._describe(files[name]).kind == "var":
                    return name
            except OSError:
                continue
        return next(iter(files), None)

    def resolve(self, name: str | None, uploads: Mapping[str, str] | None = None) -> Path:
        """Return the file behind a name.

        Args:
            name: one of `names(uploads)`; None or "" for the default.
            uploads: name and path of each of the session's own files.

        Raises:
            FileNotFoundError: no such name, or nothing to choose from.
        """
        name = name or self.default()
        if name is None:
            raise FileNotFoundError(self.empty_message())
        files = self.files(uploads)
        if name not in files:
            raise FileNotFoundError(
                f"There is no checkpoint {name} in the folder {self.folder_name}. "
                "Choose one from the list, or upload the file."
            )
        return files[name]

    def files(self, uploads: Mapping[str, str] | None = None) -> dict[str, Path]:
        """Return the file behind each name; `uploads` are the session's own."""
        return self._folder_files() | self._own_files(uploads)

    def empty_message(self) -> str:
        """Say what to do when there is nothing to choose from."""
        return f"No checkpoint yet. Upload one, or put a .pth or .safetensors file into the folder {self.folder_name}."

    @property
    def folder_name(self) -> str:
        """Name of the folder; where it lies is nothing for visitors."""
        return printable(self.folder.absolute().name)

    def _folder_files(self) -> dict[str, Path]:
        return self._offered | {entry.label: entry.path for entry in list_checkpoints(self.folder)}

    @staticmethod
    def _own_files(uploads: Mapping[str, str] | None) -> dict[str, Path]:
        return {name: Path(path) for name, path in reversed([*(uploads or {}).items()])}

    def _known_description(self, path: Path) -> EntryDescription | None:
        """What a file is, if it was looked into and did not change since."""
        known = self._known.get(path)
        try:
            return known[1] if known and known[0] == fingerprint(path) else None
        except OSError:
            return None

    def _describe(self, path: Path) -> EntryDescription:
        """What a file is; raises FileNotFoundError where it is gone."""
        version = fingerprint(path)
        found = describe_entry(path)
        self._known[path] = (version, found)
        return found
