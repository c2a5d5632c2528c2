"""`python app.py`: serve the page with the model in the box."""

import sys

from var.ui.app import main

if __name__ == "__main__":
    sys.exit(main())
