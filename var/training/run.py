"""A whole run in its folder: data, tokenizer, tokens, transformer, and the files that a user takes away.

In the folder: `log.jsonl`; `options.json` and `data.json`, what was asked and found; `tokenizer-last.pth`, to resume;
`tokenizer.pth`, the finished VQVAE; `tokens.pth`, made once; `ar-ckpt-last.pth`, a trainer checkpoint that is resumed
from, and `ar-ckpt-best.pth`; `model.pth`, the best without its optimizer and in float16; `samples/`; `curves.png`.
"""

import hashlib
import json
import signal
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.box import BOXED_MODEL, default_folder
from ..checkpoints.checkpoint import read_checkpoint
from ..checkpoints.fit import pair_problem
from ..checkpoints.load import build_vqvae
from ..device import choose_device, has_bfloat16, is_faster_on_cpu, prepare_device
from ..errors import CheckpointError, TrainingError
from ..formats.atomic import remove_leftovers, write_atomically
from ..model.transformer import VAR
from ..model.vqvae import VQVAE
from ..text import clean_name, one_line
from .data import ImageData, Split, center_crop, prepare, to_model_range
from .distributed import Processes, join_processes, leave_processes
from .initial import check_start, start_from
from .interruption import Interruption
from .loading import load_data
from .loop import LOG_EVERY, Hooks, StageRun, count_steps_per_epoch
from .options import RESUMABLE_CHANGES, TrainingOptions
from .report import Log, progress_bar, save_curves, save_grid, show
from .saving import load, plain_arguments, save, trainer_layout
from .tokenizer import TokenizerStage, initialize_vqvae
from .transformer import TokenSet, TransformerStage, initialize_var, make_tokens

TOKEN_BATCHES = 8  # whose tokens are saved together
FEW_IMAGES = 500  # below, a tokenizer that has seen others is better
NUM_SAMPLES = 32  # of a sample grid


def train(
    data_path: Path,
    folder: Path,
    options: TrainingOptions,
    *,
    preset: str = "tiny",
    tokenizer: Path | None = None,
    init: Path | None = None,
    init_tokenizer: Path | None = None,
) -> Path:
    """Train both stages, or go on where an earlier call in the same folder stopped.

    Args:
        data_path: images; see `load_data`.
        folder: of the run; made where it is not there.
        options: of the run; the same as before where it goes on, but for `RESUMABLE_CHANGES`, and for more epochs.
        preset: name that the options came from, for the record.
        tokenizer: a checkpoint with a finished VQVAE to use instead of training one.
        init: a checkpoint whose transformer is started from, and whose VQVAE is used where `tokenizer` is None; the
            sizes in `options` are its own.
        init_tokenizer: a checkpoint whose VQVAE the tokenizer is trained on from; the sizes in `options` are its own.

    Returns:
        The path of the finished model: the best weights in float16, without optimizer.

    Raises:
        FileNotFoundError: no data there.
        DataError: the data cannot be trained on.
        TrainingError: the options are not those of the run in the folder, or the loss is no longer finite.
        CheckpointError: `tokenizer` has no VQVAE, or `init` no transformer, that fits.
        KeyboardInterrupt: Ctrl+C; the state was saved, unless it was pressed twice.
        SystemExit: the same after SIGTERM.
    """
    processes = join_processes(choose_device(None if options.device == "auto" else options.device).type)
    try:
        return TrainingRun(data_path, folder, options, preset, tokenizer, init, init_tokenizer, processes).finish()
    finally:
        leave_processes()


