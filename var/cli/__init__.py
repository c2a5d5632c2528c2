"""The subcommands of `python -m var`: each module has `add_arguments(parser)` and `run(args)`."""
