"""False tokens in the context, and what then is right: the transformer learns to mend what it sampled badly.

In training a transformer sees only true tokens before the scale that it predicts, in sampling its own. Here a part of
the tokens that it sees is false, and the tokens that it shall name are those that lead on from there to the image.
Source: the idea is Infinity's bitwise self-correction (arXiv 2412.04431); tokens stand here for its bits.

Letters: B images, S scales, C latent channels, N side of the latent, L tokens of all scales.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..model.quantizer import MultiScaleQuantizer, resize_area


@torch.no_grad()
def noisy_context(
    quantizer: MultiScaleQuantizer,
    tokens: Sequence[Tensor],
    latent: Tensor,
    patch_nums: Sequence[int],
    shares: Tensor,
) -> tuple[Tensor, Tensor]:
    """Put false tokens into the context of some images, and find the tokens that are right after them.

    A false token is the one that another image of the batch has at the same place. The draws are torch's own.

    Args:
        quantizer: the finished tokenizer's.
        tokens: the true ones, int64 (B, n²) for each scale.
        latent: of the images, before quantization, (B, C, N, N).
        patch_nums: side of the token map of each scale, coarse to fine.
        shares: how many of its tokens become false, 0 to 1, for each image (B,).

    Returns:
        What the transformer sees, (B, L - n_1², C), as `teacher_forcing_inputs` gives it for true tokens; and what it
        shall name, int64 (B, L): the true tokens up to an image's first false one, from there on the nearest to what is
        missing.
    """
    batch_size, device = len(latent), latent.device
    spoiled = torch.zeros(batch_size, 1, dtype=torch.bool, device=device)
    rest, sums = latent, torch.zeros_like(latent)
    right, seen = [], []
    for scale_index, (patch_num, true) in enumerate(zip(patch_nums, tokens, strict=True)):
        z = resize_area(rest, patch_num).flatten(2).transpose(1, 2)  # (B, n², C)
        right.append(torch.where(spoiled, quantizer.nearest_tokens(z), true))
        if scale_index == len(patch_nums) - 1:
            break
        others = right[-1].roll(int(torch.randint(1, max(2, batch_size), ())), 0)
        false = torch.rand(true.shape, device=device) < shares.unsqueeze(1)
        context = torch.where(false, others, right[-1])  # (B, n²)
        spoiled = spoiled | (context != right[-1]).any(1, keepdim=True)
        contribution = quantizer.contribution(quantizer.tokens_to_map(context), scale_index, patch_nums)
        sums, rest = sums + contribution, rest - contribution
        seen.append(resize_area(sums, patch_nums[scale_index + 1]).flatten(2))  # (B, C, n²)
    if not seen:  # a single scale sees nothing but its class
        return latent.new_zeros(batch_size, 0, latent.shape[1]), right[0]
    return torch.cat(seen, dim=2).transpose(1, 2), torch.cat(right, dim=1)
