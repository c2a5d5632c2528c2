"""What a link to the page shows elsewhere, and the card of the model in the box."""

import asyncio
import io
import re

import httpx
import pytest
from browser import serve
from PIL import Image
from starlette.responses import HTMLResponse, PlainTextResponse
from tiny import write_trainer_file

from var.ui.link_preview import DESCRIPTION, HEIGHT, TITLE, WIDTH, LinkPreview

CARD = "# A card\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n![x](fruits96.png) <b>not bold</b>\n"
OF_GRADIO = (
    '<html><head lang="en"><meta property="og:image" content="theirs">\n<meta\nname="twitter:title"\ncontent="é">'
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "fruits96.pth", optimizer=False)
    (folder / "fruits96.md").write_text(CARD)
    (folder / "secret.md").write_text("# Not for visitors")
    Image.new("RGB", (8, 8)).save(folder / "fruits96.png")
    with serve(folder, tmp_path_factory.mktemp("gradio")) as address:
        yield address.rstrip("/")


def meta(page):
    return dict(re.findall(r'<meta (?:property|name)="([^"]*)" content="([^"]*)"', page))


def test_the_head_says_what_the_page_is(address):
    page = httpx.get(f"{address}/?seed=3").text
    told = meta(page)
    assert (told["og:title"], told["og:description"]) == (TITLE, DESCRIPTION)
    assert (told["og:url"], told["og:image"]) == (f"{address}/", f"{address}/link-preview.jpg")
    assert len(re.findall('"(og:image|twitter:image|twitter:title)"', page)) == 1 and f"<title>{TITLE}</title>" in page
    assert page.index("og:image") < 4000  # who looks reads the beginning alone


def test_the_picture_has_the_size_that_is_told(address):
    told = meta(httpx.get(address).text)
    answer = httpx.get(told["og:image"])
    assert answer.headers["content-type"] == told["og:image:type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (WIDTH, HEIGHT)
    assert (told["og:image:width"], told["og:image:height"]) == (str(WIDTH), str(HEIGHT))


def asked(response, path="/", root_path="", **headers):
    """What comes of an app's response behind a proxy."""

    async def ask():
        transport = httpx.ASGITransport(LinkPreview(response), root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "root_path", "headers", "expected"),
    [
        ("/", "", {}, "http://here"),
        ("/", "/var", {}, "http://here/var"),
        ("/var/", "/var", {}, "http://here/var"),
        ("/", "https://demo.example/a", {}, "https://demo.example/a"),
        ("/", "/var", {"x-forwarded-host": "demo.example", "x-forwarded-proto": "https"}, "https://demo.example/var"),
    ],
)
def test_addresses_are_those_of_the_proxy(path, root_path, headers, expected):
    answer = asked(HTMLResponse(OF_GRADIO), path, root_path, **headers)
    assert meta(answer.text)["og:image"] == f"{expected}/link-preview.jpg" and "theirs" not in answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("response", [HTMLResponse("<head></head>"), PlainTextResponse(OF_GRADIO)])
def test_other_answers_are_left_alone(response):
    assert asked(response).content == response.body


def test_the_card_is_a_page(address):
    card = httpx.get(f"{address}/card/fruits96.md")
    assert card.headers["content-type"].startswith("text/html")
    assert "<title>A card</title>" in card.text and "<td>2</td>" in card.text and "&lt;b&gt;not bold" in card.text
    assert httpx.get(f"{address}/card/fruits96.png").headers["content-type"] == "image/png"
    assert 'href=\\"card/fruits96.md\\"' in httpx.get(address).text


@pytest.mark.parametrize("name", ["secret.md", "fruits96.pth", "fruits96.LICENSE", "..%2Ffruits96.md", ""])
def test_nothing_but_the_card_is_served(address, name):
    assert httpx.get(f"{address}/card/{name}").status_code == 404