class TrainingRun:
    """One run; see `train`."""

    def __init__(
        self,
        data_path: Path,
        folder: Path,
        options: TrainingOptions,
        preset: str,
        tokenizer: Path | None,
        init: Path | None,
        init_tokenizer: Path | None,
        processes: Processes,
    ):
        self.folder, self.options, self.processes = folder, options, processes
        self.data_path, self.preset = data_path, preset
        self.given_tokenizer, self.init, self.init_tokenizer = tokenizer or init, init, init_tokenizer
        self.device = training_device(options.device, processes)
        prepare_device(self.device)
        self.show = partial(show, enabled=processes.is_main)
        folder.mkdir(parents=True, exist_ok=True)
        if processes.is_main:
            remove_leftovers(folder)
            remove_leftovers(folder / "samples")
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
        if self.init is not None:  # before the tokens, which take long
            check_start(read_checkpoint(self.init), self.init, self.options.var_config(1, vqvae.config))
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
            longer = {key for key in ("epochs", "tokenizer_epochs") if asked[key] > earlier[key]}
            kept = RESUMABLE_CHANGES | longer
            changed = sorted(key for key in asked if key not in kept and earlier.get(key) != asked[key])
            if changed:
                was = ", ".join(f"--{key.replace('_', '-')} {earlier.get(key)}" for key in changed)
                raise TrainingError(
                    f"{self.folder} holds a run with {was}. Give the same to go on with it, or another --out."
                )
            if "tokenizer_epochs" in longer and any(self.folder.glob("tokens*")):
                raise TrainingError(
                    f"{self.folder} has made its tokens, with --tokenizer-epochs {earlier['tokenizer_epochs']}; the "
                    "tokenizer cannot be trained on. Give the same, or another --out."
                )
            self.processes.wait()  # nobody writes before everybody has looked
            if longer and self.processes.is_main:
                self._write_options({**earlier, **{key: asked[key] for key in longer}})
            self._say(f"{self.folder} holds this run: going on with what it has.")
            return earlier["autocast"]
        autocast = self.options.precision == "bfloat16" or (
            self.options.precision == "auto" and bfloat16_is_faster(self.device)
        )
        # the processes' clocks may disagree; this waits, too: nobody writes before everybody has looked
        autocast = bool(self.processes.from_main(torch.tensor(int(autocast), device=self.device)).item())
        if self.processes.is_main:
            self._write_options({**asked, "autocast": autocast})
        return autocast

    def _write_options(self, values: dict[str, Any]) -> None:
        text = json.dumps(values, indent=1)
        write_atomically(self.folder / "options.json", lambda file: file.write(text.encode()))

    def _recall_data(self, data: ImageData) -> None:
        """Refuse to go on with other images, another tokenizer or another number of processes."""
        path = self.folder / "data.json"
        labels = b"|".join(split.labels.numpy().tobytes() for split in (data.train, data.val))
        found = {
            "classes": data.class_names,
            "images": f"{len(data.train)} and {len(data.val)}, {hashlib.sha256(labels).hexdigest()}",
            "tokenizer": str(self.given_tokenizer or ""),
            "init": str(self.init or ""),
            "init_tokenizer": str(self.init_tokenizer or ""),
            "processes": self.processes.count,
        }
        earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else found
        self.processes.wait()  # nobody writes before everybody has looked
        changed = ", ".join(key for key in found if earlier.get(key, "") != found[key])
        if changed:
            raise TrainingError(
                f"{self.folder} holds a run with other {changed}. Give the same to go on with it, or another --out."
            )
        if self.processes.is_main:
            write_atomically(path, lambda file: file.write(json.dumps(found).encode()))

    def _data(self) -> ImageData:
        options = self.options
        stored = round(options.image_size * options.random_crop)
        data = load_data(self.data_path, options.image_size, stored, options.val_fraction, options.workers, self.show)
        data = prepare(data, options.shift, self.device)
        self._say(
            f"{self.data_path}: {len(data.train)} images to train on, {len(data.val)} held out, "
            f"{len(data.class_names)} classes; {self.device}, {'bfloat16' if self.autocast else 'float32'}"
        )
        for notice in data.notices:
            self._say(one_line(notice))
        return data

    def _tokenizer(self, data: ImageData) -> VQVAE:
        """The finished tokenizer: given, trained before, or trained now."""
        finished, last = self.folder / "tokenizer.pth", self.folder / "tokenizer-last.pth"
        if self.given_tokenizer is not None:
            checkpoint = read_checkpoint(self.given_tokenizer)
            if checkpoint.vae_config is None:
                more = f"; give its VQVAE's file as --tokenizer beside --init {self.init}" if self.init else ""
                raise CheckpointError(f"{self.given_tokenizer} has no VQVAE to use as the tokenizer{more}.")
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
        if self.init_tokenizer is not None:
            checkpoint = read_checkpoint(self.init_tokenizer)
            if checkpoint.vae_config != vqvae.config:
                has = (
                    "no VQVAE" if checkpoint.vae_config is None else f"a VQVAE of other sizes, {checkpoint.vae_config}"
                )
                raise CheckpointError(f"{self.init_tokenizer} has {has}; --init-tokenizer needs {vqvae.config}.")
            vqvae.load_state_dict(build_vqvae(checkpoint, "cpu").state_dict())
        elif not last.exists():
            first = torch.linspace(0, len(data.train) - 1, min(len(data.train), 64)).long()
            pixels = center_crop(data.train.images.batch(first), self.options.image_size)
            initialize_vqvae(vqvae, to_model_range(pixels.cpu()))
        resume = load(last)
        vqvae.to(self.device, memory_format=torch.channels_last)
        going_on = self.init_tokenizer is not None
        stage = TokenizerStage(vqvae, self.options, data.train, data.val, self.processes, going_on)
        num_steps = count_steps_per_epoch(stage, self.processes) * stage.epochs
        if resume is None or resume["step"] < num_steps:
            self._propose_tokenizer(data)

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

    def _tokens(self, data: ImageData, vqvae: VQVAE) -> tuple[TokenSet, TokenSet]:
        """Tokens of both splits, made once; every process reads the main one's."""
        path = self.folder / "tokens.pth"
        if self.processes.is_main and not path.exists():
            save(path, {name: self._make_tokens(vqvae, getattr(data, name), name) for name in ("train", "val")})
        if self.processes.is_main:
            for part in self.folder.glob("tokens-*.part"):
                part.unlink()
        self.processes.wait()
        kept = load(path)
        return TokenSet(**kept["train"]), TokenSet(**kept["val"])

    def _make_tokens(self, vqvae: VQVAE, split: Split, name: str) -> dict[str, torch.Tensor | None]:
        """Tokens of a split, saved part by part: what was made before an interruption is not made again."""
        batches = torch.arange(len(split)).split(min(64, self.options.tokenizer_batch_size)) if len(split) else []
        shown = iter(self.show(batches, f"tokens of {name} images"))
        parts = []
        for first in range(0, max(1, len(batches)), TOKEN_BATCHES):
            path, some_batches = self.folder / f"tokens-{name}-{first}.part", islice(shown, TOKEN_BATCHES)
            part = load(path)
            if part is None:
                found = make_tokens(
                    vqvae, split, self.options, self.device, training=name == "train", batches=some_batches, first=first
                )
                part = {"tokens": found.tokens, "labels": found.labels, "latents": found.latents}
                save(path, part)
            list(some_batches)  # those of a part that was there
            parts.append(part)
        joined = {key: [part[key] for part in parts] for key in parts[0]}
        return {key: None if values[0] is None else torch.cat(values) for key, values in joined.items()}

    def _transformer(self, data: ImageData, vqvae: VQVAE) -> None:
        last, best = self.folder / "ar-ckpt-last.pth", self.folder / "ar-ckpt-best.pth"
        train, val = self._tokens(data, vqvae)
        config = self.options.var_config(len(data.class_names), vqvae.config)
        torch.manual_seed(self.options.seed + 1)
        model = VAR(config, self.options.drop_path)
        initialize_var(model)
        saved = load(last)
        if self.init is not None and saved is None:
            self._say(one_line(start_from(model, read_checkpoint(self.init), self.init, data.class_names)))
        model.to(self.device)
        stage = TransformerStage(model, vqvae, self.options, train, val, self.processes)
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
            labels = torch.linspace(0, len(data.class_names) - 1, NUM_SAMPLES).round().long().tolist()
            captions = [clean_name(data.class_names[label]) for label in labels]
            path = self.folder / "samples" / f"transformer-{epoch:04d}.png"
            save_grid(path, stage.samples(model, labels), columns=8, captions=captions)

        hooks = Hooks(
            save_last=lambda state: save(last, layout(state, with_optimizer=True)),
            save_best=save_best,
            show_samples=show_samples,
        )
        self._run_stage(stage, hooks, resume)

    def _run_stage(self, stage: Any, hooks: Hooks, resume: dict[str, Any] | None) -> None:
        """Train a stage to its end, or to Ctrl+C."""
        steps_per_epoch = count_steps_per_epoch(stage, self.processes)

        def place(step: int) -> str:
            epoch = min(step // steps_per_epoch + 1, stage.epochs)
            return f"step {step} of {steps_per_epoch * stage.epochs} (epoch {epoch} of {stage.epochs})"

        if resume is not None and resume["step"] >= steps_per_epoch * stage.epochs:
            self._say(f"The {stage.name} has had its {stage.epochs} epochs; more of them (--epochs) go on from there.")
        elif resume is not None:
            self._say(f"Going on with the {stage.name} at {place(resume['step'])}.")
        saved_at = resume["step"] if resume is not None else 0

        def save_last(state: dict[str, Any]) -> None:
            nonlocal saved_at
            hooks.save_last(state)
            saved_at = state["step"]

        notice = f"Ctrl+C: stopping after at most {LOG_EVERY} more steps, to save. Once more stops at once."
        with Interruption(notice if self.processes.is_main else "", patient=self.processes.count > 1) as interruption:
            watched = replace(hooks, save_last=save_last, asked_to_stop=interruption.is_set)
            try:
                with progress_bar(stage.name, self.processes.is_main) as bar:  # gone when an error has its say
                    StageRun(
                        stage, self.options, self.device, self.autocast, self.processes, self.log, watched, bar
                    ).run(resume)
                if interruption.is_set() and self.processes.count == 1:  # after the last step
                    raise KeyboardInterrupt
            except KeyboardInterrupt:
                what = f"is saved at {place(saved_at)}" if saved_at else "has nothing saved yet"
                self._say(f"Stopped. The {stage.name} {what}.")
                if interruption.number == signal.SIGTERM:
                    raise SystemExit(interruption.exit_code()) from None
                raise

    def _propose_tokenizer(self, data: ImageData) -> None:
        """Say that few images make no good tokenizer, where there is one at hand that has seen more."""
        boxed = default_folder() / BOXED_MODEL
        if len(data.train) < FEW_IMAGES and boxed.exists():
            here = boxed.relative_to(Path.cwd()) if boxed.is_relative_to(Path.cwd()) else boxed
            self._say(
                f"\n{len(data.train)} images are few for a tokenizer: its reconstructions, and so all samples, will be "
                "blurred.\nThe tokenizer of the model in the box has seen thousands. Its pictures are clearer, in less "
                f"time; Ctrl+C, then in another --out:\n    --tokenizer {here}\n"
            )


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
    """Whether products of bfloat16 are clearly faster than those of float32 on this device."""
    if device.type == "cuda":
        return has_bfloat16(device)
    return device.type == "cpu" and is_faster_on_cpu(torch.bfloat16)
