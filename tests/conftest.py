"""What tests share: random numbers, a browser for each file, a page for each visit, a Hub."""

from contextlib import closing

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


@pytest.fixture(scope="module")
def used_profile(browser):
    """A browser that knows the page's files from the visit before: it opens the page for two thirds of the work."""
    with closing(browser.new_context()) as context:
        yield context


@pytest.fixture
def visit(browser, used_profile, address):
    """Opens the page as a visitor of its own, on the server of the fixture `address`."""
    others = []  # each further visitor of a test has a browser of its own

    def open_page(query="", width=1280, height=900, scheme="light", **options):
        if used_profile.pages:
            others.append(browser.new_context())
        page = (others[-1] if others else used_profile).new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        return Visitor(page, address + query, **options)

    yield open_page
    for context in [used_profile, *others]:
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")
            page.evaluate("try { localStorage.clear() } catch {}  // a page that never came has none")
            page.close()
        context.clear_cookies()
    for context in others:
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
