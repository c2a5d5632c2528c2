"""`python -m var push`: a checkpoint, and this program as a Space, on a Hub of this machine."""

import re
import shutil

import pytest
import torch
from hub_server import PROJECT, HubClient, HubRepo
from huggingface_hub import ModelCard, SpaceCard
from tiny import tiny_var_config, write_trainer_file

from var.__main__ import main
from var.checkpoints.checkpoint import read_checkpoint
from var.cli.model_card import model_card
from var.cli.push import space_files
from var.hub.addresses import HubAddress
from var.sampling.presets import own_settings

WORKER = """
import contextlib, io, json, os, pathlib, sys
from var.__main__ import main
from var.cli import push
for line in sys.stdin:
    asked, told = json.loads(line), io.StringIO()
    os.environ["HF_TOKEN"], push.ROOT = asked["token"], pathlib.Path(asked["root"])
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        exec(asked["code"]) if "code" in asked else main(asked["arguments"])
    print(json.dumps(told.getvalue()), flush=True)
"""


@pytest.fixture(scope="module")
def process(server, home):
    """A process whose Hub is the one of this machine; that address is read once."""
    process = HubClient(server.endpoint, home, WORKER, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
    yield lambda token="hf_writes", root=PROJECT, **asked: process.ask({"token": token, "root": str(root), **asked})
    process.close()


@pytest.fixture(scope="module")
def command(process):
    """Run a command there; returns its output and its errors."""
    return lambda *arguments, **asked: process(arguments=list(map(str, arguments)), **asked)


@pytest.fixture(scope="module")
def push(command):
    return lambda *arguments, **asked: command("push", *arguments, **asked)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trainer's file with an optimizer, names of classes and a wish for its sampling."""
    return write_trainer_file(
        tmp_path_factory.mktemp("runs") / "ar-ckpt-best.pth",
        class_names=["ant", "a|b <i>", "蜂", "d", "e"],
        args={"sampling": {"cfg_scale": 2.5, "top_k": 30}, "data_path": "/home/me/data"},
    )


def test_a_checkpoint_is_sent_and_opens_from_there(push, command, process, server, trained, tmp_path):
    told = push(trained, "me/tiny", "--license", "mit")
    address = "hf://me/tiny/ar-ckpt-best.safetensors"
    assert f"it opens as {address}" in told
    repo = server.repos["me/tiny"]
    assert not repo.private and repo.commits == [(["ar-ckpt-best.safetensors", "README.md"], [])]

    back = tmp_path / "back.safetensors"
    command("export", "hf://me/tiny", back)
    found, sent = read_checkpoint(back), read_checkpoint(trained)
    assert found.class_names == sent.class_names
    assert own_settings(found.training, 4) == {"cfg_scale": 2.5, "top_k": 30}
    for states in ((found.var_state, sent.var_state), (found.vae_state, sent.vae_state)):
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(weight, states[1][key]) for key, weight in states[0].items())

    card = ModelCard(repo.files["README.md"].decode())
    assert card.data.to_dict() == {
        "license": "mit",
        "library_name": "var-demo",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["var", "image-generation", "next-scale-prediction"],
    }
    assert "depth 2, width 64, 2 heads" in card.text and "cfg\\_scale 2.5, top\\_k 30" in card.text
    assert "ant, a\\|b &lt;i&gt;, 蜂" in card.text and "    2  蜂\n" in card.text and "/home/me" not in card.text
    told = command(*re.search(r"python -m var (sample .*) images$", card.text, re.M)[1].split(), tmp_path / "images")
    assert list((tmp_path / "images").glob("*.png")), told
    code = re.search(r"```python\n(.*?)```", card.text, re.S)[1]
    process(code=code.replace("image.png", str(tmp_path / "image.png")))
    assert (tmp_path / "image.png").is_file()


def test_a_card_that_is_there_stays_unless_it_is_asked_for(push, server, trained):
    repo = server.repos["me/mine"] = HubRepo({"README.md": b"my words", "notes.txt": b"notes"})
    assert "README.md that is there stays as it is; --overwrite replaces it" in push(trained, "me/mine")
    assert repo.files["README.md"] == b"my words" and repo.commits == [(["ar-ckpt-best.safetensors"], [])]
    push(trained, "me/mine", "--overwrite")
    assert b"library_name: var-demo" in repo.files["README.md"] and repo.files["notes.txt"] == b"notes"


def test_a_private_repository_is_not_for_strangers(push, server, trained):
    push(trained, "me/secret", "--private")
    assert server.repos["me/secret"].private
    server.repos["me/open"] = HubRepo()
    assert "me/open: it is there already, and everybody sees it" in push(trained, "me/open", "--private")
    assert not server.repos["me/open"].files


