"""Pickles made to do harm: to run code, to put things in places where they act later, to exhaust the machine.

Each function yields cases: a name, the object to be saved (with `Raw` opcodes in it) or a whole pickle, and what the
refusal has to say; "" where any refusal will do, None where the file may also load.
"""

import struct
from collections.abc import Iterator

from pickle_bytes import Raw, call, encode, name, stack_name, storage, tensor

Case = tuple[str, object, str | None]

TOUCH = "touch witness"  # in the folder in which the tests read the files
COMMAND = encode(TOUCH)
PYTHON = "open('witness', 'w').close()"
SYSTEM = call(name("os", "system"), TOUCH)
NAMED_ATTACKS = """
    pkgutil.resolve_name doctest.debug_script logging.FileHandler torch._inductor.codecache.compile_file bdb.Bdb
    trace.Trace.runctx code.InteractiveInterpreter idlelib.pyshell.ModifiedInterpreter
    ensurepip._run_pip linecache.getlines
    uuid._get_command_stdout tempfile.NamedTemporaryFile asyncio.create_subprocess_exec multiprocessing.Process
    logging.config.listen pathlib.Path.write_text cgitb.lookup venv.create zipfile.ZipFile sqlite3.connect
    torch.jit.unsupported_tensor_ops.execWrapper torch.utils.collect_env.run torch._dynamo.guards.GuardBuilder.get
    torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression numpy.save builtins.setattr
""".split()
LARGE = 30_000  # more than a recursive walk survives
MERSENNE = 2**61 - 1  # every multiple of it has the hash 0


