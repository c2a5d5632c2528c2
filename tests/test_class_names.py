import json
import os

import pytest
import torch
from tiny import write_trainer_file

from var import VARPipeline
from var.checkpoints import class_names
from var.checkpoints.class_names import find_class_names, imagenet_names, looks_like_imagenet, read_classes
from var.checkpoints.pair import open_pair
from var.engine.description import describe_pair
from var.text import clean_name, tell_apart


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "fruit.pth"
    path.write_bytes(b"weights")
    return path


def make_data(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "0.JPEG").write_bytes(b"")
    return folder


def test_nothing_around_a_checkpoint_gives_none(checkpoint):
    assert find_class_names(checkpoint, 3, {}) is None


def test_text_file_has_a_name_a_line(checkpoint):
    (checkpoint.parent / "classes.txt").write_text("apple\npear\r\nplum\n\n", encoding="utf-8-sig")
    found = find_class_names(checkpoint, 3, {})
    assert found.names == ("apple", "pear", "plum")
    assert found.source == "classes.txt"
    assert found.num_named == 3


def test_blank_line_leaves_a_class_without_name(checkpoint):
    (checkpoint.parent / "classes.txt").write_text("apple\n\nplum")
    assert find_class_names(checkpoint, 3, {}).names == ("apple", "class 1", "plum")


@pytest.mark.parametrize("text", ["0 apple\n1 pear", "0: apple\n1: pear", "0,apple\n1,pear\n", "0. apple\n1. pear"])
def test_numbers_before_all_names_are_taken_away(checkpoint, text):
    (checkpoint.parent / "classes.txt").write_text(text)
    assert find_class_names(checkpoint, 2, {}).names == ("apple", "pear")


def test_numbers_that_do_not_count_the_lines_stay(checkpoint):
    (checkpoint.parent / "classes.txt").write_text("7 up\ncola")
    assert find_class_names(checkpoint, 2, {}).names == ("7 up", "cola")


@pytest.mark.parametrize(
    "content",
    [
        ["apple", "pear"],
        {"1": "pear", "0": "apple"},
        {"apple": 0, "pear": 1},
        {"classes": ["apple", "pear"]},
        {"model": "fruit", "id2label": {"0": "apple", "1": "pear"}},
        {"0": ["n00000001", "apple"], "1": ["n00000002", "pear"]},
    ],
)
@pytest.mark.parametrize("name", ["classes.json", "class_names.json", "fruit.json"])
def test_json_may_be_a_list_or_a_table(checkpoint, content, name):
    (checkpoint.parent / name).write_text(json.dumps(content))
    assert find_class_names(checkpoint, 2, {}).names == ("apple", "pear")


def test_names_that_are_digits_may_be_numbered(checkpoint):
    (checkpoint.parent / "classes.json").write_text(json.dumps({"3": 0, "7": 1}))
    assert find_class_names(checkpoint, 2, {}).names == ("3", "7")


def test_fewer_names_than_classes_leave_the_rest_numbered(checkpoint):
    (checkpoint.parent / "classes.txt").write_text("apple\npear")
    found = find_class_names(checkpoint, 1000, {})
    assert found.names[:3] == ("apple", "pear", "class 2")
    assert len(found.names) == 1000
    assert found.num_named == 2


def test_more_names_than_classes_are_not_used_but_remarked(checkpoint):
    (checkpoint.parent / "classes.txt").write_text("apple\npear\nplum")
    found = find_class_names(checkpoint, 2, {})
    assert found.names == ("class 0", "class 1")
    assert found.num_named == 0
    assert found.remarks == ("classes.txt is not used for class names: it names 3 classes, and the model has 2.",)


def test_next_source_is_used_where_the_first_is_of_another_model(checkpoint):
    (checkpoint.parent / "classes.txt").write_text("apple\npear\nplum")
    (checkpoint.parent / "classes.json").write_text('["ant", "bee"]')
    found = find_class_names(checkpoint, 2, {})
    assert (found.names, found.source, len(found.remarks)) == (("ant", "bee"), "classes.json", 1)


