"""A small server that speaks the Hugging Face Hub's protocol, and a process that downloads from it, for tests.

huggingface_hub reads HF_ENDPOINT and HF_HOME once, when it is imported: so downloads run in a process of their own.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub_spaces import COMMIT, HubFiles, HubSpace, SpacesHandler

PROJECT = Path(__file__).resolve().parent.parent
LARGE = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")  # kept outside git, on the host for large files
WORKER = """
import json, sys
from var.errors import CheckpointError
from var.hub.download import download
for line in sys.stdin:
    told = []
    try:
        answer = {"path": str(download(json.loads(line), lambda done, total: told.append((done, total))))}
    except CheckpointError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer | {"progress": told}), flush=True)
"""


@dataclass
class HubRepo(HubFiles):
    """A repository of a model: its files, who may read it, and what goes wrong with it.

    Args:
        error_code: the Hub's code for a repository that it does not hand out, such as "GatedRepo".
        status: HTTP status that comes with it; alone, that of a fault of the server.
        claimed_size: the size that it announces in place of the true one.
        cuts: after how many bytes each of the next transfers breaks off; None for one that is answered by a fault.
        stalls: whether it never answers.
        knows_ranges: whether it sends parts of files.
        scan: what the Hub says that its scan found, as its API has it.
    """

    error_code: str | None = None
    status: int | None = None
    claimed_size: int | None = None
    cuts: list[int | None] = field(default_factory=list)
    stalls: bool = False
    knows_ranges: bool = True
    scan: dict[str, Any] | None = None


class HubServer(ThreadingHTTPServer):
    """Serves `repos` on this machine, and notes what is asked of it.

    Large files lie on another host, as the Hub has it: "localhost" is one, as "127.0.0.1" is not the same name.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, HubRepo] = {}
        self.spaces: dict[str, HubSpace] = {}
        self.large: dict[str, bytes] = {}  # what was sent of large files, by its SHA-256
        self.requests: list[tuple[str, str, str | None, bool]] = []  # method, path, range, whether with a token
        self.released = threading.Event()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def transfers(self) -> list[str | None]:
        """The ranges of the large files' transfers since the last call."""
        ranges = [asked for method, path, asked, _ in self.requests if method == "GET" and path.startswith("/large/")]
        self.requests.clear()
        return ranges

    def handle_error(self, request, client_address) -> None:
        """A client that goes away is part of the tests."""


@contextmanager
def serving() -> Iterator[HubServer]:
    """Run a server until the block ends."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class HubClient:
    """A process that downloads what it is told to; its cache is a folder of its own.

    Args:
        endpoint: the server.
        home: takes the cache.
        script: answers each line of JSON with one.
        environment: further variables, such as HF_TOKEN.
    """

    def __init__(self, endpoint: str, home: Path, script: str = WORKER, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=PROJECT,
            env=hub_environment(endpoint, home) | environment,
        )

    def ask(self, question: Any) -> Any:
        """Ask the script; `WORKER` takes an address, and returns the path or the error, and the progress told."""
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def hub_environment(endpoint: str, home: Path) -> dict[str, str]:
    """Environment of a process whose Hub is the test's server."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    kept = {key: value for key, value in kept.items() if not key.lower().endswith("_proxy")}
    return kept | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_ETAG_TIMEOUT": "1"}


class _Handler(SpacesHandler, BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"
    new_model = HubRepo

    def do_HEAD(self) -> None:  # noqa: N802  (the name that http.server asks for)
        self._answer()

    def do_GET(self) -> None:  # noqa: N802
        self._answer()

    def do_POST(self) -> None:  # noqa: N802
        if "/paths-info/" in self.path:
            self._answer()
        else:
            super().do_POST()

    def log_message(self, *_) -> None:
        """Tests read `requests`."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        token = self.headers.get("Authorization")
        self.server.requests.append((self.command, path, self.headers.get("Range"), token is not None))
        if path.startswith("/large/"):
            return self._send_large(*path.removeprefix("/large/").split("/", 2))
        if token == "Bearer hf_wrong":
            return self._refuse(401, message="Invalid credentials in Authorization header")
        if path.startswith("/api/spaces/"):
            return self.answer_space(path)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            parts = parts[2:]
        name = "/".join(parts[:2])
        repo = self.server.repos.get(name)
        if repo is None:
            return self._refuse(401 if token is None else 404, "RepoNotFound")
        if repo.stalls:
            self.server.released.wait()
            return self._refuse(503)
        if repo.status is not None:
            return self._refuse(repo.status, repo.error_code)
        revision = parts[3] if len(parts) > 3 else "main"
        if revision not in ("main", "v1", COMMIT):
            return self._refuse(404, "RevisionNotFound")
        if path.startswith("/api/") and "paths-info" in parts:
            return self._send_infos(repo)
        if path.startswith("/api/") and "tree" in parts:
            return self.send_tree(repo)
        if path.startswith("/api/"):
            siblings = [{"rfilename": file} for file in repo.files]
            return self._send(
                json.dumps({"id": name, "sha": COMMIT, "private": repo.private, "siblings": siblings}).encode()
            )
        return self._resolve(name, repo, "/".join(parts[4:]))

    def _send_infos(self, repo: HubRepo) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        infos = [
            {"type": "file", "path": path, "size": len(repo.files[path]), "oid": COMMIT}
            | ({"securityFileStatus": repo.scan} if asked.get("expand") == ["true"] else {})
            for path in asked["paths"]
        ]
        self._send(json.dumps(infos).encode())

    def _resolve(self, name: str, repo: HubRepo, file: str) -> None:
        content = repo.files.get(file)
        if content is None:
            return self._refuse(404, "EntryNotFound")
        if not file.endswith(LARGE):
            etag = hashlib.sha1(content).hexdigest()
            return self._send(content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})
        self.send_response(302)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Linked-Size", str(repo.claimed_size or len(content)))
        self.send_header("Location", f"http://localhost:{self.server.server_port}/large/{name}/{file}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_large(self, owner: str, name: str, file: str) -> None:
        repo = self.server.repos[f"{owner}/{name}"]
        content = repo.files[file]
        cut = repo.cuts.pop(0) if repo.cuts else repo.claimed_size or len(content)
        if cut is None:
            return self._refuse(503)
        asked = self.headers.get("Range") if repo.knows_ranges else None
        first, _, last = (asked or "bytes=0-").removeprefix("bytes=").partition("-")
        start, end = int(first), int(last) + 1 if last else len(content)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(end - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()
        piece = content[start : min(end, start + cut)]
        self.wfile.write(piece if asked is None else piece.ljust(min(end - start, cut), b"\0"))  # of a claimed size
        self.wfile.flush()
        self.close_connection = start + cut < end

    def _send(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _refuse(self, status: int, code: str | None = None, message: str | None = None) -> None:
        self.send_response(status)
        if code is not None:
            self.send_header("X-Error-Code", code)
        if message is not None:
            self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()
