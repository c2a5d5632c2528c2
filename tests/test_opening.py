"""Opening a checkpoint with its VQVAE: where that is taken from, and what is said when there is none."""

import pytest
import torch
from hub_server import COMMIT, HubClient, HubRepo, serving
from tiny import tiny_states, tiny_vae_config, tiny_var_config, write_trainer_file

from var.checkpoints.checkpoint import read_checkpoint
from var.checkpoints.pair import open_pair
from var.errors import CheckpointError
from var.hub.known_models import OFFICIAL_REPO, OFFICIAL_VQVAE

OPENER = """
import json, sys
from var.errors import CheckpointError
from var.checkpoints.pair import open_pair
for line in sys.stdin:
    try:
        pair = open_pair(**json.loads(line))
        answer = [pair.vae and str(pair.vae.path), pair.vae_found]
    except CheckpointError as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
"""


def write_vqvae(path, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tiny_states(vae_config=tiny_vae_config(**changes))[1], path)
    return path


@pytest.fixture
def var_alone(tmp_path):
    (tmp_path / "own").mkdir()
    return write_trainer_file(tmp_path / "own" / "var.pth", with_vae=False)


def test_own_vqvae_is_enough(tmp_path):
    path = write_trainer_file(tmp_path / "a.pth")
    write_vqvae(tmp_path / "vae.pth")
    pair = open_pair(path)
    assert (pair.checkpoint.path, pair.vae, pair.vae_found) == (path, None, False)


def test_given_vqvae_comes_first(tmp_path):
    pair = open_pair(write_trainer_file(tmp_path / "a.pth"), write_vqvae(tmp_path / "given.pth"))
    assert (pair.vae.path, pair.vae_found) == (tmp_path / "given.pth", False)


def test_vqvae_nearby_is_found(var_alone, tmp_path):
    path = write_vqvae(tmp_path / "shelf" / "vae.pth")
    pair = open_pair(var_alone, folders=[tmp_path / "shelf"])
    assert (pair.vae.path, pair.vae_found) == (path, True)


def test_vqvae_of_a_checkpoint_that_was_read_is_found_as_of_its_path(var_alone):
    path = write_vqvae(var_alone.with_name("vae.pth"))
    pair = open_pair(read_checkpoint(var_alone))
    assert (pair.vae.path, pair.vae_found) == (path, True)
    assert open_pair(read_checkpoint(var_alone), read_checkpoint(path)).vae.path == path


def test_missing_vqvae_says_where_was_looked_and_what_would_fit(var_alone, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        open_pair(var_alone, folders=[tmp_path / "shelf"])
    message = str(caught.value)
    assert message.startswith(f"{var_alone}: a VAR transformer without a VQVAE")
    assert f"beside the file, in {tmp_path / 'shelf'}" in message
    assert "vocabulary of 64 and 8 latent channels" in message
    assert "hf://" not in message


def test_missing_vqvae_of_the_published_size_names_that_one(tmp_path):
    config = tiny_var_config(vocab_size=4096, z_channels=32)
    path = write_trainer_file(tmp_path / "a.pth", with_vae=False, optimizer=False, var_config=config)
    with pytest.raises(CheckpointError, match=f"hf://{OFFICIAL_REPO}/{OFFICIAL_VQVAE}"):
        open_pair(path)


def test_missing_vqvae_may_be_allowed(var_alone):
    pair = open_pair(var_alone, need_vqvae=False)
    assert (pair.checkpoint.path, pair.vae, pair.vae_found) == (var_alone, None, False)


def test_vqvae_alone_makes_no_images(tmp_path):
    with pytest.raises(CheckpointError, match=r"vae\.pth: the file holds a VQVAE alone.*Choose the checkpoint"):
        open_pair(write_vqvae(tmp_path / "vae.pth"))


def test_vqvae_alone_may_be_allowed(tmp_path):
    pair = open_pair(write_vqvae(tmp_path / "vae.pth"), need_vqvae=False)
    assert (pair.checkpoint.vae_config, pair.vae) == (tiny_vae_config(), None)


def test_given_vqvae_that_does_not_fit(var_alone, tmp_path):
    with pytest.raises(CheckpointError, match=r"var\.pth and .*given\.pth: .*vocabulary 64 and 32.*trained with"):
        open_pair(var_alone, write_vqvae(tmp_path / "given.pth", vocab_size=32))


def test_given_file_without_a_vqvae(var_alone, tmp_path):
    given = write_trainer_file(tmp_path / "given.pth", with_vae=False)
    with pytest.raises(CheckpointError, match=r"given\.pth: the file holds no VQVAE. Expected one with a vocabulary"):
        open_pair(var_alone, given)


def test_absent_files(var_alone, tmp_path):
    with pytest.raises(FileNotFoundError, match="none.pth"):
        open_pair(tmp_path / "none.pth")
    with pytest.raises(FileNotFoundError, match="none.pth"):
        open_pair(var_alone, tmp_path / "none.pth")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The Hub with some repositories, without a VQVAE at first; and a process that opens pairs from it."""
    folder = tmp_path_factory.mktemp("hub")
    var_bytes = write_trainer_file(folder / "var.pth", with_vae=False, optimizer=False).read_bytes()
    with serving() as server:
        server.repos[OFFICIAL_REPO] = HubRepo({"var_d16.pth": var_bytes})
        server.repos["ChenDRAG/CCA_VAR"] = HubRepo({"CCA_VAR_Guidance_Free/VAR_d16_CCA.pth": var_bytes})
        server.repos["owner/repo"] = HubRepo({"a.pth": var_bytes})
        client = HubClient(server.endpoint, folder / "home", OPENER)
        yield server, client
        client.close()


def test_known_model_of_the_hub_brings_the_vqvae_it_was_trained_with(hub, tmp_path):
    server, client = hub
    fits = str(write_vqvae(tmp_path / "shelf" / "other.pth"))
    official = {"source": f"hf://{OFFICIAL_REPO}/var_d16.pth"}
    on_shelf = official | {"folders": [str(tmp_path / "shelf")]}
    assert "no such file" in client.ask(official)  # the Hub's own reason
    assert client.ask(on_shelf) == [fits, True]  # better than nothing

    server.repos[OFFICIAL_REPO].files[OFFICIAL_VQVAE] = write_vqvae(tmp_path / "vae" / "vae.pth").read_bytes()
    server.requests.clear()
    assert client.ask(on_shelf | {"need_vqvae": False}) == [fits, True]
    assert server.requests == []  # what is not needed is not downloaded

    named = str(write_vqvae(tmp_path / "named" / OFFICIAL_VQVAE))
    assert client.ask(official | {"folders": [str(tmp_path / "named")]}) == [named, True]
    assert server.requests == []  # it is there under its name

    path, found = client.ask(on_shelf)
    assert found and path.endswith(f"snapshots/{COMMIT}/{OFFICIAL_VQVAE}")
    assert client.ask({"source": "hf://ChenDRAG/CCA_VAR/CCA_VAR_Guidance_Free/VAR_d16_CCA.pth"}) == [path, True]


def test_other_model_of_the_hub_needs_a_vqvae_at_hand(hub):
    assert "without a VQVAE" in hub[1].ask({"source": "hf://owner/repo/a.pth"})
