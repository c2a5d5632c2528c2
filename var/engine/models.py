"""The models in memory, shared by every session of the server."""

import gc
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..checkpoints.checkpoint import naming
from ..checkpoints.folder import Fingerprint, fingerprint
from ..checkpoints.load import check, count_nonfinite, describe_nonfinite
from ..checkpoints.memory import advise, available, held, need
from ..checkpoints.pair import OpenedPair, open_pair
from ..device import DTYPES, choose_device, choose_dtype, free_memory
from ..hub.download import cached_address
from ..hub.known_models import find_known
from ..pipeline import VARPipeline
from ..text import format_operations
from .description import Description, describe_pair, is_inside
from .previews import Previewer

MAX_DESCRIPTIONS = 200
MAX_READERS = 2


@dataclass(frozen=True)
class Loading:
    """How a session wants a checkpoint loaded.

    Args:
        weights: "ema" or "raw" where the file has both; None takes the EMA.
        dtype: "float32", "bfloat16" or "float16"; None for the best on the device.
        folders: where the session's own files lie, for a VQVAE among them.
        num_heads: attention heads of a transformer whose file does not tell them; None for what is assumed.
    """

    weights: str | None = None
    dtype: str | None = None
    folders: tuple[Path, ...] = ()
    num_heads: int | None = None

    def for_another(self) -> "Loading":
        """Return the same for another checkpoint, without what was said of this file alone."""
        return replace(self, weights=None, num_heads=None)


@dataclass(frozen=True)
class Resident:
    """A model in memory.

    Args:
        num_bytes: of its weights.
        warning: that some of them are no numbers; None where all are.
    """

    num_bytes: int
    warning: str | None


class TooLargeError(MemoryError):
    """Raised before a checkpoint is loaded that does not fit into memory.

    Args:
        message: what it needs, what is free, and what to do.
        offer: a precision in which it fits, such as "bfloat16"; None where there is none.
    """

    def __init__(self, message: str, offer: str | None = None) -> None:  # without a default it could not be unpickled
        super().__init__(message)
        self.offer = offer


class TooCostlyError(ValueError):
    """Raised before a run that takes more operations than a run may."""


@dataclass(frozen=True)
class _Key:
    """What tells one loaded model from another; another version of the file is another model."""

    path: Path
    version: Fingerprint
    loading: Loading


@dataclass(frozen=True)
class _Model:
    """A loaded model, what shows its runs, and the version of the other file that its VQVAE is from."""

    pipeline: VARPipeline
    previewer: Previewer
    resident: Resident
    vae_version: Fingerprint | None

    def is_current(self) -> bool:
        """Whether the file of its VQVAE is still the one that was read."""
        vae = self.pipeline.vae_checkpoint
        try:
            return vae is None or fingerprint(vae.path) == self.vae_version
        except OSError:
            return False


