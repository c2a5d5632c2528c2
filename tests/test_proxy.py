"""The page behind a proxy that serves it below a path of its own."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from browser import serve
from tiny import write_trainer_file

from var.ui.options import PageOptions

PATH = "/demo"
PASSED_ON = ("content-type", "cache-control")


class Proxy(BaseHTTPRequestHandler):
    """Passes on what is asked below `PATH`, without it, and streams the answers; all else is not there."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Tests look at what comes back."""

    def do_GET(self):
        self.pass_on()

    def do_POST(self):
        self.pass_on()

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.close_connection = True
        if not self.path.startswith(f"{PATH}/"):
            self.server.missed.append(self.path)
            return self.send_error(404)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        headers |= {"Host": self.headers["Host"], "X-Forwarded-Proto": "http", "Accept-Encoding": "identity"}
        address = self.server.target + self.path.removeprefix(PATH)
        with httpx.stream(self.command, address, headers=headers, content=body, timeout=60) as answer:
            self.send_response(answer.status_code)
            for name in PASSED_ON:
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Connection", "close")
            self.end_headers()
            for part in answer.iter_raw():
                self.wfile.write(part)
                self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    target, missed = "", []

    def handle_error(self, *_):
        """A browser that goes away is no error."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "fruits96.pth", optimizer=False)
    proxy = Server(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{proxy.server_port}{PATH}"
    with serve(folder, tmp_path_factory.mktemp("gradio"), PageOptions(root_path=PATH)) as target:
        proxy.target = target.rstrip("/")
        yield f"{address}/"
    proxy.shutdown()
    assert proxy.missed == []  # nothing of the page asked for anything beside its path


def test_all_that_the_page_names_is_below_its_path(address):
    page = httpx.get(address).text
    named = re.findall(r'(?:src|href|content)="(/[^"]*|\./[^"]*|http://127[^"]*)"', page)
    assert named
    for name in named:
        found = httpx.get(httpx.URL(address).join(name))
        assert found.is_success, name


@pytest.mark.parametrize("path", ["manifest.json", "health", "health/ready", "config", "theme.css"])
def test_what_is_served_below_the_path(address, path):
    assert httpx.get(f"{address}{path}").is_success


def test_images_are_made_and_shown_there(visit, address):
    visitor = visit()
    visitor.generate()
    sources = visitor.page.locator("#images img").evaluate_all("images => images.map(image => image.src)")
    assert sources and all(source.startswith((address, "data:")) for source in sources)
    for source in sources:
        if source.startswith(address):
            found = httpx.get(source)
            assert found.is_success and found.headers["content-type"].startswith("image/"), source
