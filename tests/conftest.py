"""What tests share: random numbers, a browser for each file, a page for each visit, a Hub."""

import pytest
import torch
from browser import Visitor, chromium
from hub_server import serving


@pytest.fixture(autouse=True)
def same_numbers():
    """Draw the same random numbers in every run of a test."""
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; the test is skipped where there is none."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser, address):
    """Opens the page as a visitor of its own, on the server of the fixture `address`."""
    contexts = []

    def open_page(query="", width=1280, height=900, scheme="light", **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme))
        return Visitor(contexts[-1].new_page(), address + query, **options)

    yield open_page
    for context in contexts:
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")
        context.close()


@pytest.fixture(scope="module")
def server():
    """A Hub on this machine."""
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where huggingface_hub keeps what it downloads."""
    return tmp_path_factory.mktemp("home")
