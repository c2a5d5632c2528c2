"""`python app.py`: serve the page with the model in the box."""

import os
import sys

if os.environ.get("SPACES_ZERO_GPU"):  # a Space on ZeroGPU: it changes torch, so it comes before torch
    import spaces  # noqa: F401

from var.errors import missing_package

try:
    from var.ui.app import main
except ModuleNotFoundError as error:
    sentence = missing_package(error)
    if sentence is None:
        raise
    sys.exit(f"app.py: {sentence}")

if __name__ == "__main__":
    sys.exit(main())
