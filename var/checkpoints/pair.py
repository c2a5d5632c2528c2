"""Opening a checkpoint together with the VQVAE that it needs: from the same file, a given one, nearby, or the Hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError
from ..hub.addresses import is_hub_address, parse_address
from ..hub.download import Progress
from ..hub.known_models import OFFICIAL_REPO, OFFICIAL_VQVAE, KnownModel, find_known
from ..text import printable
from .checkpoint import Checkpoint, read_checkpoint
from .fit import check_pair
from .folder import find_vqvae, resolve

OFFICIAL_VOCABULARY = (4096, 32)  # tokens and latent channels of the published VQVAE


@dataclass(frozen=True)
class OpenedPair:
    """A checkpoint and its VQVAE.

    Args:
        checkpoint: what was asked for.
        vae: the checkpoint of the VQVAE, where that is another file than the first; otherwise None.
        vae_found: whether `vae` was looked for, so that people should be told which was taken.
    """

    checkpoint: Checkpoint
    vae: Checkpoint | None = None
    vae_found: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know of the two files, a sentence or two each; the message names the second one."""
        if self.vae is None:
            return self.checkpoint.warnings
        others = (f"{printable(self.vae.path.name)}: {warning}" for warning in self.vae.warnings)
        return (*self.checkpoint.warnings, *others)


def open_pair(
    source: str | Path | Checkpoint,
    vae: str | Path | Checkpoint | None = None,
    folders: Sequence[str | Path] = (),
    weights: str | None = None,
    need_vqvae: bool = True,
    progress: Progress | None = None,
    num_heads: int | None = None,
) -> OpenedPair:
    """Read a checkpoint and find the VQVAE that belongs to it; no weight is read yet.

    A VQVAE that was given comes first, then the checkpoint's own, then the published one of a known model on the Hub,
    then one that fits and lies beside the file or in the folders.

    Args:
        source: a path, an address on the Hugging Face Hub, or a checkpoint that was read already.
        vae: the same for the VQVAE; None to find it.
        folders: where to look for it, after the file's own folder.
        weights: "ema" or "raw" where the file has both; None takes the EMA.
        need_vqvae: whether images are to be made, which takes both models; otherwise any file that can be read will do.
        progress: told of downloads, as by `hub.download`.
        num_heads: of the transformer, as for `read_checkpoint`.

    Raises:
        CheckpointError: a file cannot be used, the two do not fit each other, or one of them is missing; the message
            says what would fit.
        FileNotFoundError: there is no such file.
        ValueError: the weights asked for are not in the file.
    """
    checkpoint = _read(source, weights, progress, num_heads)
    if checkpoint.var_config is None and need_vqvae:
        raise CheckpointError(
            f"{checkpoint.path}: the file holds a VQVAE alone, which makes no images of classes. Choose the "
            "checkpoint of a VAR transformer; one without a VQVAE takes this one where it fits."
        )
    if vae is not None:
        given = _read(vae, None, progress)
        _check_given(checkpoint, given)
        return OpenedPair(checkpoint, given)
    if checkpoint.var_config is None or checkpoint.vae_config is not None:
        return OpenedPair(checkpoint)
    found = _find(checkpoint, _known(source), folders, need_vqvae, progress)
    if found is None and need_vqvae:
        raise CheckpointError(_describe_missing(checkpoint, folders))
    return OpenedPair(checkpoint, found, found is not None)


def _read(
    source: str | Path | Checkpoint, weights: str | None, progress: Progress | None, num_heads: int | None = None
) -> Checkpoint:
    if not isinstance(source, Checkpoint):
        return read_checkpoint(resolve(source, progress), weights, num_heads)
    if weights in (None, source.weights) and num_heads is None:
        return source
    return read_checkpoint(source.path, weights or source.weights, num_heads)


def _check_given(checkpoint: Checkpoint, vae: Checkpoint) -> None:
    if vae.vae_config is None:
        raise CheckpointError(
            f"{vae.path}: the file holds no VQVAE. Expected one with {_wanted(checkpoint)}: give its file."
        )
    check_pair(checkpoint, vae)


def _known(source: str | Path | Checkpoint) -> KnownModel | None:
    if isinstance(source, Checkpoint) or not is_hub_address(source):
        return None
    address = parse_address(str(source))
    return find_known(address.repo, address.path)


def _find(
    checkpoint: Checkpoint,
    known: KnownModel | None,
    folders: Sequence[str | Path],
    need_vqvae: bool,
    progress: Progress | None,
) -> Checkpoint | None:
    """A VQVAE in another file: of a known model the very one it was trained with, of others one that fits."""
    if known is None or not need_vqvae:  # what need not be there is not worth a download
        return find_vqvae(checkpoint, folders)
    own = find_vqvae(checkpoint, folders, name=Path(known.vae_file).name)
    if own is not None:
        return own
    try:
        return read_checkpoint(resolve(known.vae_source, progress))
    except CheckpointError:
        found = find_vqvae(checkpoint, folders)
        if found is None:
            raise
        return found


def _describe_missing(checkpoint: Checkpoint, folders: Sequence[str | Path]) -> str:
    """That there is no VQVAE, and how to get one."""
    places = ", ".join(["beside the file", *(f"in {folder}" for folder in folders)])
    advice = "Put the VQVAE that it was trained with into one of them, or give its file (--vae, vae=)."
    config, _ = checkpoint.transformer
    if (config.vocab_size, config.z_channels) == OFFICIAL_VOCABULARY:
        advice += f" If it was trained with the published one: hf://{OFFICIAL_REPO}/{OFFICIAL_VQVAE}."
    return (
        f"{checkpoint.path}: a VAR transformer without a VQVAE, and images need both. Looked {places} for one with "
        f"{_wanted(checkpoint)}. {advice}"
    )


def _wanted(checkpoint: Checkpoint) -> str:
    if checkpoint.var_config is None:
        return "the encoder, decoder and codebook of a VAR"
    return f"a vocabulary of {checkpoint.var_config.vocab_size} and {checkpoint.var_config.z_channels} latent channels"
