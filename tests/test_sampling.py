"""The sampler: what is computed, seeds, little memory, settings by scale, stopping."""

from dataclasses import replace

import pytest
import torch
from stopping import StopAtLook
from tiny import tiny_states, tiny_vae_config, tiny_var_config

from var.model.transformer import VAR
from var.model.vqvae import VQVAE
from var.sampling import sampler as sampling
from var.sampling.options import SamplingOptions
from var.sampling.recordings import recordings_for
from var.sampling.sampler import Known, Lane, generate, keep_at_scales
from var.sampling.stopping import Stopped

OPTIONS = SamplingOptions([0, 3, None, 1, 2, 2, 4, 0], seed=[5, 0, 7, 7, 2**40, 1, 2, 3], top_k=20)


@pytest.fixture(scope="module")
def models():
    var_state, vae_state = tiny_states()
    model, vqvae = VAR(tiny_var_config()).eval(), VQVAE(tiny_vae_config()).eval()
    model.load_state_dict(var_state)
    vqvae.load_state_dict(vae_state)
    return model.requires_grad_(False), vqvae.quantize.requires_grad_(False)


def tokens_of(models, options, known=None):
    parts = [scale.tokens for scale in generate(*models, options, known) if scale.tokens is not None]
    return torch.cat(parts)


def only(options, i):
    """One image of the batch alone."""
    return replace(options, class_labels=options.class_labels[i : i + 1], seed=options.seed[i : i + 1])


def make_memory_small(monkeypatch, limit, scale_index=2, error=None):
    """Let a part of more than `limit` images fail at a scale; returns the parts that were tried."""
    tried, whole = [], sampling.generate_part

    def small(*args):
        images = args[-1]
        tried.append(images)
        for scale in whole(*args):
            if len(images) > limit and scale.scale_index == scale_index:
                raise error or torch.OutOfMemoryError("CUDA out of memory")
            yield scale

    monkeypatch.setattr(sampling, "generate_part", small)
    return tried


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (SamplingOptions([0, 1], cfg_scale=0), 2),
        (SamplingOptions([0, 1], cfg_scale=1), 4),
        (SamplingOptions([None, None], cfg_scale=1), 2),
        (SamplingOptions([None, 1], cfg_scale=1), 4),
        (SamplingOptions([0, 1], cfg_end=1), 2),  # the ramp begins with 0
        (SamplingOptions([0, 1], cfg_end=1, cfg_curve="constant"), 4),
    ],
)
def test_unconditional_half_is_computed_only_where_it_matters(models, options, rows):
    assert Lane(models[0], options, range(2)).condition.shape[0] == rows


@pytest.mark.parametrize("seed", range(4))
def test_skipping_the_unconditional_half_keeps_the_tokens(models, seed):
    model, quantizer = models
    options = SamplingOptions([0, 3], seed=seed, cfg_scale=0)
    both_halves = Lane(model, replace(options, cfg_scale=1.0), range(2))
    for _ in model.config.patch_nums:
        both_halves.advance(model, quantizer, options, None)
    assert torch.equal(torch.cat(both_halves.tokens, dim=1), tokens_of(models, options))


def rows_by_scale(models, monkeypatch, options):
    """Rows of the batch that the transformer computes at each scale."""
    model, whole, rows = models[0], models[0].logits, []
    monkeypatch.setattr(model, "logits", lambda x, *args, **kwargs: rows.append(len(x)) or whole(x, *args, **kwargs))
    tokens_of(models, options)
    return rows


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({}, [4, 4, 4, 4]),
        ({"cfg_end": 2}, [4, 4, 2, 2]),
        ({"cfg_start": 3}, [4, 4, 4, 4]),
        ({"cfg_scale": 0}, [2] * 4),
        ({"cfg_scale": [2, 1, 0, 0]}, [4, 4, 2, 2]),
    ],
)
def test_unconditional_half_ends_with_the_last_guided_scale(models, monkeypatch, changes, rows):
    assert rows_by_scale(models, monkeypatch, SamplingOptions([0, 1], **changes)) == rows


@pytest.mark.parametrize("seed", range(4))
def test_leaving_the_unconditional_half_behind_keeps_the_tokens(models, seed):
    model, quantizer = models
    options = SamplingOptions([0, 3], seed=seed, cfg_end=2)
    both_halves = Lane(model, replace(options, cfg_end=0), range(2))
    for _ in model.config.patch_nums:
        both_halves.advance(model, quantizer, options, None)
    assert torch.equal(torch.cat(both_halves.tokens, dim=1), tokens_of(models, options))


