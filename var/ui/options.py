"""How the page is served: each setting declared once, as an option, an environment variable and a line of README."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import __version__
from ..checkpoints.box import default_folder
from .server_folder import default_cache

PREFIX = "VAR_"  # of the environment variables
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


def option(default: Any, help: str, *, kind: Any = None, of_gradio: bool = False, **limits: Any) -> Any:
    """Declare a setting.

    Args:
        default: what holds where nothing is said. A setting that is on by default has an option that turns it off.
        help: one line for the command line and README.
        kind: what its text is read with; None for the default's own type.
        of_gradio: Gradio's own environment variable counts, too: a Space sets it.
        limits: `least` or `above`, what the value must not fall below; `metavar`; `name`, where the option is not
            called as the field.
    """
    return field(default=default, metadata={"help": help, "kind": kind, "of_gradio": of_gradio, **limits})


@dataclass(frozen=True)
class PageOptions:
    """What the person who starts the server decides; each field is an option of `app.py`.

    Raises:
        ValueError: a number is out of its range.
    """

    host: str = option("127.0.0.1", "address to listen at; 0.0.0.0 for the whole network", of_gradio=True)
    port: int | None = option(
        None, "port to listen at; the first free one from 7860 when left out", kind=int, of_gradio=True
    )
    share: bool = option(False, "also make a public link, through Gradio's server", of_gradio=True)
    root_path: str = option("", "path or address at which a proxy serves the page, such as /var", of_gradio=True)
    allowed_host: tuple[str, ...] = option(
        (), "further names under which browsers may reach the server, separated by commas", kind=str, metavar="NAME"
    )
    proxies: int = option(
        0, "proxies before the server that add to X-Forwarded-For for whom they ask", metavar="N", least=0
    )
    checkpoints: Path = option(default_folder(), "checkpoints folder", kind=Path, metavar="DIR")
    cache: Path = option(
        default_cache(),
        "folder of pictures of classes, which outlive the server; ~/.cache/var-demo when left out",
        kind=Path,
        metavar="DIR",
    )
    device: str | None = option(None, "cpu, cuda, cuda:1 or mps; the best that the machine has when left out", kind=str)
    keep: int = option(1, "models kept in memory", metavar="N", least=1)
    preload: str | None = option(
        None,
        "checkpoint to load at the start and to open with: hf://owner/repo/path, or a name of the folder",
        kind=str,
    )
    metrics: bool = option(False, "figures for Prometheus at /metrics; needs prometheus-client")
    grace: float = option(
        8.0, "time in which runs may end when the server is stopped; then they are", metavar="SECONDS", least=0
    )
    engine: str | None = option(
        None,
        "local: this process computes; ray: workers on one or several machines; zerogpu: on a Space that has it, where "
        "it is chosen by itself",
        kind=str,
    )
    address: str | None = option(None, "Ray's, of several machines; workers of this one when left out", kind=str)
    workers: int = option(2, "workers of the engine ray", metavar="N", least=1)
    max_workers: int = option(0, "workers that there may be while runs wait; 0: no more", metavar="N", least=0)
    mcp: bool = option(False, "serve the endpoints as tools of the Model Context Protocol, too; needs the package mcp")

    public: bool = option(
        False,
        "for strangers: as --no-api, --no-export, --no-other-models and --max-seconds 300; --api, --export, "
        "--other-models or another number bring each back",
    )
    uploads: bool = option(True, "take no uploaded checkpoints", name="no-upload")
    api: bool = option(True, "no endpoints for scripts", name="no-api")
    exports: bool = option(True, "hand out no weights", name="no-export")
    hub: bool = option(True, "download nothing from the Hugging Face Hub", name="no-hub")
    other_models: bool = option(
        True, "download only the published models of the list from the Hugging Face Hub", name="no-other-models"
    )
    hub_token: bool = option(
        False, "download with this machine's access token: whoever sees the page can then use what it opens"
    )
    largest_download: float = option(16.0, "largest download from the Hub", metavar="GB", above=0)
    largest_upload: float = option(16.0, "largest uploaded file", metavar="GB", above=0)
    visitor_uploads: float = option(24.0, "uploads kept of one visitor, by network address", metavar="GB", above=0)
    all_uploads: float = option(32.0, "uploads kept of all visitors", metavar="GB", above=0)
    max_operations: float = option(
        0.0, "trillions of operations of a run, above which it is refused; 0 for no limit", metavar="N", least=0
    )
    max_seconds: float = option(
        0.0,
        "computing time of a run, above which it is refused, or stopped where that was not known; 0 for no limit",
        metavar="SECONDS",
        least=0,
    )
    max_waiting: int = option(200, "runs of all visitors that may wait; more are refused", metavar="N", least=1)

    def __post_init__(self) -> None:
        for item in fields(self):
            value, limits = getattr(self, item.name), item.metadata
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{flag(item)} is {value}; expected a finite number.")
            if "least" in limits and not value >= limits["least"]:
                raise ValueError(f"{flag(item)} is {value}; expected {limits['least']} or more.")
            if "above" in limits and not value > limits["above"]:
                raise ValueError(f"{flag(item)} is {value:g}; expected more than {limits['above']}.")
        if self.mcp and find_spec("mcp") is None:
            raise ValueError("--mcp needs a package that is not installed: pip install 'mcp<2'.")
        if self.port is not None and not 1 <= self.port <= 65_535:
            raise ValueError(f"--port is {self.port}; expected 1 to 65535.")


VISITORS = "public"  # the first option about what visitors may do
# What `public` chooses where nothing else is said.
FOR_STRANGERS = {"api": False, "exports": False, "other_models": False, "max_seconds": 300.0}


def flag(item: Field) -> str:
    """Return the option of a field, such as `--no-upload`."""
    return "--" + item.metadata.get("name", item.name.replace("_", "-"))


def variable(item: Field) -> str:
    """Return the environment variable of a field, such as `VAR_NO_UPLOAD`."""
    return PREFIX + flag(item).removeprefix("--").replace("-", "_").upper()


def gradio_variable(item: Field) -> str | None:
    """Return Gradio's own environment variable for the same, where it has one that counts here."""
    names = {"host": "GRADIO_SERVER_NAME", "port": "GRADIO_SERVER_PORT"}
    return names.get(item.name, f"GRADIO_{item.name.upper()}") if item.metadata["of_gradio"] else None