class Models:
    """Loads checkpoints on demand and keeps the last ones; room is made before a new one comes.

    What loads or computes is called in one thread alone, see `Queue`. All else may be called in any thread and never
    waits for that one: files are described by a reader of its own. (On the CPU every thread that computes brings
    workers of its own, and with more workers than cores each waits for the others; so not every caller reads itself.)

    Args:
        folder: the server's checkpoints, where a VQVAE is looked for, too.
        device: as for `VARPipeline.from_checkpoint`; None: the best that the machine has.
        keep: how many models stay in memory, from 1; the one not used for longest goes first.
        max_operations: of a run, see `model.operations`; None for no limit.
    """

    def __init__(
        self, folder: Path, device: str | None = None, keep: int = 1, max_operations: float | None = None
    ) -> None:
        self._folder = folder
        self._device = device
        self._keep = keep
        self._max_operations = max_operations
        self._readers = ThreadPoolExecutor(MAX_READERS, thread_name_prefix="reader")  # begin with the first file
        self._guard = threading.Lock()  # of both dictionaries
        self._models: OrderedDict[_Key, _Model] = OrderedDict()
        self._descriptions: OrderedDict[_Key, Description] = OrderedDict()

    def load(self, path: Path, loading: Loading | None = None) -> VARPipeline:
        """Return the pipeline of a checkpoint; one that changed since it was loaded is loaded again.

        Raises:
            CheckpointError: the file cannot be used; the models that were there before still serve.
            FileNotFoundError: the file is gone.
            TooLargeError: it needs more memory than is free, that of the loaded models included.
        """
        return self._load(path, loading or Loading())

    def is_current(self, path: Path, loading: Loading | None = None) -> bool:
        """Whether a checkpoint is in memory, as its files are now."""
        model = self._models.get(self._key(path, loading or Loading()))
        return model is not None and model.is_current()

    def previewer(self, pipeline: VARPipeline) -> Previewer:
        """Return what shows the runs of a pipeline that `load` returned last."""
        return next(model.previewer for model in self._models.values() if model.pipeline is pipeline)

    def describe(self, path: Path, loading: Loading | None = None) -> Description:
        """Say what a checkpoint holds, and make sure that it can be loaded, without loading it.

        Raises:
            CheckpointError: the file cannot be used.
            FileNotFoundError: the file is gone.
            TooLargeError: it needs more memory than is free, that of the loaded models included.
            TooCostlyError: an image takes more operations than a run may.
        """
        key = self._key(path, loading or Loading())
        with self._guard:
            description = self._descriptions.get(key)
        if description is None:
            description = self._readers.submit(self._describe, key, path).result()
        return description

    def check_operations(self, num_images: Mapping[tuple[Path, Loading | None], int]) -> None:
        """Raise TooCostlyError where a run takes more operations than it may.

        Args:
            num_images: of each checkpoint, and how it is loaded; one that cannot be used takes none.
        """
        if self._max_operations is None:
            return
        total, count = 0, sum(num_images.values())
        for (path, loading), number in num_images.items():
            with suppress(ValueError, OSError, MemoryError):  # whoever loads it is told
                total += number * self.describe(path, loading).operations
        if total > self._max_operations:
            raise TooCostlyError(
                f"{count} images of this take about {format_operations(total)} operations, and this server carries out "
                f"up to {format_operations(self._max_operations)} a run. Ask for fewer images."
            )

    def resident(self, path: Path, loading: Loading | None = None) -> Resident | None:
        """Return what a checkpoint takes in memory; None where it is not loaded, or not there any more."""
        try:
            key = self._key(path, loading or Loading())
        except OSError:
            return None
        with self._guard:
            model = self._models.get(key)
        return model.resident if model is not None else None

    def open(self, path: Path, loading: Loading | None = None) -> OpenedPair:
        """Read a checkpoint and find its VQVAE, both complete; no model is loaded for it, and none is in the way.

        Raises:
            CheckpointError: the file cannot be used, or no VQVAE fits.
            FileNotFoundError: the file is gone.
            ValueError: the weights asked for are not in the file.
        """
        loading = loading or Loading()
        address = cached_address(path)
        folders = [self._folder, *loading.folders]
        source = str(address) if address else path
        pair = open_pair(source, None, folders, loading.weights, num_heads=loading.num_heads)
        check(pair.checkpoint)
        if pair.vae is not None:
            check(pair.vae)
        return pair

    def version(self, path: Path) -> Fingerprint | None:
        """Return what tells a file from a newer one at the same place; None where it is gone."""
        try:
            return fingerprint(path)
        except OSError:
            return None

    def placement(self, loading: Loading | None = None, num_parameters: int = 0) -> tuple[torch.device, torch.dtype]:
        """Return where models are, and in which precision one of so many parameters computes that is loaded so."""
        device = choose_device(self._device)
        return device, choose_dtype(device, loading.dtype if loading else None, num_parameters)

    def free_bytes(self) -> int | None:
        """Return the memory that is free on the device; None where nobody knows."""
        return available(choose_device(self._device))

    def unload(self) -> None:
        """Give the memory of all models back."""
        for key in list(self._models):
            self._free(key)

    def _key(self, path: Path, loading: Loading) -> _Key:
        return _Key(path.resolve(), fingerprint(path), loading)

    def _describe(self, key: _Key, path: Path) -> Description:
        pair = self.open(path, key.loading)
        with self._guard:
            is_loaded = key in self._models
        if not is_loaded:
            self._check_memory(pair, key.loading, self._held())
        address = cached_address(path)
        known = find_known(address.repo, address.path) if address else None
        device, dtype = self.placement(key.loading, pair.checkpoint.num_parameters)
        with naming(path):
            description = describe_pair(pair, device, dtype, known, trusted=is_inside(path, self._folder))
        if self._max_operations is not None and description.operations > self._max_operations:
            raise TooCostlyError(
                f"{path}: An image takes about {format_operations(description.operations)} operations, and this server "
                f"carries out up to {format_operations(self._max_operations)} a run. Choose a smaller checkpoint."
            )
        with self._guard:
            self._descriptions[key] = description
            while len(self._descriptions) > MAX_DESCRIPTIONS:
                self._descriptions.popitem(last=False)
        return description

    def _load(self, path: Path, loading: Loading) -> VARPipeline:
        key = self._key(path, loading)
        model = self._models.get(key)
        if model is not None and model.is_current():
            with self._guard:
                self._models.move_to_end(key)
            return model.pipeline
        del model  # nothing but the dictionary keeps it in memory
        # Whatever can be told from the files is told before an old model goes.
        pair = self.open(path, loading)
        self._check_memory(pair, loading, self._held())
        device, dtype = self.placement(loading, pair.checkpoint.num_parameters)
        description = self._describe(key, path)
        self._make_room(pair, device, dtype, key)
        pipeline = VARPipeline.from_checkpoint(
            pair.checkpoint, vae=pair.vae, device=device, dtype=dtype, class_names=description.class_names
        )
        nonfinite = count_nonfinite(pipeline.var) | count_nonfinite(pipeline.vqvae)
        model = _Model(
            pipeline,
            Previewer(pipeline),
            Resident(held(pipeline.var, pipeline.vqvae), describe_nonfinite(nonfinite)),
            fingerprint(pair.vae.path) if pair.vae else None,
        )
        with self._guard:
            self._models[key] = model
        return pipeline

    def _held(self) -> int:
        """Bytes that the loaded models would give back."""
        with self._guard:
            return sum(model.resident.num_bytes for model in self._models.values())

    def _check_memory(self, pair: OpenedPair, loading: Loading, freed: int) -> None:
        """Refuse what cannot fit, and name a precision that does."""
        device, dtype = self.placement(loading, pair.checkpoint.num_parameters)
        free = available(device)
        wanted = need(pair.checkpoint, pair.vae, dtype, device)
        if free is None or wanted.total <= free + freed:
            return
        free += freed
        names = {kind: name for name, kind in DTYPES.items()}
        others = [kind for kind in (torch.bfloat16, torch.float16) if kind is not dtype]
        needs = {names[dtype]: wanted}
        needs |= {names[kind]: need(pair.checkpoint, pair.vae, kind, device) for kind in others}
        message = advise(needs, free)
        if message is not None:
            offer = next((name for name, needed in needs.items() if needed.total <= free), None)
            raise TooLargeError(f"{pair.checkpoint.path}: {message}", offer)

    def _make_room(self, pair: OpenedPair, device: torch.device, dtype: torch.dtype, key: _Key) -> None:
        """Let go of older versions of the same file, of models beyond the number to keep, and of what is in the way."""
        for old in [old for old in self._models if old.path == key.path and old.version != key.version or old == key]:
            self._free(old)
        needed = need(pair.checkpoint, pair.vae, dtype, device).total
        while self._models:
            free = available(device)
            if len(self._models) < self._keep and (free is None or needed <= free):
                break
            self._free(next(iter(self._models)))

    def _free(self, key: _Key) -> None:
        with self._guard:
            device = self._models.pop(key).pipeline.device
        gc.collect()
        free_memory(device)
