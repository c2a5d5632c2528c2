"""What a file is that is no checkpoint: told by its first bytes, or by the names in its archive.

Everything known is a row of `FILE_KINDS` or `ARCHIVE_KINDS`, with what to do next.
"""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..text import one_line

EXPECTED = "Expected a checkpoint saved with torch.save (.pth, .pt, .ckpt) or a .safetensors file."
PICKLED_RECORD = "/data.pkl"  # every archive of torch.save has one, in its folder
CHECKPOINT_NAME = re.compile(r".*\.(pth|pt|ckpt|safetensors|bin)", re.IGNORECASE)
MAX_NAMES = 3  # of an archive's members in a message
MAX_CHARACTERS = 80


@dataclass(frozen=True)
class FileKind:
    """A kind of file that is told by its first bytes.

    Args:
        name: what it is, after "This is".
        next_step: what to do, as a sentence.
        signatures: bytes, one of which the file begins with; text in lower case.
        place: where in the file the signatures stand.
        text: whether blanks before the signature and capital letters do not matter.
    """

    name: str
    next_step: str
    signatures: tuple[bytes, ...]
    place: int = 0
    text: bool = False


@dataclass(frozen=True)
class ArchiveKind:
    """A kind of zip archive that is told by the names in it.

    Args:
        name: what it is, after "This is".
        next_step: what to do, as a sentence.
        member: a pattern that a whole name in it matches.
        all_members: whether all names have to.
    """

    name: str
    next_step: str
    member: str
    all_members: bool = False


UNPACK = "Unpack it, and use the checkpoint inside."
SAVE_STATE_DICT = "Save the state_dict() of the original model with torch.save."
CHOOSE_ANOTHER = f"{EXPECTED} Choose another file."

