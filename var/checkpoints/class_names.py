"""The classes of a checkpoint: their names, where these are from, and which of them look trained.

A checkpoint without names takes them from files beside it, from the folder of its training's data, or from ImageNet.

All of these may come from strangers: what is read is bounded, and names are cleaned before anybody shows them.
"""

import itertools
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..text import MAX_NAME_LENGTH, clean_name
from .checkpoint import Checkpoint
from .trained_classes import trained_classes

IMAGENET, IMAGENET_CLASSES = "ImageNet", 1000
MAX_FILE_BYTES = 1 << 20
MAX_PATH_LENGTH = 1000  # characters
MAX_OTHER_ENTRIES = 1000  # of a data folder, beside one folder a class
MAX_LOOKED_AT = 200  # entries of a class folder that are looked at for an image
NAME_FILES = ("classes.txt", "classes.json", "class_names.txt", "class_names.json")
WRAPPER_KEYS = ("class_names", "classes", "names", "id2label", "idx_to_class", "class_to_idx", "label2id")
DATA_KEYS = ("data_path", "data", "data_dir")  # under which trainers of this family keep the folder of images
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
MAX_OFFERED = 25_000  # classes that people are offered to choose from; above ImageNet's 21,841
MAX_TESTED_BYTES = 256 << 20  # of class rows that are looked at for those that look trained
IMAGENET_FOLDER = re.compile(r"image[-_ ]?net|ilsvrc|(?<![a-z])in[-_]?1k", re.IGNORECASE)
IMAGENET_PART = re.compile(r"tiny|mini|small|sub|nette|woof|net[-_ ]?(10|50|100|200|300)(?!\d)", re.IGNORECASE)


@dataclass(frozen=True)
class ClassNames:
    """Names of all classes of a model.

    Args:
        names: one a class; "class 12" where class 12 has no name of its own.
        source: where they are from, for people; empty where no class has a name.
        num_named: how many classes have a name of their own.
        remarks: sources that were there and could not be used, a sentence each.
    """

    names: tuple[str, ...]
    source: str
    num_named: int
    remarks: tuple[str, ...] = ()


class _UnusableError(ValueError):
    """Raised when a file or folder gives no names for this model; the message says why, in half a sentence."""


def find_class_names(
    path: Path,
    num_classes: int,
    training: Mapping[str, Any],
    trained: Sequence[int] | None = None,
    data_folder: bool = True,
) -> ClassNames | None:
    """Names from around a checkpoint, of the first source that has some.

    The sources, in order: `<stem>.txt` and `<stem>.json` beside the checkpoint; `classes.txt`, `classes.json`,
    `class_names.txt` and `class_names.json` there; the folders of the data that it was trained on, if they are on this
    machine; ImageNet, where the model has 1000 classes and nothing says that it was trained on other data.

    Args:
        path: the checkpoint, a file or a folder.
        num_classes: of the model, >= 1. A source may have fewer names; one that has more is of another model.
        training: what the checkpoint says of its training; `args` is looked at.
        trained: the classes that look trained, where that can be told; if these are not all, it is not ImageNet.
        data_folder: whether to look at the data folder. False for a file of strangers, who would learn what is there.

    Returns:
        None where there are no names and nothing to remark.
    """
    remarks = []
    for source in (_beside(path), *_data_folders(training, data_folder)):
        for place, is_sure in source:
            try:
                named = _folder_names(place, num_classes) if place.is_dir() else _file_names(place, is_sure)
                _check_labels(named, num_classes)
            except _UnusableError as problem:
                if is_sure:  # any text or folder may stand in the other places, so that there is nothing to say
                    remarks.append(f"{place.name} is not used for class names: {problem}.")
            except OSError as problem:
                if is_sure:
                    remarks.append(
                        f"{place.name} is not used for class names: {problem.strerror or 'it is unreadable'}."
                    )
            else:
                kind = "the folders of " if place.is_dir() else ""
                return _complete(named, num_classes, f"{kind}{clean_name(place.name)}", remarks)
    if num_classes == IMAGENET_CLASSES and looks_like_imagenet(training, trained):
        return _complete(dict(enumerate(imagenet_names().values())), num_classes, IMAGENET, remarks)
    return _complete({}, num_classes, "", remarks) if remarks else None


