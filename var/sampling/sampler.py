"""The sampler: from class labels to tokens and a latent, one scale a step.

Letters: B images, b images computed together, L tokens of all scales, V vocabulary, C latent channels, N side of the
latent, n side of one scale.
Source: arXiv 2404.02905, section 3, and the reference implementation's `autoregressive_infer_cfg`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..device import computing, free_memory, is_out_of_memory
from ..model.quantizer import MultiScaleQuantizer, resize_area
from ..model.transformer import VAR, KeyValueCache
from .options import SamplingOptions
from .recordings import Recording, Recordings, scale_logits
from .stopping import StopSignal, raise_if_set
from .tokens import BatchDraws, ImageDraws, draw_tokens, guide, keep_likely, soft_embedding

MIN_TEMPERATURE = torch.finfo(torch.float32).tiny  # anything lower would be 0 in float32
ALWAYS_KEPT_PLACES = 3  # scales this small only set the tone of an image: an edit keeps all of them


@dataclass(frozen=True)
class Known:
    """The part of an image that an edit keeps.

    Args:
        tokens: of the known image, one int64 (1, n²) for each scale.
        keep: bool (1, 1, n, n) for each scale, True where the known token stays.
    """

    tokens: Sequence[Tensor]
    keep: Sequence[Tensor]


def keep_at_scales(keep: Tensor, patch_nums: Sequence[int], keep_scales: int = 0) -> list[Tensor]:
    """The keep mask of every scale.

    Args:
        keep: float (N, N), 1 = keep.
        patch_nums: side of the token map of each scale.
        keep_scales: so many scales, from the first on, are kept whole.

    Returns:
        One bool (1, 1, n, n) for each scale.
    """
    masks = []
    for scale_index, patch_num in enumerate(patch_nums):
        mask = F.interpolate(keep[None, None].float(), size=(patch_num, patch_num), mode="bilinear")  # (1, 1, n, n)
        is_whole = scale_index < keep_scales or patch_num**2 <= ALWAYS_KEPT_PLACES
        masks.append(torch.ones_like(mask, dtype=torch.bool) if is_whole else mask > 0.5)
    return masks


class Lane:
    """The state of images that are computed together in one generation.

    Args:
        model: the transformer.
        options: of the whole batch.
        images: which of the batch are in this lane.
        recordings: of the transformer; None to compute without.
        first_tokens: as of `generate`.
    """

    def __init__(
        self,
        model: VAR,
        options: SamplingOptions,
        images: range,
        recordings: Recordings | None = None,
        first_tokens: Sequence[Tensor] = (),
    ):
        device = model.device
        labels = [model.null_class if label is None else label for label in options.class_labels]
        rows = labels[images.start : images.stop]
        has_classes = any(label != model.null_class for label in rows)
        # after so many scales nobody asks for the unconditional half again
        self.guided_scales = options.guided_scales(model.config.num_scales) if has_classes else 0
        self.guided = self.guided_scales > 0
        if self.guided:
            rows = rows + [model.null_class] * len(images)
        self.condition = model.class_emb(torch.tensor(rows, device=device))  # (b or 2b, D)
        self.modulations = model.modulations(self.condition)
        self.lent = ExitStack()  # until `close`
        self.recording: Recording | None = None
        if recordings is not None:
            self.recording = self.lent.enter_context(recordings.lend(len(images), self.guided))
        if self.recording is None:
            self.cache = KeyValueCache(model.config, len(rows), device, model.dtype)
        else:
            self.recording.begin(self.condition, self.modulations)
            self.cache = self.recording.cache
        self.draws: ImageDraws | BatchDraws
        if options.seeded_by_image:
            self.draws = ImageDraws(options.seeds[images.start : images.stop], device)
        else:
            self.draws = BatchDraws(options.seeds[0], options.batch_size, images, device)
        part = slice(images.start, images.stop)
        # each int64 (b, n²)
        self.first_tokens = [(t if len(t) > 1 else t.expand(options.batch_size, -1))[part] for t in first_tokens]
        self.latent: Tensor | None = None  # (b, C, N, N) after the first scale
        self.tokens: list[Tensor] = []  # one int64 (b, n²) a scale
        self.finite = torch.ones((), dtype=torch.bool, device=device)

    def close(self) -> None:
        """Give back what was lent; the lane is of no further use."""
        self.lent.close()

    def drop_unconditional(self) -> None:
        """Go on with the conditional half alone."""
        batch_size = self.condition.shape[0] // 2
        self.guided = False
        self.condition = self.condition[:batch_size]
        self.modulations = self.modulations.first(batch_size)
        self.cache = self.cache.first(batch_size)
        self.recording = None

    def advance(
        self,
        model: VAR,
        quantizer: MultiScaleQuantizer,
        options: SamplingOptions,
        known: Known | None,
        stop: StopSignal | None = None,
    ) -> Tensor:
        """Generate the next scale; raises Stopped, leaving the lane of no further use.

        Returns:
            The latent so far, (b, C, N, N).
        """
        config, scale_index = model.config, len(self.tokens)
        patch_num = config.patch_nums[scale_index]
        ratio = scale_index / max(1, config.num_scales - 1)
        here = options.at_scale(scale_index, config.num_scales)
        if self.guided and scale_index >= self.guided_scales:
            self.drop_unconditional()

        features = None if self.latent is None else resize_area(self.latent, patch_num)  # (b, C, n, n)
        if self.recording is not None:
            raise_if_set(stop)
            logits = self.recording.logits(features, scale_index)  # (b or 2b, n², V)
        else:
            check = partial(raise_if_set, stop)
            rows = (self.condition, self.modulations, self.cache)
            logits = scale_logits(model, features, *rows, scale_index, self.guided, check)  # (b or 2b, n², V)
        if self.guided:
            logits = guide(logits, here.guidance)  # (b, n², V)
        smallest, largest = logits.aminmax()  # NaN where one is
        self.finite = self.finite & smallest.isfinite() & largest.isfinite()
        if here.temperature != 1:  # the largest becomes 0, so that no temperature is too low
            logits = (logits - logits.amax(-1, keepdim=True)) / max(here.temperature, MIN_TEMPERATURE)

        logits = keep_likely(logits, here.top_k, options.top_p)
        tokens = draw_tokens(logits, self.draws.exponential(*logits.shape[1:]))  # (b, n²)
        is_given = scale_index < len(self.first_tokens)
        if is_given:  # drawn all the same: what comes after has the draws that it has without
            tokens = self.first_tokens[scale_index]
        if options.more_smooth:
            draws, codebook = self.draws.exponential(*logits.shape[1:]), quantizer.embedding.weight
            h = soft_embedding(logits, draws, codebook, ratio).transpose(1, 2).unflatten(2, (patch_num, patch_num))
        if is_given or not options.more_smooth:
            h = quantizer.tokens_to_map(tokens)  # (b, C, n, n)
        if known is not None:
            keep, known_tokens = known.keep[scale_index], known.tokens[scale_index]
            h = torch.where(keep, quantizer.tokens_to_map(known_tokens), h)

        contribution = quantizer.contribution(h, scale_index, config.patch_nums)  # (b, C, N, N)
        # a new tensor each time: a step handed out earlier keeps its latent
        self.latent = contribution if self.latent is None else self.latent + contribution
        self.tokens.append(tokens)
        return self.latent


@dataclass(frozen=True)
class GeneratedScale:
    """One scale of the images that are computed at the time: all of them, unless memory is too small for that.

    Args:
        scale_index: 0-based.
        images: which of the batch.
        latents: the latents so far, one (b, C, N, N) for each group of images computed together.
        tokens: int64 (len(images), L) after the last scale; None before.
    """

    scale_index: int
    images: range
    latents: list[Tensor]
    tokens: Tensor | None


def generate(
    model: VAR,
    quantizer: MultiScaleQuantizer,
    options: SamplingOptions,
    known: Known | None = None,
    stop: StopSignal | None = None,
    recordings: Recordings | None = None,
    first_tokens: Sequence[Tensor] = (),
) -> Iterator[GeneratedScale]:
    """Sample a batch, scale by scale.

    Where memory does not suffice for all images at once, they are made in parts, one part after the other, each from
    its first scale on, with the draws that they would have had. Later generations with the same recordings begin with
    the size that fitted.

    Args:
        model: the transformer.
        quantizer: of the VQVAE, on the same device.
        options: checked already.
        known: what to keep of a known image, in an edit.
        stop: looked at before every block of the transformer; before every scale where the blocks are recorded.
        recordings: of the transformer, to be used where they are faster; None to compute without.
        first_tokens: of so many first scales, each int64 (1, n²) for all images, or (B, n²): these are taken instead
            of drawn ones. Each image has the draws that it would have had, so that with the tokens that it would draw
            itself it stays as it is.

    Yields:
        Each scale of the images of each part.

    Raises:
        Stopped: the signal was set.
        ValueError: the logits are not finite: a precision too small for the model, or damaged weights.
        torch.OutOfMemoryError: not even one image fits.
    """
    first, size = 0, options.batch_size
    if recordings is not None:
        size = min(size, recordings.most_images)
    while first < options.batch_size:
        images = range(first, min(first + size, options.batch_size))
        try:
            yield from generate_part(model, quantizer, options, known, stop, recordings, first_tokens, images)
            first = images.stop
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if recordings is not None and recordings.give_up():
                size = len(images)  # once more, with the memory that recordings had
            elif len(images) == 1:
                raise torch.OutOfMemoryError(
                    "the memory is too small for even one image; free some of it, or use a smaller model, "
                    "dtype=torch.bfloat16 or device='cpu'"
                ) from error
            else:
                size = (len(images) + 1) // 2
                if recordings is not None:
                    recordings.most_images = size
        if first < images.stop:  # outside of the handler, where the failed attempt's tensors are gone
            free_memory(model.device)


def generate_part(
    model: VAR,
    quantizer: MultiScaleQuantizer,
    options: SamplingOptions,
    known: Known | None,
    stop: StopSignal | None,
    recordings: Recordings | None,
    first_tokens: Sequence[Tensor],
    images: range,
) -> Iterator[GeneratedScale]:
    """Sample some images of a batch; the arguments and what is yielded are those of `generate`.

    What holds while computing is entered for each step, not around the yields, where it would last on in the caller.
    """
    # Products of matrices round differently with the number of rows. On the CPU, where images with seeds of their own
    # must not depend on their neighbours, each is computed apart; it costs little there.
    apart = options.seeded_by_image and model.device.type == "cpu"
    groups = [range(i, i + 1) for i in images] if apart else [images]
    with ExitStack() as closing:
        with computing(model.device):
            lanes = [Lane(model, options, group, recordings, first_tokens) for group in groups]
        for lane in lanes:
            closing.callback(lane.close)
        for scale_index in range(model.config.num_scales):
            tokens = None
            with computing(model.device):
                latents = [lane.advance(model, quantizer, options, known, stop) for lane in lanes]
                if scale_index == model.config.num_scales - 1:
                    if not all(lane.finite for lane in lanes):
                        raise ValueError(describe_nonfinite_output(model.dtype))
                    tokens = torch.cat([torch.cat(lane.tokens, dim=1) for lane in lanes])  # (len(images), L)
            yield GeneratedScale(scale_index, images, latents, tokens)


def describe_nonfinite_output(dtype: torch.dtype) -> str:
    """Say why no tokens can be drawn from NaN or infinite logits, and what to do."""
    name = str(dtype).removeprefix("torch.")
    precision = "" if dtype == torch.float32 else "dtype=torch.float32 or "
    return (
        f"the transformer's output is not finite in {name}; use {precision}a lower cfg_scale, and if that does not "
        "help, an earlier checkpoint: NaN or infinite weights, as a training that diverged leaves them, give this, too"
    )