BY_SCALE = {
    "cfg_scale": [0.0, 4.0 * (1 / 3), 4.0 * (2 / 3), 9.0],
    "top_k": [20, 20, 20, 1],
    "temperature": [1.0, 1.0, 1.0, 0.2],
    "cfg_start": 3,
    "cfg_end": 3,
}


@pytest.mark.parametrize(("name", "value"), BY_SCALE.items())
def test_setting_by_scale_leaves_the_scales_before_it(models, name, value):
    options = replace(OPTIONS, cfg_curve="ramp")
    before, after = tokens_of(models, options), tokens_of(models, replace(options, **{name: value}))
    start = {"cfg_start": 1}.get(name, 14)  # place of the first token that may differ; the last scale starts at 14
    assert torch.equal(before[:, :start], after[:, :start])
    assert not torch.equal(before[:, start:], after[:, start:])


@pytest.mark.parametrize("name", ["top_k", "temperature"])
def test_one_value_for_all_scales_is_that_value_at_each(models, name):
    options = replace(OPTIONS, top_k=9, temperature=0.7)
    repeated = replace(options, **{name: [getattr(options, name)] * 4})
    assert torch.equal(tokens_of(models, repeated), tokens_of(models, options))


def test_stop_is_looked_at_before_every_block(models):
    stop = StopAtLook(10**6)
    for _ in generate(*models, SamplingOptions([0], seed=[1]), None, stop):
        pass
    assert stop.looks == models[0].config.num_scales * models[0].config.depth


@pytest.mark.parametrize(("look", "scales"), [(1, 0), (2, 0), (4, 1), (8, 3)])
def test_stop_ends_within_one_block(models, monkeypatch, look, scales):
    model, stop, blocks, seen = models[0], StopAtLook(look), [], []
    for block in model.blocks:
        whole = block.forward
        monkeypatch.setattr(block, "forward", lambda *args, whole=whole: blocks.append(1) or whole(*args))
    with pytest.raises(Stopped):
        for scale in generate(*models, SamplingOptions([0], seed=[1]), None, stop):
            seen.append(scale.scale_index)
    assert (len(blocks), len(seen)) == (look - 1, scales)


def test_signal_that_is_never_set_changes_nothing(models):
    *_, scale = generate(*models, OPTIONS, None, StopAtLook(10**6))
    assert torch.equal(scale.tokens, tokens_of(models, OPTIONS))


@pytest.mark.parametrize("changes", [{}, {"cfg_scale": 0.0}, {"more_smooth": True}, {"top_k": 0, "top_p": 0.0}])
def test_image_alone_is_the_image_of_the_batch(models, changes):
    options = replace(OPTIONS, **changes)
    alone = [tokens_of(models, only(options, i)) for i in range(options.batch_size)]
    assert torch.equal(torch.cat(alone), tokens_of(models, options))


@pytest.mark.parametrize("batch_size", [2, 3, 5])
def test_latent_does_not_depend_on_the_size_of_the_batch(models, batch_size):
    def last_latents(options):
        *_, scale = generate(*models, options)
        return scale.latents

    part = replace(OPTIONS, class_labels=OPTIONS.class_labels[:batch_size], seed=OPTIONS.seed[:batch_size])
    for alone, together in zip(last_latents(part), last_latents(OPTIONS), strict=False):
        assert torch.equal(alone, together)


def test_same_seed_and_class_give_the_same_image(models):
    tokens = tokens_of(models, SamplingOptions([1, 1, 1], seed=[4, 9, 4]))
    assert torch.equal(tokens[0], tokens[2])
    assert not torch.equal(tokens[0], tokens[1])


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_batch_too_large_for_the_memory_has_the_same_tokens(models, monkeypatch, limit):
    expected = tokens_of(models, OPTIONS)
    make_memory_small(monkeypatch, limit)
    assert torch.equal(tokens_of(models, OPTIONS), expected)


@pytest.mark.parametrize("more_smooth", [False, True])
def test_batch_of_one_seed_too_large_for_the_memory_has_the_same_tokens(models, monkeypatch, more_smooth):
    options = replace(OPTIONS, seed=11, more_smooth=more_smooth)
    expected = tokens_of(models, options)
    make_memory_small(monkeypatch, 3)
    assert torch.equal(tokens_of(models, options), expected)


def test_memory_that_fails_inside_the_model(models, monkeypatch):
    model, quantizer = models
    options = replace(OPTIONS, seed=11)
    expected, whole = tokens_of(models, options), model.logits

    def small(x, *args, **kwargs):
        if x.shape[0] > 2 * 2:
            raise RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")
        return whole(x, *args, **kwargs)

    monkeypatch.setattr(model, "logits", small)
    assert torch.equal(tokens_of(models, options), expected)