def calls() -> Iterator[Case]:
    """Calls of what runs commands, evaluates text or imports modules, in one way each."""
    imported = call(name("builtins", "__import__"), "os")
    yield "os.system", SYSTEM, "would have called os.system('touch witness')"
    yield "posix.system", call(name("posix", "system"), TOUCH), "would have called posix.system('touch witness')"
    yield "nt.system", call(name("nt", "system"), TOUCH), "nt.system"
    yield "os.execl", call(name("os", "execl"), "/bin/touch", "touch", "witness"), "os.execl"
    yield "builtins.eval", call(name("builtins", "eval"), PYTHON), "builtins.eval"
    yield "builtins.exec", call(name("builtins", "exec"), PYTHON), "builtins.exec"
    yield "__builtin__.eval", call(name("__builtin__", "eval"), PYTHON), "__builtin__.eval"
    yield "builtins.open", call(name("builtins", "open"), "witness", "w"), "builtins.open"
    yield "__import__", call(call(name("builtins", "getattr"), imported, "system"), TOUCH), "__import__('os')"
    yield (
        "getattr of a module",
        call(call(name("builtins", "getattr"), name("os", "path"), "join"), "a", "b"),
        "os.path",
    )
    yield "subprocess.Popen", call(name("subprocess", "Popen"), ["touch", "witness"]), "subprocess.Popen(list)"
    yield "subprocess.check_output", call(name("subprocess", "check_output"), TOUCH, True), "subprocess"
    yield "importlib", call(name("importlib", "import_module"), "antigravity"), "importlib.import_module"
    yield "runpy", call(name("runpy", "_run_code"), PYTHON, {}), "runpy"
    yield "ctypes", call(name("ctypes", "CDLL"), "libc.so.6"), "ctypes.CDLL"
    yield "webbrowser", call(name("webbrowser", "open"), "https://example.org"), "webbrowser.open"
    yield "socket", call(name("socket", "create_connection"), ("example.org", 80)), "socket"
    yield "shutil.rmtree", call(name("shutil", "rmtree"), "/nowhere/at/all"), "shutil.rmtree"
    yield "timeit", call(name("timeit", "timeit"), PYTHON), "timeit"
    yield "cProfile", call(name("cProfile", "run"), PYTHON), "cProfile"
    yield "pip", call(name("pip", "main"), ["install", "x"]), "pip"
    yield "pickle.loads", call(name("pickle", "loads"), b"cos\nsystem\n(S'touch witness'\ntR."), "pickle.loads"
    yield "_pickle.loads", call(name("_pickle", "loads"), b"cos\nsystem\n(S'touch witness'\ntR."), "_pickle.loads"
    yield "torch.load", call(name("torch", "load"), "other.pth"), "torch.load"
    yield "torch.serialization.load", call(name("torch.serialization", "load"), "other.pth"), "torch.serialization"
    yield "torch.hub", call(name("torch.hub", "load"), "owner/repo", "model"), "torch.hub"
    yield "torch cpp_extension", call(name("torch.utils.cpp_extension", "load"), "x", ["x.c"]), "cpp_extension"
    yield "numpy f2py", call(name("numpy.f2py.crackfortran", "myeval"), PYTHON), "numpy.f2py"
    yield "numpy testing", call(name("numpy.testing._private.utils", "runstring"), PYTHON, {}), "numpy.testing"
    yield "operator.methodcaller", call(call(name("operator", "methodcaller"), "system", TOUCH), imported), "operator"
    yield "functools.partial", call(call(name("functools", "partial"), name("os", "system"), TOUCH)), "os.system"
    yield "functools.reduce", call(name("functools", "reduce"), name("os", "system"), [TOUCH]), "os.system"
    yield "map", call(name("builtins", "list"), call(name("builtins", "map"), name("os", "system"), [TOUCH])), "os"
    yield "code object", call(name("types", "FunctionType"), call(name("types", "CodeType"), 0, 0), {}), "types."
    yield "marshal", call(name("marshal", "loads"), b"\xe3"), "marshal"
    yield "module of a module", call(stack_name("torch", "os.system"), TOUCH), "torch.os.system('touch witness')"
    yield "module of a function's module", call(stack_name("torch", "sys.modules.get"), "os"), "sys"
    for attack in NAMED_ATTACKS:
        module, _, attribute = attack.rpartition(".")
        yield attack, call(name(module, attribute), TOUCH), f"would have called {attack}('touch witness')"
    yield "this project's own", call(name("var.hub.download", "resolve"), "hf://owner/repo/file"), None
    yield "a module that is not loaded", call(name("antigravity", "geohash"), 1.0, 2.0, b"x"), None
    yield "unicode look-alike", call(stack_name("оs", "system"), TOUCH), None
    yield "wide letters", call(stack_name("ｏｓ", "ｓｙｓｔｅｍ"), TOUCH), None
    yield "line break in the name", call(stack_name("os", "system\n\nusable yes"), TOUCH), ""
    yield "half a letter in the name", call(stack_name("os", "system\ud800"), TOUCH), "os.system?"


def opcodes() -> Iterator[Case]:
    """One call, by each opcode that makes calls."""
    yield "INST", Raw(b"(" + COMMAND + b"ios\nsystem\n"), "os.system('touch witness')"
    yield "OBJ", Raw(b"(" + name("os", "system") + COMMAND + b"o"), "os.system('touch witness')"
    yield "NEWOBJ", Raw(name("os", "system") + encode((TOUCH,)) + b"\x81"), "os.system('touch witness')"
    yield "NEWOBJ_EX", Raw(name("os", "system") + encode((TOUCH,)) + encode({}) + b"\x92"), "os.system"
    yield "BUILD", Raw(SYSTEM + encode({"a": 1}) + b"b"), "os.system"
    yield "never called", name("os", "system"), "asks for os.system"
    yield "called and dropped", Raw(SYSTEM + b"0" + b"N"), "os.system('touch witness')"
    yield (
        "names from the memo",
        Raw(encode("system") + b"q\x07" + b"0" + encode("os") + b"h\x07" + b"\x93"),
        "os.system",
    )
    yield "names joined from parts", call(stack_name("os.path", "os.system"), TOUCH), "os."
    yield "EXT1", Raw(b"\x82\x01" + encode((TOUCH,)) + b"R"), None
    yield "EXT4", Raw(b"\x84\xff\xff\xff\x7f" + encode((TOUCH,)) + b"R"), None
    yield "EXT4 negative", Raw(b"\x84\xff\xff\xff\xff" + encode((TOUCH,)) + b"R"), None
    yield (
        "copyreg",
        call(name("copyreg", "_reconstructor"), name("os", "system"), name("builtins", "object"), None),
        "os",
    )
    yield "text as bytes", call(name("_codecs", "encode"), SYSTEM, "latin1"), ""
    yield "STACK_GLOBAL of numbers", Raw(encode(1) + encode(2) + b"\x93"), ""
    yield "out of band buffer", Raw(b"\x97"), ""
    yield "read-only buffer", Raw(encode(b"x") + b"\x98"), None
    yield "hooks of a tensor", _tensor_with(hooks=call(name("collections", "OrderedDict"), [[0, SYSTEM]])), "os.system"
    yield "subclass of a tensor", _typed(name("os", "system")), "os.system"


