"""A corpus of files made to do harm: each is refused in one line, or loads, and does nothing else.

They are read in a process of its own, which would take the damage, all by one.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_files import HostileFile, corpus, floods, whole_file

from var.checkpoints.checkpoint import read_checkpoint
from var.errors import CheckpointError

READER = Path(__file__).parent / "hostile_reader.py"
ALLOWANCE = 128 << 20  # bytes of memory beside twice the file's size
GROUPS = (
    *("calls", "opcodes", "state", "tensors", "bombs", "cuts", "places"),
    *("archives", "old files", "architectures", "safetensors", "indexes"),
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are set as on Linux")


@dataclass(frozen=True)
class Report:
    """What happened to one file."""

    file: HostileFile
    path: str
    num_bytes: int
    outcome: str
    text: str = ""
    memory: int = 0
    modules: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def read_all(folder: Path, groups: dict[str, list[HostileFile]]) -> dict[str, list[Report]]:
    """Write all files, and have them read; after one that ends the reader, the next goes on behind it."""
    good = folder / "good.pth"
    good.write_bytes(whole_file())
    (folder / "empty").mkdir()
    written = {}
    for group, files in groups.items():
        for index, file in enumerate(files):
            place = folder / f"{group} {index}"
            place.mkdir()
            path = file.write(place)
            written[str(path)] = (group, file, path.stat().st_size)
    reports: dict[str, list[Report]] = {group: [] for group in groups}
    waiting = list(written)
    while waiting:
        process = subprocess.run(
            [sys.executable, str(READER), str(good), *waiting],
            cwd=folder / "empty",
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        honest, *lines = [json.loads(line) for line in process.stdout.splitlines()] or [None]
        assert honest is not None and honest[0] == "loaded", process.stderr[-1500:]
        for line in lines:
            group, file, size = written[line["path"]]
            seen = (line["outcome"], line["text"], line["bytes"], tuple(line["modules"]), tuple(line["files"]))
            reports[group].append(Report(file, line["path"], size, *seen))
        waiting = waiting[len(lines) :]
        if waiting:
            path = waiting.pop(0)
            group, file, size = written[path]
            reports[group].append(Report(file, path, size, "ended the reader", process.stderr[-1500:]))
    return reports


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, list[Report]]:
    """What happened to the files of the corpus, by group."""
    return read_all(tmp_path_factory.mktemp("corpus"), corpus())


def assert_harmless(reports: list[Report]) -> None:
    """What holds for every file, however it is made."""
    assert [(r.file.title, r.text) for r in reports if r.outcome not in ("loaded", "refused")] == []
    assert [(r.file.title, r.files) for r in reports if r.files] == [], "something in them ran"
    assert [(r.file.title, r.modules) for r in reports if r.modules] == [], "something was imported"


def assert_cheap(reports: list[Report]) -> None:
    """No file takes more memory than twice its size, and a fixed amount."""
    heavy = [(r.file.title, r.memory >> 20) for r in reports if r.memory > 2 * r.num_bytes + ALLOWANCE]
    assert heavy == [], "MiB"


def assert_refused_well(reports: list[Report]) -> None:
    """A refusal is one short line that names the file, what was found, and can be printed anywhere.

    What may be an attack and is out of the weights' reach is loaded, and the same is said of it.
    """
    loaded = [(r.file, r.text) for r in reports if r.file.said is not None and r.outcome == "loaded"]
    assert [(file.title, text) for file, text in loaded if not file.said or file.said not in text] == []
    assert [
        (file.title, text) for file, text in loaded if "may be an attack" not in text or not text.isprintable()
    ] == []
    refused = [(r.file, r.text.replace(r.path, "FILE", 1)) for r in reports if r.outcome == "refused"]
    assert [(file.title, text) for file, text in refused if not text.startswith("FILE: ")] == []
    assert [(file.title, text) for file, text in refused if len(text) >= 600 or not text.isprintable()] == []
    assert [(file.title, text) for file, text in refused if (file.said or "") not in text] == []


def test_the_groups_are_all_there(reports):
    assert tuple(reports) == GROUPS


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_runs_fails_or_is_imported(reports, group):
    assert_harmless(reports[group])


@pytest.mark.parametrize("group", GROUPS)
def test_refusals_are_one_line_about_what_was_found(reports, group):
    assert_refused_well(reports[group])


@pytest.mark.parametrize("group", GROUPS)
def test_memory_stays_near_the_size_of_the_file(reports, group):
    assert_cheap(reports[group])


@pytest.mark.slow
def test_floods_of_opcodes_are_refused_in_little_memory(tmp_path):
    reports = read_all(tmp_path, floods())["floods"]
    assert_harmless(reports)
    assert_refused_well(reports)
    assert_cheap(reports)


def test_the_honest_file_of_which_they_are_made_loads(tmp_path):
    path = tmp_path / "a.pth"
    for legacy in (False, True):
        path.write_bytes(whole_file(legacy, args={"depth": 1}))
        assert read_checkpoint(path).training["args"] == {"depth": 1}


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="pipe"):
        read_checkpoint(tmp_path / "a.pth")
