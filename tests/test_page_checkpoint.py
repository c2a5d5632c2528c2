"""The page's checkpoint side, in a real browser: choosing, uploading, downloading, details, export."""

import json
import os
import re
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from app_process import serving_app
from browser import Visitor, hold_the_stream
from gradio_client import Client
from hub_server import HubRepo, hub_environment
from layout_files import FILES
from PIL import Image
from playwright.sync_api import expect
from tiny import tiny_states, tiny_vae_config, tiny_var_config, write_trainer_file

from var import VARPipeline
from var.outputs.recipe import from_png

NAMES = ["Ant", "Bee", "Cat", "<i>Dog</i>", "Eel"]
HOSTILE_ARGUMENTS = {"note": '<img id="planted" src="x">'}
# One of each layout. Folders cannot be uploaded, and a VQVAE alone is another matter.
UPLOADED = {file.layout: file for file in FILES.values() if "var" in file.models and file.layout != "sharded"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_trainer_file(folder / "fruits96.pth", class_names=NAMES, args=dict(HOSTILE_ARGUMENTS))
    (folder / "local_output").mkdir()
    write_trainer_file(folder / "local_output" / "ar-ckpt-last.pth", epoch=180, optimizer=False)
    FILES["trainer with var_ema"].write(folder).rename(folder / "two.pth")
    torch.save(tiny_states()[1], folder / "tokenizer.pth")
    return folder


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    return tmp_path_factory.mktemp("gradio")


@pytest.fixture(scope="module")
def address(checkpoints, temporary, server, tmp_path_factory):
    """Of the app in a process of its own: huggingface_hub takes its server from the environment when it is imported."""
    environment = hub_environment(server.endpoint, tmp_path_factory.mktemp("home"))
    environment |= {"GRADIO_TEMP_DIR": str(temporary), "HF_TOKEN": "hf_secret"}
    arguments = ["--checkpoints", checkpoints, "--device", "cpu", "--largest-download", "0.02"]
    with serving_app(*arguments, environment=environment) as address:
        yield address


@pytest.fixture
def visitor(visit):
    return visit(height=1000)


def unfold(visitor: Visitor, part: str) -> None:
    visitor.page.locator(f"#{part} > button").click()


def chosen(visitor: Visitor) -> str:
    return visitor.page.locator("#checkpoint input").input_value()


def wait_until_chosen(visitor: Visitor, name: str) -> None:
    visitor.page.wait_for_function(
        """name => document.querySelector("#checkpoint input").value.startsWith(name)
            && /Runs on/.test(document.querySelector("#found").innerText)""",
        arg=name,
    )


def alert(visitor: Visitor) -> str:
    visitor.page.locator("#checkpoint-problem").get_by_role("alert").wait_for()
    return visitor.page.locator("#checkpoint-problem").get_by_role("alert").inner_text()


def test_opens_with_the_model_in_the_box_and_tells_what_was_found(visitor):
    assert chosen(visitor).startswith("fruits96.pth")
    assert "Trainer checkpoint, depth 2" in visitor.text("found") and "epoch 3" in visitor.text("found")
    assert "CPU, float32" in visitor.text("found")
    visitor.wait_for("found", "in memory")
    unfold(visitor, "details")
    visitor.wait_for("facts", "Memory")
    text = visitor.text("facts")
    for part in ("trainer.var_wo_ddp", "depth 2, width 64, 2 heads", "of optimizer", "an image, with guidance", "free"):
        assert part in text
    assert re.search(r"Hash\s+[0-9a-f]{10}", text)
    visitor.page.locator("#precision").wait_for()
    assert not visitor.page.locator("#weights").is_visible()  # there is no choice


def test_lists_subfolders_and_says_what_files_are(visitor):
    listed = visitor.checkpoints("tokenizer.pth · VQVAE alone")
    assert "local_output/ar-ckpt-last.pth · depth 2, epoch 180" in listed
    assert listed[-1] == "tokenizer.pth · VQVAE alone"


def test_the_arguments_are_text_and_stay_unfolded_when_the_model_is_unloaded(visitor):
    visitor.wait_for("found", "in memory")
    unfold(visitor, "details")
    visitor.page.locator("#facts summary").click()
    visitor.page.locator("#facts .arguments[open] dl").wait_for()
    visitor.wait_for("facts", '<img id="planted" src="x">')
    assert visitor.page.locator("#planted").count() == 0
    visitor.page.locator("#unload").click()
    visitor.wait_for("facts", "not loaded")
    visitor.wait_for("found", "loads on the first run")
    visitor.page.locator("#facts .arguments[open] dl").wait_for()


def test_every_kind_of_file_can_be_uploaded(visitor, tmp_path):
    for number, file in enumerate(UPLOADED.values()):
        folder = tmp_path / str(number)
        (folder / "export").mkdir(parents=True)
        written = file.write(folder)
        written = written / "model.safetensors" if written.is_dir() else written
        path = written.rename(tmp_path / f"kind-{number}{written.suffix}")
        visitor.upload(path)
        wait_until_chosen(visitor, f"{path.name} (uploaded)")
        visitor.wait_for("found", "VQVAE included" if "vae" in file.models else "VQVAE from")


def test_a_file_that_is_no_checkpoint_gets_one_message_and_is_removed(visitor, tmp_path, temporary):
    (tmp_path / "notes.pth").write_bytes(b"PK\x03\x04 and nothing more")
    visitor.upload(tmp_path / "notes.pth")
    message = alert(visitor)
    assert message.removeprefix("!").strip().startswith("notes.pth (uploaded): ") and str(temporary) not in message
    assert not list(temporary.rglob("notes.pth"))
    visitor.set("num-images", 1)
    visitor.generate()  # with the model that was there
    assert chosen(visitor).startswith("fruits96.pth")


def test_an_upload_belongs_to_its_session(visitor, browser, address, tmp_path):
    visitor.upload(write_trainer_file(tmp_path / "private.pth", optimizer=False))
    wait_until_chosen(visitor, "private.pth (uploaded)")
    context = browser.new_context()
    listed = Visitor(context.new_page(), address).checkpoints("fruits96.pth")
    context.close()
    assert not any("private.pth" in shown for shown in listed)


def options(visitor):
    return visitor.page.locator("#checkpoint").get_by_role("option")


@contextmanager
def a_new_file_in_the_open_list(visitor, checkpoints):
    """Open the list by keyboard after a file came into the folder, and wait until it stands first."""
    path = write_trainer_file(checkpoints / "newest.pth", optimizer=False)
    try:
        visitor.page.locator("#checkpoint input").focus()
        options(visitor).first.filter(has_text="newest.pth").wait_for()
        yield
    finally:
        path.unlink()


def test_the_list_shows_a_new_file_first_without_a_restart(visitor, checkpoints):
    with a_new_file_in_the_open_list(visitor, checkpoints):
        visitor.page.locator("#checkpoint").get_by_role("option", selected=True, name="fruits96.pth").wait_for()


def test_the_list_is_read_when_the_pointer_comes_near(visitor, checkpoints):
    path = write_trainer_file(checkpoints / "newest.pth", optimizer=False)
    visitor.page.locator("#checkpoint").hover()
    visitor.page.locator("#checkpoint:not([aria-busy])").wait_for()
    visitor.page.route("**/run/predict", lambda route: None)  # no answer from here on
    visitor.page.locator("#checkpoint input").click()
    assert options(visitor).first.inner_text().startswith("newest.pth")
    path.unlink()


def test_a_new_file_stays_listed_when_a_slow_network_brings_what_was_before(visitor, browser, address, checkpoints):
    visitor.generate()  # with the model loaded, all that a page hears on opening was found out before the file came
    with closing(browser.new_context()) as context:
        hold_the_stream(context, "process_")
        visitor = Visitor(context.new_page(), address)
        visitor.page.wait_for_function("() => window.release")
        with a_new_file_in_the_open_list(visitor, checkpoints):
            visitor.page.evaluate("window.release()")
            visitor.page.wait_for_function("() => window.heard")
            assert options(visitor).first.inner_text().startswith("newest.pth")


def test_another_projects_model_is_named(visitor, tmp_path):
    torch.save({"model.layers.0.self_attn.q_proj.weight": torch.zeros(2, 2)}, tmp_path / "llama.pth")
    visitor.upload(tmp_path / "llama.pth")
    assert "llama.pth (uploaded): " in alert(visitor)


def test_the_two_official_files_can_be_uploaded_one_after_the_other(visitor, tmp_path):
    sizes = tiny_var_config(vocab_size=32), tiny_vae_config(vocab_size=32)
    var_state, vae_state = tiny_states(0, *sizes)
    torch.save(var_state, tmp_path / "var_small.pth")
    torch.save(vae_state, tmp_path / "vae_small.pth")
    visitor.upload(tmp_path / "var_small.pth")
    assert "a VAR transformer without a VQVAE" in alert(visitor)
    visitor.upload(tmp_path / "vae_small.pth")
    visitor.wait_for("found", "kept for checkpoints")
    visitor.choose_checkpoint("var_small.pth (uploaded)")
    visitor.wait_for("found", "VQVAE from vae_small.pth")


def test_raw_weights_can_be_taken_where_the_file_has_both(visitor):
    visitor.choose_checkpoint("two.pth")
    visitor.wait_for("found", "EMA weights")
    unfold(visitor, "details")
    visitor.page.locator("#weights").get_by_label("Raw").click()
    visitor.wait_for("found", "raw weights")


def test_the_precision_can_be_chosen(visitor):
    unfold(visitor, "details")
    visitor.page.locator("#precision").get_by_label("bfloat16").click()
    visitor.wait_for("found", "CPU, bfloat16")
    visitor.wait_for("found", "in memory")


def test_the_heads_can_be_given_where_the_file_does_not_tell_them(visitor, tmp_path):
    config = tiny_var_config(attn_l2_norm=False)
    path = write_trainer_file(tmp_path / "silent.pth", var_config=config, class_names=NAMES, optimizer=False)
    field = visitor.page.locator("#heads input")
    assert field.count() == 0  # the model in the box tells them
    visitor.upload(path)
    visitor.wait_for("found", "1 are assumed")
    unfold(visitor, "details")
    field.fill("3")
    field.press("Enter")
    visitor.wait_for("checkpoint-problem", "cannot be shared by 3 attention heads")
    field.fill("2")
    field.press("Tab")
    visitor.wait_for("facts", "width 64, 2 heads")
    assert "assumed" not in visitor.text("found") + visitor.text("facts")
    visitor.set("num-images", 1)
    visitor.generate()
    image = visitor.images()[-1]
    (tmp_path / "image.png").write_bytes(visitor.page.request.get(visitor.image_addresses()[-1]).body())
    assert from_png(tmp_path / "image.png").num_heads == 2
    field.fill("")
    field.press("Enter")
    visitor.wait_for("found", "1 are assumed")
    visitor.page.locator("#restore input[type=file]").set_input_files(tmp_path / "image.png")
    visitor.wait_for("settings-note", "Settings restored.")
    expect(field).to_have_value("2")
    visitor.generate()
    assert visitor.images()[-1].tobytes() == image.tobytes()


def test_a_changed_file_is_read_again_on_the_next_run(visitor, checkpoints):
    path = checkpoints / "local_output" / "ar-ckpt-last.pth"
    visitor.choose_checkpoint("local_output/ar-ckpt-last.pth")
    visitor.wait_for("found", "epoch 180")
    write_trainer_file(path, epoch=181, seed=3, optimizer=False)
    visitor.set("num-images", 1)
    visitor.generate()
    visitor.wait_for("found", "ar-ckpt-last.pth changed: read again")
    assert "epoch 181" in visitor.text("found")


def test_downloads_from_the_hub_and_chooses_what_came(visitor, server, tmp_path):
    path = write_trainer_file(tmp_path / "model.pth", class_names=NAMES, epoch=44)
    server.repos["some/model"] = HubRepo({"runs/model.pth": path.read_bytes()})
    server.requests.clear()
    name_model(visitor, "some/model/runs/model.pth")
    visitor.wait_for("hub-about", "epoch 44")  # before it is downloaded
    assert "The Hub has not scanned the file yet." in visitor.text("hub-about")
    visitor.page.locator("#hub-download").click()
    visitor.wait_for("found", "epoch 44")
    assert chosen(visitor).startswith("some/model/runs/model.pth")
    assert not any(with_token for *_, with_token in server.requests)


def name_model(visitor: Visitor, address: str) -> None:
    unfold(visitor, "hub")
    field = visitor.page.locator("#hub-model input")
    field.fill(address)
    field.press("Enter")
    visitor.wait_for("hub-about", "not in the list")


def download(visitor: Visitor, address: str) -> None:
    name_model(visitor, address)
    visitor.page.locator("#hub-download").click()


@pytest.mark.parametrize(
    ("repo", "message"),
    [
        (HubRepo({"a.pth": b"x"}, error_code="GatedRepo", status=403), "asks the Hub without an account"),
        (HubRepo({"a.pth": b"x"}, claimed_size=10**9), "at most 20 MB are allowed"),
        (None, "no such repository"),
    ],
)
def test_what_the_hub_does_not_hand_out_gets_one_message(visitor, server, repo, message):
    server.repos.pop("other/model", None)
    if repo is not None:
        server.repos["other/model"] = repo
    download(visitor, "other/model/a.pth")
    assert message in alert(visitor)
    assert chosen(visitor).startswith("fruits96.pth")


def test_a_download_can_be_cancelled(visitor, server):
    server.repos["slow/model"] = HubRepo({"a.pth": b"x"}, stalls=True)
    download(visitor, "slow/model/a.pth")
    visitor.page.locator("#hub-cancel").click()
    visitor.wait_for("hub-progress", "Cancelled")


def test_a_published_model_says_what_it_is_before_it_is_downloaded(visitor):
    unfold(visitor, "hub")
    visitor.wait_for("hub-about", "MIT")
    assert "256 × 256 · 1.2 GB" in visitor.text("hub-about") and "guidance 4" in visitor.text("hub-about")


def test_an_export_makes_the_same_tokens(visitor, checkpoints, tmp_path):
    unfold(visitor, "export")
    visitor.page.locator("#export-start").click()
    visitor.wait_for("export-progress", "SHA-256")
    link = visitor.page.locator("#export-files a").first
    with visitor.page.expect_download() as started:
        link.click()
    path = tmp_path / started.value.suggested_filename
    started.value.save_as(path)
    assert path.name == "fruits96.safetensors"
    settings = {"class_labels": [1], "seed": 5}
    tokens = VARPipeline.from_checkpoint(path, device="cpu")(**settings).tokens
    assert torch.equal(
        tokens, VARPipeline.from_checkpoint(checkpoints / "fruits96.pth", device="cpu")(**settings).tokens
    )


def test_raw_weights_are_compared_with_their_average(address, tmp_path):
    client = Client(address, verbose=False, download_files=tmp_path)
    _, bundle, info = client.predict(
        checkpoint="two.pth", x_kind="weights", x_values="ema, raw", class_label=1, api_name="/compare"
    )
    assert (info["num_images"], info["failed"]) == (2, [])
    with ZipFile(bundle) as archive:
        listed = json.loads(archive.read("images.json"))["images"]
        images = [Image.open(BytesIO(archive.read(entry["file"]))) for entry in listed]
    assert {from_png(image).weights for image in images} == {"ema", "raw"}
    assert images[0].tobytes() != images[1].tobytes()


def test_the_api_exports(address, tmp_path):
    client = Client(address, verbose=False, download_files=tmp_path)
    files, info = client.predict(checkpoint="fruits96.pth", format="official", dtype="float16", api_name="/export")
    assert info["names"] == ["fruits96-float16.pth", "vae_fruits96-float16.pth"]
    assert [os.path.getsize(file) for file in files] == info["bytes"]
    assert VARPipeline.from_checkpoint(files[0], vae=files[1], device="cpu").image_size == 16


def test_the_api_inspects_as_the_command_does(address, tmp_path):
    client = Client(address, verbose=False, download_files=tmp_path)
    found = client.predict(checkpoint="two.pth", weights="raw", api_name="/inspect")
    assert (found["file"], found["weights"], found["usable"]) == ("two.pth", "raw", True)
    assert found["files"] == ["two.pth"]


def test_an_export_leaves_no_file_when_it_fails(address, temporary, tmp_path):
    client = Client(address, verbose=False, download_files=tmp_path)
    before = set(Path(temporary).rglob("*"))
    with pytest.raises(Exception, match="format must be"):
        client.predict(checkpoint="fruits96.pth", format="zip", api_name="/export")
    assert set(Path(temporary).rglob("*")) == before