def _tensor_with(hooks: Raw) -> Raw:
    arguments = (storage("small", 1), 0, (1,), (1,), False, hooks)
    return call(name("torch._utils", "_rebuild_tensor_v2"), *arguments)


def _typed(kind: Raw) -> Raw:
    return call(name("torch._tensor", "_rebuild_from_type_v2"), kind, name("torch", "Tensor"), (TOUCH,), {})


def state_injection() -> Iterator[Case]:
    """State that would replace methods or types, and objects where plain values belong."""
    evil = name("somewhere", "Evil")
    instance = call(evil)
    methods = {"__class__": evil, "items": evil, "keys": evil, "__getitem__": evil, "__dict__": {"get": evil}}
    ordered = call(name("collections", "OrderedDict"))
    yield "state of an OrderedDict", Raw(ordered + encode(methods) + b"b"), None
    yield "state of a dict", Raw(encode({"a": 1}) + encode(methods) + b"b"), None
    yield "state of a tensor", Raw(_tensor_with(ordered) + encode({"read": evil, "shape": (10**12,)}) + b"b"), None
    yield "state of a storage", Raw(storage("small", 1) + encode({"nbytes": 10**15, "offset": -1}) + b"b"), None
    yield "state of a stand-in", Raw(instance + encode({"name": "os", "__class__": evil}) + b"b"), None
    yield "state of a name", Raw(evil + encode({"name": "os"}) + b"b"), None
    yield "items of a stand-in", Raw(instance + b"(" + encode("a") + encode(1) + b"u"), None
    yield "elements of a stand-in", Raw(instance + b"(" + encode("a") + b"e"), None
    yield "attributes of a namespace", Raw(call(name("argparse", "Namespace")) + encode(methods) + b"b"), None
    yield (
        "attribute that is no text",
        Raw(call(name("argparse", "Namespace")) + encode({(1, "a"): 1, 7: 2}) + b"b"),
        None,
    )
    yield "stand-in as key", {instance: 1, evil: 2}, None
    yield "dict as key", Raw(encode({}) + b"0}(" + encode({}) + encode(1) + b"u"), ""
    yield "list as element of a set", Raw(b"\x8f(" + encode([1]) + b"\x90"), ""
    yield "tensor as key", Raw(b"}(" + _tensor_with(ordered) + encode(1) + b"u"), ""
    yield "tuple of a dict as key", Raw(b"}(" + encode(({},)) + encode(1) + b"u"), ""
    yield "NaN as key", {float("nan"): 1}, None
    yield "key without a value", Raw(b"}(" + encode("a") + b"u"), ""
    yield "pairs that are none", call(name("collections", "OrderedDict"), [[1, 2, 3]]), ""
    yield "stand-in as pairs", call(name("collections", "OrderedDict"), instance), None
    yield "stand-in as arguments", Raw(name("collections", "OrderedDict") + instance + b"R"), None


