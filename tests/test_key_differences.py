"""Differences between the weights of a file and those of a model: complete, and in short."""

import torch

from var.checkpoints.key_differences import find_differences, summarize

MODEL = {f"blocks.{i}.{part}.{kind}": torch.zeros(2) for i in range(4) for part in "ab" for kind in ("weight", "bias")}
MODEL |= {"head.weight": torch.zeros(3, 2), "head.bias": torch.zeros(3)}


def without(*parts: str) -> dict:
    return {key: value for key, value in MODEL.items() if not any(part in key for part in parts)}


def test_equal_weights_have_no_difference():
    assert not find_differences(MODEL, dict(MODEL))


def test_lists_are_complete():
    found = without("head.bias") | {"new": torch.zeros(1), "head.weight": torch.zeros(2, 2)}
    found["blocks.0.a.bias"] = torch.zeros(2, dtype=torch.int64)
    differences = find_differences(MODEL, found)
    assert differences.missing == ("head.bias",)
    assert differences.unexpected == ("new",)
    assert differences.misshaped == {"head.weight": ((2, 2), (3, 2))}
    assert differences.mistyped == {"blocks.0.a.bias": "int64"}
    assert "head.weight" in differences.present


def test_part_that_is_missing_as_a_whole_counts_as_one():
    assert (
        "10 keys are missing (blocks.* ×2 (8 keys), head (2 keys))"
        in find_differences(MODEL, without("blocks.2.", "blocks.3.", "head.")).describe()
    )


def test_part_of_many_blocks_is_gathered():
    assert "blocks.*.a ×4 (8 keys)" in find_differences(MODEL, without(".a.")).describe()


def test_single_weights_of_many_blocks_are_gathered():
    assert "(blocks.*.a.bias ×4)" in find_differences(MODEL, without("a.bias")).describe()


def test_unexpected_part_is_gathered():
    more = {f"blocks.{i}.moe.{j}.weight": torch.zeros(1) for i in range(4) for j in range(8)}
    assert "32 keys are unexpected (blocks.*.moe ×4 (32 keys))" in find_differences(MODEL, MODEL | more).describe()


def test_shapes_are_gathered_with_both_shapes():
    found = {key: torch.zeros(5) if key.endswith("a.weight") else value for key, value in MODEL.items()}
    said = find_differences(MODEL, found).describe()
    assert said == "4 keys are of another shape (blocks.*.a.weight is (5,), expected (2,) ×4)"


def test_more_groups_are_counted():
    said = summarize([f"{letter}.weight" for letter in "abcdef"])
    assert said == "a.weight, b.weight, c.weight, and 3 more kinds"


def test_larger_groups_come_first():
    assert summarize(["a.x", *(f"b.{i}.x" for i in range(9))]) == "b (9 keys), a.x"


def test_full_list_is_pointed_at_where_it_is_longer():
    assert "inspect" in find_differences(MODEL, without(".a.")).next_step()
    assert "inspect" not in find_differences(MODEL, without("head.bias")).next_step()


def test_what_is_too_much_has_another_next_step():
    assert "was changed" in find_differences(MODEL, MODEL | {"new": torch.zeros(1)}).next_step()


def test_strange_names_stay_on_one_short_line():
    said = summarize(["a\nb" * 1000, ".".join("x" * 5000), "\t"])
    assert "\n" not in said
    assert len(said) < 400
