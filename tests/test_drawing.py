"""From logits to tokens: removal, draws, guidance."""

import pytest
import torch

from var.sampling.tokens import BatchDraws, draw_tokens, guide, keep_likely


def test_top_k_keeps_the_largest_and_their_equals():
    logits = torch.tensor([1.0, 3.0, 2.0, 2.0])
    assert keep_likely(logits, 2, 0).isfinite().tolist() == [False, True, True, True]


def test_top_p_keeps_the_smallest_set_that_holds_the_share():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert keep_likely(logits, 0, 0.9).isfinite().tolist() == [True, True, True, False]


def test_top_p_never_removes_the_largest():
    logits = torch.tensor([0.1, 5.0, 0.2])
    assert keep_likely(logits, 0, 1e-9).isfinite().tolist() == [False, True, False]


def test_top_p_counts_what_top_k_left():
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()  # after top-2: 0.571 and 0.429
    assert keep_likely(logits, 2, 0.55).isfinite().tolist() == [True, False, False, False]


@pytest.mark.parametrize("top_k", [0, 4, 900])
def test_top_k_off(top_k):
    logits = torch.randn(3, 4)
    assert torch.equal(keep_likely(logits, top_k, 0), logits)


def test_removal_leaves_its_input_alone():
    logits = torch.randn(2, 9, 50)
    before = logits.clone()
    keep_likely(logits, 5, 0.5)
    assert torch.equal(logits, before)


def test_of_equal_tokens_top_p_removes_as_many_as_its_share_wants():
    share = torch.tensor([0.3, 0.1, 0.1, 0.3, 0.1, 0.1])  # 0.25 are to go: the first two of those with a tenth
    assert (
        keep_likely(share.log().repeat(2, 1), 0, 0.75).isfinite().tolist()
        == [[True, False, False, True, True, True]] * 2
    )


@pytest.mark.parametrize("top_k", [0, 30])
@pytest.mark.parametrize("decimals", [1, 6])  # with and without equal ones
def test_removal_is_the_references_token_for_token(top_k, decimals):
    logits = (torch.randn(2, 9, 100, generator=torch.Generator().manual_seed(0)) * 3).round(decimals=decimals)
    expected = logits.clone()
    if top_k:
        expected[expected < expected.topk(top_k).values.amin(-1, keepdim=True)] = -torch.inf
    ascending, order = expected.sort(-1)
    removed = ascending.softmax(-1).cumsum(-1) <= 1 - 0.95
    removed[..., -1] = False
    expected[removed.scatter(-1, order, removed)] = -torch.inf
    assert torch.equal(keep_likely(logits, top_k, 0.95), expected)


@pytest.mark.parametrize("seed", range(5))
def test_draw_is_multinomial_token_for_token(seed):
    logits = keep_likely(torch.randn(2, 9, 100) * 3, 30, 0.95)
    expected = torch.multinomial(
        logits.softmax(-1).view(18, 100), 1, replacement=True, generator=torch.Generator().manual_seed(seed)
    )
    draws = BatchDraws(seed, 2, range(2), torch.device("cpu")).exponential(9, 100)
    assert torch.equal(draw_tokens(logits, draws), expected.view(2, 9))


def test_part_of_a_batch_sees_the_draws_of_the_whole():
    whole = BatchDraws(3, 4, range(4), torch.device("cpu"))
    part = BatchDraws(3, 4, range(1, 3), torch.device("cpu"))
    for places in (1, 4):
        assert torch.equal(whole.exponential(places, 10)[1:3], part.exponential(places, 10))


def test_guidance():
    conditional, unconditional = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    guided = guide(torch.cat((conditional, unconditional)), 1.5)
    torch.testing.assert_close(guided, conditional + 1.5 * (conditional - unconditional))
