"""Files made to do harm, by somebody who knows the formats: zip archives, old torch files, safetensors, indexes.

Each writes itself into a folder, and says how it has to be refused, or that it may load.
"""

import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import hostile_pickles
import torch
from hostile_pickles import LARGE, SYSTEM
from pickle_bytes import Raw, archive, encode, legacy_file, name, pickled, state_dict, storage, tensor, zip_file
from tiny import tiny_states, tiny_var_config

SMALL = {"small": b"\0\0\0\0"}  # one number, to lie about


@dataclass(frozen=True)
class HostileFile:
    """One file of the corpus.

    Args:
        title: what is wrong with it, as the name of a test.
        said: a part of the refusal; "" where any will do, None where the file may also load.
        write: writes it into a folder and returns what is to be opened.
    """

    title: str
    said: str | None
    write: Callable[[Path], Path]


def corpus() -> dict[str, list[HostileFile]]:
    """All files, by what they abuse."""
    pickles = {
        "calls": hostile_pickles.calls(),
        "opcodes": hostile_pickles.opcodes(),
        "state": hostile_pickles.state_injection(),
        "tensors": hostile_pickles.tensor_arguments(),
    }
    return {
        **{
            group: list(chain.from_iterable(_pickle_files(*case) for case in cases)) for group, cases in pickles.items()
        },
        "bombs": [_file(title, whole_file(args={"a": value}), said) for title, value, said in hostile_pickles.bombs()],
        "cuts": [_file(title, zip_file(content), said) for title, content, said in hostile_pickles.cuts()],
        "places": [_file(*case) for case in _places()],
        "archives": [_file(*case) for case in _archives()],
        "old files": [_file(*case) for case in _old_files()],
        "architectures": [_file(*case) for case in _architectures()],
        "safetensors": [_file(*case, suffix=".safetensors") for case in _safetensors()],
        "indexes": list(_indexes()),
    }


def floods() -> dict[str, list[HostileFile]]:
    """The files that take a second each."""
    cases = hostile_pickles.floods()
    return {"floods": [_file(title, whole_file(args={"a": value}), said) for title, value, said in cases]}


@lru_cache(maxsize=1)
def small_states() -> dict[str, torch.Tensor]:
    """Weights of the smallest VAR there is: some kilobytes."""
    config = tiny_var_config(depth=1, embed_dim=8, patch_nums=(1, 2), vocab_size=16, z_channels=4, num_classes=2)
    return tiny_states(var_config=config)[0]


def whole_file(legacy: bool = False, **changes: object) -> bytes:
    """A trainer's file that loads, but for what is changed.

    Args:
        legacy: in the format before PyTorch 1.6.
        changes: entries of the trainer's dict, beside the weights or in their place; `args` for the top.
    """
    tensors, numbers = state_dict(small_states(), legacy)
    top = {"args": changes.pop("args")} if "args" in changes else {}
    content = pickled({"epoch": 1, "trainer": {"var_wo_ddp": tensors, **changes}, **top})
    if not legacy:
        return zip_file(content, numbers | SMALL)
    itemsizes = {key: 8 for key, weight in zip(numbers, small_states().values(), strict=True) if weight.itemsize == 8}
    return legacy_file(content, numbers, itemsizes)


