"""Every setting of a training run as one frozen dataclass, and presets for the usual sizes."""

from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import TrainingError
from ..model.config import VARConfig, VQVAEConfig


def option(default: Any, help: str, **limits: float) -> Any:
    """A field with its one-line help text and its limits (`least`, `below`, `most`)."""
    return field(default=default, metadata={"help": help, **limits})


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of `python -m var train`; each field is an option of the same name.

    Source of the recipe: the reference implementation's trainer, and for the tokenizer, which the reference never
    published, the VQGAN and VAR papers.
    """

    patch_nums: tuple[int, ...] = option((1, 2, 3, 4, 5, 6, 8), "side of the token map of each scale, coarse to fine")
    vocab_size: int = option(1024, "codebook rows", least=2)
    z_channels: int = option(16, "channels of the latent", least=1)
    vae_ch: int = option(32, "channels of the tokenizer's first convolution, a multiple of 32", least=32)
    vae_ch_mult: tuple[int, ...] = option((1, 1, 2, 4), "channel multiplier of each level; each but the last halves")
    depth: int = option(8, "transformer blocks", least=1)
    embed_dim: int = option(256, "transformer width", least=8)
    num_heads: int = option(4, "attention heads; divides the width", least=1)
    shared_adaln: bool = option(False, "one AdaLN projection for all blocks, which saves a third of the weights")

    flip: bool = option(False, "mirror images left to right at random")
    shift: int = option(0, "move images by up to so many pixels at random; their edges are mirrored", least=0)
    random_crop: float = option(1.0, "enlarge by this and crop at random; 1 crops the centre", least=1, most=4)
    views: int = option(4, "crops of each image that the transformer learns from, where crops are random", least=1)
    val_fraction: float = option(0.1, "held out where the data has no val split", least=0, below=1)

    tokenizer_epochs: int = option(25, "epochs of the tokenizer", least=1)
    tokenizer_batch_size: int = option(32, "images a step of the tokenizer", least=1)
    tokenizer_lr: float = option(1e-3, "peak learning rate of the tokenizer", least=0)
    commitment: float = option(0.25, "weight β of the commitment loss", least=0)
    l1_weight: float = option(0.2, "weight of the absolute error beside the squared error", least=0)
    perceptual: float = option(0.0, "weight of the distance in a photo network's features; 0 is off", least=0)
    adversarial: float = option(0.0, "length of the critic's gradient over the other losses'; 0 is off", least=0)
    adversarial_start: float = option(0.5, "share of the tokenizer's steps before the critic speaks", least=0, below=1)
    tokenizer_ema: float = option(0.0, "as --ema, of the tokenizer", least=0, below=1)

    epochs: int = option(40, "epochs of the transformer", least=1)
    batch_size: int = option(64, "images a step of the transformer, over all processes", least=1)
    lr: float = option(1e-3, "peak learning rate of the transformer", least=0)
    final_lr: float = option(0.02, "learning rate at the end over the peak", least=0, most=1)
    warmup: float = option(0.04, "share of the steps in which the learning rate rises", least=0, below=1)
    weight_decay: float = option(0.05, "AdamW's; none on biases, embeddings of place, scales of attention", least=0)
    clip: float = option(2.0, "largest norm of the gradient", least=0)
    label_drop: float = option(0.1, "share of the labels replaced by no class, for guidance", least=0, below=1)
    drop_path: float = option(0.0, "drop probability of the last block's branches", least=0, below=1)
    label_smoothing: float = option(0.0, "label smoothing of the token loss", least=0, below=1)
    context_noise: float = option(
        0.0, "largest share of an image's tokens that are false in its context", least=0, most=1
    )
    ema: float = option(0.0, "decay of an average of the weights that is kept instead; 0 is off", least=0, below=1)
    accumulate: int = option(1, "parts a step's batch is split into, to save memory", least=1)

    seed: int = option(0, "seed of every draw", least=0)
    precision: str = option("auto", "float32, bfloat16, or auto: bfloat16 where it is faster")
    compile: bool = option(False, "torch.compile: slow to start, then two to three times as fast; needs a C++ compiler")
    device: str = option("auto", "cpu, cuda, mps or auto")
    workers: int = option(4, "threads that read images", least=1)
    save_minutes: float = option(3.0, "time between saves of the resumable state", least=0)
    sample_every: int = option(5, "epochs between sample grids", least=1)
    validate_every: int = option(1, "epochs between looks at the held-out images", least=1)

    def __post_init__(self) -> None:
        for item in fields(self):
            value, limits = getattr(self, item.name), item.metadata
            name = "--" + item.name.replace("_", "-")
            if "least" in limits and not value >= limits["least"]:
                raise ValueError(f"{name} is {value}; it must be at least {limits['least']}.")
            if "most" in limits and not value <= limits["most"]:
                raise ValueError(f"{name} is {value}; it must be at most {limits['most']}.")
            if "below" in limits and not value < limits["below"]:
                raise ValueError(f"{name} is {value}; it must be below {limits['below']}.")
        if not self.patch_nums or any(b <= a for a, b in zip((0, *self.patch_nums), self.patch_nums, strict=False)):
            raise ValueError(f"--patch-nums is {self.patch_nums}; it must rise from 1 or more.")
        if self.embed_dim % self.num_heads:
            raise ValueError(f"--embed-dim {self.embed_dim} is not a multiple of --num-heads {self.num_heads}.")
        if self.vae_ch % 32 or any(mult < 1 for mult in self.vae_ch_mult) or not self.vae_ch_mult:
            raise ValueError(f"--vae-ch is {self.vae_ch}; it must be a multiple of 32, with multipliers of 1 or more.")
        if self.batch_size % self.accumulate:
            raise ValueError(f"--batch-size {self.batch_size} is not a multiple of --accumulate {self.accumulate}.")
        if self.shift >= self.image_size:
            raise ValueError(f"--shift is {self.shift}; it must be below the image's side, {self.image_size}.")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"--precision is {self.precision}; it must be auto, float32 or bfloat16.")

    @property
    def image_size(self) -> int:
        """Pixels per side."""
        return self.patch_nums[-1] * 2 ** (len(self.vae_ch_mult) - 1)

    def vae_config(self) -> VQVAEConfig:
        """The tokenizer's architecture."""
        return VQVAEConfig(
            vocab_size=self.vocab_size,
            z_channels=self.z_channels,
            ch=self.vae_ch,
            ch_mult=self.vae_ch_mult,
            num_usage_rows=len(self.patch_nums),
        )

    def var_config(self, num_classes: int, vae_config: VQVAEConfig) -> VARConfig:
        """The transformer's architecture, for the tokens of one tokenizer."""
        return VARConfig(
            depth=self.depth,
            embed_dim=self.embed_dim,
            num_heads=self.num_heads,
            num_classes=num_classes,
            patch_nums=self.patch_nums,
            vocab_size=vae_config.vocab_size,
            z_channels=vae_config.z_channels,
            shared_adaln=self.shared_adaln,
        )


