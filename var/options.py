"""The options of sampling, and the rules that they keep."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index

MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class SamplingOptions:
    """What to sample, and how.

    Args:
        class_labels: class index of each image; None for the unconditional class.
        seed: an int seeds one generator for the whole batch, draw for draw as the reference implementation; a sequence
            of ints seeds one generator an image, so that an image does not depend on its neighbours.
        cfg_scale: strength of classifier-free guidance, >= 0; grows linearly from 0 at the first scale. 0 is off.
        top_k: draw among the k likeliest tokens; 0, or the size of the vocabulary and more, is off.
        top_p: draw among the likeliest tokens that hold this share of the probability, 0 to 1; 0 is off.
        more_smooth: embed a soft mixture of tokens instead of the drawn one: smoother, less diverse.
        temperature: divides the logits, > 0; 1 leaves them.
    """

    class_labels: Sequence[int | None]
    seed: int | Sequence[int] = 0
    cfg_scale: float = 4.0
    top_k: int = 900
    top_p: float = 0.95
    more_smooth: bool = False
    temperature: float = 1.0

    def __post_init__(self):
        """Keep own copies of the sequences, as plain tuples; tensors and arrays are welcome."""
        object.__setattr__(self, "class_labels", plain(self.class_labels))
        object.__setattr__(self, "seed", plain(self.seed))

    @property
    def batch_size(self) -> int:
        """Number of images."""
        return len(self.class_labels)

    @property
    def seeded_by_image(self) -> bool:
        """Whether each image has a generator of its own."""
        return isinstance(self.seed, tuple)

    def check(self, num_classes: int) -> None:
        """Check every option against its rule.

        Args:
            num_classes: classes of the model.

        Raises:
            ValueError: an option breaks its rule; the message states it.
        """
        if not isinstance(self.class_labels, tuple) or not self.class_labels:
            raise ValueError(f"class_labels must be a list of at least one class, not {self.class_labels!r}")
        for label in self.class_labels:
            if label is not None and not (is_whole(label) and 0 <= label < num_classes):
                raise ValueError(f"a class label must be 0 to {num_classes - 1}, or None for no class, not {label!r}")
        for seed in self.seed if self.seeded_by_image else (self.seed,):
            if not (is_whole(seed) and 0 <= seed <= MAX_SEED):
                raise ValueError(f"a seed must be a whole number from 0 to 2**63 - 1, not {seed!r}")
        if self.seeded_by_image and len(self.seed) != self.batch_size:
            raise ValueError(
                f"a list of seeds must have one for each of the {self.batch_size} class labels, not {len(self.seed)}"
            )
        if not (is_real(self.cfg_scale) and self.cfg_scale >= 0):
            raise ValueError(f"cfg_scale must be a finite number of at least 0 (0: off), not {self.cfg_scale!r}")
        if not (is_whole(self.top_k) and self.top_k >= 0):
            raise ValueError(f"top_k must be a whole number of at least 0 (0: off), not {self.top_k!r}")
        if not (is_real(self.top_p) and 0 <= self.top_p <= 1):
            raise ValueError(f"top_p must be a number from 0 to 1 (0: off), not {self.top_p!r}")
        if not (is_real(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature must be a finite number above 0 (1: none), not {self.temperature!r}")
        if not isinstance(self.more_smooth, bool):
            raise ValueError(f"more_smooth must be True or False, not {self.more_smooth!r}")


def plain(value):
    """A sequence, tensor or array as a tuple; anything else as it is."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def is_whole(value) -> bool:
    """Whether a value is an integer of any kind; True and False are not."""
    try:
        return not isinstance(value, bool) and index(value) is not None
    except TypeError:
        return False


def is_real(value) -> bool:
    """Whether a value is a finite number of any kind."""
    try:
        return not isinstance(value, bool | str) and math.isfinite(value)
    except TypeError:
        return False
