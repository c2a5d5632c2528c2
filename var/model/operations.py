"""How much computing an image is, counted from the sizes of its models alone.

Operations are those of matrix products and convolutions, a multiplication and an addition each: the rest is little.
Letters: D width, L tokens, V vocabulary, C latent channels, H and W pixels.
"""

from .config import VARConfig, VQVAEConfig


def count_operations(var_config: VARConfig, vae_config: VQVAEConfig, guided: bool = True) -> int:
    """Operations of one image: its tokens drawn scale by scale, then decoded.

    Args:
        var_config: of the transformer.
        vae_config: of the VQVAE.
        guided: with guidance the transformer runs twice, with the class and without.
    """
    rows = 2 if guided else 1
    return rows * transformer_operations(var_config) + decoder_operations(vae_config, var_config.patch_nums)


def transformer_operations(config: VARConfig) -> int:
    """Operations of a transformer that draws all tokens of an image once, each scale from those before it."""
    width, hidden = config.embed_dim, round(config.mlp_ratio * config.embed_dim)
    a_token = 2 * (4 * width**2 + 2 * width * hidden)  # queries, keys, values, projection; feed-forward
    attention = sum(4 * width * (end - start) * end for start, end in config.scale_ranges)
    conditions = (1 if config.shared_adaln else config.depth) * 12 * width**2 + 4 * width**2  # of blocks; of the head
    ends = 2 * config.num_tokens * width * (config.z_channels + config.vocab_size)
    return config.depth * (a_token * config.num_tokens + attention) + conditions + ends


def decoder_operations(config: VQVAEConfig, patch_nums: tuple[int, ...]) -> int:
    """Operations that make an image of the tokens of all scales.

    Args:
        config: of the VQVAE.
        patch_nums: side of the token map of each scale.
    """
    widths = [config.ch * mult for mult in config.ch_mult]
    side, coarsest = patch_nums[-1], widths[-1]
    latent = (len(patch_nums) + 1) * convolution(config.z_channels, config.z_channels, side)  # φ, and after
    middle = 2 * residual_block(coarsest, coarsest, side) + attention_block(coarsest, side)
    total = latent + convolution(config.z_channels, coarsest, side) + middle
    channels = coarsest
    for i in reversed(range(len(widths))):
        for _ in range(config.num_res_blocks + 1):
            total += residual_block(channels, widths[i], side)
            total += attention_block(widths[i], side) if i == len(widths) - 1 else 0
            channels = widths[i]
        if i > 0:
            side *= 2
            total += convolution(channels, channels, side)
    return total + convolution(channels, 3, side)


def residual_block(in_channels: int, out_channels: int, side: int) -> int:
    """Operations of a residual block on a square map."""
    shortcut = convolution(in_channels, out_channels, side, kernel=1) if in_channels != out_channels else 0
    return convolution(in_channels, out_channels, side) + convolution(out_channels, out_channels, side) + shortcut


def attention_block(channels: int, side: int) -> int:
    """Operations of the VQVAE's attention on a square map."""
    return convolution(channels, 4 * channels, side, kernel=1) + 4 * channels * side**4


def convolution(in_channels: int, out_channels: int, side: int, kernel: int = 3) -> int:
    """Operations of a convolution whose result has `side` pixels a side."""
    return 2 * kernel**2 * in_channels * out_channels * side**2
