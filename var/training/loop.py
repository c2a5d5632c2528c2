"""The loop that both stages share: steps, learning rate, logging, validation, saves, and going on after a kill.

Every draw of a step comes from the run's seed and the step's number, and a save is made only between logged windows:
so a run that was killed computes and logs, from its last save on, the very numbers of one that was not.
"""

import copy
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..errors import TrainingError
from .distributed import Processes
from .options import TrainingOptions
from .report import Log

LOG_EVERY = 10


class Stage(Protocol):
    """What the loop needs to know of a stage; see `TokenizerStage` and `TransformerStage`."""

    name: str
    best_key: str | None  # None: the newest is the best
    best_is_larger: bool
    model: nn.Module
    beside: nn.Module | None  # trained beside the model, and kept for a resume alone
    beside_betas: tuple[float, float]
    objective: nn.Module
    compiled_parts: tuple[type[nn.Module], ...]
    train: Any
    epochs: int
    batch_size: int
    lr: float
    betas: tuple[float, float]
    weight_decay: float
    ema: float

    def decays(self, name: str, parameter: Tensor) -> bool: ...

    def batch(
        self, indices: Tensor, progress: float, generator: torch.Generator, device: torch.device
    ) -> tuple[Any, ...]: ...

    def measure(self, outputs: Any) -> dict[str, Tensor]: ...

    def summarize(self, means: dict[str, float]) -> dict[str, float]: ...

    def after_step(
        self, step: int, num_steps: int, outputs: Sequence[Any], optimizer: torch.optim.Optimizer, seed: int
    ) -> None: ...

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]: ...


@dataclass(frozen=True)
class Hooks:
    """What happens to a stage's results; called in the main process alone.

    Args:
        save_last: keeps all that a resume needs.
        save_best: keeps the weights that just proved best.
        show_samples: makes a picture of the state, given the epoch.
        asked_to_stop: whether the stage should end early; asked in every process, after each logged window.
    """

    save_last: Callable[[dict[str, Any]], None]
    save_best: Callable[[dict[str, Any]], None]
    show_samples: Callable[[nn.Module, int], None]
    asked_to_stop: Callable[[], bool] = lambda: False


def step_seed(seed: int, stage: str, *numbers: int) -> int:
    """A seed for one purpose: the same in every run, another for each stage, step and process."""
    value = seed * 2 + (stage == "tokenizer")
    for number in numbers:
        value = (value * 6364136223846793005 + number + 1442695040888963407) % 2**63
    return value


def learning_rate(step: int, num_steps: int, peak: float, warmup: float, final: float) -> float:
    """The rate of a step: a linear rise, then half a cosine down to `final` times the peak."""
    rising = max(1, round(warmup * num_steps))
    if step < rising:
        return peak * (step + 1) / rising
    share = (step - rising) / max(1, num_steps - rising)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share)))


def make_optimizer(stage: Stage) -> torch.optim.AdamW:
    """AdamW with weight decay on those parameters alone that the stage names."""
    named = [(name, parameter) for name, parameter in stage.model.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for name, p in named if stage.decays(name, p)], "weight_decay": stage.weight_decay},
        {"params": [p for name, p in named if not stage.decays(name, p)], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=stage.lr, betas=stage.betas, fused=True)


def epoch_order(num_items: int, seed: int, stage: str, epoch: int) -> Tensor:
    """The order in which an epoch passes over the items."""
    generator = torch.Generator().manual_seed(step_seed(seed, stage, epoch))
    return torch.randperm(num_items, generator=generator)


