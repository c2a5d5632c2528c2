"""A whole run in its folder: data, tokenizer, tokens, transformer, and the files that a user takes away.

In the folder: `log.jsonl`; `options.json` and `data.json`, what was asked and found; `tokenizer-last.pth`, to resume;
`tokenizer.pth`, the finished VQVAE; `tokens.pth`, made once; `ar-ckpt-last.pth`, a trainer checkpoint that is resumed
from, and `ar-ckpt-best.pth`; `model.pth`, the best without its optimizer and in float16; `samples/`; `curves.png`.
"""

import hashlib
import json
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.checkpoint import read_checkpoint
from ..checkpoints.folder import pair_problem
from ..checkpoints.load import build_vqvae
from ..device import choose_device, has_bfloat16, prepare_device
from ..errors import CheckpointError, TrainingError
from ..formats.atomic import write_atomically
from ..model.transformer import VAR
from ..model.vqvae import VQVAE
from .data import ImageData, center_crop, load_data, to_model_range
from .distributed import Processes, join_processes, leave_processes
from .loop import Hooks, count_steps_per_epoch, run_stage
from .options import RESUMABLE_CHANGES, TrainingOptions
from .report import Log, save_curves, save_grid, show
from .saving import load, plain_arguments, save, trainer_layout
from .tokenizer import TokenizerStage, initialize_vqvae
from .transformer import TransformerStage, initialize_var, make_tokens


def train(
    data_path: Path,
    folder: Path,
    options: TrainingOptions,
    *,
    preset: str = "tiny",
    tokenizer: Path | None = None,
) -> Path:
    """Train both stages, or go on where an earlier call in the same folder stopped.

    Args:
        data_path: images; see `load_data`.
        folder: of the run; made where it is not there.
        options: of the run; the same as before where it goes on, but for `RESUMABLE_CHANGES`.
        preset: name that the options came from, for the record.
        tokenizer: a checkpoint with a finished VQVAE to use instead of training one.

    Returns:
        The path of the finished model: the best weights in float16, without optimizer.

    Raises:
        FileNotFoundError: no data there.
        DataError: the data cannot be trained on.
        TrainingError: the options are not those of the run in the folder, or the loss is no longer finite.
        CheckpointError: `tokenizer` has no VQVAE that fits.
    """
    processes = join_processes(choose_device(None if options.device == "auto" else options.device).type)
    try:
        return Run(data_path, folder, options, preset, tokenizer, processes).finish()
    finally:
        leave_processes()


