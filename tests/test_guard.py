"""What stands before Gradio's server: hosts, uploads, addresses in place of files, and what is switched off."""

import asyncio
import json
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from browser import serve
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from tiny import write_trainer_file

from var.ui import guard
from var.ui.guard import MAX_BODY, allowed_hosts, names_an_address, visitor_behind
from var.ui.options import PageOptions, read_options

LOCAL = {"localhost", "127.0.0.1", "::1"}
PATIENCE = 200  # looks at a folder, a moment apart


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (PageOptions(), LOCAL),
        (PageOptions(host="127.0.0.2"), LOCAL | {"127.0.0.2"}),
        (
            PageOptions(host="::1", allowed_host=("Demo.Example:443", "b.example.")),
            LOCAL | {"demo.example", "b.example"},
        ),
        (PageOptions(root_path="https://demo.example/var"), LOCAL | {"demo.example"}),
        (PageOptions(host="0.0.0.0"), None),
        (PageOptions(host="0.0.0.0", allowed_host=("demo.example",)), LOCAL | {"0.0.0.0", "demo.example"}),
    ],
)
def test_hosts_that_a_server_answers_to(options, expected):
    assert allowed_hosts(options.host, options.allowed_host, options.root_path) == expected


@pytest.mark.parametrize(
    ("value", "is_address"),
    [
        ([{"path": "http://example.com/a.pth", "meta": {"_type": "gradio.FileData"}}], True),
        ([{"a": [{"path": " HTTPS://example.com"}]}], True),
        ([{"path": "/tmp/a:b.png"}, {"path": "C:\\a.png"}, {"path": 3}, "http://example.com", None], False),
    ],
)
def test_an_address_in_place_of_a_file_is_seen(value, is_address):
    assert names_an_address(value) == is_address


@pytest.mark.parametrize(
    ("said", "proxies", "expected"),
    [
        (["203.0.113.7"], 0, None),
        (["10.9.9.9, 203.0.113.7"], 1, "203.0.113.7"),
        (["10.9.9.9, 203.0.113.7", "10.0.0.1"], 2, "203.0.113.7"),
        (["203.0.113.7"], 2, None),
        ([], 1, None),
    ],
)
def test_a_visitor_is_whom_the_outermost_known_proxy_asks_for(said, proxies, expected):
    assert visitor_behind(said, proxies) == expected


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    return tmp_path_factory.mktemp("gradio")


@pytest.fixture(scope="module")
def address(temporary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "fruits96.pth", optimizer=False)
    with serve(folder, temporary, PageOptions(uploads=False, visitor_uploads=0.002)) as address:
        yield address.rstrip("/")


@pytest.fixture(scope="module")
def config(address):
    return httpx.get(f"{address}/config").json()


def upload(address, name, content):
    return httpx.post(f"{address}/gradio_api/upload", files={"files": (name, content)})


def call_handler(address, config, elem_id, event, value):
    """Call a handler of the page as its browser would; returns what it answers."""
    component = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == elem_id)
    called = next(part for part in config["dependencies"] if [component, event] in part["targets"] and part["inputs"])
    data = [value if number == component else None for number in called["inputs"]]
    body = {"data": data, "fn_index": called["id"], "session_hash": "visitor"}
    if not called["queue"]:
        return httpx.post(f"{address}/gradio_api/run/predict", json=body).text
    httpx.post(f"{address}/gradio_api/queue/join", json=body).raise_for_status()
    with httpx.stream("GET", f"{address}/gradio_api/queue/data?session_hash=visitor", timeout=120) as stream:
        return "\n".join(stream.iter_lines())


