"""`python app.py`: serve the page with the model in the box."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from var.checkpoints.folder import default_folder


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; `arguments` as in `sys.argv[1:]`."""
    parser = argparse.ArgumentParser(description="Serve the VAR page: choose a checkpoint and classes, see images.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 for the whole network")
    parser.add_argument("--port", type=int, help="port to listen at; the first free one from 7860 when left out")
    parser.add_argument("--share", action="store_true", help="also make a public link, through Gradio's server")
    parser.add_argument("--checkpoints", type=Path, default=default_folder(), metavar="DIR", help="checkpoints folder")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps; the best that the machine has when left out")
    parser.add_argument("--keep", type=int, default=1, metavar="N", help="models kept in memory (default: 1)")
    visitors = parser.add_argument_group("what visitors may do")
    visitors.add_argument("--no-upload", action="store_true", help="take no uploaded checkpoints")
    visitors.add_argument("--no-export", action="store_true", help="hand out no weights")
    visitors.add_argument("--no-hub", action="store_true", help="download nothing from the Hugging Face Hub")
    visitors.add_argument(
        "--largest-download", type=float, default=16, metavar="GB", help="largest download from the Hub (default: 16)"
    )
    visitors.add_argument(
        "--hub-token",
        action="store_true",
        help="download with this machine's access token: whoever sees the page can then use what it opens",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until interrupted; returns the exit code, 2 with one line on standard error for bad input."""
    options = parse_arguments(arguments)
    # Imported here, so that --help and a wrong argument answer at once.
    from var.device import choose_device
    from var.ui.options import PageOptions
    from var.ui.page import create_page, launch_options

    try:
        choose_device(options.device)
        page_options = PageOptions(
            keep=options.keep,
            uploads=not options.no_upload,
            hub=not options.no_hub,
            hub_token=options.hub_token,
            largest_download=round(options.largest_download * 1e9),
            exports=not options.no_export,
        )
        page = create_page(options.checkpoints, options.device, page_options)
        page.launch(server_name=options.host, server_port=options.port, share=options.share, **launch_options())
    except (ValueError, OSError) as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
