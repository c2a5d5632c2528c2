"""Checkpoints on the Hub looked into before they are downloaded, and downloaded without the optimizer's state."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_server import PROJECT, HubClient, HubRepo, hub_environment
from tiny import write_trainer_file

from var import VARPipeline
from var.checkpoints.hash import short_hash

WORKER = """
import json, sys
from var.checkpoints.remote import download_checkpoint, peek
from var.errors import CheckpointError
from var.hub import ranges
from var.hub.download import Access
ranges.MAX_HEADER_BYTES = 1_000_000  # less than the weights that come
for line in sys.stdin:
    kind, source = json.loads(line)
    told = []
    try:
        if kind == "peek":
            found = peek(source)
            answer = found and {"summary": found.checkpoint.summary(), "scan": found.scan,
                                "download": found.download_bytes}
        else:
            access = Access(anonymous=kind == "stranger")
            path = download_checkpoint(source, lambda done, total: told.append((done, total)), access)
            answer = {"path": str(path), "first": told[:1], "last": told[-1:]}
    except CheckpointError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""
UNSAFE = {
    "status": "unsafe",
    "avScan": {"virusFound": False},
    "pickleImportScan": {"pickleImports": [{"module": "os", "name": "system", "safety": "dangerous"}]},
}


@pytest.fixture(scope="module")
def client(server, home):
    process = HubClient(server.endpoint, home, WORKER)
    yield process
    process.close()


@pytest.fixture(scope="module")
def trainer_file(tmp_path_factory):
    """A checkpoint of which more than half is the optimizer's, as trainers save it."""
    return with_optimizer(write_trainer_file(tmp_path_factory.mktemp("trainer") / "a.pth"))


@pytest.fixture
def name(server, request):
    server.requests.clear()
    return f"owner/{request.node.originalname}"


def with_optimizer(path: Path) -> Path:
    content = torch.load(path, weights_only=False)
    content["trainer"]["var_opt"]["optimizer"]["state"] = {0: {"exp_avg": torch.full((4_000_000,), 3.25)}}
    torch.save(content, path)
    return path


def asked_bytes(transfers: list[str | None]) -> int:
    """How many bytes were asked for; all of them are ranges."""
    spans = [tuple(map(int, asked.removeprefix("bytes=").split("-"))) for asked in transfers]
    return sum(last + 1 - first for first, last in spans)


def test_only_the_weights_come_and_the_file_works_as_the_whole_one(server, client, trainer_file, name):
    server.repos[name] = HubRepo({"a.pth": trainer_file.read_bytes()})
    answer = client.ask(["download", f"hf://{name}/a.pth"])
    path, size = Path(answer["path"]), trainer_file.stat().st_size
    fetched = asked_bytes(server.transfers())
    assert fetched < 0.5 * size and answer["last"] == [[fetched, fetched]]
    assert path.stat().st_size == size and path.stat().st_blocks * 512 < 0.5 * size
    assert short_hash(path) == short_hash(trainer_file)
    ours, theirs = (VARPipeline.from_checkpoint(file, device="cpu")([1], seed=3) for file in (path, trainer_file))
    assert torch.equal(ours.tokens, theirs.tokens) and ours.images[0].tobytes() == theirs.images[0].tobytes()


def test_what_came_is_found_without_network(server, client, home, trainer_file, name):
    server.repos[name] = HubRepo({"a.pth": trainer_file.read_bytes()})
    path = client.ask(["download", f"hf://{name}/a.pth"])["path"]
    server.requests.clear()
    assert client.ask(["download", f"hf://{name}/a.pth"])["path"] == path
    assert client.ask(["peek", f"hf://{name}/a.pth"]) is None  # the local file says more
    assert server.requests == []
    assert client.ask(["stranger", f"hf://{name}/a.pth"])["path"] == path  # whom the Hub would hand it out, too
    assert server.requests and server.transfers() == []


def test_broken_download_goes_on_with_what_is_missing(server, client, home, trainer_file, name):
    content = trainer_file.read_bytes()
    server.repos[name] = repo = HubRepo({"a.pth": content}, cuts=[len(content)] * 4 + [None])
    assert "HTTP 503" in client.ask(["download", f"hf://{name}/a.pth"])["error"]
    before = asked_bytes(server.transfers()[:-1])
    other = HubClient(server.endpoint, home, WORKER)  # as after a restart
    try:
        repo.cuts = [1000]  # breaks off once more, and goes on by itself
        answer = other.ask(["download", f"hf://{name}/a.pth"])
    finally:
        other.close()
    assert answer["first"][0][0] == before > 0
    assert short_hash(answer["path"]) == short_hash(trainer_file)


