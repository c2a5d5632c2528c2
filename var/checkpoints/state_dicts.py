"""The state dicts in what a file holds: where they are, and which are a VAR or its VQVAE, whatever is around them.

Nothing is taken for granted of the content: any value may be of any kind, hold itself, or be repeated a million times.
"""

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import CheckpointError
from ..formats.pickle_objects import Global, StandIn
from ..formats.tensors import StoredTensor
from ..text import one_line

StateDict = dict[str, StoredTensor]

VAR, VQVAE = "VAR", "VQVAE"
# Keys that tell the two models apart; half of them is enough, so that a damaged model is still named as what it is.
MARKS = {
    VAR: ("class_emb.weight", "pos_start", "pos_1LC", "lvl_embed.weight", "word_embed.weight", "head.weight"),
    VQVAE: ("quantize.embedding.weight", "encoder.conv_in.weight", "decoder.conv_in.weight", "quant_conv.weight"),
}
# The parts that each model is made of. What is beside them and cannot be a weight is left alone.
ROOTS = {
    VAR: frozenset(
        """word_embed class_emb pos_start pos_1LC lvl_embed lvl_1L attn_bias_for_masking blocks shared_ada_lin head_nm
        head""".split()
    ),
    VQVAE: frozenset("encoder decoder quantize quant_conv post_quant_conv".split()),
}
OWN_NAMES = frozenset("weight bias q_bias v_bias zero_k_bias scale_mul_1H11 ada_gss ema_vocab_hit_SV".split())
# Parts that wrappers put into names, anywhere and repeatedly.
WRAPPER_PARTS = frozenset(
    (
        "module",  # DistributedDataParallel, DataParallel, DeepSpeed, AveragedModel
        "_orig_mod",  # torch.compile
        "_fsdp_wrapped_module",  # FullyShardedDataParallel
        "_checkpoint_wrapped_module",  # activation checkpointing
        "_forward_module",  # Lightning Fabric
    )
)
EMA_COUNTERS = frozenset(("n_averaged", "num_updates", "initted", "step", "decay"))  # beside the weights of an EMA

OPTIMIZER, EMA, RAW_WEIGHTS, DISCRIMINATOR = "optimizer", "EMA weights", "raw weights", "discriminator"
LABELS = (
    (OPTIMIZER, re.compile(r"(?<![A-Za-z])opt(?![a-z])|[Oo]ptim(i[sz]er|(?![a-z]))|exp_avg")),
    (EMA, re.compile(r"(?<![A-Za-z])ema|Ema|EMA|[Ss]hadow|[Aa]veraged")),
    (DISCRIMINATOR, re.compile(r"(?<![A-Za-z])(disc|loss|lpips)|Disc|Loss|LPIPS")),
)
RAW = re.compile(r"(?<![A-Za-z])(online|raw|current)(?![a-z])")  # within an EMA: the weights that it averages
USAGE_BUFFER = "ema_vocab_hit_SV"  # of the VQVAE, and no EMA of weights

MAX_DEPTH = 12  # of containers in containers that are looked into; a trainer's optimizer has 6
MAX_NAME = 250  # characters of a weight's name; longer ones belong to no model
MAX_PART = 60  # characters kept of a key in a place
MAX_MODELS = 16  # in one file


@dataclass(frozen=True, eq=False)
class Container:
    """A dict or list somewhere in the content.

    Args:
        content: what it is.
        place: the keys that lead to it.
        parent: what holds it; None for the content as a whole.
    """

    content: Mapping[Any, Any] | Sequence[Any]
    place: tuple[str, ...] = ()
    parent: "Container | None" = None

    def items(self) -> Iterator[tuple[object, object]]:
        """Keys, or indices, and values."""
        yield from self.content.items() if isinstance(self.content, Mapping) else enumerate(self.content)

    def weights(self) -> Iterator[tuple[str, StoredTensor | StandIn | Global]]:
        """Official names of what may be weights: tensors, and objects where a tensor should be."""
        if not isinstance(self.content, Mapping):
            return
        for key, value in self.content.items():
            if isinstance(value, StoredTensor | StandIn | Global) and isinstance(key, str) and len(key) <= MAX_NAME:
                yield official_name(key), value

    def around(self) -> list[Mapping[Any, Any]]:
        """The dicts that lead to it and itself, the outermost first."""
        above = self.parent.around() if self.parent is not None else []
        return [*above, self.content] if isinstance(self.content, Mapping) else above


