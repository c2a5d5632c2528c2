"""The models' work as CUDA graphs: recorded once, then started by one call instead of hundreds.

A few images do not keep a GPU busy: it waits for the next of some four hundred small kernels a scale, and as many of
the decoder. Sizes do not change from one generation to the next, so these kernels are recorded, and repeated on new
contents of the same memory. Recordings are repeated on the stream that is current, one for all threads.

Letters: b images computed together, R rows of the batch (b, or 2b with guidance), V vocabulary, C latent channels,
n side of one scale, N of the latent, D width, H and W pixels.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from ..device import free_memory, is_out_of_memory
from ..model.transformer import VAR, KeyValueCache, Modulations
from ..model.vqvae import VQVAE

MAX_IMAGES = 8  # of one recording of the transformer; more keep a GPU busy by themselves
KEPT = 2  # of these, each with keys and values of its own
MAX_DECODED = 2  # images of one recording of the decoder, which is larger

Repeat = Callable[[], None]
Record = Callable[[Callable[[], Tensor]], tuple[Repeat, Tensor]]


def scale_logits(
    model: VAR,
    features: Tensor | None,
    condition: Tensor,
    modulations: Modulations,
    cache: KeyValueCache,
    scale_index: int,
    guided: bool,
    before_block: Callable[[], None] | None = None,
) -> Tensor:
    """The transformer's logits at one scale.

    Args:
        model: the transformer.
        features: the latent so far, resized to the scale's side, (b, C, n, n); None for the first scale.
        condition: class embeddings (R, D).
        modulations: of the R rows.
        cache: of the earlier scales, extended by this one.
        scale_index: 0-based.
        guided: whether a second half of the rows is unconditional.
        before_block: called before every block; what it raises ends the computation.

    Returns:
        float32 (R, n², V).
    """
    x = model.embed_scale(features, condition, scale_index)
    if guided and features is not None:
        x = x.repeat(2, 1, 1)  # (R, n², D)
    return model.logits(x, modulations, cache=cache, before_block=before_block)


class CUDARecorder:
    """Records work on a GPU; what it recorded shares memory, since no two of it run at the same time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], Tensor]) -> tuple[Repeat, Tensor]:
        """Return what repeats some work, and the tensor where its result is then."""
        warm_up = torch.cuda.Stream()
        warm_up.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(warm_up):
            work()  # libraries load and choose their kernels, which cannot be recorded
        torch.cuda.current_stream().wait_stream(warm_up)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, self._pool, capture_error_mode="thread_local"):
            result = work()
        return graph.replay, result


class Recording:
    """All scales of generations of one size; serves one generation at a time.

    Args:
        model: the transformer.
        num_images: computed together (b).
        guided: whether the batch has a second half of unconditional rows.
        record: what records.
    """

    def __init__(self, model: VAR, num_images: int, guided: bool, record: Record):
        self.model = model
        self.guided = guided
        self.record = record
        rows = 2 * num_images if guided else num_images
        self.cache = KeyValueCache(model.config, rows, model.device, model.dtype)
        self.features = [
            torch.empty(num_images, model.config.z_channels, patch_num, patch_num, device=model.device)
            for patch_num in model.config.patch_nums
        ]
        self.inputs: tuple[Tensor, Modulations] | None = None  # class embeddings (R, D) and what they do
        self.scales: list[tuple[Repeat, Tensor]] = []  # those that were recorded so far

    def begin(self, condition: Tensor, modulations: Modulations) -> None:
        """Take the classes of a new generation."""
        if self.inputs is None:
            self.inputs = (condition, modulations)
            return
        own_condition, own = self.inputs
        own_condition.copy_(condition)
        for mine, new in zip((*own.blocks, own.head), (*modulations.blocks, modulations.head), strict=True):
            mine.copy_(new)

    def logits(self, features: Tensor | None, scale_index: int) -> Tensor:
        """What `scale_logits` gives, (R, n², V), in memory that the next scale may use again."""
        if features is not None:
            self.features[scale_index].copy_(features)
        if scale_index == len(self.scales):
            self.scales.append(self.record(partial(self._work, scale_index)))
        repeat, logits = self.scales[scale_index]
        repeat()
        self.cache.length = self.model.config.scale_ranges[scale_index][1]
        return logits

    def _work(self, scale_index: int) -> Tensor:
        self.cache.length = self.model.config.scale_ranges[scale_index][0]
        features = self.features[scale_index] if scale_index else None
        assert self.inputs is not None, "`begin` comes first"
        return scale_logits(self.model, features, *self.inputs, self.cache, scale_index, self.guided)