def test_a_header_without_end_is_not_read(server, client, tmp_path, name):
    length = 3 << 20
    (tmp_path / "a.safetensors").write_bytes(length.to_bytes(8, "little") + b"{" + b" " * 12_000_000)
    server.repos[name] = HubRepo({"a.safetensors": (tmp_path / "a.safetensors").read_bytes()})
    for kind in ("peek", "download"):
        assert "far larger than a checkpoint's" in client.ask([kind, f"hf://{name}/a.safetensors"])["error"]
    assert asked_bytes(server.transfers()) < 2_100_000


def test_server_without_ranges_sends_the_whole_file(server, client, trainer_file, name):
    server.repos[name] = HubRepo({"a.pth": trainer_file.read_bytes()}, knows_ranges=False)
    assert client.ask(["peek", f"hf://{name}/a.pth"]) is None
    assert Path(client.ask(["download", f"hf://{name}/a.pth"])["path"]).read_bytes() == trainer_file.read_bytes()


def test_weights_that_differ_from_their_checksum_are_fetched_with_the_whole_file(server, client, tmp_path, name):
    torch.serialization.set_crc32_options(False)  # what torch writes instead does not agree with the weights
    try:
        path = with_optimizer(write_trainer_file(tmp_path / "a.pth"))
    finally:
        torch.serialization.set_crc32_options(True)
    server.repos[name] = HubRepo({"a.pth": path.read_bytes()})
    assert Path(client.ask(["download", f"hf://{name}/a.pth"])["path"]).read_bytes() == path.read_bytes()


def test_file_that_is_all_weights_comes_whole(server, client, tmp_path, name):
    torch.save(torch.load(write_trainer_file(tmp_path / "a.pth"), weights_only=False)["trainer"], tmp_path / "b.pth")
    content = torch.load(tmp_path / "b.pth", weights_only=False)["vae_local"]
    torch.save(content | {"encoder.conv_in.bias": torch.zeros(3_000_000)}, tmp_path / "b.pth")
    server.repos[name] = HubRepo({"b.pth": (tmp_path / "b.pth").read_bytes()})
    path = client.ask(["download", f"hf://{name}/b.pth"])["path"]
    assert Path(path).read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_a_look_tells_what_it_is_by_few_requests_and_leaves_nothing(server, client, home, trainer_file, name):
    server.repos[name] = HubRepo({"a.pth": trainer_file.read_bytes()}, scan=UNSAFE)
    files = sorted(home.rglob("*"))
    found = client.ask(["peek", name])
    assert found["summary"].startswith("trainer checkpoint, depth 2")
    assert found["scan"] == "The Hub's own scan calls the file unsafe (os.system)."
    assert found["download"] < 0.5 * trainer_file.stat().st_size
    assert len(server.transfers()) <= 3
    assert sorted(home.rglob("*")) == files


def test_what_is_no_checkpoint_is_refused_before_it_comes(server, client, home, tmp_path, name):
    torch.save({"weight": torch.zeros(4_000_000)}, tmp_path / "a.pth")
    server.repos[name] = HubRepo({"a.pth": (tmp_path / "a.pth").read_bytes()})
    for kind in ("peek", "download"):
        server.requests.clear()
        assert f"hf://{name}/a.pth: " in client.ask([kind, f"hf://{name}/a.pth"])["error"]
        assert asked_bytes(server.transfers()) < 1_000_000
    assert not list(home.rglob(f"*{name.partition('/')[2]}*/**/*.incomplete*"))


def test_inspect_says_it_without_a_download(server, trainer_file, name, tmp_path):
    server.repos[name] = HubRepo({"a.pth": trainer_file.read_bytes()}, scan={**UNSAFE, "status": "safe"})
    command = [sys.executable, "-m", "var", "inspect", f"hf://{name}/a.pth", "--json"]
    environment = hub_environment(server.endpoint, tmp_path) | {"PYTHONPATH": os.fspath(PROJECT)}
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    report = json.loads(shown)
    assert (report["file"], report["usable"], report["var"]["config"]["depth"]) == (f"hf://{name}/a.pth", True, 2)
    assert report["hub"]["scan"] == "The Hub's own scan found nothing."
    assert asked_bytes(server.transfers()) < 1_000_000
