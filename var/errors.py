"""The errors that callers may meet, each with a built-in parent."""


class CheckpointError(ValueError):
    """Raised when a file cannot be used as a checkpoint.

    The message names the file, what was found in it, what was expected, and the next step.
    """


class DataError(ValueError):
    """Raised when a folder or file of training images cannot be trained on."""


class TrainingError(RuntimeError):
    """Raised when a training run cannot start or go on: other settings, no finite loss, a foreign folder."""
