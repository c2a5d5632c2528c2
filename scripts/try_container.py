"""Try the steps of the Dockerfile without Docker: its files, its packages, no network, a user without rights.

    sudo python scripts/try_container.py            makes the environment in a temporary folder, as `docker build` does
    sudo python scripts/try_container.py PYTHON     takes the environment of this interpreter

It starts the server as the image does, asks its health as the image does, makes an image, and sends SIGTERM.
"""

import fcntl
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
USER = 1000
ALONE = "--alone"  # the second half runs in a network of its own
MAKE_AN_IMAGE = """
from gradio_client import Client
client = Client("http://127.0.0.1:7860", verbose=False)
files, info = client.predict(class_labels=[3], num_images=1, api_name="/generate")
print(files, info)
"""


def main() -> None:
    """Build and run."""
    if ALONE in sys.argv:
        run(Path(sys.argv[2]), sys.argv[3])
        return
    with tempfile.TemporaryDirectory(prefix="var-container-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        copy_files(folder / "app")
        python = sys.argv[1] if len(sys.argv) > 1 else install(folder)
        command = ["unshare", "--net", sys.executable, __file__, ALONE, str(folder), python]
        sys.exit(subprocess.run(command).returncode)


def copy_files(app: Path) -> None:
    """Copy what `.dockerignore` lets through and the Dockerfile names."""
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    for pattern in kept:
        for path in ROOT.glob(pattern):
            target = app / path.relative_to(ROOT)
            if path.is_dir():
                shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def install(folder: Path) -> str:
    """Make an environment and install what the image has; returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = str(folder / "venv" / "bin" / "python")
    packages = re.findall(r'"(prometheus-client[^"]*)"', DOCKERFILE)
    requirements = ["-r", str(folder / "app" / "requirements.txt"), *packages]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-cache-dir", *requirements], check=True)
    return python


def run(folder: Path, python: str) -> None:
    """Start the server, use it and stop it, in this network, in which there is nobody else."""
    bring_loopback_up()
    home = folder / "home"
    home.mkdir()
    os.chown(home, USER, USER)
    said = dict(re.findall(r"(\w+)=(\S+)", re.search(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE)[1]))
    environment = {"PATH": f"{Path(python).parent}:/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(home), **said}
    as_user = {"user": USER, "group": USER, "extra_groups": [], "env": environment, "cwd": folder / "app"}
    command = json.loads(re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])
    health = json.loads(re.search(r"HEALTHCHECK .* CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])
    start = time.monotonic()
    server = subprocess.Popen([python, *command[1:]], **as_user)
    try:
        while subprocess.run([python, *health[1:]], **as_user, stderr=subprocess.DEVNULL).returncode:
            assert server.poll() is None and time.monotonic() - start < 120, "the server does not live"
        print(f"healthy after {time.monotonic() - start:.1f} s")
        subprocess.run([python, "-c", MAKE_AN_IMAGE], check=True, **as_user)
    finally:
        server.terminate()
    code = server.wait(15)
    left = list(home.glob("var-server-*"))
    print(f"stopped with {code}; left: {left}")
    assert code == 0 and not left


def bring_loopback_up() -> None:
    """Let this network have 127.0.0.1; there is nothing else in it."""
    up, running, get_flags, set_flags = 0x1, 0x40, 0x8913, 0x8914
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(probe, get_flags, request))[1]
        fcntl.ioctl(probe, set_flags, struct.pack("16sh", b"lo", flags | up | running))


if __name__ == "__main__":
    main()
