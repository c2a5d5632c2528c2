"""The images of a run while it computes, for a small share of its time.

Letters: B images, C latent channels, N side of the latent.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing

import torch
from PIL.Image import Image
from torch import Tensor

from ..device import synchronize
from ..pictures.pixels import from_pil, to_pil
from ..pipeline import VARPipeline
from ..sampling.decoding import decode_latents
from ..sampling.steps import Result, Step
from ..sampling.stopping import StopSignal
from .sketch import Sketch

BUDGET = 0.05
MOST_LEARNED = 8  # images of one run
ROWS_ENOUGH = 40  # places for each feature, after which the sketch hardly gets better
PRACTICE_IMAGES = 4
PRACTICE_SECONDS, MOST_PRACTICE_SECONDS = 1.0, 30.0
RECENT = 5  # sketches, of which the fastest tells what one takes: a busy machine only adds to it
PATIENCE = 0.9  # sketches that took long are tried again after a while


class Previewer:
    """Shows the scales of runs, and sees to it that this costs no more than its share.

    Where the share suffices, all images go through the decoder; else they are sketched, once the sketch has learned
    enough from images that were decoded; else the first ones go through the decoder, as many as the share allows; else
    the scale is not shown. One run at a time, in the thread that computes.

    Args:
        pipeline: what makes the images.
        budget: share of the time since the start of a run that its previews may take, 0 to 1.
        clock: seconds that pass.
    """

    def __init__(self, pipeline: VARPipeline, budget: float = BUDGET, clock: Callable[[], float] = time.perf_counter):
        self.pipeline = pipeline
        self.budget = budget
        self.sketch = Sketch(pipeline.vqvae.config.z_channels, pipeline.image_size)
        self.decode_seconds: float | None = None  # of one image
        self.probe_seconds = 0.0  # of a guess
        self.recent_sketches: deque[float] = deque(maxlen=RECENT)  # seconds of one image
        self.spent = 0.0  # in this run
        self._clock = clock
        self._start: float | None = None

    def start(self) -> float:
        """Begin a run; returns the time."""
        synchronize(self.pipeline.device)
        start, self.spent = self._clock(), 0.0
        self._start = start
        return start

    def offer(self, step: Step) -> list[Image] | None:
        """Images to show after a scale.

        Args:
            step: of this run; each of them should be offered.

        Returns:
            The images so far, in full size; fewer than there are, or None, where time is short. With the last step,
            the images of its result.
        """
        start = self._start if self._start is not None else self.start()
        if step.result is not None:
            self.learn(step.result)
            self._start = None
            return step.result.pil_images
        synchronize(self.pipeline.device)
        begin = self._clock()
        shown = self._images(step, self.budget * (begin - start) - self.spent)
        self.spent += self._clock() - begin
        return shown

    def _images(self, step: Step, left: float) -> list[Image] | None:
        """What can be shown in so many seconds."""
        latents = torch.cat(list(step.decoding.latents)) if step.decoding.latents else None  # (b, C, N, N)
        if latents is None or left <= 0:  # None: a part of the batch is done
            return step.finished() or None
        seconds = self.decode_seconds if self.decode_seconds is not None else self._probe(latents)
        affordable = int(left / max(seconds, 1e-9))
        if affordable >= len(latents):
            return step.finished() + self._decode(latents)
        fastest = min(self.recent_sketches, default=0.0)
        if self.sketch.ready and fastest * len(latents) <= left:
            return step.finished() + self._draw(latents)
        if self.sketch.ready:
            self.recent_sketches = deque([PATIENCE * fastest], RECENT)
            return None
        if affordable > 0:
            return step.finished() + self._decode(latents[:affordable])
        if self.probe_seconds <= left:
            self._probe(latents)
        return step.finished() or None

    def _decode(self, latents: Tensor) -> list[Image]:
        """Through the decoder; learns from it."""
        begin = self._clock()
        images = decode_latents(self.pipeline.vqvae, [latents])  # (b, 3, H, W)
        pictures = to_pil(images)
        self.decode_seconds = (self._clock() - begin) / len(latents)
        self.sketch.learn(latents, images)
        return pictures

    def _draw(self, latents: Tensor) -> list[Image]:
        """By the sketch."""
        begin = self._clock()
        pictures = self.sketch.draw(latents)
        self.recent_sketches.append((self._clock() - begin) / len(latents))
        return pictures

    def _probe(self, latents: Tensor) -> float:
        """Return a guess of the seconds that decoding an image takes, from a sixteenth of one; the best guess counts.

        The first time of all takes much longer.
        """
        side = max(1, latents.shape[-1] // 4)
        begin = self._clock()
        decode_latents(self.pipeline.vqvae, [latents[:1, :, :side, :side]])
        synchronize(self.pipeline.device)
        self.probe_seconds = self._clock() - begin
        guess = self.probe_seconds * (latents.shape[-1] / side) ** 2
        self.decode_seconds = min(guess, self.decode_seconds or guess)
        return self.decode_seconds

    def learn(self, result: Result) -> None:
        """Let the sketch learn from the images of a run, which were decoded anyway, until it has seen enough."""
        if self.sketch.rows >= ROWS_ENOUGH * self.sketch.num_features:
            return
        images = result.images[:MOST_LEARNED]
        if not isinstance(images, Tensor):
            pixels = torch.cat([from_pil(image, self.pipeline.image_size) for image in images])  # (b, 3, H, W)
            images = pixels.add(1).mul(0.5)
        self.sketch.learn(result.latents[: len(images), -1], images)

    def practise(self, stop: StopSignal) -> Iterator[None]:
        """Teach the sketch before the first run, on a few images made for it; for once a model is loaded.

        It goes on until the sketch is ready, and then for as long as `PRACTICE_SECONDS`, unless that takes more than
        `MOST_PRACTICE_SECONDS`.

        Args:
            stop: once set, it ends within a block of the transformer.

        Yields:
            After each scale that it makes.
        """
        num_classes, start = self.pipeline.var.config.num_classes, self._clock()
        count = min(PRACTICE_IMAGES, num_classes)
        for index in range(count):
            label, ends = index * num_classes // count, Deadline(start + MOST_PRACTICE_SECONDS, self._clock, stop)
            with closing(self.pipeline.stream([label], seed=[index], cfg_scale=0.0, stop=ends)) as steps:
                for step in steps:
                    self._learn_at(step, start + PRACTICE_SECONDS)
                    yield
            if self.sketch.ready and self._clock() > start + PRACTICE_SECONDS or ends.is_set():
                return

    def _learn_at(self, step: Step, deadline: float) -> None:
        """Learn from a scale: from the last one anyway, for it was decoded, from the others while there is time."""
        if step.result is not None:
            self.learn(step.result)
            return
        latents = torch.cat(list(step.decoding.latents))
        seconds = self.decode_seconds
        if seconds is None:
            self._probe(latents)
            seconds = self._probe(latents)
        if self._clock() + seconds <= deadline:
            self._decode(latents)


class Deadline:
    """A stop signal that is set from a time on, or with another one.

    Args:
        end: the time.
        clock: tells it.
        other: the other signal.
    """

    def __init__(self, end: float, clock: Callable[[], float], other: StopSignal):
        self.end, self.clock, self.other = end, clock, other

    def is_set(self) -> bool:
        """Whether it is later, or the other one is set."""
        return self.other.is_set() or self.clock() > self.end