def test_halved_batch_stays_halved_and_finished_images_are_kept(models, monkeypatch):
    tried = make_memory_small(monkeypatch, 2)
    tokens_of(models, OPTIONS)
    assert tried == [range(0, 8), range(0, 4), range(0, 2), range(2, 4), range(4, 6), range(6, 8)]


def test_the_size_that_fitted_is_tried_first_the_next_time(models, monkeypatch):
    tried, recordings = make_memory_small(monkeypatch, 2), recordings_for(models[0])
    for _ in range(2):
        list(generate(*models, OPTIONS, recordings=recordings))
    assert tried[2:6] == tried[6:] == [range(0, 2), range(2, 4), range(4, 6), range(6, 8)]


def test_memory_too_small_for_one_image_is_one_clear_error(models, monkeypatch):
    make_memory_small(monkeypatch, 0)
    with pytest.raises(torch.OutOfMemoryError, match="even one image"):
        tokens_of(models, OPTIONS)


def test_other_errors_pass(models, monkeypatch):
    tried = make_memory_small(monkeypatch, 2, error=RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        tokens_of(models, OPTIONS)
    assert len(tried) == 1


def test_waiting_generation_leaves_no_mode_on(models):
    scales = generate(*models, OPTIONS)
    next(scales)
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()


def test_global_generator_is_not_used(models):
    before = torch.get_rng_state()
    tokens_of(models, OPTIONS)
    assert torch.equal(torch.get_rng_state(), before)


def test_latent_of_an_earlier_scale_stays(models):
    scales = generate(*models, OPTIONS)
    first = next(scales).latents[0]
    before = first.clone()
    next(scales)
    assert torch.equal(first, before)


def test_interleaved_generations_do_not_meet(models):
    other = replace(OPTIONS, seed=3, cfg_scale=1.0)
    found = {}
    for pair in zip(generate(*models, OPTIONS), generate(*models, other), strict=True):
        found = {i: scale.tokens for i, scale in enumerate(pair)}
    assert torch.equal(found[0], tokens_of(models, OPTIONS))
    assert torch.equal(found[1], tokens_of(models, other))


@pytest.mark.parametrize("temperature", [1e-6, 1e-300])
def test_low_temperature_takes_the_likeliest(models, temperature):
    options = SamplingOptions([1, 1], seed=[0, 1], cfg_scale=0, top_k=0, top_p=0, temperature=temperature)
    greedy = SamplingOptions([1, 1], seed=[2, 3], cfg_scale=0, top_k=1, top_p=0)
    assert torch.equal(tokens_of(models, options), tokens_of(models, greedy))


def test_logits_that_are_not_finite_are_told(models):
    var_state, _ = tiny_states()
    model = VAR(tiny_var_config()).eval().requires_grad_(False)
    model.load_state_dict(var_state | {"head.bias": torch.full((64,), torch.nan)})
    with pytest.raises(ValueError, match="not finite in float32; use a lower cfg_scale"):
        tokens_of((model, models[1]), OPTIONS)


def test_one_scale_alone_can_be_sampled():
    model = VAR(tiny_var_config(patch_nums=(2,))).eval().requires_grad_(False)
    quantizer = VQVAE(tiny_vae_config()).quantize.requires_grad_(False)
    assert tokens_of((model, quantizer), SamplingOptions([0])).shape == (1, 4)


def test_smallest_scales_are_always_kept():
    masks = keep_at_scales(torch.zeros(4, 4), (1, 2, 4))
    assert [mask.float().mean().item() for mask in masks] == [1, 0, 0]


def test_first_scales_are_kept_whole_where_asked():
    masks = keep_at_scales(torch.zeros(4, 4), (1, 2, 3, 4), keep_scales=3)
    assert [mask.float().mean().item() for mask in masks] == [1, 1, 1, 0]


def test_mask_of_the_last_scale_is_the_mask():
    keep = torch.randint(0, 2, (4, 4)).float()
    assert torch.equal(keep_at_scales(keep, (1, 2, 4))[-1][0, 0].float(), keep)


def test_edit_that_keeps_all_gives_the_known_latent(models):
    model, quantizer = models
    patch_nums = model.config.patch_nums
    known = [torch.randint(0, 64, (1, side**2)) for side in patch_nums]
    *_, expected = quantizer.partial_sums(known, patch_nums)
    keep = keep_at_scales(torch.ones(4, 4), patch_nums)
    *_, scale = generate(model, quantizer, SamplingOptions([0, 1]), Known(known, keep))
    torch.testing.assert_close(scale.latents[0], expected.expand(2, -1, -1, -1))
