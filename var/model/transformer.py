"""The VAR transformer: class-conditional, one whole token map a step.

Letters: B images, L tokens, D width, H heads, V vocabulary, C latent channels, n side of one scale.
Source: arXiv 2404.02905, section 3. Attributes such as `pos_1LC`, `lvl_1L`, `mat_qkv`, `scale_mul_1H11`, `ada_lin`,
`ada_gss` and `head_nm` are checkpoint keys of the reference implementation and stay, so that official files load
strictly here and ours load there.
"""

import math
from collections.abc import Callable
from copy import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import VARConfig
from .linear import linear, linear_gelu

NORM_EPS = 1e-6  # not in the weights
MAX_LOG_SCALE = math.log(100)
# What a transformer "in bfloat16" has in bfloat16: the large matrices inside of the blocks, nearly all of its bytes.
# Whatever else it has is float32, as it is under autocast: biases, embeddings, the heads' scales, the last product.
LARGE_WEIGHTS = ("mat_qkv.weight", "proj.weight", "fc1.weight", "fc2.weight", "ada_lin.1.weight")


def stored_dtype(key: str, dtype: torch.dtype) -> torch.dtype:
    """The precision of one entry, by its key, in a transformer that computes in `dtype`."""
    return dtype if key.endswith(LARGE_WEIGHTS) else torch.float32


