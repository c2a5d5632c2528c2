"""Addresses on the Hub: what people write, and what they must not."""

import pytest

from var.errors import CheckpointError
from var.hub.addresses import HubAddress, is_hub_address, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://owner/repo/a.pth", HubAddress("owner/repo", "a.pth")),
        ("owner/repo/folder/a b.pth", HubAddress("owner/repo", "folder/a b.pth")),
        ("  owner/repo  ", HubAddress("owner/repo")),
        ("hf://owner/repo/", HubAddress("owner/repo")),
        ("hf://owner/repo@v1.0/a.pth", HubAddress("owner/repo", "a.pth", "v1.0")),
        ("hf://owner/repo@refs/pr/1/folder/a.pth", HubAddress("owner/repo", "folder/a.pth", "refs/pr/1")),
        ("https://huggingface.co/owner/repo", HubAddress("owner/repo")),
        ("https://huggingface.co/owner/repo/tree/main", HubAddress("owner/repo")),
        ("https://huggingface.co/owner/repo/tree/v1/folder", HubAddress("owner/repo", "folder", "v1")),
        ("https://huggingface.co/owner/repo/blob/main/a%20b.pth", HubAddress("owner/repo", "a b.pth")),
        ("https://hf.co/owner/repo/resolve/main/a.pth?download=true", HubAddress("owner/repo", "a.pth")),
        ("huggingface.co/owner/repo/blob/refs%2Fpr%2F1/a.pth", HubAddress("owner/repo", "a.pth", "refs/pr/1")),
    ],
    ids=lambda value: str(value),
)
def test_address_is_understood(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hf://",
        "owner",
        "hf://owner",
        "hf:///repo/a.pth",
        "hf://owner//a.pth",
        "hf://owner/repo//a.pth",
        "hf://owner/repo/../a.pth",
        "hf://owner/repo/./a.pth",
        "hf://owner/repo/folder\\..\\a.pth",
        "hf://owner/repo/C:/a.pth",
        "hf://owner/repo/a\0.pth",
        "hf://owner/repo/a\nb.pth",
        "hf://../repo/a.pth",
        "hf://owner/../a.pth",
        "hf://owner/re po/a.pth",
        "hf://owner/repo@/a.pth",
        "hf://owner/repo@../a.pth",
        "hf://owner/repo@refs/pr/../a.pth",
        "hf://owner/repo@refs/heads/x/a.pth",
        "hf://owner/repo/" + "a/" * 600 + "a.pth",
        "hf://datasets/owner/repo/a.pth",
        "https://huggingface.co/spaces/owner/repo",
        "https://huggingface.co/owner",
        "https://huggingface.co/owner/repo/discussions/1",
        "https://huggingface.co/owner/repo/blob/main/..%2F..%2Fa.pth",
        "https://huggingface.co/owner/repo/blob/..%2F..%2Fx/a.pth",
        "https://huggingface.co:444/owner/repo/blob/main/a.pth",
        "https://huggingface.co@evil.example/owner/repo/blob/main/a.pth",
        "https://user:word@huggingface.co/owner/repo/blob/main/a.pth",
        "https://evil.example/owner/repo/blob/main/a.pth",
        "https://huggingface.co.evil.example/owner/repo/blob/main/a.pth",
        "http://[::1/owner/repo",
        "file:///etc/passwd",
        "/etc/passwd",
        "../../etc/passwd",
        "http://127.0.0.1/owner/repo",
    ],
)
def test_what_is_none_is_refused_in_one_sentence(text):
    with pytest.raises(CheckpointError) as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "address", [HubAddress("a/b"), HubAddress("a/b", "c/d.pth"), HubAddress("a/b", "c.pth", "refs/pr/2")], ids=str
)
def test_written_address_reads_the_same(address):
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("source", ["hf://owner/repo", "https://huggingface.co/owner/repo"])
def test_hub_addresses_are_told_from_paths(source):
    assert is_hub_address(source)


@pytest.mark.parametrize("source", ["owner/repo/a.pth", "/data/hf/a.pth", "https:/huggingface.co/a", "huggingface.co"])
def test_paths_are_no_hub_addresses(source):
    assert not is_hub_address(source)