def tensor_arguments() -> Iterator[Case]:
    """Tensors whose place in the file is nonsense; the storage "small" has 4 bytes."""
    one, instance = storage("small", 1), call(name("somewhere", "Evil"))
    yield "no storage", tensor(Raw(encode(None)), (1,), (1,)), None
    yield "text as storage", tensor(encode("small"), (1,), (1,)), ""
    yield "stand-in as storage", tensor(instance, (1,), (1,)), ""
    yield "a class as storage", tensor(name("torch", "FloatStorage"), (1,), (1,)), ""
    yield "a tensor as storage", tensor(tensor(one, (1,), (1,)), (1,), (1,)), ""
    yield "no such record", tensor(storage("../data.pkl", 1), (1,), (1,)), ""
    yield "the pickle as record", tensor(storage("/../data.pkl", 1), (1,), (1,)), ""
    yield "record name that is a number", tensor(storage(9, 1), (1,), (1,)), ""
    yield "negative count", tensor(storage("small", -1), (1,), (1,)), ""
    yield "count of half", tensor(storage("small", 0.5), (1,), (1,)), ""
    yield "count of true", tensor(storage("small", True), (1,), (1,)), ""
    yield "count larger than the record", tensor(storage("small", 2), (2,), (1,)), "not complete"
    yield "count of 2^63", tensor(storage("small", 2**63), (1,), (1,)), ""
    yield "unknown kind of numbers", tensor(storage("small", 1, "ComplexFloatStorage"), (1,), (1,)), None
    yield "stand-in as size", tensor(one, (instance,), (1,)), ""
    yield "size as text", tensor(one, "1", "1"), ""
    yield "size as a list", tensor(one, [1], [1]), ""
    yield "size as a number", tensor(one, 1, 1), ""
    yield "negative size", tensor(one, (-1,), (1,)), ""
    yield "negative sizes", tensor(one, (-1, -1), (1, 1)), ""
    yield "size of half", tensor(one, (0.5,), (1,)), ""
    yield "size not a number", tensor(one, (float("nan"),), (1,)), ""
    yield "size of true", tensor(one, (True,), (1,)), ""
    yield "size of 2^64", tensor(one, (2**64,), (0,)), ""
    yield "size of 2^63 twice", tensor(one, (2**62, 2**62, 4), (0, 0, 0)), None
    yield (
        "thousands of sizes",
        tensor(one, Raw(b"(" + encode(1) * 20_000 + b"t"), Raw(b"(" + encode(1) * 20_000 + b"t")),
        "",
    )
    yield "sizes and strides differ", tensor(one, (1, 1), (1,)), ""
    yield "negative stride", tensor(one, (1,), (-1,)), ""
    yield "stride out of range", tensor(one, (2,), (2**40,)), "reaches beyond"
    yield "stride of 2^63", tensor(one, (2,), (2**63,)), ""
    yield "start out of range", tensor(one, (1,), (1,), 2**40), "reaches beyond"
    yield "negative start", tensor(one, (1,), (1,), -1), ""
    yield "start that is none", tensor(one, (1,), (1,), None), ""
    yield "start as text", tensor(one, (1,), (1,), "0"), ""
    yield "too few arguments", call(name("torch._utils", "_rebuild_tensor_v2"), one), ""
    yield "no arguments", call(name("torch._utils", "_rebuild_tensor_v2")), ""
    yield "of another kind", _kind(name("torch", "float64"), (1,)), "reaches beyond"
    yield "of an unknown kind", _kind(name("torch", "os"), (1,)), None
    yield "of text as kind", _kind(encode("float32"), (1,)), None
    yield "parameter of nothing", call(name("torch._utils", "_rebuild_parameter")), ""
    yield "id that is no tuple", Raw(encode("storage") + b"Q"), ""
    yield "id that is too short", Raw(encode(("storage", "9")) + b"Q"), ""
    yield "id as text", Raw(b"P9\n"), ""


def _kind(kind: Raw, shape: tuple) -> Raw:
    hooks = call(name("collections", "OrderedDict"))
    return call(name("torch._utils", "_rebuild_tensor_v3"), storage("small", 1), 0, shape, (1,), False, hooks, kind)


