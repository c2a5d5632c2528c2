"""The classes of a checkpoint: their names, where these are from, and which of them look trained."""

from dataclasses import dataclass

from .checkpoint import Checkpoint
from .class_names import clean_name, find_class_names
from .trained_classes import trained_classes


@dataclass(frozen=True)
class Classes:
    """What is known of a checkpoint's classes.

    Args:
        names: one a class; "class 3" where there is no name.
        source: where the names are from, such as "the file"; "" where there are none.
        trained: the classes that look trained where the others do not; None where that cannot be told.
        remarks: what was found beside the file and not used, and why.
    """

    names: tuple[str, ...]
    source: str
    trained: tuple[int, ...] | None
    remarks: tuple[str, ...] = ()


def read_classes(checkpoint: Checkpoint, trusted: bool = True) -> Classes:
    """Name the classes of a transformer, and look which rows of its class embedding are trained.

    Args:
        checkpoint: holds a transformer.
        trusted: whether the file is this machine's own. For a stranger's no folder that it names is looked at.

    Raises:
        CheckpointError: the file changed meanwhile.
    """
    num_classes = checkpoint.var_config.num_classes
    trained = trained_classes(checkpoint.var_weights["class_emb.weight"].read())
    if checkpoint.class_names is not None:
        names = (clean_name(name) or f"class {label}" for label, name in enumerate(checkpoint.class_names))
        return Classes(tuple(names), "the file", trained)
    found = find_class_names(checkpoint.path, num_classes, checkpoint.training, trained, data_folder=trusted)
    if found is None:
        return Classes(tuple(f"class {label}" for label in range(num_classes)), "", trained)
    return Classes(found.names, found.source, trained, found.remarks)