def safetensors_file(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file around any header: JSON text, or values."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _file(title: str, content: bytes, said: str | None, suffix: str = ".pth") -> HostileFile:
    def write(folder: Path) -> Path:
        path = folder / f"file{suffix}"
        path.write_bytes(content)
        return path

    return HostileFile(title, said, write)


def _pickle_files(title: str, value: object, said: str | None) -> Iterator[HostileFile]:
    """A value among the arguments, where an honest file has harmless ones, and in the place of a weight."""
    yield _file(f"{title}: in args", whole_file(args={"a": value}), said)
    tensors, numbers = state_dict(small_states())
    content = pickled({**tensors, "head.bias": value})
    yield _file(f"{title}: as a weight", zip_file(content, numbers | SMALL), said)


def _places() -> Iterator[tuple[str, bytes, str | None]]:
    """One call, in each place of a file and by each protocol."""
    system = "would have called os.system('touch witness')"
    tensors, numbers = state_dict(small_states())
    instance = Raw(b"(" + encode("touch witness") + b"ios\nsystem\n")
    yield "call at the top", zip_file(pickled(SYSTEM)), system
    yield "call as a key", zip_file(pickled({SYSTEM: 1, **tensors}), numbers), system
    yield "call as a weight's size", zip_file(pickled(tensor(storage("small", 1), SYSTEM, (1,))), SMALL), ""
    yield "call in an optimizer", whole_file(var_opt={"optimizer": {"state": {0: SYSTEM}}}), system
    yield "call in the file's location", _with_location(SYSTEM), system
    yield "call in an old file", whole_file(legacy=True, args=SYSTEM), system
    yield "call in the name of the byte order", legacy_file(b"", {}).replace(b"little_endian", b"litt1e_endian"), ""
    yield "call before the magic number", b"\x80\x02" + SYSTEM + b"." + whole_file(legacy=True), "os.system"
    yield "bare pickle", pickled(SYSTEM), "os.system('touch witness')"
    yield "names that look like the list of storages", legacy_file(pickled(1), {}) + pickled(SYSTEM), None
    for protocol in range(6):
        yield f"pickle of protocol {protocol} in an archive", zip_file(pickled(instance, protocol)), system
        yield f"bare pickle of protocol {protocol}", pickled(instance, protocol), ""
    yield "two pickles", archive([("a/data.pkl", pickled(1)), ("b/data.pkl", pickled(SYSTEM))]), ""
    yield "cyclic layout", whole_file(module=Raw(b"}q\x01" + encode("state_dict") + b"h\x01s")), None


def _with_location(location: Raw) -> bytes:
    tensors, numbers = state_dict(small_states())
    place = Raw(encode(("storage", name("torch", "FloatStorage"), "own", location, 16)) + b"Q")
    return zip_file(pickled({**tensors, "head.bias": tensor(place, (16,), (1,))}), numbers | {"own": bytes(64)})


def _archives() -> Iterator[tuple[str, bytes, str | None]]:
    """Zip archives whose list of members lies."""
    good = whole_file()
    tensors, numbers = state_dict(small_states())
    content = pickled(tensors)
    end = len(good) - 22  # the record at the end: 10 entries, 12 bytes of the list, 16 its place, 20 comment
    start = struct.unpack_from("<L", good, end + 16)[0]
    entry = ("a/data.pkl", content)
    zeros = bytes(20_000_000)
    yield "compressed pickle", zip_file(content, numbers, zipfile.ZIP_DEFLATED), "compressed"
    yield "deflate bomb as a weight", zip_file(content, numbers | {"0": zeros}, zipfile.ZIP_DEFLATED), "compressed"
    yield "deflate bomb as the pickle", zip_file(zeros, numbers, zipfile.ZIP_DEFLATED), "compressed"
    yield "bzip2 bomb", zip_file(zeros, numbers, zipfile.ZIP_BZIP2), "compressed"
    yield "pickle of 20 MB", zip_file(zeros, numbers), "20 MB"
    yield "compression of an unknown kind", _patched(good, start + 10, "<H", 99), ""
    yield "encrypted", _patched(good, start + 8, "<H", 1), "encrypted"
    yield "the same name twice", archive([entry, entry]), "several members"
    yield "the same record twice", archive([entry, ("a/data/0", b""), ("a/data/0", bytes(4096))]), "several members"
    yield "names above the folder", archive([entry, ("../../witness", b"x"), ("/witness", b"x")]), ""
    yield "line break in a member's name", archive([("a\nusable yes\n/b", b"x")]), "zip archive without weights"
    yield "terminal codes in a member's name", archive([("a\x1b[2J\x07\u202e/b", b"x")]), "zip archive without weights"
    yield "name of 60 KB", archive([("a" * 60_000, b"x")]), "zip archive without weights"
    yield "3000 members", archive([entry, *((f"a/data/{i}", b"") for i in range(3000))]), None
    yield "200 000 members", _many_members(good, start, 200_000), ""
    yield "200 000 members in the wide record", _many_members(good, start, 200_000, wide=True), ""
    yield "members that overlap", _overlapping(good, start), ""
    yield "member of 4 GB", _patched(_patched(good, start + 24, "<L", 2**32 - 2), start + 20, "<L", 2**32 - 2), ""
    yield "member of 16 exabytes", _wide_member(good, start, 2**64 - 1, 0), ""
    yield "member at 8 exabytes", _wide_member(good, start, 4, 2**63 - 1), ""
    yield "member at 16 exabytes", _wide_member(good, start, 4, 2**64 - 1), ""
    yield "member before the file", _patched(good, start + 42, "<L", 2**31), ""
    yield "list of members of 4 GB", _patched(good, end + 12, "<L", 2**32 - 1), ""
    yield "list of members beyond the file", _patched(good, end + 16, "<L", 2**32 - 1), ""
    yield "list of members longer than it is", _patched(good, end + 12, "<L", 2**20), ""
    yield "65 535 members that are not there", _patched(good, end + 10, "<H", 2**16 - 1), None
    yield "end that is no end", _patched(good, end, "<L", 0), "cut short"
    yield "comment that looks like an end", _patched(good, end + 20, "<H", 30) + b"PK\x05\x06" + bytes(26), None
    yield "bytes before the archive", b"PK\x03\x04" + bytes(100) + good, None
    yield "bytes behind the archive", good + bytes(100_000), ""
    yield "wrong name in a member's own header", _patched(good, 26, "<H", 2**16 - 1), ""
    yield "big-endian", archive([entry, ("a/byteorder", b"big")]), "big-endian"


def _patched(content: bytes, place: int, form: str, value: int) -> bytes:
    changed = bytearray(content)
    struct.pack_into(form, changed, place, value)
    return bytes(changed)


def _many_members(good: bytes, start: int, count: int, wide: bool = False) -> bytes:
    """The list of members made long; the wide record, which has the last word, may say so alone."""
    own = good[start : start + 46] + good[start + 46 : start + 46 + struct.unpack_from("<H", good, start + 28)[0]]
    blank = _patched(_patched(own[:46], 28, "<H", 7), 30, "<H", 0)
    listed = own + b"".join(blank + b"%07x" % i for i in range(count))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 1000 if wide else len(listed), start, 0)
    if not wide:
        return good[:start] + listed + end
    place = start + len(listed)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(listed), start)
    return good[:start] + listed + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, place, 1) + end


