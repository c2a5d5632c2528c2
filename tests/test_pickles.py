"""The machine that reads pickles: plain values come out as they were, all else as a name."""

import argparse
import collections
import datetime
import decimal
import pickle
import re
import types
from pathlib import PurePosixPath

import pytest
import torch
from pickle_bytes import Raw, call, encode, name, pickled, stack_name, storage, tensor

from var.errors import CheckpointError
from var.formats.pickle_objects import Global, StandIn
from var.formats.pickles import MAX_STEPS, read_pickle
from var.formats.tensors import Storage, StoredTensor, TensorFile

SHARED = ["shared"]
PLAIN = [
    *(None, True, False, 0, -1, 255, 256, 2**31, -(2**63), 2**100, 0.5, -0.0, float("inf"), "", "text", "日本", "🍎"),
    *(b"", b"\x00\xff", bytearray(b"ab"), (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1, [2]], {}, {"a": {"b": 1}}),
    *({1: 2, None: 3, (): 4}, {"ab"}, set(), {"x": SHARED, "y": SHARED}),
    collections.OrderedDict(b=1, a=2),
]


class Own:
    """A class that only this program has."""

    def __init__(self):
        self.value = 7


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", PLAIN, ids=lambda value: repr(value)[:20])
def test_plain_values_come_out_as_they_were(value, protocol):
    read = read_pickle(pickle.dumps(value, protocol))
    assert read.value == value
    assert (read.stand_ins, read.calls, read.harmful) == ((), (), ())


def test_values_that_are_one_stay_one():
    read = read_pickle(pickle.dumps([SHARED, SHARED], 2)).value
    assert read[0] is read[1]


