"""Where the checkpoints of this project lie, the model in the box among them."""

from pathlib import Path

BOXED_MODEL = "fruits96.pth"  # in the folder


def default_folder() -> Path:
    """Return the `checkpoints` folder of this checkout; an installed package has its own, with the model in the box."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "checkpoints"
    return checkout if checkout.is_dir() else package / "box"
