"""The first stage: the multi-scale VQVAE.

Letters: B images, S scales, C latent channels, V vocabulary, N side of the latent, L tokens of all scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ..model.quantizer import MultiScaleQuantizer, resize_area
from ..model.vqvae import VQVAE, ResidualBlock
from ..pictures.pixels import to_pil
from .critic import Critic, balanced_gradient, critic_loss, persuasion_loss
from .data import Split, augment, center_crop, to_model_range, validation_batches
from .distributed import Processes
from .options import TrainingOptions
from .perceptual import PhotographFeatures, feature_distance, load_features

USAGE_DECAY = 0.99
DEAD_SHARE = 0.03  # of the average use; a code used less is dead
REVIVE_EVERY = 25
REVIVE_UNTIL = 0.7  # of the stage; the last part only polishes
PLAIN_UNTIL, QUANTIZED_FROM = 0.02, 0.08  # of the stage: before, a plain autoencoder; between, quantization fades in
CRITIC_FADE = 0.05  # of the stage, in which the critic's say grows to its full
CRITIC_BETAS = (0.5, 0.9)


@torch.no_grad()
def initialize_vqvae(vqvae: VQVAE, images: Tensor) -> None:
    """Start with a latent of unit variance, φ that pass their input on, and a codebook of the latent's scale.

    PyTorch's own initialization leaves a latent that hardly tells one image from another; the decoder then learns to
    do without it, and the commitment loss shrinks it to nothing.

    Args:
        vqvae: in float32.
        images: some of the training images, (B, 3, H, W) in [-1, 1].
    """
    latent = vqvae.encode_latent(images)  # (B, C, N, N)
    mean, std = latent.mean((0, 2, 3)), latent.std((0, 2, 3)).clamp_min(1e-6)  # (C,)
    vqvae.quant_conv.weight.div_(std.view(-1, 1, 1, 1))
    vqvae.quant_conv.bias.sub_(mean).div_(std)
    nn.init.normal_(vqvae.quantize.embedding.weight)
    for convolution in vqvae.quantize.quant_resi.convolutions():
        nn.init.dirac_(convolution.weight)
        nn.init.zeros_(convolution.bias)


def quantize_with_loss(
    quantizer: MultiScaleQuantizer, latent: Tensor, patch_nums: Sequence[int], commitment: Tensor | float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Quantize a latent for training.

    Args:
        quantizer: the codebook and φ.
        latent: float32 (B, C, N, N).
        patch_nums: side of the token map of each scale, coarse to fine.
        commitment: weight β.

    Returns:
        The quantized latent, whose gradient goes straight through to `latent`; the loss, at every scale
        mse(f̂, sg f) + β·mse(sg f̂, f), averaged over the scales; the tokens int64 (B, L); and what they were chosen
        for, (B, L, C).
    """
    target = latent.detach()
    rest, total, loss = target, torch.zeros_like(target), latent.new_zeros(())
    tokens, sources = [], []
    for scale_index, patch_num in enumerate(patch_nums):
        z = resize_area(rest, patch_num).flatten(2).transpose(1, 2)  # (B, n², C)
        tokens.append(quantizer.nearest_tokens(z.detach()))  # (B, n²)
        sources.append(z)
        part = quantizer.contribution(quantizer.tokens_to_map(tokens[-1]), scale_index, patch_nums)  # (B, C, N, N)
        total = total + part
        rest = rest - part.detach()
        loss = loss + F.mse_loss(total, target) + commitment * F.mse_loss(latent, total.detach())
    straight_through = latent + (total - latent).detach()
    return straight_through, loss / len(patch_nums), torch.cat(tokens, dim=1), torch.cat(sources, dim=1)


@dataclass(frozen=True)
class TokenizerOutputs:
    """What the objective says of a batch.

    Args:
        loss: whose gradient the step follows; its value says nothing, `measured` does.
        measured: scalars, by name.
        tokens: int64 (B, L).
        sources: what the tokens were chosen for, (B, L, C).
    """

    loss: Tensor
    measured: dict[str, Tensor]
    tokens: Tensor
    sources: Tensor


