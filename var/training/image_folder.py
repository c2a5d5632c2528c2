"""Finding and reading the images of a folder of class folders; whatever is left out of it is told, by folder."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from torch import Tensor

from ..errors import DataError
from ..pictures.deep import WHITES, check_cut, deep_kind, extremes, find_white, is_cut
from .data import ImageData, ImageFiles, PackedImages, Progress, Split, hold_out, open_picture, read_image, to_pixels

TRAIN_NAMES = ("train", "training")  # in any case, the first that is there
VAL_NAMES = ("val", "valid", "validation", "dev", "test", "testing")
MAX_BYTES_IN_MEMORY = 4 << 30  # decoded images above this, or above half of the free memory, are read again each time
MAX_FOLDERS_TOLD, MAX_FILES_TOLD = 6, 3


@dataclass(frozen=True)
class ClassFile:
    """A file in a class folder.

    Args:
        path: of the file.
        class_name: its class folder's name.
        folder: what messages call this folder.
        held_out: whether it is in the folder of held-out images.
    """

    path: Path
    class_name: str
    folder: str
    held_out: bool


@dataclass
class Seen:
    """What a first look at a file found.

    Args:
        side: the image's shorter side; None where Pillow reads no image.
        pixels: uint8 (3, S, S); None where they are to be read later.
        kind: of `deep_kind`.
        extremes: of a deep image's numbers.
        cut: the largest number of an image of 16 bits a colour, of which Pillow gives 8; None for others.
    """

    side: int | None
    pixels: Tensor | None = None
    kind: str | None = None
    extremes: tuple[float, float] = (0, 0)
    cut: int | None = None


@dataclass
class Survey:
    """What all first looks found together.

    Args:
        kept: places of the files that are images.
        left_out: those of the others.
        small: those of images smaller than the model's.
        deep: places of images of more than 8 bits, by kind.
        deep_extremes: the smallest and largest number, by kind.
        cut: the largest number of all images of 16 bits a colour, and the place of one; None where there are none.
    """

    kept: list[int] = field(default_factory=list)
    left_out: list[int] = field(default_factory=list)
    small: list[int] = field(default_factory=list)
    deep: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    deep_extremes: dict[str, tuple[float, float]] = field(default_factory=dict)
    cut: tuple[int, int] | None = None

    def add(self, place: int, seen: Seen, image_size: int) -> None:
        """Add what was seen of one file."""
        if seen.side is None:
            self.left_out.append(place)
            return
        self.kept.append(place)
        if seen.side < image_size:
            self.small.append(place)
        if seen.kind is not None:
            self.deep[seen.kind].append(place)
            low, high = self.deep_extremes.get(seen.kind, seen.extremes)
            found = np.array([(low, high), seen.extremes])
            self.deep_extremes[seen.kind] = float(found.min()), float(found.max())  # NaN stays NaN
        if seen.cut is not None:
            self.cut = max((seen.cut, place), self.cut or (-1, place))


def load_folder(
    path: Path, image_size: int, stored_size: int, val_fraction: float, workers: int, progress: Progress
) -> ImageData:
    """Find and read the images of a folder; arguments and errors are those of `load_data`."""
    notices: list[str] = []
    train_folder, val_folder = find_splits(path, val_fraction, notices)
    files = list(list_files(train_folder, path, held_out=False))
    if val_folder is not None:
        files += list_files(val_folder, path, held_out=True)
    paths = [file.path for file in files]
    free = psutil.virtual_memory().available
    in_memory = len(paths) * 3 * stored_size**2 <= min(MAX_BYTES_IN_MEMORY, free // 2)
    # memory that is never written to is never taken, so the places of files that are no images cost nothing
    pixels = torch.empty(len(paths) if in_memory else 0, 3, stored_size, stored_size, dtype=torch.uint8)
    survey = Survey()
    with ThreadPoolExecutor(workers) as pool:
        looks = pool.map(lambda file: look_at(file, stored_size if in_memory else None), paths)
        for place, seen in enumerate(progress(looks, "reading images", len(paths))):
            if seen.pixels is not None:
                pixels[len(survey.kept)] = seen.pixels
            survey.add(place, seen, image_size)
    kept = [files[place] for place in survey.kept]
    classes = sorted({file.class_name for file in kept if not file.held_out})
    check_classes(path, train_folder, classes, files)
    whites = find_whites(survey, paths, notices)
    if in_memory:
        slots = {place: slot for slot, place in enumerate(survey.kept)}
        for place in (place for places in survey.deep.values() for place in places):
            pixels[slots[place]] = read_image(paths[place], stored_size, whites)
    data_folders = [folder for folder in dict.fromkeys((path, train_folder, val_folder)) if folder is not None]
    notices += tell_left_out(data_folders, files, survey, image_size)
    empty = sorted({folder.name for folder in subfolders(train_folder)} - set(classes))
    if empty:
        notices.append(f"Folders without an image that can be read are no classes: {some(empty)}.")

    label_of = {name: label for label, name in enumerate(classes)}
    labels = torch.tensor([label_of.get(file.class_name, -1) for file in kept])
    held_out = torch.tensor([file.held_out for file in kept])
    if val_folder is None:
        held_out = torch.from_numpy(hold_out(labels.numpy(), val_fraction))

    def split(mask: Tensor) -> Split:
        places = (mask & (labels >= 0)).nonzero().flatten()
        if in_memory:
            return Split(PackedImages(pixels, places), labels[places])
        chosen = [kept[place].path for place in places.tolist()]
        return Split(ImageFiles(chosen, labels[places].tolist(), stored_size, workers, whites), labels[places])

    return ImageData(classes, split(~held_out), split(held_out), notices)


def find_splits(path: Path, val_fraction: float, notices: list[str]) -> tuple[Path, Path | None]:
    """The folder of class folders to train on, and the one of held-out images; None where there is none.

    Args:
        path: of the data.
        val_fraction: share of each class that is held out where there are no held-out images, for the notice.
        notices: what is not used is added here.
    """
    folders = {folder.name.lower(): folder for folder in subfolders(path)}
    train = next((folders[name] for name in TRAIN_NAMES if name in folders and has_classes(folders[name])), None)
    if train is None:
        return path, None
    names = {folder.name for folder in subfolders(train)}
    val = None
    for found in (folders[name] for name in VAL_NAMES if name in folders):
        classes = {folder.name for folder in subfolders(found) if any(visible_files(folder))}
        if classes & names:
            val = found
            strangers = sorted(classes - names)
            if strangers:
                notices.append(
                    f"Classes in {found.name}/ without a folder in {train.name}/ are left out: {some(strangers)}."
                )
            break
        number = sum(1 for _ in visible_files(found))
        where = f"are in no class folder of {train.name}/" if classes else "are in no class folder"
        notices.append(
            f"{found.name}/ is not used: {f'its {number} files {where}' if number else 'it is empty'}. "
            f"{val_fraction:.0%} of each class of {train.name}/ is held out instead."
        )
    told = " ".join(notices)
    unused = [f"{folder.name}/" for folder in subfolders(path) if folder not in (train, val)]
    unused = [name for name in unused if f"{name} is not used" not in told]
    if unused:
        notices.append(f"Not used, beside {train.name}/{f' and {val.name}/' if val else ''}: {some(unused)}.")
    return train, val


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; hidden ones are left out."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def visible_files(folder: Path) -> Iterator[Path]:
    """The files in a folder and those below it; hidden ones are left out, as systems leave them everywhere."""
    for entry in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in entry.relative_to(folder).parts)
        if not hidden and entry.is_file():
            yield entry


def has_classes(folder: Path) -> bool:
    """Whether a folder has folders with files."""
    return any(any(True for _ in visible_files(inner)) for inner in subfolders(folder))


def list_files(folder: Path, root: Path, held_out: bool) -> Iterator[ClassFile]:
    """All files in the class folders of a folder, which is the data's root or in it, by class and name."""
    for inner in subfolders(folder):
        for path in sorted(visible_files(inner)):
            yield ClassFile(path, inner.name, inner.relative_to(root).as_posix(), held_out)


