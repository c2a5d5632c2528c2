"""What can go wrong on the way from the Hugging Face Hub, each told in one sentence with the next step."""

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..errors import CheckpointError
from .addresses import HubAddress

MAX_LISTED = 10  # files named in a message


@contextmanager
def explaining(
    address: HubAddress, list_checkpoints: Callable[[], Sequence[str]], anonymous: bool = False
) -> Iterator[None]:
    """Raise a CheckpointError for whatever huggingface_hub and the disk raise.

    Args:
        address: what was asked for.
        list_checkpoints: asks the Hub for the checkpoints that the repository has, for a message about a missing one.
        anonymous: whether the Hub was asked without this machine's access token, so that logging in does not help.
    """
    from huggingface_hub.errors import FileMetadataError, HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except CheckpointError:
        raise
    except OfflineModeIsEnabled as error:
        reason = "HF_HUB_OFFLINE is set, and the cache does not have it. Unset it to download, or use a local file"
        raise CheckpointError(f"{address}: {reason}.") from error
    except FileMetadataError as error:
        reason = "the server does not answer as the Hub does. Check HF_ENDPOINT, and the network's proxy"
        raise CheckpointError(f"{address}: {reason}.") from error
    except (HTTPError, LocalEntryNotFoundError) as error:
        raise CheckpointError(f"{address}: {_describe_answer(address, error, list_checkpoints, anonymous)}.") from error
    except OSError as error:
        raise CheckpointError(f"{address}: {_describe_disk(error)}.") from error


def few(names: Sequence[str]) -> str:
    """The first of the names, as a message can take them."""
    return ", ".join(names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")


def _describe_answer(
    address: HubAddress, error: BaseException, list_checkpoints: Callable[[], Sequence[str]], anonymous: bool
) -> str:
    """What the Hub said, or that it said nothing."""
    from huggingface_hub.errors import (
        DisabledRepoError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, GatedRepoError):  # also a RepositoryNotFoundError
        if anonymous:
            return "the repository is gated, and this page asks the Hub without an account. Choose another"
        page = f"https://huggingface.co/{address.repo}"
        return f"the repository is gated. Accept its terms on {page}, and log in with `hf auth login`"
    if isinstance(error, DisabledRepoError):
        return "the Hub has disabled the repository. Its page says why"
    if isinstance(error, RepositoryNotFoundError):
        if anonymous:
            return "there is no such repository, or it is private. Check its name"
        return "there is no such repository, or it is private. Check its name, or log in with `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return f"the repository has no revision {address.revision}. Leave it out for the newest version"
    if isinstance(error, RemoteEntryNotFoundError):
        return f"the repository has no such file.{_others(list_checkpoints)} Check the path on its page"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "the Hub does not accept this machine's access token. Log in anew with `hf auth login`, or log out"
    if status == 403:
        return "this machine's access token does not give access to it. Log in with another (`hf auth login`)"
    if status == 429:
        return "the Hub was asked too often from here. Wait some minutes, then try again"
    if status is not None:
        return f"the Hub has a fault (HTTP {status}). Try again later; what came so far is kept"
    if "Timeout" in type(error).__name__:  # of the HTTP library, which differs between versions of huggingface_hub
        return "the Hub did not answer in time. Try again; what came so far is kept"
    return "the Hub cannot be reached, and the cache does not have it. Check the network, or use a local file"


def _others(list_checkpoints: Callable[[], Sequence[str]]) -> str:
    """The checkpoints that a repository does have, as a sentence with a space before it; "" where it has none."""
    from huggingface_hub.errors import HTTPError

    try:
        found = list_checkpoints()
    except (HTTPError, OSError):
        return ""
    return f" It has {few(found)}." if found else ""


def _describe_disk(error: OSError) -> str:
    """Why the file could not be written."""
    from huggingface_hub import constants

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {constants.HF_HUB_CACHE} is full. Free some of it, or set HF_HOME to another disk"
    if error.errno is None:  # huggingface_hub's own: fewer bytes came than were announced
        return "the connection broke before the file was complete. Try again; what came so far is kept"
    reason = error.strerror or type(error).__name__
    return f"the cache {constants.HF_HUB_CACHE} cannot be written ({reason}). Set HF_HOME to a folder of your own"
