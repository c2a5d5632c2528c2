"""The second stage: the transformer, on tokens that were made once.

Letters: B images, D width, V vocabulary, L tokens of all scales, K views of an image, C latent channels, N side of the
latent.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ..model.transformer import VAR, Block
from ..model.vqvae import VQVAE
from ..pipeline import VARPipeline
from .context_noise import noisy_context
from .data import Split, augment, center_crop, to_model_range, validation_batches
from .distributed import Processes
from .options import TrainingOptions

SAMPLE_GUIDANCE = 2.0
UNDECAYED = ("class_emb", "pos_start", "pos_1LC", "lvl_embed", "scale_mul_1H11", "ada_gss")


def initialize_var(model: VAR) -> None:
    """The reference's initialization: truncated normal of std √(1/(3D)), small head, modulations near zero."""
    width = model.config.embed_dim
    std = math.sqrt(1 / (3 * width))
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.trunc_normal_(module.weight, std=std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for parameter in (model.pos_start, model.pos_1LC):
        nn.init.trunc_normal_(parameter, std=std)
    with torch.no_grad():
        model.head.weight.mul_(0.02)
        model.head_nm.ada_lin[1].weight.mul_(0.5)
        for block in model.blocks:
            for linear in (block.attn.proj, block.ffn.fc2):
                linear.weight.div_(math.sqrt(2 * model.config.depth))
            if model.config.shared_adaln:
                nn.init.trunc_normal_(block.ada_gss, std=1 / width**0.5)
                block.ada_gss[:, :, :2].mul_(1e-5)
            else:
                block.ada_lin[1].weight.mul_(0.5)
                block.ada_lin[1].weight[: 2 * width].mul_(1e-5)
        if model.config.shared_adaln:
            model.shared_ada_lin[1].weight.mul_(0.5)
            model.shared_ada_lin[1].weight[: 2 * width].mul_(1e-5)


@dataclass(frozen=True)
class TransformerOutputs:
    """What the objective says of a batch: scalars.

    Args:
        loss: whose gradient the step follows.
        accuracy: share of the tokens named.
    """

    loss: Tensor
    accuracy: Tensor


@dataclass(frozen=True)
class TokenSet:
    """What the transformer learns from.

    Args:
        tokens: of each view of each image, (images, K, L), in the smallest integers that hold them.
        labels: class of each image, int64 (images,).
        latents: what the tokens were made of, float16 (images, K, C, N, N); None where nobody asks for it.
    """

    tokens: Tensor
    labels: Tensor
    latents: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "TokenSet":
        """The same on a device."""
        latents = None if self.latents is None else self.latents.to(device)
        return TokenSet(self.tokens.to(device), self.labels.to(device), latents)


class TransformerObjective(nn.Module):
    """Labels and tokens in, loss out; the module that gradients are averaged over."""

    def __init__(self, model: VAR, label_smoothing: float):
        super().__init__()
        self.model, self.label_smoothing = model, label_smoothing

    def forward(self, class_labels: Tensor, inputs: Tensor, tokens: Tensor) -> TransformerOutputs:
        """Labels (B,), inputs (B, L - n_1², C) and true tokens (B, L) to the loss."""
        logits = self.model(class_labels, inputs)  # (B, L, V)
        loss = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), label_smoothing=self.label_smoothing)
        return TransformerOutputs(loss, (logits.detach().argmax(-1) == tokens).float().mean())


@torch.inference_mode()
def make_tokens(
    vqvae: VQVAE,
    split: Split,
    options: TrainingOptions,
    device: torch.device,
    *,
    training: bool,
    batches: Iterable[Tensor],
    first: int = 0,
) -> TokenSet:
    """Tokens of every view of some images.

    Args:
        vqvae: the finished tokenizer.
        split: the images.
        options: of the run; they say which views there are.
        device: of the tokenizer.
        training: all views; otherwise the centre crop alone.
        batches: the indices to go through, int64 (B,) each.
        first: how many batches of the split come before these; each has draws of its own.

    Returns:
        On the CPU, with K views an image: the centre crop and, where crops are random, others up to `options.views`;
        and each mirrored where images are. Latents are kept where the context gets noise.
    """
    crops = options.views if training and (options.random_crop > 1 or options.shift) else 1
    dtype = torch.int16 if vqvae.config.vocab_size <= 2**15 else torch.int32
    keep_latents = training and options.context_noise > 0
    tokens, latents, labels = [], [], [split.labels[:0]]
    for number, indices in enumerate(batches, first):
        pixels = split.images.batch(indices)
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + number)
        views = [center_crop(pixels, options.image_size)]
        views += [augment(pixels, options.image_size, False, generator) for _ in range(crops - 1)]
        if training and options.flip:
            views += [view.flip(3) for view in views]
        found = [vqvae.encode_latent(to_model_range(view.to(device))) for view in views]  # (B, C, N, N) each
        encoded = [torch.cat(vqvae.quantize.encode(latent, options.patch_nums), dim=1) for latent in found]
        tokens.append(torch.stack(encoded, dim=1).to(dtype).cpu())  # (B, K, L)
        if keep_latents:
            latents.append(torch.stack(found, dim=1).half().cpu())  # (B, K, C, N, N)
        labels.append(split.labels[indices])
    if not tokens:
        tokens.append(torch.zeros(0, 1, sum(n * n for n in options.patch_nums), dtype=dtype))
    return TokenSet(torch.cat(tokens), torch.cat(labels), torch.cat(latents) if latents else None)


