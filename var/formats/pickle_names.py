"""The names that a pickle may ask for and that mean something here: kinds of numbers, and the means of an attack."""

import torch

# It only makes the message: nothing at all is imported, whatever its name.
HARMFUL_MODULES = frozenset(
    """
    os posix nt subprocess _posixsubprocess sys importlib imp runpy pty shutil socket ctypes _ctypes pickle _pickle
    cPickle dill cloudpickle joblib marshal code codeop webbrowser commands multiprocessing http urllib urllib2 ftplib
    smtplib requests httpx aiohttp timeit pdb bdb cProfile profile trace pip ensurepip pydoc zipimport io _io
    """.split()
)
HARMFUL_BUILTINS = "eval exec execfile compile __import__ open file apply breakpoint globals setattr delattr".split()
HARMFUL_NAMES = frozenset(
    [f"{module}.{name}" for module in ("builtins", "__builtin__") for name in HARMFUL_BUILTINS]
    + ["types.FunctionType", "types.CodeType", "types.LambdaType", "operator.methodcaller", "functools.reduce"]
    + ["torch.load", "torch.serialization.load", "torch.jit.load", "numpy.load", "pandas.read_pickle"]
)
HARMFUL_PACKAGES = (
    *("torch.hub", "torch.utils.cpp_extension", "torch.package"),
    *("numpy.f2py", "numpy.testing", "numpy.distutils"),
)

# Modules that many others have imported, so that their contents can be had as `torch.os.system`.
REACHABLE_MODULES = frozenset("os sys subprocess builtins __builtins__ importlib ctypes shutil pickle socket".split())

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


def is_harmful(name: str) -> bool:
    """Whether a global's full name is known as the means of an attack."""
    return (
        name.split(".")[0] in HARMFUL_MODULES
        or name in HARMFUL_NAMES
        or not REACHABLE_MODULES.isdisjoint(name.split(".")[1:-1])
        or any(f"{name}.".startswith(f"{package}.") for package in HARMFUL_PACKAGES)
    )
