"""Presets: settings that go well together, under a name."""

from dataclasses import dataclass, fields

from ..hub.known_models import KnownModel
from .options import SamplingOptions


@dataclass(frozen=True)
class Preset:
    """Settings of sampling under a name; those that are not here have their defaults.

    Args:
        key: a word for commands.
        name: for people.
        description: one line.
        cfg_scale: strength of guidance; 0 is off.
        top_k: 0 is off.
        top_p: 0 is off.
        more_smooth: embed mixtures of tokens.
    """

    key: str
    name: str
    description: str
    cfg_scale: float = SamplingOptions.cfg_scale
    top_k: int = SamplingOptions.top_k
    top_p: float = SamplingOptions.top_p
    more_smooth: bool = SamplingOptions.more_smooth

    def settings(self, vocab_size: int | None = None) -> dict:
        """A value for every option of sampling but the classes and seeds.

        Args:
            vocab_size: of the model; bounds top-k, so that a control can show it. None for no bound.
        """
        own = {field.name for field in fields(self)}
        settings = {
            field.name: getattr(self if field.name in own else SamplingOptions, field.name)
            for field in fields(SamplingOptions)
            if field.name not in ("class_labels", "seed")
        }
        if vocab_size is not None:
            settings["top_k"] = min(self.top_k, vocab_size)
        return settings


# Quality and Smooth: the reference implementation's demo. Faithful: its README, for measuring FID.
PRESETS = (
    Preset("quality", "Quality", "Strong guidance: clear, typical images"),
    Preset("faithful", "Faithful to the paper", "As it measures: more diverse, less polished", 1.5, top_p=0.96),
    Preset("smooth", "Smooth", "Blends tokens instead of picking one: softer, less diverse", more_smooth=True),
    Preset("no-guidance", "No guidance", "The model as it is, a third faster", cfg_scale=0.0),
)


def presets_for(own: KnownModel | None = None) -> tuple[Preset, ...]:
    """The presets for a checkpoint, the one to begin with first.

    Args:
        own: the checkpoint's row among the known models; None for any other.
    """
    if own is None:
        return PRESETS
    first = Preset("own", "This checkpoint", "As its authors sample it", own.cfg_scale, own.top_k, own.top_p)
    return (first, *PRESETS)