class StageRun:
    """A stage that is being trained.

    Args:
        stage: its model is changed in place.
        options: of the run.
        device: where the model is.
        autocast: compute in bfloat16.
        processes: of the run.
        log: of the run.
        hooks: what to do with results.
        bar: shows the images that were seen.
    """

    def __init__(
        self,
        stage: Stage,
        options: TrainingOptions,
        device: torch.device,
        autocast: bool,
        processes: Processes,
        log: Log,
        hooks: Hooks,
        bar: tqdm,
    ) -> None:
        self._stage, self._options, self._device, self._autocast = stage, options, device, autocast
        self._processes, self._log, self._hooks, self._bar = processes, log, hooks, bar
        self._optimizers = {"optimizer": make_optimizer(stage)}  # of the model, and of what is trained beside it
        if stage.beside is not None:
            self._optimizers["beside_optimizer"] = torch.optim.AdamW(
                stage.beside.parameters(), betas=stage.beside_betas, weight_decay=0.0, fused=True
            )
        self._average = copy.deepcopy(stage.model).eval().requires_grad_(False) if stage.ema else None
        self._step = 0
        self._batch_size = actual_batch_size(stage, processes)
        self._steps_per_epoch = count_steps_per_epoch(stage, processes)
        self._num_steps = self._steps_per_epoch * stage.epochs
        self._order = torch.empty(0)  # in which this epoch passes over the items
        self._sums: dict[str, Tensor] = {}  # of what is measured, since the last line of the log
        self._window = 0  # steps since then
        self._best: float | None = None

    def run(self, resume: dict[str, Any] | None) -> None:
        """Train to the end, from what `state` returned of an earlier start; None to begin.

        Raises:
            TrainingError: the loss is no longer finite.
            KeyboardInterrupt: `hooks` asked to stop; the state was saved.
        """
        stage, options, processes, bar = self._stage, self._options, self._processes, self._bar
        if resume is not None:
            self._resume(resume)
        self._log.cut(stage.name, self._step)
        self._best = best_so_far(stage, self._log)
        if options.compile:
            compile_parts(stage, self._device)
        objective = processes.wrap(stage.objective)
        stage.model.train()
        last_save, stopping = time.monotonic(), False
        bar.reset(self._num_steps * self._batch_size)
        bar.initial = bar.n = self._step * self._batch_size
        bar.refresh()
        while self._step < self._num_steps:
            epoch = self._step // self._steps_per_epoch
            rate, norm = self._take_step(objective)
            epoch_ends = self._step % self._steps_per_epoch == 0
            if self._window == LOG_EVERY or epoch_ends:
                stopping = self._log_window(epoch, rate, norm)
            if epoch_ends and ((epoch + 1) % options.validate_every == 0 or epoch + 1 == stage.epochs):
                self._end_epoch(epoch)
            due = self._window == 0 and time.monotonic() - last_save > 60 * options.save_minutes
            if processes.is_main and (due or stopping or self._step == self._num_steps):
                self._hooks.save_last(self.state())
                last_save = time.monotonic()
            if stopping:
                processes.wait()
                raise KeyboardInterrupt
        processes.wait()

    def state(self) -> dict[str, Any]:
        """Return all that a resume needs."""
        models = {"model": self._stage.model, "ema": self._average, "beside": self._stage.beside}
        optimizers = {"beside_optimizer": None, **self._optimizers}
        state = {name: None if part is None else part.state_dict() for name, part in (models | optimizers).items()}
        return state | {"step": self._step}

    def _resume(self, kept: dict[str, Any]) -> None:
        self._step = kept["step"]
        for name, model in (("model", self._stage.model), ("ema", self._average), ("beside", self._stage.beside)):
            if model is not None:
                model.load_state_dict(kept[name])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(kept[name])

    def _take_step(self, objective: nn.Module) -> tuple[float, Tensor]:
        """Learn from the next images; returns the learning rate, and the gradients' norm before it is clipped."""
        stage, options, processes, step = self._stage, self._options, self._processes, self._step
        epoch, place = divmod(step, self._steps_per_epoch)
        if place == 0 or not len(self._order):
            self._order = epoch_order(len(stage.train), options.seed, stage.name, epoch)
        places = slice(place * self._batch_size, (place + 1) * self._batch_size)
        share = self._order[places][processes.rank :: processes.count]
        seed = step_seed(options.seed, stage.name, stage.epochs + step, processes.rank)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        rate = learning_rate(step, self._num_steps, stage.lr, options.warmup, options.final_lr)
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        said = self._backward(objective, share, generator)
        norms = []
        for optimizer, model in zip(self._optimizers.values(), (stage.model, stage.beside), strict=False):
            norms.append(nn.utils.clip_grad_norm_(model.parameters(), options.clip or math.inf))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self._average is not None:
            update_average(self._average, stage.model, min(stage.ema, (step + 1) / (step + 10)))
        drawn = step_seed(options.seed, stage.name, step, 7)
        stage.after_step(step, self._num_steps, said, self._optimizers["optimizer"], drawn)
        self._step += 1
        self._window += 1
        self._bar.update(self._batch_size)
        return rate, norms[0]

    def _backward(self, objective: nn.Module, share: Tensor, generator: torch.Generator) -> list[Any]:
        """Compute the gradients of a process's share of a batch, in as many parts as are accumulated.

        Args:
            objective: of the stage, in all processes.
            share: indices of the images.
            generator: of what is drawn for them.

        Returns:
            What the objective gave for each part.
        """
        stage, processes = self._stage, self._processes
        part_size = max(1, self._batch_size // processes.count // self._options.accumulate)
        parts, said = share.split(part_size), []
        for number, part in enumerate(parts):
            waiting = processes.count > 1 and number < len(parts) - 1
            with objective.no_sync() if waiting else nullcontext():
                inputs = stage.batch(part, self._step / self._num_steps, generator, self._device)
                with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
                    outputs = objective(*inputs)
                (outputs.loss * (len(part) / len(share))).backward()
            said.append(replace(outputs, loss=outputs.loss.detach()))
            for name, value in stage.measure(outputs).items():
                self._sums[name] = self._sums.get(name, 0) + value * (len(part) / len(share))
        return said

    def _log_window(self, epoch: int, rate: float, norm: Tensor) -> bool:
        """Log the means of the last steps; returns whether the stage is asked to stop.

        Raises:
            TrainingError: one of them is not finite.
        """
        stage, processes, step = self._stage, self._processes, self._step
        values = torch.stack([*self._sums.values()]).float() / self._window
        asked = values.new_tensor([self._hooks.asked_to_stop()])  # of all processes: all stop at one step, or none does
        *summed, stopping = (processes.sum(torch.cat((values, asked))) / processes.count).tolist()
        means = dict(zip(self._sums, summed, strict=True))
        if not all(math.isfinite(value) for value in (*means.values(), norm.item())):
            raise TrainingError(
                f"The {stage.name}'s loss is no longer finite at step {step}: try a lower learning rate in another "
                "--out (a finished tokenizer.pth can be given as --tokenizer)."
            )
        summary = stage.summarize(means)
        self._log.add(stage.name, step, epoch=epoch, lr=rate, grad_norm=norm.item(), **summary)
        self._bar.set_postfix({name: f"{value:.3f}" for name, value in summary.items()}, refresh=False)
        self._sums, self._window = {}, 0
        return stopping > 0

    def _end_epoch(self, epoch: int) -> None:
        """Validate, keep the weights where they are the best so far, and show samples."""
        stage, options, processes = self._stage, self._options, self._processes
        shown = self._average if self._average is not None else stage.model.eval()
        with torch.compiler.set_stance("force_eager"):  # other shapes, and no gradients: not worth compiling for
            measured = stage.validate(shown, self._device)
        if measured:
            self._log.add(stage.name, self._step, epoch=epoch, **measured)
            if processes.is_main:
                words = f"{stage.name}, epoch {epoch + 1} of {stage.epochs}: {describe(measured)}"
                self._bar.write(words, sys.stderr)
        # without held-out images the newest is as good as any
        value = measured.get(stage.best_key) if stage.best_key else None
        better = value is None or (
            math.isfinite(value) and (self._best is None or (value > self._best) == stage.best_is_larger)
        )
        if better:
            self._best = value
        if processes.is_main:
            if better:
                self._hooks.save_best({**self.state(), "model": shown.state_dict()})
            if (epoch + 1) % options.sample_every == 0 or epoch + 1 == stage.epochs:
                with torch.compiler.set_stance("force_eager"):
                    self._hooks.show_samples(shown, epoch + 1)
        stage.model.train()


def compile_parts(stage: Stage, device: torch.device) -> None:
    """Compile the parts that repeat, each by itself.

    It starts sooner than the whole as one graph, since equal parts share their code; and it is right: of the whole
    VQVAE, torch 2.13 compiles a backward pass on the CPU whose gradients are zero before the last upsampling.
    """
    torch._dynamo.config.cache_size_limit = 64  # one entry for each width of a part; the default is 8
    for module in stage.model.modules():
        if isinstance(module, stage.compiled_parts):
            # a GPU's kernels for fixed shapes are faster, and quick to make; the CPU's take long to compile
            module.compile(dynamic=False if device.type == "cuda" else None)


def actual_batch_size(stage: Stage, processes: Processes) -> int:
    """Images a step: as asked, or as many as there are, a whole number for each process."""
    size = min(stage.batch_size, len(stage.train)) // processes.count * processes.count
    if not size:
        raise TrainingError(
            f"The {stage.name} has {min(stage.batch_size, len(stage.train))} images a step for {processes.count} "
            "processes; use fewer processes, or a larger batch."
        )
    return size


def count_steps_per_epoch(stage: Stage, processes: Processes) -> int:
    """Whole batches in one pass over the data; what is left over has its turn in another epoch's order."""
    return len(stage.train) // actual_batch_size(stage, processes)


def best_so_far(stage: Stage, log: Log) -> float | None:
    """The best of the stage's measure that was logged; None where there is none."""
    lines = [line for line in log.lines() if line["stage"] == stage.name]
    values = [line[stage.best_key] for line in lines if stage.best_key in line]
    return None if not values else max(values) if stage.best_is_larger else min(values)


def describe(values: dict[str, float]) -> str:
    """Measures as text."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights a little towards the model's."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
    buffers = list(average.buffers())
    if buffers:
        torch._foreach_copy_(buffers, list(model.buffers()))