def _overlapping(good: bytes, start: int) -> bytes:
    """Every member lies in the place of the first."""
    changed, place = bytearray(good), start
    while changed[place : place + 4] == b"PK\x01\x02":
        name_length, extra_length = struct.unpack_from("<2H", changed, place + 28)
        struct.pack_into("<2L", changed, place + 20, len(good), len(good))
        struct.pack_into("<L", changed, place + 42, 0)
        place += 46 + name_length + extra_length
    return bytes(changed)


def _wide_member(good: bytes, start: int, size: int, offset: int) -> bytes:
    """One more member in the list, whose size and place are in the wide fields."""
    extra = struct.pack("<2H3Q", 1, 24, size, size, offset)
    lengths = (1, len(extra), 0, 0, 0, 0, 2**32 - 1)
    header = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 45, 45, 0, 0, 0, 0, 0, 2**32 - 1, 2**32 - 1, *lengths)
    end = len(good) - 22
    longer = good[:end] + header + b"w" + extra + good[end:]
    place = len(longer) - 22
    count, length = struct.unpack_from("<H", longer, place + 10)[0], struct.unpack_from("<L", longer, place + 12)[0]
    return _patched(
        _patched(longer, place + 10, "<H", count + 1), place + 12, "<L", length + len(header + b"w" + extra)
    )


