"""Put this program on the Hugging Face Hub as a Space, or bring the Space that is there up to date."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import CheckpointError
from .addresses import parse_address

CARD = "README.md"
OWN_FOLDER = "var/"  # a Space's files in it are this program's alone: what is gone here goes there, too
LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write"


def check_space(repo: str) -> str:
    """Return the name of a Space; raises ValueError unless it is owner/name."""
    try:
        address = parse_address(repo)
    except CheckpointError:
        address = None
    if address is None or address.repo != repo:
        raise ValueError(f"--space {repo}: expected OWNER/NAME, such as me/var-demo.")
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
        ValueError: there is no access token, or it may not write, or the Hub has a fault; what to do about it.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
    from huggingface_hub.errors import EntryNotFoundError

    if get_token() is None:
        raise ValueError(f"{repo}: the Hub takes files from those alone that it knows. {LOG_IN}.")
    api = HfApi(library_name="var-demo")
    with _explaining(repo):
        if api.repo_exists(repo, repo_type="space"):
            for key, value in (variables or {}).items():
                api.add_space_variable(repo, key, value)
        else:
            wanted = {**(first_variables or {}), **(variables or {})}
            said = [{"key": key, "value": value} for key, value in wanted.items()]
            api.create_repo(repo, repo_type="space", space_sdk="gradio", private=private, space_variables=said or None)
        try:
            there = set(api.list_repo_files(repo, repo_type="space"))
        except EntryNotFoundError:  # nothing is in it yet
            there = set()
        old = sorted(path for path in there - set(files) if path.startswith(OWN_FOLDER))
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        gone = [CommitOperationDelete(path) for path in old]
        api.create_commit(repo, [*operations, *gone], commit_message="Update the demo", repo_type="space")
    return f"{api.endpoint}/spaces/{repo}"


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
        return "the Hub asks for a paid account for this Space. Its page says why"
    message = getattr(error, "server_message", None)
    return f"the Hub did not take it (HTTP {status}){f': {message}' if message else ''}. Try again later"