class Run:
    """One run; see `train`."""

    def __init__(
        self,
        data_path: Path,
        folder: Path,
        options: TrainingOptions,
        preset: str,
        tokenizer: Path | None,
        processes: Processes,
    ):
        self.folder, self.options, self.processes = folder, options, processes
        self.data_path, self.preset, self.given_tokenizer = data_path, preset, tokenizer
        self.device = training_device(options.device, processes)
        prepare_device(self.device)
        self.show = partial(show, enabled=processes.is_main)
        folder.mkdir(parents=True, exist_ok=True)
        self.autocast = self._recall_options()
        self.log = Log(folder / "log.jsonl", processes.is_main)

    def finish(self) -> Path:
        """Do all that is not yet done."""
        start = time.monotonic()
        data = self._data()
        self._recall_data(data)
        used = replace(self.options, precision="bfloat16" if self.autocast else "float32")
        self.args = plain_arguments(used, self.preset, data.class_names, self.data_path.name)
        vqvae = self._tokenizer(data)
        self._transformer(data, vqvae)
        if self.processes.is_main:
            save_curves(self.log, self.folder / "curves.png")
            self._say(f"Done in {(time.monotonic() - start) / 60:.1f} minutes: {self.folder / 'model.pth'}")
        self.processes.wait()
        return self.folder / "model.pth"

    def _say(self, text: str) -> None:
        if self.processes.is_main:
            print(text, file=sys.stderr, flush=True)

    def _recall_options(self) -> bool:
        """Check the options against an earlier start's, and decide the precision once for the whole run."""
        path = self.folder / "options.json"
        asked = json.loads(json.dumps(asdict(self.options)))
        if path.exists():
            earlier = json.loads(path.read_text(encoding="utf-8"))
            changed = sorted(key for key in asked if key not in RESUMABLE_CHANGES and earlier.get(key) != asked[key])
            if changed:
                was = ", ".join(f"--{key.replace('_', '-')} {earlier.get(key)}" for key in changed)
                raise TrainingError(
                    f"{self.folder} holds a run with {was}. Give the same to go on with it, or another --out."
                )
            return earlier["autocast"]
        autocast = self.options.precision == "bfloat16" or (
            self.options.precision == "auto" and bfloat16_is_faster(self.device)
        )
        # the processes' clocks may disagree; this waits, too: nobody writes before everybody has looked
        autocast = bool(self.processes.from_main(torch.tensor(int(autocast), device=self.device)).item())
        if self.processes.is_main:
            text = json.dumps({**asked, "autocast": autocast}, indent=1)
            write_atomically(path, lambda file: file.write(text.encode()))
        return autocast

    def _recall_data(self, data: ImageData) -> None:
        """Refuse to go on with other images, another tokenizer or another number of processes."""
        path = self.folder / "data.json"
        labels = b"|".join(split.labels.numpy().tobytes() for split in (data.train, data.val))
        found = {
            "classes": data.class_names,
            "images": f"{len(data.train)} and {len(data.val)}, {hashlib.sha256(labels).hexdigest()}",
            "tokenizer": str(self.given_tokenizer or ""),
            "processes": self.processes.count,
        }
        earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        self.processes.wait()  # nobody writes before everybody has looked
        if earlier not in (None, found):
            changed = ", ".join(key for key in found if earlier.get(key) != found[key])
            raise TrainingError(
                f"{self.folder} holds a run with other {changed}. Give the same to go on with it, or another --out."
            )
        if self.processes.is_main:
            write_atomically(path, lambda file: file.write(json.dumps(found).encode()))

    def _data(self) -> ImageData:
        options = self.options
        stored = round(options.image_size * options.random_crop)
        data = load_data(self.data_path, options.image_size, stored, options.val_fraction, options.workers, self.show)
        self._say(
            f"{self.data_path}: {len(data.train)} images to train on, {len(data.val)} held out, "
            f"{len(data.class_names)} classes; {self.device}, {'bfloat16' if self.autocast else 'float32'}"
        )
        for notice in data.notices:
            self._say(notice)
        return data

    def _tokenizer(self, data: ImageData) -> VQVAE:
        """The finished tokenizer: given, trained before, or trained now."""
        finished, last = self.folder / "tokenizer.pth", self.folder / "tokenizer-last.pth"
        if self.given_tokenizer is not None:
            checkpoint = read_checkpoint(self.given_tokenizer)
            vqvae = build_vqvae(checkpoint, self.device)
            if vqvae.config.downsampling * self.options.patch_nums[-1] != self.options.image_size:
                raise CheckpointError(
                    f"{self.given_tokenizer} makes {vqvae.config.downsampling} pixels a token; these options need "
                    f"{self.options.image_size // self.options.patch_nums[-1]}. Give --vae-ch-mult with as many "
                    "numbers as it has levels, and its --patch-nums."
                )
            problem = pair_problem(self.options.var_config(1, vqvae.config), vqvae.config)
            if problem:
                raise CheckpointError(f"{self.given_tokenizer}: {problem} Give the --patch-nums it was trained with.")
            return vqvae
        torch.manual_seed(self.options.seed)
        vqvae = VQVAE(self.options.vae_config())
        if not last.exists():
            first = torch.linspace(0, len(data.train) - 1, min(len(data.train), 64)).long()
            pixels = center_crop(data.train.images.batch(first), self.options.image_size)
            initialize_vqvae(vqvae, to_model_range(pixels))
        resume = load(last)
        stage = TokenizerStage(vqvae, self.options, data.train, data.val, self.processes)
        num_steps = count_steps_per_epoch(stage, self.processes) * stage.epochs
        if resume is None or resume["step"] < num_steps:
            vqvae.to(self.device, memory_format=torch.channels_last)

            def show_samples(model: VQVAE, epoch: int) -> None:
                images = stage.samples(model, self.device)
                save_grid(self.folder / "samples" / f"tokenizer-{epoch:04d}.png", images, columns=len(images) // 2)

            hooks = Hooks(
                save_last=lambda state: save(last, state),
                save_best=lambda state: save(finished, state["model"]),
                show_samples=show_samples,
            )
            self._run_stage(stage, hooks, resume)
        vqvae = VQVAE(self.options.vae_config())
        vqvae.load_state_dict(load(finished))
        return vqvae.to(self.device).eval().requires_grad_(False)

    def _tokens(self, data: ImageData, vqvae: VQVAE) -> dict[str, torch.Tensor]:
        """Tokens of both splits, made once; every process reads the main one's."""
        path = self.folder / "tokens.pth"
        if self.processes.is_main and not path.exists():
            tokens = {}
            for name, split in (("train", data.train), ("val", data.val)):
                size = min(64, self.options.tokenizer_batch_size)
                batches = torch.arange(len(split)).split(size) if len(split) else []
                shown = self.show(batches, f"tokens of {name} images")
                training = name == "train"
                tokens[name] = make_tokens(vqvae, split, self.options, self.device, training=training, batches=shown)
                tokens[f"{name}_labels"] = split.labels
            save(path, tokens)
        self.processes.wait()
        return load(path)

    def _transformer(self, data: ImageData, vqvae: VQVAE) -> None:
        last, best = self.folder / "ar-ckpt-last.pth", self.folder / "ar-ckpt-best.pth"
        tokens = self._tokens(data, vqvae)
        config = self.options.var_config(len(data.class_names), vqvae.config)
        torch.manual_seed(self.options.seed + 1)
        model = VAR(config, self.options.drop_path)
        initialize_var(model)
        model.to(self.device)
        stage = TransformerStage(
            model,
            vqvae,
            self.options,
            (tokens["train"], tokens["train_labels"]),
            (tokens["val"], tokens["val_labels"]),
            self.processes,
        )
        saved = load(last)
        resume = None
        if saved is not None:
            resume = {
                "step": saved["epoch"] * count_steps_per_epoch(stage, self.processes) + saved["iter"],
                "model": saved["trainer"]["var_wo_ddp"],
                "ema": saved["trainer"].get("var_ema"),
                "optimizer": saved["trainer"]["var_opt"]["optimizer"],
            }

        def layout(state: dict[str, Any], with_optimizer: bool) -> dict[str, Any]:
            epoch, iteration = divmod(state["step"], count_steps_per_epoch(stage, self.processes))
            content = trainer_layout(
                epoch=epoch,
                iteration=iteration,
                var_config=config,
                var_state=state["model"],
                vae_state=vqvae.state_dict(),
                args=self.args,
                optimizer=state["optimizer"] if with_optimizer else None,
            )
            if with_optimizer and state["ema"] is not None:  # only a resume needs both
                content["trainer"]["var_ema"] = state["ema"]
            return content

        def save_best(state: dict[str, Any]) -> None:
            save(best, layout({**state, "ema": None}, with_optimizer=True))
            save(self.folder / "model.pth", in_half_precision(layout(state, with_optimizer=False)))

        def show_samples(model: VAR, epoch: int) -> None:
            save_grid(self.folder / "samples" / f"transformer-{epoch:04d}.png", stage.samples(model), columns=8)

        hooks = Hooks(
            save_last=lambda state: save(last, layout(state, with_optimizer=True)),
            save_best=save_best,
            show_samples=show_samples,
        )
        self._run_stage(stage, hooks, resume)

    def _run_stage(self, stage: Any, hooks: Hooks, resume: dict[str, Any] | None) -> None:
        if resume is not None:
            self._say(f"Going on with the {stage.name} at step {resume['step']}.")
        run_stage(stage, self.options, self.device, self.autocast, self.processes, self.log, hooks, resume)


def in_half_precision(content: Any) -> Any:
    """A nested dict whose floating-point tensors are float16, as samples need them no finer."""
    if isinstance(content, torch.Tensor):
        return content.half() if content.is_floating_point() else content
    if isinstance(content, dict):
        return type(content)((key, in_half_precision(value)) for key, value in content.items())
    return content


def training_device(name: str, processes: Processes) -> torch.device:
    """The device of this process: the one named, or the best there is.

    Raises:
        ValueError: the machine has no such device.
    """
    device = choose_device(None if name == "auto" else name)
    return torch.device("cuda", processes.local_rank) if device == torch.device("cuda") else device


def bfloat16_is_faster(device: torch.device) -> bool:
    """Whether a matrix product of bfloat16 beats float32 clearly on this device."""
    if device.type == "cuda":
        return has_bfloat16(device)
    if device.type != "cpu":
        return False
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(512, 512, dtype=dtype)
        for _ in range(3):
            start = time.perf_counter()
            torch.nn.functional.linear(a, a)
            seconds[dtype] = min(seconds.get(dtype, float("inf")), time.perf_counter() - start)
    return seconds[torch.bfloat16] < 0.7 * seconds[torch.float32]
