"""What stands for the objects of a pickle: plain values for those that are no more, stand-ins for all others.

Which names are known, as kinds of numbers or as the means of an attack, stands here, too; none is ever imported.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ..errors import CheckpointError
from .tensors import Storage, StoredTensor

DAMAGED = "The file's pickle is damaged. Copy, download or save the file again."

DISTRIBUTED_TENSOR = "torch.distributed.tensor.DTensor"
SIZED = (str, bytes, bytearray)
SCALARS = (str, int, float, bool, bytes, type(None))
BUILTINS = ("builtins", "__builtin__")  # its name today, and in protocols 0 to 2
PLAIN_NAMES = frozenset(f"{module}.{kind}" for module in BUILTINS for kind in ("object", "dict", "list", "int"))
# What follows only makes the message: nothing at all is imported, whatever its name.
HARMFUL_MODULES = frozenset(  # of which nothing at all belongs into a checkpoint
    """
    os posix nt subprocess _posixsubprocess sys importlib imp runpy pty shutil socket ctypes _ctypes pickle _pickle
    cPickle dill cloudpickle joblib marshal codeop webbrowser commands urllib2 requests httpx aiohttp pip
    """.split()
)
HARMFUL_BUILTINS = "eval exec execfile compile __import__ open file apply breakpoint globals setattr delattr".split()
HARMFUL_NAMES = frozenset(
    [f"{module}.{name}" for module in ("builtins", "__builtin__") for name in HARMFUL_BUILTINS]
    + ["types.FunctionType", "types.CodeType", "types.LambdaType", "operator.methodcaller", "functools.reduce"]
    + ["torch.load", "torch.serialization.load", "pandas.read_pickle", "pandas.eval", "uuid._get_command_stdout"]
    + [f"numpy.{name}" for name in "load save savez savetxt loadtxt genfromtxt fromfile memmap".split()]
)
HARMFUL_PACKAGES = (
    *("torch.hub", "torch.utils.cpp_extension", "torch.package", "torch.jit", "torch.fx", "torch._dynamo"),
    *("torch._inductor", "torch._export", "torch.utils._config_module", "torch.utils.bottleneck", "torch.ops"),
    *("torch.utils.collect_env", "torch.utils.data.datapipes", "torch.utils.model_zoo", "torch.classes"),
    *("numpy.f2py", "numpy.testing", "numpy.distutils", "setuptools", "distutils", "_pytest", "IPython"),
)
# Modules that many others have imported, so that their contents can be had as `torch.os.system`.
REACHABLE_MODULES = frozenset("os sys subprocess builtins __builtins__ importlib ctypes shutil pickle socket".split())
# Modules of Python whose objects are plain data, or whose functions compute; all others are no part of a checkpoint.
HARMLESS_MODULES = frozenset(
    """
    __future__ _codecs _collections _datetime _decimal _pydatetime _pydecimal _random abc argparse array bisect builtins
    calendar cmath collections copy copyreg copy_reg dataclasses datetime decimal enum fractions functools hashlib heapq
    ipaddress itertools json keyword locale math numbers operator pathlib pprint queue random re statistics string
    struct textwrap threading time types typing unicodedata uuid warnings weakref zlib zoneinfo
    """.split()
)
# Modules that have others inside; `trace`, which is none of them, has no `trace.model.Config`.
PACKAGES = frozenset(
    """
    aiohttp asyncio cloudpickle collections concurrent ctypes curses dbm dill distutils email encodings ensurepip html
    http httpx idlelib importlib joblib json lib2to3 logging multiprocessing os pathlib pip pydoc_data re requests
    sqlite3 sysconfig tkinter tomllib unittest urllib venv wsgiref xml xmlrpc zipfile zoneinfo
    """.split()
)

STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
DTYPE_NAMES = """
    float64 double float32 float float16 half bfloat16 int64 long int32 int int16 short int8 uint8 bool
    float8_e4m3fn float8_e5m2
""".split()
DTYPES = {f"torch.{name}": getattr(torch, name) for name in DTYPE_NAMES}


@dataclass(frozen=True, slots=True)
class Global:
    """A name that a pickle asks for; it is never looked up."""

    name: str


class StandIn:
    """Takes the place of an object that is more than plain data; keeps the name of its class or function alone."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Machine(Protocol):
    """What the makers of values need of the machine that reads a pickle."""

    def call(self, target: Any, arguments: Sequence[Any]) -> Any:
        """Return what takes the place of a call's result."""

    def new_set(self, items: Sequence[Any]) -> set[Any]:
        """Make a set, and put its memory on the account."""


class Attributes(dict[Any, Any]):
    """The attributes of an object that is nothing else, as `argparse.Namespace`."""


def checked_key(value: Any) -> Any:
    """Return a key of a dict or set, which has to be something that is hashed in no time."""
    # Numbers beyond 64 bits, and tuples of numbers, can be chosen so that all have the same hash; text cannot.
    if type(value) is int and abs(value) >= 1 << 63:
        raise CheckpointError(f"The file's pickle has a number of {value.bit_length()} bits as a key. {DAMAGED}")
    if type(value) in SCALARS or isinstance(value, StandIn | Global):
        return value
    if type(value) is tuple and len(value) <= 16 and all(type(item) is str for item in value):
        return value
    raise CheckpointError(
        f"The file's pickle has a {type(value).__name__} as a key, which no checkpoint has. {DAMAGED}"
    )


