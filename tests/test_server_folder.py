"""The folder of a running server."""

import os
import signal
import subprocess
import sys

import pytest

from var.ui.server_folder import server_folder, trim

KEEPS_RUNNING = """
import sys
from var.ui.server_folder import server_folder
with server_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_gradio_keeps_its_files_there_while_the_server_runs(tmp_path):
    environment = {"GRADIO_TEMP_DIR": str(tmp_path)}
    with server_folder(environment) as folder:
        assert environment["GRADIO_TEMP_DIR"] == str(folder) and folder.parent == tmp_path
        (folder / "image.png").touch()
    assert environment["GRADIO_TEMP_DIR"] == str(tmp_path) and not folder.exists()


def test_what_a_killed_server_left_goes_with_the_next_and_a_running_one_keeps_its_own(tmp_path):
    environment = {"GRADIO_TEMP_DIR": str(tmp_path)}
    command = [sys.executable, "-c", KEEPS_RUNNING]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=dict(os.environ, **environment), **pipes) as process:
        left = process.stdout.readline().strip()
        with server_folder(environment):
            assert os.path.isdir(left)
        process.send_signal(signal.SIGKILL)
    assert os.path.isdir(left)
    with server_folder(environment):
        assert not os.path.exists(left)


def test_of_very_much_that_was_made_the_oldest_goes(tmp_path):
    with server_folder({"GRADIO_TEMP_DIR": str(tmp_path)}) as folder:
        for age, name in enumerate(["new/a.png", "older/a.png", "oldest/a.png", "uploads/token/a.pth"]):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_bytes(b"x" * 10)
            os.utime(folder / name, (1e9 - age, 1e9 - age))
        (folder / "now").mkdir()
        (folder / "now" / "a.png").write_bytes(b"x" * 10)
        for max_bytes, left in ((40, 5), (25, 4), (0, 3)):
            trim(folder, max_bytes, kept=[str(folder / "oldest" / "a.png")])
            assert len(list(folder.rglob("a.*"))) == left
        assert (folder / "now" / "a.png").exists() and (folder / "uploads" / "token" / "a.pth").exists()


def test_a_folder_that_is_no_servers_own_is_left_alone(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.png").write_bytes(b"x")
    trim(tmp_path, 0, 0)
    assert (tmp_path / "made" / "a.png").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Set GRADIO_TEMP_DIR to a folder that you may write to"):
        server_folder({"GRADIO_TEMP_DIR": str(tmp_path / "file")}).__enter__()
