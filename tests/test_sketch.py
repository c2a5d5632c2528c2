"""The sketch: what it learns, when it is ready, what it draws."""

import numpy
import torch

from var.engine.sketch import Sketch


def pairs(count, seed=0):
    """Latents (B, 3, 4, 4) and the images (B, 3, 16, 16) of a decoder that is a sketch itself."""
    latents = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return latents, latents.repeat_interleave(4, 2).repeat_interleave(4, 3)


def taught():
    sketch = Sketch(channels=3, image_size=16)
    sketch.learn(*pairs(200))
    return sketch


def test_linear_decoder_is_learned():
    latents, images = pairs(2, seed=1)
    small = torch.stack([torch.from_numpy(numpy.array(image)) for image in taught().draw(latents)])  # (2, 16, 16, 3)
    centres = small[:, 6:10, 6:10].float().div(255).mean((1, 2))
    expected = images[:, :, 6:10, 6:10].mean((2, 3))
    torch.testing.assert_close(centres, expected, rtol=0, atol=0.1)


def test_pictures_have_the_full_size():
    assert [image.size for image in taught().draw(pairs(2)[0])] == [(16, 16)] * 2


def test_ready_once_enough_was_seen():
    sketch = Sketch(channels=3, image_size=16)
    sketch.learn(*pairs(1))
    assert not sketch.ready
    sketch.learn(*pairs(2))
    assert sketch.ready


def test_what_it_learned_first_is_kept():
    latents, _ = pairs(1, seed=5)
    at_once, in_parts = taught(), Sketch(channels=3, image_size=16)
    all_latents, all_images = pairs(200)
    in_parts.learn(all_latents[:90], all_images[:90])
    in_parts.learn(all_latents[90:], all_images[90:])
    assert at_once.draw(latents)[0].tobytes() == in_parts.draw(latents)[0].tobytes()
