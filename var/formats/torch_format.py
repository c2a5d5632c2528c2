"""Files of torch.save, in today's format (a zip archive) and in the one before PyTorch 1.6.

Their pickle is read by a machine that runs nothing, and their tensors stay where they are.
"""

import io
import struct
import zipfile
from typing import Any

from ..errors import CheckpointError
from .other_kinds import describe_zip
from .pickle_objects import DAMAGED, STORAGE_DTYPES, Global
from .pickles import MAX_PICKLE_BYTES, Unpickled, read_pickle
from .tensors import CUT_SHORT, Member, Storage, TensorFile

MAX_DIRECTORY_BYTES = 8 << 20  # of a zip archive; that of a trainer's file of depth 36 has 0.5 MB
END_OF_ARCHIVE = b"PK\x05\x06"
END_OF_ARCHIVE_64 = b"PK\x06\x06"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


def read_zip(file: TensorFile) -> Unpickled:
    """Read a file of torch.save as PyTorch 1.6 and later write it.

    Raises:
        CheckpointError: it is no such archive, damaged, or made to exhaust a machine.
    """
    members = _list_members(file)
    name = next(name for name in members if name.endswith("/data.pkl"))
    folder, pickled = name.removesuffix("data.pkl"), members[name]
    order = members.get(f"{folder}byteorder")
    if order is not None and file.read(order.locate(file), min(order.nbytes, 16)).strip() == b"big":
        raise CheckpointError("The file was written on a big-endian machine. Save it again on an ordinary one.")
    if pickled.nbytes > MAX_PICKLE_BYTES:
        raise CheckpointError(
            f"The file's pickle has {pickled.nbytes / 1e6:.0f} MB, far more than a checkpoint's. Expected "
            "tensors and few other objects: save the model's state dict alone."
        )
    found: dict[str, Storage | None] = {}

    def find_storage(persistent_id: Any) -> Storage | None:
        kind, key, count = _checked_id(persistent_id)
        if key not in found:
            member = members.get(f"{folder}data/{key}")
            if member is None:
                raise CheckpointError(f"The numbers of a tensor (record {key[:80]}) are missing. {DAMAGED}")
            dtype = STORAGE_DTYPES.get(kind)
            if dtype is not None and count * dtype.itemsize > member.nbytes:
                raise CheckpointError(f"The numbers of a tensor (record {key[:80]}) are not complete. {DAMAGED}")
            found[key] = None if dtype is None else Storage(file, dtype, member.nbytes, member=member)
        return found[key]

    return read_pickle(file.read(pickled.locate(file), pickled.nbytes), find_storage)


def read_legacy(file: TensorFile) -> Unpickled:
    """Read a file of torch.save before PyTorch 1.6: pickles one after the other, then the numbers of each storage.

    Raises:
        CheckpointError: it is no such file, damaged, or made to exhaust a machine.
    """
    start = io.BytesIO(file.read(0, min(file.size, MAX_PICKLE_BYTES)))
    magic = read_pickle(start)
    if magic.attack:
        raise CheckpointError(magic.attack)
    if magic.value != LEGACY_MAGIC:
        raise CheckpointError(
            "This is a pickle, but none of torch.save. Expected a checkpoint saved with torch.save (.pth, .pt, .ckpt) "
            "or a .safetensors file. Save the model's state dict with torch.save."
        )
    if read_pickle(start).value != LEGACY_PROTOCOL:
        raise CheckpointError("The file has an unknown version of torch's old format. Save it again with today's.")
    system = read_pickle(start).value
    if not isinstance(system, dict) or system.get("little_endian") is False:
        raise CheckpointError("The file was written on a big-endian machine. Save it again on an ordinary one.")
    found: dict[str, tuple[Storage | None, int]] = {}

    def find_storage(persistent_id: Any) -> Storage | None:
        kind, key, count = _checked_id(persistent_id)
        if len(persistent_id) > 5 and persistent_id[5] is not None:
            return None  # a view of another storage, as PyTorch before 0.4 wrote them
        if key not in found:
            dtype = STORAGE_DTYPES.get(kind)
            found[key] = (None if dtype is None else Storage(file, dtype, count * dtype.itemsize)), count
        return found[key][0]

    content = read_pickle(start, find_storage)
    keys = read_pickle(start).value
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or not set(found) <= set(keys):
        raise CheckpointError(DAMAGED)
    offset = start.tell()
    for key in keys:
        storage, count = found.get(key, (None, 0))
        header = file.read(offset, 8)
        if storage is None or len(header) < 8 or struct.unpack("<q", header)[0] != count:
            raise CheckpointError(f"The numbers of a tensor ({key[:80]}) are not where they should be. {DAMAGED}")
        storage.place = offset + 8
        offset += 8 + storage.nbytes
        if offset > file.size:
            raise CheckpointError("The file is cut short, or still being written. Copy or download it again.")
    return content


