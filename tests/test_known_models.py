"""The table of published models."""

import pytest

from var.hub.addresses import HubAddress, parse_address
from var.hub.known_models import KNOWN_MODELS, find_known


@pytest.mark.parametrize("model", KNOWN_MODELS, ids=lambda model: model.name)
def test_addresses_are_valid(model):
    assert parse_address(model.source) == HubAddress(model.repo, model.file)
    assert parse_address(model.vae_source) == HubAddress(model.vae_repo, model.vae_file)


def test_names_and_files_are_there_once():
    assert len({model.name for model in KNOWN_MODELS}) == len(KNOWN_MODELS)
    assert len({model.source for model in KNOWN_MODELS}) == len(KNOWN_MODELS)


def test_a_row_is_found_by_its_file():
    assert find_known("FoundationVision/var", "var_d36.pth").image_size == 512
    assert find_known("ChenDRAG/CCA_VAR", "CCA_VAR_Guidance_Free/VAR_d16_CCA.pth").cfg_scale == 0


def test_other_files_have_no_row():
    assert find_known("FoundationVision/var", None) is None
    assert find_known("owner/repo", "var_d16.pth") is None
