"""Reading a pickle without running it.

A pickle is a program for a small machine that may import anything and call it. The machine here can do neither: it
builds plain containers, numbers, text and descriptions of tensors. Every other object is replaced by a stand-in that
keeps its name and nothing else, and what would have been called is written down.
"""

import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..errors import CheckpointError
from .pickle_objects import (
    BUILDERS,
    DAMAGED,
    SIZED,
    Attributes,
    Global,
    StandIn,
    checked_key,
    is_harmful,
    is_plain,
    pairs,
    shown,
)
from .tensors import Storage

MAX_PICKLE_BYTES = 16 << 20  # a trainer's file of depth 36, optimizer included, has about 2 MB
MAX_STEPS = 1_000_000  # the same file has about 150,000
MAX_MEMORY = 64 << 20  # bytes that the objects may take, by the estimates below
OBJECT_BYTES = 96  # an empty dict, list or number with its place in a container
SET_BYTES = 216  # an empty set
CHARACTER_BYTES = 4  # the widest text
MAX_SHOWN_CALLS = 20
MAX_NAME = 300  # characters of the name of a class or function
MAX_MEMO = 1 << 32  # places; the opcodes of today have four bytes for one


@dataclass(frozen=True)
class Unpickled:
    """What a pickle says.

    Args:
        value: plain containers, numbers, text, `StoredTensor`, `StandIn` and `Global`.
        stand_ins: names of what was replaced, sorted.
        calls: what it would have called of that, as text, at most `MAX_SHOWN_CALLS`.
        harmful: those of the names that are the means of an attack.
    """

    value: Any
    stand_ins: tuple[str, ...]
    calls: tuple[str, ...]
    harmful: tuple[str, ...]

    @property
    def attack(self) -> str | None:
        """What the pickle would have done elsewhere, and what to do; None where nothing in it is harmful.

        Nothing of it was imported or run.
        """
        if not self.harmful:
            return None
        would = next((call for call in self.calls if call.split("(")[0] in self.harmful), None)
        found = f"would have called {would[:200]}" if would else f"asks for {', '.join(self.harmful[:3])}"
        return (
            f"The file's pickle {found}, which no checkpoint does: it may be an attack. Nothing of it was run. Do not "
            "open it with other programs; get the checkpoint from its author again, best as .safetensors."
        )


def read_pickle(source: bytes | BinaryIO, find_storage: Callable[[Any], Storage | None] | None = None) -> Unpickled:
    """Read one pickle of any protocol.

    Args:
        source: its bytes; a file is read from where it stands.
        find_storage: returns the storage that a persistent id of torch names, None for one of an unknown kind; without
            it there may be no such id.

    Raises:
        CheckpointError: it is damaged, or asks for more memory or time than a checkpoint does.
    """
    machine = _Machine(find_storage)
    try:
        for opcode, argument, _ in pickletools.genops(source):
            machine.step(opcode.name, argument)
            if opcode.name == "STOP":
                return machine.result()
    except CheckpointError:
        raise
    except Exception as error:  # damaged or hostile content can break any assumption
        raise CheckpointError(DAMAGED) from error
    raise CheckpointError(DAMAGED)


