"""Whether a transformer and a VQVAE fit each other."""

from ..errors import CheckpointError
from ..model.config import VARConfig, VQVAEConfig
from .checkpoint import Checkpoint


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


def check_pair(checkpoint: Checkpoint, vae: Checkpoint) -> None:
    """Raise CheckpointError, naming both files, where a transformer and a VQVAE do not fit each other.

    Args:
        checkpoint: may hold a transformer.
        vae: may hold a VQVAE; may be the same.
    """
    if checkpoint.var_config is None or vae.vae_config is None:
        return
    problem = pair_problem(checkpoint.var_config, vae.vae_config)
    if problem:
        paths = " and ".join(str(path) for path in dict.fromkeys((checkpoint.path, vae.path)))
        raise CheckpointError(f"{paths}: {problem} Use the VQVAE that the transformer was trained with.")