def looks_like_imagenet(training: Mapping[str, Any], trained: Sequence[int] | None = None) -> bool:
    """Whether nothing speaks against a model of 1000 classes having learned ImageNet.

    Trainers of this family fix 1000 classes whatever their data: a data folder with another name, or classes that do
    not look trained, speak against it.

    Args:
        training: what the checkpoint says of its training.
        trained: the classes that look trained; None where that cannot be told.
    """
    if trained is not None and len(trained) < IMAGENET_CLASSES:
        return False
    for folder in _data_paths(training):
        parts = [part for part in re.split(r"[/\\]", folder) if IMAGENET_FOLDER.search(part)]
        if not parts or any(IMAGENET_PART.search(part) for part in parts):
            return False
    return True


@lru_cache(maxsize=1)
def imagenet_names() -> dict[str, str]:
    """The names of ImageNet's (ILSVRC 2012) 1000 classes by their WordNet id, in the order of their labels.

    They are the first of each synset's words in WordNet 3.0. Two words name two classes each: crane, maillot.
    """
    lines = Path(__file__).with_name("imagenet.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def _complete(named: Mapping[int, str], num_classes: int, source: str, remarks: Iterable[str]) -> ClassNames:
    """All names, given some of them by class."""
    names = tuple(named.get(label, f"class {label}") for label in range(num_classes))
    return ClassNames(names, source, len(named), tuple(remarks))


def _check_labels(named: Mapping[int, str], num_classes: int) -> None:
    """Whether the names can be of this model."""
    if not named:
        raise _UnusableError("there are no names in it")
    if max(named) >= num_classes:
        raise _UnusableError(f"it names {max(named) + 1} classes, and the model has {num_classes}")


def _beside(path: Path) -> list[tuple[Path, bool]]:
    """Files of names at a checkpoint, and whether each is sure to be meant as one."""
    folder = path if path.is_dir() else path.parent
    own = [] if path.is_dir() else [(path.with_suffix(suffix), False) for suffix in (".txt", ".json")]
    places = own + [(folder / name, True) for name in NAME_FILES]
    return [(place, is_sure) for place, is_sure in places if place != path and place.is_file()]


def _data_folders(training: Mapping[str, Any], wanted: bool) -> list[list[tuple[Path, bool]]]:
    """The folders of class folders that the training names, as far as they are on this machine."""
    places = []
    for text in _data_paths(training) if wanted else ():
        if text.startswith(("\\\\", "//")):  # another machine: Windows would log in there with the user's name
            continue
        try:
            folders = [folder for folder in (Path(text, "train"), Path(text)) if folder.is_dir()]
        except (OSError, ValueError):  # a path that no file system takes
            continue
        places.append([(folder, False) for folder in folders])
    return places


def _data_paths(training: Mapping[str, Any]) -> list[str]:
    """What the trainer's arguments say of where the data was."""
    args = training.get("args")
    if not isinstance(args, Mapping):
        return []
    found = [args.get(key) for key in DATA_KEYS]
    if isinstance(args.get("text"), str):  # older trainers kept their arguments as text, "name : value" a line
        for line in args["text"][:MAX_FILE_BYTES].splitlines():
            key, *value = re.split("[:=]", line, maxsplit=1)
            if value and key.strip(" \t{\"'") in DATA_KEYS:
                found.append(value[0].strip(" \t,}\"'"))
    return [text for text in found if isinstance(text, str) and text.strip() and len(text) <= MAX_PATH_LENGTH]


def _folder_names(folder: Path, num_classes: int) -> dict[int, str]:
    """Names of class folders in the order in which torchvision's ImageFolder numbers them.

    Only where each of them holds images: a checkpoint may name any folder of this machine, and what is not a data set
    is nobody's business.
    """
    most = num_classes + MAX_OTHER_ENTRIES
    with os.scandir(folder) as entries:
        seen = list(itertools.islice(entries, most + 1))
        found = [entry.name for entry in seen if entry.is_dir()]
    if len(seen) > most or len(found) > num_classes:
        raise _UnusableError("it holds more than the classes of the model")
    if not all(_has_image(folder / name) for name in found):
        raise _UnusableError("its folders do not all hold images")
    return _cleaned(enumerate(sorted(found)))


def _has_image(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(IMAGE_SUFFIXES) for entry in itertools.islice(entries, MAX_LOOKED_AT))


def _file_names(path: Path, is_sure: bool) -> dict[int, str]:
    """Names by class from a text or JSON file."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise _UnusableError(f"it is larger than {MAX_FILE_BYTES >> 20} MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _UnusableError("it is not UTF-8 text") from None
    if path.suffix == ".txt":
        return _text_names(text, is_sure)
    try:
        return _json_names(json.loads(text))
    except RecursionError:
        raise _UnusableError("it is nested too deeply") from None
    except ValueError as problem:
        raise problem if isinstance(problem, _UnusableError) else _UnusableError("it is not JSON") from None


def _text_names(text: str, is_sure: bool) -> dict[int, str]:
    """Names by class from a name a line; numbers before all of them ("0 tench", "0: tench") are taken away."""
    lines = [line.strip() for line in text.split("\n")]
    full = [line for line in lines if line]
    numbered = [match for line in full if (match := re.fullmatch(r"(\d{1,7})[\s:,.)-]+(.*)", line))]
    if numbered and [int(match[1]) for match in numbered] == list(range(len(full))):
        return _cleaned((label, match[2]) for label, match in enumerate(numbered))
    if not is_sure and any(len(line) > MAX_NAME_LENGTH or line.endswith((".", ":")) or "=" in line for line in lines):
        raise _UnusableError("it reads as notes or a log")
    return _cleaned(enumerate(lines))


def _json_names(content: object) -> dict[int, str]:
    """Names by class from a list, from {"0": name} or from {name: 0}, perhaps under a key such as "classes"."""
    if isinstance(content, Mapping):
        for key in WRAPPER_KEYS:
            if isinstance(content.get(key), list | Mapping):
                content = content[key]
                break
    if isinstance(content, list):
        return _cleaned(enumerate(map(_json_name, content)))
    if not isinstance(content, Mapping):
        raise _UnusableError("it is neither a list of names nor a table of them")
    if all(isinstance(value, int) and not isinstance(value, bool) for value in content.values()):
        pairs = [(label, name) for name, label in content.items()]
        if {label for label, _ in pairs} != set(range(len(pairs))):  # any table of numbers looks like this
            raise _UnusableError("it does not number its names 0, 1, 2, ...")
    elif all(re.fullmatch(r"[0-9]{1,7}", key) for key in content):
        pairs = [(int(key), _json_name(value)) for key, value in content.items()]
    else:
        raise _UnusableError('it is not a list of names, {"0": "name"} or {"name": 0}')
    if len({label for label, _ in pairs}) < len(pairs):
        raise _UnusableError("it names a class twice")
    return _cleaned(pairs)


def _json_name(value: object) -> str:
    """A name, or the last of ["n01440764", "tench"]."""
    if isinstance(value, list) and value:
        value = value[-1]
    if not isinstance(value, str):
        raise _UnusableError("not all names in it are text")
    return value


def _cleaned(pairs: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Names that can be shown; WordNet ids become ImageNet's names; what is left empty has no name."""
    named = {}
    for label, text in pairs:
        name = clean_name(text)
        if re.fullmatch(r"n\d{8}", name):
            name = imagenet_names().get(name, name)
        if name:
            named[label] = name
    return named


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

    @property
    def offered(self) -> tuple[str, ...]:
        """The names of the first classes, as many as people can be offered to choose from."""
        return self.names[:MAX_OFFERED]

    @property
    def offered_remark(self) -> str | None:
        """That not all classes are offered, as a sentence; None where all are."""
        if len(self.names) <= MAX_OFFERED:
            return None
        return (
            f"The first {MAX_OFFERED:,} of {len(self.names):,} classes are offered here; all can be had on the command "
            "line and in Python."
        )


def read_classes(checkpoint: Checkpoint, trusted: bool = True, with_weights: bool = True) -> Classes:
    """Name the classes of a transformer, and look which rows of its class embedding are trained.

    Args:
        checkpoint: holds a transformer.
        trusted: whether the file is this machine's own. For a stranger's no folder that it names is looked at.
        with_weights: whether the weights are at hand to look at.

    Raises:
        CheckpointError: the file changed meanwhile.
    """
    config, weights = checkpoint.transformer
    num_classes, rows = config.num_classes, weights["class_emb.weight"]
    trained = trained_classes(rows.read()) if with_weights and rows.nbytes <= MAX_TESTED_BYTES else None
    if checkpoint.class_names is not None:
        names = (clean_name(name) or f"class {label}" for label, name in enumerate(checkpoint.class_names))
        return Classes(tuple(names), "the file", trained)
    found = find_class_names(checkpoint.path, num_classes, checkpoint.training, trained, data_folder=trusted)
    if found is None:
        return Classes(tuple(f"class {label}" for label in range(num_classes)), "", trained)
    return Classes(found.names, found.source, trained, found.remarks)