def pairs(items: Sequence[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise CheckpointError(DAMAGED)
    return {checked_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def shown(value: Any) -> str:
    """Return an argument of a call as short text; containers are not looked into."""
    if type(value) in SCALARS:
        text = repr(value[:80]) if isinstance(value, str | bytes) else f"{value}"[:80]
        return text
    return repr(value)[:80] if isinstance(value, StandIn | Global) else f"{type(value).__name__}"


def _dictionary(_: Machine, items: Any = (), *more: Any) -> dict[Any, Any]:
    """OrderedDict() or OrderedDict([[key, value], ...]); a defaultdict's first argument is its factory."""
    if not isinstance(items, list | tuple):
        items = more[0] if more and isinstance(more[0], list | tuple) else ()
    return {checked_key(key): value for key, value in items}


def _tensor(_: Machine, storage: Any, start: Any, shape: Any, stride: Any, *__: Any) -> StoredTensor | StandIn:
    if storage is None:
        return StandIn("torch.Tensor")  # of a kind of numbers that no weights have
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
        raise CheckpointError(DAMAGED)
    return StoredTensor(storage, storage.dtype, shape, stride, start)


def _tensor_of_dtype(
    _: Machine, storage: Any, start: Any, shape: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, *__: Any
) -> StoredTensor | StandIn:
    known = DTYPES.get(dtype.name) if isinstance(dtype, Global) else None
    if known is None or not isinstance(storage, Storage):
        return StandIn("torch.Tensor")
    return StoredTensor(storage, known, shape, stride, start)


def _subclass(machine: Machine, build: Any, kind: Any, arguments: Sequence[Any], state: Any = None, *_: Any) -> Any:
    """A tensor of a subclass; of a DTensor, which FSDP2 has, what this process held, where that is all of it."""
    if not isinstance(build, Global) or build.name != "torch._utils._rebuild_wrapper_subclass":
        return machine.call(build, arguments)
    attributes = state[1] if isinstance(state, tuple) and len(state) == 2 else state
    local = attributes.get("_local_tensor") if isinstance(attributes, dict) else None
    whole = arguments[2] if len(arguments) > 2 else None
    name = kind.name if isinstance(kind, Global) else "tensor of an unknown kind"
    is_whole = name == DISTRIBUTED_TENSOR and isinstance(local, StoredTensor) and local.shape == whole
    return local if is_whole else StandIn(name)


def _reconstructed(machine: Machine, kind: Any, *_: Any) -> Any:
    return machine.call(kind, ())


def _path(_: Machine, *parts: Any) -> str:
    return "/".join(part for part in parts if isinstance(part, str)).replace("//", "/")


def _encoded(_: Machine, text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin-1" if encoding in ("latin1", "latin-1") else "utf-8")


def _bytes(_: Machine, data: Any = b"", *__: Any) -> bytes:
    """Return what was saved as bytes, or as text of as many letters; a number would be a length, and is left alone."""
    if isinstance(data, str):
        return data.encode("latin-1")
    return bytes(data) if isinstance(data, bytes | bytearray) else b""


def _collected(machine: Machine, items: Any = ()) -> set[Any]:
    return machine.new_set(items if isinstance(items, list | tuple) else ())


# What is built when a pickle calls one of these names: plain values, from plain values.
BUILDERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": _dictionary,
    "collections.Counter": _dictionary,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils._rebuild_parameter": lambda machine, data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda machine, data, *_: data,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch.Size": lambda machine, sizes=(): tuple(sizes) if isinstance(sizes, list | tuple) else (),
    "torch.device": lambda machine, *parts: ":".join(map(shown, parts)),
    "copyreg._reconstructor": _reconstructed,
    "copy_reg._reconstructor": _reconstructed,
    "argparse.Namespace": lambda machine, *_: Attributes(),
    "types.SimpleNamespace": lambda machine, *_: Attributes(),
    "_codecs.encode": _encoded,
    **{f"{module}.{kind}": _collected for module in BUILTINS for kind in ("set", "frozenset")},
    **{f"{module}.{kind}": _bytes for module in BUILTINS for kind in ("bytes", "bytearray")},
    **{f"pathlib.{system}Path": _path for system in ("Posix", "PurePosix", "Windows", "PureWindows")},
    **{f"pathlib._local.{system}Path": _path for system in ("Posix", "PurePosix", "Windows", "PureWindows")},
}


def is_plain(name: str) -> bool:
    return name in BUILDERS or name in DTYPES or name.rpartition(".")[2] in STORAGE_DTYPES or name in PLAIN_NAMES


def is_harmful(name: str, is_called: bool = True) -> bool:
    """Whether a global's full name is the means of an attack, as far as a name tells.

    Args:
        name: module and name, joined by dots.
        is_called: whether it is called with arguments; an object of a class that is only made and filled is not.
    """
    module, *inside = name.split(".")
    if not REACHABLE_MODULES.isdisjoint(inside[:-1]) or name in HARMFUL_NAMES:
        return True
    if any(f"{name}.".startswith(f"{package}.") for package in HARMFUL_PACKAGES):
        return True
    is_python = module in HARMFUL_MODULES or module in sys.stdlib_module_names
    if not is_python or _is_own_module(module, inside):
        return False
    if module in HARMFUL_MODULES:
        return True
    is_method = len(inside) > 1 and inside[-2][:1].isupper()
    if module in HARMLESS_MODULES:
        return is_called and is_method and not inside[-1].startswith("_")
    return is_called or not inside or not inside[-1][:1].isupper()


def _is_own_module(module: str, inside: Sequence[str]) -> bool:
    """Whether a name is of somebody's own program, in a module called like one of Python's: `trace.model.Config`."""
    if module in PACKAGES or len(inside) < 2:
        return False
    return inside[0].islower() and inside[0] not in sys.stdlib_module_names
