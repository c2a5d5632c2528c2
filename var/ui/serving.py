"""What a page needs of the machine that serves it: a free port, and a way past proxies to itself."""

import errno
import os
import socket
from collections.abc import MutableMapping
from importlib.util import find_spec

FIRST_PORT, NUM_PORTS = 7860, 100  # tried where none is asked for
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")


def check_port(host: str, port: int | None = None) -> None:
    """Check that a server could listen, before seconds are spent on building what it serves.

    Args:
        host: the address to listen at.
        port: the one asked for; None where the first free one from 7860 is to be taken. Which that is shows when the
            server starts: another program may take it meanwhile.

    Raises:
        ValueError: it is in use, not allowed, or out of range, or this machine does not have the address.
    """
    for candidate in range(FIRST_PORT, FIRST_PORT + NUM_PORTS) if port is None else [port]:
        problem = try_address(host, candidate)
        if problem is None:
            return
        if problem != errno.EADDRINUSE:
            raise ValueError(describe_problem(host, candidate, problem))
    if port is None:
        raise ValueError(
            f"all ports from {FIRST_PORT} to {candidate} are in use; stop what is using them, or give --port"
        )
    raise ValueError(
        f"port {port} is in use by another program, perhaps by this one, started before; stop that one, give another "
        "--port, or leave --port out for the first free one"
    )


def try_address(host: str, port: int) -> int | None:
    """Return None where a server could listen at an address now, else the number of the system's error."""
    try:
        places = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, (name, _, *more) in places[:1]:
            with socket.socket(family, kind, protocol) as probe:
                if os.name == "posix":  # a port that was in use a moment ago is free; on Windows this would mean more
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((name, port, *more))
    except (socket.gaierror, UnicodeError):
        return errno.EADDRNOTAVAIL
    except OverflowError:
        return errno.ERANGE
    except OSError as error:
        return error.errno
    return None


def describe_problem(host: str, port: int, problem: int) -> str:
    """Return the sentence for an address at which no server can listen; `problem` as `try_address` returns it."""
    if problem == errno.EADDRNOTAVAIL:
        return f"--host {host} is no address of this machine; give 127.0.0.1, or 0.0.0.0 to be seen in its network"
    if problem in (errno.EACCES, errno.EPERM):
        return f"port {port} is not allowed to you; give a --port from 1024 on, or leave it out"
    if problem == errno.ERANGE:
        return f"--port is {port}; expected 1 to 65535"
    return f"nothing can listen at {host}, port {port}: {os.strerror(problem)}"


def bypass_proxy(host: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Let the page reach itself, as Gradio does when it starts, where a proxy is set for everything else.

    Args:
        host: the address it listens at.
        environment: is changed: `no_proxy` gets this machine's names.

    Raises:
        ValueError: the proxy is of a kind that needs a package which is not installed.
    """
    proxies = {name: environment.get(name) or environment.get(name.upper()) for name in PROXY_VARIABLES}
    for name, proxy in proxies.items():
        if proxy and proxy.startswith("socks") and find_spec("socksio") is None:
            raise ValueError(
                f"{name.upper()} names a SOCKS proxy, for which a package is missing: pip install socksio; or start "
                f"without it: env -u {name} -u {name.upper()} python app.py"
            )
    if any(proxies.values()):  # otherwise a proxy that only the system's settings name would be forgotten
        excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        value = ",".join(filter(None, [excepted, "localhost", "127.0.0.1", host]))
        environment.update(no_proxy=value, NO_PROXY=value)
