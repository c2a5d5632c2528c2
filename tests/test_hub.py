"""Downloads from the Hub: where files come from, how they are continued, and what is said when they do not come."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import COMMIT, PROJECT, HubClient, HubRepo, hub_environment, serving

from var.hub.download import KEPT_FREE

CONTENT = bytes(range(256)) * 40  # 10 kB
HALF = len(CONTENT) // 2
PIECE = 10 << 20  # huggingface_hub writes, and keeps, so much at a time
LARGE = bytes(PIECE + 1000)


@pytest.fixture(scope="module")
def client(server, home):
    """One process for most tests; each has a repository of its own."""
    process = HubClient(server.endpoint, home)
    yield process
    process.close()


@pytest.fixture
def repo(server, request):
    """An empty repository that is named after the test."""
    server.requests.clear()
    repo = server.repos[repo_name(request)] = HubRepo()
    return repo


@pytest.fixture
def name(request):
    return repo_name(request)


def repo_name(request) -> str:
    return f"owner/{request.node.originalname}"


@pytest.fixture
def another(server, tmp_path):
    """Start processes with other variables, and other caches where none is given."""
    started = []

    def start(cache: Path = tmp_path / "other", **environment: str) -> HubClient:
        started.append(HubClient(server.endpoint, cache, **environment))
        return started[-1]

    yield start
    for process in started:
        process.close()


def test_file_arrives(client, repo, name):
    repo.files["folder/a b.pth"] = CONTENT
    assert Path(client.ask(f"hf://{name}/folder/a b.pth")["path"]).read_bytes() == CONTENT


def test_cached_file_asks_nobody(client, server, repo, name):
    repo.files["a.pth"] = CONTENT
    path = client.ask(f"hf://{name}/a.pth")["path"]
    server.requests.clear()
    assert client.ask(f"hf://{name}/a.pth")["path"] == path
    assert server.requests == []


def test_cached_file_serves_while_the_hub_is_down(client, repo, name):
    repo.files["a.pth"] = CONTENT
    path = client.ask(f"hf://{name}/a.pth")["path"]
    repo.status = 503
    assert client.ask(f"hf://{name}/a.pth")["path"] == path


def test_cache_is_the_hubs_own(client, home, repo, name):
    repo.files["a.pth"] = CONTENT
    path = client.ask(f"hf://{name}/a.pth")["path"]
    folder = "models--" + name.replace("/", "--")
    assert path == str(home / "hub" / folder / "snapshots" / COMMIT / "a.pth")


@pytest.mark.parametrize("revision", ["main", "v1", COMMIT])
def test_revision(client, repo, name, revision):
    repo.files["a.pth"] = CONTENT
    assert "path" in client.ask(f"hf://{name}@{revision}/a.pth")


def test_progress_goes_from_nothing_to_all(client, repo, name):
    repo.files["a.pth"] = CONTENT
    told = client.ask(f"hf://{name}/a.pth")["progress"]
    assert told[0] == [0, len(CONTENT)]
    assert told[-1] == [len(CONTENT), len(CONTENT)]


def test_broken_transfer_goes_on_by_itself(client, server, repo, name):
    repo.files["a.pth"], repo.cuts = LARGE, [PIECE + 1]
    assert Path(client.ask(f"hf://{name}/a.pth")["path"]).read_bytes() == LARGE
    assert server.transfers() == [None, f"bytes={PIECE}-"]


def test_broken_download_is_continued_by_the_next_one(client, another, home, server, repo, name):
    repo.files["a.pth"], repo.cuts = LARGE, [PIECE + 1, None]
    assert "HTTP 503" in client.ask(f"hf://{name}/a.pth")["error"]
    server.requests.clear()
    answer = another(home).ask(f"hf://{name}/a.pth")  # as after a restart
    assert Path(answer["path"]).read_bytes() == LARGE
    assert answer["progress"][0] == [PIECE, len(LARGE)]
    assert server.transfers() == [f"bytes={PIECE}-"]


def test_damaged_rest_is_not_built_upon(client, home, repo, name):
    repo.files["a.pth"], repo.cuts = CONTENT, [HALF, None]
    client.ask(f"hf://{name}/a.pth")
    [partial] = (home / "hub").glob(f"models--{name.replace('/', '--')}/blobs/*.incomplete")
    partial.write_bytes(bytes(HALF))
    assert "damaged" in client.ask(f"hf://{name}/a.pth")["error"]
    assert Path(client.ask(f"hf://{name}/a.pth")["path"]).read_bytes() == CONTENT


def test_token_stays_with_the_hub(another, server, repo, name):
    repo.files["a.pth"] = CONTENT
    assert "path" in another(HF_TOKEN="hf_right").ask(f"hf://{name}/a.pth")
    with_token = {path.split("/")[1] == "large": token for _, path, _, token in server.requests}
    assert with_token == {False: True, True: False}


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("GatedRepo", 403, "gated. Accept its terms on https://huggingface.co/owner/test_repository_that_is_closed"),
        ("RepoNotFound", 404, "no such repository, or it is private"),
        (None, 403, "access token does not give access"),
        (None, 429, "asked too often"),
        (None, 500, "fault (HTTP 500)"),
    ],
    ids=str,
)
def test_repository_that_is_closed(client, repo, name, code, status, expected):
    repo.error_code, repo.status = code, status
    error = client.ask(f"hf://{name}/a.pth")["error"]
    assert error.startswith(f"hf://{name}/a.pth: ")
    assert expected in error


def test_absent_repository(client):
    assert "no such repository" in client.ask("hf://nobody/nothing/a.pth")["error"]


def test_absent_file_names_those_that_are_there(client, repo, name):
    repo.files |= {"b.pth": CONTENT, "README.md": b"text"}
    error = client.ask(f"hf://{name}/a.pth")["error"]
    assert "no such file. It has b.pth." in error


def test_absent_revision(client, repo, name):
    repo.files["a.pth"] = CONTENT
    assert "no revision v9" in client.ask(f"hf://{name}@v9/a.pth")["error"]


def test_wrong_token(another, repo, name):
    repo.files["a.pth"] = CONTENT
    assert (
        "does not accept this machine's access token" in another(HF_TOKEN="hf_wrong").ask(f"hf://{name}/a.pth")["error"]
    )


def test_full_disk_is_told_before_anything_is_fetched(client, server, repo, name):
    repo.files["a.pth"], repo.claimed_size = CONTENT, 10**18
    error = client.ask(f"hf://{name}/a.pth")["error"]
    assert "needs 1,000,000 TB" in error and "free" in error
    assert server.transfers() == []


def test_cache_that_cannot_be_written(another, repo, name, tmp_path):
    repo.files["a.pth"] = CONTENT
    (tmp_path / "file").write_bytes(b"")
    error = another(tmp_path / "file").ask(f"hf://{name}/a.pth")["error"]
    assert "cannot be written" in error and "HF_HOME" in error


def test_hub_that_does_not_answer(client, repo, name):
    repo.stalls = True
    assert "did not answer in time" in client.ask(f"hf://{name}/a.pth")["error"]


def test_unreachable_hub(another):
    process = another(HF_ENDPOINT="http://127.0.0.1:9")  # nothing listens there
    assert "cannot be reached" in process.ask("hf://owner/repo/a.pth")["error"]
    assert "cannot be reached" in process.ask("hf://owner/repo")["error"]


def test_offline_variable(another, client, home, server, repo, name):
    repo.files |= {"a.pth": CONTENT, "b.pth": CONTENT[:HALF]}
    client.ask(f"hf://{name}/a.pth")
    server.requests.clear()
    offline = another(home, HF_HUB_OFFLINE="1")
    assert "path" in offline.ask(f"hf://{name}/a.pth")
    assert "path" in offline.ask(f"hf://{name}")
    assert "HF_HUB_OFFLINE is set" in offline.ask(f"hf://{name}/b.pth")["error"]
    assert server.requests == []


def test_repository_with_one_checkpoint(client, repo, name):
    repo.files |= {"README.md": b"text", "runs/last.ckpt": CONTENT, "vae_ch160.pth": CONTENT[:HALF]}
    assert client.ask(name)["path"].endswith("runs/last.ckpt")


def test_folder_of_a_repository(client, repo, name):
    repo.files |= {"one/a.pth": CONTENT, "two/b.pth": CONTENT}
    assert client.ask(f"https://huggingface.co/{name}/tree/main/two")["path"].endswith("two/b.pth")


def test_repository_with_several_checkpoints_names_them(client, repo, name):
    repo.files |= {"a.pth": CONTENT, "b.safetensors": CONTENT}
    error = client.ask(name)["error"]
    assert "2 checkpoints: a.pth, b.safetensors" in error
    assert f"such as hf://{name}/a.pth" in error


def test_repository_without_checkpoints(client, repo, name):
    repo.files["README.md"] = b"text"
    assert "has no checkpoint" in client.ask(name)["error"]


def test_model_in_several_files_comes_whole(client, repo, name):
    shards = {f"model-0000{i}-of-00002.safetensors": CONTENT[:i] for i in (1, 2)}
    index = '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    repo.files |= {"sub/model.safetensors.index.json": index.encode()}
    repo.files |= {f"sub/{shard}": content for shard, content in shards.items()}
    path = Path(client.ask(name)["path"])
    assert path.name == "model.safetensors.index.json"
    assert {shard: (path.parent / shard).read_bytes() for shard in shards} == shards


def test_index_that_leads_elsewhere_is_refused(client, repo, name):
    for i, shard in enumerate(("../../a.safetensors", "/etc/passwd", "sub/a.safetensors", "..")):
        repo.files[f"{i}.safetensors.index.json"] = b'{"weight_map": {"a": "%s"}}' % shard.encode()
        assert "outside its folder" in client.ask(f"{name}/{i}.safetensors.index.json")["error"]


def test_terminal_shows_a_bar(server, repo, name, tmp_path):
    repo.files["a.pth"] = CONTENT
    command = [sys.executable, "-c", f"from var.hub.download import download; download('hf://{name}/a.pth')"]
    environment = hub_environment(server.endpoint, tmp_path) | {"TQDM_POSITION": "-1"}  # as if it were a terminal
    shown = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True).stderr
    assert "a.pth: 100%" in shown


def test_addresses_need_no_network_to_be_refused(client):
    assert "no address on the Hugging Face Hub" in client.ask("hf://owner/repo/../../a.pth")["error"]


ANONYMOUS_WORKER = """
import json, sys
from var.errors import CheckpointError
from var.hub.download import Access, download
for line in sys.stdin:
    source, anonymous, max_bytes = json.loads(line)
    try:
        answer = {"path": str(download(source, lambda done, total: None, Access(anonymous, max_bytes)))}
    except CheckpointError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""