def create_parser() -> argparse.ArgumentParser:
    """Declare the options of `app.py`; what is not given is not in the result."""
    parser = argparse.ArgumentParser(
        usage="python app.py [options]",
        description="Serve the VAR page: choose a checkpoint and classes, see images.",
        epilog=f"Each option has an environment variable, too: {PREFIX}HOST, {PREFIX}NO_UPLOAD=1. README lists them.",
    )
    parser.add_argument("--version", action="version", version=f"var {__version__}")
    group: Any = parser
    for item in fields(PageOptions):
        if item.name == VISITORS:
            group = parser.add_argument_group("what visitors may do")
        told = {"dest": item.name, "default": argparse.SUPPRESS, "help": item.metadata["help"] + shown_default(item)}
        if isinstance(item.default, bool):
            group.add_argument(flag(item), action="store_false" if item.default else "store_true", **told)
            if item.name in FOR_STRANGERS:
                back = flag(item).replace("--no-", "--")
                group.add_argument(back, action="store_true", **told | {"help": argparse.SUPPRESS})
            continue
        told["metavar"] = item.metadata.get("metavar") or flag(item).removeprefix("--").replace("-", "_").upper()
        action = {"action": "append"} if isinstance(item.default, tuple) else {}
        group.add_argument(flag(item), type=reader(item), **action, **told)
    return parser


def reader(item: Field) -> Any:
    """Return what reads the text of an option that has a value."""
    return item.metadata["kind"] or type(item.default)


def shown_default(item: Field) -> str:
    """Return the default in parentheses, with its unit; "" where nothing is there to show."""
    if isinstance(item.default, bool | Path) or not item.default:
        return ""
    unit = {"GB": " GB", "SECONDS": " s"}.get(item.metadata.get("metavar"), "")
    return f" (default: {item.default:g}{unit})" if isinstance(item.default, float) else f" (default: {item.default})"


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that environment variables make, by field.

    Raises:
        ValueError: the text of one cannot be read; names the variable.
    """
    found = {}
    for item in fields(PageOptions):
        for name in filter(None, (variable(item), gradio_variable(item))):
            if name in environment:
                found[item.name] = from_text(item, name, environment[name].strip())
                break
    return found


def from_text(item: Field, name: str, text: str) -> Any:
    """Return the value of a field from the text of an environment variable; raises ValueError, which names it."""
    if isinstance(item.default, bool):
        if text.lower() not in YES + NO:
            raise ValueError(f"{name} is {text!r}; expected 1 or 0.")
        return (text.lower() in YES) != item.default
    if isinstance(item.default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if not text:
        return item.default
    try:
        return reader(item)(text)
    except ValueError as error:
        raise ValueError(f"{name} is {text!r}; expected a number.") from error


def read_options(arguments: list[str] | None, environment: Mapping[str, str]) -> PageOptions:
    """Read the settings of a server; the command line counts before the environment.

    Args:
        arguments: as in `sys.argv[1:]`; None for these.
        environment: as `os.environ`.

    Raises:
        ValueError: an environment variable cannot be read, or a value is out of its range.
    """
    given = vars(create_parser().parse_args(arguments))
    if "allowed_host" in given:
        given["allowed_host"] = tuple(part.strip() for text in given["allowed_host"] for part in text.split(","))
    said = {**from_environment(environment), **given}
    return PageOptions(**{**(FOR_STRANGERS if said.get("public") else {}), **said})


def markdown_table() -> str:
    """Return README's table of the settings."""
    lines = ["| option | environment | |", "| --- | --- | --- |"]
    for item in fields(PageOptions):
        value = "" if isinstance(item.default, bool) else f" {item.metadata.get('metavar') or item.name.upper()}"
        names = " or ".join(f"`{name}`" for name in (variable(item), gradio_variable(item)) if name)
        lines.append(f"| `{flag(item)}{value}` | {names} | {item.metadata['help']}{shown_default(item)} |")
    return "\n".join(lines)