class _Machine:
    """The stack, the memo, and the account of what they take."""

    def __init__(self, find_storage: Callable[[Any], Storage | None] | None) -> None:
        self.stack: list[Any] = []
        self._below_marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._find_storage = find_storage
        self._names: set[str] = set()
        self._calls: list[str] = []
        self._called: set[str] = set()
        self._num_steps = 0
        self._memory = 0

    def step(self, opcode: str, argument: Any) -> None:
        """Carry out one opcode."""
        self.charge(1, len(argument) * CHARACTER_BYTES if isinstance(argument, SIZED) else 0)
        _ACTIONS[opcode](self, argument)

    def charge(self, steps: int, num_bytes: int = 0) -> None:
        """Put steps and memory on the account; what a call copies counts as steps, too."""
        self._num_steps += steps
        self._memory += steps * OBJECT_BYTES + num_bytes
        if self._num_steps > MAX_STEPS or self._memory > MAX_MEMORY:
            raise CheckpointError(
                "The file's pickle asks for more objects than a checkpoint of VAR has "
                f"(over {self._num_steps - steps:,} steps): it is another kind of file, or made to exhaust a machine. "
                "Save the model's state dict alone."
            )

    def result(self) -> Unpickled:
        """Hand over what is on the stack at the end."""
        (value,) = self.stack
        replaced = sorted(name for name in self._names if not is_plain(name))
        harmful = tuple(name for name in replaced if is_harmful(name, name in self._called))
        return Unpickled(value, tuple(replaced), tuple(self._calls), harmful)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self._below_marks.append(self.stack)
        self.stack = []

    def pop_to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self._below_marks.pop()
        return items

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_to_mark()

    def put(self, index: int | None) -> None:
        place = len(self._memo) if index is None else index
        if not 0 <= place < MAX_MEMO:  # larger numbers can be chosen so that all have the same hash
            raise CheckpointError(DAMAGED)
        self._memo[place] = self.stack[-1]

    def get(self, index: int) -> None:
        self.push(self._memo[index])

    def find(self, name: str) -> None:
        """Push a name that other pickle machines would import."""
        if len(name) > MAX_NAME or not name.isprintable():
            raise CheckpointError(DAMAGED)
        self.charge(0, OBJECT_BYTES)
        self._names.add(name)
        self.push(Global(name))

    def call(self, target: Any, arguments: Sequence[Any]) -> Any:
        """Return what takes the place of a call's result, or of an object that is made."""
        name = target.name if isinstance(target, Global | StandIn) else type(target).__name__
        build = BUILDERS.get(name) if isinstance(target, Global) else None
        if build is not None:
            self.charge(
                len(arguments)
                + sum(len(argument) for argument in arguments if isinstance(argument, (*SIZED, list, tuple, dict)))
            )
            return build(self, *arguments)
        if arguments:
            self._called.add(name)
        if len(self._calls) < MAX_SHOWN_CALLS and not is_plain(name):
            self._calls.append(f"{name}({', '.join(map(shown, arguments[:8]))})"[:300])
        return StandIn(name)

    def new_set(self, items: Sequence[Any]) -> set[Any]:
        self.charge(0, SET_BYTES)
        return set(map(checked_key, items))

    def storage(self, persistent_id: Any) -> None:
        if self._find_storage is None:
            raise CheckpointError(DAMAGED)
        self.push(self._find_storage(persistent_id))

    def append(self, items: Sequence[Any]) -> None:
        """Add to the list or set below; a stand-in keeps nothing."""
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        elif isinstance(self.stack[-1], set):
            self.stack[-1].update(map(checked_key, items))

    def assign(self, items: Sequence[Any]) -> None:
        """Add keys and values, in turn, to the dict below."""
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(pairs(items))

    def build(self) -> None:
        """Take an object's state off the stack; of all objects, only a bag of attributes has one that is kept."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Attributes) and isinstance(state, dict):
            self.charge(len(state))
            self.stack[-1].update(state)


def _literal(machine: _Machine, argument: Any) -> None:
    machine.push(argument)


def _text(machine: _Machine, argument: str) -> None:
    """Push text; halves of letters, which no terminal and no JSON takes, become question marks."""
    machine.push(argument if argument.isascii() else argument.encode(errors="replace").decode())


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def action(machine: _Machine, _: Any) -> None:
        items = tuple(machine.stack[-count:])
        if len(items) < count:
            raise CheckpointError(DAMAGED)
        machine.stack[-count:] = [items]

    return action


def _reduce(machine: _Machine, _: Any) -> None:
    arguments, target = machine.stack.pop(), machine.stack.pop()
    machine.push(machine.call(target, arguments if isinstance(arguments, tuple) else ()))


def _new_with_keywords(machine: _Machine, _: Any) -> None:
    machine.stack.pop()
    _reduce(machine, _)


def _object(machine: _Machine, _: Any) -> None:
    target, *arguments = machine.pop_to_mark()
    machine.push(machine.call(target, arguments))


def _instance(machine: _Machine, argument: str) -> None:
    arguments = machine.pop_to_mark()
    machine.find(argument.replace(" ", "."))
    machine.push(machine.call(machine.stack.pop(), arguments))


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise CheckpointError(DAMAGED)
    machine.find(f"{module}.{name}")


# What each opcode does; its name is that of Python's pickletools, which also describes it.
_ACTIONS: dict[str, Callable[[_Machine, Any], object]] = {
    **dict.fromkeys(
        """
        INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES
        BINBYTES8 BYTEARRAY8 FLOAT BINFLOAT
        """.split(),
        _literal,
    ),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _text),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_SET": lambda machine, _: machine.push(machine.new_set(())),
    "LIST": lambda machine, _: machine.push(machine.pop_to_mark()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "DICT": lambda machine, _: machine.push(pairs(machine.pop_to_mark())),
    "FROZENSET": lambda machine, _: machine.push(machine.new_set(machine.pop_to_mark())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "ADDITEMS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.assign([machine.stack.pop(), machine.stack.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.assign(machine.pop_to_mark()),
    "POP": lambda machine, _: machine.pop(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "MARK": lambda machine, _: machine.mark(),
    "POP_MARK": lambda machine, _: machine.pop_to_mark(),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), lambda machine, code: machine.find(f"copyreg extension.{code}")),
    "GLOBAL": lambda machine, argument: machine.find(argument.replace(" ", ".")),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_keywords,
    "OBJ": _object,
    "INST": _instance,
    "BUILD": lambda machine, _: machine.build(),
    "PERSID": _Machine.storage,
    "BINPERSID": lambda machine, _: machine.storage(machine.stack.pop()),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, _: None),
}
