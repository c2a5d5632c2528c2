"""Scripts, styles and pictures of the page, one file a component."""

from pathlib import Path

FOLDER = Path(__file__).parent


def read_script(name: str) -> str:
    """Return the JavaScript of `name`.js."""
    return (FOLDER / f"{name}.js").read_text(encoding="utf-8")