FILE_KINDS = (
    FileKind(
        "a Git LFS pointer, not the weights themselves",
        "Run `git lfs pull` or download the file itself.",
        (b"version https://git-lfs", b"version https://hawser"),
        text=True,
    ),
    FileKind(
        "a refusal of the Hugging Face Hub, not the weights",
        "Check the address, and log in with `hf auth login` where the repository is private or gated.",
        (b"entry not found", b"repository not found", b"invalid username or password", b"invalid credentials")
        + (b"access to model", b"access denied", b"unauthorized", b"not found", b"forbidden"),
        text=True,
    ),
    FileKind(
        "a web page, not weights: the download fetched the page about the file",
        "Use its download link.",
        (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!-- "),
        text=True,
    ),
    FileKind(
        "an XML answer of a server, not weights, often because a link has expired",
        "Get a new download link.",
        (b"<?xml", b"<error>"),
        text=True,
    ),
    FileKind(
        "JSON text, not weights: a model's settings or index, or a server's error",
        "Fetch the weights themselves. A model in several files opens by its .index.json, or by their folder.",
        (b"{", b"["),
        text=True,
    ),
    FileKind(
        "a GGUF or GGML file, a language model for llama.cpp",
        CHOOSE_ANOTHER,
        (b"GGUF", b"lmgg", b"tjgg", b"fmgg"),
    ),
    FileKind(
        "an HDF5 file, as Keras and h5py write them",
        CHOOSE_ANOTHER,
        (b"\x89HDF\r\n\x1a\n",),
    ),
    FileKind("a NumPy array", "Expected a whole state dict: save it with torch.save.", (b"\x93NUMPY",)),
    FileKind("an ONNX model, a program", SAVE_STATE_DICT, tuple(bytes((8, version, 18)) for version in range(3, 20))),
    FileKind("a TensorFlow Lite model, a program", SAVE_STATE_DICT, (b"TFL3",), place=4),
    FileKind("a file packed by gzip", UNPACK, (b"\x1f\x8b",)),
    FileKind("a file packed by bzip2", UNPACK, (b"BZh",)),
    FileKind("a file packed by xz", UNPACK, (b"\xfd7zXZ\0",)),
    FileKind("a file packed by Zstandard", UNPACK, (b"\x28\xb5\x2f\xfd",)),
    FileKind("a 7-Zip archive", UNPACK, (b"7z\xbc\xaf\x27\x1c",)),
    FileKind("a RAR archive", UNPACK, (b"Rar!\x1a\x07",)),
    FileKind("a tar archive", UNPACK, (b"ustar",), place=257),
    FileKind(
        "an image, not weights",
        CHOOSE_ANOTHER,
        (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"),
    ),
    FileKind("an image, not weights", CHOOSE_ANOTHER, (b"WEBP",), place=8),
    FileKind("a video or image, not weights", CHOOSE_ANOTHER, (b"ftyp",), place=4),
    FileKind("a PDF document, not weights", CHOOSE_ANOTHER, (b"%PDF-",)),
    FileKind("a program, not weights", CHOOSE_ANOTHER, (b"\x7fELF", b"MZ\x90\0", b"\xcf\xfa\xed\xfe")),
    FileKind("a database, not weights", CHOOSE_ANOTHER, (b"SQLite format 3\0",)),
)

ARCHIVE_KINDS = (
    ArchiveKind("a TorchScript archive, a program", SAVE_STATE_DICT, r"(.*/)?(constants|bytecode)\.pkl"),
    ArchiveKind(
        "a torch.export archive, a program",
        SAVE_STATE_DICT,
        r"(.*/)?(archive_format|serialized_exported_program\.json)",
    ),
    ArchiveKind("a torch.package archive, a program", SAVE_STATE_DICT, r"(.*/)?\.data/extern_modules"),
    ArchiveKind("a Keras model", CHOOSE_ANOTHER, r"model\.weights\.h5|saved_model\.pb"),
    ArchiveKind("a Core ML model, a program", SAVE_STATE_DICT, r".*\.mlmodel"),
    ArchiveKind(
        "an .npz archive of NumPy arrays",
        "Expected a state dict: save it with torch.save.",
        r".*\.npy",
        all_members=True,
    ),
    ArchiveKind("a document, not weights", CHOOSE_ANOTHER, r"word/document\.xml|META-INF/container\.xml|content\.xml"),
    ArchiveKind("a spreadsheet, not weights", CHOOSE_ANOTHER, r"xl/workbook\.(xml|bin)"),
    ArchiveKind("a presentation, not weights", CHOOSE_ANOTHER, r"ppt/presentation\.xml"),
    ArchiveKind("an app or program, not weights", CHOOSE_ANOTHER, r"AndroidManifest\.xml|META-INF/MANIFEST\.MF"),
    ArchiveKind(
        "the inside of a torch.save archive, packed again without its folder",
        "Use the original file, or put the parts into a folder and pack that without compression.",
        r"data\.pkl",
    ),
)


def describe_bytes(start: bytes, size: int) -> str:
    """Say what a file is that is neither an archive nor safetensors nor a pickle.

    Args:
        start: its first bytes, at least 512 where it has as many.
        size: its size in bytes.
    """
    if not start:
        return f"The file is empty (0 bytes). {EXPECTED} Copy or download it again."
    if not start.strip(b"\0"):
        return (
            f"The file begins with zeros only ({size} bytes): the copy or download was cut short or is still going on. "
            "Wait until it is complete, or fetch it again."
        )
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for kind in FILE_KINDS:
        if (text if kind.text else start[kind.place :]).startswith(kind.signatures) and (
            _is_text(start) or not kind.text
        ):
            return f"This is {kind.name}. {kind.next_step}"
    contents = "text" if _is_text(start) else "data of an unknown kind"
    return f"The file holds {contents} ({size} bytes), not weights. {EXPECTED} Check that this is the right file."


def describe_zip(names: Sequence[str]) -> str | None:
    """Say what a zip archive is that torch.save did not write.

    Args:
        names: of its members.

    Returns:
        A sentence with the next step, or None for an archive that looks like torch.save's.
    """
    for kind in ARCHIVE_KINDS:
        matches = (re.fullmatch(kind.member, name) is not None for name in names)
        if names and (all(matches) if kind.all_members else any(matches)):
            return f"This is {kind.name}. {kind.next_step}"
    if any(name.endswith(PICKLED_RECORD) for name in names):
        return None
    inside = [name for name in names if CHECKPOINT_NAME.fullmatch(name)]
    if inside:
        name = one_line(inside[0], MAX_CHARACTERS)
        return f"This is a zip archive around a checkpoint ({name}). Unpack it, and use the file inside."
    few = ", ".join(one_line(name, MAX_CHARACTERS) for name in names[:MAX_NAMES]) or "nothing"
    return f"This is a zip archive without weights (it holds {few}). {EXPECTED} Choose another file."


def _is_text(start: bytes) -> bool:
    """Whether bytes, which may end within a letter, are text in UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(byte >= 32 or byte in b"\t\r\n\f" for byte in start)