def is_emptied(folder):
    for _ in range(PATIENCE):
        if not any(folder.rglob("*")):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"host": ""},
    ],
)
def test_browsers_that_ask_for_another_host_get_no_answer(address, headers):
    answers = [
        httpx.get(f"{address}/config", headers=headers),
        httpx.post(f"{address}/gradio_api/upload", headers=headers, files={"files": ("a.png", b"")}),
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert "--allowed-host" in answers[0].text


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
def test_browsers_of_this_machine_do(address, name):
    port = address.rpartition(":")[2]
    headers = {"host": f"{name}:{port}", "origin": f"http://{name}:{port}"}
    assert httpx.get(f"{address}/config", headers=headers).status_code == 200


@pytest.mark.parametrize("route", ["file=http://127.0.0.1:1/a", "file/https://127.0.0.1/a", "deep_link?session_hash=a"])
def test_routes_that_nothing_here_uses_are_closed(address, route):
    assert httpx.get(f"{address}/gradio_api/{route}").status_code == 404
    assert httpx.post(f"{address}/gradio_api/component_server", files={"files": b"a"}).status_code == 404


def test_a_call_has_a_largest_size(address):
    call = f"{address}/gradio_api/queue/join"
    assert httpx.post(call, content=b" " * (MAX_BODY + 1)).status_code == 413
    assert httpx.post(call, content=(b" " * 1_000_000 for _ in range(MAX_BODY // 1_000_000 + 1))).status_code == 413


def test_an_upload_that_breaks_off_is_deleted(address, temporary):
    host, port = address.removeprefix("http://").split(":")
    head = 'Content-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    request = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1500000\r\n"
    request += f"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n{head}"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request.encode() + b"a" * 1_000_000)
        for _ in range(PATIENCE):
            if any(path.is_file() for path in (temporary / "uploads").rglob("*")):
                break
            time.sleep(0.05)
        else:
            pytest.fail("nothing was written")
    assert is_emptied(temporary / "uploads")
    assert not list(temporary.glob("tmp*"))


def test_uploads_have_a_sum_and_what_is_refused_is_deleted(address, temporary):
    answer = upload(address, "a.png", b"a" * 3_000_000)
    assert answer.status_code == 413 and "takes uploads of up to 2.0 MB" in answer.text
    assert httpx.post(f"{address}/gradio_api/upload", content=b"nothing").status_code == 400
    assert is_emptied(temporary / "uploads")


def file_data(path):
    return {"path": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}


def test_the_page_takes_no_uploaded_checkpoint_where_that_is_off(address, config, temporary):
    path = upload(address, "a.pth", b"anything").json()[0]
    assert "takes no uploaded checkpoints" in call_handler(address, config, "upload", "upload", file_data(path))
    told = json.dumps({"runs": [], "uploads": {"a.pth": path}})
    back = next(part for part in config["dependencies"] if "sessionStorage.getItem" in str(part["js"]))
    others = [None] * (len(back["inputs"]) - 1)
    body = {"data": [told, *others], "fn_index": back["id"], "session_hash": "other"}
    answer = httpx.post(f"{address}/gradio_api/run/predict", json=body).json()
    assert '"a.pth"' not in json.dumps([value for value in answer["data"] if value != told])


def test_the_same_picture_of_two_visitors_is_two_files(address, config, tmp_path, temporary):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    one, other = (upload(address, "a.png", content).json()[0] for _ in range(2))
    assert one != other
    shown = call_handler(address, config, "edit-upload", "upload", file_data(one))
    assert "data:image/png" in shown
    assert "a.png is not there, or no longer" in call_handler(address, config, "edit-upload", "upload", file_data(one))
    assert "data:image/png" in call_handler(address, config, "edit-upload", "upload", file_data(other))


def test_no_handler_deletes_what_was_not_uploaded(address, config, temporary):
    image = temporary / "made" / "image.png"
    image.parent.mkdir()
    Image.new("RGB", (8, 8)).save(image)
    for part in ("edit-upload", "restore", "upload"):
        call_handler(address, config, part, "upload", file_data(str(image)))
    assert image.is_file()


@pytest.mark.parametrize(
    ("endpoint", "arguments"),
    [
        ("/generate", {"class_labels": [0], "checkpoint": file_data("http://127.0.0.1:1/a.pth")}),
        ("/edit", {"image": file_data("https://127.0.0.1:1/a.png"), "mask": None, "class_labels": [0]}),
    ],
)
def test_addresses_in_place_of_files_are_not_fetched(address, endpoint, arguments):
    with pytest.raises(AppError, match="fetches no addresses"):
        Client(address, verbose=False).predict(**arguments, api_name=endpoint)


def test_nor_by_a_handler_without_a_name(address, config):
    answer = call_handler(address, config, "edit-upload", "upload", file_data("http://127.0.0.1:1/a.png"))
    assert "fetches no addresses" in answer


def test_uploads_and_what_was_made_are_looked_through_from_time_to_time(monkeypatch):
    looked = []

    async def once(seconds):
        if looked:
            raise asyncio.CancelledError

    uploads = SimpleNamespace(folder=Path("server/uploads"), remove_old=lambda: looked.append("old uploads"))
    part = SimpleNamespace(keep_in_cache={"logo.png"})
    app = SimpleNamespace(get_blocks=lambda: SimpleNamespace(blocks={1: part, 2: object()}))
    monkeypatch.setattr(guard.asyncio, "sleep", once)
    monkeypatch.setattr(guard, "trim", lambda folder, kept: looked.append((folder, kept)))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(guard.sweep(uploads, app))
    assert looked == ["old uploads", (Path("server"), {"logo.png"})]


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """A page for strangers, and its configuration."""
    folder = tmp_path_factory.mktemp("shown")
    write_trainer_file(folder / "fruits96.pth", optimizer=False)
    with serve(folder, tmp_path_factory.mktemp("strangers"), read_options(["--public"], {})) as address:
        address = address.rstrip("/")
        yield address, httpx.get(f"{address}/config").json()


def call_number(address, number, data):
    """Call a handler by its number alone, as a script can; returns what it answers."""
    body = {"data": data, "fn_index": number, "session_hash": "stranger"}
    joined = httpx.post(f"{address}/gradio_api/queue/join", json=body)
    if joined.is_error:
        return joined.text
    with httpx.stream("GET", f"{address}/gradio_api/queue/data?session_hash=stranger", timeout=120) as stream:
        return "\n".join(stream.iter_lines())


def export_by_numbers(address, config):
    """Call all that has to do with an export, in the order of a click on it; returns the answers."""
    named = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    kind, dtype, files = (named[f"export-{name}"] for name in ("format", "precision", "files"))
    for handler in config["dependencies"]:
        if files in handler["outputs"]:
            values = {kind: "safetensors", dtype: ""}
            yield call_number(address, handler["id"], [values.get(number) for number in handler["inputs"]])


@pytest.mark.parametrize("name", ["generate", "edit", "compare", "inspect", "export"])
def test_strangers_find_no_endpoint(public, name):
    address, config = public
    assert all(part["api_visibility"] != "public" for part in config["dependencies"])
    assert httpx.get(f"{address}/gradio_api/info").json()["named_endpoints"] == {}
    for route in (f"call/{name}", f"run/{name}", f"api/{name}", f"call/v2/{name}"):
        assert httpx.post(f"{address}/gradio_api/{route}", json={"data": [[0]], "session_hash": "s"}).is_error
    beyond = max(part["id"] for part in config["dependencies"]) + 1
    assert "error" in call_number(address, beyond, [[0]]).lower()


def test_strangers_get_no_weights(public):
    address, config = public
    assert "fruits96.safetensors" not in "".join(export_by_numbers(address, config))


def test_strangers_get_of_the_hub_what_is_listed(public, monkeypatch):
    address, config = public
    monkeypatch.setattr("var.hub.download._list_files", lambda *_: pytest.fail("the Hub was asked"))
    monkeypatch.setattr("var.hub.download.file_metadata", lambda *_: pytest.fail("the Hub was asked"))
    field = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "hub-model")
    handlers = [part["id"] for part in config["dependencies"] if part["inputs"] == [field]]
    answers = [call_number(address, number, ["hf://owner/repo/a.pth"]) for number in handlers]
    assert sum("downloads the models of its list only" in answer for answer in answers) >= 1
    listed = "hf://FoundationVision/var@evil/var_d16.pth"
    assert any("list only" in call_number(address, number, [listed]) for number in handlers)


@pytest.mark.parametrize("route", ["monitoring", "monitoring/summary", "monitoring/key"])
def test_nobody_watches_others(address, public, route):
    for served in (address, public[0]):
        assert httpx.get(f"{served}/{route}").is_error and httpx.get(f"{served}/gradio_api/{route}").is_error


@pytest.mark.parametrize("named", ["/etc/passwd", "../fruits96.pth", "~/.cache/huggingface/token"])
def test_no_path_of_the_server_is_a_checkpoint(public, named):
    address, config = public
    assert "There is no checkpoint" in call_handler(address, config, "checkpoint", "change", named)
    assert httpx.get(f"{address}/gradio_api/file={named}").is_error