def look_at(path: Path, size: int | None) -> Seen:
    """Look at a file for the first time.

    Args:
        path: of the file, of any format.
        size: pixels per side to read it at; None to look without reading.
    """
    try:
        with open_picture(path) as image:
            side, kind, cut = min(image.size), deep_kind(image), is_cut(image)
            if kind is not None:
                return Seen(side, None, kind, extremes(image))
            if cut:
                largest = max(high for _, high in image.convert("RGB").getextrema())
                return Seen(side, None if size is None else to_pixels(image, size), cut=largest)
            if size is not None:
                return Seen(side, to_pixels(image, size))
            image.verify()
            return Seen(side)
    except MemoryError:  # says nothing of the file
        raise
    except Exception:  # Pillow's decoders raise whatever a damaged file leads them to
        return Seen(None)


def find_whites(survey: Survey, paths: Sequence[Path], notices: list[str]) -> dict[str, float]:
    """Find the number that is white in images of more than 8 bits, by kind, for all images of a kind together.

    Raises:
        DataError: numbers of no known scale.
    """
    whites = {}
    try:
        for kind, (low, high) in survey.deep_extremes.items():
            places = survey.deep[kind]
            name = str(paths[places[0]])
            name += f" with {len(places) - 1} other images" if len(places) > 1 else ""
            whites[kind] = find_white(kind, low, high, name)
            if (kind, whites[kind]) != ("16-bit", WHITES[-1]):
                notices.append(f"{len(places)} {kind} images reach {high:g}: {whites[kind]} is taken for white.")
        if survey.cut is not None:
            check_cut(survey.cut[0], str(paths[survey.cut[1]]))
    except ValueError as error:
        raise DataError(str(error)) from error
    return whites