class TransformerStage:
    """How the loop trains the transformer.

    Args:
        model: on its device, in training mode.
        vqvae: the finished tokenizer, on the same device.
        options: of the run.
        train: to learn from.
        val: the held-out images, with K = 1.
        processes: of the run.
    """

    name = "transformer"
    best_key, best_is_larger = "val_loss", False
    compiled_parts = (Block,)
    beside, beside_betas = None, (0.0, 0.0)

    def __init__(
        self,
        model: VAR,
        vqvae: VQVAE,
        options: TrainingOptions,
        train: TokenSet,
        val: TokenSet,
        processes: Processes,
    ):
        self.model, self.vqvae, self.options, self.processes = model, vqvae, options, processes
        device = model.head.weight.device
        self.train, self.val = train.to(device), val.to(device)
        self.objective = TransformerObjective(model, options.label_smoothing)
        self.epochs, self.batch_size, self.lr = options.epochs, options.batch_size, options.lr
        self.betas, self.weight_decay, self.ema = (0.9, 0.95), options.weight_decay, options.ema

    def decays(self, name: str, parameter: Tensor) -> bool:
        """Whether weight decay applies: not on biases, embeddings of class, place and level, or scales."""
        return parameter.ndim > 1 and not any(part in name for part in UNDECAYED)

    def batch(
        self, indices: Tensor, progress: float, generator: torch.Generator, device: torch.device
    ) -> tuple[Tensor, ...]:
        """Labels, some dropped, inputs and tokens of one view of each image."""
        views = torch.randint(self.train.tokens.shape[1], (len(indices),), generator=generator).to(device)
        dropped = (torch.rand(len(indices), generator=generator) < self.options.label_drop).to(device)
        shares = torch.rand(len(indices), generator=generator).to(device) * self.options.context_noise
        indices = indices.to(device)
        labels = self.train.labels[indices].masked_fill(dropped, self.model.null_class)
        tokens = self.train.tokens[indices, views].long()  # (B, L)
        if self.train.latents is None:
            return labels, self._inputs(tokens), tokens
        latents = self.train.latents[indices, views].float()  # (B, C, N, N)
        patch_nums = self.options.patch_nums
        inputs, tokens = noisy_context(self.vqvae.quantize, self._by_scale(tokens), latents, patch_nums, shares)
        return labels, inputs, tokens

    def _by_scale(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Tokens (B, L) as one (B, n²) a scale."""
        return tokens.split([patch_num**2 for patch_num in self.options.patch_nums], dim=1)

    @torch.no_grad()
    def _inputs(self, tokens: Tensor) -> Tensor:
        """What the transformer sees of true tokens (B, L): (B, L - n_1², C)."""
        return self.vqvae.quantize.teacher_forcing_inputs(self._by_scale(tokens), self.options.patch_nums)

    def measure(self, outputs: TransformerOutputs) -> dict[str, Tensor]:
        """What a step's outputs say, as tensors that the loop averages."""
        return {"loss": outputs.loss.detach(), "accuracy": outputs.accuracy}

    def summarize(self, means: dict[str, float]) -> dict[str, float]:
        """What the log says of averaged measures."""
        return means

    def after_step(self, *_: object) -> None:
        """Nothing beyond the optimizer's step."""

    @torch.inference_mode()
    def validate(self, model: VAR, device: torch.device) -> dict[str, float]:
        """Loss and accuracy on the held-out tokens, with their labels."""
        total = torch.zeros(3, dtype=torch.float64)
        objective = TransformerObjective(model, 0.0)
        part = self.batch_size // self.options.accumulate
        for indices in validation_batches(len(self.val), part, self.processes):
            indices = indices.to(device)
            tokens = self.val.tokens[indices, 0].long()
            said = objective(self.val.labels[indices], self._inputs(tokens), tokens)
            total += torch.tensor([said.loss.item(), said.accuracy.item(), 1.0], dtype=torch.float64) * len(indices)
        total = self.processes.sum(total)
        if not total[2]:
            return {}
        return {"val_loss": (total[0] / total[2]).item(), "val_accuracy": (total[1] / total[2]).item()}

    def samples(self, model: VAR, labels: list[int]) -> list[Image.Image]:
        """An image of each label."""
        pipeline = VARPipeline(model, self.vqvae)
        return pipeline(labels, seed=self.options.seed, cfg_scale=SAMPLE_GUIDANCE).pil_images