def test_a_list_in_itself_comes_out_so():
    value = []
    value.append(value)
    read = read_pickle(pickle.dumps(value)).value
    assert read[0] is read


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (argparse.Namespace(depth=2, name="a"), {"depth": 2, "name": "a"}),
        (types.SimpleNamespace(depth=2), {"depth": 2}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (frozenset("ab"), {"a", "b"}),
        (PurePosixPath("/a/b"), "/a/b"),
        (torch.Size([2, 3]), (2, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_objects_that_are_no_more_than_plain_values_become_these(value, expected, protocol):
    read = read_pickle(pickle.dumps(value, protocol))
    assert read.value == expected
    assert read.stand_ins == ()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_other_objects_become_stand_ins_without_state(protocol):
    read = read_pickle(pickle.dumps({"a": Own(), "b": 1}, protocol))
    assert isinstance(read.value["a"], StandIn)
    assert not hasattr(read.value["a"], "value")
    assert read.value["b"] == 1
    assert read.stand_ins == ("test_pickles.Own",)
    assert read.harmful == ()


@pytest.mark.parametrize("own", ["trace.model.Config", "code.nets.Args", "profile.Settings", "test.run.Options"])
def test_somebodys_own_module_called_like_one_of_pythons_is_no_attack(own):
    module, _, attribute = own.rpartition(".")
    made = Raw(name(module, attribute) + encode(()) + b"\x81" + encode({"depth": 2}) + b"b")
    read = read_pickle(pickled({"args": made}))
    assert read.stand_ins == (own,)
    assert read.attack is None


@pytest.mark.parametrize("value", [datetime.date(2024, 4, 3), decimal.Decimal(1), re.compile("a"), slice(3)], ids=repr)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_plain_objects_of_python_are_no_attack(value, protocol):
    assert read_pickle(pickle.dumps(value, protocol)).attack is None


def test_calls_are_written_down_with_their_arguments():
    read = read_pickle(pickle.dumps([datetime.timedelta(3), decimal.Decimal("0.5")]))
    assert read.calls == ("datetime.timedelta(3, 0, 0)", "decimal.Decimal('0.5')")


def test_a_name_that_is_not_called_stays_a_name():
    read = read_pickle(pickled(name("builtins", "eval")))
    assert read.value == Global("builtins.eval")
    assert read.calls == ()
    assert read.harmful == ("builtins.eval",)


@pytest.mark.parametrize(
    "target",
    [
        *(name("os", "system"), stack_name("os", "system"), name("posix", "system"), stack_name("torch", "os.system")),
        *(name("builtins", "exec"), name("subprocess", "Popen"), name("torch.hub", "load"), name("runpy", "run_path")),
    ],
)
def test_the_means_of_an_attack_are_told_from_other_names(target):
    read = read_pickle(pickled([call(target, "x"), call(name("a", "b"), "y")]))
    assert len(read.harmful) == 1
    assert read.calls == (f"{read.harmful[0]}('x')", "a.b('y')")
    assert "a.b" in read.stand_ins


def test_only_so_many_calls_are_kept_and_each_is_short():
    read = read_pickle(pickled([call(name("a", "b"), *["x" * 1000] * 20) for _ in range(100)]))
    assert len(read.calls) == 20
    assert max(map(len, read.calls)) <= 300


def test_what_follows_the_pickle_is_left():
    assert read_pickle(pickled([1, 2]) + b"more").value == [1, 2]


@pytest.fixture
def numbers(tmp_path) -> Storage:
    """Twelve numbers in a file: 0 to 11."""
    path = tmp_path / "numbers"
    path.write_bytes(torch.arange(12, dtype=torch.float32).numpy().tobytes())
    return Storage(TensorFile(path), torch.float32, 48, 0)


def test_a_tensor_is_read_from_its_place(numbers):
    content = pickled(tensor(storage("0", 12), (2, 3), (3, 1), 4))
    read = read_pickle(content, lambda _: numbers)
    assert isinstance(read.value, StoredTensor)
    assert torch.equal(read.value.read(), torch.arange(4.0, 10.0).view(2, 3))


def test_a_persistent_id_is_handed_on_as_plain_values(numbers):
    seen = []
    read_pickle(pickled(tensor(storage("7", 12), (1,), (1,))), lambda own: seen.append(own) or numbers)
    assert seen == [("storage", Global("torch.FloatStorage"), "7", "cpu", 12)]


def test_a_tensor_of_unknown_numbers_is_a_stand_in():
    assert isinstance(read_pickle(pickled(tensor(storage("0", 1), (1,), (1,))), lambda _: None).value, StandIn)


def test_a_parameter_is_its_tensor(numbers):
    own = tensor(storage("0", 12), (12,), (1,))
    hooks = call(name("collections", "OrderedDict"))
    read = read_pickle(pickled(call(name("torch._utils", "_rebuild_parameter"), own, True, hooks)), lambda _: numbers)
    assert read.value.shape == (12,)
    assert read.stand_ins == ()


def test_a_storage_in_a_pickle_that_may_have_none_is_refused():
    with pytest.raises(CheckpointError, match="damaged"):
        read_pickle(pickled(storage("0", 1)))


@pytest.mark.parametrize("value", [[1, 2], {}, {"a"}, b"x" * 10])
def test_every_cut_of_a_pickle_is_damaged(value):
    content = pickle.dumps(value, 2)
    for length in range(len(content)):
        with pytest.raises(CheckpointError, match="damaged"):
            read_pickle(content[:length])


@pytest.mark.parametrize(
    "key",
    [encode({}), encode([]), encode((1, 2)), encode(1 << 64), encode(-1 << 63), encode((("a",),))],
    ids=["dict", "list", "pair of numbers", "large number", "large negative number", "nested"],
)
def test_keys_that_can_be_made_to_collide_are_refused(key):
    with pytest.raises(CheckpointError, match="as a key"):
        read_pickle(b"\x80\x02}" + key + b"Ns.")


def test_halves_of_letters_become_question_marks():
    assert read_pickle(pickled({"a\ud800": "\udfffb"})).value == {"a?": "?b"}


@pytest.mark.parametrize("own", ["a\nb", "a\x1b[2J", "a" * 1000, "\u202ea"])
def test_a_name_that_no_class_has_is_damaged(own):
    with pytest.raises(CheckpointError, match="damaged"):
        read_pickle(pickled(stack_name("module", own)))


def test_more_steps_than_any_checkpoint_takes_are_refused():
    with pytest.raises(CheckpointError, match="more objects than a checkpoint"):
        read_pickle(Raw(b"\x80\x02" + b"N0" * MAX_STEPS + b"N."))


def test_what_a_call_copies_is_counted():
    many = Raw(b"(" + b"N" * 1000 + b"t")
    calls = b"h\x01h\x02R0" * (MAX_STEPS // 1000 + 1)
    content = many + b"q\x020" + name("torch", "device") + b"q\x010" + calls
    with pytest.raises(CheckpointError, match="more objects than a checkpoint"):
        read_pickle(b"\x80\x02" + content + b"N.")
