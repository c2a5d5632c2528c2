"""The part of the Hub's protocol that makes repositories and puts files into them, for the server of `hub_server`."""

import base64
import hashlib
import json
from dataclasses import dataclass, field

LARGE_BYTES = 1_000_000  # of a file from which on its content is sent apart
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubFiles:
    """What a repository of any kind has.

    Args:
        files: path and content.
        private: whether its owners alone see it.
        commits: the paths that each commit wrote, and those that it deleted.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    private: bool = False
    commits: list[tuple[list[str], list[str]]] = field(default_factory=list)


@dataclass
class HubSpace(HubFiles):
    """A Space.

    Args:
        variables: of its environment.
    """

    variables: dict[str, str] = field(default_factory=dict)


class SpacesHandler:
    """What a request handler answers of Spaces, and to who writes to them or to models.

    `server.spaces` and `server.repos` have them, `server.large` contents by their SHA-256.
    """

    def do_POST(self) -> None:  # noqa: N802  (the name that http.server asks for)
        body = self._body()
        if self._is_refused():
            return
        path = self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            is_wrong = "license: unknown-licence" in json.loads(body)["content"]
            errors = [{"message": '"license" must be one of a list'}] if is_wrong else []
            return self._send_json({"errors": errors, "warnings": []}, 400 if is_wrong else 200)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith("/info/lfs/objects/batch"):
            return self._send_json(
                {"transfer": "basic", "objects": list(map(self._place, json.loads(body)["objects"]))}
            )
        kind, owner, short, verb = path.removeprefix("/api/").split("/")[:4]
        name = f"{owner}/{short}"
        space = self.server.spaces[name] if kind == "spaces" else self.server.repos[name]
        if verb == "variables":
            said = json.loads(body)
            space.variables[said["key"]] = said["value"]
            return self._send_json({})
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
            return self.send_tree(space)
        return self._send_json({"id": f"{owner}/{name}", "sha": COMMIT, "private": space.private, "siblings": []})

    def send_tree(self, repo: HubFiles) -> None:
        """Answer which files a repository has."""
        self._send_json([{"type": "file", "path": file, "size": len(c), "oid": "0"} for file, c in repo.files.items()])

    def _is_refused(self) -> bool:
        refusals = {None: 401, "Bearer hf_wrong": 401, "Bearer hf_reads": 403}
        status = refusals.get(self.headers.get("Authorization"))
        if status is not None:
            self._refuse(status)
        return status is not None

    def _create(self, said: dict) -> None:
        name, private = f"{said['organization']}/{said['name']}", said["visibility"] == "private"
        if said.get("type", "model") == "model":
            self.server.repos[name] = self.new_model(private=private)
            return self._send_json({"url": f"{self.server.endpoint}/{name}"})
        assert said["sdk"] == "gradio"
        variables = {variable["key"]: variable["value"] for variable in said.get("variables", [])}
        self.server.spaces[name] = HubSpace(private=private, variables=variables)
        return self._send_json({"url": f"{self.server.endpoint}/spaces/{name}"})

    def _place(self, large: dict) -> dict:
        if large["oid"] in self.server.large:
            return large
        return large | {"actions": {"upload": {"href": f"{self.server.endpoint}/put/{large['oid']}"}}}

    def _mode(self, space: HubFiles, file: dict) -> dict:
        content = space.files.get(file["path"])
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() if content is not None else None
        is_large = file["size"] >= LARGE_BYTES
        oid = hashlib.sha256(content).hexdigest() if is_large and content is not None else git
        mode = "lfs" if is_large else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _commit(self, name: str, space: HubFiles, lines: list[dict]) -> None:
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

    def _send_json(self, answer: dict | list, status: int = 200) -> None:
        self._send(json.dumps(answer).encode(), {"Content-Type": "application/json"}, status)