def bombs() -> Iterator[Case]:
    """Small pickles that ask for a lot of time or memory; they may load, if that costs little."""
    doubled = Raw(encode([]) + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60)))
    text = encode("x" * 1_000_000)
    arguments = Raw(b"(" + b"N" * LARGE + b"t")
    yield "billion laughs in tuples", doubled, None
    yield "billion laughs in dicts", _laughs_of_dicts(60), None
    yield "list in itself", Raw(b"]q\x01h\x01a"), None
    yield "dict in itself", Raw(b"}q\x01" + encode("model") + b"h\x01s"), None
    yield "deep lists", Raw(b"]" * LARGE + b"a" * (LARGE - 1)), None
    yield "deep tuples", Raw(b")" + b"\x85" * LARGE), None
    yield "deep dicts", Raw((b"}" + encode("model")) * LARGE + b"N" + b"s" * LARGE), None
    yield "deep marks", Raw(b"(" * LARGE + b"t" * LARGE), None
    yield "memo far away", Raw(b"]r\xff\xff\xff\xff"), None
    yield "memo of 10^30", Raw(b"]p1" + b"0" * 30 + b"\n"), ""
    yield "memo places that collide", Raw(b"]" + b"".join(b"p%d\n" % (i * MERSENNE) for i in range(1000))), ""
    yield "keys that collide", _keys(encode(i * MERSENNE) for i in range(1000)), ""
    yield "fractions that collide", _keys(encode(float(2**61) ** (i % 16) * (i + 1)) for i in range(20_000)), None
    yield "tuples that collide", _keys(_tuples_of_one_hash(1000)), ""
    yield "text of 8 exabytes", Raw(b"\x8d" + struct.pack("<Q", 2**63 - 1) + b"x"), ""
    yield "bytes of 8 exabytes", Raw(b"\x8e" + struct.pack("<Q", 2**63 - 1) + b"x"), ""
    yield "bytearray of 8 exabytes", Raw(b"\x96" + struct.pack("<Q", 2**63 - 1) + b"x"), ""
    yield "bytearray of 30 terabytes", Raw(b"\x96" + struct.pack("<Q", 2**45) + b"x"), ""
    yield "bytes of 4 gigabytes", Raw(b"B\xff\xff\xff\xff" + b"x"), ""
    yield "number of 2 gigabytes", Raw(b"\x8b\xff\xff\xff\x7f" + b"x"), ""
    yield "number of a negative length", Raw(b"\x8b\xff\xff\xff\xff" + b"x"), ""
    yield "number of a million digits", Raw(b"L" + b"9" * 1_000_000 + b"L\n"), ""
    yield "number of a million bytes", encode(1 << 8_000_000), None
    yield "number of a million bytes as key", {1 << 8_000_000: 1}, None
    yield "long text again and again", Raw(b"](" + text + b"q\x01" + b"h\x01" * 100_000 + b"e"), None
    yield "long names again and again", Raw(text + b"q\x010](" + (b"h\x01h\x01\x93" * 200_000) + b"e"), ""
    yield (
        "many arguments again and again",
        Raw(arguments + b"q\x010" + name("torch", "device") + b"q\x020](" + b"h\x02h\x01R" * LARGE + b"e"),
        "",
    )
    yield (
        "many calls with many arguments",
        Raw(arguments + b"q\x010" + name("a", "b") + b"q\x020](" + b"h\x02h\x01R" * LARGE + b"e"),
        None,
    )
    yield "long pairs again and again", _repeated_dictionary(), "more objects"
    yield "tensor rebuilt from itself", _self_rebuilt(), None
    yield "frame of 8 exabytes", Raw(b"\x95" + struct.pack("<Q", 2**63 - 1) + b"N"), None


def floods() -> Iterator[Case]:
    """Short opcodes, more of them than any checkpoint has; each takes a second, since it is read up to a limit."""
    yield "millions of lists", Raw(b"](" + b"]" * 1_500_000 + b"e"), "more objects"
    yield "millions of dicts", Raw(b"](" + b"}" * 1_500_000 + b"e"), "more objects"
    yield "millions of sets", Raw(b"](" + b"\x8f" * 1_500_000 + b"e"), "more objects"
    yield "millions of numbers", Raw(b"](" + b"K\x07" * 1_500_000 + b"e"), "more objects"
    yield "millions of marks", Raw(b"(" * 1_500_000), "more objects"
    yield "millions of floats", Raw(b"](" + encode(0.1) * 1_200_000 + b"e"), "more objects"
    yield "millions of names", Raw(b"](" + b"ca\nb\n" * 1_200_000 + b"e"), "more objects"
    yield "millions of copies", Raw(b"](" + b"}" + b"2" * 1_500_000 + b"e"), "more objects"


