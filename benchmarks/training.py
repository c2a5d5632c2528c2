"""How long a step of either stage of training takes, beside its operations at the machine's measured peaks."""

import statistics
import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from var.cli.bench import precision_name
from var.cli.bench_limits import measure_peaks
from var.device import synchronize
from var.model.transformer import VAR
from var.model.vqvae import VQVAE
from var.training.data import PackedImages, Split
from var.training.distributed import Processes
from var.training.loop import Stage, make_optimizer
from var.training.options import TrainingOptions
from var.training.run import bfloat16_is_faster
from var.training.tokenizer import TokenizerStage
from var.training.transformer import TokenSet, TransformerStage

NUM_CLASSES = 10


def rows(device: torch.device, _depth: int, runs: int) -> list[dict[str, Any]]:
    """What `var bench --all` says of training, with the sizes and the precision that `train` takes by itself."""
    dtype = torch.bfloat16 if bfloat16_is_faster(device) else torch.float32
    peaks = measure_peaks(device, dtype, dtype)
    found = []
    for stage in make_stages(TrainingOptions(), device):
        with FlopCounterMode(display=False) as counter:
            step(stage, device, dtype)
        counts = {str(kind): count for kind, count in counter.get_flop_counts()["Global"].items()}
        convolutions = sum(count for kind, count in counts.items() if "convolution" in kind)
        least = convolutions / peaks.convolutions + (sum(counts.values()) - convolutions) / peaks.products
        optimizer = make_optimizer(stage)
        seconds = []
        for _ in range(runs + 1):
            start = time.perf_counter()
            step(stage, device, dtype)
            optimizer.step()
            synchronize(device)
            seconds.append(time.perf_counter() - start)
        middle = statistics.median(seconds[1:])
        found.append(
            {
                "what": f"step of the {stage.name}, {stage.batch_size} images",
                "precision": precision_name(dtype),
                "seconds": round(middle, 4),
                "images_per_second": round(stage.batch_size / middle, 2),
                "share_of_limit": round(least / middle, 4),
            }
        )
    return found


def make_stages(options: TrainingOptions, device: torch.device) -> list[Stage]:
    """Both stages on noise for images; what images show changes no time."""
    torch.manual_seed(0)
    number, size = max(options.tokenizer_batch_size, options.batch_size), options.image_size
    labels = torch.randint(NUM_CLASSES, (number,))
    split = Split(PackedImages(torch.randint(256, (number, 3, size, size), dtype=torch.uint8)), labels)
    vqvae = VQVAE(options.vae_config()).to(device, memory_format=torch.channels_last)
    config = options.var_config(NUM_CLASSES, vqvae.config)
    tokens = TokenSet(torch.randint(config.vocab_size, (number, 1, config.num_tokens)).short(), labels)
    tokenizer = TokenizerStage(vqvae.train(), options, split, split, Processes(), going_on=True)
    frozen = VQVAE(options.vae_config()).to(device).eval().requires_grad_(False)
    model = VAR(config).to(device).train()
    return [tokenizer, TransformerStage(model, frozen, options, tokens, tokens, Processes())]


def step(stage: Stage, device: torch.device, dtype: torch.dtype) -> None:
    """The loss of a batch and its gradients."""
    generator = torch.Generator().manual_seed(0)
    inputs = stage.batch(torch.arange(stage.batch_size), 0.5, generator, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        outputs = stage.objective(*inputs)
    stage.model.zero_grad(set_to_none=True)
    outputs.loss.backward()