def test_a_stranger_gets_neither_the_rest_of_the_disk_nor_what_the_hub_does_not_hand_out(tmp_path):
    with serving() as hub:
        client = HubClient(hub.endpoint, tmp_path, ANONYMOUS_WORKER, HF_TOKEN="hf_secret")
        try:
            hub.repos["big/model"] = HubRepo({"a.pth": b"weights"})
            hub.repos["big/model"].claimed_size = shutil.disk_usage(tmp_path).free - KEPT_FREE // 2
            assert "the disk of" in client.ask(["big/model/a.pth", True, 10**18])["error"]
            hub.repos["own/model"] = HubRepo({"a.pth": b"weights"})
            assert "path" in client.ask(["own/model/a.pth", False, None])
            hub.repos["own/model"] = HubRepo(error_code="RepoNotFound", status=401)  # for everybody but its owner
            hub.requests.clear()
            assert "no such repository" in client.ask(["own/model/a.pth", True, None])["error"]
            assert not any(with_token for *_, with_token in hub.requests)
            assert "path" in client.ask(["own/model/a.pth", False, None])
        finally:
            client.close()


def test_a_download_that_is_too_large_is_not_begun(tmp_path):
    with serving() as hub:
        client = HubClient(hub.endpoint, tmp_path, ANONYMOUS_WORKER)
        try:
            hub.repos["own/model"] = HubRepo({"a.pth": b"x" * 2000})
            assert "at most 1.0 kB are allowed" in client.ask(["own/model/a.pth", True, 1000])["error"]
            assert hub.transfers() == []
        finally:
            client.close()
