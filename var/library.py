"""The checkpoints at hand: those in a folder, a VQVAE that fits a transformer, a file on the Hugging Face Hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .architecture import VARConfig, VQVAEConfig
from .checkpoint import Checkpoint, read_checkpoint
from .errors import CheckpointError

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")
HUB_SCHEME = "hf://"


@dataclass(frozen=True)
class CheckpointEntry:
    """A file that may be a checkpoint.

    Args:
        path: the file.
        label: what people see of it in a list.
        modified: time of its last change, in seconds since 1970.
    """

    path: Path
    label: str
    modified: float


def default_folder() -> Path:
    """The `checkpoints` folder of this project."""
    return Path(__file__).resolve().parent.parent / "checkpoints"


def list_checkpoints(folder: str | Path) -> list[CheckpointEntry]:
    """Files of a folder that may be checkpoints, newest first; none where there is no such folder."""
    entries = []
    try:
        paths = list(Path(folder).iterdir())
    except OSError:
        return []
    for path in paths:
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            try:
                entries.append(CheckpointEntry(path, path.name, path.stat().st_mtime))
            except FileNotFoundError:
                continue  # a trainer replaced it in this moment
    return sorted(entries, key=lambda entry: (-entry.modified, entry.label))


def pair_problem(var_config: VARConfig, vae_config: VQVAEConfig) -> str | None:
    """Why a transformer and a VQVAE do not fit each other, as a sentence; None where they do.

    How many rows of usage statistics the VQVAE has says nothing: official files differ there.
    """
    pairs = [
        ("vocabulary", var_config.vocab_size, vae_config.vocab_size),
        ("latent channels", var_config.z_channels, vae_config.z_channels),
    ]
    if vae_config.phi_sharing == 0:
        pairs.append(("scales", var_config.num_scales, vae_config.num_phi))
    differing = [f"{name} {ours} and {theirs}" for name, ours, theirs in pairs if ours != theirs]
    if not differing:
        return None
    return f"The transformer and the VQVAE do not fit each other: {', '.join(differing)}."


def find_vqvae(checkpoint: Checkpoint, folders: Sequence[str | Path] = ()) -> Checkpoint | None:
    """A VQVAE that fits a transformer: beside its file first, then in the given folders.

    In each folder files of a VQVAE alone come before those that carry one beside another transformer, then those
    with "vae" in their name, then newer ones.

    Args:
        checkpoint: holds the transformer.
        folders: where to look after the file's own folder.

    Returns:
        The checkpoint that holds the VQVAE, or None.
    """
    if checkpoint.var_config is None:
        return None
    own = checkpoint.path.resolve()
    for folder in dict.fromkeys(Path(f).resolve() for f in (own.parent, *folders)):
        fitting = []
        for entry in list_checkpoints(folder):
            if entry.path.resolve() == own:
                continue
            try:
                candidate = read_checkpoint(entry.path)
            except (CheckpointError, OSError):
                continue  # not every file of the folder has to be a checkpoint
            if candidate.vae_config is not None and not pair_problem(checkpoint.var_config, candidate.vae_config):
                fitting.append(candidate)
        if fitting:
            return min(fitting, key=lambda c: (c.var_config is not None, "vae" not in c.path.name.lower()))
    return None


def resolve(source: str | Path) -> Path:
    """Local path of a checkpoint.

    Args:
        source: a path, or "hf://owner/repo/path/in/repo", which is downloaded unless it is in the cache.

    Raises:
        CheckpointError: the address is not complete, or the Hub does not hand out the file.
    """
    if not str(source).startswith(HUB_SCHEME):
        return Path(source)
    parts = str(source)[len(HUB_SCHEME) :].split("/", 2)
    if len(parts) < 3 or not all(parts):
        raise CheckpointError(f"{source}: the address is not complete; expected hf://owner/repo/path/in/repo.")
    # imported here because it takes a second, and most checkpoints are local files
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(hf_hub_download(repo_id="/".join(parts[:2]), filename=parts[2]))
    except LocalEntryNotFoundError as error:
        reason = "the Hub cannot be reached and the file is not in the cache. Check the network, or use a local file"
        raise CheckpointError(f"{source}: {reason}.") from error
    except GatedRepoError as error:
        reason = "the repository is gated. Accept its licence on its page and log in with `hf auth login`"
        raise CheckpointError(f"{source}: {reason}.") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        reason = "there is no such public repository. Check its name, or log in where it is private"
        raise CheckpointError(f"{source}: {reason}.") from error
    except EntryNotFoundError as error:
        raise CheckpointError(f"{source}: the repository has no such file. Check the path on its page.") from error
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(f"{source}: the download failed ({reason}). Try again, or use a local file.") from error