class TokenizerObjective(nn.Module):
    """Images in, loss out; the module that gradients are averaged over.

    Args:
        vqvae: in training mode.
        options: of the run.
        features: of photographs, for the perceptual term; None without.
        critic: trained beside the tokenizer; None without.
    """

    def __init__(
        self, vqvae: VQVAE, options: TrainingOptions, features: PhotographFeatures | None, critic: Critic | None
    ):
        super().__init__()
        self.vqvae, self.features, self.critic = vqvae, features, critic
        self.options = options

    def forward(self, images: Tensor, quantized_share: Tensor, critic_share: float) -> TokenizerOutputs:
        """The loss of a batch.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            quantized_share: how far quantization has faded in, a scalar from 0 to 1. Without this start the latent
                collapses before the codebook has learned to follow it.
            critic_share: how far the critic's say has faded in, from 0 to 1; the critic learns where it is above 0.
        """
        vqvae, options = self.vqvae, self.options
        latent = vqvae.encode_latent(images).float()  # (B, C, N, N)
        with torch.autocast(images.device.type, enabled=False):
            quantized, quantizer_loss, tokens, sources = quantize_with_loss(
                vqvae.quantize, latent, options.patch_nums, options.commitment * quantized_share
            )
            quantized = torch.lerp(latent, quantized, quantized_share)
        output = vqvae.decoder(vqvae.post_quant_conv(quantized)).float()  # (B, 3, H, W)

        made = output.detach().requires_grad_()  # the losses' gradients meet here, and go on through the decoder as one
        squared = F.mse_loss(made, images)
        measured = {"squared_error": squared.detach()}
        loss = squared + options.l1_weight * F.l1_loss(made, images)
        seen, seen_real = [], []
        if self.features is not None:
            seen = self.features(made)
            with torch.no_grad():
                seen_real = self.features(images)
            distance = feature_distance(seen, seen_real)
            measured["perceptual"] = distance.detach()
            loss = loss + options.perceptual * distance
        critic = loss.new_zeros(())
        if self.critic is not None and critic_share > 0:
            persuasion = persuasion_loss(self.critic(made, seen))
            gradient = balanced_gradient(made, loss, persuasion, options.adversarial * critic_share)
            critic = critic_loss(self.critic(images, seen_real), self.critic(made.detach(), [x.detach() for x in seen]))
        else:
            (gradient,) = torch.autograd.grad(loss, made)
        if self.critic is not None:
            measured["critic"] = critic.detach()
        measured["loss"] = (loss + quantizer_loss).detach()
        carried = (output * gradient.detach()).sum()  # the gradient of this is the one above
        return TokenizerOutputs(carried + quantizer_loss + critic, measured, tokens, sources.detach())


def fade(progress: float, start: float, end: float) -> float:
    """How far something has faded in: 0 up to `start`, 1 from `end` on."""
    return min(1.0, max(0.0, (progress - start) / (end - start)))