@dataclass(frozen=True, eq=False)
class Model:
    """A state dict that was found, perhaps with weights missing, perhaps among other things.

    Args:
        kind: `VAR` or `VQVAE`.
        container: the dict that holds its weights.
        prefix: what stands before each of its names in that dict, wrappers' parts left out; "" or text ending in ".".
        beside: what other models in the same dict are, with their prefixes.
        is_ema: whether its weights are averages over the training.
    """

    kind: str
    container: Container
    prefix: str
    beside: list[tuple[str, str]] = field(default_factory=list, repr=False)
    is_ema: bool = False

    @property
    def place(self) -> tuple[str, ...]:
        """The keys that lead to it, and the parts of its prefix."""
        return (*self.container.place, *(part for part in self.prefix.split(".") if part))

    def owns(self, name: str) -> bool:
        """Whether a name in its dict is one of its own weights'."""
        if not name.startswith(self.prefix):
            return False
        root = name[len(self.prefix) :].partition(".")[0]
        if root in EMA_COUNTERS or label_of((root,)) is not None:
            return False
        for kind, prefix in self.beside:
            if prefix == self.prefix and (root in ROOTS[VQVAE]) == (kind == VQVAE):
                return False
            if len(prefix) > len(self.prefix) and name.startswith(prefix):
                return False
        return True

    def weights(self) -> StateDict:
        """Its weights under their official names.

        Raises:
            CheckpointError: a name is there twice, or is that of something else than a tensor.
        """
        found: StateDict = {}
        for name, value in self.container.weights():
            if not self.owns(name):
                continue
            own = name[len(self.prefix) :]
            if not self._is_needed(own, value):
                continue
            if isinstance(value, StandIn | Global):
                raise CheckpointError(describe_object(own, value))
            if own in found:
                raise CheckpointError(
                    f"The key {own} is there twice, with and without a wrapper's prefix (`module.`, `_orig_mod.`). "
                    "Expected one state dict: save the model you want alone."
                )
            found[own] = value
        return found

    def _is_needed(self, name: str, value: StoredTensor | StandIn | Global) -> bool:
        """Whether something is, or stands for, one of its weights.

        Within its own parts all tensors count, and floating-point ones elsewhere, so that a changed model is not taken
        for it. The rest is somebody's notes, such as a step or the state of a random generator.
        """
        root, leaf = name.partition(".")[0], name.rpartition(".")[2]
        if isinstance(value, StoredTensor):
            return root in ROOTS[self.kind] or value.is_floating_point()
        return root in ROOTS[self.kind] and (leaf in OWN_NAMES or leaf in ROOTS[self.kind])


def describe_object(name: str, value: StandIn | Global) -> str:
    """Say that something else stands where a weight should be, and what to do."""
    found = f"{one_line(name, MAX_PART)} is a {one_line(value.name, MAX_PART)}, not an ordinary tensor."
    if value.name.startswith("torch.distributed."):
        return (
            f"{found} It is one part of a weight that is spread over several processes. Gather them where the model "
            "was trained: torch.save of get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, "
            "cpu_offload=True)), both from torch.distributed.checkpoint.state_dict."
        )
    return f"{found} Expected plain floating-point tensors: save the model's state_dict() with such."


def official_name(key: str) -> str:
    """Remove the parts that wrappers put into a weight's name, wherever and however often they occur."""
    if not any(part in key for part in WRAPPER_PARTS):
        return key
    return ".".join(part for part in key.split(".") if part not in WRAPPER_PARTS)


def label_of(parts: Sequence[str]) -> str | None:
    """What kind of tensors a place or a name speaks of: `OPTIMIZER`, `EMA`, `DISCRIMINATOR`, or None for a model's."""
    for label, pattern in LABELS:
        if any(pattern.search(part) for part in parts if part != USAGE_BUFFER):
            return label
    return None


