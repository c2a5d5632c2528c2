"""Trainer files of any size that take next to no disk: the archive is written by hand, its numbers are holes."""

import pickle
import struct
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from var.checkpoints.load import empty_var, empty_vqvae
from var.model.config import VARConfig, VQVAEConfig

ALIGNMENT = 64  # of every tensor in the file, as torch.save has it
FITS_32 = 0xFFFFFFFF
STORAGES = {torch.float32: torch.FloatStorage, torch.int64: torch.LongStorage}


@dataclass
class Hole:
    """A storage without numbers."""

    key: str
    dtype: torch.dtype
    numel: int


@dataclass
class SparseTensor:
    """A tensor that is written without its numbers."""

    hole: Hole
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class SparsePickler(pickle.Pickler):
    """Pickles sparse tensors as torch.save pickles tensors."""

    def persistent_id(self, obj):
        if isinstance(obj, Hole):
            return "storage", STORAGES[obj.dtype], obj.key, "cpu", obj.numel
        return None

    def reducer_override(self, obj):
        if isinstance(obj, SparseTensor):
            arguments = (obj.hole, 0, obj.shape, obj.stride, False, OrderedDict())
            return torch._utils._rebuild_tensor_v2, arguments
        return NotImplemented


class SparseArchive:
    """A zip archive without compression, in the layout of torch.save; members may be holes.

    Args:
        file: open for writing in binary.
    """

    def __init__(self, file):
        self.file = file
        self.directory = []

    def add(self, name: str, nbytes: int, content: bytes | None = None) -> None:
        """Add a member; without content it is a hole."""
        start, encoded = self.file.tell(), f"archive/{name}".encode()
        sizes = struct.pack("<HHQQ", 1, 16, nbytes, nbytes) if nbytes >= FITS_32 else b""
        padding = -(start + 30 + len(encoded) + len(sizes) + 4) % ALIGNMENT
        extra = sizes + b"FB" + struct.pack("<H", padding) + b"Z" * padding
        common = self._common(nbytes, content)
        self.file.write(b"PK\x03\x04" + common + struct.pack("<HH", len(encoded), len(extra)) + encoded + extra)
        if content is None:
            self.file.seek(nbytes, 1)
        else:
            self.file.write(content)
        self.directory.append((encoded, common, nbytes, start))

    def close(self) -> None:
        """Write the list of members and the end, always with the records of large archives."""
        start = self.file.tell()
        for encoded, common, nbytes, place in self.directory:
            large = [nbytes, nbytes] if nbytes >= FITS_32 else []
            large += [place] if place >= FITS_32 else []
            extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
            lengths = struct.pack("<HHHHHLL", len(encoded), len(extra), 0, 0, 0, 0, min(place, FITS_32))
            self.file.write(b"PK\x01\x02\x2d\x00" + common + lengths + encoded + extra)
        end, count = self.file.tell(), len(self.directory)
        self.file.write(b"PK\x06\x06" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, count, count, end - start, start))
        self.file.write(b"PK\x06\x07" + struct.pack("<LQL", 0, end, 1))
        self.file.write(
            b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, count, count, end - start, min(start, FITS_32), 0)
        )

    @staticmethod
    def _common(nbytes: int, content: bytes | None) -> bytes:
        """What both headers of a member say: version, flags, method, time, checksum, sizes."""
        checksum, size = zlib.crc32(content or b""), min(nbytes, FITS_32)
        return struct.pack("<HHHHHLLL", 45, 0, 0, 0, 0, checksum, size, size)


def write_sparse_trainer_file(
    path: Path, var_config: VARConfig, vae_config: VQVAEConfig, optimizer_copies: int = 2
) -> Path:
    """Write a trainer's file whose numbers are all zero, apart from the scale of each place.

    Args:
        path: the file to write.
        var_config: sizes of the transformer.
        vae_config: sizes of the VQVAE.
        optimizer_copies: of the transformer's parameters, as AdamW has two.
    """
    storages: list[tuple[Hole, bytes | None]] = []

    def sparse(tensor: Tensor, content: bytes | None = None) -> SparseTensor:
        hole = Hole(str(len(storages)), tensor.dtype, tensor.numel())
        storages.append((hole, content))
        return SparseTensor(hole, tuple(tensor.shape), tuple(tensor.stride()))

    levels = [i for i, patch_num in enumerate(var_config.patch_nums) for _ in range(patch_num**2)]
    contents = {"lvl_1L": struct.pack(f"<{len(levels)}q", *levels)}
    model = empty_var(var_config)
    names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")[:optimizer_copies]
    optimizer = {i: {name: sparse(p) for name in names} for i, p in enumerate(model.parameters())}
    trainer = {
        "config": {"patch_nums": var_config.patch_nums},
        "var_wo_ddp": {key: sparse(tensor, contents.get(key)) for key, tensor in model.state_dict().items()},
        "vae_local": {key: sparse(tensor) for key, tensor in empty_vqvae(vae_config).state_dict().items()},
        "var_opt": {"optimizer": {"state": optimizer, "param_groups": [{"lr": 1e-4, "params": list(optimizer)}]}},
    }
    pickled = BytesIO()
    args = OrderedDict(depth=var_config.depth)
    SparsePickler(pickled, protocol=2).dump({"epoch": 1, "iter": 0, "trainer": trainer, "args": args})
    with path.open("wb") as file:
        archive = SparseArchive(file)
        archive.add("data.pkl", len(pickled.getvalue()), pickled.getvalue())
        archive.add("byteorder", 6, b"little")
        for hole, content in storages:
            archive.add(f"data/{hole.key}", hole.numel * hole.dtype.itemsize, content)
        archive.add("version", 2, b"3\n")
        archive.close()
    return path
