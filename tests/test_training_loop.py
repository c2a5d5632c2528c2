"""Parts of the training loop."""

import shutil

import pytest
import torch
from pictures import TINY_OPTIONS
from torch import nn

from var.model.transformer import VAR
from var.model.vqvae import VQVAE
from var.training.data import PackedImages, Split
from var.training.distributed import Processes
from var.training.loop import (
    actual_batch_size,
    compile_parts,
    count_steps_per_epoch,
    epoch_order,
    learning_rate,
    make_optimizer,
    step_seed,
    update_average,
)
from var.training.options import make_options
from var.training.tokenizer import TokenizerOutputs, TokenizerStage, initialize_vqvae
from var.training.transformer import TokenSet, TransformerStage, initialize_var

OPTIONS = make_options("tiny", **TINY_OPTIONS)


def random_split(count=20):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
    return Split(PackedImages(pixels), torch.zeros(count, dtype=torch.int64))


def tokenizer_stage(processes=None, count=20):
    torch.manual_seed(0)
    split = random_split(count)
    return TokenizerStage(VQVAE(OPTIONS.vae_config()), OPTIONS, split, split, processes or Processes())


def test_the_learning_rate_rises_then_falls():
    rates = [learning_rate(step, 100, peak=1.0, warmup=0.1, final=0.1) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_every_epoch_passes_over_all_items_in_another_order():
    first, second = (epoch_order(50, 0, "tokenizer", epoch) for epoch in (0, 1))
    assert first.sort().values.tolist() == list(range(50))
    assert not torch.equal(first, second)
    assert torch.equal(first, epoch_order(50, 0, "tokenizer", 0))


def test_seeds_differ_by_stage_step_and_process():
    seeds = {
        step_seed(seed, stage, step, rank)
        for seed in (0, 1)
        for stage in ("tokenizer", "transformer")
        for step in range(20)
        for rank in (0, 1)
    }
    assert len(seeds) == 2 * 2 * 20 * 2
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_batch_is_no_larger_than_the_data():
    stage = tokenizer_stage(count=5)
    assert actual_batch_size(stage, Processes()) == 5
    assert actual_batch_size(stage, Processes(count=2)) == 4
    assert count_steps_per_epoch(stage, Processes()) == 1


def test_weight_decay_spares_biases_embeddings_and_scales():
    model = VAR(OPTIONS.var_config(2, OPTIONS.vae_config()))
    initialize_var(model)
    tokens = TokenSet(torch.zeros(4, 1, 5, dtype=torch.int64), torch.zeros(4, dtype=torch.int64))
    stage = TransformerStage(model, VQVAE(OPTIONS.vae_config()), OPTIONS, tokens, tokens, Processes())
    decayed, spared = ({id(p) for p in group["params"]} for group in make_optimizer(stage).param_groups)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[i] for i in decayed} >= {"word_embed.weight", "head.weight", "blocks.0.attn.mat_qkv.weight"}
    expected = {"class_emb.weight", "pos_1LC", "pos_start", "lvl_embed.weight", "blocks.0.attn.scale_mul_1H11"}
    assert {names[i] for i in spared} >= expected | {"head.bias", "blocks.0.attn.q_bias"}
    assert len(decayed) + len(spared) == len(names)


def test_the_average_moves_towards_the_model():
    average, model = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.zeros_(average.weight)
    nn.init.ones_(model.weight)
    update_average(average, model, 0.75)
    assert average.weight.item() == pytest.approx(0.25)


def test_the_tokenizer_starts_with_a_latent_of_unit_variance():
    stage = tokenizer_stage()
    images = torch.rand(20, 3, 16, 16) * 2 - 1
    initialize_vqvae(stage.model, images)
    with torch.no_grad():
        latent = stage.model.encode_latent(images)
    assert torch.allclose(latent.std((0, 2, 3)), torch.ones(4), atol=0.01)
    assert latent.mean((0, 2, 3)).abs().max() < 0.01


def test_dead_codes_are_given_a_new_place():
    stage = tokenizer_stage()
    quantizer = stage.model.quantize
    optimizer = make_optimizer(stage)
    tokens = torch.zeros(8, 5, dtype=torch.int64)  # code 0 alone is used
    sources = torch.full((8, 5, 4), 7.0)
    before = quantizer.embedding.weight.detach().clone()
    # a batch in two parts: both give places
    parts = [TokenizerOutputs(torch.zeros(()), {}, tokens, place) for place in (sources, -sources)]
    stage.after_step(24, 1000, parts, optimizer, seed=0)
    assert torch.equal(quantizer.embedding.weight[0], before[0])
    moved = quantizer.embedding.weight[1:]
    assert torch.equal(moved.abs(), torch.full_like(moved, 7.0))
    assert moved.min() < 0 < moved.max()


def test_late_in_the_stage_no_code_is_moved():
    stage = tokenizer_stage()
    before = stage.model.quantize.embedding.weight.detach().clone()
    outputs = TokenizerOutputs(torch.zeros(()), {}, torch.zeros(8, 5, dtype=torch.int64), torch.full((8, 5, 4), 7.0))
    stage.after_step(974, 1000, [outputs], make_optimizer(stage), seed=0)
    assert torch.equal(stage.model.quantize.embedding.weight, before)


def test_the_losses_of_an_image_reach_the_whole_tokenizer():
    stage = tokenizer_stage()
    images = torch.rand(8, 3, 16, 16) * 2 - 1
    said = stage.objective(images, torch.tensor(0.0), 0.0)  # not quantized: the loss is plain
    said.loss.backward()
    found = {name: p.grad.clone() for name, p in stage.model.named_parameters() if p.grad is not None}
    stage.model.zero_grad()
    vqvae = stage.model
    latent = vqvae.encode_latent(images)
    output = vqvae.decoder(vqvae.post_quant_conv(latent))
    loss = torch.nn.functional.mse_loss(output, images) + 0.2 * torch.nn.functional.l1_loss(output, images)
    loss.backward()
    for name in ("encoder.conv_in.weight", "decoder.conv_out.weight", "post_quant_conv.weight"):
        assert torch.allclose(found[name], dict(vqvae.named_parameters())[name].grad, atol=1e-6), name
    assert said.measured["squared_error"].item() == pytest.approx(torch.nn.functional.mse_loss(output, images).item())


def test_the_critic_learns_beside_the_tokenizer_and_bends_its_gradient():
    gradients = []
    for share in (0.0, 1.0):
        torch.manual_seed(0)
        split = random_split()
        options = make_options("tiny", **TINY_OPTIONS, adversarial=0.5)
        stage = TokenizerStage(VQVAE(options.vae_config()), options, split, split, Processes())
        stage.objective(
            split.images.batch(torch.arange(8)).float() / 127.5 - 1, torch.tensor(1.0), share
        ).loss.backward()
        learns = [p.grad is not None and p.grad.abs().sum() > 0 for p in stage.beside.parameters()]
        assert any(learns) == (share > 0)
        gradients.append(stage.model.decoder.conv_out.weight.grad)
    assert not torch.allclose(*gradients)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_compiled_parts_have_the_same_gradients():
    stage = tokenizer_stage()
    images = torch.rand(8, 3, 16, 16) * 2 - 1

    def gradients():
        stage.model.zero_grad()
        stage.objective(images, torch.tensor(1.0), 0.0).loss.backward()
        named = stage.model.named_parameters()
        return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}

    eager = gradients()
    compile_parts(stage, torch.device("cpu"))
    for name, gradient in gradients().items():
        scale = eager[name].abs().max().clamp_min(1e-4)
        assert (gradient - eager[name]).abs().max() < 0.02 * scale, name
