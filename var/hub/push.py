"""Put files on the Hugging Face Hub: this program as a Space, or a checkpoint with its card as a model repository."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from .addresses import parse_address

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD = "README.md"
OWN_FOLDER = "var/"  # a Space's files in it are this program's alone: what is gone here goes there, too
LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write"


def check_repo(repo: str) -> str:
    """Return the name of a repository; raises ValueError unless it is owner/name."""
    try:
        address = parse_address(repo)
    except CheckpointError:
        address = None
    if address is None or address.repo != repo:
        raise ValueError(f"{repo}: this is no name on the Hub; expected OWNER/NAME, such as me/var-demo.")
    return repo


def space_card(text: str, repo: str) -> str:
    """Return README as a Space needs it: the address of its picture in full, since the Hub takes no path.

    Args:
        text: of README, with its front matter.
        repo: "owner/name" of the Space.
    """
    from huggingface_hub import SpaceCard, constants

    card = SpaceCard(text)
    thumbnail = card.data.get("thumbnail")
    if thumbnail and "://" not in thumbnail:
        card.data["thumbnail"] = f"{constants.ENDPOINT}/spaces/{repo}/resolve/main/{thumbnail}"
    return str(card)


def push_space(
    repo: str,
    files: Mapping[str, Path | bytes],
    *,
    private: bool = False,
    variables: Mapping[str, str] | None = None,
    first_variables: Mapping[str, str] | None = None,
) -> str:
    """Make a Space or update it, in one commit; returns its address.

    Args:
        repo: "owner/name" of the Space.
        files: by their paths there: where each is here, or what is in it. `README.md` is among them.
        private: whether nobody but its owners sees a Space that is made.
        variables: of its environment; those that it has stay, unless they are named.
        first_variables: further ones of a Space that is made.

    Raises:
        ValueError: there is no access token, or it may not write, or the Hub has a fault; what to do about it. Or the
            Space is to be private, and is there and is not.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    check_token(repo)
    api = _hub()
    with _explaining(repo):
        if _is_there(api, repo, "space", private):
            for key, value in (variables or {}).items():
                api.add_space_variable(repo, key, value)
        else:
            wanted = {**(first_variables or {}), **(variables or {})}
            said = [{"key": key, "value": value} for key, value in wanted.items()]
            api.create_repo(repo, repo_type="space", space_sdk="gradio", private=private, space_variables=said or None)
        there = _files(api, repo, "space")
        old = sorted(path for path in there - set(files) if path.startswith(OWN_FOLDER))
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        gone = [CommitOperationDelete(path) for path in old]
        api.create_commit(repo, [*operations, *gone], commit_message="Update the demo", repo_type="space")
    return f"{api.endpoint}/spaces/{repo}"


def push_model(
    repo: str, path: str, file: Path, card: str, *, private: bool = False, overwrite_card: bool = False
) -> tuple[str, bool]:
    """Put a checkpoint with its card into a model repository, in one commit; the repository is made if it is not there.

    Whatever else is in it stays.

    Args:
        repo: "owner/name" of the repository.
        path: of the checkpoint in it; one that is there is replaced.
        file: the checkpoint.
        card: in Markdown, with its front matter.
        private: whether nobody but its owners sees a repository that is made.
        overwrite_card: whether a card that is there is replaced.

    Returns:
        The repository's address, and whether the card was sent.

    Raises:
        ValueError: as by `push_space`, and where the Hub does not take the card's front matter.
    """
    from huggingface_hub import CommitOperationAdd

    check_token(repo)
    api = _hub()
    with _explaining(repo):
        if not _is_there(api, repo, "model", private):
            api.create_repo(repo, private=private)
        operations = [CommitOperationAdd(path, file)]
        sends_card = overwrite_card or CARD not in _files(api, repo, "model")
        if sends_card:
            operations.append(CommitOperationAdd(CARD, card.encode()))
        api.create_commit(repo, operations, commit_message=f"Add {path}")
    return f"{api.endpoint}/{repo}", sends_card


def check_token(repo: str) -> None:
    """Raise ValueError where this machine has no access token with which something could be sent to a repository."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise ValueError(f"{repo}: the Hub takes files from those alone that it knows. {LOG_IN}.")


def _hub() -> "HfApi":
    from huggingface_hub import HfApi

    return HfApi(library_name="var-demo")


def _is_there(api: "HfApi", repo: str, repo_type: str, private: bool) -> bool:
    """Whether a repository is there; raises ValueError where it is public and was to be private."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        found = api.repo_info(repo, repo_type=repo_type)
    except RepositoryNotFoundError:
        return False
    if private and not found.private:
        raise ValueError(
            f"{repo}: it is there already, and everybody sees it. Make it private in its settings on the Hub, or give "
            "another name."
        )
    return True


def _files(api: "HfApi", repo: str, repo_type: str) -> set[str]:
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return set(api.list_repo_files(repo, repo_type=repo_type))
    except EntryNotFoundError:  # nothing is in it yet
        return set()


@contextmanager
def _explaining(repo: str) -> Iterator[None]:
    """Raise a ValueError for what the Hub and the way to it raise."""
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except HTTPError as error:  # also where it cannot be reached
        status = getattr(getattr(error, "response", None), "status_code", None)
        raise ValueError(f"{repo}: {_reason(status, error, repo)}.") from error


def _reason(status: int | None, error: BaseException, repo: str) -> str:
    if status is None:
        return "the Hub cannot be reached. Check the network"
    if status == 401:
        return f"the Hub does not accept the access token. {LOG_IN}"
    if status in (403, 404):
        return f"the access token may not write there. {LOG_IN} to {repo.partition('/')[0]}"
    if status == 402:
        return "the Hub asks for a paid account for this. Its page says why"
    message = getattr(error, "server_message", None)
    return f"the Hub did not take it (HTTP {status}){f': {message}' if message else ''}. Try again later"
