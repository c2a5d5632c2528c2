"""`python -m var push`: this program as a Space, on a Hub of this machine."""

import shutil

import pytest
from hub_server import PROJECT, HubClient, serving
from huggingface_hub import SpaceCard

from var.__main__ import main
from var.cli.push import space_files

WORKER = """
import contextlib, io, json, os, pathlib, sys
from var.__main__ import main
from var.cli import push
for line in sys.stdin:
    asked, told = json.loads(line), io.StringIO()
    os.environ["HF_TOKEN"], push.ROOT = asked["token"], pathlib.Path(asked["root"])
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        main(["push", *asked["arguments"]])
    print(json.dumps(told.getvalue()), flush=True)
"""


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def push(server, tmp_path_factory):
    """Run the command for the Hub of this machine, whose address is read once; returns its output and its errors."""
    home = tmp_path_factory.mktemp("home")
    process = HubClient(server.endpoint, home, WORKER, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
    yield lambda *arguments, token="hf_writes", root=PROJECT: process.ask(
        {"arguments": list(map(str, arguments)), "token": token, "root": str(root)}
    )
    process.close()


def copy_of_the_checkout(folder):
    for name in ("var", "checkpoints"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pth"))
    for name in ("README.md", "app.py", "requirements.txt", "LICENSE"):
        shutil.copy(PROJECT / name, folder)
    shutil.copytree(PROJECT / "docs", folder / "docs")
    (folder / "checkpoints" / "fruits96.pth").write_bytes(bytes(1_000_000))
    return folder


def test_a_space_is_made_and_brought_up_to_date(push, server, tmp_path):
    checkout = copy_of_the_checkout(tmp_path / "checkout")
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"weights")
    told = push("--space", "me/demo", "--checkpoint", mine, "--variable", "VAR_KEEP=2", root=checkout)
    assert f"the Space builds now: {server.endpoint}/spaces/me/demo" in told
    space = server.spaces["me/demo"]
    assert not space.private and space.variables == {"VAR_PUBLIC": "1", "VAR_KEEP": "2"}
    assert {path for path in space.files if not path.startswith("var/")} == {
        *(
            "app.py",
            "README.md",
            "requirements.txt",
            "LICENSE",
            "checkpoints/README.md",
            "checkpoints/mine.safetensors",
        ),
        *(f"checkpoints/{path.name}" for path in (PROJECT / "checkpoints").glob("fruits96.*")),
        *(f"docs/{path.name}" for path in (PROJECT / "docs").glob("*.webp")),
    }
    assert space.files["checkpoints/fruits96.pth"] == bytes(1_000_000)
    card = SpaceCard(space.files["README.md"].decode())
    thumbnail = f"{server.endpoint}/spaces/me/demo/resolve/main/checkpoints/fruits96.png"
    assert card.data.to_dict()["thumbnail"] == thumbnail and card.data.python_version == "3.12"

    (checkout / "var" / "ui" / "theme.py").write_text("changed")
    (checkout / "var" / "ui" / "html.py").unlink()
    space.files["examples.txt"] = b"the owner's own"
    push("--space", "me/demo", "--checkpoint", mine, root=checkout)
    assert space.commits[1:] == [(["var/ui/theme.py"], ["var/ui/html.py"])]
    assert space.variables == {"VAR_PUBLIC": "1", "VAR_KEEP": "2"} and "examples.txt" in space.files


def test_a_private_space_is_not_for_strangers(push, server):
    push("--space", "me/private", "--private")
    assert server.spaces["me/private"].private and not server.spaces["me/private"].variables


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("hf_wrong", "does not accept the access token"),
        ("hf_reads", "may not write there. Log in with `hf auth login`"),
    ],
)
def test_a_token_that_may_not_write_is_one_line(push, token, message):
    told = push("--space", "me/other", token=token)
    assert " push: me/other: " in told and message in told and told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space", "demo"], "--space demo: expected OWNER/NAME"),
        (["--space", "me/demo/file"], "expected OWNER/NAME"),
        (["--space", "me/demo", "--variable", "VAR_KEEP"], "--variable VAR_KEEP: expected NAME=VALUE"),
        (["--space", "me/demo", "--checkpoint", "none.pth"], "none.pth: there is no such file"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, message):
    assert main(["push", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


def test_a_dry_run_says_what_would_be_sent_and_asks_nobody(capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", None)
    assert main(["push", "--space", "me/demo", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "spaces/me/demo/resolve/main/checkpoints/fruits96.png" in told and "VAR_PUBLIC=1" in told
    assert "\napp.py\n" in f"\n{told}" and "tests/" not in told and "would go to me/demo" in told


def test_a_folder_that_is_no_checkout_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="Run this in a checkout"):
        space_files(tmp_path, [])