def check_classes(path: Path, train_folder: Path, classes: list[str], files: Sequence[ClassFile]) -> None:
    """Raise DataError where there are no class folders with images, or splits are taken for classes."""
    if not classes:
        loose = sum(1 for entry in train_folder.iterdir() if looks_like_image(entry))
        found = f"{loose} images that stand in no class folder" if loose else "no images"
        if files and not loose:
            found = f"{len(files)} files, none of which can be read as an image, the first is {files[0].path}"
        raise DataError(f"{path} has {found}; expected a folder for each class, with its images inside.")
    if {name.lower() for name in classes} <= {*TRAIN_NAMES, *VAL_NAMES}:
        raise DataError(
            f"{path} has {' and '.join(classes)} with images, but no train/ with a folder for each class inside."
        )


def looks_like_image(path: Path) -> bool:
    """Whether a visible file is called like an image of a format that Pillow knows."""
    return path.suffix.lower() in Image.registered_extensions() and not path.name.startswith(".") and path.is_file()


def tell_left_out(folders: Sequence[Path], files: Sequence[ClassFile], survey: Survey, image_size: int) -> list[str]:
    """What is not learned from, or is enlarged: a sentence for each reason, with the numbers by folder.

    Args:
        folders: the data's own and those of its splits.
        files: in class folders.
        survey: of the files.
        image_size: pixels per side of the model's images.
    """
    told = []
    for folder in folders:
        loose = sum(1 for entry in folder.iterdir() if looks_like_image(entry))
        if loose:
            told.append(f"{loose} images in {folder} stand in no class folder and are left out.")
    totals, lacking = Counter(file.folder for file in files), defaultdict(list)
    for place in survey.left_out:
        lacking[files[place].folder].append(files[place].path.name)
    parts = [
        f"{folder} {len(names)} of {totals[folder]} ({some(names, MAX_FILES_TOLD)})"
        for folder, names in lacking.items()
    ]
    if parts:
        number = len(survey.left_out)
        told.append(
            f"{number} {'file is no image' if number == 1 else 'files are no images'} that can be read, and left out: "
            f"{some(parts, MAX_FOLDERS_TOLD, '; ')}."
        )
    if survey.small:
        told.append(
            f"{len(survey.small)} images are smaller than {image_size} px and are enlarged, the first is "
            f"{files[survey.small[0]].path}."
        )
    return told


def some(texts: Sequence[str], most: int = 5, separator: str = ", ") -> str:
    """A few texts and how many more there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more