def test_a_license_that_the_hub_does_not_know_is_one_line(push, trained):
    told = push(trained, "me/licence", "--license", "unknown-licence").splitlines()
    assert len(told) == 2 and '"license" must be one of a list' in told[1]


@pytest.mark.parametrize("num_classes", [5, 1200])
def test_a_card_has_the_classes_as_far_as_people_read_them(tmp_path, num_classes):
    names = [f"kind {label}" for label in range(num_classes)] if num_classes > 5 else None
    config = tiny_var_config(num_classes=num_classes)
    path = write_trainer_file(tmp_path / "a.pth", class_names=names, var_config=config, optimizer=False)
    card = model_card(read_checkpoint(path), HubAddress("me/tiny", "a.safetensors"))
    assert "license" not in card
    if names is None:
        assert "5 classes have no names; they are chosen by number, from 0 to 4." in card
    else:
        assert "    999  kind 999\n\nand 200 more, whose names are in the file." in card


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
        ("", "takes files from those alone that it knows. Log in with `hf auth login`"),
        ("hf_wrong", "does not accept the access token"),
        ("hf_reads", "may not write there. Log in with `hf auth login`"),
    ],
)
@pytest.mark.parametrize("is_space", [True, False])
def test_a_token_that_may_not_write_is_one_line(push, trained, token, message, is_space):
    told = push(*(("--space", "me/other") if is_space else (trained, "me/other")), token=token)
    (line,) = [line for line in told.splitlines() if not line.startswith(f"read {trained}")]
    assert " push: me/other: " in line and message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.pth"], "a.pth: where to? Give OWNER/NAME after it"),
        (["a.pth", "tiny"], "tiny: this is no name on the Hub; expected OWNER/NAME"),
        (["a.pth", "me/tiny", "--variable", "VAR_KEEP=2"], "--variable goes with --space OWNER/NAME alone"),
        (["--space", "me/demo", "--num-heads", "2"], "--num-heads goes with FILE OWNER/NAME alone"),
        (["none.pth", "me/tiny", "--dry-run"], "none.pth"),
        (["--space", "demo"], "demo: this is no name on the Hub; expected OWNER/NAME"),
        (["--space", "me/demo/file"], "expected OWNER/NAME"),
        (["--space", "me/demo", "--variable", "VAR_KEEP"], "--variable VAR_KEEP: expected NAME=VALUE"),
        (["--space", "me/demo", "--checkpoint", "none.pth"], "none.pth: there is no such file"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, message):
    assert main(["push", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments FILE --space is required"),
        (["a.pth", "me/tiny", "--space", "me/demo"], "argument --space: not allowed with argument FILE"),
    ],
)
def test_a_checkpoint_or_a_space_is_sent(capsys, arguments, message):
    with pytest.raises(SystemExit):
        main(["push", *arguments])
    usage, problem = capsys.readouterr().err.splitlines()
    assert "push (FILE OWNER/NAME | --space OWNER/NAME) [options]" in usage and problem.endswith(message)


def test_a_dry_run_says_what_would_be_sent_and_asks_nobody(capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", None)
    assert main(["push", "--space", "me/demo", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "spaces/me/demo/resolve/main/checkpoints/fruits96.png" in told and "VAR_PUBLIC=1" in told
    assert "\napp.py\n" in f"\n{told}" and "tests/" not in told and "would go to me/demo" in told


def test_a_dry_run_shows_the_card_and_asks_nobody(capsys, monkeypatch, trained):
    monkeypatch.setattr("huggingface_hub.HfApi", None)
    assert main(["push", str(trained), "me/tiny", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "library_name: var-demo" in told and "ar-ckpt-best.safetensors, 4.9 MB, and this README.md" in told


@pytest.mark.parametrize("fault", ["no VQVAE", "NaN"])
def test_what_would_make_no_images_is_not_sent(capsys, tmp_path, fault):
    path = write_trainer_file(tmp_path / "a.pth", with_vae=fault == "NaN", optimizer=False)
    if fault == "NaN":
        content = torch.load(path, weights_only=True)
        content["trainer"]["var_wo_ddp"]["head.weight"][0, 0] = torch.nan
        torch.save(content, path)
    assert main(["push", str(path), "me/tiny", "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert {"no VQVAE": "without a VQVAE", "NaN": "NaN"}[fault] in told and told.count("\n") == 1


def test_a_folder_that_is_no_checkout_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="Run this in a checkout"):
        space_files(tmp_path, [])
