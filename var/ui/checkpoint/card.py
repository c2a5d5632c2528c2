"""The checkpoint's card: in short below its name, in full behind "Details". What a file says is shown as text only."""

from collections.abc import Sequence
from html import escape

from ...engine.description import Description
from ...engine.models import Resident
from ...text import format_bytes


def summary_html(description: Description, resident: Resident | None, news: str = "", name: str = "") -> str:
    """Return what was found, in a few lines.

    Args:
        description: of the checkpoint.
        resident: what it takes in memory; None where it is not loaded.
        news: what just happened to it, such as that its file changed; "" for nothing.
        name: what it is called; "" where that is said elsewhere.
    """
    classes, side = len(description.class_names), description.image_size
    what = f"{classes} {'class' if classes == 1 else 'classes'}, images of {side}×{side}"
    lines = [f'<p class="line"><b>{escape(name)}</b> {what}</p>'] if name else []
    lines += [_line("news", news)] if news else []
    lines.append(_line("summary", description.summary))
    if description.vae_file:
        lines.append(_line("note", f"VQVAE from {description.vae_file}"))
    if resident is not None and resident.warning:
        lines.append(_line("warning", resident.warning))
    lines += [_line("note", note) for note in description.notes]
    state = f"in memory, {format_bytes(resident.num_bytes)}" if resident else "loads on the first run"
    lines.append(f'<p class="placement">Runs on <b>{escape(description.placement)}</b>, {state}</p>')
    return f'<div class="found" role="status">{"".join(lines)}</div>'


def details_html(description: Description | None, resident: Resident | None, free: int | None) -> str:
    """Return everything that is known of a checkpoint, as a table.

    Args:
        description: of the checkpoint; None for no checkpoint.
        resident: what it takes in memory; None where it is not loaded.
        free: bytes of memory that are free; None where nobody knows.
    """
    if description is None:
        return ""
    facts = [*description.facts, ("Memory", memory_text(description.needed_bytes, resident, free))]
    arguments = ""
    if description.arguments:
        count = len(description.arguments)
        arguments = (
            f'<details class="arguments"><summary>{count} training argument{"s" if count > 1 else ""}</summary>'
            f"{_table(description.arguments)}</details>"
        )
    return f'<div class="details">{_table(facts)}{arguments}</div>'


def memory_text(needed: int, resident: Resident | None, free: int | None) -> str:
    """Return the state of the memory in a few words."""
    parts = [f"{format_bytes(resident.num_bytes)} in use"] if resident else ["not loaded"]
    parts.append(f"needs {format_bytes(needed)} for an image")
    if free is not None:
        parts.append(f"{format_bytes(free)} free")
    return ", ".join(parts)


def meter_html(text: str, done: int, total: int) -> str:
    """Return a progress bar with words; `total` is 0 as long as it is not known."""
    share = min(100, round(100 * done / total)) if total else 0
    known = f' aria-valuenow="{share}"' if total else ""
    return (
        f'<div class="progress"><div class="bar{"" if total else " unknown"}" role="progressbar" aria-valuemin="0" '
        f'aria-valuemax="100"{known} aria-label="{escape(text)}"><i style="width:{share}%"></i></div>'
        f"<p>{escape(text)}</p></div>"
    )


def _line(kind: str, text: str) -> str:
    return f'<p class="{kind}">{escape(text)}</p>'


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(label)}</dt><dd>{escape(text)}</dd>' for label, text in rows)}</dl>"