def _checked_id(persistent_id: Any) -> tuple[str, str, int]:
    """Kind, key and number of elements of the storage that a persistent id names."""
    if not isinstance(persistent_id, tuple) or len(persistent_id) < 5 or persistent_id[0] != "storage":
        raise CheckpointError(DAMAGED)
    _, kind, key, _, count = persistent_id[:5]
    if not isinstance(kind, Global) or not isinstance(key, str) or type(count) is not int or not 0 <= count < 2**60:
        raise CheckpointError(DAMAGED)
    return kind.name.rpartition(".")[2], key, count


def _list_members(file: TensorFile) -> dict[str, Member]:
    """Members of a torch.save archive by name, after the checks that keep a hostile one from costing much."""
    _read_directory(file)
    try:
        with zipfile.ZipFile(file.path) as archive:
            members, directory = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise CheckpointError(CUT_SHORT) from error
    foreign = describe_zip([member.filename for member in members])
    if foreign is not None:
        raise CheckpointError(foreign)
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
        raise CheckpointError(
            "The archive is compressed or encrypted, which torch.save never does. Unpack it, and use the file inside."
        )
    if sum(member.file_size for member in members) > file.size:
        raise CheckpointError("The archive's members are larger than the file: it is damaged. Fetch or save it again.")
    if any(not 0 <= member.header_offset <= file.size - member.file_size for member in members):
        raise CheckpointError(CUT_SHORT)
    if len({member.filename for member in members}) < len(members):
        raise CheckpointError("The archive has several members of one name: it is damaged. Fetch or save it again.")
    members.sort(key=lambda member: member.header_offset)
    ends = [*(member.header_offset for member in members[1:]), directory]
    return {
        member.filename: Member(member.header_offset, end, member.file_size, member.CRC)
        for member, end in zip(members, ends, strict=True)
    }


def _read_directory(file: TensorFile) -> None:
    """Find out that the list of members is of a sensible length, and have it at hand where a file comes in parts."""
    tail = file.read(max(0, file.size - (1 << 16) - 98), (1 << 16) + 98)
    place = tail.rfind(END_OF_ARCHIVE)
    if place < 0 or place + 22 > len(tail):
        raise CheckpointError(CUT_SHORT)
    (size,), end = struct.unpack_from("<L", tail, place + 12), place
    place_64 = place - 76  # 56 bytes, and 20 that say where they are; zipfile looks here and nowhere else
    if place_64 >= 0 and tail.startswith(END_OF_ARCHIVE_64, place_64):
        size, end = max(size, *struct.unpack_from("<Q", tail, place_64 + 40)), place_64
    if size > MAX_DIRECTORY_BYTES:
        raise CheckpointError(
            f"The archive's list of members has {size / 1e6:.0f} MB, far more than a checkpoint's. "
            "Save the model's state dict alone."
        )
    file.read(max(0, file.size - len(tail) + end - size), size)
