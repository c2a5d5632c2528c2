import math
from pathlib import Path

import pytest
import torch

from var.checkpoints.checkpoint import read_checkpoint
from var.checkpoints.trained_classes import chi_squared_score, trained_classes

BOX = Path(__file__).parent.parent / "checkpoints" / "fruits96.pth"


def untrained_rows(count, columns, seed=0, shrink=0.6):
    """Rows as the initialization draws them, after weight decay."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, columns, generator=generator) * math.sqrt(1 / (3 * columns)) * shrink


@pytest.fixture(scope="module")
def trained_rows():
    """The 64 trained rows of the model in the box, and its row of "no class"."""
    return read_checkpoint(BOX).var_state["class_emb.weight"].float().clone()


def with_trained(trained_rows, labels, count, shrink=0.6):
    """A model of `count` classes of which only some were trained."""
    rows = untrained_rows(count, trained_rows.shape[1], shrink=shrink)
    for number, label in enumerate(labels):  # as many different rows as asked for, mirrored where 64 are too few
        sign = -1 if number // 64 % 2 else 1
        rows[label] = trained_rows[number % 64] + sign * 0.5 * trained_rows[(number * 7 + number // 64 + 1) % 64]
    return torch.cat((rows, trained_rows[-1:]))


@pytest.mark.parametrize(
    ("labels", "count"),
    [
        (range(12), 1000),
        (range(10), 100),
        ([417], 1000),
        ([3, 500, 999], 1000),
        (range(3), 10),
        (range(5, 1000), 1000),
        (range(0, 900), 1000),
    ],
)
def test_trained_rows_are_found(trained_rows, labels, count):
    assert trained_classes(with_trained(trained_rows, labels, count)) == tuple(labels)


@pytest.mark.parametrize("shrink", [0.01, 0.3, 1.0, 4.0])
def test_scale_of_untrained_rows_does_not_matter(trained_rows, shrink):
    assert trained_classes(with_trained(trained_rows, range(12), 300, shrink)) == tuple(range(12))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_does_not_matter(trained_rows, dtype):
    assert trained_classes(with_trained(trained_rows, range(12), 300).to(dtype)) == tuple(range(12))


def test_float16_of_long_decayed_rows(trained_rows):
    rows = with_trained(trained_rows, range(12), 300, shrink=1e-4).half()
    assert trained_classes(rows) == tuple(range(12))


def test_fully_trained_model_makes_no_claim(trained_rows):
    assert trained_classes(trained_rows) is None


def test_part_of_a_trained_model_makes_no_claim(trained_rows):
    generator = torch.Generator().manual_seed(0)
    for size in range(7, 64, 3):
        some = torch.randperm(64, generator=generator)[:size]
        assert trained_classes(torch.cat((trained_rows[some], trained_rows[-1:]))) is None


def test_one_untrained_row_makes_no_claim(trained_rows):
    assert trained_classes(with_trained(trained_rows, range(999), 1000)) is None


@pytest.mark.parametrize(("classes", "columns"), [(10, 64), (64, 256), (1000, 64), (1000, 1024)])
def test_random_model_makes_no_claim(classes, columns):
    for seed in range(5):
        assert trained_classes(untrained_rows(classes + 1, columns, seed)) is None


def test_rows_with_a_common_direction_make_no_claim():
    rows = untrained_rows(1001, 256)
    rows[:12] *= 3
    assert trained_classes(rows) is not None
    assert trained_classes(rows + 0.01 * torch.ones(256)) is None


def test_columns_of_different_scale_make_no_claim():
    rows = untrained_rows(1001, 256)
    rows[:12] *= 3
    assert trained_classes(rows * torch.linspace(0.7, 1.3, 256)) is None


def test_rows_of_low_rank_make_no_claim():
    generator = torch.Generator().manual_seed(0)
    rows = untrained_rows(1001, 32) @ torch.randn(32, 256, generator=generator)
    rows[:12] *= 3
    assert trained_classes(rows) is None


@pytest.mark.parametrize(
    "rows",
    [
        torch.full((101, 64), math.nan),
        torch.full((101, 64), math.inf),
        torch.zeros(101, 64),
        torch.ones(101, 64),
        torch.full((101, 64), 1e38),
        torch.full((101, 64), 1e-45),
        torch.cat((torch.full((50, 64), 1e-38), torch.full((51, 64), 1e38))),
        torch.randn(2, 64, generator=torch.Generator().manual_seed(0)),
        torch.randn(101, 1, generator=torch.Generator().manual_seed(0)),
        torch.randn(0, 64),
        torch.randn(101, 0),
        torch.zeros(101),
        torch.zeros(101, 64, dtype=torch.int64),
        torch.eye(101),
    ],
)
def test_numbers_of_no_model_make_no_claim(rows):
    assert trained_classes(rows) is None


def test_one_broken_row_makes_no_claim(trained_rows):
    rows = with_trained(trained_rows, range(12), 100)
    rows[50, 3] = math.nan
    assert trained_classes(rows) is None


def test_the_rows_are_not_changed(trained_rows):
    rows = with_trained(trained_rows, range(12), 100)
    before = rows.clone()
    trained_classes(rows)
    assert torch.equal(rows, before)


@pytest.mark.parametrize("degrees", [3, 64])
def test_chi_squared_scores_are_standard_normal(degrees):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(20_000, degrees, generator=generator).square().sum(1)
    scores = chi_squared_score(values, degrees)
    assert abs(scores.mean()) < 0.03
    assert abs(scores.std() - 1) < 0.03
