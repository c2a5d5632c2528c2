"""Honest files, damaged at random by seed: each loads, or is refused in one line; nothing else is ever raised."""

import io
import json
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hostile_files import small_states, whole_file
from pickle_bytes import archive
from safetensors.torch import save

from var.checkpoints.checkpoint import read_checkpoint
from var.checkpoints.load import build_var, build_vqvae, check
from var.checkpoints.plain_values import to_plain
from var.errors import CheckpointError

# Python's own reader of text opcodes says so of letters behind a backslash.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")

INTERESTING = (
    0,
    1,
    7,
    8,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
Mutation = Callable[[random.Random, bytes], bytes]


def flip_bits(chance: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def change_bytes(chance: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 2, 8, 64))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def change_number(chance: random.Random, content: bytes) -> bytes:
    """Put an extreme number where some number may have been."""
    number, form = chance.choice(INTERESTING), chance.choice("BHLQ")
    own = struct.pack("<Q", number)[: struct.calcsize(f"<{form}")]
    place = chance.randrange(len(content))
    return content[:place] + own + content[place + len(own) :]


def cut(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.randrange(1, len(content))]


def cut_out(chance: random.Random, content: bytes) -> bytes:
    start = chance.randrange(len(content))
    return content[:start] + content[start + chance.choice((1, 2, 8, 100, 5000)) :]


def insert(chance: random.Random, content: bytes) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + chance.randbytes(chance.choice((1, 2, 8, 100))) + content[place:]


def repeat_part(chance: random.Random, content: bytes) -> bytes:
    """Write one run of bytes over another place."""
    length = chance.choice((4, 16, 64, 512))
    source, place = (chance.randrange(len(content)) for _ in range(2))
    return content[:place] + content[source : source + length] + content[place + length :]


def swap_records(chance: random.Random, content: bytes) -> bytes:
    """Give records of an archive each other's content, or drop some."""
    return _rezipped(content, lambda records: [(name, chance.choice(records)[1]) for name, _ in records])


def lose_records(chance: random.Random, content: bytes) -> bytes:
    return _rezipped(content, lambda records: [record for record in records if chance.random() < 0.95])


def shuffle_opcodes(chance: random.Random, content: bytes) -> bytes:
    """Swap, repeat and drop opcodes of an archive's pickle, so that it stays one that can be read for a while."""

    def changed(records: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [(name, _shuffled(chance, data) if name.endswith("data.pkl") else data) for name, data in records]

    return _rezipped(content, changed)


def _shuffled(chance: random.Random, pickled: bytes) -> bytes:
    places = [place for _, _, place in pickletools.genops(pickled)]
    opcodes = [pickled[start:end] for start, end in zip(places, [*places[1:], len(pickled)], strict=True)]
    for _ in range(chance.choice((1, 1, 2, 5))):
        one, other = (chance.randrange(1, len(opcodes) - 1) for _ in range(2))
        kind = chance.randrange(4)
        if kind == 0:
            opcodes[one], opcodes[other] = opcodes[other], opcodes[one]
        elif kind == 1:
            opcodes.insert(one, opcodes[other])
        elif kind == 2:
            opcodes[one] = opcodes[other]
        else:
            del opcodes[one]
    return b"".join(opcodes)


def _rezipped(content: bytes, change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        return archive(change([(name, source.read(name)) for name in source.namelist()]))


ANYWHERE = (flip_bits, change_bytes, change_number, cut, cut_out, insert, repeat_part)
HONEST: dict[str, tuple[Callable[[], bytes], str, tuple[Mutation, ...]]] = {
    "zip": (
        lambda: whole_file(args={"depth": 1, "pn": "1_2"}),
        ".pth",
        (*ANYWHERE, swap_records, lose_records, shuffle_opcodes, shuffle_opcodes),
    ),
    "legacy": (lambda: whole_file(legacy=True, args={"depth": 1, "pn": "1_2"}), ".pth", ANYWHERE),
    "safetensors": (lambda: save(small_states(), {"format": "pt"}), ".safetensors", ANYWHERE),
}


def use(path: Path) -> None:
    """Do all with a file that this project does before it makes images."""
    checkpoint = read_checkpoint(path)
    checkpoint.summary()
    json.dumps(to_plain(checkpoint.training), ensure_ascii=False).encode()
    check(checkpoint)
    if checkpoint.var_weights is not None:
        build_var(checkpoint, "cpu", torch.float32)
    if checkpoint.vae_weights is not None:
        build_vqvae(checkpoint, "cpu")


def damage_and_use(kind: str, folder: Path, seeds: range) -> dict[str, int]:
    """Damage a file once for each seed, and use it; returns how many loaded and how many were refused."""
    make, suffix, mutations = HONEST[kind]
    honest, path = make(), folder / f"a{suffix}"
    counts = {"loaded": 0, "refused": 0}
    for seed in seeds:
        chance = random.Random(f"{kind} {seed}")
        mutation = chance.choice(mutations)
        path.write_bytes(mutation(chance, honest))
        try:
            use(path)
            counts["loaded"] += 1
        except CheckpointError as error:
            counts["refused"] += 1
            message = str(error).removeprefix(f"{path}: ")
            assert message.isprintable() and len(message) < 600, (seed, mutation.__name__, message)
        except Exception as error:
            pytest.fail(f"seed {seed}, {mutation.__name__}: {error!r}")
    return counts


@pytest.mark.parametrize("kind", HONEST)
def test_damaged_files_load_or_are_refused(tmp_path, kind):
    counts = damage_and_use(kind, tmp_path, range(150))
    assert min(counts.values()) > 10  # otherwise the damage tests nothing


@pytest.mark.slow
@pytest.mark.parametrize("kind", HONEST)
@pytest.mark.parametrize("start", range(1000, 9000, 1000))
def test_thousands_of_damaged_files_load_or_are_refused(tmp_path, kind, start):
    damage_and_use(kind, tmp_path, range(start, start + 1000))


@pytest.mark.parametrize("kind", HONEST)
def test_the_honest_file_loads(tmp_path, kind):
    make, suffix, _ = HONEST[kind]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(make())
    use(path)
