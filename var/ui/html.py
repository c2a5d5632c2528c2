"""Lines of text on the page: what was found, what is going on, what went wrong."""

from collections.abc import Sequence
from html import escape

NOTHING, STOPPED = "No images made", "Stopped"
FAILED = "Something went wrong on the server. Try again; if it stays so, load this page again."


def error_banner(text: str) -> str:
    """Return a message that screen readers announce at once."""
    return f'<div class="banner" role="alert"><span aria-hidden="true">!</span><p>{escape(text)}</p></div>'


def notice_banner(text: str) -> str:
    """Return what people should know, though nothing went wrong."""
    return f'<div class="banner notice" role="status"><span aria-hidden="true">i</span><p>{escape(text)}</p></div>'


def hint_line(text: str) -> str:
    """Return a quiet line of text."""
    return f'<div class="found" role="status"><p>{escape(text)}</p></div>'


def status_line(text: str, detail: str = "") -> str:
    """Return the state of the page in a few words, with an optional remark."""
    remark = f"<span class='remark'>{escape(detail)}</span>" if detail else ""
    return f'<div class="state" role="status"><p>{escape(text)} {remark}</p></div>'


def counted(num_images: int) -> str:
    """Return a number of images in words."""
    return "1 image" if num_images == 1 else f"{num_images} images"


def progress_line(
    patch_nums: Sequence[int],
    scale_index: int,
    growing: tuple[int, int] | None,
    num_images: int,
    remaining: float | None,
) -> str:
    """Return how far the images are: one square a token map, coarse to fine, filled up to the current scale.

    Args:
        patch_nums: side of the token map of each scale.
        scale_index: the scale just finished, from 0.
        growing: the first and the last image in progress, from 1; None where these are all.
        num_images: images asked for.
        remaining: seconds left, about; None where it is too early to tell.
    """
    finest = max(patch_nums)
    squares = "".join(
        f'<i class="{"done" if index <= scale_index else ""}" style="--side:{6 + round(16 * side / finest)}px"></i>'
        for index, side in enumerate(patch_nums)
    )
    remarks = [f"images {growing[0]} to {growing[1]} of {num_images}"] if growing else []
    if remaining is not None and remaining >= 2:
        remarks.append(f"about {duration(remaining)} left")
    return (
        f'<div class="state" role="status"><p>Scale {scale_index + 1} of {len(patch_nums)} '
        f'<span class="remark">{" · ".join(remarks)}</span></p>'
        f'<span class="scales" aria-hidden="true">{squares}</span></div>'
    )


def duration(seconds: float) -> str:
    """Return a time in words, no more exact than it is known."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def waiting_line(num_before: int, seconds: float | None = None) -> str:
    """Return how many come first, and when one's turn comes; arguments as of `runs_before`."""
    if not num_before:
        return status_line("Starting …")
    return status_line("Waiting", runs_before(num_before, seconds))


def runs_before(count: int, seconds: float | None = None) -> str:
    """Return how many runs come first, in words.

    Args:
        count: of runs, from 1.
        seconds: until one's turn comes, about; None where that is not known.
    """
    text = "1 run before yours" if count == 1 else f"{count} runs before yours"
    return text if seconds is None or seconds < 2 else f"{text} · your turn in about {duration(seconds)}"


def loading_line(seconds: float) -> str:
    """Return that a checkpoint is being loaded; `seconds` as that took before, 0 where it is not known."""
    return status_line("Loading the checkpoint …", f"about {duration(seconds)}" if seconds >= 2 else "")


def finished_line(num_images: int, seeds: str, seconds: float) -> str:
    """Return what was made, with which seeds, in which time."""
    return status_line(f"{counted(num_images)} in {seconds:.1f} s", seeds)


def stopped_line(scale_index: int, num_scales: int, num_finished: int, num_images: int) -> str:
    """Return where a run was stopped; `scale_index` is the last finished scale, from 0."""
    if num_finished:
        return status_line(STOPPED, f"{num_finished} of {num_images} images are done")
    return status_line(STOPPED, f"after scale {scale_index + 1} of {num_scales}; no image is done")
