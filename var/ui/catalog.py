"""The checkpoints that can be chosen: names shown on the page, and the files behind them."""

from collections.abc import Mapping
from pathlib import Path

from ..library import list_checkpoints

BOXED_MODEL = "fruits64.pth"


class Catalog:
    """Maps the names that a page or an API call may use to files; no other file of the machine can be named.

    Args:
        folder: the checkpoints folder; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self, uploads: Mapping[str, str] | None = None) -> list[str]:
        """Return the names to choose from: this session's uploads, then the folder's files, newest first."""
        return list(reversed(uploads or {})) + list(self._folder_files())

    def default(self) -> str | None:
        """Return the name of the model in the box, else of the newest file; None for an empty folder."""
        names = list(self._folder_files())
        if BOXED_MODEL in names:
            return BOXED_MODEL
        return names[0] if names else None

    def resolve(self, name: str | None, uploads: Mapping[str, str] | None = None) -> Path:
        """Return the file behind a name.

        Args:
            name: one of `names(uploads)`; None or "" for the default.
            uploads: name and path of each file that the session uploaded.

        Raises:
            FileNotFoundError: no such name, or nothing to choose from.
        """
        name = name or self.default()
        if name is None:
            raise FileNotFoundError(self.empty_message())
        files = self._folder_files() | {label: Path(path) for label, path in (uploads or {}).items()}
        if name not in files:
            raise FileNotFoundError(
                f"There is no checkpoint {name} in {self.folder}. Choose one from the list, or upload the file."
            )
        return files[name]

    def empty_message(self) -> str:
        """Say what to do when there is nothing to choose from."""
        return f"No checkpoint yet. Upload one, or put a .pth or .safetensors file into the folder {self.folder}."

    def _folder_files(self) -> dict[str, Path]:
        return {entry.label: entry.path for entry in list_checkpoints(self.folder)}
