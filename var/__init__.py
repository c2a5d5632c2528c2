"""Visual AutoRegressive models: from any trained checkpoint to images."""

from importlib import import_module

__version__ = "0.2.0"
__all__ = ["CheckpointError", "VARPipeline", "__version__", "read_checkpoint"]

_HOMES = {"CheckpointError": ".errors", "VARPipeline": ".pipeline", "read_checkpoint": ".checkpoints.checkpoint"}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that `import var` alone stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