def _laughs_of_dicts(levels: int) -> Raw:
    """Each dict holds the one before twice; the last stands at the top."""
    parts = [encode({"lr": 0.5})]
    for index in range(levels):
        place = bytes([index])
        parts.append(b"q" + place + b"0}(" + encode("left") + b"h" + place + encode("right") + b"h" + place + b"u")
    return Raw(b"".join(parts))


def _keys(keys) -> Raw:
    return Raw(b"}(" + b"".join(key + b"N" for key in keys) + b"u")


def _tuples_of_one_hash(count: int) -> Iterator[Raw]:
    """Pairs of whole numbers whose hashes are equal: the second makes up for the first."""
    prime_1, prime_2, prime_5 = 11400714785074694791, 14029467366897019727, 2870177450012600261
    wide, inverse = 2**64, pow(14029467366897019727, -1, 2**64)

    def mixed(state: int) -> int:
        state = (state << 31 | state >> 33) % wide
        return state * prime_1 % wide

    number = 0
    while count:
        number += 1
        state = mixed((prime_5 + number * prime_2) % wide)
        other = (1234567890123456789 - state) * inverse % wide
        if other < MERSENNE:  # a number whose hash is the number itself
            count -= 1
            yield encode((number, other))


def _repeated_dictionary() -> Raw:
    pairs = Raw(b"](" + b"".join(encode([i, None]) for i in range(10_000)) + b"e")
    target = name("collections", "OrderedDict")
    arguments = Raw(b"q\x01\x85q\x020" + target + b"q\x030](" + b"h\x03h\x02R" * 1000 + b"e")
    return Raw(pairs + arguments)


def _self_rebuilt() -> Raw:
    """A call whose arguments hold the call again."""
    target = name("torch._tensor", "_rebuild_from_type_v2")
    return Raw(b"]q\x01" + b"(" + target + b"Nh\x01}" + b"e" + b"0" + target + b"(" + target + b"Nh\x01}" + b"tR")


def cuts() -> Iterator[tuple[str, bytes, str | None]]:
    """Whole pickles, not values, that are no pickles."""
    yield "empty", b"", ""
    yield "no end", b"\x80\x02N", ""
    yield "nothing on the stack", b"\x80\x02.", ""
    yield "too much on the stack", b"\x80\x02NN.", ""
    yield "open mark", b"\x80\x02(N.", ""
    yield "mark as value", b"\x80\x02(.", ""
    yield "no such opcode", b"\x80\x02\xff.", ""
    yield "protocol 255", b"\x80\xffN.", None
    yield "protocol in the middle", b"\x80\x02N\x80\x050N.", None
    yield "pop of nothing", b"\x80\x020.", ""
    yield "get of nothing", b"\x80\x02h\x05.", ""
    yield "put of nothing", b"\x80\x02q\x05.", ""
    yield "call of nothing", b"\x80\x02R.", ""
    yield "build of nothing", b"\x80\x02b.", ""
    yield "object of nothing", b"\x80\x02(o.", ""
    yield "name without an end", b"\x80\x02cos", ""
    yield "name that is not ASCII", "\x80\x02cös\nsystem\n.".encode("latin-1"), None
    yield "text that is no text", b"\x80\x02X\x02\0\0\0\xff\xff.", ""
    yield "line that is no number", b"Inope\n.", ""
    yield "line that is no fraction", b"Fnope\n.", ""
    yield "line without quotes", b"Snope\n.", ""
    yield "second pickle behind it", b"\x80\x02N." + b"\x80\x02" + SYSTEM + b".", None
