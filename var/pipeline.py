"""The pipeline: from a checkpoint file to images, in one object that users script against.

Letters: B images, L tokens of all scales, H and W pixels, h and w pixels of a mask, N side of the latent.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image
from torch import Tensor

from .checkpoints.checkpoint import Checkpoint
from .checkpoints.class_lookup import find_class
from .checkpoints.class_names import read_classes
from .checkpoints.hash import short_hash
from .checkpoints.load import build_var, build_vqvae
from .checkpoints.pair import open_pair
from .device import choose_device, choose_dtype, decoder_dtype
from .model.transformer import VAR
from .model.vqvae import VQVAE
from .pictures.pixels import paste_kept, read_image, read_images, read_mask, to_pil
from .sampling.declaration import is_whole
from .sampling.decoding import Decoding, decode_latents, decode_parts
from .sampling.options import SamplingOptions, plain
from .sampling.presets import own_settings
from .sampling.recordings import decoder_for, recordings_for
from .sampling.sampler import Known, generate, keep_at_scales
from .sampling.steps import Result, Step
from .sampling.stopping import Stopped, StopSignal

OUTPUT_TYPES = ("pil", "pt")


class VARPipeline:
    """A transformer and a VQVAE that sample, edit, encode and decode images.

    It keeps nothing of a generation, so generations may run interleaved and in threads.

    Args:
        model: the transformer.
        vqvae: fits the transformer; on the same device.
        class_names: one for each class; None for "class 0" and so on.
        checkpoint: where the transformer came from, if from a file.
        vae_checkpoint: where the VQVAE came from, if from another file.

    Attributes:
        var, vqvae: the models.
        checkpoint, vae_checkpoint: where they came from.
        checkpoint_hash, vae_hash: `short_hash` of the files as they were then; None where there was none.
        class_names: list of str, one for each class.
        own_settings: what the checkpoint's file asks to be sampled with, by name; empty where it asks for nothing.
        image_size: pixels per side.
        device, dtype: of the transformer.
    """

    def __init__(
        self,
        model: VAR,
        vqvae: VQVAE,
        class_names: Sequence[str] | None = None,
        checkpoint: Checkpoint | None = None,
        vae_checkpoint: Checkpoint | None = None,
    ):
        self.var = model
        self.vqvae = vqvae
        self.checkpoint = checkpoint
        self.vae_checkpoint = vae_checkpoint
        self.checkpoint_hash = checkpoint and short_hash(*checkpoint.paths)
        self.vae_hash = vae_checkpoint and short_hash(*vae_checkpoint.paths)
        self.class_names = list(class_names or (f"class {i}" for i in range(model.config.num_classes)))
        self.own_settings = own_settings(checkpoint.training if checkpoint else {}, model.config.num_scales)
        self.image_size = model.config.patch_nums[-1] * vqvae.config.downsampling
        self.device = model.device
        self.dtype = model.dtype
        self._recordings, self._decoder = recordings_for(model), decoder_for(vqvae)

    @classmethod
    def from_checkpoint(
        cls,
        source: str | Path | Checkpoint,
        vae: str | Path | Checkpoint | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        weights: str | None = None,
        class_names: Sequence[str] | None = None,
        num_heads: int | None = None,
    ) -> "VARPipeline":
        """Load a checkpoint.

        Args:
            source: a path, "hf://owner/repo/path/in/repo", or a checkpoint that was read already.
            vae: the same for a separate VQVAE; where the checkpoint carries none, one that lies beside it and fits is
                taken, and for a published model the one it was trained with.
            device: "cpu", "cuda", "cuda:1", "mps"; None for the best that the machine has.
            dtype: precision of the transformer, and of the VQVAE's decoder where that makes it faster; None for the
                best on the device. What gives an image its tokens is float32 always.
            weights: "ema" or "raw" where a file has both; None takes the EMA.
            class_names: one for each class; None looks for them in the file, beside it, and in its data folder.
            num_heads: attention heads of a transformer whose weights do not tell them (`checkpoint.heads_assumed`).

        Raises:
            CheckpointError: a file that cannot be used, or no VQVAE that fits.
            FileNotFoundError: there is no such file.
            ValueError: a device that is not there, or an unknown precision.
        """
        device = choose_device(device)
        choose_dtype(device, dtype)  # refuses an unknown one before anything is downloaded
        pair = open_pair(source, vae, weights=weights, num_heads=num_heads)
        checkpoint, vae_checkpoint = pair.checkpoint, pair.vae
        dtype = choose_dtype(device, dtype, checkpoint.num_parameters)
        # first: where there is none, no large transformer is read in vain
        vqvae = build_vqvae(vae_checkpoint or checkpoint, device, decoder_dtype(device, dtype))
        names = read_classes(checkpoint).names if class_names is None else class_names
        return cls(build_var(checkpoint, device, dtype), vqvae, names, checkpoint, vae_checkpoint)

    def __call__(
        self,
        class_labels: Sequence[int | str | None],
        seed: int | Sequence[int] = SamplingOptions.seed,
        cfg_scale: float | Sequence[float] = SamplingOptions.cfg_scale,
        top_k: int | Sequence[int] = SamplingOptions.top_k,
        top_p: float = SamplingOptions.top_p,
        more_smooth: bool = SamplingOptions.more_smooth,
        temperature: float | Sequence[float] = SamplingOptions.temperature,
        output_type: str = "pil",
        *,
        cfg_curve: str = SamplingOptions.cfg_curve,
        cfg_start: int = SamplingOptions.cfg_start,
        cfg_end: int = SamplingOptions.cfg_end,
        first_tokens: Tensor | Sequence[int] | None = None,
    ) -> Result:
        """Sample images; arguments and errors as of `stream`, which can be stopped."""
        steps = self.stream(
            class_labels,
            seed,
            cfg_scale,
            top_k,
            top_p,
            more_smooth,
            temperature,
            output_type,
            cfg_curve=cfg_curve,
            cfg_start=cfg_start,
            cfg_end=cfg_end,
            first_tokens=first_tokens,
        )
        return last_result(steps)

    def stream(
        self,
        class_labels: Sequence[int | str | None],
        seed: int | Sequence[int] = SamplingOptions.seed,
        cfg_scale: float | Sequence[float] = SamplingOptions.cfg_scale,
        top_k: int | Sequence[int] = SamplingOptions.top_k,
        top_p: float = SamplingOptions.top_p,
        more_smooth: bool = SamplingOptions.more_smooth,
        temperature: float | Sequence[float] = SamplingOptions.temperature,
        output_type: str = "pil",
        *,
        cfg_curve: str = SamplingOptions.cfg_curve,
        cfg_start: int = SamplingOptions.cfg_start,
        cfg_end: int = SamplingOptions.cfg_end,
        first_tokens: Tensor | Sequence[int] | None = None,
        stop: StopSignal | None = None,
    ) -> Generator[Step, None, None]:
        """Sample images, a step a scale.

        Where memory is too small for all images at once they are made in parts, and each part takes a step a scale.

        Args:
            class_labels: class of each image: index, or name in any case; None in the list: the unconditional class.
            seed: int, for one generator for the whole batch, draw for draw as the reference implementation; or list of
                int, one generator an image, so that an image does not depend on its neighbours.
            cfg_scale: strength of classifier-free guidance, >= 0; 0 is off. One number, or a sequence of one for each
                scale, which leaves `cfg_curve`, `cfg_start` and `cfg_end` at their defaults.
            top_k: draw among the k likeliest tokens; 0 is off. One number, or a sequence of one for each scale.
            top_p: draw among the likeliest tokens that hold this share of the probability, 0 to 1; 0 is off.
            more_smooth: embed mixtures of tokens: smoother, less diverse images.
            temperature: divides the logits, > 0. One number, or a sequence of one for each scale.
            output_type: "pil" or "pt".
            cfg_curve: "ramp", from no guidance at the first scale to `cfg_scale` at the last; or "constant".
            cfg_start: the first scale with guidance, 0-based.
            cfg_end: the first scale without guidance again; 0: never. It saves time.
            first_tokens: of the first scales, joined, which the images begin with instead of drawing them: the
                beginning of `Result.tokens`, 1, 5, 14, … for a `patch_nums` of 1, 2, 3, …; whole numbers (K,) or
                (1, K), the same for all images, or (B, K). The scales after them are drawn as they would be anyway,
                so that the seed, class and settings of the image that the tokens are of give that image again; with
                another seed or class it is a branch of it. Where `more_smooth` made that image, its tokens are not
                all of it.
            stop: anything with `is_set()`, such as a `threading.Event`; looked at before every block of the
                transformer and before every part that is decoded.

        Returns:
            An iterator of steps, the last of which carries the result. Nothing is computed before the first is asked
            for; dropping the iterator ends the generation. Once stopped, it ends without a result; its last step's
            `finished()` are the images that were done, where memory splits a batch or the images were being decoded.

        Raises:
            ValueError: at once, for an argument out of range; later, where the weights or a small precision give
                numbers that are not finite.
            torch.OutOfMemoryError: the memory is too small for even one image.
        """
        labels = self._labels(class_labels)
        options = SamplingOptions(
            labels, seed, cfg_scale, top_k, top_p, more_smooth, temperature, cfg_curve, cfg_start, cfg_end
        )
        self._check(options, output_type)
        first = () if first_tokens is None else self._first_scales(first_tokens, options.batch_size)
        return self._steps(options, output_type, stop=stop, first_tokens=first)

    def edit(
        self,
        image: Image.Image | Tensor,
        keep_mask: Image.Image | Tensor | numpy.ndarray,
        class_labels: Sequence[int | str | None],
        seed: int | Sequence[int] = SamplingOptions.seed,
        cfg_scale: float | Sequence[float] = SamplingOptions.cfg_scale,
        top_k: int | Sequence[int] = SamplingOptions.top_k,
        top_p: float = SamplingOptions.top_p,
        more_smooth: bool = SamplingOptions.more_smooth,
        temperature: float | Sequence[float] = SamplingOptions.temperature,
        output_type: str = "pil",
        *,
        cfg_curve: str = SamplingOptions.cfg_curve,
        cfg_start: int = SamplingOptions.cfg_start,
        cfg_end: int = SamplingOptions.cfg_end,
        keep_scales: int = 0,
        paste: bool = False,
    ) -> Result:
        """Make a part of an image anew; arguments and errors as of `stream_edit`, which can be stopped."""
        steps = self.stream_edit(
            image,
            keep_mask,
            class_labels,
            seed,
            cfg_scale,
            top_k,
            top_p,
            more_smooth,
            temperature,
            output_type,
            cfg_curve=cfg_curve,
            cfg_start=cfg_start,
            cfg_end=cfg_end,
            keep_scales=keep_scales,
            paste=paste,
        )
        return last_result(steps)

    def stream_edit(
        self,
        image: Image.Image | Tensor,
        keep_mask: Image.Image | Tensor | numpy.ndarray,
        class_labels: Sequence[int | str | None],
        seed: int | Sequence[int] = SamplingOptions.seed,
        cfg_scale: float | Sequence[float] = SamplingOptions.cfg_scale,
        top_k: int | Sequence[int] = SamplingOptions.top_k,
        top_p: float = SamplingOptions.top_p,
        more_smooth: bool = SamplingOptions.more_smooth,
        temperature: float | Sequence[float] = SamplingOptions.temperature,
        output_type: str = "pil",
        *,
        cfg_curve: str = SamplingOptions.cfg_curve,
        cfg_start: int = SamplingOptions.cfg_start,
        cfg_end: int = SamplingOptions.cfg_end,
        keep_scales: int = 0,
        paste: bool = False,
        stop: StopSignal | None = None,
    ) -> Generator[Step, None, None]:
        """Make a part of an image anew (in- and out-painting), or vary its details, a step a scale.

        Args:
            image: PIL image of any size, of which the middle square is taken, or float (1, 3, H, W) in [-1, 1].
            keep_mask: PIL image, or tensor or array (h, w), that covers the whole image; nonzero = keep.
            class_labels: of the new part; each makes one image. This and the arguments after it as in `stream`.
            keep_scales: so many scales, from the first on, are kept also where the mask is 0: with more of them the new
                part keeps more of the shapes that were there. A mask of zeros then varies the whole image.
            paste: whether the finished images get the original's own pixels back where the mask keeps them, faded in
                over a token's width from the new part on (`paste_kept`). Without it only the tokens are kept: the
                VQVAE reconstructs them beside the new ones, whose colours they may take on.

        Returns:
            An iterator of steps, the last of which carries the result.

        Raises:
            ValueError: an argument out of range, at once.
        """
        labels = self._labels(class_labels)
        options = SamplingOptions(
            labels, seed, cfg_scale, top_k, top_p, more_smooth, temperature, cfg_curve, cfg_start, cfg_end
        )
        self._check(options, output_type)
        patch_nums, size = self.var.config.patch_nums, self.image_size
        check_keep_scales(keep_scales, len(patch_nums))
        keep = read_mask(keep_mask, image, patch_nums[-1]).to(self.device)  # (N, N)
        pixels = read_image(image, size).to(self.device)  # (1, 3, H, W)
        with torch.inference_mode():
            known = Known(self.vqvae.encode(pixels, patch_nums), keep_at_scales(keep, patch_nums, keep_scales))
        finish = None
        if paste:
            kept_pixels = read_mask(keep_mask, image, size).to(self.device)  # (H, W)
            finish = partial(paste_kept, original=pixels, keep=kept_pixels, feather=self.vqvae.config.downsampling)
        return self._steps(options, output_type, known, stop, finish)

    def encode(self, images: Tensor | Sequence[Image.Image]) -> Tensor:
        """Tokens of images.

        Args:
            images: PIL images of any size, of which the middle squares are taken; or float (B, 3, H, W) in [-1, 1],
                H = W = `image_size`.

        Returns:
            int64 (B, L), all scales joined.

        Raises:
            ValueError: another shape, kind or range of numbers.
        """
        images = read_images(images, self.image_size).to(self.device)
        with torch.inference_mode():
            tokens = torch.cat(self.vqvae.encode(images, self.var.config.patch_nums), dim=1)  # (B, L)
        return tokens.clone()

    def decode(self, tokens: Tensor) -> Tensor:
        """Images of tokens.

        Args:
            tokens: int64 (B, L), all scales joined.

        Returns:
            float (B, 3, H, W) in [0, 1].

        Raises:
            ValueError: another shape or kind, or a token out of range.
        """
        config = self.var.config
        if not isinstance(tokens, Tensor) or tokens.dtype != torch.int64:
            found = getattr(tokens, "dtype", type(tokens).__name__)
            raise ValueError(f"tokens must be an int64 tensor (B, {config.num_tokens}), not {found}")
        if tokens.ndim != 2 or tokens.shape[0] == 0 or tokens.shape[1] != config.num_tokens:
            raise ValueError(f"tokens must have shape (B, {config.num_tokens}), not {tuple(tokens.shape)}")
        if not (tokens.min() >= 0 and tokens.max() < config.vocab_size):
            raise ValueError(f"tokens must be 0 to {config.vocab_size - 1}; found {tokens.min()} to {tokens.max()}")
        with torch.inference_mode():
            scales = tokens.to(self.device).split([patch_num**2 for patch_num in config.patch_nums], dim=1)
            *_, latent = self.vqvae.quantize.partial_sums(scales, config.patch_nums)  # (B, C, N, N)
        return decode_latents(self._decoder, [latent])

    def film(
        self, result: Result, images: Sequence[int] | None = None, stop: StopSignal | None = None
    ) -> list[list[Image.Image]]:
        """The images of a generation after each of its scales; arguments as of `stream_film`.

        Returns:
            A list for each scale, coarse to fine, of the images after it. Once stopped, those of the first scales only.
        """
        return list(self.stream_film(result, images, stop))

    def stream_film(
        self, result: Result, images: Sequence[int] | None = None, stop: StopSignal | None = None
    ) -> Iterator[list[Image.Image]]:
        """Decode the images of a generation after each of its scales, coarse to fine.

        Args:
            result: of a generation of this pipeline.
            images: which of its images, 0-based; None for all.
            stop: as in `stream`.

        Yields:
            The images after a scale, in full.
        """
        chosen = list(range(len(result.tokens)) if images is None else images)
        try:
            for latents in result.latents[chosen, :-1].unbind(1):  # each (b, C, N, N)
                parts = decode_parts(self._decoder, [latents], stop)
                yield [image for part in parts for image in to_pil(part)]
        except Stopped:
            return
        last = result.pil_images
        yield [last[i] for i in chosen]

    def _labels(self, class_labels: object) -> Any:
        """The classes as indices, whichever way they are named; raises ValueError for a name that no class has."""
        labels = plain(class_labels)
        if not isinstance(labels, tuple):
            return labels  # `SamplingOptions.check` refuses it
        return [find_class(label, self.class_names) if isinstance(label, str) else label for label in labels]

    def _check(self, options: SamplingOptions, output_type: str) -> None:
        """Raise ValueError for an argument out of range."""
        options.check(self.var.config.num_classes, self.var.config.num_scales)
        if output_type not in OUTPUT_TYPES:
            raise ValueError(f"output_type must be 'pil' or 'pt', not {output_type!r}")

    def _first_scales(self, first_tokens: Tensor | Sequence[int], batch_size: int) -> list[Tensor]:
        """The tokens of each given scale, int64 (1 or B, n²), on the device; raises ValueError as `stream` does."""
        config = self.var.config
        try:
            tokens = torch.as_tensor(first_tokens)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"first_tokens must be whole numbers, the beginning of `Result.tokens`, not {first_tokens!r:.60}"
            ) from error
        tokens = tokens[None] if tokens.ndim == 1 else tokens  # (1 or B, K)
        if tokens.ndim != 2 or len(tokens) not in (1, batch_size):
            raise ValueError(
                f"first_tokens must have shape (K,), (1, K) or ({batch_size}, K), the same for all images or a row for "
                f"each, not {tuple(tokens.shape)}"
            )
        sides = given_scales(tokens.shape[1], config.patch_nums)
        if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
            raise ValueError(f"first_tokens must be whole numbers, not {tokens.dtype}")
        if not (tokens.min() >= 0 and tokens.max() < config.vocab_size):
            raise ValueError(
                f"first_tokens must be 0 to {config.vocab_size - 1}; found {tokens.min()} to {tokens.max()}"
            )
        return list(tokens.to(self.device, torch.int64).split([side**2 for side in sides], dim=1))

    def _steps(
        self,
        options: SamplingOptions,
        output_type: str,
        known: Known | None = None,
        stop: StopSignal | None = None,
        finish: Callable[[Tensor], Tensor] | None = None,
        first_tokens: Sequence[Tensor] = (),
    ) -> Generator[Step, None, None]:
        """Generate and decode; `finish` is the last that happens to images, (b, 3, H, W) in [0, 1]."""
        config, decoder = self.var.config, self._decoder
        finished: tuple[Tensor, ...] = ()  # images that are done, each (b, 3, H, W) in [0, 1]
        told = 0  # how many of these a step has told of
        tokens: list[Tensor] = []  # of the parts that are done
        latents: list[list[Tensor]] = []  # of each part, the last one perhaps in progress, each (b, C, N, N)
        try:
            generated = generate(self.var, self.vqvae.quantize, options, known, stop, self._recordings, first_tokens)
            for scale in generated:
                result = None
                if scale.scale_index == 0:  # of the next part, or of the same again where memory was too small
                    latents[len(tokens) :] = [[]]
                latents[-1].append(torch.cat(scale.latents))
                if scale.tokens is None:
                    decoding = Decoding(decoder, finished, scale.latents)
                else:
                    for images in decode_parts(decoder, scale.latents, stop):
                        finished += (images if finish is None else finish(images),)
                    tokens.append(scale.tokens)
                    decoding = Decoding(decoder, finished, [])
                    if scale.images.stop == options.batch_size:
                        images = torch.cat(finished)  # (B, 3, H, W)
                        result = Result(
                            to_pil(images) if output_type == "pil" else images,
                            torch.cat(tokens),
                            torch.cat([torch.stack(part, dim=1) for part in latents]),
                        )
                told = len(finished)
                patch_num = config.patch_nums[scale.scale_index]
                yield Step(scale.scale_index, config.num_scales, patch_num, result, decoding=decoding)
        except Stopped:
            pass
        else:
            return
        if len(finished) > told:
            last = config.num_scales - 1
            decoding = Decoding(decoder, finished, [])
            yield Step(last, config.num_scales, config.patch_nums[last], decoding=decoding)


def check_keep_scales(keep_scales: int, num_scales: int) -> None:
    """Raise ValueError unless at least one scale is left to be made anew."""
    if not (is_whole(keep_scales) and 0 <= keep_scales < num_scales):
        raise ValueError(f"keep_scales must be a whole number from 0 to {num_scales - 1}, not {keep_scales!r}")


def given_scales(num_tokens: int, patch_nums: Sequence[int]) -> Sequence[int]:
    """The sides of the first scales that have so many tokens together.

    Args:
        num_tokens: of these scales, joined.
        patch_nums: side of the token map of each scale of the model.

    Raises:
        ValueError: no first scales have so many, or no scale would be left to be drawn.
    """
    sums = list(accumulate(side**2 for side in patch_nums))
    if num_tokens not in sums[:-1]:
        counts = ", ".join(map(str, sums[:-1])) or "none, for it has one scale only"
        raise ValueError(
            f"first_tokens must be those of the first scales, all of each, and leave at least one to be drawn: with "
            f"this checkpoint {counts}; found {num_tokens}"
        )
    return patch_nums[: sums.index(num_tokens) + 1]


def last_result(steps: Iterator[Step]) -> Result:
    """Run a generation to its end, where nothing stops it."""
    result = None
    for step in steps:
        result = step.result
    assert result is not None, "the last step of a generation carries its result"
    return result
