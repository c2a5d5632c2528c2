"""The previews: what is shown in which time, and what the sketch learns from; with a clock of our own."""

import threading

import pytest
import torch
from stopping import StopAtLook
from tiny import tiny_states, tiny_vae_config, tiny_var_config

from var.engine import previews
from var.engine.previews import Previewer
from var.model.transformer import VAR
from var.model.vqvae import VQVAE
from var.pipeline import VARPipeline

CALL = dict(class_labels=[0, 3, 1], seed=[1, 2, 3])


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def pipe():
    var_state, vae_state = tiny_states()
    model, vqvae = VAR(tiny_var_config()).eval(), VQVAE(tiny_vae_config()).eval()
    model.load_state_dict(var_state)
    vqvae.load_state_dict(vae_state)
    return VARPipeline(model.requires_grad_(False), vqvae.requires_grad_(False))


@pytest.fixture
def clock(monkeypatch):
    """Decoding a whole latent takes 16 seconds, a smaller one less."""
    clock, whole = Clock(), previews.decode_latents

    def slow(vqvae, latents):
        clock.now += sum(latent.shape[0] * latent.shape[-1] ** 2 for latent in latents)
        return whole(vqvae, latents)

    monkeypatch.setattr(previews, "decode_latents", slow)
    return clock


def run(pipe, previewer, clock, seconds_a_scale, **changes):
    """Offer every step of a run; returns what was shown, and the time that all of it took."""
    start, shown = clock.now, []
    previewer.start()
    for step in pipe.stream(**CALL | changes):
        clock.now += seconds_a_scale
        shown.append(previewer.offer(step))
    return shown, clock.now - start


def teach(previewer):
    latents = torch.randn(40, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    previewer.sketch.learn(latents, torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(1)))


def counts(shown):
    return [images and len(images) for images in shown]


def test_all_images_go_through_the_decoder_where_time_suffices(pipe, clock):
    shown, _ = run(pipe, Previewer(pipe, clock=clock), clock, seconds_a_scale=10_000)
    expected = [[image.tobytes() for image in step.preview()] for step in pipe.stream(**CALL)]
    assert [[image.tobytes() for image in images] for images in shown] == expected


def test_first_images_only_where_time_is_shorter(pipe, clock):
    shown, _ = run(pipe, Previewer(pipe, clock=clock), clock, seconds_a_scale=400)
    assert counts(shown) == [1, 1, 1, 3]


def test_nothing_where_time_is_short(pipe, clock):
    shown, _ = run(pipe, Previewer(pipe, clock=clock), clock, seconds_a_scale=10)
    assert counts(shown) == [None, None, None, 3]


def test_sketches_where_time_is_short_and_it_has_learned(pipe, clock):
    previewer = Previewer(pipe, clock=clock)
    teach(previewer)
    shown, _ = run(pipe, previewer, clock, seconds_a_scale=10)
    assert counts(shown) == [3, 3, 3, 3]
    assert {image.size for images in shown for image in images} == {(16, 16)}


def test_sketches_too_are_dropped_where_they_take_too_long(pipe, clock, monkeypatch):
    previewer = Previewer(pipe, clock=clock)
    teach(previewer)
    whole = previewer.sketch.draw

    def slow(latents):
        clock.now += len(latents)
        return whole(latents)

    monkeypatch.setattr(previewer.sketch, "draw", slow)
    shown, _ = run(pipe, previewer, clock, seconds_a_scale=30)
    assert counts(shown) == [3, None, None, 3]


def test_sketches_that_took_long_once_are_tried_again(pipe, clock):
    previewer = Previewer(pipe, clock=clock)
    teach(previewer)
    previewer.recent_sketches.append(1.0)
    shown = [run(pipe, previewer, clock, seconds_a_scale=10)[0] for _ in range(5)]
    assert counts(shown[0]) == [None, None, None, 3]
    assert counts(shown[-1]) == [3, 3, 3, 3]


def test_one_slow_sketch_among_fast_ones_drops_nothing(pipe, clock):
    previewer = Previewer(pipe, clock=clock)
    teach(previewer)
    previewer.recent_sketches.extend([0.001, 1.0])
    assert counts(run(pipe, previewer, clock, seconds_a_scale=10)[0]) == [3, 3, 3, 3]


