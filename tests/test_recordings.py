"""Recordings of the transformer's work, with a recorder for the CPU: it computes again instead of replaying."""

from dataclasses import replace

import pytest
import torch
from stopping import StopAtLook
from tiny import tiny_states, tiny_vae_config, tiny_var_config

from var.model.transformer import VAR
from var.model.vqvae import VQVAE
from var.sampling.options import SamplingOptions
from var.sampling.recordings import (
    KEPT,
    MAX_DECODED,
    MAX_IMAGES,
    RecordedDecoder,
    Recordings,
    decoder_for,
    recordings_for,
)
from var.sampling.sampler import generate
from var.sampling.stopping import Stopped

OPTIONS = SamplingOptions([0, 3], seed=5, top_k=20)  # one seed: computed together also on the CPU


@pytest.fixture(scope="module")
def models():
    var_state, vae_state = tiny_states()
    model, vqvae = VAR(tiny_var_config()).eval(), VQVAE(tiny_vae_config()).eval()
    model.load_state_dict(var_state)
    vqvae.load_state_dict(vae_state)
    return model.requires_grad_(False), vqvae.quantize.requires_grad_(False)


class Recorder:
    """Counts what it records and what is repeated."""

    def __init__(self):
        self.recorded = self.repeated = 0

    def __call__(self, work):
        self.recorded += 1
        result = torch.empty_like(work())

        def repeat():
            self.repeated += 1
            result.copy_(work())

        return repeat, result


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def recordings(models, recorder) -> Recordings:
    return Recordings(models[0], lambda: recorder)


def tokens_of(models, options, recordings=None):
    return [scale.tokens for scale in generate(*models, options, recordings=recordings) if scale.tokens is not None][-1]


def test_generations_of_a_size_are_recorded_once(models, recordings, recorder):
    for _ in range(3):
        tokens_of(models, OPTIONS, recordings)
    assert (recorder.recorded, recorder.repeated) == (4, 12)  # four scales


@pytest.mark.parametrize(
    "changes", [{}, {"cfg_scale": 0.0}, {"cfg_end": 2}, {"more_smooth": True}, {"top_k": 0, "top_p": 0.0}]
)
def test_recorded_generations_have_the_same_tokens(models, recordings, changes):
    for number in range(4):
        options = replace(OPTIONS, class_labels=[number, 4 - number], seed=number, **changes)
        assert torch.equal(tokens_of(models, options, recordings), tokens_of(models, options))


def test_generations_at_the_same_time_do_not_meet(models, recordings, recorder):
    other = replace(OPTIONS, class_labels=[1, 2], seed=8)
    found = {}
    for pair in zip(*(generate(*models, o, recordings=recordings) for o in (OPTIONS, other)), strict=True):
        found = {i: scale.tokens for i, scale in enumerate(pair)}
    assert torch.equal(found[0], tokens_of(models, OPTIONS))
    assert torch.equal(found[1], tokens_of(models, other))
    assert recorder.recorded == 8


def test_stopped_generation_gives_its_recording_back(models, recordings, recorder):
    with pytest.raises(Stopped):
        list(generate(*models, OPTIONS, None, StopAtLook(3), recordings))
    assert torch.equal(tokens_of(models, OPTIONS, recordings), tokens_of(models, OPTIONS))
    assert recorder.recorded == 4


def test_large_batches_are_not_recorded(models, recordings, recorder):
    options = replace(OPTIONS, class_labels=[0] * (MAX_IMAGES + 1))
    tokens_of(models, options, recordings)
    assert recorder.recorded == 0


def test_few_recordings_are_kept(models, recordings, recorder):
    for size in (*range(1, KEPT + 2), KEPT, 1):  # that of one image is gone by then, that of two is there
        tokens_of(models, replace(OPTIONS, class_labels=[0] * size), recordings)
    assert recorder.recorded == 4 * (KEPT + 2)


def test_memory_too_small_for_a_recording(models):
    def full(work):
        tried.append(work)
        raise torch.OutOfMemoryError("CUDA out of memory")

    recordings, tried = Recordings(models[0], lambda: full), []
    for _ in range(3):
        assert torch.equal(tokens_of(models, OPTIONS, recordings), tokens_of(models, OPTIONS))
    assert len(tried) == 1


def test_nothing_is_recorded_on_the_cpu(models):
    with recordings_for(models[0]).lend(1, True) as recording:
        assert recording is None
    vqvae = VQVAE(tiny_vae_config())
    assert decoder_for(vqvae) is vqvae


@pytest.fixture
def vqvae() -> VQVAE:
    return VQVAE(tiny_vae_config()).requires_grad_(False)


@torch.inference_mode()
def test_recorded_decoder_gives_the_same_images(vqvae, recorder):
    decoder = RecordedDecoder(vqvae, recorder)
    found = [(latent, decoder.decode_latent(latent)) for latent in torch.randn(3, 2, 8, 4, 4)]
    for latent, images in found:
        assert torch.equal(images, vqvae.decode_latent(latent))
    assert (recorder.recorded, recorder.repeated) == (1, 3)
    decoder.decode_latent(torch.randn(MAX_DECODED + 1, 8, 4, 4))
    assert recorder.recorded == 1


@torch.inference_mode()
def test_memory_too_small_for_a_recorded_decoder(vqvae):
    tried = []

    def full(work):
        tried.append(work)
        raise torch.OutOfMemoryError("CUDA out of memory")

    decoder, latent = RecordedDecoder(vqvae, full), torch.randn(1, 8, 4, 4)
    for _ in range(2):
        assert torch.equal(decoder.decode_latent(latent), vqvae.decode_latent(latent))
    assert len(tried) == 1