class Recordings:
    """The recordings of one transformer, lent to one generation each.

    Args:
        model: the transformer.
        new_recorder: makes what records; None where nothing is.

    Attributes:
        most_images: that generations compute together; one that found too little memory lowers it.
    """

    def __init__(self, model: VAR, new_recorder: Callable[[], Record] | None = None):
        self.model = model
        self.new_recorder = new_recorder
        self.most_images = sys.maxsize
        self._lock = threading.Lock()
        self._made = False
        self._free: dict[tuple[int, bool], Recording] = {}  # the one used last at the end

    @contextmanager
    def lend(self, num_images: int, guided: bool) -> Iterator[Recording | None]:
        """A recording for a generation; None for a large one.

        Also the first generation of a size is recorded: kernels that were chosen otherwise round otherwise, and a seed
        would give another image from the second time on.
        """
        key = (num_images, guided)
        with self._lock:
            recording = self._free.pop(key, None)
            if recording is None and self.new_recorder is not None and num_images <= MAX_IMAGES:
                self._made = True
                recording = Recording(self.model, num_images, guided, self.new_recorder())
        try:
            yield recording
        finally:
            with self._lock:
                if recording is not None and self.new_recorder is not None:
                    self._free[key] = recording
                    while len(self._free) > KEPT:
                        del self._free[next(iter(self._free))]

    def give_up(self) -> bool:
        """Free the memory of all recordings and make no more, since there is too little of it.

        Returns:
            Whether there were any, so that the generation that found no memory may find it now.
        """
        with self._lock:
            if not self._made:
                return False
            self._made, self.new_recorder = False, None
            self._free.clear()
            return True


class RecordedDecoder:
    """Decodes latents as a VQVAE does, a few images at a time by a recording.

    Args:
        vqvae: decodes.
        record: what records.
    """

    def __init__(self, vqvae: VQVAE, record: Record):
        self.vqvae = vqvae
        self._record: Record | None = record
        self._lock = threading.Lock()
        self._recorded: dict[torch.Size, tuple[Tensor, Repeat, Tensor]] = {}  # by shape: latents, repeat, images

    def decode_latent(self, latent: Tensor) -> Tensor:
        """Images, float32 (b, 3, H, W) in [-1, 1], of a latent (b, C, N, N)."""
        with self._lock:
            if self._record is not None and len(latent) <= MAX_DECODED:
                try:
                    return self._decode(latent, self._record)
                except RuntimeError as error:
                    if not is_out_of_memory(error):
                        raise
                self._record = None  # too little memory for recordings: none from now on
                self._recorded.clear()
                free_memory(latent.device)
        return self.vqvae.decode_latent(latent)

    def _decode(self, latent: Tensor, record: Record) -> Tensor:
        if latent.shape not in self._recorded:
            own = latent.clone()
            self._recorded[latent.shape] = (own, *record(partial(self.vqvae.decode_latent, own)))
        own, repeat, images = self._recorded[latent.shape]
        own.copy_(latent)
        repeat()
        return images.clone()


def decoder_for(vqvae: VQVAE) -> VQVAE | RecordedDecoder:
    """What decodes latents fastest: recordings on CUDA, the VQVAE itself on other devices."""
    return RecordedDecoder(vqvae, CUDARecorder()) if vqvae.post_quant_conv.weight.is_cuda else vqvae


def recordings_for(model: VAR) -> Recordings:
    """Recordings of a transformer on CUDA; on other devices none are made."""
    return Recordings(model, CUDARecorder if model.device.type == "cuda" else None)