def _old_files() -> Iterator[tuple[str, bytes, str | None]]:
    """Files of the format before PyTorch 1.6 whose storages lie."""
    good = whole_file(legacy=True)

    def lying(count: object, told: int, keys: tuple[str, ...] = ("k",), data: bytes = b"\0" * 8) -> bytes:
        tensors = [tensor(storage(key, count, "LongStorage", legacy=True), (1,), (1,)) for key in keys]
        start = legacy_file(pickled({"a": tensors}), dict.fromkeys(keys, b""))
        return start[: -8 * len(keys)] + b"".join(struct.pack("<q", told) + data for _ in keys)

    yield "old: storage longer than the file", lying(2**40, 2**40), "cut short"
    yield "old: storage of 8 exabytes", lying(2**59, 2**59), "cut short"
    yield "old: storages of 16 exabytes", lying(2**60 - 1, 2**60 - 1, ("k", "l", "m")), ""
    yield "old: storage that says another length", lying(1, 2), "not where"
    yield "old: storage of a negative length", lying(1, -1), "not where"
    yield "old: storage of no length", lying(1, 0), "not where"
    yield "old: list of storages is no list", _without_end(good) + pickled({"a": 1}), ""
    yield "old: list of storages lacks one", _without_end(good) + pickled([]), ""
    yield "old: list of storages is deep", _without_end(good) + pickled(Raw(b"]" * LARGE + b"a" * (LARGE - 1))), ""
    yield "old: list of storages names one twice", lying(1, 1, ("k", "k")), None
    yield "old: magic number alone", good[:14], ""
    yield "old: another version", good.replace(b"M\xe9\x03.", b"M\xea\x03.", 1), "unknown version"
    yield "old: big-endian", good.replace(b"\x88", b"\x89", 1), "big-endian"
    yield "old: bytes behind the storages", good + bytes(1000), None


def _without_end(legacy: bytes) -> bytes:
    """An old file up to its list of storages."""
    return legacy[: legacy.index(b"\x80\x02]", 100)]


