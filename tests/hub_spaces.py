"""The part of the Hub's protocol that makes Spaces and puts files into them, for the server of `hub_server`."""

import base64
import hashlib
import json
from dataclasses import dataclass, field

LARGE_BYTES = 1_000_000  # of a file from which on its content is sent apart
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubSpace:
    """A Space.

    Args:
        private: whether its owners alone see it.
        files: path and content.
        variables: of its environment.
        commits: the paths that each commit wrote, and those that it deleted.
    """

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    commits: list[tuple[list[str], list[str]]] = field(default_factory=list)


class SpacesHandler:
    """What a request handler answers of Spaces; `server.spaces` has them, `server.large` contents by their SHA-256."""

    def do_POST(self) -> None:  # noqa: N802  (the name that http.server asks for)
        body = self._body()
        if self._is_refused():
            return
        path = self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            return self._send_json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith("/info/lfs/objects/batch"):
            return self._send_json(
                {"transfer": "basic", "objects": list(map(self._place, json.loads(body)["objects"]))}
            )
        name, _, verb = path.removeprefix("/api/spaces/").rpartition("/main")[0].rpartition("/")
        if path.endswith("/variables"):
            said = json.loads(body)
            self.server.spaces[path.split("/api/spaces/")[1].removesuffix("/variables")].variables[said["key"]] = said[
                "value"
            ]
            return self._send_json({})
        space = self.server.spaces[name]
        if verb == "preupload":
            return self._send_json({"files": [self._mode(space, file) for file in json.loads(body)["files"]]})
        return self._commit(name, space, [json.loads(line) for line in body.splitlines()])

    def do_PUT(self) -> None:  # noqa: N802
        content = self._body()
        assert hashlib.sha256(content).hexdigest() == self.path.rpartition("/")[2]
        self.server.large[self.path.rpartition("/")[2]] = content
        self._send_json({})

    def answer_space(self, path: str) -> None:
        """Answer what is asked of a Space: whether it is there, and its files."""
        owner, name, *rest = path.removeprefix("/api/spaces/").split("/")
        space = self.server.spaces.get(f"{owner}/{name}")
        if space is None:
            return self._refuse(404, "RepoNotFound")
        if rest:
            return self._send_json(
                [{"type": "file", "path": file, "size": len(c), "oid": "0"} for file, c in space.files.items()]
            )
        return self._send_json({"id": f"{owner}/{name}", "sha": COMMIT, "private": space.private, "siblings": []})

    def _is_refused(self) -> bool:
        refusals = {None: 401, "Bearer hf_wrong": 401, "Bearer hf_reads": 403}
        status = refusals.get(self.headers.get("Authorization"))
        if status is not None:
            self._refuse(status)
        return status is not None

    def _create(self, said: dict) -> None:
        assert said["type"] == "space" and said["sdk"] == "gradio"
        variables = {variable["key"]: variable["value"] for variable in said.get("variables", [])}
        name = f"{said['organization']}/{said['name']}"
        self.server.spaces[name] = HubSpace(said["visibility"] == "private", variables=variables)
        self._send_json({"url": f"{self.server.endpoint}/spaces/{name}"})

    def _place(self, large: dict) -> dict:
        if large["oid"] in self.server.large:
            return large
        return large | {"actions": {"upload": {"href": f"{self.server.endpoint}/put/{large['oid']}"}}}

    def _mode(self, space: HubSpace, file: dict) -> dict:
        content = space.files.get(file["path"])
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() if content is not None else None
        is_large = file["size"] >= LARGE_BYTES
        oid = hashlib.sha256(content).hexdigest() if is_large and content is not None else git
        mode = "lfs" if is_large else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _commit(self, name: str, space: HubSpace, lines: list[dict]) -> None:
        written, deleted = [], []
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                space.files[value["path"]] = base64.b64decode(value["content"])
                written.append(value["path"])
            elif line["key"] == "lfsFile":
                space.files[value["path"]] = self.server.large[value["oid"]]
                written.append(value["path"])
            elif line["key"] == "deletedFile":
                del space.files[value["path"]]
                deleted.append(value["path"])
        space.commits.append((written, deleted))
        self._send_json({"commitUrl": f"{self.server.endpoint}/spaces/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send_json(self, answer: dict | list) -> None:
        self._send(json.dumps(answer).encode(), {"Content-Type": "application/json"})
