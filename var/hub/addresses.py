"""Addresses on the Hugging Face Hub, as people write them; the text may come from anybody."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import CheckpointError

SCHEME = "hf://"
WEB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
EXPECTED = "Expected owner/repo/path/in/repo, with or without hf:// before it, or the file's address in the browser."
NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")  # of an owner, or of a repository
REVISION = re.compile(r"(?:refs/(?:pr|convert)/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")
WEB_VIEWS = ("tree", "blob", "resolve", "raw")  # between a repository and a revision, in the browser
OTHER_KINDS = ("datasets", "spaces", "buckets", "kernels")
MAX_PATH = 1000


@dataclass(frozen=True)
class HubAddress:
    """A file on the Hub, or all of a repository.

    Args:
        repo: "owner/name".
        path: of a file, or of a folder with one checkpoint; None for the whole repository.
        revision: a branch, tag or commit; None for the newest version.
    """

    repo: str
    path: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{SCHEME}{self.repo}{revision}" + (f"/{self.path}" if self.path else "")


def is_hub_address(source: str | Path) -> bool:
    """Whether a source is written as an address on the Hub: `hf://...`, or copied from the browser."""
    text = str(source).lower()
    return text.startswith((SCHEME, *(f"https://{host}/" for host in WEB_HOSTS)))


def parse_address(text: str) -> HubAddress:
    """Read an address as people write it; the text may come from anybody.

    Args:
        text: hf://owner/repo[@revision][/path], the same without hf://, or an address copied from huggingface.co.

    Raises:
        CheckpointError: it is none, or names another host, a dataset, or a path outside the repository.
    """
    text = text.strip()
    shown = " ".join(text[:200].split())
    if text.lower().startswith(SCHEME):
        repo, path, revision = _split(text[len(SCHEME) :])
    elif "://" in text or text.lower().startswith(tuple(f"{host}/" for host in WEB_HOSTS)):
        repo, path, revision = _split_web(text if "://" in text else f"https://{text}", shown)
    else:
        repo, path, revision = _split(text)
    if repo[0] in OTHER_KINDS:
        raise CheckpointError(f"{shown}: this is no repository of a model. {EXPECTED}")
    segments = path.split("/") if path else []
    if len(repo) != 2 or not all(map(_is_name, repo)) or not all(map(is_segment, segments)) or len(path) > MAX_PATH:
        raise CheckpointError(f"{shown}: this is no address on the Hugging Face Hub. {EXPECTED}")
    if revision is not None and (".." in revision or not REVISION.fullmatch(revision)):
        raise CheckpointError(f"{shown}: the revision {revision[:80]!r} is none. Expected a branch, a tag or a commit.")
    return HubAddress("/".join(repo), path or None, revision)


def _split(text: str) -> tuple[list[str], str, str | None]:
    """Repository, path and revision of owner/repo[@revision][/path]."""
    owner, _, rest = text.partition("/")
    name, _, path = rest.partition("/")
    name, at, revision = name.partition("@")
    if revision == "refs":  # refs/pr/1: the one kind of revision with slashes in it
        *more, path = [*path.split("/", 2), "", ""][:3]
        revision = "/".join((revision, *more))
    return [owner, name], path.rstrip("/"), revision if at else None


def _split_web(text: str, shown: str) -> tuple[list[str], str, str | None]:
    """The same of an address in the browser."""
    try:
        url = urlsplit(text)
        is_hub = url.scheme in ("http", "https") and url.netloc.lower() in WEB_HOSTS
    except ValueError:
        is_hub = False
    if not is_hub:
        raise CheckpointError(f"{shown}: only files of huggingface.co can be fetched. {EXPECTED}")
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    owner, name, view, revision = [*parts, "", "", "", ""][:4]
    path = parts[4:]
    if owner in OTHER_KINDS or not view:
        return [owner, name], "", None
    if view not in WEB_VIEWS or any("/" in part for part in path):
        raise CheckpointError(f"{shown}: this is no page of a file or folder on the Hugging Face Hub. {EXPECTED}")
    return [owner, name], "/".join(path), None if revision in ("", "main") else revision


def _is_name(name: str) -> bool:
    return NAME.fullmatch(name) is not None and ".." not in name and "--" not in name and not name.endswith(".git")


def is_segment(segment: str) -> bool:
    """Whether a text may be one part of a path, here and on every system: it leads nowhere else."""
    return segment not in ("", ".", "..") and segment.isprintable() and not any(sign in segment for sign in '\\:*?"<>|')