def _architectures() -> Iterator[tuple[str, bytes, str | None]]:
    """Weights that are there, and tell of a model that no machine can hold."""
    zero = storage("small", 1)

    def changed(changes: dict, more: dict[str, bytes] | None = None) -> bytes:
        tensors, numbers = state_dict(small_states())
        return zip_file(pickled({**tensors, **changes}), numbers | SMALL | (more or {}))

    def repeated(*shape: int) -> Raw:
        return tensor(zero, shape, (0,) * len(shape))

    one = repeated(1)
    depth = {f"blocks.{i}.x": one for i in range(2000)}
    squares = torch.arange(2).repeat_interleave(torch.tensor([1, 10**6])).to(torch.int64).numpy().tobytes()
    levels = tensor(storage("l", 10**6 + 1, "LongStorage"), (1, 10**6 + 1), (10**6 + 1, 1))
    bytes_of_levels = tensor(storage("b", 50_000_000, "ByteStorage"), (1, 50_000_000), (50_000_000, 1))
    scales = torch.arange(200_000).numpy().tobytes()
    many_scales = tensor(storage("s", 200_000, "LongStorage"), (1, 200_000), (200_000, 1))
    heads = repeated(1, 10**6, 1, 1)
    yield "classes by repetition", changed({"class_emb.weight": repeated(10**9, 8)}), "repeats"
    yield "head by repetition", changed({"head.weight": repeated(10**12, 8)}), "repeats"
    yield "weights of 4 exabytes", changed({"head.weight": repeated(2**31, 2**31)}), "repeats"
    yield "depth of 2000", changed(depth), "blocks.* are numbered up to 1999"
    yield "depth with a gap", changed({"blocks.999999.x": one}), ""
    yield "depth in letters of another script", changed({"blocks.١.x": one, "blocks.²": one}), ""
    yield "depth of 30 digits", changed({f"blocks.{10**30}.x": one}), ""
    yield "a million heads", changed({"blocks.0.attn.scale_mul_1H11": heads}), ""
    yield "width of one", changed({"word_embed.weight": repeated(1, 1)}), ""
    yield "no width", changed({"word_embed.weight": repeated(0, 4)}), "shape"
    yield "patch_nums of 1000 × 1000", changed({"lvl_1L": levels}, {"l": squares}), ""
    yield "200 000 scales", changed({"lvl_1L": many_scales}, {"s": scales}), ""
    yield "scales as 50 MB of bytes", changed({"lvl_1L": bytes_of_levels}, {"b": bytes(50_000_000)}), ""
    yield "scales as fractions", changed({"lvl_1L": repeated(1, 1)}), ""
    yield (
        "scales that are not numbers",
        changed({"lvl_1L": tensor(storage("n", 1), (1, 1), (1, 1))}, {"n": b"\xff" * 4}),
        "",
    )
    yield "weights without numbers", changed({"head.bias": repeated(0)}), ""
    yield "weights of one number each", zip_file(pickled(dict.fromkeys(small_states(), repeated(1, 1))), SMALL), ""
    yield "thousands of weights of another model", changed({f"a.{i}.b": one for i in range(2000)}), ""
    yield "a key of a million letters", changed({"a" * 1_000_000: one, "b." * 500_000: one}), None
    yield "a key with line breaks", changed({"a\nusable   yes\r\n\x1b[2J": one}), ""
    yield "a key with half a letter", changed({"a\ud800": one}), ""
    yield "a hundred parts in a name", changed({f"{'module.' * 100}{i}": one for i in range(200)}), None
    yield "VQVAE of 1000 levels", _absurd_vqvae(1000, 2), "encoder.down.* are numbered up to 999"
    yield "VQVAE of 1000 blocks a level", _absurd_vqvae(2, 1000), "another autoencoder"
    yield "VQVAE of 60 levels", _absurd_vqvae(60, 2), ""
    yield (
        "VQVAE of 3000 φ",
        _absurd_vqvae(2, 2, {f"quantize.quant_resi.qresi_ls.{i}.weight": one for i in range(3000)}),
        "",
    )
    yield "epoch of 10 000 digits", _with_epoch(10**10_000), None
    yield "epoch that is a stand-in", _with_epoch(name("a", "b")), None
    yield "class names of a million letters", whole_file(args={"class_names": ["x" * 1_000_000, "\x1b[2J\ud800"]}), None
    yield "arguments with half letters", whole_file(args={"\ud800": "\udfff", "a": b"\xff"}), None
    yield "arguments that are not finite", whole_file(args={"lr": float("nan"), "wd": float("inf")}), None
    yield "arguments as a text of a million line breaks", whole_file(args="\n" * 1_000_000), None
    yield "arguments as a text of commas", whole_file(args="data_path: x" + ", " * 500_000 + "'"), None
    yield "arguments of large numbers", whole_file(args={"n": 1 << 100_000, "l": [1 << 100_000]}), None
    yield "large numbers as names of arguments", whole_file(args={1 << 100_000: 1}), None


def _with_epoch(epoch: object) -> bytes:
    tensors, numbers = state_dict(small_states())
    return zip_file(pickled({"epoch": epoch, "iter": epoch, "trainer": {"var_wo_ddp": tensors}}), numbers)


def _absurd_vqvae(levels: int, blocks: int, more: dict[str, Raw] | None = None) -> bytes:
    conv = tensor(storage("c", 32), (32, 1, 1, 1), (1, 1, 1, 1))
    keys = dict.fromkeys(("encoder.conv_in.weight", "decoder.conv_in.weight", "quant_conv.weight"), conv)
    keys["quantize.embedding.weight"] = tensor(storage("c", 32), (32, 1), (1, 1))
    keys |= {f"encoder.down.{i}.block.0.conv1.weight": conv for i in range(levels)}
    keys |= {f"encoder.down.0.block.{i}.x": conv for i in range(blocks)}
    keys |= {"quantize.quant_resi.qresi_ls.0.weight": conv} | (more or {})
    return zip_file(pickled(keys), {"c": bytes(128), "padding": bytes(128 * len(keys))} | SMALL)


