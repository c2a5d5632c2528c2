"""The settings of a server: on the command line, in the environment, in README, and as a Space."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from huggingface_hub import SpaceCard
from PIL import Image

from var.engine.queue import MAX_WAITING
from var.hub.known_models import KNOWN_MODELS
from var.ui.options import PageOptions, create_parser, flag, markdown_table, read_options, variable

ROOT = Path(__file__).parents[1]


def test_the_readme_has_the_table_of_the_declaration():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"<!-- options -->\n(.*?)\n<!-- /options -->", readme, re.DOTALL)[1] == markdown_table()


def test_every_setting_has_an_option_and_a_variable():
    told = create_parser().format_help()
    assert all(f"  {flag(item)}" in told for item in fields(PageOptions))
    assert len({variable(item) for item in fields(PageOptions)}) == len(fields(PageOptions))


# A text for each kind of setting, and the value that it stands for.
SETTINGS = {
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("8000", 8000),
    "allowed_host": ("a.example, b.example", ("a.example", "b.example")),
    "checkpoints": ("/models", Path("/models")),
    "keep": ("3", 3),
    "max_waiting": ("20", 20),
    "largest_upload": ("0.5", 0.5),
}
SWITCHES = {
    item.name: (None, not item.default)
    for item in fields(PageOptions)
    if isinstance(item.default, bool) and item.name != "public"
}


@pytest.mark.parametrize(("name", "text", "value"), [(name, *rest) for name, rest in (SETTINGS | SWITCHES).items()])
def test_option_and_variable_say_the_same(name, text, value):
    item = next(item for item in fields(PageOptions) if item.name == name)
    by_option = read_options([flag(item)] if text is None else [flag(item), text], {})
    by_variable = read_options([], {variable(item): "1" if text is None else text})
    assert by_option == by_variable == PageOptions(**{name: value})


def test_what_may_wait_is_as_of_the_engines_where_nothing_is_said():
    assert PageOptions().max_waiting == MAX_WAITING


def test_the_option_counts_before_the_variable_and_that_before_a_spaces():
    space = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": "7860"}
    assert read_options([], space).host == "0.0.0.0" and read_options([], space).port == 7860
    assert read_options([], space | {"VAR_HOST": "::1"}).host == "::1"
    assert read_options(["--host", "localhost"], space | {"VAR_HOST": "::1"}).host == "localhost"


def test_a_switch_that_the_environment_turns_off_is_off():
    assert read_options([], {"VAR_NO_UPLOAD": "0", "VAR_SHARE": "false"}) == PageOptions()


def test_one_switch_for_strangers_and_what_is_said_besides_counts():
    strict = PageOptions(public=True, api=False, exports=False, other_models=False, max_seconds=300.0)
    assert read_options(["--public"], {}) == read_options([], {"VAR_PUBLIC": "1"}) == strict
    assert read_options(["--public", "--export", "--max-seconds", "60"], {"VAR_NO_API": "0"}) == replace(
        strict, exports=True, max_seconds=60.0, api=True
    )


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"VAR_KEEP": "many"}, "VAR_KEEP is 'many'; expected a number"),
        ({"VAR_NO_HUB": "perhaps"}, "VAR_NO_HUB is 'perhaps'; expected 1 or 0"),
        ({"VAR_KEEP": "0"}, "--keep is 0; expected 1 or more"),
        ({"VAR_LARGEST_DOWNLOAD": "0"}, "--largest-download is 0; expected more than 0"),
        ({"VAR_ALL_UPLOADS": "inf"}, "--all-uploads is inf; expected a finite number"),
        ({"VAR_PORT": "99999"}, "--port is 99999; expected 1 to 65535"),
    ],
)
def test_what_cannot_be_is_told(environment, message):
    with pytest.raises(ValueError, match=message):
        read_options([], environment)


def test_the_readme_is_the_card_of_a_space():
    card = SpaceCard.load(ROOT / "README.md")
    data = card.data.to_dict()
    assert data["sdk"] == "gradio" and (ROOT / data["app_file"]).is_file() and data["license"] == "mit"
    assert f"gradio>={data['sdk_version'].rpartition('.')[0]}" in (ROOT / "requirements.txt").read_text()
    assert data["python_version"] in ("3.10", "3.12")
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {data["colorFrom"], data["colorTo"]} <= colours
    assert data["title"] and data["emoji"] and data["tags"] and len(data["short_description"]) <= 60
    assert data["models"] == sorted({model.repo for model in KNOWN_MODELS})
    assert Image.open(ROOT / data["thumbnail"]).width > 0
    assert card.text.lstrip().startswith("# VAR demo")
