"""`python app.py`, as a process."""

import gc
import os
import socket
import subprocess
import sys
import time
from urllib.request import ProxyHandler, Request, build_opener, urlopen

import httpx
import pytest
from app_process import ADDRESS, APP, running_app, serving_app
from gradio_client import Client
from gradio_client.exceptions import AppError
from tiny import write_trainer_file

from var.ui.app import kept_objects, main, report_folder
from var.ui.options import PageOptions


@pytest.fixture
def refuse(capsys, monkeypatch):
    """Start the app with arguments that it refuses; returns the line that says why."""
    monkeypatch.setattr("sys.argv", ["app.py"])

    def start(*arguments):
        assert main([str(argument) for argument in arguments]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        return told

    return start


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_serves_the_page_at_the_given_port(tmp_path):
    write_trainer_file(tmp_path / "a.pth", optimizer=False)
    port = free_port()
    environment = dict(os.environ, GRADIO_TEMP_DIR=str(tmp_path / "temporary"))
    arguments = ("--checkpoints", tmp_path, "--port", port, "--device", "cpu")
    with serving_app(*arguments, environment=environment) as address:
        assert f":{port}" in address
        assert "a.pth" in urlopen(address).read().decode()
        assert list((tmp_path / "temporary").glob("var-server-*"))
    assert not list((tmp_path / "temporary").glob("var-server-*"))


def test_a_broken_file_in_the_folder_does_not_keep_the_app_from_starting(tmp_path):
    (tmp_path / "broken.pth").write_text("not a model")
    with serving_app("--checkpoints", tmp_path, "--port", free_port(), "--device", "cpu") as address:
        assert "broken.pth: The file holds text" in urlopen(address).read().decode()


def test_what_stays_is_never_looked_at_for_garbage():
    before = gc.get_freeze_count()
    try:
        with pytest.raises(ValueError), kept_objects():
            assert not gc.isenabled()
            raise ValueError
        assert gc.isenabled() and gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_a_space_needs_no_option_behind_a_proxy_and_where_the_folder_for_files_is_anothers(tmp_path):
    (tmp_path / "gradio").write_text("not a folder: nothing can be written into it")
    proxy = "http://127.0.0.1:9"  # nobody answers there
    place = {"HTTP_PROXY": proxy, "http_proxy": proxy, "TMPDIR": str(tmp_path)}
    space = {"SYSTEM": "spaces", "SPACE_ID": "owner/demo", "GRADIO_SERVER_NAME": "0.0.0.0"}
    settings = {"GRADIO_SERVER_PORT": str(free_port()), "VAR_CHECKPOINTS": str(tmp_path / "none"), "VAR_DEVICE": "cpu"}
    with serving_app(environment=os.environ | place | space | settings) as address:
        asked = Request(address, headers={"Host": "owner-demo.hf.space", "Origin": "https://huggingface.co"})
        page = build_opener(ProxyHandler({})).open(asked).read().decode()
        assert "No checkpoint yet. Upload one" in page


def test_a_server_that_is_stopped_takes_nothing_more_ends_what_runs_and_leaves_nothing(tmp_path):
    environment = dict(os.environ, GRADIO_TEMP_DIR=str(tmp_path), OMP_NUM_THREADS="1")
    with running_app("--port", free_port(), "--grace", 3, environment=environment) as (printed, process):
        address = ADDRESS.search(printed)[0]
        client = Client(address, verbose=False, download_files=False)
        job = client.submit(class_labels=[1], num_images=64, api_name="/generate")
        while not job.outputs():
            time.sleep(0.05)
        process.terminate()
        while httpx.get(f"{address}/health").json()["status"] != "stopping":
            time.sleep(0.05)
        assert httpx.get(f"{address}/health/ready").status_code == 503
        with pytest.raises(AppError, match="The server is being stopped"):
            client.predict(class_labels=[1], num_images=1, api_name="/generate")
        images, told = job.result(60)
        assert len(images) < len(told["seeds"]) == 64
        assert process.wait(60) == 0
    assert not list(tmp_path.glob("var-server-*"))


def test_a_folder_that_is_not_there_is_told_at_the_start(tmp_path, capsys):
    report_folder(PageOptions(checkpoints=tmp_path / "none"))
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"there is no folder {tmp_path / 'none'}" in told
    report_folder(PageOptions(checkpoints=tmp_path))
    assert str(tmp_path) in capsys.readouterr().out


def test_a_file_in_place_of_the_folder_ends_with_one_line(tmp_path):
    (tmp_path / "a.pth").touch()
    command = [sys.executable, str(APP), "--checkpoints", str(tmp_path / "a.pth"), "--device", "cpu"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "a.pth: expected a folder" in ended.stderr


@pytest.mark.parametrize("arguments", [["--device", "toaster"], ["--device", "cuda:99"]])
def test_a_wrong_device_ends_with_one_line(tmp_path, refuse, arguments):
    told = refuse("--checkpoints", tmp_path, *arguments)
    assert "device" in told or "asked for" in told


def test_a_port_in_use_ends_with_one_line(tmp_path, refuse):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refuse("--checkpoints", tmp_path, "--device", "cpu", "--port", port)
    assert told.startswith(f"app.py: port {port} is in use by another program")


@pytest.mark.parametrize("arguments", [["--keep", 0], ["--largest-download", 0]])
def test_a_number_out_of_range_ends_with_one_line(tmp_path, refuse, arguments):
    assert arguments[0] in refuse("--checkpoints", tmp_path, "--device", "cpu", *arguments)