def _safetensors() -> Iterator[tuple[str, bytes, str | None]]:
    """Safetensors files whose header lies."""

    def entry(**changes: object) -> bytes:
        whole = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}
        return safetensors_file({"a": whole}, bytes(4))

    deep = b'{"a":' + b"[" * LARGE + b"]" * LARGE + b"}"
    many = {f"a{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(2000)}
    yield "header of 1 TB", safetensors_file({"a": 1}, length=2**40 - 1), ""
    yield "header of 100 MB", safetensors_file({"a": 1}, length=100_000_000), "header claims"
    yield "header longer than the file", safetensors_file({"a": 1}, length=1000), "cut short"
    yield "header of no length", safetensors_file({"a": 1}, length=0), ""
    yield "deep header", safetensors_file(deep), ""
    yield "header of empty lists", safetensors_file(b'{"a":[' + b"[]," * 2_500_000 + b"[]]}"), ""
    yield "header of empty dicts", safetensors_file(b'{"a":[' + b"{}," * 2_500_000 + b"{}]}"), ""
    yield "2000 tensors without numbers", safetensors_file(many), None
    yield "header that is a list", safetensors_file(b"{}".replace(b"{}", b"[]") + b" " * 8), ""
    yield "header that is no text", safetensors_file(b"{\xff\xfe}"), "no valid JSON"
    yield "header in another encoding", safetensors_file('{"a": 1}'.encode("utf-16")), ""
    yield "two headers", safetensors_file(b"{}{}"), "no valid JSON"
    yield "the same key twice", safetensors_file(b'{"a":{"dtype":"F32"},"a":{"dtype":"F32"}}'), "no valid JSON"
    yield "number of 100 000 digits", safetensors_file(b'{"a":' + b"9" * 100_000 + b"}"), ""
    yield "metadata that is a number", safetensors_file({"__metadata__": 7}), "metadata"
    yield "metadata of lists", safetensors_file({"__metadata__": {"format": ["pt"]}}), "metadata"
    yield "metadata with code", safetensors_file({"__metadata__": {"training": "__import__('os').system('x')"}}), ""
    yield "deep metadata", _export_with(training="[" * LARGE), None
    yield "metadata that is not finite", _export_with(training='{"epoch": NaN, "args": {"lr": Infinity}}'), None
    yield "metadata of a long number", _export_with(training='{"epoch": ' + "9" * 100_000 + "}"), None
    yield "class names of half letters", _export_with(class_names='["\\ud800", "b"]'), None
    yield "arguments of half letters", _export_with(training='{"args": {"\\ud800": "\\udfff"}}'), None
    yield "class names that are no text", _export_with(class_names="[1, null]"), None
    yield "offsets NaN", safetensors_file(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[NaN,4]}}', bytes(4)), ""
    yield (
        "offsets infinite",
        safetensors_file(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1e999]}}', bytes(4)),
        "",
    )
    yield "offsets negative", entry(data_offsets=[-4, 0]), ""
    yield "offsets in the header", entry(data_offsets=[-8, -4]), ""
    yield "offsets backwards", entry(data_offsets=[4, 0]), ""
    yield "offsets as fractions", entry(data_offsets=[0.0, 4.0]), ""
    yield "offsets as truth", entry(dtype="U8", data_offsets=[False, True]), ""
    yield "offsets as lists", entry(data_offsets=[[0], [4]]), ""
    yield "offsets as text", entry(data_offsets="04"), ""
    yield "offsets of one", entry(data_offsets=[0]), ""
    yield "offsets of 2^64", entry(data_offsets=[2**64, 2**64 + 4]), ""
    yield "offsets beyond the file", entry(data_offsets=[100, 104]), "beyond its end"
    yield "size of another kind of number", entry(dtype="F64"), ""
    yield "unknown kind of number", entry(dtype="f4"), "cannot be understood"
    yield "kind of number that is a list", entry(dtype=["F32"]), "cannot be understood"
    yield "sizes as text", entry(shape="1"), ""
    yield "sizes as a number", entry(shape=1), ""
    yield "sizes negative", entry(shape=[-1, -1]), ""
    yield "sizes as fractions", entry(shape=[1.0]), ""
    yield "sizes as truth", entry(shape=[True]), ""
    yield "sizes of nothing", entry(shape=[None]), ""
    yield "sizes of 2^62", entry(shape=[2**62, 2**62]), ""
    yield "sizes of a text repeated", entry(shape=["x" * 1000, 10**10]), ""
    yield "sizes of a list repeated", entry(shape=[[1] * 1000, 10**9]), ""
    yield "hundreds of thousands of sizes", entry(shape=[2**62] * 200_000), ""
    yield "entry that is a list", safetensors_file({"a": [1, 2]}), ""
    yield "entry that is nothing", safetensors_file({"a": None}), ""
    yield "line break in a key", safetensors_file({"a\nusable yes": None}), ""
    yield "half a letter in a key", safetensors_file(b'{"a\\ud800": null}'), ""
    yield "tensors in the same place", _overlapping_tensors(), "less data"
    yield "bytes behind the tensors", _export_with() + bytes(1000), None
    yield "export of another model", _export_with(key="evil.head.bias"), ""


