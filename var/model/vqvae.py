"""The multi-scale VQVAE: images to token maps and back.

Letters: B images, C channels, H and W pixels or places; shape comments give a layer's output.
Source: the convolutional autoencoder of VQGAN (arXiv 2012.09841) as VAR (arXiv 2404.02905) uses it. Attribute names
that read oddly (`nin_shortcut`, `block_1`, `attn_1`, `q`-less `qkv`, ...) are checkpoint keys and stay.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import VQVAEConfig
from .quantizer import MultiScaleQuantizer

NORM_GROUPS = 32
NORM_EPS = 1e-6  # not in the weights
DECODER_KEYS = ("post_quant_conv.", "decoder.")


def is_in_decoder(key: str) -> bool:
    """Whether an entry of the VQVAE, by its key, only serves to decode."""
    return key.startswith(DECODER_KEYS)


class GroupNorm(nn.GroupNorm):
    """PyTorch's, which on CUDA copies maps whose channels are last into another layout and back: here it does not."""

    def forward(self, x: Tensor) -> Tensor:
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        if x.is_cuda and channels_last and not torch.is_grad_enabled():
            return normalize_channels_last(x, self)
        return super().forward(x)


def normalize_channels_last(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Normalize groups of channels of maps (B, C, H, W) in float32, in three passes that leave the layout alone."""
    count = x[0, 0].numel() * (norm.num_channels // norm.num_groups)  # numbers in a group
    sums = x.sum((2, 3), dtype=torch.float32)  # (B, C)
    squares = torch.linalg.vector_norm(x, dim=(2, 3), dtype=torch.float32).square()  # (B, C)
    groups = (len(x), norm.num_groups, -1)
    mean = sums.view(groups).sum(-1, keepdim=True) / count  # (B, groups, 1)
    variance = squares.view(groups).sum(-1, keepdim=True) / count - mean.square()  # (B, groups, 1)
    scale = norm.weight.float().view(1, norm.num_groups, -1) * (variance.clamp_min(0) + norm.eps).rsqrt()
    shift = norm.bias.float().view(1, norm.num_groups, -1) - mean * scale  # (B, groups, C / groups), as `scale`
    scale, shift = scale.flatten(1)[..., None, None], shift.flatten(1)[..., None, None]  # (B, C, 1, 1) each
    return torch.addcmul(shift, x, scale, out=torch.empty_like(x))


def group_norm(channels: int) -> GroupNorm:
    return GroupNorm(NORM_GROUPS, channels, eps=NORM_EPS)


def silu(x: Tensor) -> Tensor:
    """SiLU of a tensor that nobody else needs, in its own memory where no gradients are wanted."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


class ResidualBlock(nn.Module):
    """Two normalized convolutions around a shortcut."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(silu(self.norm1(x)))  # (B, C_out, H, W)
        h = self.conv2(silu(self.norm2(h)))  # (B, C_out, H, W)
        return self.nin_shortcut(x) + h


class AttentionBlock(nn.Module):
    """Single-head self-attention over all places of a map."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)  # (B, HW, 3C)
        q, k, v = qkv.unsqueeze(1).chunk(3, dim=-1)  # each (B, 1, HW, C)
        h = F.scaled_dot_product_attention(q, k, v)  # (B, 1, HW, C)
        h = h.squeeze(1).transpose(1, 2).reshape(batch, channels, height, width)
        return x + self.proj_out(h)


class Downsample(nn.Module):
    """Halve both sides; the zeros are added right and bottom only."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))  # (B, C, H/2, W/2)


class Upsample(nn.Module):
    """Double both sides by repeating pixels, then smooth."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))  # (B, C, 2H, 2W)


class Level(nn.Module):
    """The blocks of one resolution; attention follows each block at the coarsest level only."""

    def __init__(self, in_channels: int, out_channels: int, num_blocks: int, attention: bool):
        super().__init__()
        self.block = nn.ModuleList(
            ResidualBlock(in_channels if i == 0 else out_channels, out_channels) for i in range(num_blocks)
        )
        self.attn = nn.ModuleList(AttentionBlock(out_channels) for _ in range(num_blocks if attention else 0))
        self.downsample: Downsample | None = None
        self.upsample: Upsample | None = None

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[i](x)
        return x


class Middle(nn.Module):
    """The bottleneck of the encoder and of the decoder."""

    def __init__(self, channels: int):
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels)
        self.attn_1 = AttentionBlock(channels)
        self.block_2 = ResidualBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """Image (B, 3, H, W) to features (B, C, H/f, W/f)."""

    def __init__(self, config: VQVAEConfig):
        super().__init__()
        widths = [config.ch * mult for mult in config.ch_mult]
        self.conv_in = nn.Conv2d(3, config.ch, 3, padding=1)
        self.down = nn.ModuleList()
        for i, width in enumerate(widths):
            last = i == len(widths) - 1
            level = Level(widths[i - 1] if i else config.ch, width, config.num_res_blocks, attention=last)
            if not last:
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(widths[-1])
        self.norm_out = group_norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], config.z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)  # (B, ch, H, W)
        for level in self.down:
            h = level(h)  # (B, ch·m, H/2^i, W/2^i)
            if isinstance(level, Level) and level.downsample is not None:
                h = level.downsample(h)
        h = self.mid(h)  # (B, ch·m, H/f, W/f)
        return self.conv_out(silu(self.norm_out(h)))  # (B, C, H/f, W/f)


