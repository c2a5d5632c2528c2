"""Files that hold no weights: each is named by its first bytes, or by the names in its archive."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from var.errors import CheckpointError
from var.formats.open import open_file
from var.formats.other_kinds import ARCHIVE_KINDS, FILE_KINDS, describe_bytes, describe_zip


def tar_file() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("model.pth")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    return buffer.getvalue()


def image_file(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, kind)
    return buffer.getvalue()


def numpy_file() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_file(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty (0 bytes)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 310283520\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\xef\xbb\xbf\n <HTML lang='en'>", "web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "link has expired"),
        (b"Entry not found", "Hugging Face Hub"),
        (b"Access to model owner/name is restricted.", "gated"),
        (b'{"metadata": {}, "weight_map": {}}', "JSON text"),
        (b'[{"error": "no"}]', "JSON text"),
        (b"some notes of mine\n", "holds text (19 bytes)"),
        ("épicéa, sapin, mélèze\n".encode() * 40, "holds text"),
        (bytes(range(128, 256)) * 4, "data of an unknown kind"),
        (b"\0" * 4096, "zeros only"),
        (b"GGUF\3\0\0\0" + b"\0" * 64, "llama.cpp"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "HDF5"),
        (b"\x08\x08\x12\x07pytorch\x1a\x062.13.0", "ONNX"),
        (b"\x1c\0\0\0TFL3" + b"\0" * 64, "TensorFlow Lite"),
        (numpy_file(), "NumPy array"),
        (gzip.compress(b"weights", mtime=0), "gzip"),
        (bz2.compress(b"weights"), "bzip2"),
        (lzma.compress(b"weights"), "xz"),
        (b"\x28\xb5\x2f\xfd" + b"\0" * 9, "Zstandard"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "7-Zip"),
        (b"Rar!\x1a\x07\x01\0", "RAR"),
        (tar_file(), "tar archive"),
        (image_file("PNG"), "an image"),
        (image_file("JPEG"), "an image"),
        (image_file("WEBP"), "an image"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "video"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x7fELF\2\1\1" + b"\0" * 64, "a program"),
        (b"SQLite format 3\0" + b"\0" * 64, "database"),
    ],
)
def test_file_is_named_by_its_first_bytes(tmp_path, content, said):
    (tmp_path / "model.pth").write_bytes(content)
    assert said in refusal(tmp_path / "model.pth")


def test_capital_letters_decide_in_binary_signatures():
    assert "text" in describe_bytes(b"gguf is a format", 16)


def test_binary_data_is_no_text_though_it_begins_so():
    assert "unknown kind" in describe_bytes(b"{\0\1\2", 4)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"], "TorchScript"),
        (["m/archive_format", "m/models/model.json"], "torch.export"),
        (["m/.data/extern_modules", "m/model/model.pkl"], "torch.package"),
        (["metadata.json", "config.json", "model.weights.h5"], "Keras"),
        (["Data/com.apple.CoreML/model.mlmodel"], "Core ML"),
        (["mu.npy", "sigma.npy"], "NumPy"),
        (["[Content_Types].xml", "word/document.xml"], "document"),
        (["[Content_Types].xml", "xl/workbook.xml"], "spreadsheet"),
        (["ppt/presentation.xml"], "presentation"),
        (["AndroidManifest.xml", "classes.dex"], "app"),
        (["data.pkl", "version", "data/0"], "without its folder"),
        (["ckpt/var_d16.pth", "ckpt/readme.txt"], "around a checkpoint (ckpt/var_d16.pth)"),
        (["holiday/beach.jpg"], "without weights (it holds holiday/beach.jpg)"),
        ([], "it holds nothing"),
    ],
)
def test_archive_is_named_by_what_is_in_it(tmp_path, names, said):
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    assert said in refusal(tmp_path / "model.pth")


@pytest.mark.parametrize("stem", ["model", "code", "word", "data", "constants", "archive_format", "a.npy", "b.pth"])
def test_archives_of_torch_save_are_not_foreign(tmp_path, stem):
    torch.save({"a": torch.zeros(2)}, tmp_path / f"{stem}.pth")
    with zipfile.ZipFile(tmp_path / f"{stem}.pth") as archive:
        assert describe_zip(archive.namelist()) is None


def test_torchscript_as_torch_writes_it(tmp_path):
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "model.pt")
    assert "TorchScript" in refusal(tmp_path / "model.pt")


def test_long_names_are_cut():
    assert len(describe_zip(["a\n" * 5000, "b" * 5000])) < 400


def test_every_kind_says_what_to_do():
    assert all(kind.name and kind.next_step.endswith(".") for kind in (*FILE_KINDS, *ARCHIVE_KINDS))