@pytest.mark.parametrize("seconds", [100, 400, 1000, 10_000])
def test_previews_keep_to_their_share(pipe, clock, seconds):
    previewer = Previewer(pipe, budget=0.05, clock=clock)
    _, total = run(pipe, previewer, clock, seconds)
    assert previewer.spent <= 0.05 * total


def test_share_of_nothing_shows_only_the_result(pipe, clock):
    shown, _ = run(pipe, Previewer(pipe, budget=0.0, clock=clock), clock, seconds_a_scale=10_000)
    assert counts(shown) == [None, None, None, 3]


@pytest.mark.parametrize("output_type", ["pil", "pt"])
def test_last_images_are_those_of_the_result(pipe, clock, output_type):
    shown, _ = run(pipe, Previewer(pipe, clock=clock), clock, seconds_a_scale=1, output_type=output_type)
    assert [image.tobytes() for image in shown[-1]] == [image.tobytes() for image in pipe(**CALL).images]


@pytest.mark.parametrize("output_type", ["pil", "pt"])
def test_runs_teach_the_sketch(pipe, clock, output_type):
    previewer = Previewer(pipe, clock=clock)
    run(pipe, previewer, clock, seconds_a_scale=1, output_type=output_type)
    assert previewer.sketch.rows == 3 * 16


def test_sketch_stops_learning_when_it_has_seen_enough(pipe, clock):
    previewer = Previewer(pipe, clock=clock)
    previewer.sketch.rows = 10**6
    run(pipe, previewer, clock, seconds_a_scale=1)
    assert previewer.sketch.rows == 10**6


def test_each_run_has_its_own_share(pipe, clock):
    previewer = Previewer(pipe, clock=clock)
    first, _ = run(pipe, previewer, clock, seconds_a_scale=400)
    second, _ = run(pipe, previewer, clock, seconds_a_scale=400)
    assert counts(first) == [1, 1, 1, 3] and counts(second)[-1] == 3
    assert previewer.spent < 400


@pytest.fixture
def practise(pipe, clock, monkeypatch):
    """Let a new previewer practise, a scale in so many seconds; the previewer, and how many scales it made."""

    def run(seconds_a_scale, stop=None):
        monkeypatch.setattr(previews, "PRACTICE_SECONDS", 100)
        monkeypatch.setattr(previews, "MOST_PRACTICE_SECONDS", 3000)
        previewer, scales = Previewer(pipe, clock=clock), 0
        for _ in previewer.practise(stop or threading.Event()):
            clock.now += seconds_a_scale
            scales += 1
        return previewer, scales

    return run


def test_practice_makes_it_ready_for_the_first_run(practise):
    previewer, _ = practise(seconds_a_scale=1)
    assert previewer.sketch.ready


def test_a_slow_model_practises_until_it_is_ready(practise):
    previewer, scales = practise(seconds_a_scale=150)
    assert previewer.sketch.ready and scales == 4 * 4  # an image gives a quarter of what is needed


def test_practice_ends_where_it_takes_too_long(practise):
    previewer, scales = practise(seconds_a_scale=1000)
    assert not previewer.sketch.ready and scales == 3


def test_practice_ends_when_somebody_wants_the_model(practise):
    stop = StopAtLook(5)
    _, scales = practise(seconds_a_scale=1, stop=stop)
    assert scales == 2


def test_a_first_guess_that_was_far_too_long_is_mended(pipe, clock):
    previewer = Previewer(pipe, clock=clock)
    previewer.decode_seconds = 1e6
    shown, _ = run(pipe, previewer, clock, seconds_a_scale=1000)
    assert counts(shown) == [None, 3, 3, 3]


def test_images_are_the_same_with_and_without_previews(pipe, clock):
    shown, _ = run(pipe, Previewer(pipe, clock=clock), clock, seconds_a_scale=1000)
    assert [image.tobytes() for image in shown[-1]] == [image.tobytes() for image in pipe(**CALL).images]
