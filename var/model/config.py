"""The two architectures as frozen dataclasses: what a VQVAE and a VAR transformer are made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VQVAEConfig:
    """Sizes of a multi-scale VQVAE.

    Args:
        vocab_size: number of codebook rows (V).
        z_channels: channels of the latent and of a codebook row (C).
        ch: channels of the first convolution; a multiple of 32.
        ch_mult: channel multiplier of each level, fine to coarse; the image is `2 ** (len(ch_mult) - 1)` times
            larger than the latent.
        phi_sharing: how the residual convolutions φ are shared over the scales: 1 is one for all, K > 1 is K of
            them spread over the scales, 0 is one for each scale.
        num_phi: number of φ convolutions (1, K or the number of scales).
        num_usage_rows: rows of the codebook usage statistics kept from training; 0 when the file has none.
        num_res_blocks: residual blocks a level in the encoder; the decoder has one more.
    """

    vocab_size: int = 4096
    z_channels: int = 32
    ch: int = 160
    ch_mult: tuple[int, ...] = (1, 1, 2, 2, 4)
    phi_sharing: int = 4
    num_phi: int = 4
    num_usage_rows: int = 10
    num_res_blocks: int = 2

    @property
    def downsampling(self) -> int:
        """Pixels per latent place, along one side."""
        return 1 << (len(self.ch_mult) - 1)


@dataclass(frozen=True)
class VARConfig:
    """Sizes of a VAR transformer.

    Args:
        depth: number of blocks.
        embed_dim: width (D).
        num_heads: attention heads (H); divides `embed_dim`.
        mlp_ratio: hidden width of the feed-forward part over `embed_dim`.
        num_classes: classes; the class embedding has one row more, for "no class".
        patch_nums: side of the token map of each scale, coarse to fine.
        vocab_size: size of the token vocabulary (V).
        z_channels: channels of the VQVAE's latent (C).
        shared_adaln: one AdaLN projection for all blocks, plus an offset for each (the 512 px recipe).
        attn_l2_norm: queries and keys have unit length, with a learned scale for each head.
    """

    depth: int = 16
    embed_dim: int = 1024
    num_heads: int = 16
    mlp_ratio: float = 4.0
    num_classes: int = 1000
    patch_nums: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
    vocab_size: int = 4096
    z_channels: int = 32
    shared_adaln: bool = False
    attn_l2_norm: bool = True

    @property
    def num_scales(self) -> int:
        """Number of token maps of an image (S)."""
        return len(self.patch_nums)

    @property
    def num_tokens(self) -> int:
        """Tokens of an image, all scales together (L)."""
        return sum(patch_num * patch_num for patch_num in self.patch_nums)

    @property
    def scale_ranges(self) -> tuple[tuple[int, int], ...]:
        """First and one-past-last place of each scale in the joined sequence of tokens."""
        ranges, start = [], 0
        for patch_num in self.patch_nums:
            ranges.append((start, start + patch_num * patch_num))
            start += patch_num * patch_num
        return tuple(ranges)
