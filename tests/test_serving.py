"""What the page needs of the machine that serves it."""

import errno
import socket

import pytest

from var.ui import serving
from var.ui.serving import FIRST_PORT, bypass_proxy, check_port, describe_problem


def test_one_free_port_is_enough(monkeypatch):
    found = {FIRST_PORT: errno.EADDRINUSE, FIRST_PORT + 1: errno.EADDRINUSE}
    monkeypatch.setattr(serving, "try_address", lambda host, port: found.get(port))
    check_port("127.0.0.1")
    with pytest.raises(ValueError, match="port 7861 is in use"):
        check_port("127.0.0.1", FIRST_PORT + 1)


def test_no_free_port_is_said(monkeypatch):
    monkeypatch.setattr(serving, "try_address", lambda host, port: errno.EADDRINUSE)
    with pytest.raises(ValueError, match="all ports from 7860 to 7959 are in use"):
        check_port("127.0.0.1")


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", 99999, "--port is 99999; expected 1 to 65535"),
        ("203.0.113.7", 8000, "--host 203.0.113.7 is no address of this machine"),  # set aside for examples
        ("a b", None, "--host a b is no address of this machine"),
    ],
)
def test_an_address_that_cannot_be_is_named(host, port, words):
    with pytest.raises(ValueError, match=words):
        check_port(host, port)


def test_a_port_that_is_not_allowed_is_named():
    assert describe_problem("127.0.0.1", 80, errno.EACCES).startswith("port 80 is not allowed to you")


def test_a_port_in_use_is_no_choice():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match="is in use by another program"):
            check_port("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_not_asked_for_this_machine(name):
    environment = {name: "http://proxy:8080", "NO_PROXY": "example.org"}
    bypass_proxy("10.1.2.3", environment)
    assert environment["no_proxy"] == environment["NO_PROXY"] == "example.org,localhost,127.0.0.1,10.1.2.3"


def test_without_a_proxy_nothing_is_changed():
    environment = {"NO_PROXY": "example.org"}
    bypass_proxy("10.1.2.3", environment)
    assert environment == {"NO_PROXY": "example.org"}


def test_a_proxy_that_needs_a_package_is_one_sentence(monkeypatch):
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="ALL_PROXY names a SOCKS proxy, for which a package is missing"):
        bypass_proxy("127.0.0.1", {"ALL_PROXY": "socks5://proxy:1080"})