# May differ when a run resumes: they change how it runs; device and compile also round differently.
RESUMABLE_CHANGES = frozenset({"device", "workers", "save_minutes", "sample_every", "compile"})

_OFFICIAL_TOKENIZER: dict[str, Any] = {
    "vocab_size": 4096,
    "z_channels": 32,
    "vae_ch": 160,
    "vae_ch_mult": (1, 1, 2, 2, 4),
    "patch_nums": (1, 2, 3, 4, 5, 6, 8, 10, 13, 16),
    "tokenizer_lr": 1e-4,
    "random_crop": 1.125,
    "flip": True,
    "batch_size": 768,
    "final_lr": 0.1,
}


def _official(depth: int, **changes: Any) -> dict[str, Any]:
    """The reference's recipe for a depth: width 64·d, d heads, drop path 0.1·d/24, 1e-4 per 256 images."""
    settings = {**_OFFICIAL_TOKENIZER, **changes}
    settings.update(depth=depth, embed_dim=64 * depth, num_heads=depth, drop_path=0.1 * depth / 24)
    settings.update(lr=1e-4 * settings["batch_size"] / 256, epochs={16: 200, 20: 250, 24: 300}.get(depth, 350))
    return settings


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {},
    # some thousands of photographs, 96×96; close to the recipe of the model in the box
    "small": {
        "patch_nums": (1, 2, 3, 4, 6, 9, 12),
        "vocab_size": 1536,
        "vae_ch_mult": (1, 2, 3, 4),
        "shared_adaln": True,
        "shift": 2,
        "perceptual": 0.2,
        "adversarial": 0.6,
        "adversarial_start": 0.25,
        "tokenizer_ema": 0.998,
        "tokenizer_batch_size": 64,
        "batch_size": 256,
        "lr": 1.2e-3,
        "epochs": 70,
        "drop_path": 0.1,
        "context_noise": 0.2,
        "ema": 0.998,
        "validate_every": 5,
    },
    "d16": _official(16),
    "d20": _official(20),
    "d24": _official(24),
    "d30": _official(30, batch_size=1024),
    "d36": _official(36, patch_nums=(1, 2, 3, 4, 6, 9, 13, 18, 24, 32), shared_adaln=True),
}


def make_options(preset: str, **changes: Any) -> TrainingOptions:
    """Options of a preset with some of them changed.

    Args:
        preset: a key of `PRESETS`.
        changes: fields of `TrainingOptions`.

    Raises:
        TrainingError: there is no such preset.
        ValueError: a value is out of its range.
    """
    if preset not in PRESETS:
        raise TrainingError(f"There is no preset {preset!r}; there are {', '.join(PRESETS)}.")
    return TrainingOptions(**{**PRESETS[preset], **changes})
