"""What the tests of the page share: a browser for each file, and a page for each visit."""

import pytest
from browser import Visitor, chromium


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; the test is skipped where there is none."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser, address):
    """Opens the page as a visitor of its own, on the server of the fixture `address`."""
    contexts = []

    def open_page(query="", width=1280, height=900, scheme="light"):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme))
        return Visitor(contexts[-1].new_page(), address + query)

    yield open_page
    for context in contexts:
        context.close()
