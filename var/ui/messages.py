"""Lines of text on the page: what was found, what is going on, what went wrong."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from .models import Description

# What a user can bring about: an unusable file, a setting out of range, a file that is gone, a model too large.
USER_ERRORS = (ValueError, OSError, MemoryError)


def error_text(error: Exception, path: Path | None = None, name: str | None = None) -> str:
    """Return an error as one readable message, the file called as the page calls it.

    Args:
        error: one of `USER_ERRORS`.
        path: the file it is about, if any: uploads lie at a place that means nothing to the user.
        name: the name shown for that file.
    """
    text = str(error) or type(error).__name__
    return text.replace(str(path), name) if path is not None and name else text


def error_banner(text: str) -> str:
    """Return a message that screen readers announce at once."""
    return f'<div class="banner" role="alert"><span aria-hidden="true">!</span><p>{escape(text)}</p></div>'


def found_line(description: Description) -> str:
    """Return what was found in a checkpoint, and where it runs."""
    vae = f'<p class="note">VQVAE from {escape(description.vae_file)}</p>' if description.vae_file else ""
    return (
        f'<div class="found" role="status"><p>{escape(description.summary)}</p>{vae}'
        f'<p class="placement">Runs on <b>{escape(description.placement)}</b></p></div>'
    )


def hint_line(text: str) -> str:
    """Return a quiet line of text."""
    return f'<div class="found" role="status"><p>{escape(text)}</p></div>'


def status_line(text: str, detail: str = "") -> str:
    """Return the state of the page in a few words, with an optional remark."""
    remark = f"<span class='remark'>{escape(detail)}</span>" if detail else ""
    return f'<div class="state" role="status"><p>{escape(text)} {remark}</p></div>'


def progress_line(patch_nums: Sequence[int], scale_index: int) -> str:
    """Return how far the images are: one square a token map, coarse to fine, filled up to the current scale.

    Args:
        patch_nums: side of the token map of each scale.
        scale_index: the scale just finished, from 0.
    """
    finest = max(patch_nums)
    squares = "".join(
        f'<i class="{"done" if index <= scale_index else ""}" style="--side:{6 + round(16 * side / finest)}px"></i>'
        for index, side in enumerate(patch_nums)
    )
    side = patch_nums[scale_index]
    return (
        f'<div class="state" role="status"><p>Scale {scale_index + 1} of {len(patch_nums)} '
        f'<span class="remark wide">{side} × {side} tokens</span></p>'
        f'<span class="scales" aria-hidden="true">{squares}</span></div>'
    )


def finished_line(num_images: int, first_seed: int, seconds: float) -> str:
    """Return what was made, with which seeds, in which time."""
    last_seed = first_seed + num_images - 1
    seeds = f"seed {first_seed}" if num_images == 1 else f"seeds {first_seed} to {last_seed}"
    images = "1 image" if num_images == 1 else f"{num_images} images"
    return status_line(f"{images} in {seconds:.1f} s", seeds)


def stopped_line(scale_index: int, num_scales: int) -> str:
    """Return where a run was stopped; `scale_index` is the last finished scale, from 0."""
    return status_line("Stopped", f"after scale {scale_index + 1} of {num_scales}")
