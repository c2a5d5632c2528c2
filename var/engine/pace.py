"""How long images and loads took on this server, from which the time of what comes next is told."""

from pathlib import Path

from ..checkpoints.folder import describe_entry
from ..model.config import VARConfig
from ..model.operations import transformer_operations

Size = tuple[VARConfig | None, str | None]


class Pace:
    """The seconds that an image and a load took, one for each size of model and precision."""

    def __init__(self) -> None:
        self._image_seconds: dict[Size, float] = {}
        self._load_seconds: dict[Size, float] = {}
        self._fastest = 0.0  # operations a second

    def note_images(self, path: Path, dtype: str | None, seconds: float) -> None:
        """Take down how long an image of this checkpoint took."""
        key = _size_key(path, dtype)
        self._image_seconds[key] = seconds
        if key[0] is not None and seconds > 0:
            self._fastest = max(self._fastest, transformer_operations(key[0]) / seconds)

    def note_load(self, path: Path, dtype: str | None, seconds: float) -> None:
        """Take down how long it took until this checkpoint was ready."""
        self._load_seconds[_size_key(path, dtype)] = seconds

    def image_seconds(self, path: Path, dtype: str | None) -> float | None:
        """How long an image of this checkpoint takes; None where none of its size was made yet, 0 for no transformer.

        Raises:
            FileNotFoundError: there is no file.
        """
        key = _size_key(path, dtype)
        return 0.0 if key[0] is None else self._image_seconds.get(key)

    def estimate(self, path: Path, dtype: str | None) -> float | None:
        """How long an image of this checkpoint takes: as measured, else by its operations; None where nothing was made.

        By its operations it is told no longer than it is: the fastest run so far is what counts.

        Raises:
            FileNotFoundError: there is no file.
        """
        size = _size_key(path, dtype)[0]
        seconds = self.image_seconds(path, dtype)
        if seconds is not None or not self._fastest or size is None:
            return seconds
        return transformer_operations(size) / self._fastest

    def load_seconds(self, path: Path, dtype: str | None) -> float:
        """How long a load takes; 0 where that is not known."""
        return self._load_seconds.get(_size_key(path, dtype), 0.0)


def _size_key(path: Path, dtype: str | None) -> Size:
    """What the speed depends on; raises FileNotFoundError where there is no file."""
    return describe_entry(path).var_config, dtype
