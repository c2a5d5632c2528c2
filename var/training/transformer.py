"""The second stage: the transformer, on tokens that were made once.

Letters: B images, D width, V vocabulary, L tokens of all scales, K views of an image.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ..model.transformer import VAR, Block
from ..model.vqvae import VQVAE
from ..pipeline import VARPipeline
from .data import Split, augment, center_crop, to_model_range, validation_batches
from .distributed import Processes
from .options import TrainingOptions

SAMPLE_GUIDANCE = 2.0
UNDECAYED = ("class_emb", "pos_start", "pos_1LC", "lvl_embed", "scale_mul_1H11", "ada_gss")
CROPS = 4  # views kept of each image where crops are random


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


class TransformerObjective(nn.Module):
    """Labels and tokens in, loss out; the module that gradients are averaged over."""

    def __init__(self, model: VAR, label_smoothing: float):
        super().__init__()
        self.model, self.label_smoothing = model, label_smoothing

    def forward(self, class_labels: Tensor, inputs: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (B,), inputs (B, L - n_1², C) and true tokens (B, L) to the loss and the share of tokens named."""
        logits = self.model(class_labels, inputs)  # (B, L, V)
        loss = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), label_smoothing=self.label_smoothing)
        return loss, (logits.detach().argmax(-1) == tokens).float().mean()


@torch.inference_mode()
def make_tokens(
    vqvae: VQVAE,
    split: Split,
    options: TrainingOptions,
    device: torch.device,
    *,
    training: bool,
    batches: Iterable[Tensor],
) -> Tensor:
    """Tokens of every view of every image, in the smallest integers that hold them.

    Args:
        vqvae: the finished tokenizer.
        split: the images.
        options: of the run; they say which views there are.
        device: of the tokenizer.
        training: all views; otherwise the centre crop alone.
        batches: the indices to go through, int64 (B,) each.

    Returns:
        (images, K, L): K crops, and each mirrored where images are.
    """
    crops = CROPS if training and options.random_crop > 1 else 1
    dtype = torch.int16 if vqvae.config.vocab_size <= 2**15 else torch.int32
    found = []
    for number, indices in enumerate(batches):
        pixels = split.images.batch(indices)
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + number)
        if crops > 1:
            views = [augment(pixels, options.image_size, False, generator) for _ in range(crops)]
        else:
            views = [center_crop(pixels, options.image_size)]
        if training and options.flip:
            views += [view.flip(3) for view in views]
        tokens = [torch.cat(vqvae.encode(to_model_range(view.to(device)), options.patch_nums), dim=1) for view in views]
        found.append(torch.stack(tokens, dim=1).to(dtype).cpu())  # (B, K, L)
    return torch.cat(found) if found else torch.zeros(0, 1, sum(n * n for n in options.patch_nums), dtype=dtype)


class TransformerStage:
    """How the loop trains the transformer.

    Args:
        model: on its device, in training mode.
        vqvae: the finished tokenizer, on the same device.
        options: of the run.
        train: tokens (images, K, L) and labels (images,) to learn from.
        val: the same of the held-out images, with K = 1.
        processes: of the run.
    """

    name = "transformer"
    best_key, best_is_larger = "val_loss", False
    compiled_parts = (Block,)

    def __init__(
        self,
        model: VAR,
        vqvae: VQVAE,
        options: TrainingOptions,
        train: tuple[Tensor, Tensor],
        val: tuple[Tensor, Tensor],
        processes: Processes,
    ):
        self.model, self.vqvae, self.options, self.processes = model, vqvae, options, processes
        self.train_tokens, self.train_labels = train
        self.val_tokens, self.val_labels = val
        self.train = self.train_labels
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
        views = torch.randint(self.train_tokens.shape[1], (len(indices),), generator=generator)
        dropped = torch.rand(len(indices), generator=generator) < self.options.label_drop
        labels = torch.where(dropped, self.model.null_class, self.train_labels[indices])
        return self._prepare(self.train_tokens[indices, views], labels, device)

    def _prepare(self, tokens: Tensor, labels: Tensor, device: torch.device) -> tuple[Tensor, ...]:
        tokens = tokens.to(device).long()  # (B, L)
        scales = tokens.split([patch_num**2 for patch_num in self.options.patch_nums], dim=1)
        with torch.no_grad():
            inputs = self.vqvae.quantize.teacher_forcing_inputs(scales, self.options.patch_nums)  # (B, L - n_1², C)
        return labels.to(device), inputs, tokens

    def measure(self, outputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """What a step's outputs say, as tensors that the loop averages."""
        return {"loss": outputs[0].detach(), "accuracy": outputs[1]}

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
        for indices in validation_batches(len(self.val_labels), part, self.processes):
            loss, accuracy = objective(*self._prepare(self.val_tokens[indices, 0], self.val_labels[indices], device))
            total += torch.tensor([loss.item(), accuracy.item(), 1.0], dtype=torch.float64) * len(indices)
        total = self.processes.sum(total)
        if not total[2]:
            return {}
        return {"val_loss": (total[0] / total[2]).item(), "val_accuracy": (total[1] / total[2]).item()}

    def samples(self, model: VAR, labels: list[int]) -> list[Image.Image]:
        """An image of each label."""
        return VARPipeline(model, self.vqvae)(labels, seed=self.options.seed, cfg_scale=SAMPLE_GUIDANCE).images