class KeyValueCache:
    """Keys and values of the scales already generated; belongs to one generation.

    Args:
        config: sizes of the transformer.
        batch_size: rows of the batch, the unconditional ones included.
        device: where the transformer is.
        dtype: precision of the transformer.
    """

    def __init__(self, config: VARConfig, batch_size: int, device: torch.device, dtype: torch.dtype):
        head_dim = config.embed_dim // config.num_heads
        shape = (config.depth, batch_size, config.num_heads, config.num_tokens, head_dim)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0

    def extend(self, block_index: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values (B, H, n², D/H) of one scale; returns those of all scales so far."""
        end = self.length + k.shape[2]
        self.keys[block_index, :, :, self.length : end] = k
        self.values[block_index, :, :, self.length : end] = v
        return self.keys[block_index, :, :, :end], self.values[block_index, :, :, :end]

    def advance(self, num_tokens: int) -> None:
        """Call once a scale, after the last block."""
        self.length += num_tokens

    def first(self, batch_size: int) -> "KeyValueCache":
        """A cache of the first so many rows of the batch, in the same memory."""
        part = copy(self)
        part.keys, part.values = self.keys[:, :batch_size], self.values[:, :batch_size]
        return part


class Attention(nn.Module):
    """Multi-head self-attention; optionally with unit-length queries and keys and a learned scale a head."""

    def __init__(self, config: VARConfig, block_index: int):
        super().__init__()
        width = config.embed_dim
        self.block_index = block_index
        self.num_heads = config.num_heads
        self.attn_l2_norm = config.attn_l2_norm
        self.softmax_scale = 1.0 if config.attn_l2_norm else 0.25 / math.sqrt(width // config.num_heads)
        if config.attn_l2_norm:
            self.scale_mul_1H11 = nn.Parameter(torch.full((1, config.num_heads, 1, 1), math.log(4)))
        self.mat_qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.zero_k_bias: Tensor
        self.register_buffer("zero_k_bias", torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, attn_bias: Tensor | None, cache: KeyValueCache | None) -> Tensor:
        batch, length, width = x.shape
        bias = torch.cat((self.q_bias, self.zero_k_bias, self.v_bias))
        qkv = linear(x, self.mat_qkv.weight, bias).view(batch, length, 3, self.num_heads, -1)
        if self.attn_l2_norm:
            scale = self.scale_mul_1H11.clamp_max(MAX_LOG_SCALE).exp().view(self.num_heads, 1)
            scales = torch.stack((scale, torch.ones_like(scale)))  # (2, H, 1): of queries, of keys
            qk = (F.normalize(qkv[:, :, :2].float(), dim=-1) * scales).to(qkv.dtype)  # (B, L, 2, H, D/H)
            q, k = qk.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, L, D/H)
            v = qkv[:, :, 2].transpose(1, 2)  # (B, H, L, D/H)
        else:
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, L, D/H)
        if cache is not None:
            k, v = cache.extend(self.block_index, k, v)  # each (B, H, L so far, D/H)
        h = attend(q, k, v, attn_bias, self.softmax_scale)  # (B, H, L, D/H)
        h = h.transpose(1, 2).reshape(batch, length, width)  # (B, L, D)
        return linear(h, self.proj.weight, self.proj.bias)


def attend(q: Tensor, k: Tensor, v: Tensor, attn_bias: Tensor | None, scale: float) -> Tensor:
    """Attention of queries (B, H, L, D/H) to keys and values, with an optional bias (1, 1, L, L) on the logits."""
    if attn_bias is None:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_bias.to(q.dtype), scale=scale)
    # the fused kernel's backward pass takes a third of a training step on the CPU, this one a tenth
    weights = ((q * scale) @ k.transpose(-1, -2)).float() + attn_bias  # (B, H, L, L)
    return weights.softmax(-1).to(v.dtype) @ v


class FeedForward(nn.Module):
    """Two linear layers around a tanh-approximated GELU."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        h = linear_gelu(x, self.fc1.weight, self.fc1.bias)  # (B, L, D · ratio)
        return linear(h, self.fc2.weight, self.fc2.bias)  # (B, L, D)


def layer_norm(x: Tensor) -> Tensor:
    """Normalize the last dimension in float32, without learned scale or shift."""
    return F.layer_norm(x.float(), x.shape[-1:], eps=NORM_EPS)


def modulated_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalize x (B, L, D), then scale and shift it, (B, 1, D) each; in float32."""
    return torch.addcmul(shift, layer_norm(x), scale + 1)


def project_condition(ada_lin: nn.Sequential, condition: Tensor, count: int) -> Tensor:
    """So many modulations, float32 (B, 1, count, D), of classes (B, D), by SiLU and a linear layer."""
    activation, projection = ada_lin
    assert isinstance(projection, nn.Linear)
    product = linear(activation(condition).to(projection.weight.dtype), projection.weight)  # (B, count · D)
    return (product.float() + projection.bias.float()).view(len(condition), 1, count, -1)


def drop_path(x: Tensor, rate: float) -> Tensor:
    """Drop a branch for whole images (B, ...), each with probability `rate`; the others are scaled up."""
    keep = x.new_empty(x.shape[0], *(1,) * (x.ndim - 1)).bernoulli_(1 - rate)
    return x * keep / (1 - rate)


class Block(nn.Module):
    """Attention and feed-forward, modulated by the class (AdaLN); the residual stream is float32."""

    def __init__(self, config: VARConfig, block_index: int, drop_path_rate: float):
        super().__init__()
        width = config.embed_dim
        self.drop_path_rate = drop_path_rate
        self.attn = Attention(config, block_index)
        self.ffn = FeedForward(width, round(width * config.mlp_ratio))
        if config.shared_adaln:
            self.ada_gss = nn.Parameter(torch.zeros(1, 1, 6, width))
        else:
            self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def modulation(self, condition: Tensor, shared: Tensor | None) -> Tensor:
        """The six modulations (B, 1, 6, D) of the classes; `shared` is the common part where AdaLN is shared."""
        if shared is not None:
            return self.ada_gss.float() + shared
        return project_condition(self.ada_lin, condition, 6)

    def forward(
        self, x: Tensor, modulation: Tensor, attn_bias: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        gamma1, gamma2, scale1, scale2, shift1, shift2 = modulation.unbind(2)  # each (B, 1, D)
        dtype = self.attn.mat_qkv.weight.dtype
        h = modulated_norm(x, scale1, shift1).to(dtype)  # (B, L, D)
        x = self.add(x, self.attn(h, attn_bias, cache).float(), gamma1)  # (B, L, D)
        h = modulated_norm(x, scale2, shift2).to(dtype)  # (B, L, D)
        return self.add(x, self.ffn(h).float(), gamma2)  # (B, L, D)

    def add(self, x: Tensor, branch: Tensor, gamma: Tensor) -> Tensor:
        """Add a branch to the residual stream, both (B, L, D), scaled by gamma (B, 1, D); training may drop it."""
        if self.training and self.drop_path_rate:
            branch = drop_path(branch, self.drop_path_rate)
        return torch.addcmul(x, branch, gamma)


class HeadNorm(nn.Module):
    """The modulated norm before the head."""

    def __init__(self, width: int):
        super().__init__()
        self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def modulation(self, condition: Tensor) -> Tensor:
        """Scale and shift (B, 1, 2, D) of the classes."""
        return project_condition(self.ada_lin, condition, 2)


def block_causal_bias(levels: Tensor) -> Tensor:
    """What keeps a place from seeing later scales, given the scale of each (L,): (1, 1, L, L), 0 or -inf."""
    length = len(levels)
    bias = torch.zeros(1, 1, length, length)
    if bias.is_meta:  # nothing to fill, and for the comparison torch would import its compiler: most of a second
        return bias
    return bias.masked_fill(levels.view(1, 1, length, 1) < levels.view(1, 1, 1, length), -torch.inf)


class Modulations(NamedTuple):
    """What the classes do to every block and to the head: one (B, 1, 6, D) a block, and (B, 1, 2, D)."""

    blocks: list[Tensor]
    head: Tensor

    def first(self, batch_size: int) -> "Modulations":
        """Those of the first so many rows of the batch."""
        return Modulations([modulation[:batch_size] for modulation in self.blocks], self.head[:batch_size])


class VAR(nn.Module):
    """The transformer over token maps.

    Args:
        config: the sizes.
        drop_path_rate: probability that training drops a whole branch of the last block; it grows from 0 with depth.
    """

    def __init__(self, config: VARConfig, drop_path_rate: float = 0.0):
        super().__init__()
        self.config = config
        width, length = config.embed_dim, config.num_tokens
        self.word_embed = nn.Linear(config.z_channels, width)
        self.class_emb = nn.Embedding(config.num_classes + 1, width)
        self.lvl_embed = nn.Embedding(config.num_scales, width)
        self.pos_start = nn.Parameter(torch.zeros(1, config.patch_nums[0] ** 2, width))
        self.pos_1LC = nn.Parameter(torch.zeros(1, length, width))
        # a list, not torch.arange: without memory, that imports torch's compiler, most of a second
        levels = torch.tensor([i for i, patch_num in enumerate(config.patch_nums) for _ in range(patch_num**2)])  # (L,)
        self.lvl_1L: Tensor
        self.attn_bias_for_masking: Tensor
        self.register_buffer("lvl_1L", levels.view(1, length))
        self.register_buffer("attn_bias_for_masking", block_causal_bias(levels))
        if config.shared_adaln:
            self.shared_ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        rates = [drop_path_rate * i / max(1, config.depth - 1) for i in range(config.depth)]
        self.blocks = nn.ModuleList(Block(config, i, rate) for i, rate in enumerate(rates))
        self.head_nm = HeadNorm(width)
        self.head = nn.Linear(width, config.vocab_size)

    @property
    def device(self) -> torch.device:
        """Where the transformer is."""
        return self.word_embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision that it computes in; the small parts are float32 always."""
        return self.get_parameter("blocks.0.attn.mat_qkv.weight").dtype

    def prepare(self, dtype: torch.dtype) -> None:
        """Put what is large into the precision to compute in."""
        for key, parameter in self.named_parameters():
            parameter.data = parameter.data.to(stored_dtype(key, dtype))

    @property
    def null_class(self) -> int:
        """Index of "no class", the last row of the class embedding."""
        return self.config.num_classes

    def modulations(self, condition: Tensor) -> Modulations:
        """What classes do to the blocks and the head; the same at every scale, so computed once a generation.

        Args:
            condition: class embeddings (B, D).
        """
        shared = None
        if self.config.shared_adaln:
            shared = project_condition(self.shared_ada_lin, condition, 6)
        blocks = [block for block in self.blocks if isinstance(block, Block)]
        return Modulations(
            [block.modulation(condition, shared) for block in blocks], self.head_nm.modulation(condition)
        )

    def embed_scale(self, features: Tensor | None, condition: Tensor, scale_index: int) -> Tensor:
        """Input of one scale.

        Args:
            features: the latent so far, resized to the scale's side, (B, C, n, n); None for the first scale.
            condition: class embeddings (B, D).
            scale_index: 0-based.

        Returns:
            float32 (B, n², D).
        """
        start, end = self.config.scale_ranges[scale_index]
        places = self.lvl_embed(self.lvl_1L[:, start:end]).float() + self.pos_1LC[:, start:end].float()  # (1, n², D)
        if features is None:
            return condition.float().unsqueeze(1) + self.pos_start.float() + places
        words = self.word_embed(features.flatten(2).transpose(1, 2).to(self.word_embed.weight.dtype))
        return words.float() + places

    def logits(
        self,
        x: Tensor,
        modulations: Modulations,
        attn_bias: Tensor | None = None,
        cache: KeyValueCache | None = None,
        before_block: Callable[[], None] | None = None,
    ) -> Tensor:
        """All blocks and the head.

        Args:
            x: embedded tokens, float32 (B, L, D).
            modulations: of the B classes.
            attn_bias: added to the attention's logits, (1, 1, L, L); None where every place sees every place.
            cache: of the earlier scales, extended by this one.
            before_block: called before every block; what it raises ends the computation.

        Returns:
            float32 (B, L, V).
        """
        for block, modulation in zip(self.blocks, modulations.blocks, strict=True):
            if before_block is not None:
                before_block()
            x = block(x, modulation, attn_bias, cache)
        if cache is not None:
            cache.advance(x.shape[1])
        scale, shift = modulations.head.unbind(2)  # each (B, 1, D)
        h = modulated_norm(x, scale, shift).to(self.head.weight.dtype)  # (B, L, D)
        return linear(h, self.head.weight, self.head.bias).float()

    def forward(self, class_labels: Tensor, inputs: Tensor) -> Tensor:
        """Teacher forcing: the logits of every scale, given the true tokens of the scales before it.

        Args:
            class_labels: int64 (B,); `null_class` where the label is dropped.
            inputs: what each place of the scales after the first sees, (B, L - n_1², C).

        Returns:
            float32 (B, L, V).
        """
        condition = self.class_emb(class_labels)  # (B, D)
        first = self.pos_start.shape[1]
        start = (condition.unsqueeze(1) + self.pos_start).float()  # (B, n_1², D)
        x = torch.cat((start.expand(-1, first, -1), self.word_embed(inputs).float()), dim=1)  # (B, L, D)
        x = x + (self.lvl_embed(self.lvl_1L) + self.pos_1LC).float()
        return self.logits(x, self.modulations(condition), self.attn_bias_for_masking)