def walk(content: object) -> Iterator[Container]:
    """Every dict and list in the content once, the outer ones first, down to a depth."""
    seen: set[int] = set()
    waiting = deque([Container(content)] if isinstance(content, Mapping | list | tuple) else [])
    while waiting:
        container = waiting.popleft()
        if id(container.content) in seen:
            continue
        seen.add(id(container.content))
        yield container
        if len(container.place) < MAX_DEPTH:
            waiting.extend(
                Container(value, (*container.place, _part(key)), container)
                for key, value in container.items()
                if isinstance(value, Mapping | list | tuple) and id(value) not in seen
            )


def _part(key: object) -> str:
    """A key as a part of a place."""
    if isinstance(key, str):
        return "".join(letter if letter.isprintable() else " " for letter in key[:MAX_PART])
    if type(key) is int and abs(key) < 2**63:
        return str(key)
    return f"<{type(key).__name__}>"


def find_models(containers: Sequence[Container]) -> list[Model]:
    """Every VAR and VQVAE, by the names of weights that tell them; an optimizer's state is none."""
    found: list[Model] = []
    for container in containers:
        counts: Counter[tuple[str, str]] = Counter()
        for name, _ in container.weights():
            counts.update(_marked(name))
        here = [key for key, count in counts.items() if 2 * count >= len(MARKS[key[0]])]
        models = [
            Model(kind, container, prefix, [other for other in here[:MAX_MODELS] if other != (kind, prefix)])
            for kind, prefix in here[:MAX_MODELS]
        ]
        found += [model for model in models if label_of(model.place) != OPTIMIZER]
        if len(found) >= MAX_MODELS:
            break
    found = found[:MAX_MODELS]
    return [replace(model, is_ema=_is_ema(model, found)) for model in found]


def _is_ema(model: Model, models: Sequence[Model]) -> bool:
    """Whether a model's weights are averages over the training, by the names of what holds them.

    What keeps an average may keep what it averages, too (ema-pytorch: `ema.ema_model` and `ema.online_model`): a name
    says so, or of two models in it one is called an average itself.
    """
    place = model.place
    outer = next((index for index, part in enumerate(place) if label_of((part,)) == EMA), None)
    if outer is None:
        # Lightning's WeightAveraging swaps them: the averages are under `state_dict` in its checkpoints
        around = model.container.around()
        return place[:1] == ("state_dict",) and "averaging_state" in around[0]
    inside = place[outer + 1 :]
    if label_of(inside) == EMA:
        return True
    if any(RAW.search(part) for part in inside):
        return False
    others = [other.place for other in models if other.kind == model.kind and other is not model]
    return not any(other[: outer + 1] == place[: outer + 1] and label_of(other[outer + 1 :]) == EMA for other in others)


_ALL_MARKS = tuple(mark for marks in MARKS.values() for mark in marks)


def _marked(name: str) -> Iterator[tuple[str, str]]:
    """The kind of model that a name tells, and the prefix before it."""
    if name.endswith(_ALL_MARKS):
        for kind, marks in MARKS.items():
            for mark in marks:
                prefix = name.removesuffix(mark)
                if len(prefix) < len(name) and (not prefix or prefix.endswith(".")):
                    yield kind, prefix


def sum_ignored(containers: Sequence[Container], used: Sequence[StateDict], twins: Sequence[Model]) -> dict[str, int]:
    """Bytes of what was not used, by what it is.

    Args:
        containers: all that the content holds.
        used: the weights that were taken.
        twins: the models of which the file has both averaged and raw weights.
    """
    seen = {id(tensor.storage) for state in used for tensor in state.values()}
    total: Counter[str] = Counter()
    for container in containers:
        outer = label_of(container.place)
        here = [model for model in twins if model.container is container]
        for key, value in container.items():
            if not isinstance(value, StoredTensor) or id(value.storage) in seen:
                continue
            name = official_name(key) if isinstance(key, str) and len(key) <= MAX_NAME else ""
            if outer in (None, EMA) and name.rpartition(".")[2] in EMA_COUNTERS:
                continue
            seen.add(id(value.storage))
            owner = next((model for model in here if model.owns(name)), None)
            label = outer or label_of(name.split(".")) or "other tensors"
            if owner is not None:
                label = EMA if owner.is_ema else RAW_WEIGHTS
            total[label] += value.storage.nbytes
    return dict(total.most_common())