def _export_with(key: str | None = None, **metadata: str) -> bytes:
    """One of our own exports, with these texts in its header."""
    header, data = {"__metadata__": {"var_export": "1", **metadata}}, b""
    for own, weight in small_states().items():
        numbers = weight.contiguous().numpy().tobytes()
        dtype = {torch.float32: "F32", torch.int64: "I64"}[weight.dtype]
        offsets = [len(data), len(data) + len(numbers)]
        header[f"var.{own}"] = {"dtype": dtype, "shape": list(weight.shape), "data_offsets": offsets}
        data += numbers
    if key is not None:
        header[key] = header.pop("var.head.bias")
    return safetensors_file(header, data)


def _overlapping_tensors() -> bytes:
    entry = {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]}
    return safetensors_file({f"a{i}": entry for i in range(100)}, bytes(4000))


def _indexes() -> Iterator[HostileFile]:
    """Indexes of a model in several files that point elsewhere."""

    def index(title: str, content: object, said: str | None) -> HostileFile:
        def write(folder: Path) -> Path:
            path = folder / "model.safetensors.index.json"
            path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
            (folder / "part.safetensors").write_bytes(safetensors_file({}))
            return path

        return HostileFile(f"index: {title}", said, write)

    def weights(**places: object) -> dict:
        return {"weight_map": places}

    yield index("file above the folder", weights(a="../other.safetensors"), "outside its folder")
    yield index("file at the root", weights(a="/etc/passwd"), "outside its folder")
    yield index("file of another system", weights(a="..\\..\\x.safetensors"), "")
    yield index("its own folder", weights(a="."), "outside its folder")
    yield index("folder above", weights(a=".."), "")
    yield index("no name", weights(a=""), "")
    yield index("itself", weights(a="model.safetensors.index.json"), "is not")
    yield index("name with a zero byte", weights(a="a\0b"), "")
    yield index("name of 10 000 letters", weights(a="a" * 10_000), "")
    yield index("name with a line break", weights(a="a\nusable yes"), "")
    yield index("name with half a letter", b'{"weight_map": {"a": "\\ud800"}}', "")
    yield index("name that is a number", weights(a=7, b="part.safetensors"), "")
    yield index("name that is a list", weights(a=["part.safetensors"]), "")
    yield index("no such weight", weights(a="part.safetensors"), "is not")
    yield index("thousands of files", weights(**{f"a{i}": f"{i}.safetensors" for i in range(5000)}), "too many")
    yield index("no weights", weights(), "")
    yield index("list in place of a map", {"weight_map": ["a"]}, "weight_map")
    yield index("list at the top", [1], "weight_map")
    yield index("deep", b'{"weight_map":' + b"[" * LARGE, "weight_map")
    yield index("10 MB", b" " * 10_000_000, "far more than an index")
    yield index("400 000 files", weights(**{f"{i:x}": f"{i:x}" for i in range(400_000)}), "far more than an index")
    yield index("30 000 weights in 1 MB", weights(**{f"{i:x}": "part.safetensors" for i in range(30_000)}), "too many")
    yield index("no text", b"\xff\xfe\x00", "weight_map")
