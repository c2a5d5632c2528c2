"""The endpoints as tools of the Model Context Protocol, as a client of it calls them."""

import ast
import asyncio
import urllib.request
from io import BytesIO

import pytest
from browser import serve
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image
from tiny import write_trainer_file

from var import VARPipeline
from var.ui import options as ui_options
from var.ui.options import PageOptions


def test_a_client_finds_the_endpoints_and_generates(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    path = write_trainer_file(folder / "a.pth", optimizer=False)

    async def call(address: str):
        async with (
            streamable_http_client(f"{address}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            made = await session.call_tool("generate", {"class_labels": [1], "seed": 3, "cfg_scale": 2})
            refused = await session.call_tool("generate", {"class_labels": [99]})
            return tools, made, refused

    with serve(folder, tmp_path / "gradio", PageOptions(mcp=True)) as address:
        tools, made, refused = asyncio.run(call(address))
        files, info = ast.literal_eval(made.content[0].text)
        image = Image.open(BytesIO(urllib.request.urlopen(files[0]["url"]).read()))
    assert {tool.name for tool in tools} == {"generate", "edit", "compare", "inspect", "export_weights"}
    assert "class indices" in tools[0].inputSchema["properties"]["class_labels"]["description"]
    expected = VARPipeline.from_checkpoint(path, device="cpu")([1], seed=[3], cfg_scale=2).images[0]
    assert image.tobytes() == expected.tobytes() and info["seeds"] == [3]
    assert refused.isError and "0 to 4" in refused.content[0].text


def test_what_is_missing_for_it_is_told(monkeypatch):
    monkeypatch.setattr(ui_options, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install"):
        PageOptions(mcp=True)
