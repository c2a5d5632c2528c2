"""The options of sampling, what they mean at each scale, and the rules that they keep."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from .declaration import MOST_NUMBER, Declaration, is_whole, option

if TYPE_CHECKING:
    from typing_extensions import TypeIs

MAX_SEED = MOST_NUMBER
CFG_CURVES = ("ramp", "constant")
OF_THE_BATCH = ("class_labels", "seed")  # options that have a value an image


@dataclass(frozen=True)
class ScaleOptions:
    """What holds at one scale.

    Args:
        guidance: t of logits = (1 + t) · conditional - t · unconditional, >= 0.
        top_k: draw among the k likeliest tokens; 0 is off.
        temperature: divides the logits, > 0.
    """

    guidance: float
    top_k: int
    temperature: float


@dataclass(frozen=True)
class SamplingOptions:
    """What to sample, and how; a field is all that commands, API, page, links, PNGs and comparisons know of it.

    Args:
        class_labels: class index of each image; None for the unconditional class.
        seed: an int seeds one generator for the whole batch, draw for draw as the reference implementation; a sequence
            of ints seeds one generator an image, so that an image does not depend on its neighbours.
        cfg_scale: strength of classifier-free guidance, >= 0; 0 is off. One number, which follows `cfg_curve`; or a
            sequence of one for each scale, the guidance there, which leaves `cfg_curve`, `cfg_start` and `cfg_end` at
            their defaults.
        top_k: draw among the k likeliest tokens; 0, or the size of the vocabulary and more, is off. One number, or a
            sequence of one for each scale.
        top_p: draw among the likeliest tokens that hold this share of the probability, 0 to 1; 0 is off.
        more_smooth: embed a soft mixture of tokens instead of the drawn one: smoother, less diverse.
        temperature: divides the logits, > 0; 1 leaves them. One number, or a sequence of one for each scale.
        cfg_curve: "ramp": guidance grows linearly from 0 at the first scale to `cfg_scale` at the last, as in the
            reference implementation; "constant": it is `cfg_scale` at every scale.
        cfg_start: the first scale with guidance, 0-based; the curve stays where it is.
        cfg_end: the first scale without guidance again; 0 is off: guidance goes on to the last scale. From there on
            only half is computed, and most of the time goes into the last scales.
    """

    class_labels: Sequence[int | None]
    seed: int | Sequence[int] = 0
    cfg_scale: float | Sequence[float] = option(
        4.0,
        "Guidance",
        "strength of guidance: higher keeps closer to the class, lower varies more, 0 is off",
        remark="0: off",
        by_scale=True,
        step=0.1,
        offered=10,
        suggested=(0, 1.5, 4, 8),
        link="cfg",
        written="CFG scale",
    )
    top_k: int | Sequence[int] = option(
        900,
        "Top-k",
        "draw each token from the k likeliest, 0 is off",
        remark="0: off",
        by_scale=True,
        suggested=(0, 10, 100, 900),
    )
    top_p: float = option(
        0.95,
        "Top-p",
        "draw from the likeliest tokens that make up this probability, 0 is off",
        most=1,
        remark="0: off",
        step=0.01,
        suggested=(0.6, 0.8, 0.95, 1),
    )
    more_smooth: bool = option(
        False,
        "More smooth",
        "blend tokens instead of picking one (Gumbel softmax): softer, less diverse images",
        suggested=(False, True),
        link="smooth",
    )
    temperature: float | Sequence[float] = option(
        1.0,
        "Temperature",
        "below 1 likelier tokens, above 1 more surprising ones",
        above=True,
        remark="1: none",
        by_scale=True,
        step=0.05,
        offered=2,
        suggested=(0.7, 1, 1.3),
    )
    cfg_curve: str = option(
        "ramp",
        "Guidance curve",
        "rising from 0 at the first scale, as in the paper (ramp), or the same at all scales (constant)",
        choices=CFG_CURVES,
        suggested=CFG_CURVES,
        link="curve",
        written="CFG curve",
    )
    cfg_start: int = option(
        0,
        "Start guidance after scale",
        "how many scales come before guidance, 0 starts with the first",
        names_scale=True,
        suggested=(0, 1, 2),
        written="CFG start",
    )
    cfg_end: int = option(
        0,
        "Stop guidance after scale",
        "how many scales come before guidance stops, which saves up to half of the time; 0 never stops",
        names_scale=True,
        remark="0: off",
        suggested=(0, 1, 2),
        written="CFG end",
    )

    def __post_init__(self) -> None:
        """Keep own copies of the sequences, as plain tuples; tensors and arrays are welcome."""
        for name in (*OF_THE_BATCH, *BY_SCALE):
            object.__setattr__(self, name, plain(getattr(self, name)))

    @property
    def batch_size(self) -> int:
        """Number of images."""
        return len(self.class_labels)

    @property
    def seeded_by_image(self) -> bool:
        """Whether each image has a generator of its own."""
        return has_several(self.seed)

    @property
    def seeds(self) -> Sequence[int]:
        """The seed of each image, or the one of the whole batch."""
        return self.seed if has_several(self.seed) else (self.seed,)

    def at_scale(self, scale_index: int, num_scales: int) -> ScaleOptions:
        """What holds at one scale.

        Args:
            scale_index: 0-based.
            num_scales: of the model.
        """
        return ScaleOptions(
            guidance=self._guidance(scale_index, num_scales),
            top_k=self.top_k[scale_index] if has_several(self.top_k) else self.top_k,
            temperature=self.temperature[scale_index] if has_several(self.temperature) else self.temperature,
        )

    def _guidance(self, scale_index: int, num_scales: int) -> float:
        if has_several(self.cfg_scale):
            return self.cfg_scale[scale_index]
        if not self.cfg_start <= scale_index < (self.cfg_end or num_scales):
            return 0.0
        rise = scale_index / max(1, num_scales - 1) if self.cfg_curve == "ramp" else 1.0
        return self.cfg_scale * rise

    def guided_scales(self, num_scales: int) -> int:
        """How many scales, from the first on, need the unconditional half: up to the last one with guidance."""
        guided = [s for s in range(num_scales) if self.at_scale(s, num_scales).guidance > 0]
        return guided[-1] + 1 if guided else 0

    def check(self, num_classes: int, num_scales: int | None = None) -> None:
        """Check every option against its rule.

        Args:
            num_classes: classes of the model.
            num_scales: scales of the model; None where they are not known, so that what depends on them is not checked.

        Raises:
            ValueError: an option breaks its rule; the message states it.
        """
        if not isinstance(self.class_labels, tuple) or not self.class_labels:
            raise ValueError(f"class_labels must be a list of at least one class, not {self.class_labels!r}")
        for label in self.class_labels:
            if label is not None and not (is_whole(label) and 0 <= label < num_classes):
                raise ValueError(f"a class label must be 0 to {num_classes - 1}, or None for no class, not {label!r}")
        for seed in self.seeds:
            if not (is_whole(seed) and 0 <= seed <= MAX_SEED):
                raise ValueError(f"a seed must be a whole number from 0 to 2**63 - 1, not {seed!r}")
        if self.seeded_by_image and len(self.seeds) != self.batch_size:
            raise ValueError(
                f"a list of seeds must have one for each of the {self.batch_size} class labels, not {len(self.seeds)}"
            )
        for name, said in DECLARATIONS.items():
            given = getattr(self, name)
            for value in given if said.by_scale and has_several(given) else (given,):
                if not said.allows(value, num_scales):
                    raise ValueError(f"{name} must be {said.rule(num_scales)}, not {value!r}")
            if has_several(given) and num_scales is not None and len(given) != num_scales:
                raise ValueError(f"{name} must be one number, or {num_scales}, one for each scale, not {len(given)}")
        if has_several(self.cfg_scale) and (self.cfg_curve, self.cfg_start, self.cfg_end) != (CFG_CURVES[0], 0, 0):
            raise ValueError(
                "cfg_scale has a value for each scale, so cfg_curve, cfg_start and cfg_end would change nothing; "
                "leave them out, or give one cfg_scale"
            )
        if 0 < self.cfg_end <= self.cfg_start:
            raise ValueError(
                f"cfg_end must be 0 (off) or greater than cfg_start, {self.cfg_start}, not {self.cfg_end!r}; "
                "cfg_scale=0 turns guidance off altogether"
            )


# Of the options that all images of a batch share, by name.
DECLARATIONS: dict[str, Declaration] = {
    field.name: field.metadata["said"] for field in fields(SamplingOptions) if field.name not in OF_THE_BATCH
}
BY_SCALE = tuple(name for name, said in DECLARATIONS.items() if said.by_scale)


def option_names() -> list[str]:
    """The options that all images of a batch share."""
    return list(DECLARATIONS)


def help_of(name: str, by_scale: bool = True) -> str:
    """What the values of an option do, and which it may have.

    Args:
        name: of `option_names`.
        by_scale: whether a value for each scale may be given, where the option has such.
    """
    said = DECLARATIONS[name]
    text = said.help if said.is_switch or said.choices else f"{said.help} ({said.bounds()})"
    return f"{text}; one number, or one for each scale" if by_scale and said.by_scale else text


def has_several(value: object) -> "TypeIs[Sequence[Any]]":
    """Whether an option has a value for each image or scale; `SamplingOptions` keeps these as a tuple."""
    return isinstance(value, tuple)


def plain(value: Any) -> Any:
    """A sequence, tensor or array as a tuple; anything else as it is."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