def psnr(squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error between images in [-1, 1]."""
    return 10 * torch.log10(4 / torch.tensor(max(squared_error, 1e-12), dtype=torch.float64)).item()


class TokenizerStage:
    """How the loop trains the tokenizer.

    Args:
        vqvae: on its device, in training mode.
        options: of the run.
        train: images to learn from.
        val: images held out.
        processes: of the run.
        going_on: the tokenizer has learned to quantize already, and quantizes from the first step on.
    """

    name = "tokenizer"
    best_is_larger = True
    compiled_parts = (ResidualBlock,)

    def __init__(
        self,
        vqvae: VQVAE,
        options: TrainingOptions,
        train: Split,
        val: Split,
        processes: Processes,
        going_on: bool = False,
    ):
        self.options, self.train, self.val, self.processes = options, train, val, processes
        self.model, self.going_on = vqvae, going_on
        device = vqvae.quant_conv.weight.device
        features = load_features().to(device, memory_format=torch.channels_last) if options.perceptual else None
        self.beside = None
        if options.adversarial:
            self.beside = Critic(features.channels if features else ()).to(device, memory_format=torch.channels_last)
        self.beside_betas = CRITIC_BETAS
        self.objective = TokenizerObjective(vqvae, options, features, self.beside)
        # by squared error, what the critic teaches would never be the best
        self.best_key = None if options.adversarial else "val_psnr"
        self.epochs, self.batch_size, self.lr = (
            options.tokenizer_epochs,
            options.tokenizer_batch_size,
            options.tokenizer_lr,
        )
        self.betas, self.weight_decay, self.ema = (0.9, 0.99), 0.0, options.tokenizer_ema

    def decays(self, *_: object) -> bool:
        """Whether weight decay applies; the tokenizer has none."""
        return False

    def batch(
        self, indices: Tensor, progress: float, generator: torch.Generator, device: torch.device
    ) -> tuple[Tensor, Tensor, float]:
        """Images of some indices, augmented, (B, 3, H, W) in [-1, 1], the share of quantization and the critic's."""
        pixels = augment(self.train.images.batch(indices), self.options.image_size, self.options.flip, generator)
        images = to_model_range(pixels.to(device, non_blocking=True))
        quantized = 1.0 if self.going_on else fade(progress, PLAIN_UNTIL, QUANTIZED_FROM)
        start = self.options.adversarial_start
        critic = fade(progress, start, start + CRITIC_FADE) if self.options.adversarial else 0.0
        return images.to(memory_format=torch.channels_last), torch.tensor(quantized, device=device), critic

    def measure(self, outputs: TokenizerOutputs) -> dict[str, Tensor]:
        """What a step's outputs say, as tensors that the loop averages."""
        return outputs.measured

    def summarize(self, means: dict[str, float]) -> dict[str, float]:
        """What the log says of averaged measures."""
        others = {name: mean for name, mean in means.items() if name != "squared_error"}
        return {**others, "psnr": psnr(means["squared_error"])}

    def after_step(
        self,
        step: int,
        num_steps: int,
        outputs: Sequence[TokenizerOutputs],
        optimizer: torch.optim.Optimizer,
        seed: int,
    ) -> None:
        """Count which codes are used, and give the dead ones a new place among what is to be coded."""
        tokens = torch.cat([part.tokens for part in outputs])  # (B, L)
        quantizer = self.model.quantize
        usage = quantizer.ema_vocab_hit_SV  # (S, V)
        counts = [patch_num**2 for patch_num in self.options.patch_nums]
        rows = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(tokens.device)  # (L,)
        places = (rows * usage.shape[1] + tokens).flatten()  # of `usage`, laid flat
        hits = torch.zeros_like(usage).flatten().scatter_add_(0, places, usage.new_ones(len(places)))
        hits = self.processes.sum(hits).view_as(usage)
        decay = min(USAGE_DECAY, (step + 1) / (step + 10))  # a fresh average forgets its empty start soon
        usage.mul_(decay).add_(hits, alpha=1 - decay)
        if (step + 1) % REVIVE_EVERY or step > REVIVE_UNTIL * num_steps:
            return
        total = usage.sum(0)  # (V,)
        dead = (total < DEAD_SHARE * total.mean()).nonzero().flatten()
        if not len(dead):
            return
        generator = torch.Generator().manual_seed(seed)
        pool = torch.cat([part.sources for part in outputs]).flatten(0, 1)  # (B·L, C)
        rows = pool[torch.randint(len(pool), (len(dead),), generator=generator).to(pool.device)].contiguous()
        self.processes.from_main(rows)
        with torch.no_grad():
            weight = quantizer.embedding.weight
            weight[dead] = rows
            usage[:, dead] = total.mean() / len(usage)
            for moment in ("exp_avg", "exp_avg_sq"):
                if moment in optimizer.state.get(weight, {}):
                    optimizer.state[weight][moment][dead] = 0

    @torch.inference_mode()
    def validate(self, model: VQVAE, device: torch.device) -> dict[str, float]:
        """PSNR of the mean squared error over the held-out images, through their tokens and back."""
        total = torch.zeros(3, dtype=torch.float64)
        features = self.objective.features
        for indices in validation_batches(len(self.val), self.batch_size // self.options.accumulate, self.processes):
            pixels = center_crop(self.val.images.batch(indices), self.options.image_size)
            images = to_model_range(pixels.to(device)).to(memory_format=torch.channels_last)
            output = reconstruct(model, images, self.options.patch_nums)
            squared = F.mse_loss(output, images).item()
            distance = feature_distance(features(output), features(images)).item() if features is not None else 0.0
            total += torch.tensor([squared, distance, 1.0], dtype=torch.float64) * len(images)
        total = self.processes.sum(total)
        if not total[2]:
            return {}
        squared, distance = (total[:2] / total[2]).tolist()
        measured = {"val_psnr": psnr(squared)}
        return measured if features is None else {**measured, "val_perceptual": distance}

    @torch.inference_mode()
    def samples(self, model: VQVAE, device: torch.device, count: int = 16) -> list[Image.Image]:
        """Held-out images, followed by as many reconstructions."""
        split = self.val if len(self.val) else self.train
        indices = torch.linspace(0, len(split) - 1, min(count, len(split))).long()
        images = to_model_range(center_crop(split.images.batch(indices), self.options.image_size).to(device))
        return to_pil(torch.cat((images, reconstruct(model, images, self.options.patch_nums))).add(1).div(2))


def reconstruct(vqvae: VQVAE, images: Tensor, patch_nums: Sequence[int]) -> Tensor:
    """Images (B, 3, H, W) in [-1, 1] through their tokens and back."""
    return vqvae.decode(vqvae.encode(images, patch_nums), patch_nums)