def test_file_named_like_the_checkpoint_comes_first(checkpoint):
    (checkpoint.parent / "classes.txt").write_text("ant\nbee")
    (checkpoint.parent / "fruit.txt").write_text("apple\npear")
    assert find_class_names(checkpoint, 2, {}).source == "fruit.txt"


@pytest.mark.parametrize("text", ["Trained for 3 days.\nSecond run", "lr = 1e-4\nepochs = 3", "x" * 90])
def test_notes_named_like_the_checkpoint_are_passed_over(checkpoint, text):
    (checkpoint.parent / "fruit.txt").write_text(text)
    assert find_class_names(checkpoint, 5, {}) is None


def test_settings_named_like_the_checkpoint_are_passed_over(checkpoint):
    (checkpoint.parent / "fruit.json").write_text(json.dumps({"depth": 16, "epochs": 20}))
    assert find_class_names(checkpoint, 100, {}) is None


def test_names_may_lie_in_the_folder_that_is_the_checkpoint(tmp_path):
    (tmp_path / "classes.txt").write_text("apple\npear")
    assert find_class_names(tmp_path, 2, {}).names == ("apple", "pear")


@pytest.mark.parametrize(
    "data",
    [
        b"a" * (1 << 20) + b"\n",
        b"\xff\xfe\x00a",
        b"[" * 200_000,
        b'{"a": 0',
        b"7",
        b'["apple", 3]',
        b'{"0": "apple", "00": "pear"}',
        b'{"9999999": "apple"}',
        b'{"apple": -1}',
        b"",
        b"[]",
        b"{}",
    ],
)
def test_unusable_file_is_a_remark(checkpoint, data):
    (checkpoint.parent / "classes.json").write_bytes(data)
    found = find_class_names(checkpoint, 2, {})
    assert found.num_named == 0
    assert "classes.json" in found.remarks[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in this system's folders")
def test_what_is_no_file_is_not_opened(checkpoint):
    os.mkfifo(checkpoint.parent / "classes.txt")
    assert find_class_names(checkpoint, 2, {}) is None


def test_names_are_cleaned(checkpoint):
    (checkpoint.parent / "classes.json").write_text(json.dumps(["a\x1b[31m\nb", "\u202eevil", "\ud800x", "y" * 500]))
    names = find_class_names(checkpoint, 4, {}).names
    assert names[:3] == ("a [31m b", "evil", "x")
    assert len(names[3]) == 80
    "".join(names).encode()  # no unpaired surrogate is left


def test_cleaning_keeps_other_scripts():
    assert clean_name(" می\u200cخواهم ") == "می\u200cخواهم"


def test_data_folder_gives_sorted_folder_names(checkpoint, tmp_path):
    data = make_data(tmp_path / "data" / "train", "pear", "Zebra", "apple")
    (data / "notes.txt").write_text("")
    for key in ("data_path", "data", "data_dir"):
        found = find_class_names(checkpoint, 5, {"args": {key: str(tmp_path / "data")}})
        assert found.names == ("Zebra", "apple", "pear", "class 3", "class 4")


def test_data_folder_of_the_older_trainers_text_is_found(checkpoint, tmp_path):
    make_data(tmp_path / "data", "pear", "apple")
    text = f"{{\n  depth           : 16\n  data_path       : {tmp_path / 'data'}\n  bs : 768\n}}"
    assert find_class_names(checkpoint, 2, {"args": {"text": text}}).names == ("apple", "pear")


def test_folder_whose_folders_lack_images_stays_private(checkpoint, tmp_path):
    make_data(tmp_path / "data", "apple")
    (tmp_path / "data" / "secret").mkdir()
    assert find_class_names(checkpoint, 5, {"args": {"data_path": str(tmp_path / "data")}}) is None


def test_data_folder_is_left_alone_where_asked(checkpoint, tmp_path):
    make_data(tmp_path / "data", "apple", "pear")
    training = {"args": {"data_path": str(tmp_path / "data")}}
    assert find_class_names(checkpoint, 2, training, data_folder=False) is None


@pytest.mark.parametrize("path", ["//server/share", r"\\server\share", "a\0b", "x" * 5000, 7, None, "", "/no/such"])
def test_strange_data_paths_are_nothing(checkpoint, path):
    assert find_class_names(checkpoint, 2, {"args": {"data_path": path}}) is None


def test_data_folder_with_more_folders_than_classes_is_of_another_model(checkpoint, tmp_path):
    make_data(tmp_path / "data", "apple", "pear", "plum")
    assert find_class_names(checkpoint, 2, {"args": {"data_path": str(tmp_path / "data")}}) is None


def test_wordnet_ids_become_names(checkpoint, tmp_path):
    make_data(tmp_path / "data", "n01440764", "n15075141")
    found = find_class_names(checkpoint, 2, {"args": {"data_path": str(tmp_path / "data")}})
    assert found.names == ("tench", "toilet tissue")


def test_imagenet_names_are_complete_and_in_order():
    ids, names = list(imagenet_names()), list(imagenet_names().values())
    assert len(names) == 1000
    assert ids == sorted(ids)  # the labels follow the WordNet ids
    known = {0: "tench", 7: "cock", 207: "golden retriever", 281: "tabby", 388: "giant panda", 417: "balloon"}
    known |= {562: "fountain", 657: "missile", 744: "projectile", 951: "lemon", 980: "volcano", 999: "toilet tissue"}
    assert {label: names[label] for label in known} == known
    assert all(name == clean_name(name) for name in names)


def test_equal_names_are_told_apart_by_index():
    shown = tell_apart(list(imagenet_names().values()))
    assert len(set(shown)) == 1000
    assert [shown[label] for label in (134, 517, 638, 639)] == [
        "crane (134)",
        "crane (517)",
        "maillot (638)",
        "maillot (639)",
    ]
    assert shown[0] == "tench"


def test_official_model_has_imagenet_names(checkpoint):
    found = find_class_names(checkpoint, 1000, {})
    assert (found.source, found.num_named, found.names[1]) == ("ImageNet", 1000, "goldfish")
    assert find_class_names(checkpoint, 999, {}) is None


@pytest.mark.parametrize("path", ["/path/to/imagenet", "/data100/ILSVRC2012", r"D:\ImageNet-1k\train", "/x/in1k"])
def test_data_called_imagenet_is_imagenet(path):
    assert looks_like_imagenet({"args": {"data_path": path}})


@pytest.mark.parametrize("path", ["/data/flowers", "imagenet100", "tiny-imagenet-200", "imagenette2", "/train1k"])
def test_other_data_is_not_imagenet(path):
    assert not looks_like_imagenet({"args": {"data_path": path}})


def test_untrained_classes_are_not_imagenet():
    assert not looks_like_imagenet({}, trained=range(12))
    assert looks_like_imagenet({}, trained=None)


def test_pipeline_takes_the_names_beside_its_checkpoint(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth")
    (tmp_path / "classes.txt").write_text("apple\npear")
    names = VARPipeline.from_checkpoint(path, device="cpu").class_names
    assert names == ["apple", "pear", "class 2", "class 3", "class 4"]


def test_of_very_many_classes_the_first_are_offered_and_all_are_named(tmp_path, monkeypatch):
    path = write_trainer_file(tmp_path / "a.pth", class_names=["a", "b", "b", "d", "e"])
    pair = open_pair(path)
    cpu = torch.device("cpu")
    assert describe_pair(pair, cpu, torch.float32, None, True).class_names == ("a", "b (1)", "b (2)", "d", "e")
    monkeypatch.setattr(class_names, "MAX_OFFERED", 3)
    assert read_classes(pair.checkpoint).names == ("a", "b", "b", "d", "e")
    description = describe_pair(pair, cpu, torch.float32, None, True)
    assert description.class_names == ("a", "b (1)", "b (2)")
    assert any("first 3 of 5 classes" in note for note in description.notes)
