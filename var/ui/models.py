"""The one model in memory, shared by every session of the server."""

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..build import check
from ..checkpoint import read_checkpoint
from ..device import describe, free_memory, is_out_of_memory
from ..errors import CheckpointError
from ..library import find_vqvae
from ..pipeline import VARPipeline

Value = TypeVar("Value")


@dataclass(frozen=True)
class Description:
    """What the page says of a checkpoint that loads.

    Args:
        summary: layout, depth, parameters, classes, image size and epoch, in one line.
        class_names: one name a class.
        vocab_size: size of the token vocabulary; top-k goes no higher.
        image_size: pixels per side.
        placement: device and precision, such as "CPU, float32".
        vae_file: name of the file that the VQVAE was taken from; None when the checkpoint carries its own.
    """

    summary: str
    class_names: tuple[str, ...]
    vocab_size: int
    image_size: int
    placement: str
    vae_file: str | None


class ModelHolder:
    """Loads checkpoints on demand and keeps the last one; the old model is freed before the new one comes.

    All that computes runs in one thread. The server hands each request, and each step of one, to any of its threads; on
    the CPU every thread that computes brings workers of its own, and with more workers than cores each waits for the
    others: twice as slow on two cores.

    Args:
        folder: where a VQVAE is looked for, beside the folder of the checkpoint itself.
        device: as for `VARPipeline.from_checkpoint`; None: the best that the machine has.
    """

    def __init__(self, folder: Path, device: str | None = None) -> None:
        self._folder = folder
        self._device = device
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._key: tuple[Path, int, int] | None = None
        self._pipeline: VARPipeline | None = None
        self._descriptions: dict[tuple[Path, int, int], Description] = {}

    @contextmanager
    def use(self, path: Path) -> Iterator[VARPipeline]:
        """Hand out the pipeline of a checkpoint; until the block ends nobody else loads or generates.

        Raises:
            CheckpointError: the file cannot be used. The model that was there before is loaded again when asked for.
            FileNotFoundError: the file is gone.
            MemoryError: the machine has too little memory, for the model or for what the block does with it.
        """
        with self._lock:
            try:
                yield self.compute(self._load, path)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                raise MemoryError(
                    "The machine has too little memory for this. Ask for fewer images, or choose a smaller checkpoint."
                ) from error

    def compute(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """Call a function in the thread that computes, and return or raise what it does."""
        return self._thread.submit(function, *arguments).result()

    def describe(self, path: Path) -> Description:
        """Say what a checkpoint holds. One that was described before is not loaded again for it.

        Raises:
            CheckpointError: the file cannot be used.
            FileNotFoundError: the file is gone.
        """
        description = self._descriptions.get(_file_key(path))
        if description is None:
            with self.use(path):
                description = self._descriptions[_file_key(path)]
        return description

    def _load(self, path: Path) -> VARPipeline:
        key = _file_key(path)
        if self._pipeline is not None and self._key == key:
            return self._pipeline
        checkpoint = read_checkpoint(path)
        if checkpoint.var_state is None:
            raise CheckpointError(
                f"{path}: a VQVAE alone, which makes no images of classes. Choose the checkpoint of a VAR transformer; "
                "one that comes without a VQVAE takes this one where it fits."
            )
        vae = None
        if checkpoint.vae_state is None:
            vae = find_vqvae(checkpoint, [self._folder])
            if vae is None:
                raise CheckpointError(
                    f"{path}: a VAR transformer without a VQVAE. Found none that fits it beside the file or in "
                    f"{self._folder}. Put the VQVAE's file into that folder and choose the checkpoint again."
                )
        check(checkpoint)  # whatever can be told from the file is told before the old model goes
        self._free()
        self._pipeline = VARPipeline.from_checkpoint(checkpoint, vae=vae and vae.path, device=self._device)
        self._key = key
        self._descriptions[key] = Description(
            summary=checkpoint.summary(),
            class_names=tuple(self._pipeline.class_names),
            vocab_size=checkpoint.var_config.vocab_size,
            image_size=self._pipeline.image_size,
            placement=describe(self._pipeline.device, self._pipeline.dtype),
            vae_file=vae.path.name if vae else None,
        )
        return self._pipeline

    def _free(self) -> None:
        if self._pipeline is None:
            return
        device = self._pipeline.device
        self._key = self._pipeline = None
        gc.collect()
        free_memory(device)


def _file_key(path: Path) -> tuple[Path, int, int]:
    """Tell a file from a newer one at the same place; raises FileNotFoundError where there is none."""
    status = path.stat()
    return path.resolve(), status.st_mtime_ns, status.st_size
