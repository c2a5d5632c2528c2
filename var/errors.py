"""The errors that callers may meet, each with a built-in parent; and how they are told."""

import sys
from pathlib import Path

from .text import encodable, hide_folders, hide_paths


class CheckpointError(ValueError):
    """Raised when a file cannot be used as a checkpoint.

    The message names the file, what was found in it, what was expected, and the next step.
    """


class DataError(ValueError):
    """Raised when a folder or file of training images cannot be trained on."""


class TrainingError(RuntimeError):
    """Raised when a training run cannot start or go on: other settings, no finite loss, a foreign folder."""


# What a user can bring about: an unusable file, a setting out of range, a file that is gone, a model too large.
USER_ERRORS = (ValueError, OSError, MemoryError)


def error_text(error: Exception, path: Path | None = None, name: str | None = None) -> str:
    """Return an error as one readable message, the file called as the page calls it, without folders of the server.

    Args:
        error: one of `USER_ERRORS`.
        path: the file it is about, if any: uploads lie at a place that means nothing to the user.
        name: the name shown for that file.
    """
    text = str(error) or type(error).__name__
    if path is not None:
        text = hide_folders(text, path, name)
    return encodable(hide_paths(text))


def missing_package(error: BaseException) -> str | None:
    """Say which package is not installed, and what to do; None for any other error, and for a module of this package.

    Args:
        error: what ended an import.
    """
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    package = error.name.partition(".")[0]
    if package == __package__:
        return None
    return (
        f"the package {package} is not installed for {sys.executable}; use the environment that the README's first "
        f"command makes, or install what is needed: {sys.executable} -m pip install -r requirements.txt"
    )