class Decoder(nn.Module):
    """Features (B, C, H/f, W/f) to an image (B, 3, H, W), not yet clamped."""

    def __init__(self, config: VQVAEConfig):
        super().__init__()
        widths = [config.ch * mult for mult in config.ch_mult]
        self.conv_in = nn.Conv2d(config.z_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList()
        for i, width in enumerate(widths):
            last = i == len(widths) - 1
            level = Level(widths[-1] if last else widths[i + 1], width, config.num_res_blocks + 1, attention=last)
            if i > 0:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out = group_norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.mid(self.conv_in(z))  # (B, ch·m, H/f, W/f)
        for level in reversed(self.up):
            h = level(h)  # (B, ch·m, H/2^i, W/2^i)
            if isinstance(level, Level) and level.upsample is not None:
                h = level.upsample(h)
        return self.conv_out(silu(self.norm_out(h)))  # (B, 3, H, W)


class VQVAE(nn.Module):
    """Encoder, multi-scale quantizer and decoder.

    Args:
        config: the sizes.
    """

    def __init__(self, config: VQVAEConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quant_conv = nn.Conv2d(config.z_channels, config.z_channels, 3, padding=1)
        self.quantize = MultiScaleQuantizer(config)
        self.post_quant_conv = nn.Conv2d(config.z_channels, config.z_channels, 3, padding=1)
        self.decoder = Decoder(config)

    def encode_latent(self, images: Tensor) -> Tensor:
        """Latent (B, C, N, N) of images (B, 3, H, W) in [-1, 1], before quantization."""
        return self.quant_conv(self.encoder(images))

    def encode(self, images: Tensor, patch_nums: Sequence[int]) -> list[Tensor]:
        """Tokens of images.

        Args:
            images: float (B, 3, H, W) in [-1, 1], with H = W = patch_nums[-1] · `config.downsampling`.
            patch_nums: side of the token map of each scale, coarse to fine.

        Returns:
            One int64 (B, n²) for each scale.
        """
        return self.quantize.encode(self.encode_latent(images), patch_nums)

    def decode_latent(self, latent: Tensor) -> Tensor:
        """Images, float32 (B, 3, H, W) in [-1, 1], from a latent (B, C, N, N) that the quantizer summed up."""
        features = self.post_quant_conv(latent.to(self.post_quant_conv.weight.dtype))  # (B, C, N, N)
        return self.decoder(features).float().clamp(-1, 1).contiguous()

    def prepare_decoder(self, dtype: torch.dtype) -> None:
        """Put the decoder into a precision, and its convolutions into the layout that is fastest."""
        for part in (self.post_quant_conv, self.decoder):
            part.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload] # not in torch's types

    def decode(self, tokens: Sequence[Tensor], patch_nums: Sequence[int]) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] from tokens, one int64 (B, n²) for each scale."""
        *_, latent = self.quantize.partial_sums(tokens, patch_nums)  # (B, C, N, N)
        return self.decode_latent(latent)
