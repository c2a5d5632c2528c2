"""The folder of a running server."""

import os
import signal
import subprocess
import sys

import pytest

from var.ui.server_folder import server_folder

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


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Set GRADIO_TEMP_DIR to a folder that you may write to"):
        server_folder({"GRADIO_TEMP_DIR": str(tmp_path / "file")}).__enter__()
