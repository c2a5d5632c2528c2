"""The transformer: its cache against its mask, AdaLN of both kinds, precision, drop path."""

import pytest
import torch
from tiny import formula_state, tiny_var_config

from var.model.transformer import VAR, KeyValueCache, drop_path

VARIANTS = [{}, {"shared_adaln": True}, {"attn_l2_norm": False}, {"num_heads": 1, "mlp_ratio": 2.5}]


def make_model(**changes) -> VAR:
    model = VAR(tiny_var_config(**changes)).eval()
    model.load_state_dict(formula_state(model, seed=3))
    return model.requires_grad_(False)


def random_features(model: VAR) -> list[torch.Tensor]:
    """What the scales after the first see, each (2, C, n, n)."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 8, side, side, generator=generator) for side in model.config.patch_nums[1:]]


def teacher_forced(model: VAR, features: list[torch.Tensor]) -> torch.Tensor:
    inputs = torch.cat([f.flatten(2).transpose(1, 2) for f in features], dim=1)
    return model(torch.tensor([1, model.null_class]), inputs)


@pytest.mark.parametrize("changes", VARIANTS)
def test_scale_by_scale_with_the_cache_is_teacher_forcing(changes):
    model = make_model(**changes)
    features = random_features(model)
    condition = model.class_emb(torch.tensor([1, model.null_class]))
    modulations = model.modulations(condition)
    cache = KeyValueCache(model.config, 2, torch.device("cpu"), torch.float32)
    logits = []
    for scale_index, scale_features in enumerate([None, *features]):
        x = model.embed_scale(scale_features, condition, scale_index)
        logits.append(model.logits(x, modulations, cache=cache))
    torch.testing.assert_close(torch.cat(logits, dim=1), teacher_forced(model, features), rtol=0, atol=1e-4)


def test_no_scale_sees_a_later_one():
    model = make_model()
    features = random_features(model)
    before = teacher_forced(model, features)
    features[-1] = features[-1] + 1
    start = model.config.scale_ranges[-1][0]
    after = teacher_forced(model, features)
    assert torch.equal(before[:, :start], after[:, :start])
    assert not torch.equal(before[:, start:], after[:, start:])


def test_first_scale_of_more_than_one_place():
    model = make_model(patch_nums=(2, 3))
    assert teacher_forced(model, [torch.randn(2, 8, 3, 3)]).shape == (2, 13, 64)


def test_shared_adaln_has_one_projection():
    state = make_model(shared_adaln=True).state_dict()
    assert "shared_ada_lin.1.weight" in state and "blocks.0.ada_gss" in state
    assert not any(key.startswith("blocks.") and "ada_lin" in key for key in state)


def test_without_unit_length_attention_there_is_no_learned_scale():
    assert not any("scale_mul" in key for key in make_model(attn_l2_norm=False).state_dict())


def test_half_precision_is_near():
    model = make_model()
    features = random_features(model)
    expected = teacher_forced(model, features)
    half = model.to(torch.bfloat16)
    found = teacher_forced(half, [f.to(torch.bfloat16) for f in features])
    assert found.dtype == torch.float32
    assert (found - expected).abs().mean() < 0.1


def test_the_last_product_is_not_rounded_to_half_precision():
    model = make_model()
    model.prepare(torch.bfloat16)
    assert model.dtype == torch.bfloat16
    found = teacher_forced(model, random_features(model))
    assert (found != found.bfloat16()).float().mean() > 0.9


def test_drop_path_keeps_the_mean():
    torch.manual_seed(0)
    dropped = drop_path(torch.ones(4000, 2, 3), 0.25)
    assert sorted(dropped.unique().tolist()) == [0, pytest.approx(4 / 3)]
    assert abs(dropped.mean().item() - 1) < 0.05


def test_evaluation_drops_nothing():
    torch.manual_seed(0)
    model = VAR(tiny_var_config(), drop_path_rate=0.9).eval()
    features = random_features(model)
    assert torch.equal(teacher_forced(model, features), teacher_forced(model, features))
