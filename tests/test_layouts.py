"""Finding the models in every kind of file, as the projects that save them build them, and in content of any kind."""

from pathlib import Path

import pytest
import torch
from layout_files import EMA_SEED, FILES, RAW_SEED, parameters_alone, vae_state, var_state
from safetensors.torch import save_file
from tiny import stored, tiny_states

from var.checkpoints.checkpoint import read_checkpoint
from var.checkpoints.layouts import LAYOUTS, find_state_dicts
from var.checkpoints.load import check
from var.checkpoints.sizes import MAX_CLASSES
from var.checkpoints.state_dicts import MAX_DEPTH, official_name
from var.errors import CheckpointError
from var.formats.open import FileContent
from var.formats.pickle_objects import Global, StandIn

PAIRS = [name for name, file in FILES.items() if file.weights is not None]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Each kind of file is written once."""
    paths: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in paths:
            folder = tmp_path_factory.mktemp("layout")
            (folder / "export").mkdir()
            paths[name] = FILES[name].write(folder)
        return paths[name]

    return write


def same(left: dict | None, right: dict | None) -> bool:
    if left is None or right is None:
        return left is right
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def find(payload: object, weights: str | None = None, **content):
    return find_state_dicts(FileContent("torch", payload, **content), weights)


@pytest.mark.parametrize("name", FILES)
def test_weights_are_found(written, name):
    checkpoint = read_checkpoint(written(name))
    assert same(checkpoint.var_state, FILES[name].expected("var"))
    assert same(checkpoint.vae_state, FILES[name].expected("vae"))


@pytest.mark.parametrize("name", FILES)
def test_layout_and_place_are_told(written, name):
    checkpoint = read_checkpoint(written(name))
    assert (checkpoint.layout, checkpoint.origin) == (FILES[name].layout, FILES[name].origin)


@pytest.mark.parametrize("name", FILES)
def test_what_is_ignored_is_told(written, name):
    assert set(read_checkpoint(written(name)).ignored) == set(FILES[name].ignored)


@pytest.mark.parametrize("name", [name for name, file in FILES.items() if file.training])
def test_training_is_told(written, name):
    training = read_checkpoint(written(name)).training
    assert {key: training.get(key) for key in FILES[name].training} == FILES[name].training


@pytest.mark.parametrize("name", FILES)
def test_weights_are_called_ema_only_where_both_are_there(written, name):
    assert read_checkpoint(written(name)).weights == FILES[name].weights


@pytest.mark.parametrize("name", PAIRS)
def test_raw_weights_may_be_chosen(written, name):
    checkpoint = read_checkpoint(written(name), weights="raw")
    model = FILES[name].models[0]
    state, expected = (
        (checkpoint.var_state, var_state()) if model == "var" else (checkpoint.vae_state, vae_state(RAW_SEED))
    )
    assert checkpoint.weights == "raw"
    assert same(state, expected)
    assert "EMA weights" in checkpoint.ignored


@pytest.mark.parametrize("name", PAIRS)
def test_ema_may_be_asked_for(written, name):
    assert read_checkpoint(written(name), weights="ema").weights == "ema"


@pytest.mark.parametrize(
    ("payload", "weights", "said"),
    [
        ({"trainer": {"var_wo_ddp": "state"}}, "ema", r"no EMA weights.*raw weights \(trainer\.var_wo_ddp\)"),
        ("state", "ema", "no EMA weights.*at the top of the file"),
        ({"ema": "state"}, "raw", r"no raw weights.*EMA weights \(ema\)"),
    ],
)
def test_weights_that_are_not_there_are_refused(payload, weights, said):
    def put(value):
        return {key: put(item) for key, item in value.items()} if isinstance(value, dict) else stored(var_state())

    with pytest.raises(CheckpointError, match=said):
        find(put(payload), weights)


def test_weights_are_ema_or_raw():
    with pytest.raises(ValueError, match='expected "ema", "raw" or None'):
        find(stored(var_state()), "best")


def test_raw_weights_alone_may_be_asked_for():
    assert find({"model": stored(var_state())}, "raw").weights is None


def test_ema_of_another_shape_takes_nothing_from_the_raw_weights():
    ema = parameters_alone(var_state(EMA_SEED))
    ema["head.weight"] = torch.zeros(3, 3)
    found = find({"model": stored(var_state()), "ema": stored(ema)})
    assert "lvl_1L" not in found.var_weights


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"trainer": {"var_wo_ddp": state}}])
def test_every_precision_in_both_formats(tmp_path, dtype, legacy, wrap):
    state = {key: t.to(dtype) if t.is_floating_point() else t for key, t in var_state().items()}
    torch.save(wrap(state), tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    assert same(read_checkpoint(tmp_path / "a.pth").var_state, state)


def test_bytes_of_the_optimizer_are_counted(tmp_path):
    moments = {i: {"exp_avg": torch.zeros(1000), "exp_avg_sq": torch.zeros(500)} for i in range(3)}
    trainer = {"var_wo_ddp": var_state(), "var_opt": {"optimizer": {"state": moments}}}
    torch.save({"trainer": trainer}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").ignored == {"optimizer": 3 * 1500 * 4}


def test_shared_numbers_are_counted_once(tmp_path):
    shared = torch.zeros(1000)
    torch.save({"model": var_state(), "a": shared, "b": {"c": shared[:10]}}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").ignored == {"other tensors": 4000}


def test_weights_that_are_used_are_not_ignored(tmp_path):
    state = var_state()
    torch.save({"trainer": {"var_wo_ddp": state}, "best": {"copy": state["head.weight"]}}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").ignored == {}


@pytest.mark.parametrize(
    ("around", "names"),
    [
        ({"args": {"class_names": ["a", "b", "c", "d", "e"]}}, ["a", "b", "c", "d", "e"]),
        ({"classes": ("a", "b", "c", "d", "e")}, ["a", "b", "c", "d", "e"]),
        ({"class_to_idx": {"b": 1, "a": 0, "e": 4, "d": 3, "c": 2}}, ["a", "b", "c", "d", "e"]),
        ({"class_to_idx": {"b": 1, "a": 7}}, None),
        ({"classes": 5}, None),
        ({"classes": ["a"] * (MAX_CLASSES + 1)}, None),
        ({"classes": [1, 2]}, None),
    ],
)
def test_class_names_from_beside_the_weights(around, names):
    assert find({**around, "model": stored(var_state())}).class_names == names


@pytest.mark.parametrize("key", ["a.weight", "module.a.weight", "_orig_mod.a.weight", "a._fsdp_wrapped_module.weight"])
def test_prefixes_go_wherever_they_are(key):
    assert official_name(key) == "a.weight"


def test_parts_that_only_look_like_prefixes_stay():
    assert official_name("modules.a.submodule.weight") == "modules.a.submodule.weight"


def test_keys_that_become_the_same_are_refused():
    state = stored(var_state())
    with pytest.raises(CheckpointError, match=r"head\.weight is there twice"):
        find({**state, "module.head.weight": state["head.weight"]})


def test_a_damaged_var_is_still_a_var():
    state = stored(var_state())
    del state["word_embed.weight"], state["head.weight"]
    assert find(state).var_weights.keys() == state.keys()


def test_trainer_file_with_the_vqvae_alone():
    found = find({"trainer": {"vae_local": stored(vae_state())}})
    assert found.var_weights is None
    assert found.vae_weights.keys() == vae_state().keys()


def test_a_reference_model_stands_behind():
    trainer = {"ref_var_wo_ddp": stored(var_state(EMA_SEED)), "student": stored(var_state())}
    assert find({"trainer": trainer}).origin == "trainer.student"


def test_weights_of_an_optimizer_are_no_model():
    named = {"optimizer": {"exp_avg": stored(var_state(EMA_SEED))}, "z": stored(var_state())}
    assert find(named).origin == "z"


def test_a_variant_of_var_is_not_taken_for_one():
    state = stored(var_state())
    for i in range(2):
        state[f"blocks.{i}.cross_attn.mat_q.weight"] = state["blocks.0.attn.proj.weight"]
    with pytest.raises(CheckpointError, match="The file holds"):
        find({"trainer": {"var_wo_ddp": state}})


def test_distilled_decoding_is_told_from_var(tmp_path):
    state = {
        **var_state(),
        "n_d_embed.weight": torch.zeros(2, 64),
        "final_layer_conti.linear.weight": torch.zeros(8, 64),
    }
    trainer = {"var_wo_ddp": state, "ema_parameters": parameters_alone(state)}
    torch.save({"trainer": trainer}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="distilled decoding"):
        read_checkpoint(tmp_path / "a.pth")


def test_averages_without_names_are_told_apart():
    state, shadow = stored(var_state()), stored({str(i): t for i, t in enumerate(var_state(EMA_SEED).values())})
    found = find({"model": state, "ema": {"decay": 0.99, "shadow_params": list(shadow.values())}})
    assert found.origin == "model"
    assert found.weights is None
    assert list(found.ignored) == ["EMA weights"]


def test_every_layout_says_who_keeps_it():
    assert all(layout.kept_by and layout.places and layout.name for layout in LAYOUTS)


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(2, 2).to_sparse(), torch.zeros(2, 2, device="meta"), torch.zeros(2, 2, dtype=torch.complex64)],
    ids=["sparse", "meta", "complex"],
)
def test_tensors_that_are_not_plain_are_refused(tmp_path, tensor):
    torch.save({**var_state(), "head.weight": tensor}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"head\.weight is .*not an ordinary tensor"):
        read_checkpoint(tmp_path / "a.pth")


UNUSUAL = {
    "U32": torch.zeros(3, dtype=torch.uint32),
    "U64": torch.zeros((), dtype=torch.uint64),
    "C64": torch.zeros(3, dtype=torch.complex64),
    "U8": torch.zeros(5056, dtype=torch.uint8),
    "I64": torch.zeros((), dtype=torch.int64),
}


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("name", UNUSUAL)
def test_side_tensors_that_cannot_be_weights_are_left_out(tmp_path, name, suffix):
    state = {**var_state(), "data.random_state": UNUSUAL[name], "steps_done": UNUSUAL[name].clone()}
    path = tmp_path / f"a.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    checkpoint = read_checkpoint(path)
    check(checkpoint)
    assert same(checkpoint.var_state, var_state())


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_of_a_kind_that_weights_do_not_have_are_refused(tmp_path, suffix):
    state = {**var_state(), "head.weight": torch.zeros(64, 64, dtype=torch.complex64)}
    path = tmp_path / f"a.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"head\.weight is .*not an ordinary tensor"):
        read_checkpoint(path)


def test_more_weights_than_the_model_has_are_not_left_out():
    state = {**stored(var_state()), **stored({"extra.weight": torch.zeros(2)})}
    assert "extra.weight" in find(state).var_weights


def circle() -> dict:
    itself: dict = {}
    itself["self"] = itself
    itself["list"] = [itself, (itself,)]
    return itself


def tower(depth: int) -> object:
    value: object = {}
    for i in range(depth):
        value = {f"level {i}": value} if i % 2 else [value]
    return value


def laughs(width: int = 500, levels: int = 12) -> object:
    """A value that would be endless if every path through it were followed."""
    value: object = []
    for _ in range(levels):
        value = [value] * width
    return value


ODD = {
    "none": None,
    "text": "trainer",
    "number": 7,
    "huge number": 10**5000,
    "huge key": {10**5000: {10**5000: {}}},
    "stand-in": StandIn("os.path"),
    "global": Global("torch.float32"),
    "empty": {},
    "circle": circle(),
    "tower": tower(3000),
    "laughs": laughs(),
    "keys of all kinds": {None: {}, 3.5: [], (1, 2): {}, True: {}, StandIn("a"): {}, Global("b"): {}, b"x": {}},
    "long key": {"x" * 1_000_000: {}},
    "control characters": {"\x1b[31m\n\u202e": {}},
    "trainer of nothing": {"trainer": {"var_wo_ddp": None, "vae_local": 3}},
    "objects for weights": {"trainer": {"var_wo_ddp": StandIn("torch.nn.Module"), "var_opt": Global("x.y")}},
    "nothing but names": {"class_emb.weight": 1, "pos_start": 2, "pos_1LC": 3, "lvl_embed.weight": 4},
    "set": {1, 2, 3},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_content_is_refused_in_words(name):
    with pytest.raises(CheckpointError) as caught:
        find(ODD[name])
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 600


@pytest.mark.parametrize("name", ODD)
def test_odd_content_beside_the_weights_does_no_harm(name):
    state = stored(var_state())
    found = find({"args": ODD[name], "config": ODD[name], "epoch": ODD[name], "odd": ODD[name], "model": state})
    assert found.var_weights == state


@pytest.mark.parametrize("name", ODD)
def test_odd_content_among_the_weights_does_no_harm(name):
    state = stored(var_state())
    assert find({**state, "odd": ODD[name], 7: ODD[name]}).var_weights.keys() == state.keys()


def test_weights_in_a_circle_are_found():
    state = stored(var_state())
    payload = {"first": {}, "model": state}
    payload["first"]["back"] = payload
    state["itself"] = state
    assert find(payload).origin == "model"


def test_weights_too_deep_are_not_looked_for():
    payload = stored(var_state())
    for _ in range(MAX_DEPTH + 1):
        payload = {"further": payload}
    with pytest.raises(CheckpointError):
        find(payload)


def test_many_models_are_few_enough_to_look_at():
    tensor = stored({"x": torch.zeros(1)})["x"]
    names = ("class_emb.weight", "pos_start", "pos_1LC")
    payload = {f"model{i}.{name}": tensor for i in range(5000) for name in names}
    assert find(payload).origin == "model0"


def test_many_state_dicts_are_few_enough_to_describe():
    tensor = stored({"x": torch.zeros(1)})["x"]
    with pytest.raises(CheckpointError):
        find([{"fc.weight": tensor} for _ in range(5000)])


def test_training_keeps_what_is_a_number_or_a_dict():
    around = {"epoch": True, "iter": -1, "global_step": 10**400, "args": {3: 1, None: 2, 10**400: 3}, "config": []}
    training = find({**around, "model": stored(var_state())}).training
    assert training == {"args": {"3": 1}}


def test_unreadable_header_entries_of_an_export_are_left_out():
    state = {f"var.{key}": tensor for key, tensor in stored(tiny_states()[0]).items()}
    header = {"var_export": "1", "training": "[" * 100_000, "class_names": "{"}
    found = find_state_dicts(FileContent("safetensors", state, header))
    assert (found.layout, found.training, found.class_names) == ("export", {}, None)
